//! What is remembered of a client beyond its row: how much of the time it was here, and when it was not.
//!
//! Wall times are counted since 1970: what is remembered outlives every monotonic clock.

use std::time::Duration;

use super::reason::Reason;

/// How many hours the strip of a client covers.
pub const HOURS: usize = 24;
/// How many of its outages a client's past names.
pub const OUTAGES_NAMED: usize = 3;

/// What is remembered of one client.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Past {
    /// The last 24 hours.
    pub day: Share,
    /// The last 7 days.
    pub week: Share,
    /// How many percent of each of the last 24 hours it was here, oldest first; the last one is still running.
    /// `None` for an hour of which nothing is known.
    pub hours: [Option<u8>; HOURS],
    /// Its last outages, newest first, at most [`OUTAGES_NAMED`].
    pub outages: Vec<Outage>,
}

/// How much of the time a client was here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    /// How long it was here.
    pub online: Duration,
    /// How long it is known whether it was.
    pub known: Duration,
}

impl Share {
    /// Writes it in percent, such as `99.98%`; never `100%` for a client that was away. `None` while nothing is known.
    #[must_use]
    pub fn percent(self) -> Option<String> {
        if self.known.is_zero() {
            return None;
        }
        if self.online >= self.known {
            return Some("100%".to_owned());
        }
        let hundredths = self.online.as_micros() * 10_000 / self.known.as_micros().max(1);
        Some(format!("{}.{:02}%", hundredths / 100, hundredths % 100))
    }
}

/// One time a client was gone without anybody having decided it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// When it was last here.
    pub began: Duration,
    /// How long it was away; `None` while it still is.
    pub lasted: Option<Duration>,
    /// Why it was declared gone.
    pub reason: Reason,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_hundred_percent_only_when_nothing_is_missing() {
        let share = |online, known| {
            Share { online: Duration::from_secs(online), known: Duration::from_secs(known) }.percent()
        };
        assert_eq!(share(0, 0), None);
        assert_eq!(share(0, 10).as_deref(), Some("0.00%"));
        assert_eq!(share(10, 10).as_deref(), Some("100%"));
        assert_eq!(share(604_799, 604_800).as_deref(), Some("99.99%"));
        assert_eq!(share(1, 3).as_deref(), Some("33.33%"));
    }
}
