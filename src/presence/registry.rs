//! The only owner of rows: who is here, who was, and the verdict on the silent.

mod addressed;
mod agenda;
mod alerts;
mod census;
mod changes;
mod door;
mod doubt;
mod expected;
mod fleet;
mod graveyard;
mod judge;
mod lives;
mod load;
mod outlook;
mod retune;
mod rows;
mod takeover;
#[cfg(test)]
mod tests;
mod texts;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agenda::Agenda;
use alerts::AlertBook;
pub use census::Census;
use changes::Changes;
use door::Blocked;
pub use door::{Admission, Newcomer, Refusal};
use doubt::Calm;
use expected::Roll;
pub use graveyard::GONE_ROWS_MAX;
use graveyard::Graveyard;
pub use judge::Verdict;
use lives::Lives;
use retune::Tally;
use rows::{Claimed, Gone, Live, Standing, Told, label};
pub use rows::{LiveRow, Row};
use texts::Texts;

use super::event::{Event, EventKind, Turn, Who};
use super::keyed::KeyMap;
use super::lateness::Lateness;
use super::pulse::missed_beats;
use super::reason::Departure;
use super::row::{Claim, ConnNo, Counts, Profile, RowKey, State};
use super::settings::{Revision, Settings};
use super::trust::{Hold, TrackRecord};

/// How many may be here, and how long the departed are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many clients may be registered at once.
    pub max_clients: usize,
    /// How many of them from one IP address; 0 for no limit.
    pub max_per_ip: usize,
    /// How long a departed row stays.
    pub retention: Duration,
    /// Whether a client that cannot follow new settings keeps the longer ones it registered under.
    pub pin_legacy: bool,
    /// How many pings a second the whole fleet may send; a fleet too large for that is asked to ping less
    /// often. 0 for any number.
    pub max_pings_per_second: u32,
    /// How many times as many lines as agreed a client may say before it is cut; 0 for any number.
    pub flood_factor: u32,
}

/// A hundred clients, a day of memory, nobody dropped by a change, 2,000 pings a second, and four times the
/// agreed from each.
impl Default for Limits {
    fn default() -> Self {
        Self {
            max_clients: 100,
            max_per_ip: 0,
            retention: Duration::from_hours(24),
            pin_legacy: true,
            max_pings_per_second: 2_000,
            flood_factor: 4,
        }
    }
}

