//! TLS for `wss://`, trusted by the certificates this system trusts.
//!
//! The system's and not a list of our own: a foreign server is often one of
//! the house, with a certificate of the house. `SSL_CERT_FILE` names another
//! list, as it does for other programs.

use super::wire::Stream;

#[cfg(feature = "tls")]
use std::sync::Arc;

#[cfg(feature = "tls")]
use tokio_rustls::TlsConnector;
#[cfg(feature = "tls")]
use tokio_rustls::rustls::pki_types::ServerName;
#[cfg(feature = "tls")]
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

/// What makes a stream secret.
#[derive(Clone)]
pub(super) struct Tls {
    #[cfg(feature = "tls")]
    connector: TlsConnector,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

#[cfg(feature = "tls")]
impl Tls {
    /// Reads the certificates of this system, which takes files.
    ///
    /// # Errors
    /// There are none, in words.
    pub(super) async fn open() -> Result<Self, String> {
        let loading = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs);
        let found = loading.await.map_err(|error| format!("could not read the certificates: {error}"))?;
        let mut roots = RootCertStore::empty();
        let (trusted, _) = roots.add_parsable_certificates(found.certs);
        if trusted == 0 {
            return Err("this system trusts no certificate, so wss:// cannot be checked \
                        (install its ca-certificates, or name a file with SSL_CERT_FILE)"
                .to_owned());
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS does not work here: {error}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)) })
    }

    /// Makes a stream to a host secret.
    ///
    /// # Errors
    /// The host is not who it says, or does not speak TLS; in words.
    pub(super) async fn wrap(&self, host: &str, stream: Stream) -> Result<Stream, String> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("{host} is not a name a certificate can be for"))?;
        match self.connector.connect(name, stream).await {
            Ok(stream) => Ok(Box::pin(stream)),
            Err(error) => Err(format!("no TLS with {host}: {error}")),
        }
    }
}

#[cfg(not(feature = "tls"))]
impl Tls {
    /// Says that this build has none.
    ///
    /// # Errors
    /// Always.
    #[expect(clippy::unused_async, reason = "the same as with TLS")]
    pub(super) async fn open() -> Result<Self, String> {
        Err("this build has no TLS: wss:// needs one with the feature tls".to_owned())
    }

    /// Never happens, for there is nothing to call it on.
    ///
    /// # Errors
    /// Always.
    #[expect(clippy::unused_async, reason = "the same as with TLS")]
    pub(super) async fn wrap(&self, _: &str, _: Stream) -> Result<Stream, String> {
        Err("this build has no TLS".to_owned())
    }
}
