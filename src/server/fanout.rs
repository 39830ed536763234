//! Who hears of whom: lists for base clients, pages and diffs for those who asked for the roster.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::lines::{self, Cursor};
use super::link::Link;
use crate::presence::deliveries::Handed;
use crate::presence::registry::Registry;
use crate::presence::{ConnNo, Departure, Event, EventKind, RowKey};
use crate::protocol::{Parted, ServerMessage};

/// The first change after a quiet spell goes out at once, further ones this far apart.
const BATCH_PERIOD: Duration = Duration::from_millis(250);
/// What one entry of a base list weighs, about.
const LIST_ENTRY_BYTES: usize = 36;
/// How much all whole lists together may weigh: 10 MB a second.
const LIST_BYTES_PER_MS: usize = 10_000;
/// How many past batches are kept, to repair a gap without a whole new snapshot.
const BATCHES_KEPT: usize = 32;
/// Why clients are asked to leave, in the words of the protocol page.
const STOP: &str = "stop";

/// What a client is sent besides answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Whole lists: a base client.
    Legacy,
    /// Pages, then diffs: a v1 client that asked.
    Roster,
    /// Nothing: a v1 client that did not ask.
    Quiet,
    /// Nothing but notifications, as plain text: a client of another dialect, which would not understand a word
    /// of ours.
    Deaf,
}

/// The outbound side of the hub.
#[derive(Debug, Default)]
pub(crate) struct Fanout {
    links: HashMap<ConnNo, (Arc<Link>, Audience)>,
    /// Base clients, with the last event their newest list knows of.
    legacy: BTreeMap<ConnNo, u64>,
    /// Subscribers of the roster, with how far each has been sent its snapshot while pages are left.
    roster: BTreeMap<ConnNo, Cursor>,
    rev: u64,
    batches: VecDeque<(u64, Bytes)>,
    changed: BTreeMap<RowKey, Change>,
    /// The last event that changed the lists.
    lists_changed: u64,
    diffs: Pacer,
    lists: Pacer,
    /// Connections that were removed and not asked for yet.
    ended: Vec<ConnNo>,
}

/// What happened to one row since the last batch.
#[derive(Debug)]
struct Change {
    /// Whether subscribers have it in their roster.
    known: bool,
    /// How it went, if it went last.
    parted: Option<Parted>,
}

/// Lets the first of a burst through at once and spaces the rest.
#[derive(Debug, Default)]
struct Pacer {
    last: Option<Instant>,
    due: Option<Instant>,
}

impl Pacer {
    fn ask(&mut self, now: Instant, period: Duration) {
        let earliest = self.last.map_or(now, |last| now.max(last + period));
        self.due.get_or_insert(earliest);
    }

    fn fire(&mut self, now: Instant) -> bool {
        let fires = self.due.is_some_and(|due| due <= now);
        if fires {
            self.last = Some(now);
            self.due = None;
        }
        fires
    }
}

impl Fanout {
    /// Starts sending to a client, beginning with what it is owed at once.
    pub(crate) fn add(
        &mut self,
        now: Instant,
        conn: ConnNo,
        link: Arc<Link>,
        audience: Audience,
        registry: &Registry,
    ) {
        match audience {
            Audience::Legacy => {
                link.set_list(lines::base_list(registry));
                self.legacy.insert(conn, registry.last_seq());
            }
            Audience::Roster => {
                self.roster.insert(conn, Cursor::default());
            }
            Audience::Quiet | Audience::Deaf => {}
        }
        self.links.insert(conn, (link, audience));
        if audience == Audience::Roster {
            self.next_page(now, conn, registry);
        }
    }

    /// Stops sending to a client; returns its link.
    pub(crate) fn remove(&mut self, conn: ConnNo) -> Option<Arc<Link>> {
        self.legacy.remove(&conn);
        self.roster.remove(&conn);
        let (link, _) = self.links.remove(&conn)?;
        self.ended.push(conn);
        Some(link)
    }

