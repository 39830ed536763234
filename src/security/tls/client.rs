//! The client's end.

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

use super::{certificates, crypto, handshake_failed, misfit, pin_of, private_key, roots};
use crate::security::Pin;
use crate::security::duplex::Stream;

/// By what a server is trusted.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// The certificates this system trusts.
    System,
    /// These, in PEM.
    Ca(&'a [u8]),
    /// This one certificate, whoever vouches for it and whatever host it is for.
    Pin(Pin),
}

/// What makes a client's connections secret.
#[derive(Clone)]
pub struct ClientTls(TlsConnector);

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

impl ClientTls {
    /// Takes by what a server is trusted, and the certificate to show with its key, in PEM. Reads
    /// files for [`Trust::System`].
    ///
    /// # Errors
    /// One of them makes no sense, in words.
    pub fn new(trust: Trust<'_>, own: Option<(&[u8], &[u8])>) -> Result<Self, String> {
        let config = ClientConfig::builder_with_provider(crypto())
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS does not work here: {error}"))?;
        let config = match trust {
            Trust::System => config.with_root_certificates(system_roots()?),
            Trust::Ca(pem) => {
                config.with_root_certificates(roots(pem).map_err(|error| format!("ca: {error}"))?)
            }
            Trust::Pin(pin) => {
                let pinned = Pinned { pin, crypto: crypto() };
                config.dangerous().with_custom_certificate_verifier(Arc::new(pinned))
            }
        };
        let config = match own {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate).map_err(|error| format!("cert: {error}"))?;
                let key = private_key(key).map_err(|error| format!("key: {error}"))?;
                config.with_client_auth_cert(chain, key).map_err(|error| misfit(&error))?
            }
        };
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Trusts whom this system trusts, and shows nothing. The files are read where nobody waits for them.
    ///
    /// The system's list and not one of our own: whoever is asked is often a server of the house,
    /// with a certificate of the house. `SSL_CERT_FILE` names another list, as it does for other programs.
    ///
    /// # Errors
    /// This system trusts nobody, in words.
    pub async fn system() -> Result<Self, String> {
        let made = tokio::task::spawn_blocking(|| Self::new(Trust::System, None)).await;
        made.map_err(|error| format!("could not read the certificates of this system: {error}"))?
    }

    /// Shakes hands with a host over a connection to it, and returns that made secret.
    ///
    /// # Errors
    /// The host is not who it says, or does not speak TLS; in words.
    pub async fn connect<S>(&self, host: &str, io: S) -> Result<Stream, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("{host} is not a name a certificate can be for"))?;
        match self.0.connect(name, io).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(format!("no TLS with {host}: {}", handshake_failed(&error))),
        }
    }
}

/// Reads the certificates of this system: the one place that does.
fn system_roots() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (trusted, _) = roots.add_parsable_certificates(found.certs);
    if trusted == 0 {
        return Err("this system trusts no certificate \
                    (install its ca-certificates, or name a file of them in SSL_CERT_FILE)"
            .to_owned());
    }
    Ok(roots)
}

/// Trusts one public key. That the server has the private one belonging to it is proved by its signature, as ever.
#[derive(Debug)]
struct Pinned {
    pin: Pin,
    crypto: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found = pin_of(shown)?;
        if found.bytes().ct_eq(self.pin.bytes()).into() {
            return Ok(ServerCertVerified::assertion());
        }
        let words = format!("its certificate is not the pinned one: it has the pin {found}");
        Err(CertificateError::Other(OtherError(Arc::from(Box::<dyn std::error::Error + Send + Sync>::from(
            words,
        ))))
        .into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, shown, signed, &self.crypto.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, shown, signed, &self.crypto.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.crypto.signature_verification_algorithms.supported_schemes()
    }
}
