//! Who ought to be here and is not: known from before a restart, or listed in the configuration.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::graveyard::GONE_ROWS_MAX;
use super::takeover::Tenure;
use super::{Claimed, Gone, Registry, Row, Standing, Told, label};
use crate::presence::dialect::Dialect;
use crate::presence::event::{EventKind, Named};
use crate::presence::known::Known;
use crate::presence::pulse::Pulse;
use crate::presence::reason::{Departure, Reason};
use crate::presence::rhythm::Rhythm;
use crate::presence::row::{Claim, Identity, Profile, RowKey, State};

/// The longest a client of ours waits between two attempts, however long the server has been away.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// A client that has tried for so long waits at most about this many times as long between two attempts.
const RETRY_GROWTH: u32 = 3;
/// What is said of a client that was missing before the restart already.
const MISSING_BEFORE: &str = "missing since before the restart";
/// What is said of a client that was here before the restart and stays away.
const NOT_BACK: &str = "did not come back after the restart";

/// How a row is expected.
#[derive(Debug)]
pub(super) struct Awaited {
    /// When it was last heard; `None` if it never was.
    pub(super) last_seen: Option<Instant>,
    /// When and how it went; `None` for one that was here before the restart, or never.
    pub(super) fate: Option<(Instant, Departure)>,
    /// Whether the graveyard has it, and so an end to how long it is remembered.
    pub(super) buried: bool,
}

impl Awaited {
    /// Tells whether it was here when the server was last seen running, so that it should be back soon.
    pub(super) fn is_due_back(&self) -> bool {
        self.last_seen.is_some() && self.fate.is_none()
    }
}

/// Whom to call, and when.
#[derive(Debug, Default)]
pub(super) struct Roll {
    /// The names that are listed, each with the row a newcomer of that name takes over, if one waits.
    listed: BTreeMap<Arc<str>, Option<RowKey>>,
    /// When those who are not back are declared lost.
    call_at: Option<Instant>,
    /// How many rows are expected and not in the graveyard.
    pub(super) held: usize,
    /// Grows with every change of who is known.
    changes: u64,
}

impl Roll {
    /// Returns a number that is another one after every change of who is known.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Notes that who is known has changed.
    pub(super) fn touch(&mut self) {
        self.changes += 1;
    }

    /// Gives those who are expected as much more time as this process was held up.
    pub(super) fn postpone(&mut self, pause: Duration) {
        self.call_at = self.call_at.map(|at| at + pause);
    }
}

impl Registry {
    /// Expects those who were known before a restart, and those who are listed by name.
    ///
    /// Who was here has `spread` and the timeout to come back, and the time a
    /// client may wait between two attempts after so long; see
    /// [`Registry::call_roll`]. Whoever has been silent for longer than the
    /// retention is forgotten. To be called once, before anybody joins.
    pub fn expect(&mut self, now: Instant, known: Vec<Known>, names: &[Arc<str>], spread: Duration) {
        let retention = self.limits.retention;
        let (mut missing, mut here): (Vec<_>, Vec<_>) =
            known.into_iter().filter(|known| known.silent < retention).partition(|known| known.missing);
        here.truncate(self.limits.max_clients);
        // The graveyard has the oldest first, and keeps the newest.
        missing.sort_unstable_by_key(|known| std::cmp::Reverse(known.silent));
        let too_many = missing.len().saturating_sub(GONE_ROWS_MAX);
        let down = here.iter().map(|known| known.silent).min().unwrap_or_default();
        for known in here.into_iter().chain(missing.into_iter().skip(too_many)) {
            self.await_known(now, known);
        }
        self.list(now, names);
        if self.counts.of(State::Offline) > 0 {
            let retry = down.saturating_mul(RETRY_GROWTH).min(RETRY_MAX);
            self.roll.call_at = Some(now + spread + self.settings.timeout() + retry);
        }
    }

    fn await_known(&mut self, now: Instant, known: Known) {
        let Known { id, claim, peer, version, dialect, profile, sessions, silent, missing } = known;
        let legacy = (claim.clone(), label(&profile, &claim), peer.ip());
        let twice = match &id {
            Some(id) => self.by_id.contains_key(id),
            None => self.by_claim.contains_key(&legacy),
        };
        if twice {
            return;
        }
        // On a machine that has just started the clock may not reach back that far.
        let last_seen = now.checked_sub(silent).unwrap_or(now);
        let awaited = Awaited {
            last_seen: Some(last_seen),
            fate: missing.then(|| (last_seen, Departure::new(Reason::Lost, MISSING_BEFORE))),
            buried: missing,
        };
        let key = self.new_key();
        match &id {
            Some(id) => self.by_id.insert(id.clone(), key),
            None => self.by_claim.insert(legacy, key),
        };
        let row = Row {
            label: label(&profile, &claim),
            claim,
            peer,
            version,
            dialect,
            profile,
            sessions,
            rhythm: Rhythm::new(now),
            tenure: id.clone().map(|id| {
                let before = Identity { id, generation: 0, attempt: 0 };
                Tenure::new(&before, None)
            }),
            id: id.unwrap_or_else(|| format!("~{}", key.0).into()),
            told: Told::of(State::Offline),
            standing: Standing::Awaited(Box::new(awaited)),
        };
        if missing {
            self.graveyard.push(last_seen, key);
        } else {
            self.roll.held += 1;
        }
        self.counts.add(State::Offline);
        self.rows.insert(key, Box::new(row));
        self.touch(key);
    }

