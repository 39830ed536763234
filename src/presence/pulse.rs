//! One client's signs of life, written by its session and read by the judge.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::settings::Revision;

/// When a client was last heard, and how it is doing.
///
/// A session is the only writer of everything but the late mark; the hub reads
/// it on its sweeps. Beats therefore cross no channel and take no lock: with
/// beats in the hub's inbox a starved machine would stall joins behind them.
#[derive(Debug)]
pub struct Pulse {
    since: Instant,
    /// Microseconds from `since` to the last sign of life.
    seen_us: AtomicU64,
    beats: AtomicU32,
    /// Microseconds plus one; 0 is "not measured yet".
    rtt_us: AtomicU32,
    /// The last round trip as it was measured, in microseconds.
    raw_rtt_us: AtomicU32,
    /// Microseconds.
    jitter_us: AtomicU32,
    rev: AtomicU32,
    /// Milliseconds between the last pings, and between those before.
    gaps_ms: [AtomicU32; 2],
    /// Milliseconds between two pings, smoothed, plus one; 0 is "not measured yet".
    mean_gap_ms: AtomicU32,
    /// How far a gap is from that, smoothed, in milliseconds.
    gap_spread_ms: AtomicU32,
    late: AtomicBool,
    strip: AtomicU64,
}

/// The last beats of a client, oldest first: two bits each, the newest lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BeatStrip(pub u64);

/// How one expected beat went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// It came within 1.5 intervals of the one before.
    OnTime,
    /// It came, but later than that.
    Late,
    /// It never came.
    Missed,
}

/// How many beats a [`BeatStrip`] remembers.
pub const STRIP_BEATS: u32 = 32;

impl BeatStrip {
    /// Returns the strip with one more beat at its end.
    #[must_use]
    pub fn with(self, beat: Beat) -> Self {
        let bits = match beat {
            Beat::OnTime => 1,
            Beat::Late => 2,
            Beat::Missed => 3,
        };
        Self(self.0 << 2 | bits)
    }

    /// Yields the remembered beats, oldest first.
    pub fn iter(self) -> impl Iterator<Item = Beat> {
        (0..STRIP_BEATS).rev().filter_map(move |at| match self.0 >> (2 * at) & 3 {
            1 => Some(Beat::OnTime),
            2 => Some(Beat::Late),
            3 => Some(Beat::Missed),
            _ => None,
        })
    }
}

