//! The pin of a certificate: a digest of its public key, to be compared by hand once.

use std::fmt;
use std::str::FromStr;

/// What stands in front of the digits.
const PREFIX: &str = "sha256/";
/// How many bytes a SHA-256 has.
const BYTES: usize = 32;

/// The SHA-256 of a certificate's public key (its `SubjectPublicKeyInfo`). It stays the same when
/// the certificate is renewed with its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin([u8; BYTES]);

/// A text that is no pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinError;

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a pin (sha256/ and 64 hexadecimal digits, as `presence-tui cert` prints it)")
    }
}

impl std::error::Error for PinError {}

impl Pin {
    /// Returns the digest itself.
    #[must_use]
    pub fn bytes(&self) -> &[u8; BYTES] {
        &self.0
    }
}

impl From<[u8; BYTES]> for Pin {
    fn from(digest: [u8; BYTES]) -> Self {
        Self(digest)
    }
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let digits = text.trim().strip_prefix(PREFIX).ok_or(PinError)?;
        let digits: Option<Vec<u8>> = digits.chars().map(|c| u8::try_from(c.to_digit(16)?).ok()).collect();
        let bytes: Vec<u8> = match digits.as_deref().map(<[u8]>::as_chunks) {
            Some((pairs, [])) => pairs.iter().map(|[high, low]| high << 4 | low).collect(),
            _ => return Err(PinError),
        };
        bytes.try_into().map(Self).map_err(|_| PinError)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_read_as_it_is_written() {
        let pin = Pin(std::array::from_fn(|n| u8::try_from(n * 7).unwrap()));
        assert_eq!(pin.to_string().parse(), Ok(pin));
        assert_eq!(pin.to_string().to_uppercase().replace("SHA", "sha").parse(), Ok(pin));
        for wrong in ["", "sha256/", "sha256/00", &"0".repeat(64), &format!("sha256/{}", "g".repeat(64))] {
            assert_eq!(wrong.parse::<Pin>(), Err(PinError), "{wrong}");
        }
    }
}
