//! The only owner of rows: who is here, who was, and the verdict on the silent.

mod alerts;
mod fleet;
mod graveyard;
mod takeover;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alerts::AlertBook;
pub use graveyard::GONE_ROWS_MAX;
use graveyard::Graveyard;
use takeover::Tenure;

use super::event::{Event, EventKind, Origin, Who};
use super::lateness::Lateness;
use super::pulse::{Pulse, missed_beats};
use super::reason::{Departure, Reason};
use super::row::{Claim, ConnNo, Counts, Identity, Profile, RowKey, State};
use super::settings::{Revision, Settings};

/// When a client that was not judged, because it has words unread, is looked at again.
const SECOND_LOOK: Duration = Duration::from_millis(20);

/// How many may be here, and how long the departed are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many clients may be registered at once.
    pub max_clients: usize,
    /// How many of them from one IP address; 0 for no limit.
    pub max_per_ip: usize,
    /// How long a departed row stays.
    pub retention: Duration,
}

/// A client at the door: checked and clean, not yet let in.
#[derive(Debug, Clone)]
pub struct Newcomer {
    /// The address it claims.
    pub claim: Claim,
    /// Where it really comes from.
    pub peer: SocketAddr,
    /// Protocol version; 0 for a legacy client.
    pub version: u8,
    /// Who it says it is.
    pub identity: Option<Identity>,
    /// What it tells about itself.
    pub profile: Profile,
    /// The secret of its last welcome.
    pub resume: Option<Arc<str>>,
    /// An identity to give it, should it be a v1 client without one.
    pub fresh_id: Arc<str>,
    /// A secret to give it, should it have none that holds.
    pub fresh_secret: Arc<str>,
    /// Where its session notes signs of life.
    pub pulse: Arc<Pulse>,
}

/// A newcomer that was let in.
#[derive(Debug, Clone)]
pub struct Admission {
    /// Its row.
    pub row: RowKey,
    /// The number of its connection.
    pub conn: ConnNo,
    /// Its identity.
    pub id: Arc<str>,
    /// Its secret; empty for a legacy client.
    pub secret: Arc<str>,
    /// How long it had been away, if it was known.
    pub away: Option<Duration>,
    /// The connection it takes the place of, which must be cut.
    pub replaced: Option<ConnNo>,
}

/// Why a newcomer is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// As many clients as allowed are here.
    Full {
        /// How many are allowed.
        max_clients: usize,
    },
    /// As many clients as allowed are here from its address.
    PerIp {
        /// How many are allowed.
        max_per_ip: usize,
    },
    /// A newer life of the same client is here.
    StaleGeneration,
    /// The identity is held by a client that is well, and the newcomer did not prove to be it.
    InUse {
        /// Who holds it.
        holder: SocketAddr,
    },
    /// Two machines keep taking one identity from each other.
    Conflict {
        /// Who keeps it.
        holder: SocketAddr,
    },
    /// The operator removed it and said for how long.
    Blocked {
        /// How long the block still lasts.
        remaining: Duration,
    },
}

/// Everything known of one client, here or gone.
#[derive(Debug)]
pub struct Row {
    /// Its identity, or `~` and a number for a legacy client.
    pub id: Arc<str>,
    /// Its name, or its claim when it has none.
    pub label: Arc<str>,
    /// The address it claims.
    pub claim: Claim,
    /// Where its last connection came from.
    pub peer: SocketAddr,
    /// Protocol version; 0 for a legacy client.
    pub version: u8,
    /// What it tells about itself.
    pub profile: Profile,
    /// How many connections it has had.
    pub sessions: u32,
    /// When its state last changed.
    pub changed: Instant,
    /// Who holds the identity; `None` for a legacy client.
    tenure: Option<Box<Tenure>>,
    standing: Standing,
}

#[derive(Debug)]
enum Standing {
    Here(ConnNo),
    Gone(Box<Gone>),
}

/// How a row ended.
#[derive(Debug)]
struct Gone {
    departure: Departure,
    at: Instant,
    last_seen: Instant,
    /// The number to clear its alert by, until somebody has acknowledged it.
    alert: Option<u64>,
    pulse: Arc<Pulse>,
}

