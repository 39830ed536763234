//! Who is known, for whoever keeps it across a restart.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::presence::known::Known;
use crate::presence::registry::Registry;
use crate::protocol::clean;

/// The least time between two lists of who is known.
const PERIOD_MIN: Duration = Duration::from_secs(1);
/// How much longer each row of a list makes that time.
const PERIOD_PER_ROW: Duration = Duration::from_micros(100);
/// A list is told anew after so many periods though nothing changed: ages grow old, and a crash tells nobody.
const STALE_PERIODS: u32 = 60;

/// Returns names as they look once a client has registered with them.
pub(super) fn names(listed: Vec<String>) -> Vec<Arc<str>> {
    listed.into_iter().map(|name| clean::name(&name).into()).collect()
}

/// Tells who is known whenever that has changed. Costs nothing while nobody listens.
#[derive(Debug, Default)]
pub(super) struct Roll {
    out: watch::Sender<Arc<Vec<Known>>>,
    /// Which state of the registry was told last.
    told: u64,
    last: Option<Instant>,
    period: Duration,
    closed: bool,
}

impl Roll {
    pub(super) fn sender(&self) -> watch::Sender<Arc<Vec<Known>>> {
        self.out.clone()
    }

    fn is_idle(&self) -> bool {
        self.closed || self.out.receiver_count() == 0
    }

    /// Returns when something is to be told.
    pub(super) fn due(&self, registry: &Registry) -> Option<Instant> {
        let last = self.last.filter(|_| !self.is_idle())?;
        let changed = registry.known_changes() != self.told;
        let ages = registry.counts().live() > 0;
        (changed || ages).then(|| last + self.wait(changed))
    }

    fn wait(&self, changed: bool) -> Duration {
        if changed { self.period } else { self.period * STALE_PERIODS }
    }

    /// Tells who is known, if that has changed and it is time.
    pub(super) fn publish(&mut self, now: Instant, registry: &Registry) {
        if self.is_idle() {
            return;
        }
        let changes = registry.known_changes();
        let wait = self.wait(changes != self.told);
        let early = self.last.is_some_and(|last| now.saturating_duration_since(last) < wait);
        if early || self.last.is_none() && changes == self.told {
            return;
        }
        let known = registry.known(now);
        let rows = u32::try_from(known.len()).unwrap_or(u32::MAX);
        self.period = PERIOD_MIN.max(PERIOD_PER_ROW * rows);
        (self.told, self.last) = (changes, Some(now));
        self.out.send_replace(Arc::new(known));
    }

    /// Tells it a last time: whoever is asked to leave from here on is expected back.
    pub(super) fn close(&mut self, now: Instant, registry: &Registry) {
        if self.last.is_some() || registry.known_changes() != self.told {
            self.last = None;
            self.told = registry.known_changes().wrapping_sub(1);
            self.publish(now, registry);
        }
        self.closed = true;
    }
}
