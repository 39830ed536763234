//! The verdict on the silent, and the end of what is remembered of the departed.

use std::time::{Duration, Instant};

use super::retune::Following;
use super::{Registry, Standing};
use crate::presence::event::EventKind;
use crate::presence::pulse::missed_beats;
use crate::presence::reason::Reason;
use crate::presence::row::{ConnNo, RowKey, State};

/// When a client that was not judged, because it has words unread, is looked at again.
pub(super) const SECOND_LOOK: Duration = Duration::from_millis(20);

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

impl Registry {
    /// Judges everybody's silence, and forgets who has been gone for longer than the retention.
    ///
    /// `unread` tells whether something has arrived from a client that its
    /// session has not read yet. Such a client is not judged: when this side is
    /// the slow one, nobody is blamed. A sweep of 100,000 pulses costs a
    /// fraction of a millisecond, and a change of settings re-arms nothing.
    pub fn sweep(&mut self, now: Instant, unread: impl Fn(ConnNo) -> bool) -> Verdict {
        let settings = self.settings;
        let mut verdict = Verdict::default();
        let mut flips = Vec::new();
        for (&conn, live) in &mut self.live {
            live.unpin(settings);
            let (late_after, timeout) = (live.terms.late_after(), live.terms.timeout());
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
            if matches!(live.following, Following::Pinned { .. }) {
                // Its rhythm may come to fit, and nobody will say so: look again.
                verdict.next = earliest(verdict.next, Some(now + settings.timeout()));
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

    /// Takes a pause of our own out of everybody's silence: deadlines move by its length.
    ///
    /// What a client sent meanwhile was not read, and what it did not send was
    /// not missed: a pause of any length times out nobody who is well.
    pub fn forgive(&mut self, now: Instant, pause: Duration) {
        for live in self.live.values_mut() {
            live.not_before = (live.heard() + pause).min(now);
        }
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
        let Some(live) = self.live.get_mut(&conn) else { return };
        let interval = live.terms.interval();
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
            row.rhythm.change(now);
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
    pub(super) fn remove_gone(&mut self, key: RowKey) {
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
}

fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