/// One connection. The sweep walks these and touches no row that stays as it is.
#[derive(Debug)]
struct Live {
    row: RowKey,
    pulse: Arc<Pulse>,
    since: Instant,
    /// Set while the client is late: when it was last heard before.
    late_since: Option<Instant>,
    /// Silence before this instant does not count: the timeout was shortened then.
    not_before: Instant,
}

impl Live {
    /// Returns from when on silence counts.
    fn heard(&self) -> Instant {
        self.pulse.last_seen().max(self.not_before)
    }

    fn state(&self) -> State {
        if self.late_since.is_some() { State::Late } else { State::Online }
    }
}

/// What a sweep decided.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Connections whose client is declared gone; their sessions must be told.
    pub convicted: Vec<ConnNo>,
    /// How many were not judged, because what they said has not been read yet.
    pub spared: usize,
    /// The earliest instant at which another sweep can decide anything.
    pub next: Option<Instant>,
}

/// Whom a block keeps out.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Blocked {
    Id(Arc<str>),
    Ip(IpAddr),
}

/// Every client that is here, and those that were here lately.
///
/// Pure: it never looks at a clock and never does anything but decide. What
/// happened leaves through [`Registry::take_events`], in order and once.
#[derive(Debug)]
pub struct Registry {
    settings: Settings,
    rev: Revision,
    limits: Limits,
    rows: HashMap<RowKey, Row>,
    /// By connection number, so in the order they joined.
    live: BTreeMap<ConnNo, Live>,
    by_id: HashMap<Arc<str>, RowKey>,
    /// Departed legacy rows: all that tells such a client from another is its claim and its address.
    by_claim: HashMap<(Claim, IpAddr), RowKey>,
    per_ip: HashMap<IpAddr, usize>,
    blocks: HashMap<Blocked, Instant>,
    graveyard: Graveyard,
    alerts: AlertBook,
    counts: Counts,
    lateness: Lateness,
    last_row: u64,
    last_conn: u64,
    last_event: u64,
    events: Vec<Event>,
}

impl Registry {
    /// Starts with nobody here.
    #[must_use]
    pub fn new(settings: Settings, limits: Limits) -> Self {
        Self {
            settings,
            rev: Revision(1),
            limits,
            rows: HashMap::new(),
            live: BTreeMap::new(),
            by_id: HashMap::new(),
            by_claim: HashMap::new(),
            per_ip: HashMap::new(),
            blocks: HashMap::new(),
            graveyard: Graveyard::default(),
            alerts: AlertBook::default(),
            counts: Counts::default(),
            lateness: Lateness::default(),
            last_row: 0,
            last_conn: 0,
            last_event: 0,
            events: Vec::new(),
        }
    }

    /// Lets a newcomer in, on a new row or on the one it had.
    ///
    /// # Errors
    /// There is no place for it, or its identity belongs to somebody else.
    pub fn join(&mut self, now: Instant, newcomer: &Newcomer) -> Result<Admission, Refusal> {
        self.check_block(now, newcomer)?;
        let identity = newcomer.identity.clone().or_else(|| {
            // A v1 client that leaves the choice to us gets a name nobody else has.
            (newcomer.version > 0).then(|| Identity {
                id: newcomer.fresh_id.clone(),
                generation: 0,
                attempt: 0,
            })
        });
        let known = match &identity {
            Some(identity) => self.by_id.get(&identity.id).copied(),
            None => self.by_claim.get(&(newcomer.claim.clone(), newcomer.peer.ip())).copied(),
        };
        let replaced = match (known, &identity) {
            (Some(key), Some(identity)) => self.judge_takeover(now, key, identity, newcomer)?,
            _ => None,
        };
        self.check_room(newcomer, replaced)?;
        if let Some(conn) = replaced {
            self.depart(now, conn, Departure::new(Reason::Replaced, format!("by {}", newcomer.peer)));
        }
        Ok(self.admit(now, newcomer, identity, known, replaced))
    }

    fn check_block(&mut self, now: Instant, newcomer: &Newcomer) -> Result<(), Refusal> {
        if self.blocks.is_empty() {
            return Ok(());
        }
        self.blocks.retain(|_, &mut until| until > now);
        let whom = match &newcomer.identity {
            Some(identity) => Blocked::Id(identity.id.clone()),
            None => Blocked::Ip(newcomer.peer.ip()),
        };
        match self.blocks.get(&whom) {
            Some(until) => Err(Refusal::Blocked { remaining: until.saturating_duration_since(now) }),
            None => Ok(()),
        }
    }

