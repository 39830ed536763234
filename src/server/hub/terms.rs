//! What has been agreed with the fleet: who is told of new settings when, and what is held against nobody meanwhile.

use std::time::{Duration, Instant};

use super::Hub;
use crate::presence::event::Origin;
use crate::presence::{ConnNo, Departure, Reason, Settings};
use crate::protocol::ServerMessage;
use crate::protocol::message::{Config, millis};
use crate::server::flood;

/// For so many intervals after the settings changed nobody floods: what is agreed has to get about first.
const CALM_INTERVALS: u32 = 2;

impl Hub {
    /// Puts new settings in force, and tells every client that can follow them.
    pub(super) fn set(&mut self, now: Instant, settings: Settings, origin: Origin) {
        let old = self.registry.revision();
        let rev = self.registry.set_settings(now, settings, origin);
        if rev != old {
            self.announce(now);
        }
    }

    /// Tells everybody of the settings in force.
    pub(super) fn announce(&mut self, now: Instant) {
        let (rev, settings) = (self.registry.revision(), self.registry.settings());
        self.handle.rules().publish(rev, settings);
        self.calm(now, settings.interval());
        let spread = self.spread.tell(self.registry.counts().live());
        self.fanout.tell_v1(&ServerMessage::Config(Config::new(rev, settings, millis(spread))));
        self.judge_by(now);
    }

    /// Tells the fleet how to come back, where what it was told fits it no longer.
    pub(super) fn refresh_spread(&mut self, now: Instant) {
        if let Some(spread) = self.spread.refresh(now, self.registry.counts().live()) {
            let (rev, settings) = (self.registry.revision(), self.registry.settings());
            self.fanout.tell_v1(&ServerMessage::Config(Config::new(rev, settings, millis(spread))));
        }
    }

    /// Holds no flood against anybody for two intervals, the longer ones where they have just changed.
    pub(super) fn calm(&mut self, now: Instant, interval: Duration) {
        self.calm_until = now + self.agreed.max(interval) * CALM_INTERVALS;
        self.agreed = interval;
    }

    /// Cuts a client that says far more than was agreed, unless there is a reason to let it pass.
    pub(super) fn flooding(&mut self, now: Instant, conn: ConnNo) {
        let (interval, factor) = (self.registry.settings().interval(), self.handle.rules().flood_factor());
        if now < self.calm_until || factor == 0 {
            return;
        }
        let departure = Departure::new(Reason::Flood, flood::words(interval, factor));
        self.fanout.kick(conn, departure.clone());
        self.depart(now, conn, departure);
    }
}
