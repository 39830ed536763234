//! Messages: what a line says.

use std::borrow::Cow;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use super::clean;
use super::code::ErrorCode;
use super::entry::{Entry, Parted};
use super::notify::{Notified, Notify, NotifyResult, Receipt};
use super::register::{self, Invalid, Register, Tags};
use crate::presence::row::Profile;
use crate::presence::{Revision, Settings};

/// How nearly every line of a client begins.
const PING: &str = "{\"type\":\"ping\"";
/// The longest `t` a ping may carry; it is echoed, so it is bounded.
const OPAQUE_BYTES_MAX: usize = 64;

/// What a client says.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientMessage {
    /// The first line: who I am.
    Register(Box<Register>),
    /// I am alive.
    Ping(Ping),
    /// The answer to a server's ping.
    Pong {
        /// The number of the ping.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
    },
    /// Goodbye.
    Leave {
        /// `quit`, `restart` or `suspend`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// My name or labels changed.
    Update(Update),
    /// I missed roster revisions.
    Sync {
        /// The last revision I have.
        from: u64,
    },
    /// A line of chat.
    Chat(Chat),
    /// Tell some clients something.
    Notify(Box<Notify>),
    /// A notification has arrived here.
    Receipt(Receipt),
    /// A blank line, or a type unknown here: a sign of life and nothing more.
    #[serde(skip)]
    Other,
}

/// `ping`: bare in the base protocol.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "PingLine")]
pub struct Ping {
    /// Numbers the pings of a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Echoed unread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub t: Option<Box<RawValue>>,
    /// The settings revision the client follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
    /// The client's last round trip in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_us: Option<u32>,
}

/// `update`: only what is given changes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Update {
    /// A new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// New labels, in place of all the old ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Tags>,
}

impl Update {
    /// Cleans the new details and puts them into `profile`.
    ///
    /// # Errors
    /// Too many labels; then `profile` is left as it was.
    pub fn apply(self, profile: &mut Profile) -> Result<(), Invalid> {
        let tags = self.tags.map(register::checked_tags).transpose()?;
        if let Some(name) = register::cleaned(self.name) {
            profile.name = Some(name);
        }
        if let Some(tags) = tags {
            profile.tags = tags;
        }
        Ok(())
    }
}

/// `chat`: relayed to everyone, its sender included.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Chat {
    /// The sender's claimed address; the server writes what the sender registered.
    #[serde(default)]
    pub from_ip: String,
    /// The sender's claimed port; likewise.
    #[serde(default)]
    pub from_port: u16,
    /// What was said.
    pub message: String,
    /// When, as the sender's clock has it, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
}

impl Chat {
    /// Returns the chat as it may be passed on: its texts made harmless and bounded, and `now` in place of a missing time.
    #[must_use]
    pub fn cleaned(self, now: impl FnOnce() -> String) -> Self {
        let short = |text: &str| clean::line(text, clean::NAME_BYTES_MAX);
        Self {
            message: clean::paragraph(&self.message),
            timestamp: Some(self.timestamp.map_or_else(now, |text| short(&text))),
            channel: Some(self.channel.map_or_else(|| "general".to_owned(), |text| short(&text))),
            ..self
        }
    }
}

/// What a server says.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// You are in; these are the rules.
    Welcome(Box<Welcome>),
    /// The answer to a ping.
    Pong(Pong),
    /// The rules changed.
    Config(Config),
    /// Ping me now.
    Probe,
    /// Are you there? Answer with a pong.
    Ping {
        /// To be repeated in the pong.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
    },
    /// The whole list, or one page of it.
    ClientList(ClientList),
    /// These came or changed.
    ClientJoined {
        /// The roster's revision after this batch.
        rev: u64,
        /// Who.
        clients: Vec<Entry>,
    },
    /// These went.
    ClientLeft {
        /// The roster's revision after this batch.
        rev: u64,
        /// Who, and why.
        clients: Vec<Parted>,
    },
    /// Something is wrong, in a code and in words.
    Error(ErrorMessage),
    /// Leave in so many milliseconds.
    Drain {
        /// Why: `stop` or `restart`.
        reason: String,
        /// Your own slot.
        in_ms: u64,
    },
    /// A line of chat.
    Chat(Chat),
    /// Somebody has something to tell you.
    Notify(Box<Notified>),
    /// What became of a notification of yours.
    NotifyResult(NotifyResult),
    /// A type unknown here, or a blank line.
    #[serde(skip)]
    Other,
}

