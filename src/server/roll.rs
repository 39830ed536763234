//! Who is known, for whoever keeps it across a restart.

use std::sync::{Arc, Mutex, PoisonError};
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

/// A list of who is known. It weighs as much as the fleet and is needed once, so whoever takes it has the only one.
#[derive(Debug, Clone, Default)]
pub struct KnownList(Arc<Mutex<Vec<Known>>>);

impl KnownList {
    fn new(known: Vec<Known>) -> Self {
        Self(Arc::new(Mutex::new(known)))
    }

    /// Takes the list; it is empty from then on.
    #[must_use]
    pub fn take(&self) -> Vec<Known> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Tells who is known whenever that has changed. Costs nothing while nobody listens.
#[derive(Debug, Default)]
pub(super) struct Roll {
    out: watch::Sender<KnownList>,
    /// Which state of the registry was told last.
    told: u64,
    last: Option<Instant>,
    period: Duration,
    closed: bool,
}

impl Roll {
    pub(super) fn sender(&self) -> watch::Sender<KnownList> {
        self.out.clone()
    }

    /// Returns when something is to be told.
    pub(super) fn due(&self, now: Instant, registry: &Registry) -> Option<Instant> {
        if self.closed || self.out.receiver_count() == 0 {
            return None;
        }
        let changed = registry.known_changes() != self.told;
        let Some(last) = self.last else { return changed.then_some(now) };
        let ages = registry.counts().live() > 0;
        match (changed, ages) {
            (true, _) => Some(last + self.period),
            (false, true) => Some(last + self.period * STALE_PERIODS),
            (false, false) => None,
        }
    }

    /// Tells who is known, if it is time to.
    pub(super) fn publish(&mut self, now: Instant, registry: &Registry) {
        if self.due(now, registry).is_some_and(|due| due <= now) {
            self.tell(now, registry);
        }
    }

    fn tell(&mut self, now: Instant, registry: &Registry) {
        let known = registry.known(now);
        let rows = u32::try_from(known.len()).unwrap_or(u32::MAX);
        self.period = PERIOD_MIN.max(PERIOD_PER_ROW * rows);
        (self.told, self.last) = (registry.known_changes(), Some(now));
        self.out.send_replace(KnownList::new(known));
    }

    /// Tells it a last time: whoever is asked to leave from here on is expected back.
    pub(super) fn close(&mut self, now: Instant, registry: &Registry) {
        if self.due(now, registry).is_some() {
            self.tell(now, registry);
        }
        self.closed = true;
    }
}
