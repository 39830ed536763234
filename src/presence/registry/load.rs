//! Interval and timeout follow the size of the fleet, so that its pings stay bearable.

use std::time::{Duration, Instant};

use super::Registry;
use crate::presence::event::Origin;
use crate::presence::settings::{INTERVAL_MAX, Settings};

/// By how many halves the settings may be stretched: 1, 1.5, 2, 3, 4, 6, 8 ... times.
const HALVES: [u32; 20] =
    [2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1_024, 4_096, 16_384, 65_536, 131_072];
/// A fleet must leave so much of the limit free, in percent, before its settings are shortened again.
const ROOM_PERCENT: u64 = 20;
/// The least time between a change for the sake of the load and a shortening.
const RELAX_AFTER: Duration = Duration::from_secs(30);

impl Registry {
    /// Lets the settings in force follow the size of the fleet; returns whether there is a new revision.
    ///
    /// They grow as soon as they must, and shrink only with room to spare and
    /// not soon after the last change: a fleet near the limit is not told of
    /// new settings with every client that comes or goes.
    pub fn balance(&mut self, now: Instant) -> bool {
        let bearable = self.bearable(self.asked);
        if bearable == self.settings {
            return false;
        }
        if bearable.interval() < self.settings.interval() {
            let settled = self.stretched_at.is_none_or(|at| now.saturating_duration_since(at) >= RELAX_AFTER);
            if !settled || self.stretch(self.asked, 100 - ROOM_PERCENT) != bearable {
                return false;
            }
        }
        self.stretched_at = Some(now);
        self.put_in_force(now, bearable, Origin::Load);
        true
    }

    /// Returns `asked`, or what it must be stretched to for a fleet of this size.
    pub(super) fn bearable(&self, asked: Settings) -> Settings {
        self.stretch(asked, 100)
    }

    /// Returns the shortest settings, not shorter than `asked`, that keep the fleet's pings within `percent`
    /// of the limit.
    fn stretch(&self, asked: Settings, percent: u64) -> Settings {
        let most = u64::from(self.limits.max_pings_per_second);
        let live = self.live.len() as u64;
        if most == 0 {
            return asked;
        }
        let bearable = |settings: &Settings| {
            // Clients ping every 0.75 to 1.0 intervals, so 8/7 times an interval on average.
            let pings_in_7_intervals = live * 8;
            let allowed = u128::from(most * percent) * 7 * settings.interval().as_millis() / 100_000;
            u128::from(pings_in_7_intervals) <= allowed || settings.interval() == INTERVAL_MAX
        };
        let mut steps = HALVES.iter().map(|&halves| asked.stretched(halves));
        steps.find(bearable).unwrap_or(asked)
    }
}
