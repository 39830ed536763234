//! Accepts connections: as fast as they can be served, and no faster.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use super::Server;
use super::answers;
use super::arrival::{self, Caller};
use super::doormat::{Doormat, Mat};
use super::handle::{HubHandle, ToHub};
use super::session::Ended;
use super::socket::{Eye, Socket};
use super::wire::Wire;
use crate::net::{self, AcceptTrouble};
use crate::presence::EventKind;
use crate::tasks;

/// How many connections may be open without having registered.
pub const UNREGISTERED_MAX: usize = 1_024;
/// How many of them may come from one address: a quarter, so that no single stranger holds the door shut,
/// and an office behind one address still comes back together. This machine itself has no such limit.
pub const UNREGISTERED_PER_IP_MAX: u32 = 256;
/// How long a newcomer waits for one of them to go before it is refused.
const PLACE_WAIT: Duration = Duration::from_millis(250);
/// After so many in a row the others have their turn: a herd at the door must not hold up who is inside.
pub const ACCEPTED_AT_ONCE: usize = 64;
/// How long to wait when descriptors have run out.
const BACK_OFF: Duration = Duration::from_millis(100);
/// How often that is said.
const COMPLAINT_PERIOD: Duration = Duration::from_secs(1);

/// A connection that was accepted.
#[derive(Debug)]
pub struct Accepted<S> {
    /// The connection.
    pub stream: S,
    /// What looks for bytes of it that have not been read.
    pub eye: Eye,
    /// Where it comes from.
    pub peer: SocketAddr,
}

/// Something that yields connections: a TCP listener, or what a test puts in its place.
pub trait Accept {
    /// The connections it yields.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next one, and tunes it for the timeout in force.
    fn accept(
        &mut self,
        timeout: Duration,
    ) -> impl Future<Output = io::Result<Accepted<Self::Stream>>> + Send;
}

impl Accept for TcpListener {
    type Stream = Socket;

    async fn accept(&mut self, timeout: Duration) -> io::Result<Accepted<Socket>> {
        let (stream, peer) = TcpListener::accept(self).await?;
        net::tune(&stream, timeout);
        let (stream, eye) = Socket::new(stream);
        // A dual-stack listener shows IPv4 clients as ::ffff:10.0.0.1, which nobody would recognise.
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        Ok(Accepted { stream, eye, peer })
    }
}

impl Server {
    /// Serves every connection `door` yields, until the server stops.
    pub fn open(&self, door: impl Accept + Send + 'static) {
        let (hub, sessions, closing) = (self.hub.clone(), self.sessions.clone(), self.door.clone());
        let places = Arc::new(Semaphore::new(UNREGISTERED_MAX));
        let doormat = Doormat::new(UNREGISTERED_PER_IP_MAX);
        tasks::spawn_on(&self.sessions, async move {
            let mut porter = Porter { door, hub, in_a_row: 0, run_out: None };
            while let Some(accepted) = closing.run_until_cancelled(porter.next()).await {
                let Accepted { stream, eye, peer } = accepted;
                let Some(mat) = doormat.step_on(peer.ip()) else {
                    let refused = refuse(stream, peer, answers::too_many_at_the_door(), porter.hub.clone());
                    tasks::spawn_on(&sessions, refused);
                    continue;
                };
                let Ok(place) = timeout(PLACE_WAIT, places.clone().acquire_owned()).await else {
                    let refused = refuse(stream, peer, answers::no_place_at_the_door(), porter.hub.clone());
                    tasks::spawn_on(&sessions, refused);
                    continue;
                };
                let Some(place) = place.ok().map(|permit| Place::take(permit, mat, &porter.hub)) else {
                    return;
                };
                let caller = Caller::new(peer, eye, Some(place), closing.clone(), &porter.hub);
                sessions.spawn(arrival::run(stream, caller, porter.hub.clone()));
            }
        });
    }
}

/// One of the places for connections that have not registered.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    _mat: Mat,
    hub: HubHandle,
}

impl Place {
    fn take(permit: OwnedSemaphorePermit, mat: Mat, hub: &HubHandle) -> Self {
        hub.rules().connecting.fetch_add(1, Relaxed);
        Self { _permit: permit, _mat: mat, hub: hub.clone() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.rules().connecting.fetch_sub(1, Relaxed);
    }
}

/// Tells a connection that there is no place for it, and closes it.
async fn refuse<S>(stream: S, peer: SocketAddr, ended: Ended, hub: HubHandle)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (last_word, refusal) = ended.into_parts();
    if let Some((code, message)) = refusal {
        hub.send(ToHub::Refused { peer, code, message }).await;
    }
    Wire::new(stream, Arc::default()).close(last_word).await;
}

/// Accepts, and survives what goes wrong with it.
struct Porter<A> {
    door: A,
    hub: HubHandle,
    /// How many were accepted since the others last had their turn.
    in_a_row: usize,
    /// Since when descriptors have run out, and when that was last said.
    run_out: Option<(Instant, Instant)>,
}

impl<A: Accept> Porter<A> {
    /// Returns the next connection; backs off for as long as the system has none to give.
    async fn next(&mut self) -> Accepted<A::Stream> {
        if self.in_a_row == ACCEPTED_AT_ONCE {
            tokio::task::yield_now().await;
            self.in_a_row = 0;
        }
        loop {
            let error = match self.door.accept(self.hub.rules().whole().1.timeout()).await {
                Ok(accepted) => {
                    self.recover().await;
                    self.in_a_row += 1;
                    return accepted;
                }
                Err(error) => error,
            };
            if net::accept_trouble(&error) == AcceptTrouble::ThisOne {
                continue;
            }
            let now = Instant::now();
            let since = self.run_out.map_or(now, |(since, _)| since);
            if self.run_out.is_none_or(|(_, said)| now.saturating_duration_since(said) >= COMPLAINT_PERIOD) {
                let words = format!("cannot accept connections: {error}; trying again");
                self.hub.send(ToHub::Note(EventKind::Trouble(words))).await;
                self.run_out = Some((since, now));
            }
            sleep(BACK_OFF).await;
        }
    }

    async fn recover(&mut self) {
        if let Some((since, _)) = self.run_out.take() {
            let span = crate::presence::span::brief(since.elapsed());
            let words = format!("accepting connections again after {span}");
            self.hub.send(ToHub::Note(EventKind::Notice(words))).await;
        }
    }
}
