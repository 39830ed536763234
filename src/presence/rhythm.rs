//! How steady a client is.

use std::time::{Duration, Instant};

/// So many changes of state within [`FLAP_SPAN`] are flapping.
pub const FLAP_CHANGES: usize = 4;
/// How far back changes count.
pub const FLAP_SPAN: Duration = Duration::from_mins(10);

/// The last changes of a row's state, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct Rhythm {
    changes: [Option<Instant>; FLAP_CHANGES],
    last: Instant,
}

impl Rhythm {
    /// Starts with the change that made the row.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { changes: [None; FLAP_CHANGES], last: now }
    }

    /// Notes a change of state.
    pub fn change(&mut self, now: Instant) {
        self.changes.rotate_left(1);
        if let Some(newest) = self.changes.last_mut() {
            *newest = Some(now);
        }
        self.last = now;
    }

    /// Returns when the state last changed.
    #[must_use]
    pub fn last_change(&self) -> Instant {
        self.last
    }

    /// Tells whether the state changes too often to be believed: four times in ten minutes.
    #[must_use]
    pub fn is_flapping(&self, now: Instant) -> bool {
        let oldest = self.changes.first().copied().flatten();
        oldest.is_some_and(|at| now.saturating_duration_since(at) <= FLAP_SPAN)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;

    #[test]
    fn four_changes_in_ten_minutes_are_flapping_until_they_are_old() {
        let start = Instant::now();
        let mut rhythm = Rhythm::new(start);
        for minute in 1..=3 {
            rhythm.change(start + Duration::from_mins(minute));
        }
        assert!(!rhythm.is_flapping(start + Duration::from_mins(3)), "three changes may be an accident");
        rhythm.change(start + Duration::from_mins(4));
        assert!(rhythm.is_flapping(start + Duration::from_mins(11)));
        assert!(!rhythm.is_flapping(start + Duration::from_mins(12)));
        assert_eq!(rhythm.last_change(), start + Duration::from_mins(4));
    }
}
