//! WebSocket frames to lines of the presence protocol, and back.
//!
//! A client that begins with `register` speaks the protocol itself, a message
//! in each text frame. Any other beginning makes a *bare* client: whatever it
//! sends is a heartbeat, and its row is named for it.

use std::borrow::Cow;
use std::collections::VecDeque;

use bytes::{BufMut, BytesMut};

use super::{ClientMessage, ErrorCode, Notified};

/// How a bare ping looks to the session.
const BEAT: &[u8] = b"{\"type\":\"ping\"}\n";
/// How the answer to any ping begins.
const PONG: &[u8] = b"{\"type\":\"pong\"";
/// The longest reason a close frame can carry.
const CLOSE_BYTES_MAX: usize = 123;

/// What came in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary,
    /// A WebSocket ping or pong, which its library has dealt with.
    Control,
}

/// One conversation's frames, told apart by how it began.
#[derive(Debug)]
pub enum Talk {
    /// A client of the presence protocol.
    Native,
    /// A client that knows nothing but heartbeats; this is what its next pongs look like.
    Bare(VecDeque<Owed>),
}

/// How a heartbeat is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owed {
    /// As a message.
    Message,
    /// With this word.
    Word(&'static str),
    /// Not at all.
    Nothing,
}

impl Talk {
    /// Tells from the first frame who talks.
    #[must_use]
    pub fn begun_with(frame: Frame<'_>) -> Self {
        let native = matches!(frame, Frame::Text(text) if kind_of(text).as_deref() == Some("register"));
        if native { Self::Native } else { Self::Bare(VecDeque::new()) }
    }

    /// Tells whether nothing but heartbeats is understood at the other end.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        matches!(self, Self::Bare(_))
    }

    /// Turns a frame into a line.
    pub fn hear(&mut self, frame: Frame<'_>, lines: &mut BytesMut) {
        match (self, frame) {
            (_, Frame::Control) | (Self::Native, Frame::Binary) => lines.put_u8(b'\n'),
            (Self::Native, Frame::Text(text)) => put_line(text, lines),
            (Self::Bare(owed), Frame::Binary) => beat(owed, Owed::Nothing, lines),
            (Self::Bare(owed), Frame::Text(text)) => match ClientMessage::decode(text.as_bytes()) {
                Ok(ClientMessage::Ping(_)) => {
                    owed.push_back(Owed::Message);
                    put_line(text, lines);
                }
                Ok(ClientMessage::Leave { .. } | ClientMessage::Update(_) | ClientMessage::Register(_)) => {
                    put_line(text, lines);
                }
                _ => beat(owed, answer_to(text), lines),
            },
        }
    }

    /// Turns a line, without its end, into the text of a frame; `None` for what the other end would not understand.
    pub fn say<'a>(&mut self, line: &'a [u8]) -> Option<Cow<'a, str>> {
        let text = String::from_utf8_lossy(line);
        let Self::Bare(owed) = self else { return Some(text) };
        if !line.starts_with(PONG) {
            return Notified::plain_of(line).map(Cow::Owned);
        }
        match owed.pop_front() {
            Some(Owed::Message) => Some(text),
            Some(Owed::Word(word)) => Some(word.into()),
            Some(Owed::Nothing) | None => None,
        }
    }
}

fn beat(owed: &mut VecDeque<Owed>, answer: Owed, lines: &mut BytesMut) {
    owed.push_back(answer);
    lines.extend_from_slice(BEAT);
}

fn answer_to(text: &str) -> Owed {
    match text.trim() {
        "ping" => Owed::Word("pong"),
        "PING" => Owed::Word("PONG"),
        _ => Owed::Nothing,
    }
}

/// Puts a text where a line is expected: JSON that was written over several lines is one all the same.
fn put_line(text: &str, lines: &mut BytesMut) {
    lines.extend(text.bytes().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { b }));
    lines.put_u8(b'\n');
}

/// Returns the `type` of a message, whatever else is wrong with it.
fn kind_of(text: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Kind {
        #[serde(rename = "type")]
        kind: String,
    }
    serde_json::from_str::<Kind>(text).ok().map(|it| it.kind)
}

/// Returns what a bare client is called: by `?name=`, else by its path; `None` when it says neither.
#[must_use]
pub fn name_of(path: &str, query: &str) -> Option<String> {
    let name = query.split('&').find_map(|pair| pair.strip_prefix("name="));
    let name = name.map(|name| decoded(&name.replace('+', " ")));
    name.or_else(|| Some(decoded(path.trim_matches('/')))).filter(|name| !name.trim().is_empty())
}

/// Reads `%41` as `A`; what is not well-formed stays as it is, what is no text becomes U+FFFD.
#[must_use]
pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail.get(..2).filter(|hex| first == b'%' && hex.iter().all(u8::is_ascii_hexdigit));
        let code = code.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the code a connection is closed with after an error; 1000 after none.
