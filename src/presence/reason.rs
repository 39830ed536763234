//! Why a client is no longer here: one word, always.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The one word that says why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The client said goodbye.
    Left,
    /// The connection died without a goodbye: end of stream, reset, or a network error.
    Lost,
    /// Nothing was heard for the whole timeout.
    Timeout,
    /// A newer life of the same client took its place.
    Replaced,
    /// Two machines fight for one identity.
    Conflict,
    /// The operator removed it.
    Kicked,
    /// It was not let in.
    Refused,
    /// It did not read what it was sent.
    Slow,
    /// It sent far more than was agreed.
    Flood,
    /// It did not keep to the protocol.
    Protocol,
    /// The server is going away and said so.
    Drain,
}

impl Reason {
    /// Every reason, in the order of the protocol document.
    pub const ALL: [Self; 11] = [
        Self::Left,
        Self::Lost,
        Self::Timeout,
        Self::Replaced,
        Self::Conflict,
        Self::Kicked,
        Self::Refused,
        Self::Slow,
        Self::Flood,
        Self::Protocol,
        Self::Drain,
    ];

    /// Returns the word as it travels on the wire and stands in the log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Lost => "lost",
            Self::Timeout => "timeout",
            Self::Replaced => "replaced",
            Self::Conflict => "conflict",
            Self::Kicked => "kicked",
            Self::Refused => "refused",
            Self::Slow => "slow",
            Self::Flood => "flood",
            Self::Protocol => "protocol",
            Self::Drain => "drain",
        }
    }

    /// Tells whether nobody decided this end, so an operator should look at it.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Lost | Self::Timeout)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A reason with the detail a person wants beside it, such as `reset by peer` or `quit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// The one word.
    pub reason: Reason,
    /// What more is known; empty when nothing is.
    pub detail: Cow<'static, str>,
}

impl Departure {
    /// Joins a reason and its detail.
    pub fn new(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl From<Reason> for Departure {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: Cow::Borrowed("") }
    }
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detail.is_empty() {
            self.reason.fmt(f)
        } else {
            write!(f, "{}: {}", self.reason, self.detail)
        }
    }
}
