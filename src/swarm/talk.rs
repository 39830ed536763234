//! What one client says and when, and what it makes of the answers. Pure: time is an argument.

use std::collections::VecDeque;
use std::io::Write as _;
use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use super::plan::{Dialect, Plan};
use super::tally::Fate;
use crate::presence::settings::{INTERVAL_MAX, INTERVAL_MIN, TIMEOUT_MAX};
use crate::protocol::message::{Config, ErrorMessage, Pong};
use crate::protocol::{ClientMessage, ErrorCode, Register, ServerMessage, Welcome};

/// The longest wait a server's `drain` may ask for.
const DRAIN_MAX: Duration = Duration::from_hours(1);
/// A time at which nothing happens any more.
const NEVER: Duration = Duration::from_hours(24 * 365);
/// How many unanswered base pings are remembered, should a server answer none.
const WAITING_MAX: usize = 64;

/// One client's side of a conversation.
#[derive(Debug)]
pub(super) struct Talk {
    /// When the swarm began; pings carry their time since then.
    epoch: Instant,
    dialect: Dialect,
    closed_loop: bool,
    /// Whether its interval is its own, whatever the server asks for.
    own_interval: bool,
    interval: Duration,
    /// How long the server says it tolerates silence.
    timeout: Option<Duration>,
    rev: u32,
    stage: Stage,
    seq: u64,
    rtt_us: u32,
    sent_at: Instant,
    next_ping: Instant,
    /// The next ping is one that all send at the same time.
    in_step: bool,
    /// When it goes, and how that counts.
    leaves: Option<(Instant, Fate)>,
    /// The last error it was told, and when.
    told: Option<(ErrorCode, Instant)>,
    /// When the unanswered pings of a base client went out; the others carry their time.
    waiting: VecDeque<Instant>,
    rng: Rng,
}

/// How far a client has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It has said who it is.
    Greeting,
    /// It is registered.
    In,
    /// It is registered and says nothing more.
    Frozen,
}

/// What a line meant.
#[derive(Debug)]
pub(super) enum Heard {
    /// Nothing that is counted.
    Nothing,
    /// An answer, so much later than the ping.
    Pong(Option<Duration>),
    /// It is registered now, under these rules.
    Welcome(Box<Welcome>),
    /// An error.
    Error(ErrorMessage),
    /// No message at all.
    Unreadable,
}

/// What was done because its time had come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// A ping, so much later than planned.
    Pinged(Duration),
    /// No ping, because the server has not taken what was written before.
    HeldBack,
    /// The goodbye, if there is one; now it is to close.
    Left(Fate),
    /// Nothing: it is frozen, or it was too early.
    Nothing,
}

impl Talk {
    /// Starts to talk; nothing is said yet.
    pub(super) fn new(plan: &Plan, epoch: Instant, rng: Rng, now: Instant) -> Self {
        Self {
            epoch,
            dialect: plan.dialect,
            closed_loop: plan.closed_loop,
            own_interval: plan.interval.is_some(),
            interval: plan.interval.unwrap_or(INTERVAL_MAX),
            timeout: plan.timeout,
            rev: 0,
            stage: Stage::Greeting,
            seq: 0,
            rtt_us: 0,
            sent_at: now,
            next_ping: now + NEVER,
            in_step: false,
            leaves: None,
            told: None,
            waiting: VecDeque::new(),
            rng,
        }
    }

    /// Writes the first line; a base client's first ping goes with it.
    pub(super) fn greet(&mut self, register: Register, now: Instant, out: &mut Vec<u8>) {
        self.sent_at = now;
        *out = ClientMessage::Register(Box::new(register)).encode();
        if self.dialect == Dialect::Base {
            self.ping(now, out);
            self.next_ping = now + self.beat();
        }
    }

    /// Tells whether the server has let it in.
    pub(super) fn is_registered(&self) -> bool {
        self.stage != Stage::Greeting
    }

    fn is_frozen(&self) -> bool {
        self.stage == Stage::Frozen
    }

    /// Returns how many pings it has written.
    pub(super) fn pings(&self) -> u64 {
        self.seq
    }

    /// Has it go at `at`, and count as replaced then.
    pub(super) fn make_room_at(&mut self, at: Instant) {
        self.leaves = Some((at, Fate::Replaced));
    }

    /// Returns when [`Talk::act`] is to be called next.
    pub(super) fn next_act(&self) -> Instant {
        self.leaves.as_ref().map_or(self.next_ping, |(at, _)| self.next_ping.min(*at))
    }

