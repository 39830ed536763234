//! The verdict on the silent, and the end of what is remembered of the departed.

use std::time::{Duration, Instant};

use super::{Registry, Standing};
use crate::presence::event::EventKind;
use crate::presence::pulse::missed_beats;
use crate::presence::reason::Reason;
use crate::presence::row::{ConnNo, RowKey, State};

/// When a client that was not judged, because it has words unread, is looked at again.
pub(super) const SECOND_LOOK: Duration = Duration::from_millis(20);

/// How often a hold is looked at: who was heard again meanwhile tells nobody.
const HOLD_REVIEW: Duration = Duration::from_millis(250);

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

impl Registry {
    /// Judges everybody's silence, and forgets who has been gone for longer than the retention.
    ///
    /// `unread` tells whether something has arrived from a client that its
    /// session has not read yet. Such a client is not judged: when this side is
    /// the slow one, nobody is blamed. A sweep of 10,000 pulses costs about a
    /// millisecond, and a change of settings re-arms nothing.
    pub fn sweep(&mut self, now: Instant, unread: impl Fn(ConnNo) -> bool) -> Verdict {
        let settings = self.settings;
        let mut verdict = Verdict::default();
        let (mut flips, mut due) = (Vec::new(), Vec::new());
        for (&conn, live) in &mut self.live {
            live.unpin(settings);
            let (deadline, late_at) = (live.deadline(), live.heard() + live.late_after());
            let (expired, overdue) = (now >= deadline, now >= late_at);
            let turns = expired || (overdue && live.late_since.is_none());
            if turns && unread(conn) {
                self.record.spared += u64::from(expired && live.spared());
                verdict.next = earliest(verdict.next, Some(now + SECOND_LOOK));
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
            if live.is_pinned() {
                // Its rhythm may come to fit, and nobody will say so: look again.
                verdict.next = earliest(verdict.next, Some(now + settings.timeout()));
            }
            let probe_at = live.probe_at();
            if probe_at.is_some_and(|at| at <= now) {
                live.probed();
                verdict.probes.push(conn);
            }
            let ahead = [Some(late_at), probe_at, Some(deadline)].into_iter().flatten();
            verdict.next = earliest(verdict.next, ahead.filter(|&at| at > now).min());
        }
        for (conn, state) in flips {
            self.flip(now, conn, state);
        }
        if !due.is_empty() {
            self.convict(now, due, &mut verdict);
        }
        self.review_hold(now);
        if self.hold.is_some() {
            verdict.next = earliest(verdict.next, Some(now + HOLD_REVIEW));
        }
        self.forget(now);
        verdict.next = earliest(verdict.next, self.graveyard.next_due(self.limits.retention));
        verdict
    }

    /// Declares gone whose time is up, apart from those whom a mass silence gives more of it.
    fn convict(&mut self, now: Instant, mut due: Vec<ConnNo>, verdict: &mut Verdict) {
        verdict.probes.extend(self.hold_back(now, &due));
        verdict.probes.sort_unstable();
        verdict.probes.dedup();
        due.retain(|conn| self.live.get(conn).is_some_and(|live| now >= live.deadline()));
        for &conn in &due {
            let Some(deadline) = self.live.get(&conn).map(super::Live::deadline) else { continue };
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
        self.roll.touch();
    }
}

fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
