//! The judge of the judge: every verdict against what the network knows.
//!
//! For each connection the bytes that really arrived are replayed against the
//! settings of the time, by the rules of the protocol page (a shorter timeout
//! counts from the client's acknowledgement, a longer one at once, a base
//! client is pinned until its own gaps fit twice over). Where two things
//! happen in one instant and their order decides, both orders are allowed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use presence_tui::presence::{Event, EventKind, Reason, RowKey, Settings};
use tokio::time::Instant;

use crate::clients::Kind;
use crate::pipe::Heard;
use crate::world::{Client, Life, World};

/// How late a verdict may be.
const PROMPT: Duration = Duration::from_millis(50);
/// A timer of the runtime is at most this much too late, and a bit.
const TICK: Duration = Duration::from_millis(3);
/// What retransmissions and round trips may add to an agreed interval.
const ON_THE_WAY: Duration = Duration::from_secs(4);
/// So many silent clients at least, and more than half of all, are a mass silence: verdicts may be held.
const MASS_MIN: usize = 5;

/// One connection, from its registration to its end.
struct Tenancy<'a> {
    client: usize,
    kind: Kind,
    id: Arc<str>,
    /// When it registered, and which event said so.
    joined: (Instant, u64),
    /// When the server said that it is gone, and why.
    gone: Option<(Instant, Reason)>,
    heard: Vec<Heard>,
    /// When it was said to be late (`true`) and back.
    flips: Vec<(Instant, bool)>,
    /// When its end arrived.
    ended: Option<Instant>,
    doomed: Option<Instant>,
    sets: &'a [(Instant, u64, u32, Settings)],
    /// The zero of all times that are shown.
    start: Instant,
}

/// What a silent client may legitimately be judged by.
#[derive(Clone, Copy)]
struct Terms {
    /// The shortest timeout, and from when on silence counts against it.
    lo: Duration,
    since: Instant,
    /// The longest.
    hi: Duration,
    /// The silence that makes it late; `None` where that is not certain.
    late: Option<Duration>,
}

/// Returns everything that was wrong, and how many timeouts were looked at.
pub(crate) fn judge(world: &World) -> (Vec<String>, usize) {
    let (mut wrong, mut timeouts) = (Vec::new(), 0);
    for (nth, life) in world.lives.iter().enumerate() {
        let until = life.until.expect("the world is closed");
        let book = life.book.lock().expect("not poisoned");
        let sets = settings_of(life, &book.events);
        let tenancies = tenancies(world, nth, &book.events, &sets, &mut wrong);
        for tenancy in &tenancies {
            let client = &world.clients[tenancy.client];
            tenancy.check_end(until, &mut wrong);
            timeouts += usize::from(matches!(tenancy.gone, Some((_, Reason::Timeout))));
            tenancy.check_silence(until, client, &tenancies, &mut wrong);
        }
    }
    (wrong, timeouts)
}

/// Returns every setting in force in a life: since when, since which event, its revision.
fn settings_of(life: &Life, events: &[Arc<Event>]) -> Vec<(Instant, u64, u32, Settings)> {
    let start = Instant::from_std(events.first().map_or_else(|| Instant::now().into_std(), |it| it.at));
    let mut sets = vec![(start, 0, 1, life.first)];
    for event in events {
        if let EventKind::Settings { rev, new, .. } = event.kind {
            sets.push((Instant::from_std(event.at), event.seq, rev.0, new));
        }
    }
    sets
}

