//! When to beat, and when a silent server is dead. Pure: time is an argument.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// What is added to two intervals before an unanswered beat is a verdict.
const PATIENCE_SLACK: Duration = Duration::from_secs(2);
/// The shortest wait for an answer that is worth showing.
const LATE_MIN: Duration = Duration::from_secs(1);
/// How many unanswered beats are remembered; the oldest decides, so later ones may be forgotten.
const WAITING_MAX: usize = 1_024;

/// The heartbeat of one connection to a foreign server.
///
/// Nothing is known of the server's own rule, so the interval is kept as it
/// was written: no beat is early, and none is later than one interval after
/// the last. What comes in moves nothing.
#[derive(Debug)]
pub struct Pulse {
    interval: Duration,
    expects: bool,
    holding: bool,
    next: Instant,
    /// Beats without an answer, oldest first; empty where none is expected.
    waiting: VecDeque<Instant>,
    rtt: Option<Duration>,
}

/// What an answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The round trip.
    pub rtt: Duration,
    /// When the answered beat went out.
    pub sent: Instant,
}

impl Pulse {
    /// Starts a rhythm: the first beat is due after one interval.
    #[must_use]
    pub fn new(interval: Duration, expects: bool, holding: bool, now: Instant) -> Self {
        Self { interval, expects, holding, next: now + interval, waiting: VecDeque::new(), rtt: None }
    }

    /// Returns when the next beat is due; `None` while beats are held back.
    #[must_use]
    pub fn next_beat(&self) -> Option<Instant> {
        (!self.holding).then_some(self.next)
    }

    /// Tells whether a beat is due.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.next_beat().is_some_and(|next| next <= now)
    }

    /// Makes the next beat due now, held back or not.
    pub fn hurry(&mut self, now: Instant) {
        self.next = now;
    }

    /// Holds beats back, or lets them go again, starting at once.
    pub fn hold(&mut self, holding: bool, now: Instant) {
        if self.holding && !holding {
            self.hurry(now);
        }
        self.holding = holding;
    }

    /// Counts a beat that goes out now.
    pub fn beat(&mut self, now: Instant) {
        self.skip(now);
        if self.expects && self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(now);
        }
    }

    /// Passes over the beat that is due.
    ///
    /// A beat that was a little late leaves the rhythm as it is, so that
    /// nothing adds up. After a longer pause a new rhythm starts from now:
    /// what was missed is not made up for, and two beats never follow each
    /// other closely.
    pub fn skip(&mut self, now: Instant) {
        let in_rhythm = self.next + self.interval;
        let is_soon = in_rhythm < now + self.interval / 2;
        self.next = if is_soon { now + self.interval } else { in_rhythm };
    }

    /// Takes what was expected as the answer to the oldest beat without one; `None` if there is none.
    pub fn answered(&mut self, now: Instant) -> Option<Answer> {
        let sent = self.waiting.pop_front()?;
        let rtt = now.saturating_duration_since(sent);
        self.rtt = Some(rtt);
        Some(Answer { rtt, sent })
    }

    /// Returns when the oldest unanswered beat went out.
    #[must_use]
    pub fn oldest_unanswered(&self) -> Option<Instant> {
        self.waiting.front().copied()
    }

    /// Returns how many beats are unanswered.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.waiting.len()
    }

    /// Returns when the server is to be shown as late, should it not answer before.
    #[must_use]
    pub fn late_at(&self) -> Option<Instant> {
        let patience = LATE_MIN.max(self.rtt.unwrap_or_default() * 4);
        self.oldest_unanswered().map(|sent| sent + patience)
    }

    /// Returns when the server is to be declared dead, should it not answer before.
    #[must_use]
    pub fn dead_at(&self) -> Option<Instant> {
        self.oldest_unanswered().map(|sent| sent + patience(self.interval))
    }
}

