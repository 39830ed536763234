//! What has been counted so far: every client has one fate, every answer one round trip.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::{CreationError, Histogram};

use crate::protocol::{ErrorCode, clean};

/// The longest span a histogram keeps apart, in microseconds: an hour.
const SPAN_US_MAX: u64 = 3_600_000_000;
/// How many digits of a span are kept.
const DIGITS: u8 = 3;
/// How much of a server's words is kept.
const WORDS_BYTES_MAX: usize = 200;

/// How the connection of a registered client ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stayed to the end.
    Stayed,
    /// It made room for another.
    Replaced,
    /// The server asked it to leave.
    Drained,
    /// It was frozen and timed out, so much later than its timeout; `None` where the timeout is not known.
    FrozenOut { late: Option<Duration> },
    /// It was timed out though it had spoken within the timeout.
    WronglyTimedOut,
    /// It was timed out, and had not spoken: its interval is too long, or this machine too slow for the swarm.
    Starved,
    /// The server ended it with this.
    Cut(ErrorCode),
    /// The connection broke or was closed without a word.
    Lost,
}

/// Why a client never registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The server said so.
    Told(ErrorCode),
    /// There was no connection to be had, or it did not last; in the system's words or ours.
    Failed(String),
    /// The swarm ended before its turn came.
    TooLate,
}

/// Spans, in microseconds.
#[derive(Debug)]
pub(super) struct Spans(pub(super) Histogram<u64>);

impl Spans {
    fn new() -> Result<Self, CreationError> {
        Histogram::new_with_bounds(1, SPAN_US_MAX, DIGITS).map(Self)
    }

    /// Counts a span; one of more than an hour counts as an hour.
    pub(super) fn record(&mut self, span: Duration) {
        self.0.saturating_record(u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
    }
}

/// What the first welcome said about the server; the same for everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
}

/// All counts of a swarm.
#[derive(Debug)]
pub(super) struct Tally {
    /// Clients whose turn to connect has come.
    pub(super) begun: u64,
    pub(super) registered: u64,
    /// How many of the first ones are not settled: neither in nor refused.
    pub(super) expected: usize,
    pub(super) online: u64,
    pub(super) online_most: u64,
    /// From the start until everybody was in or refused.
    pub(super) settled: Option<Duration>,
    /// From the start until as many as asked for were in at once.
    pub(super) full: Option<Duration>,
    pub(super) refused: BTreeMap<&'static str, u64>,
    pub(super) failed: BTreeMap<String, u64>,
    pub(super) too_late: u64,
    pub(super) stayed: u64,
    pub(super) replaced: u64,
    pub(super) drained: u64,
    pub(super) frozen_out: u64,
    pub(super) wrongly_timed_out: u64,
    pub(super) starved: u64,
    pub(super) cut: BTreeMap<&'static str, u64>,
    pub(super) lost: u64,
    pub(super) pings: u64,
    pub(super) pongs: u64,
    pub(super) held_back: u64,
    pub(super) unreadable: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// From the first packet to a connection.
    pub(super) connect: Spans,
    /// From the first packet to being registered.
    pub(super) register: Spans,
    /// From a ping to its pong.
    pub(super) pong: Spans,
    /// From the time a ping was planned for to the time it was written.
    pub(super) own_lag: Spans,
    /// From the end of a frozen client's timeout to hearing of it.
    pub(super) lateness: Spans,
    pub(super) told: Option<Told>,
    /// The first thing that went wrong, in the server's or the system's words.
    pub(super) trouble: Option<String>,
}

impl Tally {
    /// Starts with nothing, expecting so many clients.
    pub(super) fn new(expected: usize) -> Result<Self, CreationError> {
        Ok(Self {
            begun: 0,
            registered: 0,
            expected,
            online: 0,
            online_most: 0,
            settled: None,
            full: None,
            refused: BTreeMap::new(),
            failed: BTreeMap::new(),
            too_late: 0,
            stayed: 0,
            replaced: 0,
            drained: 0,
            frozen_out: 0,
            wrongly_timed_out: 0,
            starved: 0,
            cut: BTreeMap::new(),
            lost: 0,
            pings: 0,
            pongs: 0,
            held_back: 0,
            unreadable: 0,
            bytes_in: 0,
            bytes_out: 0,
            connect: Spans::new()?,
            register: Spans::new()?,
            pong: Spans::new()?,
            own_lag: Spans::new()?,
            lateness: Spans::new()?,
            told: None,
            trouble: None,
        })
    }