/// `welcome`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The protocol version spoken from here on.
    pub v: u8,
    /// The client's identity, chosen by the server if it had none.
    pub id: String,
    /// Proves that a later claim to this identity is the same client.
    pub resume: String,
    /// The address the client is seen under.
    pub you: You,
    /// Who answers.
    pub server: ServerInfo,
    /// Settings revision.
    pub rev: u32,
    /// Heartbeat interval, 100 to 3,600,000.
    pub interval_ms: u64,
    /// Connection timeout, longer than the interval.
    pub timeout_ms: u64,
    /// Over how long to spread the first reconnect, should this server die.
    pub spread_ms: u64,
    /// How many clients are registered.
    pub clients: usize,
    /// How long this client had been away, if it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_ms: Option<u64>,
}

/// The address a client is seen under.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct You {
    /// IP address.
    pub ip: String,
    /// Port.
    pub port: u16,
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// The server's name.
    pub name: String,
    /// The program's version.
    pub version: String,
}

/// `pong`: bare in the base protocol, and always bare to a bare ping.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Pong {
    /// The number of the ping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// What the ping carried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t: Option<Box<RawValue>>,
    /// How long the server held the ping, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_us: Option<u64>,
    /// The newer settings revision, when the ping's was stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
    /// Its interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
    /// Its timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// `config`: new settings for everybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Settings revision.
    pub rev: u32,
    /// Heartbeat interval.
    pub interval_ms: u64,
    /// Connection timeout.
    pub timeout_ms: u64,
    /// Over how long to spread the first reconnect.
    pub spread_ms: u64,
}

impl Config {
    /// Writes settings for the wire.
    #[must_use]
    pub fn new(rev: Revision, settings: Settings, spread_ms: u64) -> Self {
        Self {
            rev: rev.0,
            interval_ms: millis(settings.interval()),
            timeout_ms: millis(settings.timeout()),
            spread_ms,
        }
    }
}

/// `client_list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientList {
    /// The clients, in the order they joined.
    pub clients: Vec<Entry>,
    /// The roster's revision this list stands for (v1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u64>,
    /// The page's number, from 0 (v1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// Whether more pages follow (v1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<bool>,
}

/// `error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorMessage {
    /// What kind of error.
    pub code: ErrorCode,
    /// What happened, in words.
    pub message: String,
    /// When to come back; absent means: not by yourself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_ms: Option<u64>,
}

/// Why a line is not a message.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// Not a JSON object with a `type`, or with fields that do not fit it.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// The ping's `t` is too long to be echoed.
    #[error("t has more than {OPAQUE_BYTES_MAX} bytes")]
    OpaqueTooLong,
}

impl ClientMessage {
    /// Reads one line from a client.
    ///
    /// # Errors
    /// Anything but UTF-8 JSON objects with the fields their `type` asks for.
    pub fn decode(line: &[u8]) -> Result<Self, DecodeError> {
        let text = text(line)?;
        let kind = match text {
            "" => return Ok(Self::Other),
            // It is read once and not twice: a ping looks at its type itself.
            _ if text.starts_with(PING) => Cow::Borrowed("ping"),
            _ => kind(text)?,
        };
        Ok(match &*kind {
            "ping" => {
                let ping: Ping = serde_json::from_str(text)?;
                if ping.t.as_ref().is_some_and(|t| t.get().len() > OPAQUE_BYTES_MAX) {
                    return Err(DecodeError::OpaqueTooLong);
                }
                Self::Ping(ping)
            }
            "register" => Self::Register(serde_json::from_str(text)?),
            "pong" => Self::Pong { seq: field::<Seq>(text)?.seq },
            "leave" => Self::Leave { reason: field::<Leave>(text)?.reason },
            "update" => Self::Update(serde_json::from_str(text)?),
            "sync" => Self::Sync { from: field::<Sync>(text)?.from },
            "chat" => Self::Chat(serde_json::from_str(text)?),
            "notify" => Self::Notify(serde_json::from_str(text)?),
            "receipt" => Self::Receipt(serde_json::from_str(text)?),
            _ => Self::Other,
        })
    }

