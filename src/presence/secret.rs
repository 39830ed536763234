//! What proves that a newcomer is the client it says it is.

use std::fmt;

/// The digits of base 32, without those that look alike.
const DIGITS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// 120 bits that nobody can guess. There is one for every client, so they are kept as they are and not as text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret([u8; 15]);

impl Secret {
    /// Makes a secret of random bytes.
    #[must_use]
    pub const fn new(random: [u8; 15]) -> Self {
        Self(random)
    }

    /// Tells whether this is the one that `text` says.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        text == base32(&self.0)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base32(&self.0))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Writes bytes in base 32, eight digits for every five; bits that do not make a whole digit are left out.
#[must_use]
pub fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 8 / 5);
    let (mut bits, mut held) = (0u16, 0);
    for byte in bytes {
        bits = bits << 8 | u16::from(*byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            text.push(char::from(DIGITS[usize::from(bits >> held & 31)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_text_and_never_shown_by_accident() {
        let secret = Secret::new(*b"fifteen bytes!!");
        assert_eq!(secret.to_string().len(), 24);
        assert!(secret.is(&secret.to_string()));
        assert!(!secret.is("") && !secret.is(&secret.to_string()[..23]));
        assert_ne!(secret.to_string(), Secret::new([0; 15]).to_string());
        assert_eq!(format!("{secret:?}"), "Secret");
    }

    #[test]
    fn five_bits_are_a_digit() {
        assert_eq!(base32(&[0, 0, 0, 0, 0]), "aaaaaaaa");
        assert_eq!(base32(&[0xff; 5]), "99999999");
        assert_eq!(base32(&[0x08, 0x86, 0x42, 0x98, 0xe8]), "bcdefghi", "one to eight");
    }
}