/// Every client that is here, and those that were here lately.
///
/// Pure: it never looks at a clock and never does anything but decide. What
/// happened leaves through [`Registry::take_events`], in order and once.
#[derive(Debug)]
pub struct Registry {
    settings: Settings,
    /// What was asked for; `settings` are longer while the fleet is too large for it.
    asked: Settings,
    /// When `settings` last followed the size of the fleet.
    stretched_at: Option<Instant>,
    rev: Revision,
    limits: Limits,
    /// Each on its own, so that a map with room to grow has room for pointers and not for rows.
    rows: KeyMap<Box<Row>>,
    live: Lives,
    agenda: Agenda,
    by_id: HashMap<Arc<str>, RowKey>,
    /// Departed and expected legacy rows.
    by_claim: HashMap<Claimed, RowKey>,
    per_ip: HashMap<IpAddr, usize>,
    blocks: HashMap<Blocked, Instant>,
    graveyard: Graveyard,
    roll: Roll,
    texts: Texts,
    alerts: AlertBook,
    counts: Counts,
    changes: Changes,
    tally: Tally,
    lateness: Lateness,
    /// What it knows of its own mistakes; the lateness is in `lateness`.
    record: TrackRecord,
    /// Set while verdicts are held back.
    hold: Option<Hold>,
    /// When the silent of that are counted again.
    review_at: Option<Instant>,
    /// When there can be a mass silence again; only as long as nobody is judged by shorter settings.
    calm: Option<Calm>,
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
            asked: settings,
            stretched_at: None,
            rev: Revision(1),
            limits,
            rows: KeyMap::default(),
            live: Lives::default(),
            agenda: Agenda::default(),
            by_id: HashMap::new(),
            by_claim: HashMap::new(),
            per_ip: HashMap::new(),
            blocks: HashMap::new(),
            graveyard: Graveyard::default(),
            roll: Roll::default(),
            texts: Texts::default(),
            alerts: AlertBook::default(),
            counts: Counts::default(),
            changes: Changes::default(),
            tally: Tally::default(),
            lateness: Lateness::default(),
            record: TrackRecord::default(),
            hold: None,
            review_at: None,
            calm: None,
            last_row: 0,
            last_conn: 0,
            last_event: 0,
            events: Vec::new(),
        }
    }

    /// Ends a connection, and with it the presence of its client; returns whether it was there.
    pub fn depart(&mut self, now: Instant, conn: ConnNo, departure: Departure) -> bool {
        let Some(live) = self.live.remove(conn) else { return false };
        self.counts.remove(live.state());
        self.tally.remove(&live);
        let last_seen = live.pulse.last_seen();
        let silent = now.saturating_duration_since(last_seen);
        let up = now.saturating_duration_since(live.since);
        let missed = missed_beats(silent, live.terms.interval());
        let failure = departure.reason.is_failure();
        let alert = failure.then(|| self.alerts.raise(now, live.row));
        self.counts.add(if failure { State::TimedOut } else { State::Left });
        if let Some(row) = self.rows.get_mut(&live.row) {
            row.rhythm.change(now);
            row.standing = Standing::Gone(Box::new(Gone {
                departure: departure.clone(),
                at: now,
                last_seen,
                alert,
                pulse: live.pulse,
            }));
            let ip = row.peer.ip();
            if row.tenure.is_none() {
                self.by_claim.insert(row.claimed(), live.row);
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
        let before = std::mem::replace(&mut row.label, label(&profile, &claim));
        let after = row.label.clone();
        (row.claim, row.profile) = (self.texts.share_claim(claim), self.texts.share_profile(profile));
        self.emit(now, Some(key), EventKind::Updated);
        if before != after {
            self.meet(key, &after);
            self.miss(now, &before);
        }
    }

    /// Acknowledges the failure of one row, or of all.
    pub fn acknowledge(&mut self, now: Instant, key: Option<RowKey>) {
        let keys: Vec<RowKey> = match key {
            Some(key) => vec![key],
            None => self.alerts.all().collect(),
        };
        let mut rows = 0;
        for key in keys {
            let row = self.rows.get_mut(&key).map(|row| &mut **row);
            if let Some(Row { standing: Standing::Gone(gone), told, .. }) = row
                && let Some(number) = gone.alert.take()
            {
                self.alerts.clear(number);
                told.acked = true;
                rows += 1;
                self.touch(key);
            }
        }
        if rows > 0 {
            self.emit(now, key, EventKind::Acknowledged { rows });
        }
    }

    /// Forgets one departed or expected row, or all departed ones, before their retention is over.
    pub fn dismiss(&mut self, now: Instant, key: Option<RowKey>) {
        let keys: Vec<RowKey> = match key {
            Some(key) => vec![key],
            None => self.rows.keys().copied().filter(|&key| self.is_swept(key)).collect(),
        };
        let gone = |key: &&RowKey| self.rows.contains_key(key) && self.conn_of(**key).is_none();
        let rows = keys.iter().filter(gone).count();
        if rows > 0 {
            // Before they are forgotten: afterwards nobody knows what they were called.
            self.emit(now, key, EventKind::Dismissed { rows });
        }
        for key in keys {
            self.discard(key);
        }
    }

    /// Forgets a departed or expected row without a word: nobody decided that.
    pub fn discard(&mut self, key: RowKey) {
        if self.awaited(key).is_some() {
            self.dismiss_awaited(key);
        } else {
            self.lapse(key);
        }
    }

    /// Notes something that concerns the server itself.
    pub fn note(&mut self, now: Instant, kind: EventKind) {
        self.emit(now, None, kind);
    }

    /// Notes that a row came, went or looks different.
    fn touch(&mut self, key: RowKey) {
        self.changes.note(key, self.rows.len());
    }

    fn emit(&mut self, now: Instant, key: Option<RowKey>, kind: EventKind) {
        if let Some(row) = key {
            self.touch(row);
        }
        let who = key.and_then(|row| self.who(row, &kind));
        if kind.changes_known() {
            self.roll.touch();
        }
        self.last_event += 1;
        self.events.push(Event { seq: self.last_event, at: now, who, kind });
    }

    /// Returns whom an event is about, and what it did to the row.
    fn who(&mut self, row: RowKey, kind: &EventKind) -> Option<Who> {
        let state = self.rows.get(&row).map(|known| self.state_of(known))?;
        let known = self.rows.get_mut(&row)?;
        let old = known.told;
        let stays = old.state == Some(state);
        known.told = Told { state: Some(state), acked: old.acked && stays };
        let new = (!matches!(kind, EventKind::Dismissed { .. })).then_some(state);
        Some(Who {
            row,
            id: known.id.clone(),
            label: known.label.clone(),
            peer: known.peer,
            user: known.profile.user.clone(),
            device: known.profile.device.clone(),
            turn: Turn { old: old.state, new, acked: old.acked },
        })
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

    /// Returns the settings that were asked for; those in force are longer while the fleet is too large.
    #[must_use]
    pub fn asked(&self) -> Settings {
        self.asked
    }

    /// Returns the revision of the settings in force.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.rev
    }

    /// Returns how far the verdicts can be trusted.
    #[must_use]
    pub fn record(&self) -> TrackRecord {
        TrackRecord {
            verdicts: self.lateness.total(),
            lateness_p99: self.lateness.percentile(99),
            lateness_max: self.lateness.max(),
            ..self.record
        }
    }

    /// Returns how late verdicts have been.
    #[must_use]
    pub fn lateness(&self) -> &Lateness {
        &self.lateness
    }

    /// Returns the verdicts that are held back, if any are.
    #[must_use]
    pub fn hold(&self) -> Option<Hold> {
        self.hold
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
            Standing::Gone(_) | Standing::Awaited(_) => None,
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
        self.live.after(after).filter_map(|(conn, live)| Some((conn, self.live_row(live.row)?)))
    }

    fn state_of(&self, row: &Row) -> State {
        match &row.standing {
            Standing::Here(conn) => self.live.get(conn).map_or(State::Online, Live::state),
            Standing::Gone(gone) if gone.departure.reason.is_failure() => State::TimedOut,
            Standing::Gone(_) => State::Left,
            Standing::Awaited(_) => State::Offline,
        }
    }
}
