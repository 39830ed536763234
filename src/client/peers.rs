//! The other clients, as far as this one was told.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::roster::{Batch, Paging};
use crate::presence::row::{Claim, Counts, Tag};
use crate::presence::{Departure, Reason, RowKey, State};
use crate::protocol::clean;
use crate::protocol::entry::{Entry, Parted};
use crate::protocol::message::ClientList;

/// How many departed peers are remembered; the oldest go first.
pub const GONE_MAX: usize = 10_000;
/// How many peers are believed to be there; what a server tells beyond that is counted and not kept.
pub const LIVE_MAX: usize = 131_072;
/// The longest claimed address that is kept: no host name is longer.
const CLAIM_BYTES_MAX: usize = 253;
/// The longest identity that is kept: those of legacy peers are made of their claim.
const ID_BYTES_MAX: usize = 320;
/// The longest age that is believed; instants further back may not exist.
const AGE_MAX: Duration = Duration::from_hours(24 * 3_660);
/// How many labels of a peer are kept.
const TAGS_MAX: usize = 16;

/// One peer: every text is already clean.
#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    /// Its row; the same one when it comes back.
    pub key: RowKey,
    /// Its name, or its claim.
    pub label: Arc<str>,
    /// Its identity, or a made-up one that starts with `~`.
    pub id: Arc<str>,
    /// The address it claims.
    pub claim: Claim,
    /// The person it belongs to.
    pub user: Option<Arc<str>>,
    /// Which of the person's devices it is.
    pub device: Option<Arc<str>>,
    /// Labels.
    pub tags: Vec<Tag>,
    /// Its state.
    pub state: State,
    /// When the server last heard it, if the server said.
    pub last_seen: Option<Instant>,
    /// Start of its session, if the server said.
    pub up_since: Option<Instant>,
    /// When it went, and why; `None` while it is here.
    pub gone: Option<(Instant, Departure)>,
    /// When its state last changed.
    pub changed: Instant,
    /// How many sessions of it this client has seen.
    pub sessions: u32,
    /// Whether it is this client itself.
    pub me: bool,
}

/// What a message changed for a person who watches.
#[derive(Debug, Clone, PartialEq)]
pub enum PeerChange {
    /// This peer came, or came back.
    Joined(Arc<Peer>),
    /// This peer's beat is overdue.
    Late(Arc<Peer>),
    /// This late peer was heard again.
    Back(Arc<Peer>),
    /// This peer went, for the reason in its row.
    Left(Arc<Peer>),
    /// The first list is complete, with so many peers.
    Listed(usize),
}

/// The book of peers: everybody who is here, and who went lately.
///
/// Rows are shared, so that a snapshot for the screen copies pointers only.
#[derive(Debug, Clone, Default)]
pub struct Peers {
    rows: BTreeMap<RowKey, Arc<Peer>>,
    by_id: HashMap<Arc<str>, RowKey>,
    departed: VecDeque<(RowKey, Instant)>,
    counts: Counts,
    next: u64,
    me: Vec<String>,
    overflow: u64,
    listed: bool,
    paging: Paging,
}

/// What a roster message asks for in return.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Learned {
    /// What changed, in order.
    pub changes: Vec<PeerChange>,
    /// The revision to `sync` from, when something was missed.
    pub sync_from: Option<u64>,
}

