//! What is kept of each client: its row, how that stands, and its connection while it has one.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use super::doubt::Doubt;
use super::expected::Awaited;
use super::retune::Behind;
use super::takeover::Tenure;
use crate::presence::dialect::Dialect;
use crate::presence::pulse::Pulse;
use crate::presence::reason::Departure;
use crate::presence::rhythm::Rhythm;
use crate::presence::row::{Claim, ConnNo, Profile, RowKey, State};
use crate::presence::settings::Settings;

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
    /// What its last connection spoke.
    pub dialect: Dialect,
    /// What it tells about itself.
    pub profile: Profile,
    /// How many connections it has had.
    pub sessions: u32,
    /// When its state changed lately.
    pub rhythm: Rhythm,
    /// Who holds the identity; `None` for a legacy client.
    pub(super) tenure: Option<Tenure>,
    /// What the last event left it as.
    pub(super) told: Told,
    pub(super) standing: Standing,
}

/// How a row stood when it was last told of.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    pub(super) state: Option<State>,
    pub(super) acked: bool,
}

impl Told {
    pub(super) fn of(state: State) -> Self {
        Self { state: Some(state), acked: false }
    }
}

#[derive(Debug)]
pub(super) enum Standing {
    Here(ConnNo),
    Gone(Box<Gone>),
    /// Not here, and ought to be.
    Awaited(Box<Awaited>),
}

/// How a row ended.
#[derive(Debug)]
pub(super) struct Gone {
    pub(super) departure: Departure,
    pub(super) at: Instant,
    pub(super) last_seen: Instant,
    /// The number to clear its alert by, until somebody has acknowledged it.
    pub(super) alert: Option<u64>,
    pub(super) pulse: Arc<Pulse>,
}

/// One connection. The sweep walks these and touches no row that stays as it is.
///
/// They lie side by side, as a sweep is as fast as memory can be read; what few connections have is elsewhere.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) row: RowKey,
    pub(super) pulse: Arc<Pulse>,
    pub(super) since: Instant,
    /// Set while the client is late: when it was last heard before.
    pub(super) late_since: Option<Box<Instant>>,
    /// What it is judged by.
    pub(super) terms: Settings,
    /// Why that is not what is in force, should it be something else.
    pub(super) behind: Option<Box<Behind>>,
    /// Silence before this instant does not count: we paused ourselves, or the timeout was shortened then.
    pub(super) not_before: Instant,
    /// It understands the messages of protocol version 1, and so can follow and be asked.
    pub(super) is_v1: bool,
    /// What was done about its silence so far.
    pub(super) doubt: Option<Box<Doubt>>,
    /// Before this nothing can be decided about it; for [`Agenda`].
    pub(super) look_at: u64,
}

impl Live {
    /// Starts a connection that goes by the settings in force.
    pub(super) fn new(now: Instant, row: RowKey, pulse: Arc<Pulse>, terms: Settings, is_v1: bool) -> Self {
        Self {
            row,
            pulse,
            since: now,
            late_since: None,
            terms,
            behind: None,
            not_before: now,
            is_v1,
            doubt: None,
            look_at: 0,
        }
    }

    /// Returns from when on silence counts.
    pub(super) fn heard(&self) -> Instant {
        self.pulse.last_seen().max(self.not_before)
    }

    /// Returns when it is declared gone, unless it is heard before.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline_after(self.pulse.last_seen())
    }

    /// Returns the same for who knows already when it was last heard.
    pub(super) fn deadline_after(&self, last_seen: Instant) -> Instant {
        let plain = last_seen.max(self.not_before) + self.terms.timeout();
        self.reprieve().map_or(plain, |until| plain.max(until))
    }

    pub(super) fn state(&self) -> State {
        if self.late_since.is_some() { State::Late } else { State::Online }
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

/// All that tells a legacy client from another: its claim, its name, where it comes from. The claim alone
/// says little in a dialect that has none, as for two browser tabs on one machine.
pub(super) type Claimed = (Claim, Arc<str>, IpAddr);

impl Row {
    pub(super) fn claimed(&self) -> Claimed {
        (self.claim.clone(), self.label.clone(), self.peer.ip())
    }
}

pub(super) fn label(profile: &Profile, claim: &Claim) -> Arc<str> {
    profile.name.clone().unwrap_or_else(|| claim.to_string().into())
}
