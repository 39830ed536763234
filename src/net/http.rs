//! One question over HTTP, on a connection of its own.

use std::io;
use std::pin::Pin;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::web::HttpUrl;

/// What a connection is made of, encrypted or not.
type Stream = Pin<Box<dyn Duplex>>;

trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// Of whom, and what.
    pub url: &'a HttpUrl,
    /// JSON to post; `None` to get.
    pub json: Option<Bytes>,
    /// What proves that the asker may; sent as `Authorization: Bearer`.
    pub token: Option<&'a str>,
    /// How large the answer may be, in bytes.
    pub answer_max: usize,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status, such as 200.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum HttpError {
    /// The name is not known, or nobody listens.
    #[error("could not reach {0}: {1}")]
    Unreached(String, io::Error),
    /// The way there cannot be made secret.
    #[error("{0}")]
    Tls(String),
    /// The question cannot be put in a request.
    #[error("the request cannot be made: {0}")]
    Request(String),
    /// What came is no answer, or the connection broke.
    #[error("no answer over HTTP: {0}")]
    Broken(String),
    /// The answer is larger than it may be.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
}

/// Asks, and returns the answer, whatever its status. The caller says how long that may take.
///
/// A redirect is an answer like any other: it is not followed.
///
/// # Errors
/// Nobody was reached, or what came is no answer.
pub async fn ask(question: Question<'_>) -> Result<Answer, HttpError> {
    let request = request(&question)?;
    let stream = connect(question.url).await?;
    let broken = |error: hyper::Error| HttpError::Broken(error.to_string());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let asking = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status().as_u16();
        match Limited::new(answer.into_body(), question.answer_max).collect().await {
            Ok(body) => Ok(Answer { status, body: body.to_bytes() }),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                Err(HttpError::TooLarge(question.answer_max))
            }
            Err(error) => Err(HttpError::Broken(error.to_string())),
        }
    };
    tokio::pin!(asking, connection);
    tokio::select! {
        biased;
        answer = &mut asking => answer,
        // Whatever it ended with, the answer or its absence tells more.
        _ = &mut connection => asking.await,
    }
}

fn request(question: &Question<'_>) -> Result<Request<Full<Bytes>>, HttpError> {
    let method = if question.json.is_some() { Method::POST } else { Method::GET };
    let mut request = Request::builder()
        .method(method)
        .uri(question.url.target())
        .header(HOST, question.url.authority())
        .header(USER_AGENT, concat!("presence-tui/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close");
    if question.json.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    if let Some(token) = question.token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let body = Full::new(question.json.clone().unwrap_or_default());
    request.body(body).map_err(|error| HttpError::Request(error.to_string()))
}

async fn connect(url: &HttpUrl) -> Result<Stream, HttpError> {
    let server = url.server();
    let reached = TcpStream::connect((server.host(), server.port())).await;
    let stream = reached.map_err(|error| HttpError::Unreached(server.to_string(), error))?;
    if stream.local_addr().ok().is_some_and(|local| stream.peer_addr().ok() == Some(local)) {
        // On loopback a free port may connect to itself.
        let nobody = io::ErrorKind::ConnectionRefused.into();
        return Err(HttpError::Unreached(server.to_string(), nobody));
    }
    let _ = stream.set_nodelay(true); // A help, and no condition.
    if url.is_secure() { secret::wrap(server.host(), stream).await } else { Ok(Box::pin(stream)) }
}

#[cfg(feature = "tls")]
mod secret {
    use std::sync::Arc;

    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

    use super::{HttpError, Stream};

    /// Makes a stream secret, trusting whom this system trusts.
    pub(super) async fn wrap(host: &str, stream: TcpStream) -> Result<Stream, HttpError> {
        let wrong = |words: String| HttpError::Tls(format!("no TLS with {host}: {words}"));
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| wrong("that is not a name a certificate can be for".to_owned()))?;
        // It takes files, and they may change while the program runs.
        let config = tokio::task::spawn_blocking(config).await.map_err(|error| wrong(error.to_string()))?;
        let connector = TlsConnector::from(Arc::new(config.map_err(&wrong)?));
        let stream = connector.connect(name, stream).await.map_err(|error| wrong(error.to_string()))?;
        Ok(Box::pin(stream))
    }

    fn config() -> Result<ClientConfig, String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err("this system trusts no certificate \
                        (install its ca-certificates, or name a file with SSL_CERT_FILE)"
                .to_owned());
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

#[cfg(not(feature = "tls"))]
mod secret {
    use tokio::net::TcpStream;

    use super::{HttpError, Stream};

    /// Says that this build has none.
    #[expect(clippy::unused_async, reason = "the same as with TLS")]
    pub(super) async fn wrap(_: &str, _: TcpStream) -> Result<Stream, HttpError> {
        Err(HttpError::Tls("this build has no TLS".to_owned()))
    }
}
