//! What an operator can ask for; the screen sends these and never touches a socket.

use std::time::Duration;

use super::event::Origin;
use super::notify::Notification;
use super::row::RowKey;
use super::settings::Settings;
use super::view::Window;

/// One request from the screen, a signal or a script.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Show this window from now on.
    Show(Window),
    /// Put new settings in force for everybody (server only).
    Set(Settings, Origin),
    /// Disconnect a client, and refuse it for a while when a span is given (server only).
    Kick(RowKey, Option<Duration>),
    /// Acknowledge one departed row, or all.
    Acknowledge(Option<RowKey>),
    /// Forget one departed row, or all.
    Dismiss(Option<RowKey>),
    /// Beat now, out of turn (client only).
    BeatNow,
    /// Hold heartbeats back, to see the timeout work, or let them go again (client only).
    Hold(bool),
    /// Drop the connection, or the wait for one, and connect now (client only).
    Reconnect,
    /// This machine or this process has slept: find out what became of the connection (client only).
    Awake {
        /// For how long.
        slept: Duration,
        /// How much of that the monotonic clock does not know of, because the machine was suspended.
        suspended: Duration,
    },
    /// Set this client's note, shown to everybody as the tag `note` (client only).
    Note(String),
    /// Tell some clients something (server only).
    Notify(Notification),
    /// Say something to everybody, as a line of chat (client only).
    Say {
        /// What.
        words: String,
        /// The time since 1970 when it was said, as this machine's clock has it.
        at: Duration,
    },
    /// The oldest notification shown has been read, or all of them (client only).
    Read {
        /// All of them.
        all: bool,
    },
    /// Stop: drain (server) or leave (client).
    Quit,
}