impl Pulse {
    /// Starts a pulse with its first sign of life at `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            since: now,
            seen_us: AtomicU64::new(0),
            beats: AtomicU32::new(0),
            rtt_us: AtomicU32::new(0),
            raw_rtt_us: AtomicU32::new(0),
            jitter_us: AtomicU32::new(0),
            rev: AtomicU32::new(0),
            gaps_ms: [AtomicU32::new(0), AtomicU32::new(0)],
            mean_gap_ms: AtomicU32::new(0),
            gap_spread_ms: AtomicU32::new(0),
            late: AtomicBool::new(false),
            strip: AtomicU64::new(0),
        }
    }

    /// Notes a sign of life; returns whether the client had been marked late, so that the hub must be told.
    #[must_use]
    pub fn touch(&self, now: Instant) -> bool {
        let us = now.saturating_duration_since(self.since).as_micros();
        self.seen_us.store(u64::try_from(us).unwrap_or(u64::MAX), Relaxed);
        // Reading first keeps the common case free of a locked instruction.
        self.late.load(Relaxed) && self.late.swap(false, Relaxed)
    }

    /// Counts a ping that came `gap` after the sign of life before it, against the agreed `interval`.
    pub fn beat(&self, gap: Duration, interval: Duration) {
        let beats = self.beats.load(Relaxed);
        self.beats.store(beats.wrapping_add(1), Relaxed);
        let gap_ms = u32::try_from(gap.as_millis()).unwrap_or(u32::MAX - 1);
        let [newer, older] = &self.gaps_ms;
        older.store(newer.load(Relaxed), Relaxed);
        newer.store(gap_ms, Relaxed);
        if beats > 0 {
            self.smooth_gap(gap_ms);
        }
        let mut strip = BeatStrip(self.strip.load(Relaxed));
        for _ in 0..missed_beats(gap, interval).min(STRIP_BEATS) {
            strip = strip.with(Beat::Missed);
        }
        let on_time = gap <= interval + interval / 2;
        strip = strip.with(if on_time { Beat::OnTime } else { Beat::Late });
        self.strip.store(strip.0, Relaxed);
    }

    /// Takes one more gap into the client's own rhythm, with the weights TCP gives a round trip (RFC 6298).
    fn smooth_gap(&self, gap_ms: u32) {
        let (mean, spread) = match self.mean_gap_ms.load(Relaxed) {
            0 => (gap_ms, gap_ms / 8),
            known => {
                let mean = known - 1;
                let off = gap_ms.abs_diff(mean);
                (toward(mean, gap_ms, 8), toward(self.gap_spread_ms.load(Relaxed), off, 4))
            }
        };
        self.mean_gap_ms.store(mean.saturating_add(1), Relaxed);
        self.gap_spread_ms.store(spread, Relaxed);
    }

    /// Returns how far apart the client's pings are, and how far from that one usually is; `None` before
    /// there was a gap under the settings it follows.
    #[must_use]
    pub fn gap(&self) -> Option<(Duration, Duration)> {
        let mean = self.mean_gap_ms.load(Relaxed).checked_sub(1)?;
        let millis = |ms: u32| Duration::from_millis(ms.into());
        Some((millis(mean), millis(self.gap_spread_ms.load(Relaxed))))
    }

    /// Reads what an order of rows needs, for nothing but to have it near.
    pub(super) fn fetch(&self) {
        std::hint::black_box((self.since, self.seen_us.load(Relaxed), self.rtt_us.load(Relaxed)));
    }

    /// Returns when the client was last heard.
    #[must_use]
    pub fn last_seen(&self) -> Instant {
        self.since + Duration::from_micros(self.seen_us.load(Relaxed))
    }

    /// Marks the client late, unless it was heard since `last_seen`; returns whether the mark stands.
    #[must_use]
    pub fn mark_late(&self, last_seen: Instant) -> bool {
        self.late.store(true, Relaxed);
        // A beat between the judge's look and the mark would go unnoticed: look again.
        if self.last_seen() > last_seen {
            self.late.store(false, Relaxed);
            return false;
        }
        true
    }

    /// Notes a round trip measured by the client: smoothed with 1/8 of each new one (as TCP does, RFC 6298),
    /// and its jitter with 1/16 of each change (as RTP does, RFC 3550, 6.4.1).
    pub fn set_rtt(&self, rtt: Duration) {
        let us = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX - 1);
        let smooth = match self.rtt_us.load(Relaxed) {
            0 => us,
            known => {
                let change = us.abs_diff(self.raw_rtt_us.load(Relaxed));
                self.jitter_us.store(toward(self.jitter_us.load(Relaxed), change, 16), Relaxed);
                toward(known - 1, us, 8)
            }
        };
        self.raw_rtt_us.store(us, Relaxed);
        self.rtt_us.store(smooth.saturating_add(1), Relaxed);
    }

    /// Returns how much the round trip varies; `None` before two were measured.
    #[must_use]
    pub fn jitter(&self) -> Option<Duration> {
        let us = self.jitter_us.load(Relaxed);
        (us > 0).then(|| Duration::from_micros(us.into()))
    }

    /// Returns the smoothed round trip.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        let us = self.rtt_us.load(Relaxed).checked_sub(1)?;
        Some(Duration::from_micros(us.into()))
    }

    /// Notes the settings revision the client says it follows; its rhythm is measured afresh from there.
    pub fn set_revision(&self, rev: Revision) {
        self.rev.store(rev.0, Relaxed);
        self.mean_gap_ms.store(0, Relaxed);
    }

    /// Returns the settings revision the client last acknowledged; 0 for none.
    #[must_use]
    pub fn revision(&self) -> Revision {
        Revision(self.rev.load(Relaxed))
    }

    /// Returns the longer of the last two gaps between pings; `None` before there were two.
    #[must_use]
    pub fn longest_gap(&self) -> Option<Duration> {
        let longest = self.gaps_ms.iter().map(|gap| gap.load(Relaxed)).max()?;
        // The first ping has no gap before it.
        (self.beats() > 2).then(|| Duration::from_millis(longest.into()))
    }

    /// Returns how many pings have come.
    #[must_use]
    pub fn beats(&self) -> u32 {
        self.beats.load(Relaxed)
    }

    /// Returns how the last beats went.
    #[must_use]
    pub fn strip(&self) -> BeatStrip {
        BeatStrip(self.strip.load(Relaxed))
    }
}

/// Returns `from` moved towards `to` by one part in `parts`.
fn toward(from: u32, to: u32, parts: u32) -> u32 {
    if to >= from { from + (to - from) / parts } else { from - (from - to) / parts }
}

