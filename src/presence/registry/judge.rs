//! The verdict on the silent, and the end of what is remembered of the departed.

use std::time::{Duration, Instant};

use super::doubt::{HOLD_REVIEW, probe_after};
use super::{Live, Registry, Standing};
use crate::presence::event::EventKind;
use crate::presence::pulse::missed_beats;
use crate::presence::reason::Reason;
use crate::presence::row::{ConnNo, RowKey, State};
use crate::presence::settings::Settings;

/// When a client that was not judged, because it has words unread, is looked at again.
pub(super) const SECOND_LOOK: Duration = Duration::from_millis(20);

/// What a sweep decided.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Connections whose client is declared gone; their sessions must be told.
    pub convicted: Vec<ConnNo>,
    /// Connections whose client should be asked to speak before it is too late.
    pub probes: Vec<ConnNo>,
    /// The earliest instant at which another sweep can decide anything.
    pub next: Option<Instant>,
}

impl Live {
    /// Returns when the first thing can be decided about it: that it is late, to be asked, or gone.
    ///
    /// Should it be heard after `now`, that is no earlier than a lateness or a question after `now`.
    fn next_look(&self, now: Instant, settings: Settings) -> Instant {
        let late_at = Some(self.heard() + self.late_after()).filter(|_| self.late_since.is_none());
        let ahead = [late_at, self.probe_at(), Some(self.deadline())].into_iter().flatten();
        let ahead = ahead.filter(|&at| at > now).min();
        let asked = probe_after(self.terms).filter(|_| self.is_v1);
        let mut within = self.terms.late_after().min(asked.unwrap_or(self.terms.timeout()));
        if self.is_pinned() {
            // Its rhythm may come to fit, and nobody will say so.
            within = within.min(settings.interval());
        }
        ahead.map_or(now + within, |at| at.min(now + within))
    }
}

impl Registry {
    /// Judges whose silence can be judged, and forgets who has been gone for longer than the retention.
    ///
    /// `unread` tells whether something has arrived from a client that its
    /// session has not read yet. Such a client is not judged: when this side is
    /// the slow one, nobody is blamed. Only those are looked at of whom anything
    /// can be decided by now, so a sweep costs nothing for all others.
    pub fn sweep(&mut self, now: Instant, unread: impl Fn(ConnNo) -> bool) -> Verdict {
        let settings = self.settings;
        let mut verdict = Verdict::default();
        let (mut flips, mut due) = (Vec::new(), Vec::new());
        let looked_at = self.agenda.due(now, &self.live);
        for &conn in &looked_at {
            let Some(live) = self.live.get_mut(&conn) else { continue };
            if live.is_pinned() {
                self.tally.remove(live);
                live.unpin(settings);
                self.calm = self.calm.filter(|_| live.is_pinned());
                self.tally.add(live);
            }
            let (deadline, late_at) = (live.deadline(), live.heard() + live.late_after());
            let (expired, overdue) = (now >= deadline, now >= late_at);
            let turns = expired || (overdue && live.late_since.is_none());
            if turns && unread(conn) {
                self.record.spared += u64::from(expired && live.spared());
                self.agenda.set(now, conn, live, now + SECOND_LOOK);
                continue;
            }
            if expired {
                due.push(conn);
                continue;
            }
            let seen = live.pulse.last_seen();
            match &live.late_since {
                None if overdue && live.pulse.mark_late(seen) => flips.push((conn, State::Late)),
                // Its session's report may have crossed the mark, or the interval has grown.
                Some(_) if !overdue => flips.push((conn, State::Online)),
                _ => {}
            }
            if live.probe_at().is_some_and(|at| at <= now) {
                live.probed();
                verdict.probes.push(conn);
            }
            let next = live.next_look(now, settings);
            self.agenda.set(now, conn, live, next);
        }
        for (conn, state) in flips {
            self.flip(now, conn, state);
            self.look_again(now, conn);
        }
        if !due.is_empty() {
            self.convict(now, due, &mut verdict);
        }
        self.review_hold(now);
        verdict.next = self.agenda.next(&self.live);
        if self.hold.is_some() {
            verdict.next = earliest(verdict.next, Some(now + HOLD_REVIEW));
        }
        self.forget(now);
        verdict.next = earliest(verdict.next, self.graveyard.next_due(self.limits.retention));
        verdict
    }