    /// Writes the message as one line, its end included.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

impl ServerMessage {
    /// Reads one line from a server.
    ///
    /// # Errors
    /// Anything but UTF-8 JSON objects with the fields their `type` asks for.
    pub fn decode(line: &[u8]) -> Result<Self, DecodeError> {
        let text = text(line)?;
        if text.is_empty() {
            return Ok(Self::Other);
        }
        Ok(match &*kind(text)? {
            "pong" => Self::Pong(serde_json::from_str(text)?),
            "welcome" => Self::Welcome(serde_json::from_str(text)?),
            "config" => Self::Config(serde_json::from_str(text)?),
            "probe" => Self::Probe,
            "ping" => Self::Ping { seq: field::<Seq>(text)?.seq },
            "client_list" => Self::ClientList(serde_json::from_str(text)?),
            "client_joined" => {
                let batch: Batch<Entry> = field(text)?;
                Self::ClientJoined { rev: batch.rev, clients: batch.clients }
            }
            "client_left" => {
                let batch: Batch<Parted> = field(text)?;
                Self::ClientLeft { rev: batch.rev, clients: batch.clients }
            }
            "error" => Self::Error(serde_json::from_str(text)?),
            "drain" => {
                let drain: Drain = field(text)?;
                Self::Drain { reason: drain.reason, in_ms: drain.in_ms }
            }
            "chat" => Self::Chat(serde_json::from_str(text)?),
            "notify" => Self::Notify(serde_json::from_str(text)?),
            "notify_result" => Self::NotifyResult(serde_json::from_str(text)?),
            _ => Self::Other,
        })
    }

    /// Writes the message as one line, its end included.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Builds an `error`.
    #[must_use]
    pub fn error(code: ErrorCode, message: impl Into<String>, retry_ms: Option<u64>) -> Self {
        Self::Error(ErrorMessage { code, message: message.into(), retry_ms })
    }
}

/// A ping as it stands in a line: with its type, of which there must be one.
#[derive(Deserialize)]
struct PingLine {
    #[serde(rename = "type")]
    _kind: IgnoredAny,
    seq: Option<u64>,
    t: Option<Box<RawValue>>,
    rev: Option<u32>,
    rtt_us: Option<u32>,
}

impl From<PingLine> for Ping {
    fn from(line: PingLine) -> Self {
        let PingLine { _kind, seq, t, rev, rtt_us } = line;
        Self { seq, t, rev, rtt_us }
    }
}

/// The fields of messages that are enum variants above; the same field twice is an error in each.
#[derive(Deserialize)]
struct Seq {
    #[serde(default)]
    seq: Option<u64>,
}
#[derive(Deserialize)]
struct Leave {
    #[serde(default)]
    reason: Option<String>,
}
#[derive(Deserialize)]
struct Sync {
    from: u64,
}
#[derive(Deserialize)]
struct Batch<T> {
    rev: u64,
    clients: Vec<T>,
}
#[derive(Deserialize)]
struct Drain {
    #[serde(default)]
    reason: String,
    in_ms: u64,
}

fn field<T: DeserializeOwned>(text: &str) -> Result<T, DecodeError> {
    Ok(serde_json::from_str(text)?)
}

/// Returns what a line says; nothing for a blank one.
fn text(line: &[u8]) -> Result<&str, DecodeError> {
    str::from_utf8(line).map(str::trim).map_err(|_| DecodeError::NotUtf8)
}

/// Reads the `type` of a line, wherever in the object it stands.
fn kind(text: &str) -> Result<Cow<'_, str>, DecodeError> {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
    }
    let head: Head<'_> = serde_json::from_str(text)?;
    Ok(head.kind)
}

fn encode(message: &impl Serialize) -> Vec<u8> {
    let mut line = Vec::with_capacity(64);
    // Only a map with keys that are not texts, or a failing writer, can fail: there is neither.
    let _ = serde_json::to_writer(&mut line, message);
    line.push(b'\n');
    line
}

