//! The server's end.

use std::fmt;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::WebPkiClientVerifier;

use super::{certificates, crypto, der, handshake_failed, misfit, private_key, roots};
use crate::security::duplex::Stream;

/// What makes the connections of a server secret.
#[derive(Clone)]
pub struct ServerTls(TlsAcceptor);

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls")
    }
}

impl ServerTls {
    /// Takes the server's certificate and its key, and the certificates that vouch for clients if
    /// those have to show one; all in PEM.
    ///
    /// # Errors
    /// One of them makes no sense, in words that name it.
    pub fn new(certificate: &[u8], key: &[u8], client_ca: Option<&[u8]>) -> Result<Self, String> {
        let chain = certificates(certificate).map_err(|error| format!("tls_cert: {error}"))?;
        let key = private_key(key).map_err(|error| format!("tls_key: {error}"))?;
        let config = ServerConfig::builder_with_provider(crypto())
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS does not work here: {error}"))?;
        let config = match client_ca {
            None => config.with_no_client_auth(),
            Some(pem) => {
                let roots = roots(pem).map_err(|error| format!("client_ca: {error}"))?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crypto());
                config.with_client_cert_verifier(
                    verifier.build().map_err(|error| format!("client_ca: {error}"))?,
                )
            }
        };
        let config = config.with_single_cert(chain, key).map_err(|error| misfit(&error))?;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Shakes hands over a connection; returns it made secret, and the common name in the
    /// certificate its client showed, if it had to show one.
    ///
    /// The name is as it stands there: nobody has cleaned it.
    ///
    /// # Errors
    /// The other end does not speak TLS, or has no certificate that is good; in words.
    pub async fn accept<S>(&self, io: S) -> Result<(Stream, Option<String>), String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = self.0.accept(io).await.map_err(|error| handshake_failed(&error))?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let name = match shown {
            None => None,
            Some(certificate) => Some(
                der::common_name(certificate)
                    .ok_or("the client's certificate has no common name (CN), which would say who it is")?,
            ),
        };
        Ok((Box::new(stream), name))
    }
}
