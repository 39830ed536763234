//! How a conversation ends, and what an error has to do with it.

use std::time::Duration;

use crate::protocol::ErrorCode;
use crate::protocol::message::ErrorMessage;

/// The longest wait a server may ask for.
pub(super) const WAIT_MAX: Duration = Duration::from_hours(24);

/// How a conversation ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Somebody here wanted to stop.
    Quit,
    /// Somebody here wanted a new connection.
    Again,
    /// The server does not want this client back.
    Final(ErrorCode, String),
    /// The connection is gone.
    Lost(String),
    /// The server says when to come back, and why.
    Retry(Duration, String),
    /// The server heard nothing for too long; when to come back, if it says so, and its words.
    TimedOut(Option<Duration>, String),
}

/// Tells whether a client that is told this code must not come back by itself.
pub(super) fn is_final(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::Auth
            | ErrorCode::Forbidden
            | ErrorCode::BadRequest
            | ErrorCode::Version
            | ErrorCode::Replaced
            | ErrorCode::IdConflict
            | ErrorCode::Kicked
    )
}

/// Says what an error that ends the conversation means for the next one.
pub(super) fn verdict(error: ErrorMessage) -> Ending {
    let cause = format!("the server says {}: {}", error.code, error.message);
    match error.retry_ms {
        retry_ms if error.code == ErrorCode::Timeout => {
            Ending::TimedOut(retry_ms.map(|ms| millis(ms).unwrap_or(WAIT_MAX)), cause)
        }
        Some(ms) => Ending::Retry(millis(ms).unwrap_or(WAIT_MAX), cause),
        None if is_final(error.code) => Ending::Final(error.code, error.message),
        None => Ending::Lost(cause),
    }
}

/// Reads a wait; `None` if it is longer than any that makes sense.
pub(super) fn millis(ms: u64) -> Option<Duration> {
    Some(Duration::from_millis(ms)).filter(|wait| *wait <= WAIT_MAX)
}