/// Returns a duration in whole milliseconds, as durations travel.
#[must_use]
pub fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(line: &str) -> Result<ClientMessage, DecodeError> {
        ClientMessage::decode(line.as_bytes())
    }

    #[test]
    fn the_base_messages_are_byte_for_byte() {
        assert_eq!(ServerMessage::Pong(Pong::default()).encode(), b"{\"type\":\"pong\"}\n");
        assert_eq!(ClientMessage::Ping(Ping::default()).encode(), b"{\"type\":\"ping\"}\n");
        let list = ClientList {
            clients: vec![Entry::base("192.168.1.100".into(), 3000)],
            rev: None,
            page: None,
            more: None,
        };
        assert_eq!(
            ServerMessage::ClientList(list).encode(),
            b"{\"type\":\"client_list\",\"clients\":[{\"ip\":\"192.168.1.100\",\"port\":3000}]}\n"
        );
        let register =
            Register { client_ip: "192.168.1.100".into(), client_port: 3000, ..Register::default() };
        assert_eq!(
            ClientMessage::Register(Box::new(register)).encode(),
            b"{\"type\":\"register\",\"client_ip\":\"192.168.1.100\",\"client_port\":3000}\n"
        );
    }

    #[test]
    fn the_type_may_stand_anywhere_and_unknown_fields_are_ignored() {
        let line = r#" {"new":[1,{"a":null}],"seq":4,"type":"ping"} "#;
        assert!(matches!(client(line).unwrap(), ClientMessage::Ping(Ping { seq: Some(4), .. })));
    }

    #[test]
    fn unknown_types_and_blank_lines_are_signs_of_life() {
        for line in ["", "  ", "\t", r#"{"type":"wave"}"#, r#"{"type":"moon","nid":"n1"}"#] {
            assert!(matches!(client(line).unwrap(), ClientMessage::Other), "{line:?}");
        }
    }

    #[test]
    fn what_is_not_a_message_is_refused() {
        let deep = format!(r#"{{"type":"chat","message":{}{}}}"#, "[".repeat(4000), "]".repeat(4000));
        for line in [
            "hello",
            "[]",
            "{}",
            "null",
            "\"ping\"",
            "{\"type\":5}",
            "{\"type\":null}",
            "{\"type\":\"ping\"",
            "{\"type\":\"ping\"}x",
            r#"{"type":"ping","type":"ping"}"#,
            r#"{"type":"ping","seq":-1}"#,
            r#"{"type":"ping","seq":1.5}"#,
            r#"{"type":"ping","rev":4294967296}"#,
            r#"{"type":"ping","seq":1,"seq":2}"#,
            r#"{"type":"sync"}"#,
            r#"{"type":"register"}"#,
            r#"{"type":"ping","t":"0123456789012345678901234567890123456789012345678901234567890123456789"}"#,
            &deep,
        ] {
            assert!(client(line).is_err(), "{}", &line[..line.len().min(60)]);
        }
        assert!(matches!(
            ClientMessage::decode(b"{\"type\":\"ping\",\"x\":\"\xff\"}"),
            Err(DecodeError::NotUtf8)
        ));
    }

    #[test]
    fn what_a_ping_carries_comes_back_unread() {
        for t in ["912345678", "1.50", "\"a b\"", "[1]"] {
            let ClientMessage::Ping(ping) = client(&format!(r#"{{"type":"ping","t":{t}}}"#)).unwrap() else {
                panic!()
            };
            let echo = ServerMessage::Pong(Pong { t: ping.t, ..Pong::default() }).encode();
            assert_eq!(String::from_utf8(echo).unwrap(), format!("{{\"type\":\"pong\",\"t\":{t}}}\n"));
        }
    }

    #[test]
    fn every_server_message_survives_the_wire() {
        for message in [
            ServerMessage::Probe,
            ServerMessage::Ping { seq: Some(9) },
            ServerMessage::Config(Config { rev: 8, interval_ms: 5_000, timeout_ms: 15_000, spread_ms: 500 }),
            ServerMessage::error(ErrorCode::Full, "100 of 100 clients", Some(4_000)),
            ServerMessage::Drain { reason: "restart".into(), in_ms: 1_730 },
            ServerMessage::ClientLeft {
                rev: 122,
                clients: vec![Parted { id: "k3v9q2m1".into(), reason: "timeout".into() }],
            },
        ] {
            let line = message.encode();
            let again = ServerMessage::decode(&line).unwrap();
            assert_eq!(again.encode(), line);
        }
    }

    #[test]
    fn an_error_code_of_the_future_is_not_an_error() {
        let line = br#"{"type":"error","code":"moon_phase","message":"no"}"#;
        let ServerMessage::Error(error) = ServerMessage::decode(line).unwrap() else { panic!() };
        assert_eq!(error.code, ErrorCode::Unknown);
    }
}