    /// Returns the connection the newcomer replaces, if the row is held and may be taken.
    fn judge_takeover(
        &mut self,
        now: Instant,
        key: RowKey,
        identity: &Identity,
        newcomer: &Newcomer,
    ) -> Result<Option<ConnNo>, Refusal> {
        let Some(row) = self.rows.get_mut(&key) else { return Ok(None) };
        let Standing::Here(conn) = row.standing else { return Ok(None) };
        let fresh = self.live.get(&conn).is_some_and(|live| {
            now.saturating_duration_since(live.pulse.last_seen()) <= self.settings.late_after()
        });
        let (peer, id) = (row.peer, row.id.clone());
        let Some(tenure) = &mut row.tenure else { return Ok(None) };
        let verdict = tenure.judge(now, peer, fresh, identity, newcomer);
        if let Err(Refusal::Conflict { holder }) = verdict {
            self.emit(now, None, EventKind::Conflict { id, holder, challenger: newcomer.peer });
        }
        verdict.map(|()| Some(conn))
    }

    fn check_room(&self, newcomer: &Newcomer, replaced: Option<ConnNo>) -> Result<(), Refusal> {
        let Limits { max_clients, max_per_ip, .. } = self.limits;
        if replaced.is_none() && self.live.len() >= max_clients {
            return Err(Refusal::Full { max_clients });
        }
        let ip = newcomer.peer.ip();
        let frees_one =
            replaced.and_then(|conn| self.row_of(conn)).is_some_and(|(_, row)| row.peer.ip() == ip);
        let there = self.per_ip.get(&ip).copied().unwrap_or(0) - usize::from(frees_one);
        if max_per_ip > 0 && there >= max_per_ip {
            return Err(Refusal::PerIp { max_per_ip });
        }
        Ok(())
    }

    fn admit(
        &mut self,
        now: Instant,
        newcomer: &Newcomer,
        identity: Option<Identity>,
        known: Option<RowKey>,
        replaced: Option<ConnNo>,
    ) -> Admission {
        self.last_conn += 1;
        let conn = ConnNo(self.last_conn);
        let known = known.filter(|key| self.rows.contains_key(key));
        let key = known.unwrap_or_else(|| {
            self.last_row += 1;
            RowKey(self.last_row)
        });
        let away = known.and_then(|key| self.leave_graveyard(now, key));
        let id =
            identity.as_ref().map_or_else(|| format!("~{}", key.0).into(), |identity| identity.id.clone());
        if identity.is_some() {
            self.by_id.insert(id.clone(), key);
        }
        let old = self.rows.remove(&key);
        let sessions = old.as_ref().map_or(0, |row| row.sessions) + 1;
        let mut tenure = old.and_then(|row| row.tenure);
        match (&mut tenure, identity) {
            (Some(tenure), Some(identity)) => tenure.pass_to(identity, newcomer),
            (None, Some(identity)) => {
                tenure = Some(Box::new(Tenure::new(identity, newcomer.fresh_secret.clone())));
            }
            (_, None) => {}
        }
        let secret = tenure.as_ref().map_or_else(|| "".into(), |tenure| tenure.secret.clone());
        let row = Row {
            id: id.clone(),
            label: label(&newcomer.profile, &newcomer.claim),
            claim: newcomer.claim.clone(),
            peer: newcomer.peer,
            version: newcomer.version,
            profile: newcomer.profile.clone(),
            sessions,
            changed: now,
            tenure,
            standing: Standing::Here(conn),
        };
        self.rows.insert(key, row);
        let pulse = newcomer.pulse.clone();
        pulse.set_revision(self.rev);
        self.live.insert(conn, Live { row: key, pulse, since: now, late_since: None, not_before: now });
        *self.per_ip.entry(newcomer.peer.ip()).or_default() += 1;
        self.counts.add(State::Online);
        let kind = away.map_or(EventKind::Joined, |away| EventKind::Resumed { away });
        self.emit(now, Some(key), kind);
        Admission { row: key, conn, id, secret, away, replaced }
    }