impl Peers {
    /// Yields every row, those that came first first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Peer>> {
        self.rows.values()
    }

    /// Returns one row.
    #[must_use]
    pub fn get(&self, key: RowKey) -> Option<&Arc<Peer>> {
        self.rows.get(&key)
    }

    /// Returns how many rows are in each state.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns how many peers were not kept because there were too many.
    #[must_use]
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    /// Says under which identities this client itself is listed.
    pub fn set_me(&mut self, ids: Vec<String>) {
        self.me = ids;
    }

    /// Starts a new connection: revisions of the last one mean nothing any more, its rows stay.
    pub fn reconnected(&mut self) {
        self.paging = Paging::default();
        self.listed = self.counts.live() > 0;
    }

    /// Forgets one departed row, or all of them.
    pub fn dismiss(&mut self, key: Option<RowKey>) {
        let gone = |peer: &Peer| peer.gone.is_some() && key.is_none_or(|key| key == peer.key);
        let keys: Vec<_> = self.rows.values().filter(|peer| gone(peer)).map(|peer| peer.key).collect();
        for key in keys {
            self.forget(key);
        }
    }

    /// Takes a list, or one page of it.
    pub fn list(&mut self, list: ClientList, now: Instant) -> Learned {
        let Some((entries, later)) = self.paging.page(list) else { return Learned::default() };
        let mut changes = Vec::new();
        let mut here = HashSet::with_capacity(entries.len());
        for entry in named(entries) {
            if let Some(id) = &entry.id {
                here.insert(Arc::clone(id));
            }
            self.upsert(entry, now, &mut changes);
        }
        let missing: Vec<Arc<str>> = self
            .iter()
            .filter(|it| it.gone.is_none() && !here.contains(&it.id))
            .map(|it| Arc::clone(&it.id))
            .collect();
        for id in missing {
            self.part(&id, Departure::new(Reason::Left, "no longer listed"), now, &mut changes);
        }
        if !self.listed {
            // A newcomer is told of a thousand others: that is one thing that happened, not a thousand.
            self.listed = true;
            changes = vec![PeerChange::Listed(self.counts.live())];
        }
        let mut learned = Learned { changes, sync_from: None };
        for batch in later {
            let next = self.batch(batch, now);
            learned.changes.extend(next.changes);
            learned.sync_from = learned.sync_from.or(next.sync_from);
        }
        learned
    }

    /// Takes a batch of changes, or notices that one before it was missed.
    pub fn batch(&mut self, batch: Batch, now: Instant) -> Learned {
        let mut learned = Learned::default();
        match self.paging.batch(batch, now) {
            Ok(Some(Batch::Joined { clients, .. })) => {
                for entry in clients {
                    self.upsert(entry, now, &mut learned.changes);
                }
            }
            Ok(Some(Batch::Left { clients, .. })) => {
                for Parted { id, reason } in clients {
                    self.part(&id, departure(&reason), now, &mut learned.changes);
                }
            }
            Ok(None) => {}
            Err(from) => learned.sync_from = Some(from),
        }
        learned
    }

    /// Puts what an entry says into its row.
    fn upsert(&mut self, entry: Entry, now: Instant, changes: &mut Vec<PeerChange>) {
        let Some(fresh) = Peer::read(entry, now) else { return };
        let known = self.by_id.get(&fresh.id).and_then(|key| self.rows.get(key)).map(Arc::clone);
        if known.is_none() && self.counts.live() >= LIVE_MAX {
            self.overflow = self.overflow.saturating_add(1);
            return;
        }
        let mut peer = fresh;
        peer.me = self.me.iter().any(|me| **me == *peer.id);
        let change: Option<fn(Arc<Peer>) -> PeerChange> = match &known {
            Some(old) if old.gone.is_none() => {
                peer.sessions = old.sessions;
                peer.last_seen = peer.last_seen.max(old.last_seen);
                peer.up_since = peer.up_since.or(old.up_since);
                if peer.state == old.state {
                    peer.changed = old.changed;
                }
                match (old.state, peer.state) {
                    (State::Online, State::Late) => Some(PeerChange::Late),
                    (State::Late, State::Online) => Some(PeerChange::Back),
                    _ => None,
                }
            }
            old => {
                peer.sessions = old.as_ref().map_or(1, |old| old.sessions.saturating_add(1));
                peer.up_since = peer.up_since.or(self.listed.then_some(now));
                Some(PeerChange::Joined)
            }
        };
        peer.key = known.as_ref().map_or_else(|| self.next_key(), |old| old.key);
        if let Some(old) = &known {
            self.counts.remove(old.state);
        }
        self.counts.add(peer.state);
        self.by_id.insert(Arc::clone(&peer.id), peer.key);
        let peer = Arc::new(peer);
        self.rows.insert(peer.key, Arc::clone(&peer));
        if let Some(change) = change.filter(|_| !peer.me) {
            changes.push(change(peer));
        }
    }

    /// Marks a peer as gone; one that is not here, or not any more, changes nothing.
    fn part(&mut self, id: &str, departure: Departure, now: Instant, changes: &mut Vec<PeerChange>) {
        let id = clean::line(id, ID_BYTES_MAX);
        let Some(row) = self.by_id.get(&*id).and_then(|key| self.rows.get_mut(key)) else { return };
        if row.gone.is_some() {
            return;
        }
        let peer = Arc::make_mut(row);
        self.counts.remove(peer.state);
        peer.state = if departure.reason.is_failure() { State::TimedOut } else { State::Left };
        peer.gone = Some((now, departure));
        peer.changed = now;
        self.counts.add(peer.state);
        let peer = Arc::clone(row);
        self.departed.push_back((peer.key, now));
        if self.departed.len() > GONE_MAX {
            self.forget_oldest();
        }
        if !peer.me {
            changes.push(PeerChange::Left(peer));
        }
    }

    /// Forgets the row that went first, unless it came back since.
    fn forget_oldest(&mut self) {
        let Some((key, at)) = self.departed.pop_front() else { return };
        let still =
            self.rows.get(&key).and_then(|peer| peer.gone.as_ref()).is_some_and(|(since, _)| *since == at);
        if still {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: RowKey) {
        if let Some(peer) = self.rows.remove(&key) {
            self.counts.remove(peer.state);
            self.by_id.remove(&peer.id);
        }
    }

    fn next_key(&mut self) -> RowKey {
        self.next += 1;
        RowKey(self.next)
    }
}

