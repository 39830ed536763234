//! A load generator: many small clients that speak the real protocol, and a report of how they fared.
//!
//! `plan` is what is asked for, `talk` what one client says and when, `client`
//! the connection it says it on, `tally` what is counted meanwhile and `report`
//! what is made of that.
//!
//! It usually shares its machine with the server it puts to the test, so it has
//! to be light: a client holds no buffer while nothing arrives, reads no more
//! of a line than it needs, and has one timer.

mod client;
mod ear;
pub mod plan;
pub mod report;
mod source;
mod talk;
mod tally;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use plan::{Asked, Dialect, Plan, PlanError};
pub use report::Report;
use source::Source;
use tally::Tally;

use crate::tasks;

/// How many may be on their way in at once: a server has places for so many that have not registered,
/// and who finds none is refused.
const ENTERING_MAX: usize = 512;

/// A running swarm; dropping it has everybody leave.
#[derive(Debug)]
pub struct Swarm {
    shared: Arc<Shared>,
    clients: TaskTracker,
}

/// How a swarm stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// How long it has been running.
    pub elapsed: Duration,
    /// How many clients are online.
    pub online: u64,
    /// How many were refused or failed.
    pub not_let_in: u64,
    /// How many were timed out or lost that should not have been.
    pub lost: u64,
    /// When everybody was in or refused, from the start.
    pub settled: Option<Duration>,
    /// The first thing that went wrong, made harmless.
    pub trouble: Option<String>,
    /// How many pongs have been read.
    pub pongs: u64,
    /// How long 50 % and 99 % of them took at most, in microseconds.
    pub pong_us: (u64, u64),
    /// What the server says its interval and timeout are.
    pub told: Option<(Duration, Duration)>,
}

/// What all clients of a swarm have in common.
#[derive(Debug)]
struct Shared {
    plan: Plan,
    server: SocketAddr,
    source: Source,
    began: Instant,
    /// When the next connection may be begun.
    next: Mutex<Instant>,
    entering: Semaphore,
    /// Everybody is in or refused; from now on the frozen ones say nothing.
    settled: AtomicBool,
    tally: Mutex<Tally>,
    /// Asks everybody to leave.
    leave: CancellationToken,
}

impl Shared {
    /// Waits until one more may connect.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        let at = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let at = (*next).max(Instant::now());
            *next = at + self.plan.gap();
            at
        };
        sleep_until(at).await;
        self.entering.acquire().await.ok()
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note that one of the first clients is in or refused.
    fn settle(&self) {
        if self.tally().settle(self.began.elapsed(), self.plan.clients) {
            self.settled.store(true, Relaxed);
        }
    }

    fn is_settled(&self) -> bool {
        self.settled.load(Relaxed)
    }
}

impl Swarm {
    /// Sends the clients to the server at `server`, at the rate of the plan.
    ///
    /// Must be called from within a runtime; one of a single thread is the lightest.
    ///
    /// # Errors
    /// There is no memory to count in.
    pub fn start(plan: Plan, server: SocketAddr) -> io::Result<Self> {
        let began = Instant::now();
        let shared = Arc::new(Shared {
            tally: Mutex::new(Tally::new(plan.clients).map_err(io::Error::other)?),
            server,
            source: Source::to(server),
            began,
            next: Mutex::new(began),
            entering: Semaphore::new(ENTERING_MAX),
            settled: AtomicBool::new(false),
            leave: CancellationToken::new(),
            plan,
        });
        let swarm = Self { clients: TaskTracker::new(), shared };
        for place in 0..swarm.shared.plan.clients {
            tasks::spawn_on(&swarm.clients, client::occupy(swarm.shared.clone(), place));
        }
        swarm.clients.close();
        Ok(swarm)
    }

    /// Waits until nobody is left: all frozen ones timed out, everybody refused, or the server gone.
    pub async fn over(&self) {
        self.clients.wait().await;
    }

    /// Returns how it stands.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let tally = self.shared.tally();
        let pong = &tally.pong.0;
        Progress {
            elapsed: self.shared.began.elapsed(),
            online: tally.online,
            not_let_in: tally.not_let_in(),
            lost: tally.wrongly_timed_out + tally.starved + tally.lost + tally.cut.values().sum::<u64>(),
            settled: tally.settled,
            trouble: tally.trouble.clone(),
            pongs: tally.pongs,
            pong_us: (pong.value_at_quantile(0.5), pong.value_at_quantile(0.99)),
            told: tally.told.as_ref().map(|told| (told.interval, told.timeout)),
        }
    }

    /// Lets everybody say goodbye, which takes less than a second, and returns the report.
    pub async fn stop(&self) -> Report {
        let elapsed = self.shared.began.elapsed();
        self.shared.leave.cancel();
        self.clients.wait().await;
        Report::new(&self.shared.plan, &self.shared.tally(), elapsed)
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        self.shared.leave.cancel();
    }
}