    /// Takes a departed row back among the living; returns how long it was silent.
    fn leave_graveyard(&mut self, now: Instant, key: RowKey) -> Option<Duration> {
        let row = self.rows.get(&key)?;
        let state = self.state_of(row);
        let Standing::Gone(gone) = &row.standing else { return None };
        self.by_claim.remove(&(row.claim.clone(), row.peer.ip()));
        let away = now.saturating_duration_since(gone.last_seen);
        if let Some(number) = gone.alert {
            self.alerts.clear(number);
        }
        self.counts.remove(state);
        Some(away)
    }

    /// Ends a connection, and with it the presence of its client; returns whether it was there.
    pub fn depart(&mut self, now: Instant, conn: ConnNo, departure: Departure) -> bool {
        let Some(live) = self.live.remove(&conn) else { return false };
        self.counts.remove(live.state());
        let last_seen = live.pulse.last_seen();
        let silent = now.saturating_duration_since(last_seen);
        let up = now.saturating_duration_since(live.since);
        let missed = missed_beats(silent, self.settings.interval());
        let failure = departure.reason.is_failure();
        let alert = failure.then(|| self.alerts.raise(now, live.row));
        self.counts.add(if failure { State::TimedOut } else { State::Left });
        if let Some(row) = self.rows.get_mut(&live.row) {
            row.changed = now;
            row.standing = Standing::Gone(Box::new(Gone {
                departure: departure.clone(),
                at: now,
                last_seen,
                alert,
                pulse: live.pulse,
            }));
            let ip = row.peer.ip();
            if row.tenure.is_none() {
                self.by_claim.insert((row.claim.clone(), ip), live.row);
            }
            if let Some(there) = self.per_ip.get_mut(&ip) {
                *there -= 1;
                if *there == 0 {
                    self.per_ip.remove(&ip);
                }
            }
        }
        self.graveyard.push(now, live.row);
        self.emit(now, Some(live.row), EventKind::Gone { departure, silent, up, missed });
        true
    }

    /// Judges everybody's silence, and forgets who has been gone for longer than the retention.
    ///
    /// `unread` tells whether something has arrived from a client that its
    /// session has not read yet. Such a client is not judged: when this side is
    /// the slow one, nobody is blamed. A sweep of 100,000 pulses costs a
    /// fraction of a millisecond, and a change of settings re-arms nothing.
    pub fn sweep(&mut self, now: Instant, unread: impl Fn(ConnNo) -> bool) -> Verdict {
        let (late_after, timeout) = (self.settings.late_after(), self.settings.timeout());
        let mut verdict = Verdict::default();
        let mut flips = Vec::new();
        for (&conn, live) in &mut self.live {
            let heard = live.heard();
            let silent = now.saturating_duration_since(heard);
            let overdue = silent >= late_after;
            let turns = silent >= timeout || (overdue && live.late_since.is_none());
            if turns && unread(conn) {
                verdict.spared += 1;
                verdict.next = earliest(verdict.next, Some(now + SECOND_LOOK));
                continue;
            }
            if silent >= timeout {
                self.lateness.record(now.saturating_duration_since(heard + timeout));
                verdict.convicted.push(conn);
                continue;
            }
            let seen = live.pulse.last_seen();
            match live.late_since {
                None if overdue && live.pulse.mark_late(seen) => flips.push((conn, State::Late)),
                // Its session's report may have crossed the mark, or the interval has grown.
                Some(_) if !overdue => flips.push((conn, State::Online)),
                _ => {}
            }
            let due = if overdue || late_after >= timeout { timeout } else { late_after };
            verdict.next = earliest(verdict.next, Some(heard + due));
        }
        for (conn, state) in flips {
            self.flip(now, conn, state);
        }
        for &conn in &verdict.convicted {
            self.depart(now, conn, Reason::Timeout.into());
        }
        self.forget(now);
        verdict.next = earliest(verdict.next, self.graveyard.next_due(self.limits.retention));
        verdict
    }

    /// Says that a client that was marked late has been heard again.
    pub fn woke(&mut self, now: Instant, conn: ConnNo) {
        let Some(live) = self.live.get(&conn) else { return };
        if live.late_since.is_some_and(|before| live.pulse.last_seen() > before) {
            self.flip(now, conn, State::Online);
        }
    }

