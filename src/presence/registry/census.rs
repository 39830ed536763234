//! Who should be here after a restart, counted a part of the rows at a time.
//!
//! Rows lie all over the memory: a hundred thousand of them take longer than
//! anybody should wait for a verdict. So they are counted in several turns, and
//! what happens in between may or may not be in the result; but nobody is in it
//! twice, and who neither comes nor goes meanwhile is in it.

use std::time::Instant;

use super::{Registry, Row, Standing};
use crate::presence::known::Known;
use crate::presence::row::RowKey;

/// A count of who is known, under way.
#[derive(Debug, Default)]
pub struct Census {
    /// Whom to look at, in the order of their rows.
    ahead: std::vec::IntoIter<RowKey>,
    here: Vec<Known>,
    away: Vec<Known>,
}

impl Census {
    /// Returns how many are known so far.
    #[must_use]
    pub fn counted(&self) -> usize {
        self.here.len() + self.away.len()
    }

    /// Returns everybody counted: who is here, then who is expected or missing, each in the order of their rows.
    #[must_use]
    pub fn into_known(self) -> Vec<Known> {
        let mut known = self.here;
        known.extend(self.away);
        known
    }
}

impl Registry {
    /// Returns a number that is another one whenever [`Registry::known`] would yield others, or others' details.
    #[must_use]
    pub fn known_changes(&self) -> u64 {
        self.roll.changes()
    }

    /// Returns everybody who should be here after a restart: who is here, who is expected, who is missing.
    ///
    /// Who left because somebody decided it is not among them.
    #[must_use]
    pub fn known(&self, now: Instant) -> Vec<Known> {
        let mut census = self.census();
        self.count(now, &mut census, usize::MAX);
        census.into_known()
    }

    /// Begins to count who is known; see [`Registry::count`].
    #[must_use]
    pub fn census(&self) -> Census {
        // Keys alone are small and lie together. A row that comes later is not counted, and no key comes twice.
        let mut keys: Vec<RowKey> = self.rows.keys().copied().collect();
        keys.sort_unstable();
        Census { ahead: keys.into_iter(), here: Vec::with_capacity(self.live.len()), away: Vec::new() }
    }

    /// Goes on with a count by at most so many rows, each as it is now; returns whether that was all.
    pub fn count(&self, now: Instant, census: &mut Census, rows: usize) -> bool {
        for key in census.ahead.by_ref().take(rows) {
            let Some(row) = self.rows.get(&key) else { continue };
            let Some((last_seen, missing)) = self.last_seen_of(row) else { continue };
            let list =
                if matches!(row.standing, Standing::Here(_)) { &mut census.here } else { &mut census.away };
            list.push(Known {
                id: row.tenure.is_some().then(|| row.id.clone()),
                claim: row.claim.clone(),
                peer: row.peer,
                version: row.version,
                dialect: row.dialect,
                profile: row.profile.clone(),
                sessions: row.sessions,
                silent: now.saturating_duration_since(last_seen),
                missing,
            });
        }
        census.ahead.len() == 0
    }

    /// Returns when somebody was last heard and whether it is missing; `None` for a row nobody is expected on.
    fn last_seen_of(&self, row: &Row) -> Option<(Instant, bool)> {
        match &row.standing {
            Standing::Here(conn) => Some((self.live.get(conn)?.pulse.last_seen(), false)),
            Standing::Gone(gone) => gone.departure.reason.is_failure().then_some((gone.last_seen, true)),
            Standing::Awaited(it) if it.is_due_back() => Some((it.last_seen?, false)),
            Standing::Awaited(it) => it.fate.as_ref()?.1.reason.is_failure().then_some((it.last_seen?, true)),
        }
    }
}
