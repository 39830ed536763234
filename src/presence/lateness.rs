//! How late verdicts are: the promise "the countdown is true", measured all the time.

use std::time::Duration;

/// Every power of two of microseconds is cut into this many steps, so a percentile is at most 12 % too high.
const STEPS: usize = 8;
/// Powers of two covered: up to 2^32 us, more than an hour.
const POWERS: usize = 32;

/// A histogram of spans, from a microsecond to an hour, in 2 KiB.
#[derive(Debug, Clone)]
pub struct Lateness {
    counts: Box<[u32]>,
    total: u64,
    max: Duration,
}

impl Default for Lateness {
    fn default() -> Self {
        Self { counts: vec![0; STEPS * POWERS].into(), total: 0, max: Duration::ZERO }
    }
}

impl Lateness {
    /// Counts one verdict that came `late` after its deadline.
    pub fn record(&mut self, late: Duration) {
        if let Some(count) = self.counts.get_mut(bucket(micros(late))) {
            *count = count.saturating_add(1);
        }
        self.total += 1;
        self.max = self.max.max(late);
    }

    /// Returns how many were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Returns the longest.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.max
    }

    /// Returns a span that `percent` of 100 do not exceed; zero when nothing was counted.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> Duration {
        let wanted = (self.total * percent).div_ceil(100);
        let mut seen = 0;
        for (at, &count) in self.counts.iter().enumerate() {
            seen += u64::from(count);
            if seen >= wanted && seen > 0 {
                return Duration::from_micros(upper(at)).min(self.max);
            }
        }
        self.max
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// Returns the bucket of a number of microseconds: below `STEPS` its own, above it a step of its power of two.
fn bucket(us: u64) -> usize {
    let us = us.clamp(1, u64::from(u32::MAX));
    let power = us.ilog2();
    let step = if power < STEPS.ilog2() { 0 } else { us >> (power - STEPS.ilog2()) & (STEPS as u64 - 1) };
    power as usize * STEPS + usize::try_from(step).unwrap_or(0)
}

/// Returns the largest number of microseconds in a bucket.
fn upper(bucket: usize) -> u64 {
    let (power, step) = (bucket / STEPS, (bucket % STEPS) as u64);
    match power.checked_sub(STEPS.ilog2() as usize) {
        None => (2 << power) - 1,
        Some(shift) => ((STEPS as u64 + step + 1) << shift) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_span_is_in_the_bucket_that_ends_above_it() {
        for us in (8..5_000).chain([65_535, 65_536, 1_000_000, 3_600_000_000]) {
            let at = bucket(us);
            assert!(upper(at) >= us, "{us}");
            assert!(upper(at) <= us + us / 8 + 1, "{us} is shown as {}", upper(at));
        }
    }

    #[test]
    fn percentiles_are_close_and_never_above_the_longest() {
        let mut lateness = Lateness::default();
        assert_eq!(lateness.percentile(99), Duration::ZERO);
        for ms in 1..=1_000 {
            lateness.record(Duration::from_millis(ms));
        }
        assert!((500..=570).contains(&lateness.percentile(50).as_millis()));
        assert!((990..=1_000).contains(&lateness.percentile(99).as_millis()));
        assert_eq!(
            (lateness.percentile(100), lateness.max()),
            (Duration::from_secs(1), Duration::from_secs(1))
        );
        lateness.record(Duration::from_secs(100_000));
        assert_eq!(lateness.total(), 1_001);
    }
}
