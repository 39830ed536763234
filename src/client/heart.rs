//! When to ping, and what the answers say about the server. Pure: time is an argument.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use crate::presence::Settings;

/// The longest interval a base server is pinged at; its clients have 60 s compiled into them.
pub const LEGACY_INTERVAL_MAX: Duration = Duration::from_mins(1);
/// What a base server is believed to tolerate.
const LEGACY_TIMEOUT: Duration = Duration::from_mins(2);
/// How long the oldest ping must have waited, however quiet the server is, before it is declared dead.
///
/// Where the interval is close to the timeout a healthy server is quiet for
/// longer than the limit before every ping; only an unanswered one tells.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);
/// What is added to two intervals of silence.
const SILENCE_SLACK: Duration = Duration::from_secs(2);
/// The shortest wait for an answer that is worth showing.
const LATE_MIN: Duration = Duration::from_secs(1);
/// How many unanswered pings are remembered, should a server answer none and yet talk.
const WAITING_MAX: usize = 1_024;

/// The heartbeat of one connection.
#[derive(Debug)]
pub struct Heart {
    settings: Settings,
    legacy: bool,
    holding: bool,
    /// The next ping is one that a whole herd sends at the same time.
    in_step: bool,
    rng: Rng,
    /// When the next ping is due; `None` before the server has said how often.
    next: Option<Instant>,
    last_sent: Option<Instant>,
    last_heard: Instant,
    seq: u64,
    /// Unanswered pings, oldest first.
    waiting: VecDeque<(u64, Instant)>,
    rtt: Option<Duration>,
}

/// What an answered ping tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The round trip, without the time the server held the ping.
    pub rtt: Duration,
    /// How long the oldest unanswered ping had waited.
    pub waited: Duration,
    /// How many pings before it will never be answered.
    pub skipped: usize,
}

impl Heart {
    /// Starts without a beat: the server has not said how often yet.
    #[must_use]
    pub fn new(now: Instant, holding: bool, rng: Rng) -> Self {
        Self {
            settings: Settings::default(),
            legacy: false,
            holding,
            in_step: false,
            rng,
            next: None,
            last_sent: None,
            last_heard: now,
            seq: 0,
            waiting: VecDeque::new(),
            rtt: None,
        }
    }

    /// Beats as agreed from now on; the first beat is anywhere in the interval, to keep a herd apart.
    pub fn agree(&mut self, settings: Settings, now: Instant) {
        (self.settings, self.legacy) = (settings, false);
        self.next = Some(now + settings.interval().mul_f64(self.rng.f64()));
    }

    /// Beats at its own interval, and at once: a base server says nothing about it.
    pub fn fall_back(&mut self, interval: Duration, now: Instant) {
        self.settings = legacy_settings(interval);
        self.legacy = true;
        self.next = Some(now);
    }

