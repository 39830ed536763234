//! Who is known, for whoever keeps it across a restart.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::presence::known::Known;
use crate::presence::registry::{Census, Registry};
use crate::protocol::clean;

/// The least time between two lists of who is known.
const PERIOD_MIN: Duration = Duration::from_secs(1);
/// How much longer each row of a list makes that time.
const PERIOD_PER_ROW: Duration = Duration::from_micros(100);
/// A list is told anew after so many periods though nothing changed: ages grow old, and a crash tells nobody.
const STALE_PERIODS: u32 = 60;
/// How many rows are counted in one turn of the hub: a few milliseconds, even where each must come from memory.
const ROWS_A_TURN: usize = 2_000;
/// The least time between two such turns, which is everybody else's.
const TURN_PERIOD: Duration = Duration::from_millis(10);

/// Returns names as they look once a client has registered with them.
pub(super) fn names(listed: Vec<String>) -> Vec<Arc<str>> {
    listed.into_iter().map(|name| clean::name(&name).into()).collect()
}

/// A list of who is known. It weighs as much as the fleet and is needed once, so whoever takes it has the only one.
#[derive(Debug, Clone, Default)]
pub struct KnownList(Arc<Mutex<Census>>);

impl KnownList {
    fn new(census: Census) -> Self {
        Self(Arc::new(Mutex::new(census)))
    }

    /// Takes the list; it is empty from then on.
    #[must_use]
    pub fn take(&self) -> Vec<Known> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_known()
    }
}

/// Tells who is known whenever that has changed. Costs nothing while nobody listens.
#[derive(Debug, Default)]
pub(super) struct Roll {
    out: watch::Sender<KnownList>,
    /// Which state of the registry was told last.
    told: u64,
    /// When it began to count for the last list.
    last: Option<Instant>,
    /// The count for the next one, and when it goes on.
    census: Option<(Census, Instant)>,
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
        if let Some((_, next)) = self.census {
            return Some(next);
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

    /// Counts who is known, if it is time to, and tells it once all are counted.
    pub(super) fn publish(&mut self, now: Instant, registry: &Registry) {
        if self.due(now, registry).is_some_and(|due| due <= now) {
            self.go_on(now, registry, ROWS_A_TURN);
        }
    }

    fn go_on(&mut self, now: Instant, registry: &Registry, rows: usize) {
        let under_way = self.census.take().map(|(census, _)| census);
        let mut census = under_way.unwrap_or_else(|| {
            // What changes from here on is told with the next list, be it in this one or not.
            (self.told, self.last) = (registry.known_changes(), Some(now));
            registry.census()
        });
        if !registry.count(now, &mut census, rows) {
            self.census = Some((census, now + TURN_PERIOD));
            return;
        }
        let rows = u32::try_from(census.counted()).unwrap_or(u32::MAX);
        self.period = PERIOD_MIN.max(PERIOD_PER_ROW * rows);
        self.out.send_replace(KnownList::new(census));
    }

    /// Tells it a last time, and all at once: whoever is asked to leave from here on is expected back.
    pub(super) fn close(&mut self, now: Instant, registry: &Registry) {
        if self.due(now, registry).is_some() {
            self.census = None; // Some of it may be half a second old.
            self.go_on(now, registry, usize::MAX);
        }
        self.closed = true;
    }
}
