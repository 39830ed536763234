//! What happened, in order: the one story that log, screen, hooks and history all tell.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::reason::Departure;
use super::row::RowKey;
use super::settings::{Revision, Settings};
use super::span::brief;

/// One thing that happened.
#[derive(Debug, Clone)]
pub struct Event {
    /// Grows by one with every event of a server; a gap means some were dropped on the way.
    pub seq: u64,
    /// When, on the monotonic clock.
    pub at: Instant,
    /// To whom; `None` when it concerns the server itself.
    pub who: Option<Who>,
    /// What.
    pub kind: EventKind,
}

/// The client an event is about, as it was called at that moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// Its row.
    pub row: RowKey,
    /// Its identity, or a made-up one that starts with `~` for a legacy client.
    pub id: Arc<str>,
    /// Its name, or its claimed address when it has none.
    pub label: Arc<str>,
    /// Where the connection really came from.
    pub peer: SocketAddr,
    /// The person it belongs to.
    pub user: Option<Arc<str>>,
}

/// Who asked for a change of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A hotkey on the dashboard.
    Key,
    /// A value typed on the dashboard.
    Prompt,
    /// The configuration file, read again.
    Reload,
    /// Taken back on the dashboard.
    Undo,
    /// Nobody: the fleet has outgrown the settings that were asked for, or fits them again.
    Load,
}

/// How many names are given of many.
pub const NAMED_MAX: usize = 5;

/// Some clients: how many, and the first of them by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Named {
    /// How many.
    pub count: usize,
    /// The names of the first [`NAMED_MAX`].
    pub names: Vec<Arc<str>>,
}

impl Named {
    /// Counts names and keeps the first few.
    pub fn of(all: impl Iterator<Item = Arc<str>>) -> Self {
        let mut named = Self::default();
        for name in all {
            named.count += 1;
            if named.names.len() < NAMED_MAX {
                named.names.push(name);
            }
        }
        named
    }
}

/// Writes `a, b and 3 more`.
impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.join(", "))?;
        match self.count.saturating_sub(self.names.len()) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// A client registered for the first time.
    Joined,
    /// A known client is back after `away`; its row and history are kept.
    Resumed {
        /// Time since it was last heard.
        away: Duration,
    },
    /// A client that was timed out is back so soon, in the same life, that it must have been alive.
    FalseTimeout {
        /// How long ago it was timed out.
        ago: Duration,
    },
    /// A beat is overdue.
    Late {
        /// Time since it was last heard.
        silent: Duration,
        /// The interval it should keep.
        interval: Duration,
    },
    /// A late client was heard again.
    Back {
        /// How long it had been silent.
        silent: Duration,
        /// How many beats did not come.
        missed: u32,
    },
    /// A client is gone.
    Gone {
        /// Why.
        departure: Departure,
        /// Time since it was last heard.
        silent: Duration,
        /// How long its last session lasted.
        up: Duration,
        /// How many beats did not come.
        missed: u32,
    },
    /// A client changed its claim, name or tags.
    Updated,
    /// A newcomer was not let in.
    Refused {
        /// Where it came from.
        peer: SocketAddr,
        /// The error code it was told.
        code: &'static str,
        /// The sentence it was told.
        message: String,
    },
    /// Two addresses fight for one identity.
    Conflict {
        /// The identity.
        id: Arc<str>,
        /// Who holds it, and keeps it.
        holder: SocketAddr,
        /// Who was refused.
        challenger: SocketAddr,
    },
    /// Interval or timeout changed.
    Settings {
        /// The new revision.
        rev: Revision,
        /// What was in force before.
        old: Settings,
        /// What is in force now.
        new: Settings,
        /// Who asked.
        origin: Origin,
    },
    /// The server has trouble of its own, in words, such as running out of descriptors.
    Trouble(String),
    /// The server's trouble is over, or something else worth a quiet line.
    Notice(String),
    /// The time to come back after a restart is over.
    NotBack {
        /// Who was here before and is declared lost.
        lost: Named,
        /// Who is listed in the configuration and has not been seen since the start.
        unseen: Named,
    },
    /// The server asks its clients to go.
    Draining {
        /// How many are still there.
        clients: usize,
    },
}

