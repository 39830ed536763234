//! What stands in place of TLS in a build without it: nothing that could ever be used.

use std::convert::Infallible;

use tokio::io::{AsyncRead, AsyncWrite};

use super::Pin;
use super::duplex::Stream;

/// What is said to whoever asks for it.
const NONE: &str = "this build has no TLS (build it with the feature tls)";

/// What would make the connections of a server secret.
#[derive(Debug, Clone)]
pub struct ServerTls(Infallible);

impl ServerTls {
    /// Says that there is none.
    ///
    /// # Errors
    /// Always.
    pub fn new(_: &[u8], _: &[u8], _: Option<&[u8]>) -> Result<Self, String> {
        Err(NONE.to_owned())
    }

    /// Never happens, for there is nothing to call it on.
    ///
    /// # Errors
    /// Never.
    #[expect(clippy::unused_async, reason = "the same as with TLS")]
    pub async fn accept<S>(&self, _: S) -> Result<(Stream, Option<String>), String> {
        match self.0 {}
    }
}

/// By what a server would be trusted.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// The certificates this system trusts.
    System,
    /// These, in PEM.
    Ca(&'a [u8]),
    /// This one certificate.
    Pin(Pin),
}

/// What would make a client's connections secret.
#[derive(Debug, Clone)]
pub struct ClientTls(Infallible);

impl ClientTls {
    /// Says that there is none.
    ///
    /// # Errors
    /// Always.
    pub fn new(_: Trust<'_>, _: Option<(&[u8], &[u8])>) -> Result<Self, String> {
        Err(NONE.to_owned())
    }

    /// Says that there is none.
    ///
    /// # Errors
    /// Always.
    #[expect(clippy::unused_async, reason = "the same as with TLS")]
    pub async fn system() -> Result<Self, String> {
        Err(NONE.to_owned())
    }

    /// Never happens, for there is nothing to call it on.
    ///
    /// # Errors
    /// Never.
    #[expect(clippy::unused_async, reason = "the same as with TLS")]
    pub async fn connect<S: AsyncRead + AsyncWrite>(&self, _: &str, _: S) -> Result<Stream, String> {
        match self.0 {}
    }
}

/// A certificate and what would belong to it.
#[derive(Debug)]
pub struct Made {
    /// The certificate, in PEM.
    pub certificate: String,
    /// Its private key, in PEM.
    pub key: String,
    /// Its pin.
    pub pin: Pin,
}

/// Says that there is none.
///
/// # Errors
/// Always.
pub fn make(_: &[String]) -> Result<Made, String> {
    Err(NONE.to_owned())
}
