//! The one thing of a certificate that nothing else here reads: its subject's common name.
//!
//! Only ever asked about certificates that have been verified. Even so nothing
//! here trusts a length.

/// The tag of a sequence.
const SEQUENCE: u8 = 0x30;
/// The tag of a set.
const SET: u8 = 0x31;
/// The tag of an object identifier.
const OID: u8 = 0x06;
/// The tag of the version, which may be left out.
const VERSION: u8 = 0xa0;
/// The tags of texts whose bytes are UTF-8, or ASCII, which is the same: `UTF8String`, `PrintableString`, `IA5String`.
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];
/// What says that a common name follows: 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// Returns the common name of a certificate's subject; the last one, which is the most specific, where there are several.
pub(super) fn common_name(certificate: &[u8]) -> Option<String> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = skip(rest)?;
    }
    // Serial number, signature, issuer, validity; then the subject.
    for _ in 0..4 {
        rest = skip(rest)?;
    }
    let (mut names, _) = element(rest, SEQUENCE)?;
    let mut found = None;
    while !names.is_empty() {
        let (mut set, behind) = element(names, SET)?;
        names = behind;
        while !set.is_empty() {
            let (pair, behind) = element(set, SEQUENCE)?;
            set = behind;
            let (kind, value) = element(pair, OID)?;
            if kind == COMMON_NAME {
                let (tag, text, _) = any(value)?;
                let text = TEXTS.contains(&tag).then(|| std::str::from_utf8(text).ok())??;
                found = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
            }
        }
    }
    found
}

/// Returns the contents of an element with this tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, contents, rest) = any(bytes)?;
    (found == tag).then_some((contents, rest))
}

/// Returns what follows the first element.
fn skip(bytes: &[u8]) -> Option<&[u8]> {
    any(bytes).map(|(_, _, rest)| rest)
}

/// Returns tag and contents of the first element, and what follows it.
fn any(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((tag, contents, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn certificate(names: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["alt.example".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_common_name_is_found_among_the_others() {
        let ada = certificate(&[
            (DnType::OrganizationName, "The House"),
            (DnType::CommonName, "ada lövelace"),
            (DnType::CountryName, "GB"),
        ]);
        assert_eq!(common_name(&ada).as_deref(), Some("ada lövelace"));
        assert_eq!(common_name(&certificate(&[(DnType::OrganizationName, "The House")])), None);
        assert_eq!(common_name(&certificate(&[(DnType::CommonName, " ")])), None);
    }

    proptest! {
        #[test]
        fn nothing_that_is_read_makes_it_fall(at in 0..400_usize, byte: u8, cut in 0..400_usize, noise: Vec<u8>) {
            let mut broken = certificate(&[(DnType::CommonName, "ada")]);
            if let Some(there) = broken.get_mut(at) {
                *there = byte;
            }
            let _ = common_name(&broken);
            let _ = common_name(broken.get(..cut).unwrap_or(&broken));
            let _ = common_name(&noise);
        }
    }
}
