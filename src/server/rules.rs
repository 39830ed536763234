//! What every session may look at without asking the hub.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::traffic::Traffic;
use crate::presence::{Dialects, Revision, Settings};

/// How many refused connections are held open at once; those beyond are closed.
const HELD_MAX: usize = 512;

/// The rules in force, published by the hub and read on every ping.
///
/// A ping reads two atomics; the lock is taken only to tell a client that its
/// revision is stale.
#[derive(Debug)]
pub(crate) struct Rules {
    rev: AtomicU32,
    interval_us: AtomicU64,
    register_timeout_us: AtomicU64,
    /// How many times as many lines as agreed a client may say; 0 for any number.
    flood_factor: AtomicU32,
    /// How many connections have not registered yet.
    pub(crate) connecting: AtomicUsize,
    /// Which dialects are answered.
    dialects: AtomicU8,
    /// Others can reach this server, and nothing is asked of them.
    open: AtomicBool,
    /// Places for refused connections that must not be closed at once.
    pub(crate) held: Semaphore,
    /// How many heartbeats went in and out.
    pub(crate) traffic: Traffic,
    whole: Mutex<(Revision, Settings)>,
}

impl Rules {
    pub(crate) fn new(rev: Revision, settings: Settings, register_timeout: Duration) -> Self {
        let rules = Self {
            rev: AtomicU32::new(0),
            interval_us: AtomicU64::new(0),
            register_timeout_us: AtomicU64::new(micros(register_timeout)),
            flood_factor: AtomicU32::new(0),
            connecting: AtomicUsize::new(0),
            dialects: AtomicU8::new(Dialects::all().bits()),
            open: AtomicBool::new(false),
            held: Semaphore::new(HELD_MAX),
            traffic: Traffic::new(tokio::time::Instant::now().into_std()),
            whole: Mutex::new((rev, settings)),
        };
        rules.publish(rev, settings);
        rules
    }

    /// Puts a revision in force.
    pub(crate) fn publish(&self, rev: Revision, settings: Settings) {
        *self.whole.lock().unwrap_or_else(PoisonError::into_inner) = (rev, settings);
        self.interval_us.store(micros(settings.interval()), Relaxed);
        self.rev.store(rev.0, Relaxed);
    }

    pub(crate) fn revision(&self) -> Revision {
        Revision(self.rev.load(Relaxed))
    }

    pub(crate) fn interval(&self) -> Duration {
        Duration::from_micros(self.interval_us.load(Relaxed))
    }

    /// Returns a revision and the settings that belong to it.
    pub(crate) fn whole(&self) -> (Revision, Settings) {
        *self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how long a connection may take to register; never longer than the connection timeout.
    pub(crate) fn register_timeout(&self) -> Duration {
        Duration::from_micros(self.register_timeout_us.load(Relaxed)).min(self.whole().1.timeout())
    }

    /// Returns which dialects are answered.
    pub(crate) fn dialects(&self) -> Dialects {
        Dialects::from_bits(self.dialects.load(Relaxed))
    }

    pub(crate) fn set_dialects(&self, dialects: Dialects) {
        self.dialects.store(dialects.bits(), Relaxed);
    }

    /// Returns how many times as many lines as agreed a client may say; 0 for any number.
    pub(crate) fn flood_factor(&self) -> u32 {
        self.flood_factor.load(Relaxed)
    }

    pub(crate) fn set_flood_factor(&self, factor: u32) {
        self.flood_factor.store(factor, Relaxed);
    }

    /// Tells whether anyone can join, from anywhere.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Relaxed)
    }

    pub(crate) fn set_open(&self, open: bool) {
        self.open.store(open, Relaxed);
    }

    pub(crate) fn set_register_timeout(&self, span: Duration) {
        self.register_timeout_us.store(micros(span), Relaxed);
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
