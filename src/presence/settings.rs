//! Interval and timeout: the two numbers everything else follows from.

use std::fmt;
use std::time::Duration;

use super::span::brief;

/// The shortest heartbeat interval a server may ask for.
pub const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// The longest heartbeat interval a server may ask for.
pub const INTERVAL_MAX: Duration = Duration::from_hours(1);
/// The longest silence a server may be told to tolerate.
pub const TIMEOUT_MAX: Duration = Duration::from_hours(24);

/// What a hotkey steps through, in milliseconds.
const STEPS_MS: [u64; 25] = [
    100, 200, 500, 1_000, 2_000, 3_000, 5_000, 10_000, 15_000, 20_000, 30_000, 45_000, 60_000, 90_000,
    120_000, 180_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 43_200_000,
    86_400_000,
];

/// Heartbeat interval and connection timeout, known to fit each other.
///
/// The only way to get one is [`Settings::new`], so nobody has to check again
/// that the timeout is longer than the interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    interval: Short,
    timeout: Short,
}

/// A duration of at most [`TIMEOUT_MAX`], in half the room: every connection has its own [`Settings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Short {
    secs: u32,
    nanos: u32,
}

impl From<Duration> for Short {
    fn from(span: Duration) -> Self {
        Self { secs: u32::try_from(span.as_secs()).unwrap_or(u32::MAX), nanos: span.subsec_nanos() }
    }
}

impl From<Short> for Duration {
    fn from(short: Short) -> Self {
        Self::new(short.secs.into(), short.nanos)
    }
}

/// Counts the changes of [`Settings`] since the server started; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u32);

impl Revision {
    /// Returns the revision that follows this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// Why an interval and a timeout do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingsError {
    /// The interval is below [`INTERVAL_MIN`].
    IntervalTooShort(Duration),
    /// The interval is above [`INTERVAL_MAX`].
    IntervalTooLong(Duration),
    /// The timeout is above [`TIMEOUT_MAX`].
    TimeoutTooLong(Duration),
    /// The timeout is not longer than the interval, so every client would die of good health.
    TimeoutNotAboveInterval {
        /// The interval asked for.
        interval: Duration,
        /// The timeout asked for.
        timeout: Duration,
    },
}

impl Settings {
    /// Checks the two durations against their limits and against each other.
    ///
    /// # Errors
    /// An interval outside 0.1 s to 1 h, a timeout above 24 h, or a timeout
    /// that is not longer than the interval.
    pub fn new(interval: Duration, timeout: Duration) -> Result<Self, SettingsError> {
        if interval < INTERVAL_MIN {
            Err(SettingsError::IntervalTooShort(interval))
        } else if interval > INTERVAL_MAX {
            Err(SettingsError::IntervalTooLong(interval))
        } else if timeout > TIMEOUT_MAX {
            Err(SettingsError::TimeoutTooLong(timeout))
        } else if timeout <= interval {
            Err(SettingsError::TimeoutNotAboveInterval { interval, timeout })
        } else {
            Ok(Self::of(interval, timeout))
        }
    }

    fn of(interval: Duration, timeout: Duration) -> Self {
        Self { interval: interval.into(), timeout: timeout.into() }
    }

    /// Returns how often a client is asked to ping.
    #[must_use]
    pub fn interval(self) -> Duration {
        self.interval.into()
    }

    /// Returns how long a client may be silent before it is declared gone.
    #[must_use]
    pub fn timeout(self) -> Duration {
        self.timeout.into()
    }

    /// Returns the silence after which a client is shown as late: 1.5 intervals.
    #[must_use]
    pub fn late_after(self) -> Duration {
        self.interval() + self.interval() / 2
    }

    /// Returns the longer interval and the longer timeout of two settings.
    #[must_use]
    pub fn longer(self, other: Self) -> Self {
        // Each timeout is longer than its own interval, so the longer one is longer than both.
        Self::of(self.interval().max(other.interval()), self.timeout().max(other.timeout()))
    }

    /// Returns both made longer by the same factor, `halves` / 2, as far as their limits allow.
    #[must_use]
    pub fn stretched(self, halves: u32) -> Self {
        let longer = |span: Duration, most: Duration| (span * halves / 2).min(most).max(span);
        // The limit of the timeout is far above that of the interval, so the two still fit each other.
        Self::of(longer(self.interval(), INTERVAL_MAX), longer(self.timeout(), TIMEOUT_MAX))
    }