impl EventKind {
    /// Returns the one word this event goes by in the log and in NDJSON.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Joined => "registered",
            Self::Resumed { .. } => "resumed",
            Self::FalseTimeout { .. } => "false_timeout",
            Self::Late { .. } => "late",
            Self::Back { .. } => "back",
            Self::Gone { departure, .. } => match departure.reason {
                super::Reason::Timeout => "timed_out",
                other => other.word(),
            },
            Self::Updated => "updated",
            Self::Refused { .. } => "refused",
            Self::Conflict { .. } => "id_conflict",
            Self::Settings { .. } => "settings",
            Self::Trouble(_) => "trouble",
            Self::Notice(_) => "notice",
            Self::NotBack { .. } => "not_back",
            Self::Draining { .. } => "draining",
        }
    }

    /// Tells whether it changes what should be remembered of a client across a restart.
    pub(super) fn changes_known(&self) -> bool {
        matches!(
            self,
            Self::Joined | Self::Resumed { .. } | Self::Gone { .. } | Self::Updated | Self::NotBack { .. }
        )
    }
}

/// Says what happened without saying to whom, e.g. `timed out: no ping for 15s (missed 3), up 4h12m`.
impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined => f.write_str("registered"),
            Self::Resumed { away } => write!(f, "resumed after {}", brief(*away)),
            Self::FalseTimeout { ago } => {
                write!(f, "was alive: its timeout {} ago counts as a false one", brief(*ago))
            }
            Self::Late { silent, interval } => {
                write!(f, "late: {} since last sign of life (due every {})", brief(*silent), brief(*interval))
            }
            Self::Back { silent, missed } => write!(f, "back after {}, missed {missed}", brief(*silent)),
            Self::Gone { departure, silent, up, missed } => {
                if departure.reason == super::Reason::Timeout {
                    write!(f, "timed out: no ping for {} (missed {missed})", brief(*silent))?;
                } else {
                    departure.fmt(f)?;
                }
                write!(f, ", up {}", brief(*up))
            }
            Self::Updated => f.write_str("updated its details"),
            Self::Refused { peer, code, message } => write!(f, "refused {peer}: {code} ({message})"),
            Self::Conflict { id, holder, challenger } => {
                write!(f, "id {id:?} is claimed by {holder} and {challenger}; {holder} keeps it")
            }
            Self::Settings { rev, old, new, origin } => {
                write!(f, "settings {}: ", rev.0)?;
                change(f, "interval", old.interval(), new.interval())?;
                f.write_str(", ")?;
                change(f, "timeout", old.timeout(), new.timeout())?;
                write!(f, " ({origin})")
            }
            Self::Trouble(words) | Self::Notice(words) => f.write_str(words),
            Self::NotBack { lost, unseen } => not_back(f, lost, unseen),
            Self::Draining { clients: 1 } => f.write_str("stopping: 1 client is asked to leave"),
            Self::Draining { clients } => write!(f, "stopping: {clients} clients are asked to leave"),
        }
    }
}

/// Writes `2 clients did not come back after the restart: a, b`.
fn not_back(f: &mut fmt::Formatter<'_>, lost: &Named, unseen: &Named) -> fmt::Result {
    match lost.count {
        0 => {}
        1 => write!(f, "1 client did not come back after the restart: {lost}")?,
        count => write!(f, "{count} clients did not come back after the restart: {lost}")?,
    }
    if lost.count > 0 && unseen.count > 0 {
        f.write_str("; ")?;
    }
    match unseen.count {
        0 => Ok(()),
        1 => write!(f, "1 listed client has not been seen since the start: {unseen}"),
        count => write!(f, "{count} listed clients have not been seen since the start: {unseen}"),
    }
}

/// Writes `interval 1m -> 5s`, or `interval 1m` when it stays.
fn change(f: &mut fmt::Formatter<'_>, what: &str, old: Duration, new: Duration) -> fmt::Result {
    if old == new {
        write!(f, "{what} {}", brief(new))
    } else {
        write!(f, "{what} {} -> {}", brief(old), brief(new))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "key",
            Self::Prompt => "prompt",
            Self::Reload => "config reload",
            Self::Undo => "undo",
            Self::Load => "load",
        })
    }
}