/// Follows the events of one life, and checks who is on which row.
fn tenancies<'a>(
    world: &World,
    life: usize,
    events: &[Arc<Event>],
    sets: &'a [(Instant, u64, u32, Settings)],
    wrong: &mut Vec<String>,
) -> Vec<Tenancy<'a>> {
    let mut all: Vec<Tenancy<'a>> = Vec::new();
    let mut here: HashMap<RowKey, usize> = HashMap::new();
    let mut rows: HashMap<Arc<str>, RowKey> = HashMap::new();
    for event in events {
        let at = Instant::from_std(event.at);
        let say = |what: &str| {
            let at = at.duration_since(world.start);
            format!("at {at:?}: {what} ({:?}: {})", event.who, event.kind)
        };
        let Some(who) = &event.who else {
            match &event.kind {
                // Whether the hold was right is told by the verdicts it delayed.
                EventKind::Trouble(words) if words.contains("fell silent together") => {}
                EventKind::Trouble(_) => wrong.push(say("the server has trouble of its own")),
                EventKind::Refused { code: "stale_gen" | "id_conflict" | "register_timeout", .. }
                | EventKind::Settings { .. } => {}
                EventKind::Refused { .. } => wrong.push(say("somebody was refused")),
                EventKind::Conflict { .. } => wrong.push(say("a conflict of one with itself")),
                _ => {}
            }
            continue;
        };
        match &event.kind {
            EventKind::Joined | EventKind::Resumed { .. } => {
                let resumed = matches!(event.kind, EventKind::Resumed { .. });
                if here.values().any(|&it| all[it].id == who.id) {
                    wrong.push(say("two live rows of one id"));
                }
                match rows.insert(who.id.clone(), who.row) {
                    Some(row) if row != who.row || !resumed => wrong.push(say("it came back as another")),
                    None if resumed => wrong.push(say("a newcomer was resumed")),
                    _ => {}
                }
                match tenancy(world, life, who.peer, who.id.clone(), (at, event.seq), sets) {
                    Some(tenancy) => {
                        here.insert(who.row, all.len());
                        all.push(tenancy);
                    }
                    None => wrong.push(say("nobody connected from there")),
                }
            }
            EventKind::Gone { departure, .. } => match here.remove(&who.row) {
                Some(it) => all[it].gone = Some((at, departure.reason)),
                None => wrong.push(say("it was not here")),
            },
            EventKind::Late { .. } | EventKind::Back { .. } => match here.get(&who.row) {
                Some(&it) => all[it].flips.push((at, matches!(event.kind, EventKind::Late { .. }))),
                None => wrong.push(say("it is not here")),
            },
            _ => {}
        }
    }
    all
}

fn tenancy<'a>(
    world: &World,
    life: usize,
    peer: SocketAddr,
    id: Arc<str>,
    joined: (Instant, u64),
    sets: &'a [(Instant, u64, u32, Settings)],
) -> Option<Tenancy<'a>> {
    world.net.lines(|lines| {
        let line = lines.iter().find(|line| line.peer == peer && line.life == life)?;
        Some(Tenancy {
            client: line.client,
            kind: world.clients[line.client].member.kind,
            id,
            joined,
            gone: None,
            heard: line.heard(),
            flips: Vec::new(),
            ended: line.ended(),
            doomed: line.doomed,
            sets,
            start: world.start,
        })
    })
}

