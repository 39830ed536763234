//! One question over HTTP, on a connection of its own.

use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;

use super::web::HttpUrl;
use crate::security::duplex::Stream;
use crate::security::tls::ClientTls;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// Of whom, and what.
    pub url: &'a HttpUrl,
    /// JSON to post; `None` to get.
    pub json: Option<Bytes>,
    /// What proves that the asker may; sent as `Authorization: Bearer`.
    pub token: Option<&'a str>,
    /// Whom an `https://` server is trusted by; `None` for the certificates of this system, which are
    /// then read afresh, for they may change while the program runs.
    pub tls: Option<&'a ClientTls>,
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
    let stream = connect(question.url, question.tls).await?;
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

async fn connect(url: &HttpUrl, tls: Option<&ClientTls>) -> Result<Stream, HttpError> {
    let server = url.server();
    let reached = TcpStream::connect((server.host(), server.port())).await;
    let stream = reached.map_err(|error| HttpError::Unreached(server.to_string(), error))?;
    if stream.local_addr().ok().is_some_and(|local| stream.peer_addr().ok() == Some(local)) {
        // On loopback a free port may connect to itself.
        let nobody = io::ErrorKind::ConnectionRefused.into();
        return Err(HttpError::Unreached(server.to_string(), nobody));
    }
    let _ = stream.set_nodelay(true); // A help, and no condition.
    if !url.is_secure() {
        return Ok(Box::new(stream));
    }
    let secret = match tls {
        Some(tls) => tls.connect(server.host(), stream).await,
        None => match ClientTls::system().await {
            Ok(tls) => tls.connect(server.host(), stream).await,
            Err(words) => Err(words),
        },
    };
    secret.map_err(HttpError::Tls)
}