    /// Counts a client that is in, `took` after its first packet.
    pub(super) fn registered(&mut self, took: Duration) {
        self.registered += 1;
        self.online += 1;
        self.online_most = self.online_most.max(self.online);
        self.register.record(took);
    }

    /// Counts one that never got in; `words` are the server's, if it had any.
    pub(super) fn refused(&mut self, refusal: Refusal, words: Option<&str>) {
        let trouble = match refusal {
            Refusal::Told(code) => {
                *self.refused.entry(code.word()).or_default() += 1;
                format!("{code}: {}", clean::line(words.unwrap_or_default(), WORDS_BYTES_MAX))
            }
            Refusal::Failed(why) => {
                *self.failed.entry(why.clone()).or_default() += 1;
                why
            }
            Refusal::TooLate => {
                self.too_late += 1;
                return;
            }
        };
        self.trouble.get_or_insert(trouble);
    }

    /// Counts one of the first clients as settled, `at` after the start; true for the last of them.
    pub(super) fn settle(&mut self, at: Duration, asked: usize) -> bool {
        self.expected = self.expected.saturating_sub(1);
        if usize::try_from(self.online_most).unwrap_or(usize::MAX) >= asked {
            self.full.get_or_insert(at);
        }
        if self.expected == 0 {
            self.settled.get_or_insert(at);
        }
        self.expected == 0
    }

    /// Counts how a registered client ended that had sent so many pings.
    pub(super) fn ended(&mut self, fate: &Fate, pings: u64) {
        self.online = self.online.saturating_sub(1);
        self.pings += pings;
        match fate {
            Fate::Stayed => self.stayed += 1,
            Fate::Replaced => self.replaced += 1,
            Fate::Drained => self.drained += 1,
            Fate::FrozenOut { late } => {
                self.frozen_out += 1;
                if let Some(late) = late {
                    self.lateness.record(*late);
                }
            }
            Fate::WronglyTimedOut => self.wrongly_timed_out += 1,
            Fate::Starved => self.starved += 1,
            Fate::Cut(code) => *self.cut.entry(code.word()).or_default() += 1,
            Fate::Lost => self.lost += 1,
        }
    }

    /// Returns how many were refused or failed.
    pub(super) fn not_let_in(&self) -> u64 {
        self.refused.values().chain(self.failed.values()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_swarm_is_settled_when_the_last_is_in_or_refused_and_full_only_when_all_are_in() {
        let ms = Duration::from_millis;
        let mut tally = Tally::new(2).unwrap();
        tally.registered(ms(1));
        assert!(!tally.settle(ms(5), 2));
        tally.refused(Refusal::Told(ErrorCode::Full), Some("1 of 1 clients\x1b"));
        assert!(tally.settle(ms(6), 2));
        assert_eq!((tally.settled, tally.full, tally.not_let_in()), (Some(ms(6)), None, 1));
        assert_eq!(tally.trouble.as_deref(), Some("full: 1 of 1 clients\u{fffd}"));
        let mut tally = Tally::new(1).unwrap();
        tally.registered(ms(1));
        assert!(tally.settle(ms(5), 1));
        assert_eq!(tally.full, Some(ms(5)));
    }

    #[test]
    fn whoever_ends_is_no_longer_online() {
        let mut tally = Tally::new(2).unwrap();
        tally.registered(Duration::ZERO);
        tally.registered(Duration::ZERO);
        tally.ended(&Fate::FrozenOut { late: Some(Duration::from_millis(7)) }, 3);
        assert_eq!((tally.online, tally.online_most, tally.frozen_out), (1, 2, 1));
        assert_eq!((tally.lateness.0.len(), tally.pings), (1, 3));
        tally.ended(&Fate::FrozenOut { late: None }, 0);
        assert_eq!((tally.frozen_out, tally.lateness.0.len()), (2, 1), "what is not known is not counted");
    }
}
