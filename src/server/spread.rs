//! Over how long the fleet is to spread its first reconnect, and when it must be told anew.

use std::time::{Duration, Instant};

use super::hub::HERD_PER_S;

/// Over how long even a small fleet spreads its first reconnect.
const SPREAD_MIN: Duration = Duration::from_millis(500);
/// How often it is looked at: a fleet that is still arriving is told once or twice, and not at every doubling.
const LOOK_PERIOD: Duration = Duration::from_mins(1);

/// What the fleet was last told.
///
/// A client that stays for weeks learned the spread when it joined, perhaps as
/// the first of ten thousand. Told nothing since, it and its early neighbours
/// would all be back within half a second of a crash.
#[derive(Debug)]
pub(crate) struct Spread {
    told: Duration,
    looked_at: Instant,
}

impl Spread {
    /// Starts with an empty fleet.
    pub(crate) fn new(now: Instant) -> Self {
        Self { told: SPREAD_MIN, looked_at: now }
    }

    /// Returns the spread for so many clients.
    pub(crate) fn of(clients: usize) -> Duration {
        let clients = u32::try_from(clients).unwrap_or(u32::MAX);
        SPREAD_MIN.max(Duration::from_secs(1) * clients / HERD_PER_S)
    }

    /// Returns the spread, as everybody is about to be told it.
    pub(crate) fn tell(&mut self, clients: usize) -> Duration {
        self.told = Self::of(clients);
        self.told
    }

    /// Looks at it, once a minute; returns it if it has at least doubled or halved since everybody was told.
    pub(crate) fn refresh(&mut self, now: Instant, clients: usize) -> Option<Duration> {
        if now.saturating_duration_since(self.looked_at) < LOOK_PERIOD {
            return None;
        }
        self.looked_at = now;
        let spread = Self::of(clients);
        let is_news = spread >= self.told * 2 || spread * 2 <= self.told;
        is_news.then(|| self.tell(clients))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_fleet_that_arrives_is_told_once_and_again_when_it_has_doubled_or_halved() {
        let start = Instant::now();
        let mut spread = Spread::new(start);
        // Ten thousand within twenty seconds: fourteen doublings.
        let told = (0..=200).filter_map(|tenth: u64| {
            spread.refresh(start + Duration::from_millis(tenth * 100), usize::try_from(tenth).unwrap() * 50)
        });
        assert_eq!(told.count(), 0, "nobody is told while they arrive");
        assert_eq!(spread.refresh(start + secs(60), 10_000), Some(secs(20)));
        for (after, clients, told) in [
            (61, 40_000, None),
            (120, 19_999, None),
            (179, 20_000, None),
            (180, 20_000, Some(secs(40))),
            (240, 10_001, None),
            (300, 10_000, Some(secs(20))),
            (360, 0, Some(SPREAD_MIN)),
        ] {
            assert_eq!(spread.refresh(start + secs(after), clients), told, "{clients} after {after} s");
        }
    }

    #[test]
    fn a_small_fleet_is_told_nothing_whatever_becomes_of_it() {
        let start = Instant::now();
        let mut spread = Spread::new(start);
        for minute in 1..1_000_u64 {
            let clients = usize::try_from(minute % 251).unwrap();
            assert_eq!(spread.refresh(start + secs(minute * 60), clients), None);
        }
    }

    #[test]
    fn what_everybody_was_told_with_new_settings_is_not_told_again() {
        let start = Instant::now();
        let mut spread = Spread::new(start);
        assert_eq!(spread.tell(5_000), secs(10));
        assert_eq!(spread.refresh(start + secs(60), 5_000), None);
    }
}