impl Tenancy<'_> {
    /// Checks that a connection's end was told at once, and for what it was.
    fn check_end(&self, until: Instant, wrong: &mut Vec<String>) {
        let said = self.heard.iter().find(|heard| heard.leave).map(|heard| heard.at);
        let gone = self.gone.map(|(at, reason)| (at.duration_since(self.start), reason));
        let say = |what: &str| format!("{} of client {}: {what} ({gone:?})", self.id, self.client);
        match (self.gone, said.or(self.ended)) {
            (None, Some(end)) if end + PROMPT < until => wrong.push(say("its end was not told")),
            (Some((at, _)), Some(end)) if at > end + PROMPT => wrong.push(say("its end was told late")),
            _ => {}
        }
        let Some((at, reason)) = self.gone else { return };
        let ended = self.ended.is_some_and(|end| end <= at);
        match reason {
            Reason::Lost if !ended => wrong.push(say("lost, though its connection stands")),
            Reason::Left if said.is_none_or(|said| said > at) => wrong.push(say("it said no goodbye")),
            Reason::Lost | Reason::Left | Reason::Timeout | Reason::Replaced => {}
            _ => wrong.push(say("nobody did that")),
        }
    }

    /// Checks that its silence was judged neither too early nor too late.
    fn check_silence(&self, until: Instant, client: &Client, all: &[Self], wrong: &mut Vec<String>) {
        let (end, reason) = self.gone.map_or((until, None), |(at, reason)| (at, Some(reason)));
        let (joined, seq) = self.joined;
        let at_first = self.sets.iter().rfind(|set| set.1 < seq).map_or(self.sets[0].3, |set| set.3);
        let mut last = joined;
        let mut terms = Terms {
            lo: at_first.timeout(),
            since: joined,
            hi: at_first.timeout(),
            late: Some(at_first.late_after()),
        };
        let mut pings = Vec::new();
        let mut in_force = at_first;
        // What arrives in the very instant of a verdict has not been read.
        let known = |heard: &&Heard| heard.at <= end - if reason.is_some() { TICK } else { Duration::ZERO };
        let mut heard = self.heard.iter().filter(known).peekable();
        let mut sets = self.sets.iter().filter(|set| set.1 > seq && set.0 <= end).peekable();
        loop {
            let set_is_next = match (heard.peek(), sets.peek()) {
                (Some(heard), Some(set)) => set.0 < heard.at,
                (None, Some(_)) => true,
                (Some(_), None) => false,
                (None, None) => break,
            };
            if set_is_next && let Some(&&(at, _, _, new)) = sets.peek() {
                sets.next();
                self.check_overdue(last + terms.hi, at, all, wrong);
                in_force = new;
                terms = self.retuned(terms, last, at, new, &pings);
            } else if let Some(next) = heard.next() {
                self.check_overdue(last + terms.hi, next.at, all, wrong);
                self.check_late(last, next.at, terms, wrong);
                last = last.max(next.at);
                pings.extend(next.pings.iter().map(|_| next.at));
                terms = self.acknowledged(terms, next, in_force, &pings);
            }
        }
        self.check_overdue(last + terms.hi, end, all, wrong);
        self.check_late(last, end, terms, wrong);
        if reason == Some(Reason::Timeout) {
            let earliest = (last + terms.hi).min(last.max(terms.since) + terms.lo);
            if end + TICK < earliest {
                wrong.push(self.say("timed out too early", end, last, terms));
            }
            if self.was_well(client, last, end, terms.lo) {
                wrong.push(self.say("timed out, though all was well", end, last, terms));
            }
        }
    }

    /// Returns the terms after a change of the settings.
    fn retuned(
        &self,
        mut terms: Terms,
        last: Instant,
        at: Instant,
        new: Settings,
        pings: &[Instant],
    ) -> Terms {
        let timeout = new.timeout();
        terms.hi = terms.hi.max(timeout); // Longer at once.
        terms.late = None;
        if timeout >= terms.lo {
            terms.lo = timeout;
        } else if matches!(self.kind, Kind::Legacy(_)) && fits(pings, timeout) {
            // It may move at any time. What it was silent before does not count, but the old deadline stands.
            let spare = terms.lo.saturating_sub(timeout);
            terms.since = at.min(terms.since.max(last) + spare);
            terms.lo = timeout;
        }
        terms
    }

    /// Returns the terms after a sign of life.
    fn acknowledged(&self, mut terms: Terms, heard: &Heard, in_force: Settings, pings: &[Instant]) -> Terms {
        if matches!(self.kind, Kind::Legacy(_)) {
            if fits(pings, in_force.timeout()) {
                terms.lo = terms.lo.min(in_force.timeout());
            }
            return terms;
        }
        let current = |at: Instant| self.sets.iter().rfind(|set| set.0 <= at).unwrap_or(&self.sets[0]);
        for &rev in heard.pings.iter().flatten() {
            let (before, after) = (current(heard.at - TICK), current(heard.at + TICK));
            if before.2 == rev && after.2 == rev {
                (terms.lo, terms.hi) = (after.3.timeout(), after.3.timeout());
                terms.late = Some(after.3.late_after());
            } else if before.2 == rev || after.2 == rev {
                let known = self.sets.iter().find(|set| set.2 == rev).map_or(terms.lo, |set| set.3.timeout());
                (terms.lo, terms.hi) = (terms.lo.min(known), terms.hi.max(known));
            }
        }
        terms
    }

    /// Checks that it was not kept alive beyond its deadline.
    fn check_overdue(&self, due: Instant, seen: Instant, all: &[Self], wrong: &mut Vec<String>) {
        if seen <= due + PROMPT {
            return;
        }
        let longest = self.sets.iter().map(|set| set.3.interval()).max().unwrap_or_default();
        let held = mass_silence(all, self.sets, due - longest, seen.min(due + longest));
        if !held || seen > due + longest + PROMPT {
            let [due, seen] = [due, seen].map(|at| at.duration_since(self.start));
            let (id, client) = (&self.id, self.client);
            wrong.push(format!("{id} of client {client} lives at {seen:?}, though it was due at {due:?}"));
        }
    }

    /// Checks what was said between two signs of life: late when it was, and back when it was heard.
    fn check_late(&self, last: Instant, seen: Instant, terms: Terms, wrong: &mut Vec<String>) {
        // A client with a slow rhythm of its own is late by that: later, but never after half its timeout.
        let own = |plain: Duration| plain.max(terms.hi / 2);
        let Some(plain) = terms.late.filter(|plain| own(*plain) + PROMPT < terms.lo) else { return };
        let (due, latest) = (last + plain, last + own(plain));
        let said = self.flips.iter().find(|(at, late)| *late && *at > last + TICK && *at <= seen);
        let late = match said {
            Some((at, _)) => *at + TICK >= due && *at <= latest + PROMPT,
            None => seen <= latest + PROMPT,
        };
        if !late {
            wrong.push(self.say("was not late when it was", seen, last, terms));
        }
        let back = |at: Instant| {
            self.flips.iter().any(|flip| !flip.1 && flip.0 + TICK >= at && flip.0 <= at + PROMPT)
        };
        let gone = self.gone.is_some_and(|(at, _)| at <= seen + PROMPT);
        if said.is_some() && !gone && self.heard.iter().any(|it| it.at == seen) && !back(seen) {
            wrong.push(self.say("was not back when it was heard", seen, last, terms));
        }
    }

    /// Tells whether a client that timed out had nothing to blame it for.
    fn was_well(&self, client: &Client, last: Instant, end: Instant, timeout: Duration) -> bool {
        let in_trouble = client
            .troubles
            .iter()
            .any(|&(from, until)| from <= end && until.is_none_or(|until| until + ON_THE_WAY >= last));
        let slow = match self.kind {
            // A base client does not know the interval: who registers under a short timeout falls to it.
            Kind::Legacy(every) => every + ON_THE_WAY >= timeout,
            Kind::Roster | Kind::Quiet => false,
        };
        !in_trouble && !slow && self.doomed.is_none_or(|at| at > end)
    }

    fn is_silent(&self, at: Instant, for_long: Duration) -> bool {
        let heard = self.heard.partition_point(|heard| heard.at <= at);
        let last = heard.checked_sub(1).map_or(self.joined.0, |nth| self.heard[nth].at.max(self.joined.0));
        at.saturating_duration_since(last) > for_long
    }

    fn is_here(&self, at: Instant) -> bool {
        self.joined.0 <= at && self.gone.is_none_or(|(gone, _)| gone + PROMPT >= at)
    }

    fn say(&self, what: &str, end: Instant, last: Instant, terms: Terms) -> String {
        let silent = end.saturating_duration_since(last);
        let Terms { lo, hi, since, .. } = terms;
        let (id, client) = (&self.id, self.client);
        let [end, since] = [end, since].map(|at| at.duration_since(self.start));
        format!(
            "{id} of client {client} {what} at {end:?}: silent for {silent:?}, judged by {lo:?} since {since:?} to {hi:?}"
        )
    }
}

/// Tells whether the last two gaps between pings fit a timeout twice over.
fn fits(pings: &[Instant], timeout: Duration) -> bool {
    let [.., a, b, c] = pings else { return false };
    (*b - *a).max(*c - *b) * 2 <= timeout + TICK
}

/// Tells whether so many were silent at some instant of a span that verdicts could be held.
fn mass_silence(
    all: &[Tenancy<'_>],
    sets: &[(Instant, u64, u32, Settings)],
    from: Instant,
    to: Instant,
) -> bool {
    let shortest = sets.iter().map(|set| set.3.interval()).min().unwrap_or_default();
    let mut at = from;
    while at <= to {
        let here = all.iter().filter(|it| it.is_here(at));
        let (mut silent, mut of) = (0, 0);
        for it in here {
            of += 1;
            silent += usize::from(it.is_silent(at, shortest));
        }
        if silent >= MASS_MIN && silent * 2 > of {
            return true;
        }
        at += Duration::from_millis(200);
    }
    false
}
