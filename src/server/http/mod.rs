//! Questions about the fleet over HTTP: read only, bounded, and answered from what the hub tells.
//!
//! Who asks is no client: it takes none of the clients' places and has no row.

mod gate;
mod guard;
mod json;
mod metrics;
mod query;
mod routes;
mod stream;
mod upgrade;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use guard::Guarded;
use stream::EventStream;

use super::arrival::Caller;
use super::dialects::websocket;
use super::handle::{HubHandle, ToHub};
use super::ledger::Question;
use super::link::Link;
use super::listener::Place;
use crate::security::Rights;
use crate::security::duplex::Stream;

/// How many connections may ask at once.
const CONNECTIONS_MAX: usize = 64;
/// How many of them may listen to events; the others stay free for questions.
const STREAMS_MAX: usize = 32;
/// How long a request may take in all, and how long a connection may wait for its next one.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the hub may take to answer; it needs milliseconds.
const HUB_PATIENCE: Duration = Duration::from_secs(2);
/// The largest head of a request.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How many headers it may have.
const HEADERS_MAX: usize = 64;

/// What an answer is made of.
type Body = Either<Full<Bytes>, EventStream>;

/// Limits those who ask, all together.
#[derive(Debug)]
pub(crate) struct Desk {
    connections: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    /// One question at a time reaches the hub.
    turn: Semaphore,
    /// And none before this instant: after each it has as long for its clients as the answer took.
    rested: Mutex<Instant>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self {
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            turn: Semaphore::new(1),
            rested: Mutex::new(Instant::now()),
        }
    }

    /// Returns how many connections ask at the moment.
    fn connections(&self) -> usize {
        CONNECTIONS_MAX - self.connections.available_permits()
    }
}

/// One connection, as the requests on it see it.
#[derive(Debug)]
struct Visit {
    hub: HubHandle,
    /// Who asks.
    peer: SocketAddr,
    /// Over TLS.
    secure: bool,
    /// The server takes nobody new: it is stopping.
    closing: CancellationToken,
    /// Ends this connection: it does not read what it asked for.
    cut: CancellationToken,
    /// When this connection ends unless something happens; `None` while events are listened to.
    until: watch::Sender<Option<Instant>>,
    seat: Mutex<Seat>,
    /// Set when a request was for a WebSocket, and was granted.
    upgrade: Mutex<Option<Upgrade>>,
}

/// A WebSocket that begins where this conversation ends.
#[derive(Debug)]
struct Upgrade {
    on: OnUpgrade,
    /// What its request called the client.
    name: Option<String>,
    /// What the token that came with the request allows.
    rights: Option<Rights>,
}

/// What this connection counts as.
#[derive(Debug)]
enum Seat {
    /// Not registered: nothing has been asked yet.
    Waiting(Option<Place>),
    /// One of those who ask.
    Taken(#[expect(dead_code, reason = "held, and given back by being dropped")] OwnedSemaphorePermit),
}

impl Visit {
    fn new(caller: &mut Caller, hub: &HubHandle) -> Self {
        Self {
            hub: hub.clone(),
            peer: caller.origin.peer,
            secure: caller.origin.secure,
            closing: caller.cancel.clone(),
            cut: CancellationToken::new(),
            until: watch::Sender::new(Some(caller.deadline)),
            seat: Mutex::new(Seat::Waiting(caller.place.take())),
            upgrade: Mutex::new(None),
        }
    }

    /// Remembers that this becomes a WebSocket.
    fn becomes(&self, upgrade: Upgrade) {
        *self.upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
    }

    /// Gives up what this connection counts as, and what it becomes.
    fn leave(&self) -> (Seat, Option<Upgrade>) {
        let seat = std::mem::replace(
            &mut *self.seat.lock().unwrap_or_else(PoisonError::into_inner),
            Seat::Waiting(None),
        );
        (seat, self.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take())
    }

    /// Makes this connection one of those who ask, if there is room.
    fn sit(&self) -> bool {
        let mut seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*seat, Seat::Taken(_)) {
            return true;
        }
        match self.hub.desk().connections.clone().try_acquire_owned() {
            Ok(permit) => {
                *seat = Seat::Taken(permit);
                true
            }
            Err(_) => false,
        }
    }

    /// Asks the hub; `None` when it does not answer in time.
    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let asking = async {
            let desk = self.hub.desk();
            let _turn = desk.turn.acquire().await.ok()?;
            let rested = *desk.rested.lock().unwrap_or_else(PoisonError::into_inner);
            sleep_until(rested).await;
            let asked = Instant::now();
            self.hub.send(ToHub::Ask(Box::new(question(reply)))).await;
            let answer = answer.await.ok();
            let rested = Instant::now() + asked.elapsed();
            *desk.rested.lock().unwrap_or_else(PoisonError::into_inner) = rested;
            answer
        };
        timeout(HUB_PATIENCE, asking).await.ok().flatten()
    }
}

/// Answers the requests of one connection, whose first bytes are in `head`, until it ends or becomes a WebSocket.
pub(crate) async fn lead(
    io: Stream,
    head: BytesMut,
    link: Arc<Link>,
    mut caller: Box<Caller>,
    hub: HubHandle,
) {
    let Some((seat, upgrade)) = Box::pin(attend(io, head, &mut caller, &hub)).await else { return };
    let Ok(upgraded) = upgrade.on.await else { return };
    let Ok(parts) = upgraded.downcast::<TokioIo<Guarded>>() else { return };
    let (io, head) = parts.io.into_inner().into_parts();
    caller.origin.rights = upgrade.rights;
    let mut read = parts.read_buf.to_vec();
    read.extend_from_slice(&head);
    match seat {
        Seat::Waiting(place) => caller.place = place,
        // It has asked other things before, so its time to register begins now.
        Seat::Taken(_) => caller.deadline = Instant::now() + hub.rules().register_timeout(),
    }
    websocket::lead(io, read, upgrade.name, link, caller, hub).await;
}

/// Answers requests; returns what it becomes, if that is a WebSocket.
async fn attend(io: Stream, head: BytesMut, caller: &mut Caller, hub: &HubHandle) -> Option<(Seat, Upgrade)> {
    let visit = Arc::new(Visit::new(caller, hub));
    let mut until = visit.until.subscribe();
    let service = service_fn(|request: Request<Incoming>| {
        let visit = visit.clone();
        async move { Ok::<Response<Body>, Infallible>(routes::answer(request, &visit).await) }
    });
    let connection = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(Guarded::new(io, head)), service)
        .with_upgrades();
    tokio::select! {
        ended = connection => ended.ok()?,
        () = expired(&mut until) => return None,
        () = visit.cut.cancelled() => return None,
        () = hub.gone() => return None,
    }
    let (seat, upgrade) = visit.leave();
    upgrade.map(|upgrade| (seat, upgrade))
}

/// Waits until the time is up that a connection has at the moment.
async fn expired(until: &mut watch::Receiver<Option<Instant>>) {
    loop {
        let at = *until.borrow_and_update();
        let over = async {
            match at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over => return,
            changed = until.changed() => if changed.is_err() { return },
        }
    }
}