    /// Returns the settings in force.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Tells whether the next ping is due.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.next_ping().is_some_and(|next| next <= now)
    }

    /// Returns when the next ping is due; `None` while beats are held back or not agreed yet.
    #[must_use]
    pub fn next_ping(&self) -> Option<Instant> {
        self.next.filter(|_| !self.holding)
    }

    /// Makes the next ping due now.
    pub fn hurry(&mut self, now: Instant) {
        self.next = self.next.map(|_| now);
    }

    /// Makes the next ping due now, as everybody else's is, and the one after it anywhere in the interval.
    pub fn acknowledge(&mut self, now: Instant) {
        self.hurry(now);
        self.in_step = true;
    }

    /// Holds beats back, or lets them go again, starting at once.
    pub fn hold(&mut self, holding: bool, now: Instant) {
        if self.holding && !holding {
            self.hurry(now);
        }
        self.holding = holding;
    }

    /// Counts a ping that goes out now, and returns its number.
    ///
    /// The next one is counted from now and not from when this one was due,
    /// so after a pause there is one ping and not one for each that was missed.
    pub fn sent(&mut self, now: Instant) -> u64 {
        self.seq += 1;
        self.last_sent = Some(now);
        let least = if std::mem::take(&mut self.in_step) { 0.0 } else { 0.75 };
        self.next = Some(now + self.settings.interval().mul_f64(least + (1.0 - least) * self.rng.f64()));
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back((self.seq, now));
        self.seq
    }

    /// Takes note that something was received.
    pub fn heard(&mut self, now: Instant) {
        self.last_heard = now;
    }

    /// Takes a pong; one without a number answers the oldest ping. `None` if it answers no ping.
    pub fn answered(&mut self, seq: Option<u64>, hold: Duration, now: Instant) -> Option<Answer> {
        let (_, oldest) = *self.waiting.front()?;
        let at = seq.map_or(Some(0), |seq| self.waiting.iter().position(|(sent, _)| *sent == seq))?;
        // The wire keeps order: what was sent before an answered ping will not be answered any more.
        let (_, sent) = self.waiting.drain(..=at).next_back()?;
        let rtt = now.saturating_duration_since(sent).saturating_sub(hold);
        self.rtt = Some(rtt);
        Some(Answer { rtt, waited: now.saturating_duration_since(oldest), skipped: at })
    }

    /// Returns the last round trip.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Returns when the last ping went out.
    #[must_use]
    pub fn last_sent(&self) -> Option<Instant> {
        self.last_sent
    }

    /// Returns when something was last received.
    #[must_use]
    pub fn last_heard(&self) -> Instant {
        self.last_heard
    }

    /// Returns when the oldest unanswered ping went out.
    #[must_use]
    pub fn oldest_unanswered(&self) -> Option<Instant> {
        self.waiting.front().map(|(_, sent)| *sent)
    }

    /// Returns how many pings are unanswered.
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

    /// Returns when the server is to be declared dead, should nothing be received before.
    #[must_use]
    pub fn dead_at(&self) -> Option<Instant> {
        let limit = self.silence_limit();
        self.oldest_unanswered().map(|sent| (self.last_heard + limit).max(sent + limit.min(ANSWER_PATIENCE)))
    }

    /// Returns how long the server may be silent.
    ///
    /// Less than the timeout, so that a client is back before the server, or
    /// whoever took its place, misses it.
    #[must_use]
    pub fn silence_limit(&self) -> Duration {
        let two_beats = self.settings.interval() * 2 + SILENCE_SLACK;
        if self.legacy { two_beats } else { two_beats.min(self.settings.timeout() * 2 / 3) }
    }
}

