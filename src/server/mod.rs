//! The server: a listener, a session per connection, and one hub that owns the truth.

mod answers;
mod arrival;
mod dialects;
mod doormat;
mod fanout;
#[doc(hidden)] // Public for its limits alone, which tests go by.
pub mod flood;
mod gate;
mod handle;
mod headed;
mod http;
mod hub;
mod ledger;
#[doc(hidden)] // Public for the benches alone.
pub mod lines;
mod link;
pub mod listener;
mod record;
mod roll;
mod rules;
mod screen;
#[cfg(feature = "tls")]
mod secure;
mod session;
mod socket;
mod spread;
mod throttle;
mod traffic;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use gate::Guard;
pub use hub::{HERD_PER_S, Options, Summary};
pub use link::QUEUE_BYTES_MAX;
pub use roll::KnownList;
pub use session::BAD_LINES_MAX;
pub use socket::{Eye, Socket};
pub use wire::{GOODBYE, WRITE_DEADLINE};

use crate::presence::command::Command;
use crate::presence::view::View;
use crate::presence::{Dialects, Event, EventKind};
use arrival::Caller;
pub use handle::Terms;
use handle::{HubHandle, ToHub};
use hub::Hub;

/// How many events may wait for the log before some are dropped.
const EVENTS_WAITING: usize = 32 * 1024;
/// How long sessions have to say goodbye once the hub has stopped.
const STOP_GRACE: Duration = Duration::from_millis(1_200);

/// Where the hub runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HubHost {
    /// On a thread of its own, so that verdicts stay prompt when all workers are busy.
    Thread,
    /// As a task among the others, so that a test can pause its clock.
    Task,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    hub: HubHandle,
    sessions: TaskTracker,
    /// Stops the listener and whoever has not registered.
    door: CancellationToken,
    drain: CancellationToken,
    /// Stops the hub at once.
    halt: CancellationToken,
    summary: oneshot::Receiver<Summary>,
    events: Option<mpsc::Receiver<Arc<Event>>>,
    views: watch::Receiver<Arc<View>>,
    known: watch::Sender<KnownList>,
}

/// A way to steer a running server from another task.
#[derive(Debug, Clone)]
pub struct Remote(HubHandle);

impl Remote {
    /// Passes an operator's wish on.
    pub async fn command(&self, command: Command) {
        self.0.send(ToHub::Command(Box::new(command))).await;
    }

    /// Puts in force what a configuration file has.
    pub async fn reload(&self, terms: Terms) {
        self.0.send(ToHub::Reload(Box::new(terms))).await;
    }

    /// Says which dialects are answered from now on; whoever is here stays.
    pub fn speak(&self, dialects: Dialects) {
        self.0.rules().set_dialects(dialects);
    }

    /// Says who is let in from now on; whoever is here stays.
    pub fn guard(&self, guard: Guard) {
        self.0.rules().set_open(guard.open);
        self.0.gate().set(guard);
    }

    /// Makes an event of something the program has to say.
    pub async fn note(&self, kind: EventKind) {
        self.0.send(ToHub::Note(kind)).await;
    }
}

impl Server {
    /// Starts a server that nobody can reach yet: hand it connections, or a [`listener`].
    ///
    /// # Errors
    /// The hub's thread cannot be started.
    pub fn start(options: Options, host: HubHost) -> std::io::Result<Self> {
        let (mut hub, handle) = Hub::new(options);
        let (events, views, known) = (hub.subscribe(EVENTS_WAITING), hub.views(), hub.known());
        let [door, drain, halt] = std::array::from_fn(|_| CancellationToken::new());
        let sessions = TaskTracker::new();
        let (done, summary) = oneshot::channel();
        let running = hub.run(drain.clone(), halt.clone());
        match host {
            HubHost::Task => {
                tokio::spawn(async move { done.send(running.await) });
            }
            HubHost::Thread => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
                std::thread::Builder::new()
                    .name("hub".to_owned())
                    .spawn(move || done.send(runtime.block_on(running)))?;
            }
        }
        Ok(Self { hub: handle, sessions, door, drain, halt, summary, events: Some(events), views, known })
    }

    /// Leads a conversation over any connection.
    pub fn attend<S>(&self, io: S, eye: Eye, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let caller = Caller::new(peer, eye, None, self.door.clone(), &self.hub);
        self.sessions.spawn(arrival::run(io, caller, self.hub.clone()));
    }

    /// Returns a way to steer it.
    #[must_use]
    pub fn remote(&self) -> Remote {
        Remote(self.hub.clone())
    }

    /// Takes the stream of events; `None` when it was taken before.
    pub fn events(&mut self) -> Option<mpsc::Receiver<Arc<Event>>> {
        self.events.take()
    }

    /// Returns what a screen sees, once it has said with [`Command::Show`] what it shows.
    #[must_use]
    pub fn views(&self) -> watch::Receiver<Arc<View>> {
        self.views.clone()
    }

    /// Returns who is known, from the next change on; to be kept, and given to the next server as expected.
    ///
    /// It ends with the server, and its last value is from before anybody was asked to leave.
    #[must_use]
    pub fn known(&self) -> watch::Receiver<KnownList> {
        self.known.subscribe()
    }

    /// Asks everybody to leave, gives them the time, and says how it all went.
    pub async fn stop(mut self) -> Summary {
        self.door.cancel();
        self.drain.cancel();
        let mut summary = (&mut self.summary).await.unwrap_or_default();
        self.sessions.close();
        let _ = tokio::time::timeout(STOP_GRACE, self.sessions.wait()).await; // What is left is counted below.
        summary.left_behind = self.sessions.len();
        summary
    }
}

/// A server that is dropped stops, without a goodbye if there was no time for one.
impl Drop for Server {
    fn drop(&mut self) {
        self.door.cancel();
        self.halt.cancel();
    }
}