impl Peer {
    /// Reads an entry; `None` if it cannot be told from others. The row's place is its owner's to fill in.
    fn read(entry: Entry, now: Instant) -> Option<Self> {
        let claim = Claim { ip: clean::line(&entry.ip, CLAIM_BYTES_MAX).into(), port: entry.port };
        let id = clean::line(&entry.id?, ID_BYTES_MAX);
        let cleaned = |text: Option<Arc<str>>| {
            text.map(|text| clean::name(&text)).filter(|text| !text.is_empty()).map(Arc::<str>::from)
        };
        let tag = |(key, value): &(String, String)| (clean::name(key).into(), clean::name(value).into());
        let ago = |ms: u64| {
            Some(Duration::from_millis(ms)).filter(|age| *age <= AGE_MAX).and_then(|age| now.checked_sub(age))
        };
        let label = cleaned(entry.name).unwrap_or_else(|| claim.to_string().into());
        (!id.is_empty()).then(|| Self {
            key: RowKey(0),
            label,
            id: id.into(),
            claim,
            user: cleaned(entry.user),
            device: cleaned(entry.device),
            tags: entry.tags.0.iter().take(TAGS_MAX).map(tag).collect(),
            state: if entry.state.as_deref() == Some(State::Late.word()) {
                State::Late
            } else {
                State::Online
            },
            last_seen: entry.age_ms.and_then(ago),
            up_since: entry.up_ms.and_then(ago),
            gone: None,
            changed: now,
            sessions: 1,
            me: false,
        })
    }

    /// Returns the note it shows to others.
    #[must_use]
    pub fn note(&self) -> Option<&Arc<str>> {
        self.tags.iter().find(|(key, _)| &**key == "note").map(|(_, note)| note)
    }
}

/// Gives entries of a base list, which have no identity, one made of their claim.
///
/// One claim from two connections is two entries, so the second is numbered.
fn named(entries: Vec<Entry>) -> impl Iterator<Item = Entry> {
    let mut seen: HashMap<(Arc<str>, u16), u32> = HashMap::new();
    entries.into_iter().map(move |mut entry| {
        if entry.id.is_none() {
            let times = seen.entry((Arc::clone(&entry.ip), entry.port)).or_default();
            *times += 1;
            entry.id = Some(base_id(&entry.ip, entry.port, *times).into());
        }
        entry
    })
}

/// Returns the made-up identity of the nth client with this claim.
#[must_use]
pub fn base_id(ip: &str, port: u16, nth: u32) -> String {
    let claim = Claim { ip: ip.into(), port };
    if nth == 1 { format!("~{claim}") } else { format!("~{claim}#{nth}") }
}

/// Reads the word that says why a peer went.
fn departure(word: &str) -> Departure {
    match Reason::ALL.into_iter().find(|reason| reason.word() == word) {
        Some(reason) => reason.into(),
        None => Departure::new(Reason::Left, clean::name(word)),
    }
}

#[cfg(test)]
mod tests;
