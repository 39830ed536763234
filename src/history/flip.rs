//! One change of a client's state, as it is written down: an event with wall time, without what only a screen needs.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::Moment;
use crate::presence::{Event, EventKind, Reason};

/// One change. Heartbeats are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flip {
    /// The row, unique in the life of a server.
    pub(super) row: u64,
    /// Under which name the client is remembered; see [`key`].
    pub(super) key: Arc<str>,
    pub(super) label: Arc<str>,
    pub(super) user: Option<Arc<str>>,
    pub(super) peer: SocketAddr,
    /// When, in milliseconds since 1970.
    pub(super) at_ms: u64,
    /// The word of the event.
    pub(super) word: &'static str,
    pub(super) change: Change,
}

/// What it means for the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// A session began; the client had been away for so long, if it was known.
    Began { away_ms: Option<u64> },
    /// A session ended.
    Ended { reason: Reason, detail: String, silent_ms: u64, up_ms: u64 },
    /// Late, or back; silent for so long.
    Wavered { silent_ms: u64 },
    /// It is called something else now, and nothing flipped.
    Renamed,
}

impl Flip {
    /// Returns what an event changed; `None` where it is about no client.
    pub(super) fn of(event: &Event, now: Moment) -> Option<Self> {
        let who = event.who.as_ref()?;
        let change = match &event.kind {
            EventKind::Joined => Change::Began { away_ms: None },
            EventKind::Resumed { away } => Change::Began { away_ms: Some(millis(*away)) },
            EventKind::Gone { departure, silent, up, .. } => Change::Ended {
                reason: departure.reason,
                detail: departure.detail.to_string(),
                silent_ms: millis(*silent),
                up_ms: millis(*up),
            },
            EventKind::Late { silent, .. } | EventKind::Back { silent, .. } => {
                Change::Wavered { silent_ms: millis(*silent) }
            }
            EventKind::FalseTimeout { ago } => Change::Wavered { silent_ms: millis(*ago) },
            EventKind::Updated => Change::Renamed,
            _ => return None,
        };
        Some(Self {
            row: who.row.0,
            key: key(&who.id, &who.label, Some(who.peer)),
            label: who.label.clone(),
            user: who.user.clone(),
            peer: who.peer,
            at_ms: now.wall_of(event.at),
            word: event.kind.word(),
            change,
        })
    }

    /// Returns from when on a session that ends here lasted.
    pub(super) fn began_ms(&self, up_ms: u64) -> u64 {
        self.at_ms.saturating_sub(up_ms)
    }

    /// Returns until when the client was here for certain: a silent one until its last sign of life.
    pub(super) fn last_ms(&self, reason: Reason, silent_ms: u64, up_ms: u64) -> u64 {
        let silent = if reason == Reason::Timeout { silent_ms.min(up_ms) } else { 0 };
        self.at_ms.saturating_sub(silent)
    }
}

/// Returns under which name a client is remembered: its identity, or for one without what it calls itself
/// and where that is, as its made-up identity does not outlive the server.
#[must_use]
pub fn key(id: &Arc<str>, label: &str, peer: Option<SocketAddr>) -> Arc<str> {
    match peer.map(|peer| peer.ip()) {
        _ if !id.starts_with('~') => id.clone(),
        Some(ip) => format!("~{label}@{}", IpAddr::to_canonical(&ip)).into(),
        None => format!("~{label}").into(),
    }
}

/// Returns whole milliseconds.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
