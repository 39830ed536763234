//! The end: everybody is asked to leave, each in a slot of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{HERD_PER_S, Hub};
use crate::presence::{EventKind, Reason};

/// How long a drain may take in all; a stop must be over within five seconds.
const DRAIN_MAX: Duration = Duration::from_secs(3);
/// How long drained clients have to close after the last slot.
const DRAIN_GRACE: Duration = Duration::from_millis(500);

impl Hub {
    /// Asks everybody to leave.
    pub(super) fn begin_drain(&mut self, now: Instant) {
        let clients = self.registry.counts().live();
        if clients > 0 {
            self.registry.note(now, EventKind::Draining { clients });
        }
        let slots = self.fanout.drain(HERD_PER_S, DRAIN_MAX);
        // Nobody's answer is heard before this is over, and a large fleet takes a while: let its slots run already.
        self.roll.close(now, &self.registry);
        let grace = if self.fanout.v1_links().next().is_some() { DRAIN_GRACE } else { Duration::ZERO };
        self.drained_at = Some(now + slots + grace);
    }

    /// Closes on whoever is still here when the slots are over; returns whether the hub may stop.
    pub(super) fn end_drain(&mut self, now: Instant, at: Instant) -> bool {
        if now >= at {
            for conn in self.fanout.conns() {
                self.fanout.kick(conn, Reason::Drain.into());
                self.registry.depart(now, conn, Reason::Drain.into());
            }
            // Once more, so that these departures are told as well.
            for event in self.registry.take_events() {
                self.tell(&Arc::new(event));
            }
        }
        self.fanout.is_empty()
    }
}
