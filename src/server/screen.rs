//! The screen's view of the fleet, when somebody looks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::rules::Rules;
use crate::presence::Event;
use crate::presence::registry::Registry;
use crate::presence::view::{View, Window};
use crate::presence::viewer::Viewer;

/// The least time between two views.
const VIEW_PERIOD: Duration = Duration::from_millis(100);
/// How many events are kept to be scrolled through.
const EVENTS_KEPT: usize = 500;

/// Answers the window a screen asked for. Costs nothing while nobody does.
#[derive(Debug, Default)]
pub(super) struct Screen {
    out: Option<watch::Sender<Option<Arc<View>>>>,
    viewer: Viewer,
    events: VecDeque<Arc<Event>>,
    asked: bool,
    changed: bool,
    last: Option<Instant>,
}

impl Screen {
    pub(super) fn attach(&mut self) -> watch::Receiver<Option<Arc<View>>> {
        let (tx, rx) = watch::channel(None);
        self.out = Some(tx);
        rx
    }

    pub(super) fn show(&mut self, window: Window) {
        self.viewer.show(window);
        self.asked = true;
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
        let looked_at = self.asked && self.out.is_some();
        let moves = self.changed || registry.counts().live() > 0;
        (looked_at && moves).then(|| self.last.map(|last| last + VIEW_PERIOD)).flatten()
    }

    /// Sends a view, if its time has come and it differs from the last one.
    pub(super) fn publish(&mut self, now: Instant, registry: &Registry, rules: &Rules) {
        let Some(out) = self.out.as_ref().filter(|_| self.asked) else { return };
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < VIEW_PERIOD) {
            return;
        }
        self.last = Some(now);
        self.changed = false;
        let page = self.viewer.look(now, registry);
        let wanted = self.viewer.window().events;
        let skipped = self.events.len().saturating_sub(wanted);
        let view = View {
            at: now,
            counts: registry.counts(),
            connecting: rules.connecting.load(Relaxed),
            max_clients: registry.limits().max_clients,
            settings: registry.settings(),
            rev: registry.revision(),
            acked: registry.acked(),
            matched: page.matched,
            offset: page.offset,
            rows: page.rows,
            selected: page.selected,
            alerts: registry.alerts(),
            events: self.events.iter().skip(skipped).cloned().collect(),
        };
        out.send_if_modified(|last| {
            let differs = last.as_ref().is_none_or(|last| !last.looks_like(&view));
            if differs {
                *last = Some(Arc::new(view));
            }
            differs
        });
    }
}
