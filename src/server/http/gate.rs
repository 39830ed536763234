//! Who may ask: the one place every request passes before it is looked at.

use hyper::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Request, Response, StatusCode};
use tokio::time::Instant;

use super::routes::{last, problem};
use super::{Body, ToHub, Visit, upgrade};
use crate::protocol::ErrorCode;
use crate::protocol::websocket::decoded;
use crate::security::Rights;
use crate::server::gate::Denied;

/// What everybody may ask, so that whatever watches over processes needs no secret.
const FREE: [&str; 2] = ["/healthz", "/readyz"];

/// Lets a request pass, or answers it; returns what the token that came with it allows, if one was looked at.
///
/// A request for a WebSocket may pass without one: its `register` can still bring it.
pub(super) async fn check<B>(request: &Request<B>, visit: &Visit) -> Result<Option<Rights>, Response<Body>> {
    let becomes_socket = upgrade::is_asked_for(request);
    if !becomes_socket && FREE.contains(&request.uri().path()) {
        return Ok(None);
    }
    let gate = visit.hub.gate();
    let guard = gate.guard();
    if guard.require_tls && !visit.secure {
        return Err(last(problem(
            StatusCode::FORBIDDEN,
            "this server is spoken to over TLS alone (https:// for others, tls:// for presence-tui)",
        )));
    }
    if guard.tokens.is_none() {
        return Ok(None);
    }
    let presented = bearer(request).or_else(|| in_address(request).filter(|_| becomes_socket));
    if becomes_socket && presented.is_none() {
        return Ok(None);
    }
    match gate.judge(Instant::now().into_std(), visit.peer.ip(), presented.as_deref()) {
        Ok(rights) if becomes_socket || rights.may_watch() => Ok(Some(rights)),
        Ok(_) => Err(last(problem(
            StatusCode::FORBIDDEN,
            "this token is for clients, not for questions (one of the role watch may ask)",
        ))),
        Err(denied) => {
            if denied != Denied::Missing {
                let (peer, message) = (visit.peer, denied.words());
                visit.hub.send(ToHub::Refused { peer, code: ErrorCode::Auth, message }).await;
            }
            Err(refusal(denied))
        }
    }
}

/// Says why nothing is said.
fn refusal(denied: Denied) -> Response<Body> {
    if let Denied::ShutOut(rest) = denied {
        let mut refusal = problem(StatusCode::TOO_MANY_REQUESTS, &denied.words());
        refusal.headers_mut().insert(RETRY_AFTER, HeaderValue::from(rest.as_secs() + 1));
        return last(refusal);
    }
    let mut refusal = problem(StatusCode::UNAUTHORIZED, &denied.words());
    refusal.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    last(refusal)
}

/// Returns the token in the header that is made for it.
fn bearer<B>(request: &Request<B>) -> Option<String> {
    let (scheme, token) = request.headers().get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// Returns the token in the address: the page of a browser cannot give its WebSocket a header.
fn in_address<B>(request: &Request<B>) -> Option<String> {
    request.uri().query()?.split('&').find_map(|pair| pair.strip_prefix("token=")).map(decoded)
}
