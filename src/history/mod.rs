//! Who was here when: every change of a client's state, in a small database file, for whoever looks back.
//!
//! Heartbeats are not written, only what changes: a client that is well costs nothing. One thread does all the
//! writing, fed through a queue that is never waited for. Whatever is wrong with the file costs the file and
//! not the server: then the newest changes are kept in memory, and written once that is possible again.
//!
//! `sql` has the tables and every statement, `timeline` the arithmetic, `keeper` what is done when.

mod flip;
mod keeper;
#[cfg(feature = "history")]
mod print;
#[cfg(feature = "history")]
pub mod report;
mod ring;
#[cfg(feature = "history")]
mod sql;
#[cfg(not(feature = "history"))]
#[path = "no_store.rs"]
mod store;
#[cfg(feature = "history")]
mod store;
#[cfg(test)]
mod tests;
#[cfg_attr(not(feature = "history"), allow(dead_code, reason = "without a file nobody asks for all of it"))]
mod timeline;
#[cfg_attr(not(feature = "history"), allow(dead_code, reason = "without a file there is no trouble with it"))]
mod trouble;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

pub use flip::key;
use keeper::Keeper;
pub use trouble::Trouble;

use crate::presence::past::Past;
use crate::presence::{Event, EventKind};

/// How many batches of changes may wait for the thread that writes: ten seconds' worth, as they come.
const WAITING_MAX: usize = 1_024;

/// Where it is kept, and how much of it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The file; `None` keeps the newest changes in memory alone.
    pub path: Option<PathBuf>,
    /// How long it is kept.
    pub retention: Duration,
    /// How large the file may be, in bytes; the oldest goes first.
    pub max_bytes: u64,
}

/// One moment on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Milliseconds since 1970.
    pub wall_ms: u64,
    /// The monotonic clock.
    pub mono: Instant,
}

impl Moment {
    /// Returns the wall time of another moment, in milliseconds since 1970.
    fn wall_of(self, at: Instant) -> u64 {
        let ago = flip::millis(self.mono.saturating_duration_since(at));
        let ahead = flip::millis(at.saturating_duration_since(self.mono));
        self.wall_ms.saturating_sub(ago).saturating_add(ahead)
    }
}

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Moment + Send + Sync>;
/// Passes on what there is to say; it must not wait.
pub type Tell = Box<dyn FnMut(EventKind) + Send>;
/// What is remembered of each client that was asked for, in that order.
pub type Answer = Vec<Option<Arc<Past>>>;

/// What the thread is told.
enum Job {
    Note(Vec<Arc<Event>>),
    Ask(Vec<Arc<str>>, oneshot::Sender<Answer>),
    End,
}

/// What both ends count.
#[derive(Debug, Default)]
struct Shared {
    /// Changes that found the queue full.
    dropped: AtomicU64,
    /// Changes that are in the file.
    written: AtomicU64,
}

/// The thread that writes.
pub struct History {
    jobs: SyncSender<Job>,
    shared: Arc<Shared>,
    done: oneshot::Receiver<Option<String>>,
}

/// Hands events over.
#[derive(Clone)]
pub struct Recorder {
    jobs: SyncSender<Job>,
    shared: Arc<Shared>,
}

/// Asks what is remembered.
#[derive(Clone)]
pub struct Asker(SyncSender<Job>);

impl History {
    /// Starts the thread. What it has to say, such as that a file cannot be written, goes to `tell`.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(plan: Plan, clock: Clock, tell: Tell) -> io::Result<Self> {
        let (jobs, inbox) = mpsc::sync_channel(WAITING_MAX);
        let shared = Arc::new(Shared::default());
        let (done, ended) = oneshot::channel();
        let keeper = Keeper::new(plan, clock, tell, shared.clone());
        std::thread::Builder::new().name("history".to_owned()).spawn(move || {
            let _ = done.send(run(keeper, &inbox)); // Whoever does not wait any more need not know.
        })?;
        Ok(Self { jobs, shared, done: ended })
    }

    /// Returns the end that takes events.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        Recorder { jobs: self.jobs.clone(), shared: self.shared.clone() }
    }

    /// Returns the end that takes questions.
    #[must_use]
    pub fn asker(&self) -> Asker {
        Asker(self.jobs.clone())
    }

    /// Waits until everything is written, at most for this long; returns what could not be.
    ///
    /// The recorder must have been told to [end](Recorder::end).
    pub async fn finish(self, within: Duration) -> Option<String> {
        drop(self.jobs);
        match tokio::time::timeout(within, self.done).await {
            Ok(ended) => {
                ended.unwrap_or_else(|_| Some("the history's thread ended: the log says why".to_owned()))
            }
            Err(_) => Some("the disk is too slow to write down the last of what happened".to_owned()),
        }
    }
}

impl Recorder {
    /// Hands a batch of events over, and never waits: what finds the queue full is dropped, and counted.
    pub fn note(&self, batch: &[Arc<Event>]) {
        let matters =
            |event: &&Arc<Event>| event.who.is_some() || matches!(event.kind, EventKind::Draining { .. });
        let batch: Vec<_> = batch.iter().filter(matters).cloned().collect();
        let count = batch.len() as u64;
        if count > 0 && self.jobs.try_send(Job::Note(batch)).is_err() {
            self.shared.dropped.fetch_add(count, Relaxed);
        }
    }

    /// Says that this was all.
    pub fn end(self) {
        let _ = self.jobs.send(Job::End); // A thread that has ended needs to know nothing more.
    }

    /// Returns how many changes are in the file by now.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.shared.written.load(Relaxed)
    }

    /// Returns how many events were dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Relaxed)
    }
}

impl Asker {
    /// Asks for these clients, each by its [`key`]; `None` while the thread has more important things to do.
    #[must_use]
    pub fn ask(&self, keys: Vec<Arc<str>>) -> Option<oneshot::Receiver<Answer>> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(Job::Ask(keys, reply)).ok().map(|()| answer)
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asker")
    }
}

/// Takes in what comes until it is told to end; returns what could not be written.
fn run(mut keeper: Keeper, inbox: &Receiver<Job>) -> Option<String> {
    keeper.tick();
    loop {
        match inbox.recv_timeout(keeper.wait()) {
            Ok(Job::Note(batch)) => batch.iter().for_each(|event| keeper.take(event)),
            Ok(Job::Ask(keys, reply)) => {
                let _ = reply.send(keeper.recall(&keys)); // Who has stopped waiting is not looked for.
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Job::End) | Err(RecvTimeoutError::Disconnected) => return keeper.end(),
        }
        keeper.tick();
    }
}
