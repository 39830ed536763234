//! Tells the first few of many, and counts the rest.

use std::time::{Duration, Instant};

/// How many a second are told one by one; a herd at a closed door must not fill the disk.
const TOLD_PER_S: u32 = 10;

/// Rations what is told.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    second: Option<Instant>,
    told: u32,
    untold: u32,
}

impl Throttle {
    /// Starts a new second if it is time; returns how many were not told in the last one.
    pub(crate) fn turn(&mut self, now: Instant) -> u32 {
        let over = |at| now.saturating_duration_since(at) >= Duration::from_secs(1);
        if self.second.is_some_and(|at| !over(at)) {
            return 0;
        }
        (self.second, self.told) = (Some(now), 0);
        std::mem::take(&mut self.untold)
    }

    /// Returns when it is to be said how many were not told, if any were.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.second.filter(|_| self.untold > 0).map(|at| at + Duration::from_secs(1))
    }

    /// Tells whether one more may be told.
    pub(crate) fn take(&mut self) -> bool {
        let fits = self.told < TOLD_PER_S;
        if fits {
            self.told += 1;
        } else {
            self.untold += 1;
        }
        fits
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;

    #[test]
    fn the_first_ten_of_a_second_are_told_and_the_rest_counted() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        assert_eq!(throttle.turn(start), 0);
        assert_eq!((0..10).filter(|_| throttle.take()).count(), 10);
        assert_eq!(throttle.due(), None, "nothing was kept back");
        assert_eq!((0..15).filter(|_| throttle.take()).count(), 0);
        assert_eq!(throttle.due(), Some(start + Duration::from_secs(1)));
        assert_eq!(throttle.turn(start + Duration::from_millis(999)), 0);
        assert_eq!(throttle.turn(start + Duration::from_secs(1)), 15);
        assert!(throttle.take() && throttle.due().is_none());
    }
}
