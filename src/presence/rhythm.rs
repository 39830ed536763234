//! How steady a client is.

use std::time::{Duration, Instant};

/// So many changes of state within [`FLAP_SPAN`] are flapping.
pub const FLAP_CHANGES: usize = 4;
/// It goes on until no more than so many are left within [`FLAP_SPAN`].
///
/// Between the two a row keeps the mark it has: a mark that comes and goes
/// with every change would itself flap.
pub const CALM_CHANGES: usize = 1;
/// How far back changes count.
pub const FLAP_SPAN: Duration = Duration::from_mins(10);

/// How a row's state has changed lately.
#[derive(Debug, Clone)]
pub struct Rhythm {
    last: Instant,
    /// On the heap once there is any: most clients come and stay.
    past: Option<Box<Past>>,
}

/// The last changes of a row's state after the one that made it, oldest first.
#[derive(Debug, Clone, Default)]
struct Past {
    changes: [Option<Instant>; FLAP_CHANGES],
    /// It was flapping at the last change.
    flapping: bool,
}

impl Rhythm {
    /// Starts with the change that made the row.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { last: now, past: None }
    }

    /// Notes a change of state.
    pub fn change(&mut self, now: Instant) {
        let past = self.past.get_or_insert_default();
        past.flapping = past.is_flapping(now);
        past.changes.rotate_left(1);
        if let Some(newest) = past.changes.last_mut() {
            *newest = Some(now);
        }
        self.last = now;
        past.flapping |= past.recent(now) >= FLAP_CHANGES;
    }

    /// Returns when the state last changed.
    #[must_use]
    pub fn last_change(&self) -> Instant {
        self.last
    }

    /// Tells whether the state changes too often to be believed: from the fourth change in ten minutes
    /// until at most one is left.
    #[must_use]
    pub fn is_flapping(&self, now: Instant) -> bool {
        self.past.as_ref().is_some_and(|past| past.is_flapping(now))
    }
}

impl Past {
    fn is_flapping(&self, now: Instant) -> bool {
        self.flapping && self.recent(now) > CALM_CHANGES
    }

    /// Returns how many changes lie within the last [`FLAP_SPAN`], of those that are remembered.
    fn recent(&self, now: Instant) -> usize {
        let is_recent = |at: &&Instant| now.saturating_duration_since(**at) <= FLAP_SPAN;
        self.changes.iter().flatten().filter(is_recent).count()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;

    #[test]
    fn four_changes_in_ten_minutes_are_flapping_until_one_is_left() {
        let start = Instant::now();
        let at = |minute| start + Duration::from_mins(minute);
        let mut rhythm = Rhythm::new(start);
        for minute in 1..=3 {
            rhythm.change(at(minute));
        }
        assert!(!rhythm.is_flapping(at(3)), "three changes may be an accident");
        rhythm.change(at(4));
        assert!(rhythm.is_flapping(at(4)));
        assert!(rhythm.is_flapping(at(13)), "two changes are left: the mark stays");
        assert!(!rhythm.is_flapping(at(14)), "one is left");
        assert_eq!(rhythm.last_change(), at(4));
    }

    #[test]
    fn a_client_that_calmed_down_needs_four_changes_to_be_marked_again() {
        let start = Instant::now();
        let at = |minute| start + Duration::from_mins(minute);
        let mut rhythm = Rhythm::new(start);
        for minute in 1..=4 {
            rhythm.change(at(minute));
        }
        for minute in 14..=16 {
            rhythm.change(at(minute));
            assert!(!rhythm.is_flapping(at(minute)), "{minute}");
        }
        rhythm.change(at(17));
        assert!(rhythm.is_flapping(at(17)));
    }

    #[test]
    fn a_client_that_goes_on_flapping_keeps_its_mark() {
        let start = Instant::now();
        let at = |minute| start + Duration::from_mins(minute);
        let mut rhythm = Rhythm::new(start);
        for minute in [1, 2, 3, 4, 9, 13, 18, 22] {
            rhythm.change(at(minute));
        }
        assert!(rhythm.is_flapping(at(22)), "three in ten minutes are enough to keep it");
    }
}