    /// Says in words why these settings, though allowed, are daring.
    #[must_use]
    pub fn warning(self) -> Option<String> {
        (self.timeout() < self.interval() * 2).then(|| {
            format!(
                "timeout {} is below twice the interval ({}): one lost ping will time a client out",
                brief(self.timeout()),
                brief(self.interval())
            )
        })
    }
}

/// The defaults of the base protocol: a ping a minute, gone after two.
impl Default for Settings {
    fn default() -> Self {
        Self::of(Duration::from_mins(1), Duration::from_mins(2))
    }
}

/// Returns the next longer duration a hotkey offers, or `None` at the top.
#[must_use]
pub fn step_up(from: Duration) -> Option<Duration> {
    STEPS_MS.iter().map(|&ms| Duration::from_millis(ms)).find(|&step| step > from)
}

/// Returns the next shorter duration a hotkey offers, or `None` at the bottom.
#[must_use]
pub fn step_down(from: Duration) -> Option<Duration> {
    STEPS_MS.iter().rev().map(|&ms| Duration::from_millis(ms)).find(|&step| step < from)
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::IntervalTooShort(is) => {
                write!(f, "interval {} is too short (the shortest is {})", brief(is), brief(INTERVAL_MIN))
            }
            Self::IntervalTooLong(is) => {
                write!(f, "interval {} is too long (the longest is {})", brief(is), brief(INTERVAL_MAX))
            }
            Self::TimeoutTooLong(is) => {
                write!(f, "timeout {} is too long (the longest is {})", brief(is), brief(TIMEOUT_MAX))
            }
            Self::TimeoutNotAboveInterval { interval, timeout } => write!(
                f,
                "timeout {} must be greater than interval {} (try {} or more)",
                brief(timeout),
                brief(interval),
                brief(interval * 2)
            ),
        }
    }
}

impl std::error::Error for SettingsError {}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn the_timeout_must_be_longer_than_the_interval() {
        assert!(Settings::new(secs(5), secs(6)).is_ok());
        for timeout in [secs(5), secs(4), secs(0)] {
            assert_eq!(
                Settings::new(secs(5), timeout),
                Err(SettingsError::TimeoutNotAboveInterval { interval: secs(5), timeout })
            );
        }
    }

    #[test]
    fn limits_are_inclusive() {
        assert!(Settings::new(INTERVAL_MIN, INTERVAL_MIN * 2).is_ok());
        assert!(Settings::new(INTERVAL_MAX, TIMEOUT_MAX).is_ok());
        let below = INTERVAL_MIN.checked_sub(Duration::from_nanos(1)).unwrap();
        assert_eq!(Settings::new(below, secs(9)), Err(SettingsError::IntervalTooShort(below)));
        let above = INTERVAL_MAX + Duration::from_nanos(1);
        assert_eq!(Settings::new(above, secs(9000)), Err(SettingsError::IntervalTooLong(above)));
        let above = TIMEOUT_MAX + Duration::from_nanos(1);
        assert_eq!(Settings::new(secs(5), above), Err(SettingsError::TimeoutTooLong(above)));
    }

    #[test]
    fn below_twice_the_interval_is_warned_about_and_allowed() {
        assert!(Settings::new(secs(5), secs(9)).unwrap().warning().is_some());
        assert!(Settings::new(secs(5), secs(10)).unwrap().warning().is_none());
    }

    #[test]
    fn stretching_keeps_the_two_in_step_and_within_their_limits() {
        let settings = Settings::new(secs(5), secs(15)).unwrap();
        assert_eq!(settings.stretched(2), settings);
        assert_eq!(
            settings.stretched(3),
            Settings::new(Duration::from_millis(7_500), Duration::from_millis(22_500)).unwrap()
        );
        let most = settings.stretched(u32::MAX);
        assert_eq!((most.interval(), most.timeout()), (INTERVAL_MAX, TIMEOUT_MAX));
    }

    #[test]
    fn steps_lead_up_and_down_and_end() {
        assert_eq!(step_up(secs(60)), Some(secs(90)));
        assert_eq!(step_up(secs(61)), Some(secs(90)));
        assert_eq!(step_down(secs(61)), Some(secs(60)));
        assert_eq!(step_down(INTERVAL_MIN), None);
        assert_eq!(step_up(TIMEOUT_MAX), None);
    }
}