    /// Moves a client between online and late, and says so.
    fn flip(&mut self, now: Instant, conn: ConnNo, to: State) {
        let interval = self.settings.interval();
        let Some(live) = self.live.get_mut(&conn) else { return };
        self.counts.remove(live.state());
        let key = live.row;
        let seen = live.pulse.last_seen();
        let before = live.late_since.take().unwrap_or(seen);
        let kind = if to == State::Late {
            live.late_since = Some(seen);
            EventKind::Late { silent: now.saturating_duration_since(seen), interval }
        } else {
            let silent = seen.saturating_duration_since(before);
            EventKind::Back { silent, missed: missed_beats(silent, interval) }
        };
        self.counts.add(to);
        if let Some(row) = self.rows.get_mut(&key) {
            row.changed = now;
        }
        self.emit(now, Some(key), kind);
    }

    /// Removes rows whose retention is over, and the oldest beyond [`GONE_ROWS_MAX`].
    fn forget(&mut self, now: Instant) {
        loop {
            let gone_rows = self.rows.len() - self.live.len();
            let gone_since = |key| match self.rows.get(&key).map(|row| &row.standing) {
                Some(Standing::Gone(gone)) => Some(gone.at),
                _ => None,
            };
            let Some(key) = self.graveyard.pop_due(now, self.limits.retention, gone_rows, gone_since) else {
                return;
            };
            self.remove_gone(key);
        }
    }

    /// Removes a departed row for good; a row that is here stays.
    fn remove_gone(&mut self, key: RowKey) {
        let Some(row) = self.rows.get(&key) else { return };
        let state = self.state_of(row);
        let Standing::Gone(gone) = &row.standing else { return };
        if let Some(number) = gone.alert {
            self.alerts.clear(number);
        }
        self.counts.remove(state);
        let claimed = (row.claim.clone(), row.peer.ip());
        if row.tenure.is_some() {
            self.by_id.remove(&row.id);
        } else if self.by_claim.get(&claimed) == Some(&key) {
            self.by_claim.remove(&claimed);
        }
        self.rows.remove(&key);
    }

    /// Puts new settings in force for everybody; returns their revision.
    ///
    /// Silence before a shortening does not count against anybody: a timeout
    /// lowered from 60 s to 15 s would otherwise time out three healthy
    /// clients of four on the spot.
    pub fn set_settings(&mut self, now: Instant, new: Settings, origin: Origin) -> Revision {
        let old = self.settings;
        if new == old {
            return self.rev;
        }
        self.settings = new;
        self.rev = self.rev.next();
        if new.timeout() < old.timeout() || new.late_after() < old.late_after() {
            for live in self.live.values_mut() {
                live.not_before = now;
            }
        }
        self.emit(now, None, EventKind::Settings { rev: self.rev, old, new, origin });
        self.rev
    }

    /// Changes how many may be here and how long the departed stay; nobody who is here is sent away.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Changes what a client tells about itself, and its claim when one is given.
    pub fn update(&mut self, now: Instant, conn: ConnNo, claim: Option<Claim>, profile: Profile) {
        let Some(key) = self.live.get(&conn).map(|live| live.row) else { return };
        let Some(row) = self.rows.get_mut(&key) else { return };
        let claim = claim.unwrap_or_else(|| row.claim.clone());
        if row.claim == claim && row.profile == profile {
            return;
        }
        row.label = label(&profile, &claim);
        (row.claim, row.profile) = (claim, profile);
        self.emit(now, Some(key), EventKind::Updated);
    }

    /// Keeps a client out until the block ends: by identity, or by address when it has none.
    pub fn block(&mut self, key: RowKey, until: Instant) {
        let Some(row) = self.rows.get(&key) else { return };
        let whom = match row.tenure {
            Some(_) => Blocked::Id(row.id.clone()),
            None => Blocked::Ip(row.peer.ip()),
        };
        self.blocks.insert(whom, until);
    }

    /// Acknowledges the failure of one row, or of all.
    pub fn acknowledge(&mut self, key: Option<RowKey>) {
        let keys: Vec<RowKey> = match key {
            Some(key) => vec![key],
            None => self.alerts.all().collect(),
        };
        for key in keys {
            if let Some(Row { standing: Standing::Gone(gone), .. }) = self.rows.get_mut(&key)
                && let Some(number) = gone.alert.take()
            {
                self.alerts.clear(number);
            }
        }
    }

