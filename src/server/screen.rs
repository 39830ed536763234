//! The screen's view of the fleet, when somebody looks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::rules::Rules;
use crate::presence::Event;
use crate::presence::notify::Posted;
use crate::presence::registry::Registry;
use crate::presence::view::{View, Window};
use crate::presence::viewer::Viewer;

/// The least time between two views.
const VIEW_PERIOD: Duration = Duration::from_millis(100);
/// An operator who asks for another window does not wait for the next of those.
const ANSWER_PERIOD: Duration = Duration::from_millis(10);
/// How often rows are looked at for beats, which tell nobody that they came.
const BEAT_PERIOD: Duration = Duration::from_millis(400);
/// How many events are kept to be scrolled through.
const EVENTS_KEPT: usize = 500;

/// Answers the window a screen asked for. Costs nothing while nobody does.
#[derive(Debug)]
pub(super) struct Screen {
    out: watch::Sender<Arc<View>>,
    viewer: Viewer,
    events: VecDeque<Arc<Event>>,
    /// Notifications on their way.
    posted: Vec<Posted>,
    /// A screen has said what it shows.
    asked: bool,
    /// It says that it shows something else, and has no answer yet.
    waits: bool,
    changed: bool,
    last: Option<Instant>,
}

impl Screen {
    pub(super) fn new(now: Instant, registry: &Registry, rules: &Rules) -> Self {
        let mut viewer = Viewer::default();
        let events = VecDeque::new();
        let first = view(now, registry, rules, &mut viewer, &events);
        let out = watch::Sender::new(Arc::new(first));
        Self {
            out,
            viewer,
            events,
            posted: Vec::new(),
            asked: false,
            waits: false,
            changed: false,
            last: None,
        }
    }

    pub(super) fn views(&self) -> watch::Receiver<Arc<View>> {
        self.out.subscribe()
    }

    pub(super) fn show(&mut self, window: Window) {
        self.viewer.show(window);
        (self.asked, self.waits, self.changed) = (true, true, true);
    }

    /// Shows what became of notifications.
    pub(super) fn post(&mut self, posted: Vec<Posted>) {
        if self.posted != posted {
            (self.posted, self.changed) = (posted, true);
        }
    }

    /// Says that something a screen shows has changed.
    pub(super) fn touch(&mut self) {
        self.changed = true;
    }

    pub(super) fn note(&mut self, event: &Arc<Event>) {
        if self.events.len() == EVENTS_KEPT {
            self.events.pop_front();
        }
        self.events.push_back(event.clone());
        self.changed = true;
    }

    /// Returns when the next view is due: beats change rows without telling anybody, so live rows are looked at.
    pub(super) fn due(&self, registry: &Registry) -> Option<Instant> {
        let period = self.period();
        let moves = self.asked && (self.changed || registry.counts().live() > 0);
        moves.then(|| self.last.map(|last| last + period)).flatten()
    }

    fn period(&self) -> Duration {
        match (self.waits, self.changed) {
            (true, _) => ANSWER_PERIOD,
            (false, true) => VIEW_PERIOD,
            (false, false) => BEAT_PERIOD,
        }
    }

    /// Sends a view, if its time has come and it differs from the last one.
    pub(super) fn publish(&mut self, now: Instant, registry: &Registry, rules: &Rules) {
        let period = self.period();
        let early = self.last.is_some_and(|last| now.saturating_duration_since(last) < period);
        if !self.asked || early {
            return;
        }
        (self.last, self.waits, self.changed) = (Some(now), false, false);
        let view = view(now, registry, rules, &mut self.viewer, &self.events);
        let view = View { posted: self.posted.clone(), ..view };
        self.out.send_if_modified(|last| {
            let differs = !last.looks_like(&view);
            if differs {
                *last = Arc::new(view);
            }
            differs
        });
    }
}

/// Answers a window with everything a screen needs.
pub(super) fn view(
    now: Instant,
    registry: &Registry,
    rules: &Rules,
    viewer: &mut Viewer,
    events: &VecDeque<Arc<Event>>,
) -> View {
    let page = viewer.look(now, registry);
    let skipped = events.len().saturating_sub(viewer.window().events);
    View {
        at: now,
        counts: registry.counts(),
        connecting: rules.connecting.load(Relaxed),
        open: rules.is_open(),
        max_clients: registry.limits().max_clients,
        settings: registry.settings(),
        asked: registry.asked(),
        rev: registry.revision(),
        rollout: registry.rollout(now),
        matched: page.matched,
        offset: page.offset,
        rows: page.rows,
        grouped: page.grouped,
        selected: page.selected,
        alerts: registry.alerts(),
        hold: registry.hold(),
        outlook: viewer.window().preview.map(|settings| registry.outlook(settings)),
        record: registry.record(),
        posted: Vec::new(),
        reach: viewer.window().writing_to.as_ref().map(|to| registry.reach(to)),
        events: events.iter().skip(skipped).cloned().collect(),
    }
}
