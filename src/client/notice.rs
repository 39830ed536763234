//! What happens to a client, in words: the lines of its log and of its events pane.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::presence::settings::Settings;
use crate::presence::span::brief;
pub use crate::presence::view::Letter;
use crate::presence::view::Transport;
use crate::presence::{Departure, Revision};

/// One thing that happened to this client or to one of its peers; every text in it is already clean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// An attempt begins; its number counts from 1 since the last success.
    Connecting {
        /// The server as it was written.
        server: Arc<str>,
        /// Which attempt.
        attempt: u32,
    },
    /// The server let this client in.
    Registered {
        /// Where the server is.
        address: SocketAddr,
        /// What the server calls itself; empty for a base server.
        server: Arc<str>,
        /// The settings in force.
        settings: Settings,
        /// Whether it is a base server, which sets nothing.
        legacy: bool,
        /// How long the server had missed this client, if it knew it.
        resumed: Option<Duration>,
    },
    /// A foreign server is connected; there is nothing to register with.
    Connected {
        /// Where the server is.
        address: SocketAddr,
        /// What carries the heartbeat.
        transport: Transport,
        /// How often it beats.
        interval: Duration,
    },
    /// The server changed the settings.
    Settings {
        /// Their revision.
        rev: Revision,
        /// What was in force before.
        old: Settings,
        /// What is in force now.
        new: Settings,
    },
    /// The server has not answered a ping for a while.
    Silent {
        /// For how long.
        unanswered: Duration,
    },
    /// The server that was silent answers again.
    Answering {
        /// How long the oldest ping had waited.
        after: Duration,
    },
    /// No connection came about.
    Failed {
        /// Why.
        cause: Arc<str>,
    },
    /// The connection is gone.
    Lost {
        /// Why.
        cause: Arc<str>,
    },
    /// The next attempt will be made after a wait.
    Retrying {
        /// How long.
        wait: Duration,
        /// Which attempt that will be.
        attempt: u32,
    },
    /// The server said that something is wrong; whether this ends the connection shows in what follows.
    Refused {
        /// The error code.
        code: &'static str,
        /// The server's words.
        message: Arc<str>,
    },
    /// The first list of peers is complete.
    Roster {
        /// How many they are.
        peers: usize,
    },
    /// A peer joined, or came back.
    PeerJoined {
        /// What it is called.
        label: Arc<str>,
    },
    /// A peer's beat is overdue.
    PeerLate {
        /// What it is called.
        label: Arc<str>,
    },
    /// A late peer was heard again.
    PeerBack {
        /// What it is called.
        label: Arc<str>,
    },
    /// A peer is gone.
    PeerLeft {
        /// What it is called.
        label: Arc<str>,
        /// Why.
        departure: Departure,
    },
    /// Somebody said something.
    Chat {
        /// The address the speaker registered.
        from: Arc<str>,
        /// What was said.
        message: Arc<str>,
    },
    /// Somebody has something to tell this client.
    Notified(Box<Letter>),
    /// What was to be said could not be: there is no connection, or nothing may be sent on it.
    Unsaid,
    /// The server asked this client to leave.
    Draining {
        /// Why.
        reason: Arc<str>,
        /// After how long.
        wait: Duration,
    },
    /// Heartbeats are held back, or go out again.
    Holding(bool),
    /// The server gave this client up while its heartbeats were held back, so it stays away until they go out again.
    SittingOut,
    /// This machine or this process has slept.
    Woke {
        /// For how long.
        slept: Duration,
        /// Whether there is a connection, which is now looked after.
        online: bool,
    },
    /// The server sent something that is not a message; it was ignored.
    BadLine {
        /// What is wrong with it.
        why: Arc<str>,
        /// How many such lines there have been.
        count: u64,
    },
    /// Something here does not work as it should.
    Warning(Arc<str>),
    /// This client left.
    Left,
}