///
/// Where the standard has a code that says the same, it is that one; the rest
/// is in the range left to applications.
#[must_use]
pub fn close_code(error: Option<ErrorCode>) -> u16 {
    match error {
        None => 1000,
        Some(ErrorCode::Draining) => 1001,
        Some(ErrorCode::BadRequest | ErrorCode::Version) => 1002,
        Some(ErrorCode::Auth | ErrorCode::Forbidden) => 1008,
        Some(ErrorCode::TooLong) => 1009,
        Some(ErrorCode::Full | ErrorCode::PerIp | ErrorCode::RegisterTimeout) => 1013,
        Some(ErrorCode::Timeout) => 4000,
        Some(ErrorCode::Replaced) => 4001,
        Some(ErrorCode::StaleGen) => 4002,
        Some(ErrorCode::IdConflict) => 4003,
        Some(ErrorCode::Slow) => 4004,
        Some(ErrorCode::Flood) => 4005,
        Some(ErrorCode::Kicked) => 4006,
        Some(ErrorCode::Unknown) => 1011,
    }
}

/// Returns the reason a close frame carries: the code's word and what was said with it, as much as fits.
#[must_use]
pub fn close_reason(code: ErrorCode, message: &str) -> String {
    let mut reason = format!("{code}: {message}");
    let mut end = reason.len().min(CLOSE_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.truncate(end);
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTER: &str = r#"{"v":1,"client_ip":"h","client_port":1,"type":"register"}"#;

    fn heard(talk: &mut Talk, frame: Frame<'_>) -> String {
        let mut lines = BytesMut::new();
        talk.hear(frame, &mut lines);
        String::from_utf8(lines.to_vec()).unwrap()
    }

    #[test]
    fn who_begins_with_register_speaks_for_itself() {
        let mut talk = Talk::begun_with(Frame::Text(REGISTER));
        assert!(!talk.is_bare());
        assert_eq!(heard(&mut talk, Frame::Text(REGISTER)), format!("{REGISTER}\n"));
        assert_eq!(heard(&mut talk, Frame::Text("{\n\"type\":\r\n\"ping\"}")), "{ \"type\":  \"ping\"}\n");
        assert_eq!(heard(&mut talk, Frame::Control), "\n");
        assert_eq!(heard(&mut talk, Frame::Binary), "\n");
        assert_eq!(talk.say(b"{\"type\":\"welcome\"}").unwrap(), "{\"type\":\"welcome\"}");
    }

    #[test]
    fn any_other_frame_is_a_heartbeat_and_is_answered_in_kind() {
        let frames = [
            (Frame::Text("ping"), Some("pong")),
            (Frame::Text("PING"), Some("PONG")),
            (Frame::Text(r#"{"type":"ping"}"#), Some(r#"{"type":"pong"}"#)),
            (Frame::Text(r#"{"event":"ping"}"#), None),
            (Frame::Text(r#"{"type":"heartbeat"}"#), None),
            (Frame::Text(r#"{"type":"ping","seq":-1}"#), None),
            (Frame::Text("{broken"), None),
            (Frame::Text(""), None),
            (Frame::Binary, None),
        ];
        for (first, _) in frames {
            let mut talk = Talk::begun_with(first);
            assert!(talk.is_bare(), "{first:?}");
            // All at once, as a session may hear them before it answers.
            for (frame, _) in frames {
                assert_eq!(heard(&mut talk, frame), "{\"type\":\"ping\"}\n", "{frame:?}");
            }
            assert_eq!(talk.say(b"{\"type\":\"client_list\",\"clients\":[]}"), None);
            for (frame, answer) in frames {
                assert_eq!(talk.say(b"{\"type\":\"pong\"}").as_deref(), answer, "{frame:?}");
            }
        }
        let mut talk = Talk::begun_with(Frame::Text("x"));
        assert_eq!(heard(&mut talk, Frame::Text(r#"{"type":"leave"}"#)), "{\"type\":\"leave\"}\n");
    }

    #[test]
    fn a_name_comes_from_the_query_then_from_the_path() {
        for (path, query, name) in [
            ("/", "", None),
            ("/agents/bench%207", "", Some("agents/bench 7")),
            ("/x", "a=1&name=ada+b", Some("ada b")),
            ("/x", "name=", None),
            ("//", "named=x", None),
        ] {
            assert_eq!(name_of(path, query).as_deref(), name, "{path}?{query}");
        }
    }

    #[test]
    fn escapes_are_decoded_once_and_broken_ones_stay() {
        assert_eq!(decoded("a%20b%C3%A9%2541"), "a b\u{e9}%41");
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(decoded("%zz%+1%2"), "%zz%+1%2");
        assert_eq!(decoded("%ff"), "\u{fffd}");
    }

    #[test]
    fn a_close_reason_fits_its_frame_and_stays_text() {
        assert_eq!(close_reason(ErrorCode::Kicked, "out"), "kicked: out");
        for n in 100..130 {
            let reason = close_reason(ErrorCode::Full, &"\u{e9}".repeat(n));
            assert!(reason.len() <= CLOSE_BYTES_MAX && reason.len() >= CLOSE_BYTES_MAX - 1);
        }
    }
}