    /// Has a client looked at when something can be decided about it, now that more is known of it.
    pub(super) fn look_again(&mut self, now: Instant, conn: ConnNo) {
        if let Some(live) = self.live.get_mut(&conn) {
            let at = live.next_look(now, self.settings);
            self.agenda.set(now, conn, live, at);
        }
    }

    /// Declares gone whose time is up, apart from those whom a mass silence gives more of it.
    fn convict(&mut self, now: Instant, due: Vec<ConnNo>, verdict: &mut Verdict) {
        verdict.probes.extend(self.hold_back(now, &due));
        verdict.probes.sort_unstable();
        verdict.probes.dedup();
        let (due, spared): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|conn| self.live.get(conn).is_some_and(|live| now >= live.deadline()));
        for conn in spared {
            self.look_again(now, conn);
        }
        for &conn in &due {
            let Some(deadline) = self.live.get(&conn).map(Live::deadline) else { continue };
            self.lateness.record(now.saturating_duration_since(deadline));
            self.depart(now, conn, Reason::Timeout.into());
        }
        verdict.convicted = due;
    }

    /// Takes a pause of our own out of everybody's silence: deadlines move by its length.
    ///
    /// What a client sent meanwhile was not read, and what it did not send was
    /// not missed: a pause of any length times out nobody who is well.
    pub fn forgive(&mut self, now: Instant, pause: Duration) {
        for live in self.live.values_mut() {
            live.not_before = (live.heard() + pause).min(now);
            live.prolong(pause);
        }
        self.record.paused += pause;
        self.roll.postpone(pause);
    }

    /// Says that a client that was marked late has been heard again.
    pub fn woke(&mut self, now: Instant, conn: ConnNo) {
        let Some(live) = self.live.get(&conn) else { return };
        if live.late_since.as_ref().is_some_and(|before| live.pulse.last_seen() > **before) {
            self.flip(now, conn, State::Online);
            self.look_again(now, conn);
        }
    }

    /// Moves a client between online and late, and says so.
    fn flip(&mut self, now: Instant, conn: ConnNo, to: State) {
        let Some(live) = self.live.get_mut(&conn) else { return };
        let interval = live.terms.interval();
        self.counts.remove(live.state());
        let key = live.row;
        let seen = live.pulse.last_seen();
        let before = live.late_since.take().map_or(seen, |before| *before);
        let kind = if to == State::Late {
            live.late_since = Some(Box::new(seen));
            EventKind::Late { silent: now.saturating_duration_since(seen), interval }
        } else {
            let silent = seen.saturating_duration_since(before);
            EventKind::Back { silent, missed: missed_beats(silent, interval) }
        };
        self.counts.add(to);
        if let Some(row) = self.rows.get_mut(&key) {
            row.rhythm.change(now);
        }
        self.emit(now, Some(key), kind);
    }

    /// Removes rows whose retention is over, and the oldest beyond [`GONE_ROWS_MAX`].
    fn forget(&mut self, now: Instant) {
        loop {
            let gone_rows = self.rows.len() - self.live.len() - self.roll.held;
            let gone_since = |key| match self.rows.get(&key).map(|row| &row.standing) {
                Some(Standing::Gone(gone)) => Some(gone.at),
                Some(Standing::Awaited(awaited)) if awaited.buried => awaited.last_seen,
                _ => None,
            };
            let Some(key) = self.graveyard.pop_due(now, self.limits.retention, gone_rows, gone_since) else {
                return;
            };
            self.lapse(key);
        }
    }

    /// Removes a departed or expected row for good; a row that is here stays.
    pub(super) fn remove_gone(&mut self, key: RowKey) {
        let Some(row) = self.rows.get(&key) else { return };
        let state = self.state_of(row);
        match &row.standing {
            Standing::Here(_) => return,
            Standing::Awaited(awaited) => self.roll.held -= usize::from(!awaited.buried),
            Standing::Gone(gone) => {
                if let Some(number) = gone.alert {
                    self.alerts.clear(number);
                }
            }
        }
        self.counts.remove(state);
        let (id, claimed) = (row.id.clone(), row.claimed());
        self.unindex(key, &id, &claimed);
        self.rows.remove(&key);
        self.touch(key);
        self.roll.touch();
    }
}

fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