/// Returns how long a beat may stay unanswered: two intervals and 2 s.
#[must_use]
pub fn patience(interval: Duration) -> Duration {
    interval * 2 + PATIENCE_SLACK
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn started(interval: u64) -> (Pulse, Instant) {
        let now = Instant::now();
        (Pulse::new(secs(interval), true, false, now), now)
    }

    #[test]
    fn the_first_beat_comes_after_one_interval_and_the_others_on_the_same_grid() {
        let (mut pulse, start) = started(30);
        for nth in 1..100 {
            let due = start + secs(30 * nth);
            assert_eq!(pulse.next_beat(), Some(due));
            assert!(!pulse.is_due(due.checked_sub(Duration::from_nanos(1)).unwrap()) && pulse.is_due(due));
            // A few milliseconds late each time, and yet nothing adds up.
            pulse.beat(due + Duration::from_millis(7));
        }
    }

    #[test]
    fn a_pause_of_ten_intervals_costs_ten_beats_and_is_followed_by_one() {
        let (mut pulse, start) = started(10);
        let woken = start + Duration::from_millis(109_900);
        assert!(pulse.is_due(woken));
        pulse.beat(woken);
        assert!(!pulse.is_due(woken));
        assert_eq!(pulse.next_beat(), Some(woken + secs(10)), "not 100 ms later, where the old rhythm was");
    }

    proptest! {
        #[test]
        fn no_two_beats_are_further_apart_than_the_interval_nor_closer_than_half(lateness_ms in proptest::collection::vec(0u64..25_000, 1..30)) {
            let (mut pulse, _) = started(10);
            let mut last: Option<Instant> = None;
            for late in lateness_ms {
                let due = pulse.next_beat().unwrap();
                prop_assert!(last.is_none_or(|last| due - last <= secs(10) && due - last >= secs(5)));
                let sent = due + Duration::from_millis(late);
                pulse.beat(sent);
                last = Some(sent);
            }
        }
    }

    #[test]
    fn the_oldest_unanswered_beat_decides() {
        let (mut pulse, start) = started(10);
        assert_eq!((pulse.dead_at(), pulse.late_at()), (None, None), "nothing was asked yet");
        pulse.beat(start + secs(10));
        pulse.beat(start + secs(20));
        assert_eq!(pulse.dead_at(), Some(start + secs(32)));
        assert_eq!(pulse.late_at(), Some(start + secs(11)));
        let answer = pulse.answered(start + secs(21)).unwrap();
        assert_eq!(answer, Answer { rtt: secs(11), sent: start + secs(10) });
        assert_eq!((pulse.dead_at(), pulse.unanswered()), (Some(start + secs(42)), 1));
        assert_eq!(pulse.late_at(), Some(start + secs(64)), "four times as long as it took the last time");
        assert_eq!(pulse.answered(start + secs(21)).unwrap().rtt, secs(1));
        assert_eq!(pulse.answered(start + secs(22)), None, "an answer to nothing");
        assert_eq!(pulse.dead_at(), None);
    }

    #[test]
    fn where_no_answer_is_expected_there_is_no_verdict() {
        let start = Instant::now();
        let mut pulse = Pulse::new(secs(10), false, false, start);
        (1..100).for_each(|nth| pulse.beat(start + secs(nth * 10)));
        assert_eq!((pulse.dead_at(), pulse.unanswered()), (None, 0));
        assert_eq!(pulse.answered(start), None);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_keeps_the_oldest() {
        let (mut pulse, start) = started(1);
        (0..5_000).for_each(|_| pulse.beat(start));
        assert_eq!((pulse.unanswered(), pulse.dead_at()), (WAITING_MAX, Some(start + secs(4))));
    }

    #[test]
    fn a_held_pulse_does_not_beat_and_then_beats_at_once() {
        let (mut pulse, start) = started(10);
        pulse.hold(true, start);
        assert_eq!((pulse.next_beat(), pulse.is_due(start + secs(100))), (None, false));
        pulse.hold(false, start + secs(100));
        assert!(pulse.is_due(start + secs(100)));
        pulse.beat(start + secs(100));
        pulse.hold(false, start + secs(101));
        assert_eq!(
            pulse.next_beat(),
            Some(start + secs(110)),
            "letting go what was not held changes nothing"
        );
    }

    #[test]
    fn a_beat_out_of_turn_starts_a_new_rhythm() {
        let (mut pulse, start) = started(10);
        pulse.hurry(start + secs(3));
        pulse.beat(start + secs(3));
        assert_eq!(pulse.next_beat(), Some(start + secs(13)));
    }
}