/// Returns the settings a base server is met with.
#[must_use]
pub fn legacy_settings(interval: Duration) -> Settings {
    Settings::new(interval.min(LEGACY_INTERVAL_MAX), LEGACY_TIMEOUT).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn agreed(interval: u64, timeout: u64, seed: u64) -> (Heart, Instant) {
        let now = Instant::now();
        let mut heart = Heart::new(now, false, Rng::with_seed(seed));
        heart.agree(Settings::new(secs(interval), secs(timeout)).unwrap(), now);
        (heart, now)
    }

    proptest! {
        #[test]
        fn a_beat_is_never_later_than_agreed_and_never_much_too_early(seed: u64, interval in 1u64..3_600) {
            let (mut heart, start) = agreed(interval, interval * 2, seed);
            let first = heart.next_ping().unwrap();
            prop_assert!(first - start <= secs(interval));
            let mut last = first;
            for _ in 0..20 {
                heart.sent(last);
                let next = heart.next_ping().unwrap();
                let gap = (next - last).as_secs_f64() / secs(interval).as_secs_f64();
                prop_assert!((0.75 - 1e-6..=1.0).contains(&gap), "{gap}");
                last = next;
            }
        }

        #[test]
        fn a_server_that_answers_is_never_declared_dead(seed: u64, interval in 1u64..100, extra in 1u64..100, rtt_ms in 0u64..600) {
            let (mut heart, _) = agreed(interval, interval + extra, seed);
            for _ in 0..30 {
                let sent = heart.next_ping().unwrap();
                prop_assert!(heart.dead_at().is_none());
                let seq = heart.sent(sent);
                let back = sent + Duration::from_millis(rtt_ms);
                prop_assert!(heart.dead_at().unwrap() > back);
                heart.heard(back);
                heart.answered(Some(seq), Duration::ZERO, back).unwrap();
            }
        }
    }

    #[test]
    fn the_first_beats_of_a_herd_fill_the_interval() {
        let shares: Vec<f64> = (0..300)
            .map(|seed| {
                let (heart, start) = agreed(60, 120, seed);
                (heart.next_ping().unwrap() - start).as_secs_f64() / 60.0
            })
            .collect();
        assert!(shares.iter().any(|&share| share < 0.05) && shares.iter().any(|&share| share > 0.95));
    }

    #[test]
    fn a_herd_that_acknowledges_at_once_is_apart_again_with_its_next_beats() {
        let shares: Vec<f64> = (0..300)
            .map(|seed| {
                let (mut heart, start) = agreed(60, 120, seed);
                heart.acknowledge(start);
                assert!(heart.is_due(start));
                heart.sent(start);
                let next = heart.next_ping().unwrap();
                heart.sent(next);
                let second = (heart.next_ping().unwrap() - next).as_secs_f64() / 60.0;
                assert!((0.75 - 1e-6..=1.0).contains(&second), "{second}");
                (next - start).as_secs_f64() / 60.0
            })
            .collect();
        assert!(shares.iter().any(|&share| share < 0.05) && shares.iter().any(|&share| share > 0.95));
    }

    #[test]
    fn a_silent_server_dies_when_both_the_silence_and_the_wait_are_long_enough() {
        let (mut heart, start) = agreed(5, 15, 1);
        assert_eq!(heart.silence_limit(), secs(10));
        heart.sent(start + secs(4));
        assert_eq!(heart.dead_at(), Some(start + secs(10)));
        heart.heard(start + secs(3));
        assert_eq!(heart.dead_at(), Some(start + secs(13)));
        let (mut heart, start) = agreed(60, 61, 1);
        heart.sent(start + secs(60));
        assert_eq!(heart.dead_at(), Some(start + secs(62)), "the ping itself gets two seconds");
    }

    #[test]
    fn pongs_find_their_pings() {
        let (mut heart, now) = agreed(5, 15, 1);
        assert_eq!(heart.answered(None, Duration::ZERO, now), None);
        for at in 0..4 {
            heart.sent(now + secs(at));
        }
        let hold = Duration::from_millis(100);
        let answer = heart.answered(Some(2), hold, now + secs(2)).unwrap();
        assert_eq!(answer, Answer { rtt: Duration::from_millis(900), waited: secs(2), skipped: 1 });
        assert_eq!(heart.answered(Some(1), hold, now + secs(2)), None, "that one was given up");
        assert_eq!(heart.answered(None, secs(99), now + secs(3)).unwrap().rtt, Duration::ZERO);
        assert_eq!(heart.unanswered(), 1);
        assert_eq!(heart.answered(Some(77), hold, now), None);
    }

    #[test]
    fn a_held_heart_does_not_beat_and_then_beats_at_once() {
        let (mut heart, now) = agreed(5, 15, 1);
        heart.hold(true, now);
        assert!(!heart.is_due(now + secs(100)));
        heart.hold(false, now + secs(100));
        assert!(heart.is_due(now + secs(100)));
    }

    #[test]
    fn a_base_server_is_pinged_at_once_and_then_at_least_every_minute() {
        let now = Instant::now();
        let mut heart = Heart::new(now, false, Rng::with_seed(3));
        heart.fall_back(secs(300), now);
        assert!(heart.is_due(now));
        assert_eq!(heart.settings().interval(), secs(60));
        assert_eq!(heart.silence_limit(), secs(122));
    }
}
