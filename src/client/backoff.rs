//! How long to wait before the next attempt.

use std::time::Duration;

use fastrand::Rng;

/// The spread of the first reconnect, for as long as no server has told another.
pub const SPREAD_DEFAULT: Duration = Duration::from_millis(500);
/// The widest spread a server may ask for.
pub const SPREAD_MAX: Duration = Duration::from_mins(10);
/// The widest wait before the second reconnect; it doubles with each further one.
const BASE: Duration = Duration::from_millis(500);
/// The widest wait ever.
const CAP: Duration = Duration::from_secs(30);

/// Waits that keep a herd apart: the first over the server's spread, then full jitter under a doubling bound.
///
/// Full jitter (anything from nothing to the bound) and not a jittered bound:
/// a thousand clients that lost one server must not come back in one second.
#[derive(Debug, Clone)]
pub struct Backoff {
    spread: Duration,
    failures: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { spread: SPREAD_DEFAULT, failures: 0 }
    }
}

impl Backoff {
    /// Takes the spread the server tells in advance; a crashed one can tell nothing.
    pub fn set_spread(&mut self, spread: Duration) {
        self.spread = spread.min(SPREAD_MAX);
    }

    /// Starts over: the connection has been stable.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Returns the longest the next wait can be.
    #[must_use]
    pub fn bound(&self) -> Duration {
        match self.failures {
            0 => self.spread,
            n => BASE.saturating_mul(1 << (n - 1).min(16)).min(CAP),
        }
    }

    /// Returns the next wait, and counts the failure that makes it necessary.
    pub fn next(&mut self, rng: &mut Rng) -> Duration {
        let wait = self.bound().mul_f64(rng.f64());
        self.failures = self.failures.saturating_add(1);
        wait
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #[test]
        fn the_first_wait_is_the_spread_and_then_the_bound_doubles_up_to_its_cap(seed: u64, spread_ms in 0u64..5_000) {
            let (mut backoff, mut rng) = (Backoff::default(), Rng::with_seed(seed));
            backoff.set_spread(Duration::from_millis(spread_ms));
            let bounds_ms = [spread_ms, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];
            for bound_ms in bounds_ms {
                prop_assert!(backoff.next(&mut rng) <= Duration::from_millis(bound_ms));
            }
            for _ in 0..100 {
                prop_assert!(backoff.next(&mut rng) <= CAP);
            }
            backoff.reset();
            prop_assert_eq!(backoff.bound(), Duration::from_millis(spread_ms));
        }
    }

    #[test]
    fn waits_fill_their_whole_range() {
        let mut backoff = Backoff { failures: 3, ..Backoff::default() };
        let waits: Vec<_> = (0..200)
            .map(|seed| {
                backoff.failures = 3;
                backoff.next(&mut Rng::with_seed(seed)).as_secs_f64() / 2.0
            })
            .collect();
        assert!(waits.iter().any(|&share| share < 0.1) && waits.iter().any(|&share| share > 0.9));
    }

    #[test]
    fn a_server_cannot_send_its_clients_away_for_good() {
        let mut backoff = Backoff::default();
        backoff.set_spread(Duration::from_millis(u64::MAX));
        assert_eq!(backoff.bound(), SPREAD_MAX);
        backoff.failures = u32::MAX;
        assert_eq!(backoff.bound(), CAP);
        let _ = backoff.next(&mut Rng::with_seed(1)); // It must not overflow either.
        assert_eq!(backoff.failures, u32::MAX);
    }
}
