//! What a person asks for who keeps a foreign server company.

use bytes::Bytes;
use thiserror::Error;

use super::pulse::patience;
use crate::net::url::{ForeignUrl, Scheme, UrlError};
use crate::presence::Settings;
use crate::presence::span;
use crate::presence::view::Transport;
use crate::protocol::clean;

/// The longest payload, expectation or reply.
const TEXT_BYTES_MAX: usize = 64 * 1_024;
/// How many pairs of pattern and reply there may be.
const RULES_MAX: usize = 64;

/// What is sent at each beat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// A text; over WebSocket, a text message.
    Text(String),
    /// Bytes; over WebSocket, a binary message.
    Bytes(Bytes),
}

/// What was asked for, as it was written.
#[derive(Debug, Clone, Default)]
pub struct Wanted<'a> {
    /// Where the server is, such as `ws://hq/live`.
    pub server: &'a str,
    /// What to call this client on its own screen.
    pub name: &'a str,
    /// How often to beat.
    pub interval: Option<&'a str>,
    /// A text to send.
    pub payload: Option<&'a str>,
    /// JSON to send.
    pub payload_json: Option<&'a str>,
    /// Bytes to send, two hexadecimal digits each.
    pub payload_hex: Option<&'a str>,
    /// What the server answers a beat with.
    pub expect: Option<&'a str>,
    /// What the server may say that wants a reply.
    pub on: &'a [String],
    /// The replies, in the same order.
    pub reply: &'a [String],
}

/// A heartbeat for a foreign server, checked.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where the server is.
    pub url: ForeignUrl,
    /// What to call this client on its own screen.
    pub name: String,
    /// The interval, and how long a beat may stay unanswered.
    pub settings: Settings,
    /// What is sent at each beat.
    pub payload: Payload,
    /// What the server answers a beat with, if it does.
    pub expect: Option<String>,
    /// What the server may say that wants a reply, and the reply.
    pub rules: Vec<(String, String)>,
}

/// Why a heartbeat for a foreign server cannot be what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The address is wrong.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// It does not say how often.
    #[error(
        "a foreign server needs --interval: how often it wants to hear something (such as --interval 30s)"
    )]
    NoInterval,
    /// The interval is none.
    #[error("--interval {0:?} is {1}")]
    Interval(String, span::SpanError),
    /// The interval is too short or too long.
    #[error("--interval {0:?}: an interval is 0.1s to 1h")]
    IntervalRange(String),
    /// It does not say what to send.
    #[error(
        "a foreign server needs something to be sent: give one of --payload TEXT, --payload-json JSON or --payload-hex HEX"
    )]
    NoPayload,
    /// It says twice what to send.
    #[error("there is one payload: give only one of --payload, --payload-json and --payload-hex")]
    TwoPayloads,
    /// There is nothing in it.
    #[error("{0} is empty, and nothing is not a heartbeat (write at least one character)")]
    Empty(&'static str),
    /// There is too much in it.
    #[error("{0} is longer than {TEXT_BYTES_MAX} bytes")]
    TooLong(&'static str),
    /// It is not JSON.
    #[error(
        "--payload-json is not JSON: {0} (write it in single quotes for the shell, such as '{{\"op\":1}}')"
    )]
    Json(String),
    /// It is not hexadecimal.
    #[error("--payload-hex {0:?} is not bytes in hexadecimal (write two digits for each, such as c000)")]
    Hex(String),
    /// Patterns and replies are not pairs.
    #[error("{on} times --on but {reply} times --reply: each --on PATTERN needs its --reply TEXT")]
    Pairs {
        /// How many patterns.
        on: usize,
        /// How many replies.
        reply: usize,
    },
    /// There are too many pairs.
    #[error("at most {RULES_MAX} pairs of --on and --reply can be given")]
    TooManyRules,
}

impl Plan {
    /// Checks what was asked for.
    ///
    /// # Errors
    /// Something is missing, too much, or makes no sense.
    pub fn new(wanted: &Wanted<'_>) -> Result<Self, PlanError> {
        let url = wanted.server.parse()?;
        let interval = interval(wanted.interval)?;
        let payload = payload(wanted)?;
        let expect = wanted.expect.map(|text| fit(text, "--expect")).transpose()?;
        let (on, reply) = (wanted.on.len(), wanted.reply.len());
        if on != reply {
            return Err(PlanError::Pairs { on, reply });
        }
        if on > RULES_MAX {
            return Err(PlanError::TooManyRules);
        }
        let pairs = wanted.on.iter().zip(wanted.reply);
        let rules = pairs.map(|(on, reply)| Ok((fit(on, "--on")?, fit(reply, "--reply")?)));
        let rules = rules.collect::<Result<_, PlanError>>()?;
        Ok(Self { url, name: clean::name(wanted.name), settings: interval, payload, expect, rules })
    }

    /// Returns what carries the heartbeat.
    #[must_use]
    pub fn transport(&self) -> Transport {
        match self.url.scheme() {
            Scheme::Ws => Transport::WebSocket,
            Scheme::Wss => Transport::SecureWebSocket,
            Scheme::TcpRaw => Transport::RawTcp,
        }
    }
}

