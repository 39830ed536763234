//! Notices that this process did not run.
//!
//! Two things stop it. Stopped by a signal, or starved, it finds that a wait
//! took longer than it should have: the monotonic clock went on. Suspended
//! with the whole machine it finds nothing of the kind, because that clock
//! stood still too; only the one that counts since boot tells.

use std::time::Duration;

/// No machine is suspended for less: this is what reading two clocks one after the other may differ by.
const NOISE: Duration = Duration::from_millis(10);
/// How long the two clocks may be read apart; whatever comes between them for longer spoils the reading.
#[cfg(any(target_os = "linux", target_os = "android"))]
const READ_WITHIN: Duration = Duration::from_millis(1);
/// How often they are read before this lap goes without.
#[cfg(any(target_os = "linux", target_os = "android"))]
const READS_MAX: usize = 3;

/// How long this process did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pause {
    /// By how much a wait was longer than it should have been, on the monotonic clock.
    pub overslept: Duration,
    /// How long the machine was suspended, of which the monotonic clock knows nothing.
    pub suspended: Duration,
}

impl Pause {
    /// Returns how long it was all in all.
    #[must_use]
    pub fn total(self) -> Duration {
        self.overslept.saturating_add(self.suspended)
    }
}

/// Watches for pauses, lap by lap.
#[derive(Debug)]
pub struct Watch {
    read: fn() -> Option<Duration>,
    /// How long this machine had been suspended since its boot, when that was last known.
    asleep: Option<Duration>,
}

impl Watch {
    /// Starts the first lap, on the clocks of this machine.
    #[must_use]
    pub fn start() -> Self {
        Self::reading(asleep_since_boot)
    }

    /// Starts the first lap; `read` says how long the machine has been suspended in all, if that is known.
    #[must_use]
    pub fn reading(read: fn() -> Option<Duration>) -> Self {
        Self { read, asleep: read() }
    }

    /// Ends a lap whose last wait was too long by `overslept`, and starts the next.
    pub fn lap(&mut self, overslept: Duration) -> Pause {
        let asleep = (self.read)();
        let suspended = match (self.asleep, asleep) {
            (Some(before), Some(now)) if now >= before + NOISE => now.saturating_sub(before),
            _ => Duration::ZERO,
        };
        // A lap that could not be read is made up for by the next.
        self.asleep = asleep.or(self.asleep);
        Pause { overslept, suspended }
    }
}

/// Returns how long this machine has been suspended since it was booted; `None` where nobody can tell.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn asleep_since_boot() -> Option<Duration> {
    use rustix::time::{ClockId, DynamicClockId, clock_gettime, clock_gettime_dynamic};

    let monotonic = || Duration::try_from(clock_gettime(ClockId::Monotonic)).ok();
    for _ in 0..READS_MAX {
        let before = monotonic()?;
        let boot = Duration::try_from(clock_gettime_dynamic(DynamicClockId::Boottime).ok()?).ok()?;
        // Stopped between the two, this process would take the stop for a suspend.
        if monotonic()?.saturating_sub(before) <= READ_WITHIN {
            return Some(boot.saturating_sub(before));
        }
    }
    None
}

/// Returns how long this machine has been suspended since it was booted; `None` where nobody can tell.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn asleep_since_boot() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    thread_local! {
        static ASLEEP: Cell<Option<Duration>> = const { Cell::new(None) };
    }

    fn asleep(total: Option<u64>) {
        ASLEEP.set(total.map(secs));
    }

    #[test]
    fn a_stop_and_a_suspend_are_told_apart_and_both_count() {
        asleep(Some(100));
        let mut watch = Watch::reading(|| ASLEEP.get());
        assert_eq!(watch.lap(Duration::ZERO), Pause::default());
        assert_eq!(watch.lap(secs(14)).total(), secs(14), "stopped");
        asleep(Some(700));
        let suspended = watch.lap(Duration::ZERO);
        assert_eq!(suspended, Pause { overslept: Duration::ZERO, suspended: secs(600) });
        asleep(Some(705));
        assert_eq!(watch.lap(secs(2)).total(), secs(7), "stopped, and suspended meanwhile");
        assert_eq!(watch.lap(Duration::ZERO), Pause::default(), "no pause is counted twice");
    }

    #[test]
    fn a_clock_that_cannot_be_read_or_runs_backwards_is_no_pause() {
        asleep(None);
        let mut watch = Watch::reading(|| ASLEEP.get());
        assert_eq!(watch.lap(secs(1)).total(), secs(1));
        asleep(Some(50));
        assert_eq!(
            watch.lap(Duration::ZERO).suspended,
            Duration::ZERO,
            "there is nothing to compare it with"
        );
        asleep(None);
        assert_eq!(watch.lap(Duration::ZERO).suspended, Duration::ZERO);
        asleep(Some(80));
        assert_eq!(watch.lap(Duration::ZERO).suspended, secs(30), "what was missed is made up for");
        asleep(Some(10));
        assert_eq!(watch.lap(Duration::ZERO).suspended, Duration::ZERO);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_clocks_of_this_machine_can_be_read_and_agree_with_themselves() {
        assert!(asleep_since_boot().is_some());
        let mut watch = Watch::start();
        for _ in 0..1_000 {
            assert_eq!(watch.lap(Duration::ZERO), Pause::default());
        }
    }
}