    /// Ends a client's session, and sending to it.
    pub(crate) fn kick(&mut self, conn: ConnNo, departure: Departure) {
        if let Some(link) = self.remove(conn) {
            link.kick(departure);
        }
    }

    /// Takes the connections that were removed since the last call.
    pub(crate) fn take_ended(&mut self) -> Vec<ConnNo> {
        std::mem::take(&mut self.ended)
    }

    /// Hands the line of a notification to a client.
    pub(crate) fn hand(&self, conn: ConnNo, line: &Bytes) -> Handed {
        match self.links.get(&conn) {
            Some((_, Audience::Legacy)) => Handed::Unsupported,
            Some((link, audience)) if link.push(line.clone()) => match audience {
                Audience::Deaf => Handed::Sent,
                _ => Handed::Awaiting,
            },
            _ => Handed::Refused,
        }
    }

    /// Tells whether something has arrived from a client that its session has not read yet.
    pub(crate) fn sees_unread(&self, conn: ConnNo) -> bool {
        self.links.get(&conn).is_some_and(|(link, _)| link.sees_unread())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Yields the clients that understand v1 messages.
    pub(crate) fn v1_links(&self) -> impl Iterator<Item = (ConnNo, &Arc<Link>)> {
        self.links
            .iter()
            .filter(|(_, (_, audience))| matches!(audience, Audience::Roster | Audience::Quiet))
            .map(|(&conn, (link, _))| (conn, link))
    }

    /// Yields every client's connection.
    pub(crate) fn conns(&self) -> Vec<ConnNo> {
        self.links.keys().copied().collect()
    }

    /// Sends one line to everybody who understands v1 messages.
    pub(crate) fn tell_v1(&self, message: &ServerMessage) {
        let line = Bytes::from(message.encode());
        for (_, link) in self.v1_links() {
            link.push(line.clone());
        }
    }

    /// Sends one line to everybody who can read one.
    pub(crate) fn tell_all(&self, message: &ServerMessage) {
        let line = Bytes::from(message.encode());
        for (link, audience) in self.links.values() {
            if *audience != Audience::Deaf {
                link.push(line.clone());
            }
        }
    }

    /// Answers one client.
    pub(crate) fn tell(&self, conn: ConnNo, message: &ServerMessage) {
        if let Some((link, _)) = self.links.get(&conn) {
            link.push(message.encode().into());
        }
    }

    /// Notes what an event changes in the lists that were sent.
    pub(crate) fn note(&mut self, now: Instant, event: &Event) {
        let Some(who) = &event.who else { return };
        let (came, parted) = match &event.kind {
            EventKind::Joined | EventKind::Resumed { .. } => (true, None),
            EventKind::Late { .. } | EventKind::Back { .. } | EventKind::Updated => (false, None),
            EventKind::Gone { departure, .. } => {
                let reason = departure.reason.word().into();
                (false, Some(Parted { id: who.id.clone(), reason }))
            }
            _ => return,
        };
        if came || parted.is_some() || event.kind == EventKind::Updated {
            self.lists_changed = event.seq;
            if !self.legacy.is_empty() {
                let weight = self.legacy.len() * self.links.len() * LIST_ENTRY_BYTES;
                let budget_ms = u64::try_from(weight / LIST_BYTES_PER_MS).unwrap_or(u64::MAX);
                self.lists.ask(now, Duration::from_millis(budget_ms).max(BATCH_PERIOD));
            }
        }
        if self.roster.is_empty() {
            return;
        }
        let change = self.changed.entry(who.row).or_insert(Change { known: !came, parted: None });
        change.parted = parted;
        self.diffs.ask(now, BATCH_PERIOD);
    }

    /// Returns when something is to be sent.
    pub(crate) fn due(&self) -> Option<Instant> {
        match (self.diffs.due, self.lists.due) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Sends what is due.
    pub(crate) fn flush(&mut self, now: Instant, registry: &Registry) {
        if self.diffs.fire(now) {
            self.send_diffs(now, registry);
        }
        if self.lists.fire(now) {
            self.send_lists(registry);
        }
    }

    /// Sends the whole list to every base client whose list is older than the last change.
    fn send_lists(&mut self, registry: &Registry) {
        let changed = self.lists_changed;
        let mut stale = self.legacy.iter_mut().filter(|(_, known)| **known < changed).peekable();
        if stale.peek().is_none() {
            return;
        }
        let list = lines::base_list(registry);
        for (conn, known) in stale {
            *known = registry.last_seq();
            if let Some((link, _)) = self.links.get(conn) {
                link.set_list(list.clone());
            }
        }
    }

    /// Sends one batch to every subscriber; written once, whatever their number.
    fn send_diffs(&mut self, now: Instant, registry: &Registry) {
        let changed = std::mem::take(&mut self.changed);
        let (mut parted, mut came) = (Vec::new(), Vec::new());
        for (key, change) in changed {
            match (registry.live_row(key), change.parted) {
                (Some(row), _) => came.push(lines::entry(now, &row)),
                (None, Some(gone)) if change.known => parted.push(gone),
                // It came and went between two batches: nobody needs to know.
                (None, _) => {}
            }
        }
        let left = lines::paged("client_left", &mut self.rev, lines::encoded(&parted));
        let joined = lines::paged("client_joined", &mut self.rev, came);
        for (rev, line) in left.into_iter().chain(joined) {
            for conn in self.roster.keys() {
                if let Some((link, _)) = self.links.get(conn) {
                    link.push(line.clone());
                }
            }
            if self.batches.len() == BATCHES_KEPT {
                self.batches.pop_front();
            }
            self.batches.push_back((rev, line));
        }
    }

    /// Sends a subscriber the next page of its snapshot.
    pub(crate) fn next_page(&mut self, now: Instant, conn: ConnNo, registry: &Registry) {
        let Some(cursor) = self.roster.get_mut(&conn) else { return };
        let Some((link, _)) = self.links.get(&conn) else { return };
        let (line, next) = lines::page(now, registry, *cursor, self.rev);
        *cursor = next.unwrap_or_default();
        link.push_page(line, next.is_some());
        // Whoever came since the last batch is on this page; should they go before the next, it must be told.
        self.changed.values_mut().for_each(|change| change.known = true);
    }

    /// Repairs a subscriber's gap after revision `from`: with the batches it missed, or from the beginning.
    pub(crate) fn sync(&mut self, now: Instant, conn: ConnNo, from: u64, registry: &Registry) {
        if !self.roster.contains_key(&conn) {
            return;
        }
        let kept = self.batches.front().map_or(self.rev, |(rev, _)| rev - 1);
        if (kept..=self.rev).contains(&from) {
            let Some((link, _)) = self.links.get(&conn) else { return };
            for (_, line) in self.batches.iter().filter(|(rev, _)| *rev > from) {
                link.push(line.clone());
            }
        } else {
            self.roster.insert(conn, Cursor::default());
            self.next_page(now, conn, registry);
        }
    }

    /// Asks everybody to leave, each in a slot of its own; returns how long the last slot is away.
    ///
    /// Base clients cannot be asked; they are closed on when the slots are over.
    pub(crate) fn drain(&self, rate_per_s: u32, longest: Duration) -> Duration {
        let v1: Vec<_> = self.v1_links().collect();
        let clients = u32::try_from(v1.len()).unwrap_or(u32::MAX);
        let whole = (Duration::from_secs(1) * clients / rate_per_s).min(longest);
        for (slot, (_, link)) in (0u32..).zip(v1) {
            let in_ms = crate::protocol::message::millis(whole * slot / clients.max(1));
            let message = ServerMessage::Drain { reason: STOP.to_owned(), in_ms };
            link.push(message.encode().into());
        }
        whole
    }
}