impl Notice {
    /// Returns the one word it goes by in the log and in NDJSON.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Connecting { .. } => "connecting",
            Self::Registered { .. } => "registered",
            Self::Connected { .. } => "connected",
            Self::Settings { .. } => "settings",
            Self::Silent { .. } => "silent",
            Self::Answering { .. } => "answering",
            Self::Failed { .. } => "failed",
            Self::Lost { .. } => "lost",
            Self::Retrying { .. } => "retrying",
            Self::Refused { .. } => "refused",
            Self::Roster { .. } => "roster",
            Self::PeerJoined { .. } => "peer_joined",
            Self::PeerLate { .. } => "peer_late",
            Self::PeerBack { .. } => "peer_back",
            Self::PeerLeft { .. } => "peer_left",
            Self::Chat { .. } => "chat",
            Self::Notified(_) => "notified",
            Self::Unsaid => "unsaid",
            Self::Draining { .. } => "draining",
            Self::Holding(_) => "holding",
            Self::SittingOut => "sitting_out",
            Self::Woke { .. } => "woke",
            Self::BadLine { .. } => "bad_line",
            Self::Warning(_) => "warning",
            Self::Left => "left",
        }
    }

    /// Tells whether somebody should look at it.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        match self {
            Self::Silent { .. }
            | Self::Failed { .. }
            | Self::Lost { .. }
            | Self::Refused { .. }
            | Self::BadLine { .. }
            | Self::Unsaid
            | Self::Warning(_) => true,
            Self::PeerLeft { departure, .. } => departure.reason.is_failure(),
            _ => false,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting { server, attempt: 1 } => write!(f, "connecting to {server}"),
            Self::Connecting { server, attempt } => write!(f, "connecting to {server} (attempt {attempt})"),
            Self::Registered { address, server, settings, legacy, resumed } => {
                write!(f, "registered with {address}")?;
                if *legacy {
                    return write!(f, ", a legacy server: pinging every {}", brief(settings.interval()));
                }
                if !server.is_empty() {
                    write!(f, " ({server})")?;
                }
                if let Some(away) = resumed {
                    write!(f, ", resumed after {}", brief(*away))?;
                }
                write!(f, ": interval {}, timeout {}", brief(settings.interval()), brief(settings.timeout()))
            }
            Self::Connected { address, transport, interval } => {
                let (what, every) = (transport.word(), brief(*interval));
                write!(
                    f,
                    "connected to {address} ({what}): a beat every {every}, the first after one interval"
                )
            }
            Self::Settings { rev, old, new } => {
                write!(f, "settings {}: ", rev.0)?;
                change(f, "interval", old.interval(), new.interval())?;
                f.write_str(", ")?;
                change(f, "timeout", old.timeout(), new.timeout())
            }
            Self::Silent { unanswered } => {
                write!(f, "the server has not answered for {}", brief(*unanswered))
            }
            Self::Answering { after } => write!(f, "the server answered after {}", brief(*after)),
            Self::Failed { cause } => write!(f, "could not connect: {cause}"),
            Self::Lost { cause } => write!(f, "connection lost: {cause}"),
            Self::Retrying { wait, attempt } => {
                write!(f, "retrying in {} (attempt {attempt})", brief(*wait))
            }
            Self::Refused { code, message } => write!(f, "the server says {code}: {message}"),
            Self::Roster { peers: 1 } => f.write_str("1 client is here"),
            Self::Roster { peers } => write!(f, "{peers} clients are here"),
            Self::PeerJoined { label } => write!(f, "{label} joined"),
            Self::PeerLate { label } => write!(f, "{label} is late"),
            Self::PeerBack { label } => write!(f, "{label} is back"),
            Self::PeerLeft { label, departure } => write!(f, "{label} is gone: {departure}"),
            Self::Chat { from, message } => write!(f, "{from} says: {message}"),
            Self::Notified(letter) => letter.fmt(f),
            Self::Unsaid => f.write_str("nothing was said: there is no connection to say it on"),
            Self::Draining { reason, wait } => {
                write!(f, "the server asks this client to leave in {} ({reason})", brief(*wait))
            }
            Self::Holding(true) => f.write_str("holding heartbeats back"),
            Self::Holding(false) => f.write_str("sending heartbeats again"),
            Self::SittingOut => {
                f.write_str("timed out as asked: not coming back before heartbeats are sent again")
            }
            Self::Woke { slept, online } => {
                let next = if *online { ": checking the connection" } else { "" };
                write!(f, "woke after {} of sleep{next}", brief(*slept))
            }
            Self::BadLine { why, count } => {
                write!(f, "ignored a line from the server: {why} ({count} so far)")
            }
            Self::Warning(words) => f.write_str(words),
            Self::Left => f.write_str("left"),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_read_as_sentences() {
        let secs = Duration::from_secs;
        let settings = Settings::new(secs(5), secs(15)).unwrap();
        for (notice, words) in [
            (Notice::Connecting { server: "hq".into(), attempt: 3 }, "connecting to hq (attempt 3)"),
            (
                Notice::Registered {
                    address: ([127, 0, 0, 1], 8080).into(),
                    server: "hq".into(),
                    settings,
                    legacy: false,
                    resumed: Some(secs(23)),
                },
                "registered with 127.0.0.1:8080 (hq), resumed after 23s: interval 5s, timeout 15s",
            ),
            (
                Notice::Settings { rev: Revision(8), old: Settings::default(), new: settings },
                "settings 8: interval 1m -> 5s, timeout 2m -> 15s",
            ),
            (
                Notice::Woke { slept: secs(8 * 3_600), online: true },
                "woke after 8h of sleep: checking the connection",
            ),
            (Notice::Woke { slept: secs(3), online: false }, "woke after 3s of sleep"),
            (Notice::Retrying { wait: secs(2), attempt: 4 }, "retrying in 2s (attempt 4)"),
        ] {
            assert_eq!(notice.to_string(), words);
        }
    }
}