    /// Expects clients of these names from now on, and of no others.
    pub fn list(&mut self, now: Instant, names: &[Arc<str>]) {
        let old = std::mem::take(&mut self.roll.listed);
        for (name, row) in old {
            if names.contains(&name) {
                self.roll.listed.insert(name, row);
            } else if let Some(key) = row
                && self.awaited(key).is_some_and(|awaited| !awaited.buried)
            {
                self.remove_gone(key);
            }
        }
        let fresh: Vec<&Arc<str>> =
            names.iter().filter(|name| !self.roll.listed.contains_key(*name)).collect();
        if fresh.is_empty() {
            return;
        }
        // Of several rows with one name, one that is missing is what a newcomer may take.
        let mut by_label: HashMap<&Arc<str>, Option<RowKey>> = HashMap::new();
        for (key, row) in &self.rows {
            let missing = matches!(&row.standing, Standing::Awaited(awaited) if awaited.fate.is_some());
            let found = by_label.entry(&row.label).or_default();
            *found = found.or(missing.then_some(*key));
        }
        let known: Vec<_> =
            fresh.into_iter().map(|name| (name.clone(), by_label.get(name).copied())).collect();
        for (name, row) in known {
            let row = row.unwrap_or_else(|| Some(self.await_unseen(now, name.clone())));
            self.roll.listed.insert(name, row);
        }
    }

    /// Makes a row for somebody of whom nothing is known but the name.
    fn await_unseen(&mut self, now: Instant, name: Arc<str>) -> RowKey {
        let key = self.new_key();
        let row = Row {
            id: format!("~{}", key.0).into(),
            label: name,
            claim: Claim { ip: "".into(), port: 0 },
            peer: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
            version: 0,
            dialect: Dialect::default(),
            profile: Profile::default(),
            sessions: 0,
            rhythm: Rhythm::new(now),
            tenure: None,
            told: Told::of(State::Offline),
            standing: Standing::Awaited(Box::new(Awaited { last_seen: None, fate: None, buried: false })),
        };
        self.roll.held += 1;
        self.counts.add(State::Offline);
        self.rows.insert(key, Box::new(row));
        self.touch(key);
        key
    }

    /// Returns when [`Registry::call_roll`] will have something to say.
    #[must_use]
    pub fn roll_due(&self) -> Option<Instant> {
        self.roll.call_at
    }

    /// Declares lost who was here before the restart and is not back in time.
    ///
    /// Each is a failure to be acknowledged; all of them, and those listed that
    /// nobody has seen, are one event: a restart must not bury what else happens.
    pub fn call_roll(&mut self, now: Instant) {
        if self.roll.call_at.is_none_or(|at| at > now) {
            return;
        }
        self.roll.call_at = None;
        let mut lost: Vec<RowKey> = (self.rows.iter())
            .filter(|(_, row)| matches!(&row.standing, Standing::Awaited(it) if it.is_due_back()))
            .map(|(&key, _)| key)
            .collect();
        lost.sort_unstable();
        for &key in &lost {
            self.declare_lost(now, key);
        }
        let name = |key: RowKey| self.rows.get(&key).map(|row| row.label.clone());
        let unseen = self.roll.listed.values().flatten().copied().filter(|&key| self.is_unseen(key));
        let unseen = Named::of(unseen.filter_map(name));
        let lost = Named::of(lost.iter().copied().filter_map(name));
        if lost.count + unseen.count > 0 {
            self.emit(now, None, EventKind::NotBack { lost, unseen });
        }
    }

    fn declare_lost(&mut self, now: Instant, key: RowKey) {
        let Some(row) = self.rows.get_mut(&key) else { return };
        let Standing::Awaited(awaited) = &row.standing else { return };
        let last_seen = awaited.last_seen.unwrap_or(now);
        row.rhythm.change(now);
        row.told = Told::of(State::TimedOut);
        row.standing = Standing::Gone(Box::new(Gone {
            departure: Departure::new(Reason::Lost, NOT_BACK),
            at: now,
            last_seen,
            alert: Some(self.alerts.raise_known(key)),
            pulse: Arc::new(Pulse::new(last_seen)),
        }));
        self.roll.held -= 1;
        self.counts.remove(State::Offline);
        self.counts.add(State::TimedOut);
        self.touch(key);
        self.graveyard.push(now, key);
    }

