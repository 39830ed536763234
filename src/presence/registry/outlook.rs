//! What other settings would do, before anybody puts them in force.

use super::{Live, Registry};
use crate::presence::settings::Settings;
use crate::presence::trust::{NAMED_MAX, Outlook};

impl Live {
    /// Tells whether its own rhythm is too slow for `new`, should it have to go by that.
    fn is_too_slow_for(&self, new: Settings) -> bool {
        let gap = self.pulse.longest_gap();
        if !self.is_v1 {
            // It goes on as it does, whatever the interval.
            return gap.unwrap_or(self.terms.interval()) >= new.timeout();
        }
        // It will ping as often as it is told, and be late by as much as it is now.
        let late_by = gap.map_or_else(Default::default, |gap| gap.saturating_sub(self.terms.interval()));
        let travels = self.pulse.rtt().unwrap_or_default() + self.pulse.jitter().unwrap_or_default();
        new.interval() + late_by + travels >= new.timeout()
    }

    /// Tells whether it would keep what it has, because it cannot follow and its rhythm does not fit.
    fn would_be_pinned(&self, new: Settings) -> bool {
        !self.is_v1
            && self.terms.longer(new) != new
            && self.pulse.longest_gap().is_none_or(|gap| gap * 2 > new.timeout())
    }
}

impl Registry {
    /// Returns whom `new` would put at risk, and who would not go by it yet.
    #[must_use]
    pub fn outlook(&self, new: Settings) -> Outlook {
        let mut outlook = Outlook { settings: new, at_risk: 0, names: Vec::new(), pinned: 0 };
        let in_force = self.bearable(new);
        for live in self.live.values() {
            if self.limits.pin_legacy && live.would_be_pinned(in_force) {
                outlook.pinned += 1;
            } else if live.is_too_slow_for(in_force) {
                outlook.at_risk += 1;
                if outlook.names.len() < NAMED_MAX
                    && let Some(row) = self.rows.get(&live.row)
                {
                    outlook.names.push(row.label.clone());
                }
            }
        }
        outlook
    }
}
