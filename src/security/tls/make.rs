//! A certificate for a lab, signed by itself.

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
use tokio_rustls::rustls::pki_types::ServerName;

use super::pin_of;
use crate::security::Pin;

/// A certificate and what belongs to it.
pub struct Made {
    /// The certificate, in PEM.
    pub certificate: String,
    /// Its private key, in PEM.
    pub key: String,
    /// Its pin.
    pub pin: Pin,
}

/// Whoever prints it means the pin.
impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Made({})", self.pin)
    }
}

/// Makes a certificate for these hosts, each a name or an IP address. It is called after the first,
/// and fit for both ends.
///
/// # Errors
/// One of them is no name a certificate can be for.
pub fn make(hosts: &[String]) -> Result<Made, String> {
    for host in hosts {
        let bare = host.strip_prefix("*.").unwrap_or(host);
        if ServerName::try_from(bare).is_err() {
            return Err(format!("{host:?} is neither a host name nor an IP address"));
        }
    }
    let failed = |error: rcgen::Error| format!("no certificate could be made: {error}");
    let mut params = CertificateParams::new(hosts).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    if let Some(first) = hosts.first() {
        params.distinguished_name.push(DnType::CommonName, first.as_str());
    }
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().map_err(failed)?;
    let made = params.self_signed(&key).map_err(failed)?;
    let pin = pin_of(made.der()).map_err(|error| format!("the certificate made no sense: {error}"))?;
    Ok(Made { certificate: made.pem(), key: key.serialize_pem(), pin })
}