    /// Returns the row that waits for somebody of this name, and makes it ready for a new holder.
    pub(super) fn take_listed(&mut self, name: &Arc<str>) -> Option<RowKey> {
        let key = self.roll.listed.get_mut(name)?.take()?;
        let row = self.rows.get_mut(&key)?;
        // Whoever had it before has another identity.
        row.tenure = None;
        let (id, claimed) = (row.id.clone(), row.claimed());
        self.unindex(key, &id, &claimed);
        Some(key)
    }

    /// Removes the row that waits for somebody of this name, who is on the row `key` instead.
    pub(super) fn meet(&mut self, key: RowKey, name: &Arc<str>) {
        let Some(waiting) = self.roll.listed.get_mut(name) else { return };
        if let Some(other) = waiting.take_if(|waiting| *waiting != key)
            && self.is_unseen(other)
        {
            self.remove_gone(other);
        }
    }

    /// Waits for somebody of this name again if nobody goes by it any more, now that a row was renamed.
    pub(super) fn miss(&mut self, now: Instant, name: &Arc<str>) {
        if self.roll.listed.get(name).is_some_and(Option::is_none)
            && !self.rows.values().any(|row| row.label == *name)
        {
            let row = self.await_unseen(now, name.clone());
            self.roll.listed.insert(name.clone(), Some(row));
        }
    }

    /// Takes a row back among the living; returns how long it was silent, if it was ever heard.
    pub(super) fn leave_roll(&mut self, now: Instant, key: RowKey) -> Option<Duration> {
        let row = self.rows.get(&key)?;
        let Standing::Awaited(awaited) = &row.standing else { return None };
        let (last_seen, buried) = (awaited.last_seen, awaited.buried);
        let (id, claimed) = (row.id.clone(), row.claimed());
        if let Some(waiting) = self.roll.listed.get_mut(&row.label) {
            waiting.take_if(|waiting| *waiting == key);
        }
        self.unindex(key, &id, &claimed);
        self.roll.held -= usize::from(!buried);
        self.counts.remove(State::Offline);
        last_seen.map(|at| now.saturating_duration_since(at))
    }

    /// Forgets a departed row whose time is over; one that is listed is expected again instead.
    pub(super) fn lapse(&mut self, key: RowKey) {
        let Some(name) = self.rows.get(&key).map(|row| row.label.clone()) else { return };
        let has_namesake = || self.rows.iter().any(|(&other, row)| other != key && row.label == name);
        if !self.roll.listed.contains_key(&name) || has_namesake() {
            return self.remove_gone(key);
        }
        let Some(row) = self.rows.get_mut(&key) else { return };
        match &mut row.standing {
            Standing::Here(_) => return,
            Standing::Awaited(awaited) if !awaited.buried => return,
            Standing::Awaited(awaited) => awaited.buried = false,
            Standing::Gone(gone) => {
                let failure = gone.departure.reason.is_failure();
                self.counts.remove(if failure { State::TimedOut } else { State::Left });
                self.counts.add(State::Offline);
                if let Some(number) = gone.alert {
                    self.alerts.clear(number);
                }
                row.told = Told::of(State::Offline);
                row.standing = Standing::Awaited(Box::new(Awaited {
                    last_seen: Some(gone.last_seen),
                    fate: Some((gone.at, gone.departure.clone())),
                    buried: false,
                }));
            }
        }
        self.roll.listed.insert(name, Some(key));
        self.roll.held += 1;
        self.touch(key);
        self.roll.touch();
    }

    /// Forgets what an operator dismissed among the expected: this row, whoever it is.
    pub(super) fn dismiss_awaited(&mut self, key: RowKey) {
        let Some(row) = self.rows.get(&key) else { return };
        if let Some(waiting) = self.roll.listed.get_mut(&row.label) {
            waiting.take_if(|waiting| *waiting == key);
        }
        self.remove_gone(key);
    }

    /// Tells whether dismissing all departed rows includes this one: expected ones are not departed.
    pub(super) fn is_swept(&self, key: RowKey) -> bool {
        self.awaited(key).is_none_or(|awaited| awaited.buried)
    }

    pub(super) fn awaited(&self, key: RowKey) -> Option<&Awaited> {
        match &self.rows.get(&key)?.standing {
            Standing::Awaited(awaited) => Some(awaited),
            _ => None,
        }
    }

    /// Tells whether nothing is known of it but the name.
    pub(super) fn is_unseen(&self, key: RowKey) -> bool {
        self.awaited(key).is_some_and(|awaited| awaited.last_seen.is_none())
    }

    /// Takes a row out of the indexes by which it is found, where they still mean this row.
    pub(super) fn unindex(&mut self, key: RowKey, id: &Arc<str>, claimed: &Claimed) {
        if self.by_id.get(id) == Some(&key) {
            self.by_id.remove(id);
        }
        if self.by_claim.get(claimed) == Some(&key) {
            self.by_claim.remove(claimed);
        }
    }

    fn new_key(&mut self) -> RowKey {
        self.last_row += 1;
        RowKey(self.last_row)
    }
}
