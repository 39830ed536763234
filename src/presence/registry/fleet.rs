//! The registry as a fleet to look at.

use std::time::Instant;

use super::{Live, Registry, Row, Standing};
use crate::presence::dialect::Dialect;
use crate::presence::pulse::BeatStrip;
use crate::presence::row::{ConnNo, Counts, RowKey};
use crate::presence::view::{Alert, Alerts, RowView};
use crate::presence::viewer::{Beat, Fleet, Glance};

/// How many pulses are read before the first of them is used.
const FETCHED_AT_ONCE: usize = 64;

impl Fleet for Registry {
    fn counts(&self) -> Counts {
        self.counts
    }

    fn each(&self, visit: &mut dyn FnMut(Glance<'_>)) {
        for (&key, row) in &self.rows {
            visit(self.glimpse(key, row));
        }
    }

    fn glance(&self, key: RowKey) -> Option<Glance<'_>> {
        Some(self.glimpse(key, self.rows.get(&key)?))
    }

    fn beats(&self, visit: &mut dyn FnMut(Beat)) {
        let mut rest = self.live.iter();
        loop {
            let some: Vec<_> = rest.by_ref().take(FETCHED_AT_ONCE).collect();
            if some.is_empty() {
                return;
            }
            // Pulses lie all over the memory: waiting for many of them at once is waiting once.
            std::hint::black_box(some.iter().map(|(_, live)| live.pulse.beats()).max());
            for (&conn, live) in some {
                visit(live.beat(conn));
            }
        }
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
        Beat { conn, last_seen: self.pulse.last_seen(), deadline: self.deadline(), rtt: self.pulse.rtt() }
    }
}

impl Registry {
    /// Starts to keep which rows change, for whoever looks again and again.
    pub fn watch(&mut self) {
        self.changes.watch();
    }

    pub(super) fn glimpse<'a>(&'a self, key: RowKey, row: &'a Row) -> Glance<'a> {
        let mut glance = Glance {
            key,
            conn: None,
            state: self.state_of(row),
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
                glance.up_since = self.live.get(conn).map(|live| live.since);
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
