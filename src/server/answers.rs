//! What a session says: pongs, complaints and last words.

use tokio::time::Instant;

use super::handle::{HubHandle, ToHub};
use super::listener::{UNREGISTERED_MAX, UNREGISTERED_PER_IP_MAX};
use super::rules::Rules;
use super::session::{BAD_LINES_MAX, Ended};
use super::wire::LastWord;
use crate::presence::registry::Refusal;
use crate::presence::span::brief;
use crate::presence::{Departure, Reason, Revision};
use crate::protocol::message::{Pong, millis};
use crate::protocol::{ErrorCode, LINE_BYTES_MAX, Ping, ServerMessage, clean};

/// How much of a complaint about a line is sent back; it may quote the line.
const COMPLAINT_BYTES_MAX: usize = 200;
/// How long a refused client is asked to stay away: it may try again soon, but not at once.
const COME_BACK_MS: std::ops::Range<u64> = 3_000..6_000;

/// What a message calls for.
#[derive(Debug)]
pub(crate) enum Pending {
    /// Answer with this line.
    Answer(Vec<u8>),
    /// The hub must know.
    Tell(ToHub),
    /// The conversation is over.
    Leave(Departure),
    /// Nothing.
    Nothing,
}

/// Writes the pong to a ping: bare to a bare one, and with the newer rules to one that follows old ones.
pub(crate) fn pong(ping: Ping, heard_at: Instant, rules: &Rules) -> Vec<u8> {
    if ping.seq.is_none() && ping.t.is_none() && ping.rev.is_none() {
        return b"{\"type\":\"pong\"}\n".to_vec();
    }
    let mut pong = Pong { seq: ping.seq, t: ping.t, ..Pong::default() };
    if ping.rev.is_some_and(|rev| Revision(rev) != rules.revision()) {
        let (rev, settings) = rules.whole();
        pong.rev = Some(rev.0);
        pong.interval_ms = Some(millis(settings.interval()));
        pong.timeout_ms = Some(millis(settings.timeout()));
    }
    pong.hold_us = u64::try_from(heard_at.elapsed().as_micros()).ok();
    ServerMessage::Pong(pong).encode()
}

/// Writes a complaint about a line.
pub(crate) fn bad_request(complaint: &str) -> Vec<u8> {
    let complaint = clean::line(complaint, COMPLAINT_BYTES_MAX);
    ServerMessage::error(ErrorCode::BadRequest, complaint, None).encode()
}

/// Writes a complaint about somebody who says too much at once.
pub(crate) fn slower(what: &str) -> Vec<u8> {
    let words = format!("too many {what}; this one was dropped");
    ServerMessage::error(ErrorCode::Flood, words, Some(500)).encode()
}

pub(crate) fn too_long() -> String {
    format!("a line is longer than {LINE_BYTES_MAX} bytes")
}

pub(crate) fn too_many_bad_lines() -> String {
    format!("{BAD_LINES_MAX} lines in a row could not be understood")
}

/// Returns what a connection is told that does not begin like anything spoken here.
pub(crate) fn unknown_dialect() -> Ended {
    Ended::told(ErrorCode::BadRequest, "nothing that is spoken on this port begins like this", None)
}

/// Returns what a client of another dialect is told whose bytes make no sense.
pub(crate) fn misread(error: &std::io::Error) -> Ended {
    let words = error.to_string();
    let code = if words == too_long() { ErrorCode::TooLong } else { ErrorCode::BadRequest };
    Ended::told(code, words, None)
}

/// Returns what is told when too many connections have not registered, and for how long to stay away.
pub(crate) fn no_place_at_the_door() -> Ended {
    let words = format!("{UNREGISTERED_MAX} connections have not registered yet");
    Ended::told(ErrorCode::Full, words, Some(fastrand::u64(1_000..3_000)))
}

/// As [`no_place_at_the_door`], when they all come from one address.
pub(crate) fn too_many_at_the_door() -> Ended {
    let words = format!("{UNREGISTERED_PER_IP_MAX} connections from this address have not registered yet");
    Ended::told(ErrorCode::PerIp, words, Some(fastrand::u64(1_000..3_000)))
}

pub(crate) fn register_timeout(hub: &HubHandle) -> Ended {
    let span = brief(hub.rules().register_timeout());
    Ended::told(ErrorCode::RegisterTimeout, format!("no register within {span}"), Some(1_000))
}

/// Turns the registry's refusal into what the client is told.
pub(crate) fn refusal(refusal: Refusal) -> Ended {
    let later = || Some(fastrand::u64(COME_BACK_MS));
    match refusal {
        Refusal::Full { max_clients } => {
            Ended::told(ErrorCode::Full, format!("{max_clients} of {max_clients} clients"), later())
        }
        Refusal::PerIp { max_per_ip } => Ended::told(
            ErrorCode::PerIp,
            format!("{max_per_ip} of {max_per_ip} clients from this address"),
            later(),
        ),
        Refusal::StaleGeneration => {
            Ended::told(ErrorCode::StaleGen, "a newer connection of this client is here", later())
        }
        Refusal::InUse { holder, is_itself: true } => Ended::told(
            ErrorCode::IdConflict,
            format!(
                "an earlier connection of this client, {holder}, is still here; it gives way when it falls silent"
            ),
            later(),
        ),
        Refusal::InUse { holder, .. } => Ended::told(
            ErrorCode::IdConflict,
            format!("this id is in use by {holder}; choose another id, or wait until that client is gone"),
            None,
        ),
        Refusal::Conflict { holder } => Ended::told(
            ErrorCode::IdConflict,
            format!("two machines use this id; {holder} keeps it, choose another one here"),
            None,
        ),
        Refusal::Blocked { remaining } => Ended::told(
            ErrorCode::Kicked,
            format!("the operator keeps this client out for another {}", brief(remaining)),
            None,
        ),
    }
}

/// Returns what a client is told when the server is about to stop.
pub(crate) fn stopping() -> Ended {
    Ended::told(ErrorCode::Draining, "the server is stopping", Some(5_000))
}

/// Returns what a client is told when its conversation ends.
pub(crate) fn last_word(departure: &Departure, hub: &HubHandle) -> LastWord {
    let detail = departure.detail.as_ref();
    let error = |code, message: &str, retry_ms| {
        LastWord::Listening(ServerMessage::error(code, message, retry_ms).encode())
    };
    match departure.reason {
        Reason::Lost => LastWord::Nothing,
        Reason::Left => LastWord::Listening(Vec::new()),
        Reason::Timeout => {
            let words = format!("nothing was heard from you for {}", brief(hub.rules().whole().1.timeout()));
            LastWord::Dead(ServerMessage::error(ErrorCode::Timeout, words, Some(0)).encode())
        }
        Reason::Replaced => {
            error(ErrorCode::Replaced, &format!("your identity was taken over {detail}"), None)
        }
        Reason::Conflict => error(ErrorCode::IdConflict, detail, None),
        Reason::Kicked => error(ErrorCode::Kicked, "the operator removed you", None),
        Reason::Refused => error(ErrorCode::Forbidden, detail, None),
        Reason::Slow => error(ErrorCode::Slow, detail, Some(1_000)),
        Reason::Flood => error(ErrorCode::Flood, detail, Some(5_000)),
        Reason::Protocol if detail == too_long() => error(ErrorCode::TooLong, detail, None),
        Reason::Protocol => error(ErrorCode::BadRequest, detail, None),
        Reason::Drain => error(ErrorCode::Draining, "the server is stopping", Some(1_000)),
    }
}
