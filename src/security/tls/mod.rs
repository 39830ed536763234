//! TLS at both ends: whose certificate is shown, and whose is trusted.

mod client;
mod der;
mod make;
mod server;

use std::io;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring as provider};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{self, RootCertStore};

use super::Pin;
pub use client::{ClientTls, Trust};
pub use make::{Made, make};
pub use server::ServerTls;

/// Returns what does the sums.
fn crypto() -> Arc<CryptoProvider> {
    Arc::new(provider::default_provider())
}

/// Reads the certificates of a PEM file, at least one.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(none) if none.is_empty() => {
            Err("there is no certificate in it (PEM begins with -----BEGIN CERTIFICATE-----)".to_owned())
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(format!("this is not PEM: {error}")),
    }
}

/// Reads the private key of a PEM file.
fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    use rustls::pki_types::pem::Error;
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        Error::NoItemsFound => {
            "there is no private key in it (PEM begins with -----BEGIN PRIVATE KEY-----)".to_owned()
        }
        // Other errors may quote what they stumbled over, and that is a secret here.
        _ => "this is not PEM".to_owned(),
    })
}

/// Reads the certificates that vouch for others.
fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|error| format!("a certificate in it makes no sense: {error}"))?;
    }
    Ok(roots)
}

/// Says what does not fit between a certificate and its key.
fn misfit(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(_) => "the private key is not that of the certificate".to_owned(),
        error => format!("certificate and private key cannot be used: {error}"),
    }
}

/// Returns the pin of a certificate.
///
/// # Errors
/// It makes no sense.
fn pin_of(certificate: &CertificateDer<'_>) -> Result<Pin, rustls::Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    let sum = digest(&SHA256, parsed.subject_public_key_info().as_ref());
    let sum: [u8; 32] =
        sum.as_ref().try_into().map_err(|_| rustls::Error::General("no SHA-256".to_owned()))?;
    Ok(Pin::from(sum))
}

/// Makes words of a handshake that failed, with what can be done about it where there is something.
fn handshake_failed(error: &io::Error) -> String {
    use rustls::{CertificateError as Bad, Error};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        // The second where somebody who is trusted has the same name as whoever vouches.
        Some(Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature)) => {
            "nobody who is trusted here vouches for its certificate".to_owned()
        }
        Some(Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. })) => {
            "its certificate is for another host".to_owned()
        }
        Some(Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. })) => {
            "its certificate has expired".to_owned()
        }
        Some(Error::InvalidCertificate(Bad::Other(why))) => why.to_string(),
        Some(Error::NoCertificatesPresented) => "it showed no certificate, and one is asked for".to_owned(),
        Some(Error::InvalidMessage(_)) => "it does not speak TLS".to_owned(),
        _ => error.to_string(),
    }
}
