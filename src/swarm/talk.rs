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
    registered: bool,
    frozen: bool,
    seq: u64,
    rtt_us: u32,
    sent_at: Instant,
    next_ping: Instant,
    /// When it goes, and how that counts.
    leaves: Option<(Instant, Fate)>,
    /// The last error it was told, and when.
    told: Option<(ErrorCode, Instant)>,
    /// When the unanswered pings of a base client went out; the others carry their time.
    waiting: VecDeque<Instant>,
    rng: Rng,
}

/// What a line meant.
#[derive(Debug)]
pub(super) enum Heard {
    /// Nothing that is counted.
    Nothing,
    /// An answer, so much later than the ping.
    Pong(Option<Duration>),
    /// It is registered now; a base server says no more than that.
    Welcome(Option<Box<Welcome>>),
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
            registered: false,
            frozen: false,
            seq: 0,
            rtt_us: 0,
            sent_at: now,
            next_ping: now + NEVER,
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
        self.registered
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
            self.frozen = true;
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
        if self.dialect == Dialect::Presence && self.registered {
            out.extend_from_slice(b"{\"type\":\"leave\",\"reason\":\"quit\"}\n");
        }
    }

    /// Takes one line from the server; what it calls for is appended to `out`.
    pub(super) fn hear(&mut self, line: &[u8], now: Instant, out: &mut Vec<u8>) -> Heard {
        let heard = match plain_pong(line) {
            Some(sent_us) => self.pong(sent_us, now, out),
            None if line.starts_with(b"{\"type\":\"client_") => Heard::Nothing, // A list is not read here.
            None => match ServerMessage::decode(line) {
                Ok(message) => self.message(message, now, out),
                Err(_) => Heard::Unreadable,
            },
        };
        let in_by_now = !matches!(heard, Heard::Error(_) | Heard::Unreadable);
        if self.dialect == Dialect::Base && !self.registered && in_by_now {
            // The base protocol has no welcome: whatever comes first shows that one is in.
            self.registered = true;
            return Heard::Welcome(None);
        }
        heard
    }

    fn message(&mut self, message: ServerMessage, now: Instant, out: &mut Vec<u8>) -> Heard {
        match message {
            ServerMessage::Welcome(welcome) if !self.registered && self.dialect == Dialect::Presence => {
                self.registered = true;
                self.follow(welcome.rev, welcome.interval_ms, welcome.timeout_ms);
                let share = if self.closed_loop { 0.0 } else { self.rng.f64() };
                self.next_ping = now + self.interval.mul_f64(share);
                return Heard::Welcome(Some(welcome));
            }
            ServerMessage::Pong(pong) => {
                let sent_us = pong.t.as_ref().and_then(|t| t.get().parse().ok());
                if let Pong { rev: Some(rev), interval_ms: Some(interval), timeout_ms: Some(timeout), .. } =
                    pong
                {
                    self.retune(rev, interval, timeout, now);
                }
                return self.pong(sent_us, now, out);
            }
            ServerMessage::Config(Config { rev, interval_ms, timeout_ms, .. }) => {
                self.retune(rev, interval_ms, timeout_ms, now);
            }
            ServerMessage::Probe if !self.frozen => self.next_ping = now,
            ServerMessage::Ping { seq } if !self.frozen => {
                out.extend_from_slice(&ClientMessage::Pong { seq }.encode());
                self.sent_at = now;
            }
            ServerMessage::Drain { in_ms, .. } if !self.frozen => {
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
            Some(us) => Some(now.saturating_duration_since(self.epoch).saturating_sub(Duration::from_micros(us))),
            None => self.waiting.pop_front().map(|sent| now.saturating_duration_since(sent)),
        };
        if let Some(rtt) = rtt {
            self.rtt_us = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX);
        }
        // A base client's first ping went out with its greeting, so its loop runs before it counts as in.
        if self.closed_loop && (self.registered || self.dialect == Dialect::Base) {
            self.next_ping = now + NEVER;
            self.ping(now, out);
        }
        Heard::Pong(rtt)
    }

    /// Follows new settings from now on, and says so at once; one that is frozen hears nothing.
    fn retune(&mut self, rev: u32, interval_ms: u64, timeout_ms: u64, now: Instant) {
        if self.frozen {
            // It never acknowledges, so the server goes by whichever is longer.
            self.timeout = self.timeout.max(Some(bounded_timeout(timeout_ms)));
        } else if rev != self.rev {
            self.follow(rev, interval_ms, timeout_ms);
            self.next_ping = now;
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
        if self.closed_loop { NEVER } else { self.interval.mul_f64(0.75 + 0.25 * self.rng.f64()) }
    }

    /// Says how it ended when the server has closed at `now`.
    pub(super) fn fate(&self, now: Instant) -> Fate {
        match self.told {
            Some((ErrorCode::Timeout, at)) => self.timed_out(at),
            Some((ErrorCode::Draining, _)) => Fate::Drained,
            Some((code, _)) => Fate::Cut(code),
            // A base server closes without a word.
            None if self.frozen && self.timeout.is_none_or(|timeout| self.silence(now) >= timeout) => {
                self.timed_out(now)
            }
            None => Fate::Lost,
        }
    }

    fn timed_out(&self, at: Instant) -> Fate {
        let silence = self.silence(at);
        match self.timeout {
            Some(timeout) if silence < timeout => Fate::WronglyTimedOut,
            timeout if self.frozen => Fate::FrozenOut { late: timeout.map(|timeout| silence - timeout) },
            Some(_) => Fate::Starved,
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

/// Reads a pong that says nothing new, without a JSON parser: the time its ping carried, if it did.
fn plain_pong(line: &[u8]) -> Option<Option<u64>> {
    let fields = line.strip_prefix(b"{\"type\":\"pong\"")?;
    if memchr::memmem::find(fields, b"\"rev\"").is_some() {
        return None;
    }
    let Some(at) = memchr::memmem::find(fields, b"\"t\":") else { return Some(None) };
    let digits = fields.get(at + 4..)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    Some(std::str::from_utf8(digits.get(..end)?).ok()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::super::plan::Asked;
    use super::super::plan::tests::ASKED;
    use super::*;

    const WELCOME: &str = r#"{"type":"welcome","v":1,"id":"a","resume":"s","you":{"ip":"h","port":1},"server":{"name":"hq","version":"0"},"rev":3,"interval_ms":1000,"timeout_ms":3000,"spread_ms":0,"clients":1}"#;

    fn secs(n: f64) -> Duration {
        Duration::from_secs_f64(n)
    }

    fn talk(asked: &Asked<'_>) -> (Talk, Instant, Vec<u8>) {
        let now = Instant::now();
        let mut talk = Talk::new(&Plan::new(asked).unwrap(), now, Rng::with_seed(1), now);
        let mut out = Vec::new();
        let register = Register { client_ip: "h".into(), v: Some(1), ..Register::default() };
        talk.greet(register, now, &mut out);
        (talk, now, out)
    }

    fn registered(asked: &Asked<'_>) -> (Talk, Instant) {
        let (mut talk, now, mut out) = talk(asked);
        let heard = talk.hear(WELCOME.as_bytes(), now, &mut out);
        assert!(matches!(heard, Heard::Welcome(Some(_))), "{heard:?}");
        (talk, now)
    }

    /// Lets its time come, and returns what was said.
    fn act(talk: &mut Talk, freeze: bool) -> (Done, String, Instant) {
        let (at, mut out) = (talk.next_act(), Vec::new());
        let done = talk.act(at, freeze, &mut out);
        (done, String::from_utf8(out).unwrap(), at)
    }

    #[test]
    fn it_pings_as_the_server_asks_and_never_later() {
        let (mut talk, start) = registered(&ASKED);
        assert!(talk.next_act() - start <= secs(1.0));
        let mut last = None;
        for seq in 1..50 {
            let (done, line, at) = act(&mut talk, false);
            assert_eq!(done, Done::Pinged(Duration::ZERO));
            assert!(line.starts_with(&format!(r#"{{"type":"ping","seq":{seq},"t":"#)), "{line}");
            assert!(line.ends_with("\"rev\":3}\n"), "{line}");
            assert!(matches!(ClientMessage::decode(line.trim().as_bytes()), Ok(ClientMessage::Ping(_))));
            if let Some(last) = last.replace(at) {
                assert!((0.749..=1.0).contains(&(at - last).as_secs_f64()));
            }
        }
    }

    #[test]
    fn a_late_ping_does_not_push_the_next_one_back_and_many_missed_ones_are_one() {
        let (mut talk, _) = registered(&ASKED);
        let due = talk.next_act();
        let mut out = Vec::new();
        assert_eq!(talk.act(due + secs(0.4), false, &mut out), Done::Pinged(secs(0.4)));
        assert!(talk.next_act() <= due + secs(1.0));
        let due = talk.next_act();
        assert_eq!(talk.act(due, false, &mut out), Done::HeldBack, "the last one has not been taken yet");
        out.clear();
        let due = talk.next_act();
        assert_eq!(talk.act(due + secs(9.0), false, &mut out), Done::Pinged(secs(9.0)));
        assert!(talk.next_act() > due + secs(9.5));
    }

    #[test]
    fn a_pong_tells_the_round_trip_and_the_next_ping_tells_it_the_server() {
        let (mut talk, start) = registered(&ASKED);
        let (_, line, at) = act(&mut talk, false);
        let ClientMessage::Ping(ping) = ClientMessage::decode(line.trim().as_bytes()).unwrap() else {
            panic!("{line}")
        };
        let pong = Pong { seq: ping.seq, t: ping.t, hold_us: Some(20), ..Pong::default() };
        let line = ServerMessage::Pong(pong).encode();
        let heard = talk.hear(line.trim_ascii(), at + secs(0.002), &mut Vec::new());
        let Heard::Pong(Some(rtt)) = heard else { panic!("{heard:?}") };
        assert!(rtt.abs_diff(secs(0.002)) < secs(0.00001), "{rtt:?}");
        assert!(act(&mut talk, false).1.contains("\"rtt_us\":200"));
        let heard = talk.hear(br#"{"t":0,"type":"pong"}"#, start + secs(1.0), &mut Vec::new());
        assert!(matches!(heard, Heard::Pong(Some(rtt)) if rtt == secs(1.0)), "{heard:?}");
    }

    #[test]
    fn new_settings_are_followed_and_acknowledged_at_once_however_they_come() {
        for line in [
            r#"{"type":"config","rev":4,"interval_ms":200,"timeout_ms":900,"spread_ms":0}"#,
            r#"{"type":"pong","seq":1,"rev":4,"interval_ms":200,"timeout_ms":900}"#,
        ] {
            let (mut talk, start) = registered(&ASKED);
            talk.hear(line.as_bytes(), start, &mut Vec::new());
            let (done, said, at) = act(&mut talk, false);
            assert_eq!((done, at), (Done::Pinged(Duration::ZERO), start));
            assert!(said.contains("\"rev\":4"), "{said}");
            assert!(talk.next_act() <= start + secs(0.2));
        }
        let (mut talk, start) = registered(&Asked { interval: Some("10s"), ..ASKED });
        talk.hear(
            br#"{"type":"config","rev":4,"interval_ms":0,"timeout_ms":900,"spread_ms":0}"#,
            start,
            &mut Vec::new(),
        );
        act(&mut talk, false);
        assert!(talk.next_act() >= start + secs(7.5), "its own interval stays its own");
    }

    #[test]
    fn settings_that_cannot_be_do_not_make_it_spin_or_fall_over() {
        let (mut talk, start) = registered(&ASKED);
        for line in [
            format!(r#"{{"type":"config","rev":9,"interval_ms":0,"timeout_ms":{},"spread_ms":0}}"#, u64::MAX),
            format!(r#"{{"type":"drain","reason":"x","in_ms":{}}}"#, u64::MAX),
        ] {
            talk.hear(line.as_bytes(), start, &mut Vec::new());
        }
        act(&mut talk, false);
        assert!(talk.next_act() >= start + INTERVAL_MIN.mul_f64(0.74));
    }

    #[test]
    fn who_is_frozen_says_nothing_and_the_verdict_is_measured_from_its_last_word() {
        let (mut talk, _) = registered(&Asked { freeze: 1, ..ASKED });
        let last_word = act(&mut talk, false).2;
        let (done, said, at) = act(&mut talk, true);
        assert_eq!((done, said.as_str()), (Done::Nothing, ""));
        for line in [r#"{"type":"probe"}"#, r#"{"type":"ping","seq":1}"#, r#"{"type":"drain","in_ms":1}"#] {
            let mut out = Vec::new();
            talk.hear(line.as_bytes(), at, &mut out);
            assert!(out.is_empty() && talk.next_act() > at + secs(1_000.0), "{line}");
        }
        let verdict = br#"{"type":"error","code":"timeout","message":"","retry_ms":0}"#;
        talk.hear(verdict, last_word + secs(3.02), &mut Vec::new());
        let late = Fate::FrozenOut { late: Some(secs(0.02)) };
        assert_eq!(talk.fate(last_word + secs(9.0)), late, "when it was told counts, not when it was closed");
    }

    #[test]
    fn a_verdict_before_its_time_is_wrong_and_one_that_a_slow_swarm_earned_is_not() {
        let verdict = br#"{"type":"error","code":"timeout","message":"","retry_ms":0}"#;
        for (frozen, after, fate) in [
            (true, 2.9, Fate::WronglyTimedOut),
            (false, 0.5, Fate::WronglyTimedOut),
            (false, 3.5, Fate::Starved),
        ] {
            let (mut talk, _) = registered(&Asked { freeze: 1, ..ASKED });
            let last_word = act(&mut talk, false).2;
            if frozen {
                act(&mut talk, true);
            }
            let at = last_word + secs(after);
            talk.hear(verdict, at, &mut Vec::new());
            assert_eq!(talk.fate(at), fate);
        }
        let (talk, start) = registered(&ASKED);
        assert_eq!(talk.fate(start), Fate::Lost);
    }

    #[test]
    fn it_leaves_in_its_slot_and_answers_what_it_is_asked() {
        let (mut talk, start) = registered(&ASKED);
        let mut out = Vec::new();
        talk.hear(br#"{"type":"ping","seq":9}"#, start, &mut out);
        assert_eq!(out, b"{\"type\":\"pong\",\"seq\":9}\n");
        talk.hear(br#"{"type":"probe"}"#, start, &mut out);
        assert_eq!(talk.next_act(), start);
        talk.make_room_at(start + secs(50.0));
        talk.hear(br#"{"type":"drain","reason":"stop","in_ms":0}"#, start, &mut out);
        let (done, said, _) = act(&mut talk, false);
        assert_eq!((done, said.as_str()), (Done::Left(Fate::Drained), "{\"type\":\"leave\",\"reason\":\"quit\"}\n"));
    }

    #[test]
    fn a_base_client_speaks_the_base_protocol_and_nothing_else() {
        let asked = Asked { dialect: Dialect::Base, interval: Some("1s"), ..ASKED };
        let now = Instant::now();
        let mut talk = Talk::new(&Plan::new(&asked).unwrap(), now, Rng::with_seed(1), now);
        let mut out = Vec::new();
        let register = Register { client_ip: "h".into(), client_port: 9, ..Register::default() };
        talk.greet(register, now, &mut out);
        let expected =
            "{\"type\":\"register\",\"client_ip\":\"h\",\"client_port\":9}\n{\"type\":\"ping\"}\n";
        assert_eq!(out, expected.as_bytes());
        out.clear();
        let heard = talk.hear(br#"{"type":"client_list","clients":[]}"#, now, &mut out);
        assert!(matches!(heard, Heard::Welcome(None)) && talk.is_registered());
        let heard = talk.hear(br#"{"type":"pong"}"#, now + secs(0.003), &mut out);
        assert!(matches!(heard, Heard::Pong(Some(rtt)) if rtt == secs(0.003)));
        assert_eq!(act(&mut talk, false).1, "{\"type\":\"ping\"}\n");
        talk.say_goodbye(&mut out);
        assert!(out.is_empty(), "it just closes");
    }

    #[test]
    fn in_a_closed_loop_the_pong_calls_for_the_next_ping() {
        let (mut talk, start) = registered(&Asked { closed_loop: true, ..ASKED });
        assert_eq!(talk.next_act(), start);
        let (_, first, _) = act(&mut talk, false);
        assert!(first.contains("\"seq\":1"));
        assert!(talk.next_act() > start + secs(1_000.0));
        let mut out = Vec::new();
        talk.hear(br#"{"type":"pong","seq":1,"t":0}"#, start, &mut out);
        assert!(out.starts_with(b"{\"type\":\"ping\",\"seq\":2"));
    }

    #[test]
    fn refusals_and_nonsense_are_told_apart() {
        let (mut talk, now, mut out) = talk(&ASKED);
        let full = br#"{"type":"error","code":"full","message":"5 of 5 clients","retry_ms":1}"#;
        assert!(matches!(talk.hear(full, now, &mut out), Heard::Error(_)));
        assert_eq!(talk.fate(now), Fate::Cut(ErrorCode::Full));
        assert!(!talk.is_registered());
        assert!(matches!(talk.hear(b"hello", now, &mut out), Heard::Unreadable));
        assert!(matches!(talk.hear(b"", now, &mut out), Heard::Nothing));
    }
}
