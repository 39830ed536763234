//! How much a client may say: so many times the agreed, a little more at once, and then it is cut.
//!
//! The session counts and the hub decides, because the hub alone knows of two
//! reasons to let it pass: settings that have just changed, and a pause of our
//! own, after which everything said meanwhile arrives together.

use std::time::Duration;

use crate::presence::span::brief;

/// How many lines may come at once: a register and its first ping, a ping asked for, a person at a keyboard.
pub const BURST: u32 = 10;
/// However long the interval, a line in this time is never too many. Base clients and those of other
/// dialects have a rhythm of their own, nobody can tell them ours, and a ping a second is a common one.
pub const LINE_PERIOD_MAX: Duration = Duration::from_millis(500);
/// After how many lines more the hub hears again of a flood that it let pass.
const AGAIN_AFTER: u32 = 100;
/// Parts of a line that are counted.
const PARTS: u32 = 1_000;

/// What one client may still say. Eight bytes, as there may be a hundred thousand of these.
///
/// It needs no clock of its own: what a silence earns is reckoned when it ends.
#[derive(Debug)]
pub(crate) struct Allowance {
    /// In thousandths of a line.
    credit: u32,
    /// The shortest interval it was ever asked to keep and may not have heard the end of, in milliseconds.
    own_ms: u32,
}

impl Allowance {
    /// Starts an allowance; `own` is the interval of a client that cannot be told of another one.
    pub(crate) fn new(own: Option<Duration>) -> Self {
        let own_ms = own.map_or(u32::MAX, |own| u32::try_from(own.as_millis()).unwrap_or(u32::MAX));
        Self { credit: BURST * PARTS, own_ms }
    }

    /// Counts a line that ends a silence; returns whether it was within `factor` times the agreed.
    ///
    /// A silence earns its lines at the full rate, and nothing is lost of them
    /// until they come: a network that stalls delivers them all at once.
    pub(crate) fn take(&mut self, silence: Duration, interval: Duration, factor: u32) -> bool {
        if factor == 0 {
            return true;
        }
        let period = line_period(interval.min(Duration::from_millis(self.own_ms.into())), factor);
        let earned = silence.as_micros() * u128::from(PARTS) / period.as_micros().max(1);
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        let most = (BURST * PARTS).saturating_add(earned).max(self.credit);
        self.credit = self.credit.saturating_add(earned).min(most);
        let within = self.credit >= PARTS;
        self.credit = if within { self.credit - PARTS } else { AGAIN_AFTER * PARTS };
        within
    }

    /// Counts the last line no longer: it is rationed elsewhere.
    pub(crate) fn give_back(&mut self) {
        self.credit = self.credit.saturating_add(PARTS);
    }
}

/// Returns how far apart the lines may be for ever.
fn line_period(interval: Duration, factor: u32) -> Duration {
    (interval / factor.max(1)).min(LINE_PERIOD_MAX)
}

/// Says in words what was too much.
pub(crate) fn words(interval: Duration, factor: u32) -> String {
    let agreed = brief(interval);
    if line_period(interval, factor) == LINE_PERIOD_MAX {
        format!("more than two lines a second; one every {agreed} is agreed")
    } else {
        format!("more than {factor} lines every {agreed}; one is agreed")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONE: Duration = Duration::ZERO;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Says `lines` of them, each after `gap`; returns how many were within.
    fn say(allowance: &mut Allowance, lines: usize, gap: Duration, interval: Duration) -> usize {
        (0..lines).take_while(|_| allowance.take(gap, interval, 4)).count()
    }

    #[test]
    fn ten_lines_at_once_are_fine_and_the_eleventh_is_a_flood() {
        for interval in [ms(100), ms(60_000), ms(3_600_000)] {
            let mut allowance = Allowance::new(None);
            assert_eq!(say(&mut allowance, 100, NONE, interval), 10);
        }
    }

    #[test]
    fn four_times_the_agreed_is_fine_for_ever_and_a_little_more_is_not() {
        let interval = ms(1_000);
        assert_eq!(say(&mut Allowance::new(None), 10_000, ms(250), interval), 10_000);
        let cut = say(&mut Allowance::new(None), 10_000, ms(225), interval);
        assert!((90..=110).contains(&cut), "a tenth too fast is cut after ten lines too many: {cut}");
    }

    #[test]
    fn two_lines_a_second_are_fine_however_long_the_interval() {
        assert_eq!(say(&mut Allowance::new(None), 10_000, ms(500), ms(3_600_000)), 10_000);
        assert!(say(&mut Allowance::new(None), 10_000, ms(250), ms(3_600_000)) < 30);
    }

    #[test]
    fn what_a_stalled_network_held_back_may_come_all_at_once() {
        let mut allowance = Allowance::new(None);
        for _ in 0..50 {
            assert!(allowance.take(ms(1_000), ms(1_000), 4));
        }
        assert!(allowance.take(ms(120_000), ms(1_000), 4), "the line that ends the silence");
        assert_eq!(say(&mut allowance, 119, NONE, ms(1_000)), 119);
    }

    #[test]
    fn a_client_that_cannot_be_told_keeps_the_interval_it_came_under() {
        let mut deaf = Allowance::new(Some(ms(100)));
        assert_eq!(say(&mut deaf, 1_000, ms(100), ms(60_000)), 1_000);
        let mut told = Allowance::new(None);
        assert!(say(&mut told, 1_000, ms(100), ms(60_000)) < 20);
    }

    #[test]
    fn a_factor_of_nothing_counts_nothing() {
        let mut allowance = Allowance::new(None);
        assert!((0..100_000).all(|_| allowance.take(NONE, ms(60_000), 0)));
    }

    #[test]
    fn it_fits_where_every_session_has_one() {
        assert_eq!(std::mem::size_of::<Allowance>(), 8);
    }

    proptest! {
        #[test]
        fn nobody_says_more_than_the_rate_and_ten(
            gaps in proptest::collection::vec(0u64..3_000, 1..400),
            interval in 100u64..100_000,
        ) {
            let mut allowance = Allowance::new(None);
            let mut within = 0u64;
            for &gap in &gaps {
                if !allowance.take(ms(gap), ms(interval), 4) {
                    break;
                }
                within += 1;
            }
            let span: u64 = gaps.iter().sum();
            prop_assert!(within <= span / (interval / 4).clamp(1, 500) + u64::from(BURST) + 1);
        }

        #[test]
        fn who_keeps_the_rate_is_never_cut_however_its_lines_are_bunched(
            stalls in proptest::collection::vec(0u64..60_000, 1..60),
            interval in 100u64..4_000,
        ) {
            let mut allowance = Allowance::new(None);
            for &stall in &stalls {
                // Held back for so long, then delivered together.
                let lines = (stall / interval).max(1);
                for at in 0..lines {
                    let silence = if at == 0 { stall.max(interval) } else { 0 };
                    prop_assert!(allowance.take(ms(silence), ms(interval), 4));
                }
            }
        }
    }
}