/// Returns how many beats an `interval` would have brought inside `gap` that did not come.
#[must_use]
pub fn missed_beats(gap: Duration, interval: Duration) -> u32 {
    let whole = gap.as_micros() / interval.as_micros().max(1);
    u32::try_from(whole).unwrap_or(u32::MAX).saturating_sub(1)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;

    #[test]
    fn a_touch_moves_the_last_sign_of_life() {
        let start = Instant::now();
        let pulse = Pulse::new(start);
        assert_eq!(pulse.last_seen(), start);
        let later = start + Duration::from_millis(1_500);
        assert!(!pulse.touch(later));
        assert_eq!(pulse.last_seen(), later);
    }

    #[test]
    fn a_late_mark_is_reported_by_the_next_touch_and_only_by_it() {
        let start = Instant::now();
        let pulse = Pulse::new(start);
        assert!(pulse.mark_late(start));
        assert!(pulse.touch(start + Duration::from_secs(1)));
        assert!(!pulse.touch(start + Duration::from_secs(2)));
    }

    #[test]
    fn a_late_mark_does_not_stand_against_a_beat_the_judge_had_not_seen() {
        let start = Instant::now();
        let pulse = Pulse::new(start);
        let _ = pulse.touch(start + Duration::from_secs(1));
        assert!(!pulse.mark_late(start));
        assert!(!pulse.touch(start + Duration::from_secs(2)));
    }

    #[test]
    fn the_strip_shows_what_was_late_and_what_never_came() {
        let pulse = Pulse::new(Instant::now());
        let second = Duration::from_secs(1);
        pulse.beat(second, second);
        pulse.beat(second * 8 / 5, second);
        pulse.beat(second * 3, second);
        let beats: Vec<_> = pulse.strip().iter().collect();
        assert_eq!(beats, [Beat::OnTime, Beat::Late, Beat::Missed, Beat::Missed, Beat::Late]);
        assert_eq!(pulse.beats(), 3);
    }

    #[test]
    fn the_strip_forgets_the_oldest() {
        let mut strip = BeatStrip::default().with(Beat::Missed);
        for _ in 0..STRIP_BEATS {
            strip = strip.with(Beat::OnTime);
        }
        assert!(strip.iter().all(|beat| beat == Beat::OnTime));
        assert_eq!(strip.iter().count(), 32);
    }

    #[test]
    fn the_rhythm_of_a_client_is_its_own_and_starts_afresh_with_other_settings() {
        let pulse = Pulse::new(Instant::now());
        let second = Duration::from_secs(1);
        pulse.beat(Duration::ZERO, second);
        assert_eq!(pulse.gap(), None, "the first ping has no gap before it");
        for _ in 0..40 {
            pulse.beat(second * 6, second);
        }
        assert_eq!(pulse.gap().unwrap().0, second * 6);
        assert!(pulse.gap().unwrap().1 < second / 50, "it is as steady as can be");
        pulse.beat(second * 14, second);
        assert_eq!(pulse.gap().unwrap().0, second * 7, "one eighth of the way");
        pulse.set_revision(Revision(2));
        assert_eq!(pulse.gap(), None);
    }

    #[test]
    fn jitter_follows_the_changes_of_the_round_trip() {
        let pulse = Pulse::new(Instant::now());
        let ms = Duration::from_millis;
        pulse.set_rtt(ms(100));
        assert_eq!(pulse.jitter(), None);
        pulse.set_rtt(ms(116));
        assert_eq!(pulse.jitter(), Some(ms(1)), "a sixteenth of the change");
        for at in 0..500 {
            pulse.set_rtt(ms(if at % 2 == 0 { 100 } else { 116 }));
        }
        assert!(pulse.jitter().unwrap().abs_diff(ms(16)) < ms(1));
    }

    #[test]
    fn an_rtt_of_zero_is_a_measurement() {
        let pulse = Pulse::new(Instant::now());
        assert_eq!(pulse.rtt(), None);
        pulse.set_rtt(Duration::ZERO);
        assert_eq!(pulse.rtt(), Some(Duration::ZERO));
        pulse.set_rtt(Duration::from_millis(80));
        assert_eq!(pulse.rtt(), Some(Duration::from_millis(10)), "one slow beat is no slow client");
        pulse.set_rtt(Duration::MAX);
        assert!(pulse.rtt() > Some(Duration::from_secs(500)));
    }
}
