//! How many heartbeats went in and out: counted by every session, read by who asks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Totals since the server started. Each is an atomic of its own; nobody waits for anybody.
#[derive(Debug)]
pub(crate) struct Traffic {
    start: Instant,
    received: Beats,
    sent: Beats,
    missed: AtomicU64,
}

/// One direction.
#[derive(Debug, Default)]
struct Beats {
    count: AtomicU64,
    /// When the last one passed, in microseconds after the start.
    last_us: AtomicU64,
}

/// What one direction came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passed {
    /// How many.
    pub(crate) count: u64,
    /// How long ago the last one was.
    pub(crate) last: Option<Duration>,
}

impl Traffic {
    pub(crate) fn new(start: Instant) -> Self {
        Self { start, received: Beats::default(), sent: Beats::default(), missed: AtomicU64::new(0) }
    }

    /// Counts a heartbeat that came, and those that did not come before it.
    pub(crate) fn heard(&self, now: Instant, missed: u32) {
        self.pass(&self.received, now);
        if missed > 0 {
            self.missed.fetch_add(missed.into(), Relaxed);
        }
    }

    /// Counts an answer to a heartbeat, or a ping of the server's own.
    pub(crate) fn said(&self, now: Instant) {
        self.pass(&self.sent, now);
    }

    fn pass(&self, beats: &Beats, now: Instant) {
        beats.count.fetch_add(1, Relaxed);
        let us = now.saturating_duration_since(self.start).as_micros();
        beats.last_us.store(u64::try_from(us).unwrap_or(u64::MAX), Relaxed);
    }

    /// Returns how long the server has been up.
    pub(crate) fn uptime(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start)
    }

    pub(crate) fn received(&self, now: Instant) -> Passed {
        self.passed(&self.received, now)
    }

    pub(crate) fn sent(&self, now: Instant) -> Passed {
        self.passed(&self.sent, now)
    }

    /// Returns how many heartbeats were overdue by the time the next one came.
    pub(crate) fn missed(&self) -> u64 {
        self.missed.load(Relaxed)
    }

    fn passed(&self, beats: &Beats, now: Instant) -> Passed {
        let count = beats.count.load(Relaxed);
        let at = self.start + Duration::from_micros(beats.last_us.load(Relaxed));
        Passed { count, last: (count > 0).then(|| now.saturating_duration_since(at)) }
    }
}