fn interval(text: Option<&str>) -> Result<Settings, PlanError> {
    let text = text.ok_or(PlanError::NoInterval)?;
    let interval = span::parse(text).map_err(|error| PlanError::Interval(text.to_owned(), error))?;
    // Checked before it is doubled: a timeout that is too long would be blamed instead.
    let out_of_range = || PlanError::IntervalRange(text.to_owned());
    Settings::new(interval, patience(interval)).map_err(|_| out_of_range())
}

fn payload(wanted: &Wanted<'_>) -> Result<Payload, PlanError> {
    match (wanted.payload, wanted.payload_json, wanted.payload_hex) {
        (Some(text), None, None) => fit(text, "--payload").map(Payload::Text),
        (None, Some(json), None) => {
            let json = fit(json, "--payload-json")?;
            match serde_json::from_str::<serde::de::IgnoredAny>(&json) {
                Ok(_) => Ok(Payload::Text(json)),
                Err(error) => Err(PlanError::Json(error.to_string())),
            }
        }
        (None, None, Some(hex)) => bytes_of(&fit(hex, "--payload-hex")?).map(Payload::Bytes),
        (None, None, None) => Err(PlanError::NoPayload),
        _ => Err(PlanError::TwoPayloads),
    }
}

fn fit(text: &str, what: &'static str) -> Result<String, PlanError> {
    if text.is_empty() {
        return Err(PlanError::Empty(what));
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(PlanError::TooLong(what));
    }
    Ok(text.to_owned())
}

/// Reads two hexadecimal digits for each byte.
fn bytes_of(hex: &str) -> Result<Bytes, PlanError> {
    let digits: Option<Vec<u8>> = hex.chars().map(|c| u8::try_from(c.to_digit(16)?).ok()).collect();
    let pairs = digits.as_deref().map(<[u8]>::as_chunks);
    match pairs {
        Some((pairs, [])) => Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect()),
        _ => Err(PlanError::Hex(hex.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn wanted() -> Wanted<'static> {
        Wanted { server: "ws://hq/live", interval: Some("30s"), payload: Some("ping"), ..Wanted::default() }
    }

    #[test]
    fn a_heartbeat_is_an_address_an_interval_and_a_payload() {
        let plan = Plan::new(&wanted()).unwrap();
        assert_eq!(plan.payload, Payload::Text("ping".to_owned()));
        assert_eq!(
            (plan.settings.interval(), plan.settings.timeout()),
            (Duration::from_secs(30), Duration::from_secs(62))
        );
        let json = Wanted { payload: None, payload_json: Some(" {\"op\": 1}"), ..wanted() };
        assert_eq!(Plan::new(&json).unwrap().payload, Payload::Text(" {\"op\": 1}".to_owned()), "as written");
        let hex = Wanted { payload: None, payload_hex: Some("C000ff"), ..wanted() };
        assert_eq!(Plan::new(&hex).unwrap().payload, Payload::Bytes(Bytes::from_static(&[0xc0, 0, 0xff])));
        let (on, reply) = (["a".to_owned(), "b".to_owned()], ["c".to_owned(), "d".to_owned()]);
        let plan = Plan::new(&Wanted { on: &on, reply: &reply, ..wanted() }).unwrap();
        assert_eq!(plan.rules, [("a".to_owned(), "c".to_owned()), ("b".to_owned(), "d".to_owned())]);
    }

    #[test]
    fn a_mistake_says_what_to_do() {
        let on = ["ping".to_owned()];
        let many = vec!["x".to_owned(); 65];
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        let hex = |text| Wanted { payload: None, payload_hex: Some(text), ..wanted() };
        for (wanted, hint) in [
            (Wanted { server: "ws//hq", ..wanted() }, "write ws://HOST"),
            (Wanted { interval: None, ..wanted() }, "--interval 30s"),
            (Wanted { interval: Some("soon"), ..wanted() }, "not a duration"),
            (Wanted { interval: Some("50ms"), ..wanted() }, "0.1s to 1h"),
            (Wanted { interval: Some("2h"), ..wanted() }, "0.1s to 1h"),
            (Wanted { interval: Some("1000d"), ..wanted() }, "0.1s to 1h"),
            (Wanted { payload: None, ..wanted() }, "--payload-json JSON"),
            (Wanted { payload_hex: Some("00"), ..wanted() }, "only one of"),
            (Wanted { payload: Some(""), ..wanted() }, "empty"),
            (Wanted { payload: Some(&long), ..wanted() }, "longer than 65536 bytes"),
            (Wanted { payload: None, payload_json: Some("{op:1}"), ..wanted() }, "single quotes"),
            (hex("c0f"), "two digits"),
            (hex("0xc0"), "two digits"),
            (hex("c0 00"), "two digits"),
            (hex("+1"), "two digits"),
            (hex("é0"), "two digits"),
            (Wanted { expect: Some(""), ..wanted() }, "--expect is empty"),
            (Wanted { on: &on, ..wanted() }, "1 times --on but 0 times --reply"),
            (Wanted { on: &many, reply: &many, ..wanted() }, "at most 64"),
        ] {
            let error = Plan::new(&wanted).unwrap_err().to_string();
            assert!(error.contains(hint), "{hint}: {error}");
        }
    }
}
