//! The request for a WebSocket.

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, Request, Response, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::routes::{last, problem};
use super::{Body, Upgrade, Visit};
use crate::presence::Dialect;
use crate::protocol::websocket::name_of;
use crate::security::Rights;

/// The version every WebSocket has spoken since there is a standard.
const VERSION: HeaderValue = HeaderValue::from_static("13");

/// Tells whether a request is one for a WebSocket, right or wrong.
pub(super) fn is_asked_for<B>(request: &Request<B>) -> bool {
    has_word(request.headers(), &UPGRADE, "websocket")
}

/// Grants it, or says what is wrong with it.
///
/// `rights` are those of the token that came with it, if one did.
pub(super) fn answer<B>(request: &mut Request<B>, visit: &Visit, rights: Option<Rights>) -> Response<Body> {
    if !visit.hub.rules().dialects().contains(Dialect::WebSocket) {
        return last(problem(StatusCode::NOT_FOUND, "WebSocket is switched off here"));
    }
    let headers = request.headers();
    if request.method() != Method::GET || !has_word(headers, &CONNECTION, "upgrade") {
        return last(problem(StatusCode::BAD_REQUEST, "this is no request for a WebSocket"));
    }
    if headers.get(SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        let mut wrong = problem(StatusCode::UPGRADE_REQUIRED, "WebSocket is spoken in version 13 here");
        wrong.headers_mut().insert(SEC_WEBSOCKET_VERSION, VERSION);
        return last(wrong);
    }
    let accept = headers.get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let Some(Ok(accept)) = accept.map(HeaderValue::try_from) else {
        return last(problem(StatusCode::BAD_REQUEST, "a request for a WebSocket needs a key"));
    };
    let name = name_of(request.uri().path(), request.uri().query().unwrap_or_default());
    visit.becomes(Upgrade { on: hyper::upgrade::on(request), name, rights });
    let mut granted = Response::new(Either::Left(Full::new(Bytes::new())));
    *granted.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = granted.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    granted
}

/// Tells whether a list of words has this one, whatever its case.
fn has_word(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let lists = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
}
