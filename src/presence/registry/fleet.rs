//! The registry as a fleet to look at.

use std::time::Instant;

use super::lives::Lives;
use super::{Live, Registry, Row, Standing};
use crate::presence::dialect::Dialect;
use crate::presence::pulse::BeatStrip;
use crate::presence::row::{ConnNo, Counts, RowKey};
use crate::presence::view::{Alert, Alerts, RowView};
use crate::presence::viewer::{Beat, Fleet, Glance};

/// How many connections are fetched before the first of them is used.
const FETCHED_AT_ONCE: usize = 32;

impl Fleet for Registry {
    fn counts(&self) -> Counts {
        self.counts
    }

    fn each(&self, visit: &mut dyn FnMut(Glance<'_>)) {
        for (&key, row) in &self.rows {
            visit(self.glimpse(key, row));
        }
    }

    fn keys(&self) -> Vec<RowKey> {
        self.rows.keys().copied().collect()
    }

    fn glance(&self, key: RowKey) -> Option<Glance<'_>> {
        Some(self.glimpse(key, self.rows.get(&key)?))
    }

    fn beats(&self, visit: &mut dyn FnMut(Beat)) {
        walk(&self.live, |conn, live| visit(live.beat(conn)));
    }

    fn beat(&self, conn: ConnNo) -> Option<Beat> {
        Some(self.live.get(&conn)?.beat(conn))
    }

    fn version(&self) -> Option<u64> {
        self.changes.version()
    }

    fn changed_since(&self, version: u64) -> Option<Vec<RowKey>> {
        self.changes.since(version)
    }

    fn row(&self, now: Instant, key: RowKey) -> Option<RowView> {
        let row = self.rows.get(&key)?;
        let glance = self.glimpse(key, row);
        let (pulse, timeout, gone, beat) = match &row.standing {
            Standing::Here(conn) => {
                let live = self.live.get(conn)?;
                (Some(&live.pulse), live.terms.timeout(), None, Some(live.beat(*conn)))
            }
            Standing::Awaited(awaited) => (None, self.settings.timeout(), awaited.fate.clone(), None),
            Standing::Gone(gone) => {
                let departed = Some((gone.at, gone.departure.clone()));
                (Some(&gone.pulse), self.settings.timeout(), departed, None)
            }
        };
        // Who cannot claim an address, or has none to claim, has port 0 in another dialect than our own.
        let has_claim = glance.peer.is_some() && (row.dialect == Dialect::Presence || row.claim.port != 0);
        let claim = has_claim.then(|| row.claim.to_string());
        Some(RowView {
            key,
            state: glance.state,
            label: row.label.clone(),
            id: row.id.clone(),
            peer: glance.peer,
            claim_differs: claim.is_some() && *row.claim.ip != *row.peer.ip().to_canonical().to_string(),
            claim,
            user: row.profile.user.clone(),
            device: row.profile.device.clone(),
            platform: row.profile.platform.clone(),
            tags: row.profile.tags.clone(),
            version: row.version,
            dialect: row.dialect,
            last_seen: beat.map(|beat| beat.last_seen).or(glance.last_seen),
            deadline: beat.map(|beat| beat.deadline),
            timeout,
            rtt: beat.and_then(|beat| beat.rtt),
            jitter: pulse.and_then(|pulse| pulse.jitter()),
            gap: pulse.and_then(|pulse| pulse.gap()),
            up_since: glance.up_since,
            strip: pulse.map_or_else(BeatStrip::default, |pulse| pulse.strip()),
            beats: pulse.map_or(0, |pulse| pulse.beats()),
            sessions: row.sessions,
            gone,
            acked: glance.acked,
            flapping: row.rhythm.is_flapping(now),
            past: None,
            changed: row.rhythm.last_change(),
            group: None,
        })
    }
}

impl Live {
    fn beat(&self, conn: ConnNo) -> Beat {
        let last_seen = self.pulse.last_seen();
        Beat { conn, last_seen, deadline: self.deadline_after(last_seen), rtt: self.pulse.rtt() }
    }
}

/// Shows every connection to `visit`, in the order they joined.
///
/// Pulses lie all over the memory. The first two loops do nothing but read, so that
/// the processor waits for many of them at once, and `visit` for none.
pub(super) fn walk(live: &Lives, mut visit: impl FnMut(ConnNo, &Live)) {
    let mut rest = live.iter();
    let mut some: Vec<(ConnNo, &Live)> = Vec::with_capacity(FETCHED_AT_ONCE);
    loop {
        some.clear();
        some.extend(rest.by_ref().take(FETCHED_AT_ONCE));
        if some.is_empty() {
            return;
        }
        for (_, live) in &some {
            std::hint::black_box((live.terms, live.not_before, live.doubt.is_some()));
        }
        for (_, live) in &some {
            live.pulse.fetch();
        }
        for &(conn, live) in &some {
            visit(conn, live);
        }
    }
}

impl Registry {
    /// Starts to keep which rows change, for whoever looks again and again.
    pub fn watch(&mut self) {
        self.changes.watch();
    }

    pub(super) fn glimpse<'a>(&'a self, key: RowKey, row: &'a Row) -> Glance<'a> {
        let live = match &row.standing {
            Standing::Here(conn) => self.live.get(conn),
            Standing::Gone(_) | Standing::Awaited(_) => None,
        };
        let mut glance = Glance {
            key,
            conn: None,
            state: live.map_or_else(|| self.state_of(row), Live::state),
            acked: false,
            label: &row.label,
            id: &row.id,
            peer: Some(row.peer),
            user: row.profile.user.as_ref(),
            tags: &row.profile.tags,
            last_seen: None,
            up_since: None,
            gone_at: None,
        };
        match &row.standing {
            Standing::Here(conn) => {
                glance.conn = Some(*conn);
                glance.up_since = live.map(|live| live.since);
            }
            Standing::Gone(gone) => {
                glance.last_seen = Some(gone.last_seen);
                glance.gone_at = Some(gone.at);
                glance.acked = gone.alert.is_none();
            }
            Standing::Awaited(awaited) => {
                if awaited.last_seen.is_none() {
                    glance.peer = None;
                }
                glance.last_seen = awaited.last_seen;
                glance.gone_at = awaited.fate.as_ref().map(|&(at, _)| at);
            }
        }
        glance
    }

    /// Returns the failures nobody has acknowledged.
    #[must_use]
    pub fn alerts(&self) -> Alerts {
        let alert = |key: RowKey| {
            let row = self.rows.get(&key)?;
            let Standing::Gone(gone) = &row.standing else { return None };
            let departure = gone.departure.clone();
            Some(Alert {
                row: key,
                label: row.label.clone(),
                peer: Some(row.peer),
                since: gone.at,
                departure,
            })
        };
        Alerts {
            unacked: self.alerts.len(),
            newest: self.alerts.newest().filter_map(alert).collect(),
            mass: self.alerts.mass(self.settings.timeout(), self.live.len()),
        }
    }
}
