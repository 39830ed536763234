//! Which question gets which answer.

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::query::{self, Clients};
use super::stream::{EventStream, WAITING_MAX};
use super::{Body, PATIENCE, Visit, gate, json, metrics, upgrade};
use crate::presence::Dialect;
use crate::server::ledger::{Facts, Question, Subscriber};

/// What `/` says.
const INDEX: &str = "presence-tui\n\n\
    /healthz              is the process up\n\
    /readyz               does it take clients (503 while it stops)\n\
    /health/connections   who is here\n\
    /health/heartbeats    how the heartbeats are\n\
    /health/stale         who is late or timed out\n\
    /clients              rows: ?state=&user=&sort=&limit=&offset=; state=closed for the last departures\n\
    /events               what happens, as it happens (server-sent events)\n\
    /metrics              figures for Prometheus\n    \
    /browser              a page that is a client\n";

/// What `/browser` says: a page that registers over a WebSocket.
const BROWSER: &str = include_str!("../../../assets/browser.html");

/// Answers one request.
pub(super) async fn answer<B>(mut request: Request<B>, visit: &Visit) -> Response<Body> {
    let rights = match gate::check(&request, visit).await {
        Ok(rights) => rights,
        Err(refused) => return refused,
    };
    if upgrade::is_asked_for(&request) {
        return upgrade::answer(&mut request, visit, rights);
    }
    visit.until.send_replace(Some(Instant::now() + PATIENCE));
    if !visit.sit() {
        return last(problem(StatusCode::SERVICE_UNAVAILABLE, "too many ask at once; try again soon"));
    }
    if !visit.hub.rules().dialects().contains(Dialect::Http) {
        return last(problem(StatusCode::NOT_FOUND, "HTTP is switched off here"));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut wrong = problem(StatusCode::METHOD_NOT_ALLOWED, "everything here is read only: GET or HEAD");
        wrong.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return last(wrong);
    }
    let query = request.uri().query().unwrap_or_default();
    match request.uri().path() {
        "/" => text("text/plain; charset=utf-8", INDEX),
        "/browser" => text("text/html; charset=utf-8", BROWSER),
        "/healthz" => text("text/plain; charset=utf-8", "ok\n"),
        "/readyz" => ready(visit).await,
        "/health/connections" => {
            told(visit, |facts| json::connections(facts, visit.hub.desk().connections())).await
        }
        "/health/heartbeats" => told(visit, json::heartbeats).await,
        "/health/stale" => told(visit, json::stale).await,
        "/clients" => clients(visit, query).await,
        "/events" => events(visit, request.method() == Method::HEAD).await,
        "/metrics" => match visit.ask(Question::Facts).await {
            Some(facts) => text(metrics::CONTENT_TYPE, metrics::page(&facts, visit.hub.desk().connections())),
            None => no_answer(),
        },
        _ => problem(StatusCode::NOT_FOUND, "there is nothing here; / lists what there is"),
    }
}

/// Tells whether newcomers are welcome: the server is not stopping, and its hub answers.
async fn ready(visit: &Visit) -> Response<Body> {
    if visit.closing.is_cancelled() {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "draining");
    }
    match visit.ask(Question::Facts).await {
        Some(_) => text("text/plain; charset=utf-8", "ready\n"),
        None => no_answer(),
    }
}

async fn told(visit: &Visit, write: impl FnOnce(&Facts) -> Value) -> Response<Body> {
    match visit.ask(Question::Facts).await {
        Some(facts) => object(&write(&facts)),
        None => no_answer(),
    }
}

async fn clients(visit: &Visit, query: &str) -> Response<Body> {
    let answer = match query::clients(query) {
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error),
        Ok(Clients::Rows(window)) => {
            let asked = window.offset;
            let view = visit.ask(|reply| Question::Rows(Box::new(window), reply)).await;
            view.map(|view| json::rows(&view, asked))
        }
        Ok(Clients::Departed(shelf)) => {
            let page = visit.ask(|reply| Question::Departed(shelf.clone(), reply)).await;
            page.map(|page| json::departures(&page, &shelf, Instant::now().into_std()))
        }
    };
    answer.map_or_else(no_answer, |answer| object(&answer))
}

/// Starts a stream of events, which only the listener or its slowness ends.
async fn events(visit: &Visit, only_asking: bool) -> Response<Body> {
    let Ok(permit) = visit.hub.desk().streams.clone().try_acquire_owned() else {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "too many listen to events; try again later");
    };
    let (tx, rx) = mpsc::channel(WAITING_MAX);
    let mut response = Response::new(Either::Right(EventStream::new(rx, permit)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !only_asking {
        let subscriber = Subscriber { events: tx, cut: visit.cut.clone() };
        visit.hub.send(super::ToHub::Ask(Box::new(Question::Events(subscriber)))).await;
        visit.until.send_replace(None);
    }
    response
}

fn no_answer() -> Response<Body> {
    problem(StatusCode::SERVICE_UNAVAILABLE, "the server does not answer in time, or is stopping")
}

fn object(value: &Value) -> Response<Body> {
    text("application/json", format!("{value}\n"))
}

fn text(kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(body.into())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Says what is wrong.
pub(super) fn problem(status: StatusCode, words: &str) -> Response<Body> {
    let mut response = object(&json!({ "error": words }));
    *response.status_mut() = status;
    response
}

/// Makes an answer the last one of its connection.
pub(super) fn last(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