    /// Does what its time has come for; `freeze` says whether it is to fall silent instead of pinging.
    pub(super) fn act(&mut self, now: Instant, freeze: bool, out: &mut Vec<u8>) -> Done {
        if let Some((_, fate)) = self.leaves.take_if(|(at, _)| *at <= now) {
            self.say_goodbye(out);
            return Done::Left(fate);
        }
        if self.next_ping > now {
            return Done::Nothing;
        }
        if freeze {
            self.stage = Stage::Frozen;
            self.next_ping = now + NEVER;
            return Done::Nothing;
        }
        let due = self.next_ping;
        // The schedule is fixed: a ping that goes out late does not push the next one back. But
        // whoever is a whole interval behind starts afresh, instead of sending a burst.
        let next = due + self.beat();
        self.next_ping = if next > now { next } else { now + self.beat() };
        if !out.is_empty() {
            return Done::HeldBack;
        }
        self.ping(now, out);
        Done::Pinged(now.saturating_duration_since(due))
    }

    /// Writes the goodbye; the base protocol has none.
    pub(super) fn say_goodbye(&mut self, out: &mut Vec<u8>) {
        if self.dialect == Dialect::Presence && self.is_registered() {
            out.extend_from_slice(b"{\"type\":\"leave\",\"reason\":\"quit\"}\n");
        }
    }

    /// Takes one line from the server; what it calls for is appended to `out`.
    pub(super) fn hear(&mut self, line: &[u8], now: Instant, out: &mut Vec<u8>) -> Heard {
        let heard = match plain_pong(line) {
            Some(PlainPong { sent_us }) => self.pong(sent_us, now, out),
            None if line.starts_with(b"{\"type\":\"client_") => Heard::Nothing, // A list is not read here.
            None => match ServerMessage::decode(line) {
                Ok(message) => self.message(message, now, out),
                Err(_) => Heard::Unreadable,
            },
        };
        let shows_it = self.dialect == Dialect::Base && !matches!(heard, Heard::Error(_) | Heard::Unreadable);
        if shows_it && !self.is_registered() {
            // The base protocol has no welcome: whatever comes first shows that one is in.
            self.stage = Stage::In;
        }
        heard
    }

    fn message(&mut self, message: ServerMessage, now: Instant, out: &mut Vec<u8>) -> Heard {
        match message {
            ServerMessage::Welcome(welcome) if !self.is_registered() && self.dialect == Dialect::Presence => {
                self.stage = Stage::In;
                self.follow(welcome.rev, welcome.interval_ms, welcome.timeout_ms);
                let share = if self.closed_loop { 0.0 } else { self.rng.f64() };
                self.next_ping = now + self.interval.mul_f64(share);
                return Heard::Welcome(welcome);
            }
            ServerMessage::Pong(pong) => {
                let sent_us = pong.t.as_ref().and_then(|t| t.get().parse().ok());
                if let Pong {
                    rev: Some(rev), interval_ms: Some(interval), timeout_ms: Some(timeout), ..
                } = pong
                {
                    self.retune(rev, interval, timeout, now);
                }
                return self.pong(sent_us, now, out);
            }
            ServerMessage::Config(Config { rev, interval_ms, timeout_ms, .. }) => {
                self.retune(rev, interval_ms, timeout_ms, now);
            }
            ServerMessage::Probe if !self.is_frozen() => self.next_ping = now,
            ServerMessage::Ping { seq } if !self.is_frozen() => {
                out.extend_from_slice(&ClientMessage::Pong { seq }.encode());
                self.sent_at = now;
            }
            ServerMessage::Drain { in_ms, .. } if !self.is_frozen() => {
                let slot = now + Duration::from_millis(in_ms).min(DRAIN_MAX);
                if self.leaves.as_ref().is_none_or(|(at, _)| *at > slot) {
                    self.leaves = Some((slot, Fate::Drained));
                }
            }
            ServerMessage::Error(error) => {
                self.told = Some((error.code, now));
                return Heard::Error(error);
            }
            _ => {}
        }
        Heard::Nothing
    }