    /// Forgets one departed row, or all of them, before their retention is over.
    pub fn dismiss(&mut self, key: Option<RowKey>) {
        let keys: Vec<RowKey> = match key {
            Some(key) => vec![key],
            None => self.rows.keys().copied().collect(),
        };
        for key in keys {
            self.remove_gone(key);
        }
    }

    /// Notes something that concerns the server itself.
    pub fn note(&mut self, now: Instant, kind: EventKind) {
        self.emit(now, None, kind);
    }

    fn emit(&mut self, now: Instant, key: Option<RowKey>, kind: EventKind) {
        let who = key.and_then(|row| {
            let known = self.rows.get(&row)?;
            Some(Who { row, id: known.id.clone(), label: known.label.clone(), peer: known.peer })
        });
        self.last_event += 1;
        self.events.push(Event { seq: self.last_event, at: now, who, kind });
    }

    /// Takes what happened since the last call, in order.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Returns the number of the last event, taken or not.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.last_event
    }

    /// Returns the settings in force.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Returns their revision.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.rev
    }

    /// Returns how late verdicts have been.
    #[must_use]
    pub fn lateness(&self) -> &Lateness {
        &self.lateness
    }

    /// Returns the limits in force.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Returns how many rows are in each state.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns a row and its key by the number of its connection.
    #[must_use]
    pub fn row_of(&self, conn: ConnNo) -> Option<(RowKey, &Row)> {
        let key = self.live.get(&conn)?.row;
        Some((key, self.rows.get(&key)?))
    }

    /// Returns the connection of a row, if it has one.
    #[must_use]
    pub fn conn_of(&self, key: RowKey) -> Option<ConnNo> {
        match self.rows.get(&key)?.standing {
            Standing::Here(conn) => Some(conn),
            Standing::Gone(_) => None,
        }
    }

    /// Returns a row with what its connection shows, if it has one.
    #[must_use]
    pub fn live_row(&self, key: RowKey) -> Option<LiveRow<'_>> {
        let row = self.rows.get(&key)?;
        let Standing::Here(conn) = row.standing else { return None };
        let live = self.live.get(&conn)?;
        Some(LiveRow { key, row, state: live.state(), last_seen: live.pulse.last_seen(), since: live.since })
    }

    /// Yields everybody who is here, in the order they joined.
    pub fn live_rows(&self) -> impl Iterator<Item = LiveRow<'_>> {
        self.live.values().filter_map(|live| self.live_row(live.row))
    }

    /// Yields who is here and joined after the connection `after`, in order.
    pub fn live_rows_after(&self, after: Option<ConnNo>) -> impl Iterator<Item = (ConnNo, LiveRow<'_>)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.live
            .range((from, Bound::Unbounded))
            .filter_map(|(&conn, live)| Some((conn, self.live_row(live.row)?)))
    }

    /// Returns how many clients that acknowledge settings follow the newest revision, and how many there are.
    #[must_use]
    pub fn acked(&self) -> (usize, usize) {
        let mut acked = (0, 0);
        for live in self.live.values() {
            if self.rows.get(&live.row).is_some_and(|row| row.version > 0) {
                acked.0 += usize::from(live.pulse.revision() == self.rev);
                acked.1 += 1;
            }
        }
        acked
    }

    fn state_of(&self, row: &Row) -> State {
        match &row.standing {
            Standing::Here(conn) => self.live.get(conn).map_or(State::Online, Live::state),
            Standing::Gone(gone) if gone.departure.reason.is_failure() => State::TimedOut,
            Standing::Gone(_) => State::Left,
        }
    }
}

/// Somebody who is here.
#[derive(Debug, Clone, Copy)]
pub struct LiveRow<'a> {
    /// Its row's key.
    pub key: RowKey,
    /// Its row.
    pub row: &'a Row,
    /// Online or late.
    pub state: State,
    /// When it was last heard.
    pub last_seen: Instant,
    /// Since when it is connected.
    pub since: Instant,
}

fn label(profile: &Profile, claim: &Claim) -> Arc<str> {
    profile.name.clone().unwrap_or_else(|| claim.to_string().into())
}

fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
