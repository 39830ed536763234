//! Error codes: what kind of error, and what it means for a connection.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::presence::Reason;

/// What kind of error the other side reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Cow<'_, str>", into = "&'static str")]
pub enum ErrorCode {
    /// As many clients as allowed are registered.
    Full,
    /// As many clients as allowed are registered from this address.
    PerIp,
    /// The token is missing or wrong.
    Auth,
    /// Known, but not allowed to do this.
    Forbidden,
    /// A line that cannot be understood.
    BadRequest,
    /// A line that is too long.
    TooLong,
    /// No `register` in time.
    RegisterTimeout,
    /// A protocol version not spoken here.
    Version,
    /// A newer life of the same identity took over.
    Replaced,
    /// An older life of an identity than the one that is connected.
    StaleGen,
    /// Two machines fight for one identity.
    IdConflict,
    /// Nothing was heard for the whole timeout.
    Timeout,
    /// The other side does not read.
    Slow,
    /// The other side sends too much.
    Flood,
    /// Removed by the operator.
    Kicked,
    /// The server is stopping.
    Draining,
    /// A code this program does not know.
    Unknown,
}

impl ErrorCode {
    const WORDS: [(Self, &'static str); 17] = [
        (Self::Full, "full"),
        (Self::PerIp, "per_ip"),
        (Self::Auth, "auth"),
        (Self::Forbidden, "forbidden"),
        (Self::BadRequest, "bad_request"),
        (Self::TooLong, "too_long"),
        (Self::RegisterTimeout, "register_timeout"),
        (Self::Version, "version"),
        (Self::Replaced, "replaced"),
        (Self::StaleGen, "stale_gen"),
        (Self::IdConflict, "id_conflict"),
        (Self::Timeout, "timeout"),
        (Self::Slow, "slow"),
        (Self::Flood, "flood"),
        (Self::Kicked, "kicked"),
        (Self::Draining, "draining"),
        (Self::Unknown, "unknown"),
    ];

    /// Returns the code as it travels.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(code, _)| *code == self).map_or("unknown", |(_, word)| word)
    }

    /// Returns the reason a connection ends with when it ends with this code.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::BadRequest | Self::TooLong => Reason::Protocol,
            Self::Replaced => Reason::Replaced,
            Self::Timeout => Reason::Timeout,
            Self::Slow => Reason::Slow,
            Self::Flood => Reason::Flood,
            Self::Kicked => Reason::Kicked,
            Self::Draining => Reason::Drain,
            Self::IdConflict => Reason::Conflict,
            Self::Unknown => Reason::Lost,
            _ => Reason::Refused,
        }
    }
}

impl From<Cow<'_, str>> for ErrorCode {
    fn from(word: Cow<'_, str>) -> Self {
        Self::WORDS.iter().find(|(_, known)| *known == word).map_or(Self::Unknown, |(code, _)| *code)
    }
}

impl From<ErrorCode> for &'static str {
    fn from(code: ErrorCode) -> Self {
        code.word()
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