    fn pong(&mut self, sent_us: Option<u64>, now: Instant, out: &mut Vec<u8>) -> Heard {
        let rtt = match sent_us {
            Some(us) => {
                Some(now.saturating_duration_since(self.epoch).saturating_sub(Duration::from_micros(us)))
            }
            None => self.waiting.pop_front().map(|sent| now.saturating_duration_since(sent)),
        };
        if let Some(rtt) = rtt {
            self.rtt_us = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX);
        }
        // A base client's first ping went out with its greeting, so its loop runs before it counts as in.
        if self.closed_loop && (self.is_registered() || self.dialect == Dialect::Base) {
            self.next_ping = now + NEVER;
            self.ping(now, out);
        }
        Heard::Pong(rtt)
    }

    /// Follows new settings from now on, and says so at once; one that is frozen hears nothing.
    fn retune(&mut self, rev: u32, interval_ms: u64, timeout_ms: u64, now: Instant) {
        if self.is_frozen() {
            // It never acknowledges, so the server goes by whichever is longer.
            self.timeout = self.timeout.max(Some(bounded_timeout(timeout_ms)));
        } else if rev != self.rev {
            self.follow(rev, interval_ms, timeout_ms);
            (self.next_ping, self.in_step) = (now, true);
        }
    }

    fn follow(&mut self, rev: u32, interval_ms: u64, timeout_ms: u64) {
        self.rev = rev;
        self.timeout = Some(bounded_timeout(timeout_ms));
        if !self.own_interval {
            self.interval = Duration::from_millis(interval_ms).clamp(INTERVAL_MIN, INTERVAL_MAX);
        }
    }

    fn ping(&mut self, now: Instant, out: &mut Vec<u8>) {
        self.sent_at = now;
        self.seq += 1;
        if self.dialect == Dialect::Base {
            out.extend_from_slice(b"{\"type\":\"ping\"}\n");
            if self.waiting.len() < WAITING_MAX {
                self.waiting.push_back(now);
            }
            return;
        }
        let (seq, rev, rtt_us) = (self.seq, self.rev, self.rtt_us);
        let t = now.saturating_duration_since(self.epoch).as_micros();
        out.reserve(PING_BYTES); // By hand, and not by serde: this is what is written all the time.
        let _ = if rtt_us == 0 {
            writeln!(out, "{{\"type\":\"ping\",\"seq\":{seq},\"t\":{t},\"rev\":{rev}}}")
        } else {
            writeln!(out, "{{\"type\":\"ping\",\"seq\":{seq},\"t\":{t},\"rev\":{rev},\"rtt_us\":{rtt_us}}}")
        }; // a Vec takes everything
    }

    /// Returns the time to the next ping: a little less than the interval, so that a herd drifts apart.
    fn beat(&mut self) -> Duration {
        let least = if std::mem::take(&mut self.in_step) { 0.0 } else { 0.75 };
        if self.closed_loop { NEVER } else { self.interval.mul_f64(least + (1.0 - least) * self.rng.f64()) }
    }

    /// Says how it ended when the server has closed at `now`.
    pub(super) fn fate(&self, now: Instant) -> Fate {
        match self.told {
            Some((ErrorCode::Timeout, at)) => self.timed_out(at),
            Some((ErrorCode::Draining, _)) => Fate::Drained,
            Some((code, _)) => Fate::Cut(code),
            // A base server closes without a word.
            None if self.is_frozen() && self.timeout.is_none_or(|timeout| self.silence(now) >= timeout) => {
                self.timed_out(now)
            }
            None => Fate::Lost,
        }
    }

    fn timed_out(&self, at: Instant) -> Fate {
        let silence = self.silence(at);
        match self.timeout.map(|timeout| silence.checked_sub(timeout)) {
            Some(None) => Fate::WronglyTimedOut,
            known if self.is_frozen() => Fate::FrozenOut { late: known.flatten() },
            Some(Some(_)) => Fate::Starved,
            None => Fate::WronglyTimedOut,
        }
    }

    fn silence(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.sent_at)
    }
}

/// What a ping takes with ordinary numbers in it.
const PING_BYTES: usize = 72;

fn bounded_timeout(ms: u64) -> Duration {
    Duration::from_millis(ms).min(TIMEOUT_MAX)
}

/// A pong that says nothing about settings.
struct PlainPong {
    /// The time its ping carried, if it carried one.
    sent_us: Option<u64>,
}

/// Reads a plain pong without a JSON parser: it is what is read all the time.
fn plain_pong(line: &[u8]) -> Option<PlainPong> {
    let fields = line.strip_prefix(b"{\"type\":\"pong\"")?;
    if memchr::memmem::find(fields, b"\"rev\"").is_some() {
        return None;
    }
    let Some(at) = memchr::memmem::find(fields, b"\"t\":") else { return Some(PlainPong { sent_us: None }) };
    let digits = fields.get(at + 4..)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let sent_us = std::str::from_utf8(digits.get(..end)?).ok()?.parse().ok();
    Some(PlainPong { sent_us })
}

#[cfg(test)]
mod tests;
