//! One look at a running server, through the questions it answers over HTTP.
//!
//! What it says is a stranger's text, whoever it was meant to be: it is
//! bounded and made harmless here before anybody reads it.

mod table;

use std::time::Duration;

use serde_json::{Map, Value, json};
use thiserror::Error;
use tokio::time::timeout;

use crate::net::addr::ServerAddr;
use crate::net::http::{Answer, HttpError, Question, ask};
use crate::net::web::HttpUrl;
use crate::presence::State;
use crate::protocol::clean;
use crate::security::tls::ClientTls;

/// The ports a server tries by itself.
const PORTS: std::ops::RangeInclusive<u16> = 8080..=8085;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// How many rows are asked for.
const ROWS_MAX: usize = 200;
/// The longest text that is kept of an answer; names are far shorter.
const TEXT_BYTES_MAX: usize = 512;
/// How deep an answer may be nested; ours go to three.
const DEPTH_MAX: usize = 8;

/// Why nothing is known of a server.
#[derive(Debug, Error)]
pub enum StatusError {
    /// Nobody was reached, or no answer came.
    #[error("{server}: {error}")]
    Http {
        /// Who was asked.
        server: ServerAddr,
        /// What went wrong.
        error: HttpError,
    },
    /// It took too long.
    #[error("{0}: no answer within 5s")]
    Late(ServerAddr),
    /// It answers, and not to us.
    #[error("{server}: refused with status {status}{words}{}", remedy(*.status))]
    Refused {
        /// Who was asked.
        server: ServerAddr,
        /// The status.
        status: u16,
        /// What it said, with a colon before it; may be empty.
        words: String,
    },
    /// It answers with something else.
    #[error("{0}: what answers there is no presence-tui server")]
    Stranger(ServerAddr),
    /// Nobody answers on this machine.
    #[error(
        "no server answers on this machine, ports 8080 to 8085 (name one: presence-tui status HOST:PORT)"
    )]
    Nobody,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    server: ServerAddr,
    connections: Value,
    heartbeats: Value,
    rows: Value,
}

/// What is shown to a server, and by what it is trusted.
#[derive(Clone, Copy, Default)]
pub struct Proof<'a> {
    /// Proves that the asker may.
    pub token: Option<&'a str>,
    /// Whom a `tls://` server is trusted by; `None` for the certificates of this system.
    pub tls: Option<&'a ClientTls>,
}

/// Who prints it means whether there is a token, and not which.
impl std::fmt::Debug for Proof<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proof").field("token", &self.token.is_some()).field("tls", &self.tls).finish()
    }
}

/// Says what can be done about a refusal, where that is known.
fn remedy(status: u16) -> &'static str {
    match status {
        401 => " (give a token of the role watch: presence-tui status ADDR --token-file FILE)",
        _ => "",
    }
}

/// Asks one server, or the first on this machine that answers.
///
/// Nothing is shown to a server that was not named: whatever has one of these ports could be anybody's.
///
/// # Errors
/// No server answers.
pub async fn look(server: Option<&ServerAddr>, proof: Proof<'_>) -> Result<Found, StatusError> {
    if let Some(server) = server {
        return look_at(server, proof).await;
    }
    let mut trouble = StatusError::Nobody;
    for port in PORTS {
        let server = ServerAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], port)));
        match look_at(&server, Proof::default()).await {
            Ok(found) => return Ok(found),
            // Whatever has this port, the next one may be ours; if none is, this one said most.
            Err(refused @ StatusError::Refused { .. }) => trouble = refused,
            Err(_) => {}
        }
    }
    Err(trouble)
}

async fn look_at(server: &ServerAddr, proof: Proof<'_>) -> Result<Found, StatusError> {
    let connections = get(server, "/health/connections", proof).await?;
    if !connections["states"].is_object() {
        return Err(StatusError::Stranger(server.clone()));
    }
    let heartbeats = get(server, "/health/heartbeats", proof).await?;
    let rows = format!("/clients?state=late,timed_out,offline&limit={ROWS_MAX}");
    let rows = get(server, &rows, proof).await?;
    Ok(Found { server: server.clone(), connections, heartbeats, rows })
}

async fn get(server: &ServerAddr, target: &str, proof: Proof<'_>) -> Result<Value, StatusError> {
    let url = HttpUrl::of(server, target);
    let Proof { token, tls } = proof;
    let question = Question { url: &url, json: None, token, tls, answer_max: ANSWER_BYTES_MAX };
    let answer = timeout(PATIENCE, ask(question)).await.map_err(|_| StatusError::Late(server.clone()))?;
    let Answer { status, body } =
        answer.map_err(|error| StatusError::Http { server: server.clone(), error })?;
    let read = str::from_utf8(&body).ok().and_then(|text| serde_json::from_str(text).ok());
    match (status, read.map(|value| cleaned(value, DEPTH_MAX))) {
        (200, Some(value @ Value::Object(_))) => Ok(value),
        (_, Some(value)) if value["error"].is_string() => {
            let words = value["error"].as_str().map(|words| format!(": {words}")).unwrap_or_default();
            Err(StatusError::Refused { server: server.clone(), status, words })
        }
        _ => Err(StatusError::Stranger(server.clone())),
    }
}

/// Makes every text in an answer harmless and short.
fn cleaned(value: Value, depth: usize) -> Value {
    match value {
        Value::Array(_) | Value::Object(_) if depth == 0 => Value::Null,
        Value::String(text) => Value::String(clean::line(&text, TEXT_BYTES_MAX)),
        Value::Array(items) => Value::Array(items.into_iter().map(|item| cleaned(item, depth - 1)).collect()),
        Value::Object(fields) => {
            let mut harmless = Map::new();
            for (name, value) in fields {
                harmless.insert(clean::line(&name, TEXT_BYTES_MAX), cleaned(value, depth - 1));
            }
            Value::Object(harmless)
        }
        plain => plain,
    }
}

impl Found {
    /// Tells whether nobody is down: timed out or lost, or expected and not here.
    ///
    /// Who is late is still connected, and who left meant to.
    #[must_use]
    pub fn all_well(&self) -> bool {
        let is_down = |state: State| matches!(state, State::TimedOut | State::Offline);
        // The counts may be a moment older than the rows, and the rows are not all.
        let rows = self.rows["clients"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut states = rows.iter().filter_map(|row| State::from_word(row["state"].as_str()?));
        !states.any(is_down) && State::ALL.into_iter().filter(|&it| is_down(it)).all(|it| self.count(it) == 0)
    }

    /// Returns how many rows are in a state.
    fn count(&self, state: State) -> u64 {
        self.connections["states"][state.word()].as_u64().unwrap_or(0)
    }

    /// Writes it as one JSON object in one line.
    #[must_use]
    pub fn json(&self) -> String {
        let Self { server, connections, heartbeats, rows } = self;
        let object = json!({
            "server": server.to_string(),
            "all_well": self.all_well(),
            "active": connections["active"],
            "max_clients": connections["max_clients"],
            "states": connections["states"],
            "uptime_ms": connections["uptime_ms"],
            "interval_ms": heartbeats["interval_ms"],
            "timeout_ms": heartbeats["timeout_ms"],
            "rev": heartbeats["rev"],
            "matched": rows["matched"],
            "clients": rows["clients"],
        });
        format!("{object}\n")
    }

    /// Writes it for people: the counts, the settings, and who is not online.
    #[must_use]
    pub fn text(&self) -> String {
        table::write(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rows: Value) -> Found {
        let states = json!({"online": 20, "late": 1, "timed_out": 1, "left": 3, "offline": 0});
        Found {
            server: "hq:9000".parse().unwrap(),
            connections: json!({"active": 21, "max_clients": 100, "states": states, "uptime_ms": 8_100_000}),
            heartbeats: json!({"interval_ms": 60_000, "timeout_ms": 120_000, "rev": 3}),
            rows,
        }
    }

    #[test]
    fn who_is_not_online_is_a_table() {
        let rows = json!({"matched": 14, "clients": [
            {"name": "build-7", "state": "timed_out", "address": "192.0.2.7:51822", "last_seen_ms": 180_000,
             "reason": "timeout", "detail": ""},
            {"name": "名前", "state": "late", "address": null, "last_seen_ms": 95_000, "reason": null},
        ]});
        let text = found(rows).text();
        let expected = "\
hq:9000: 21 of 100 clients, up 2h15m, interval 1m, timeout 2m
20 online, 1 late, 1 timed out, 3 left, 0 offline

STATE      NAME     ADDRESS          HEARD  WHY
timed out  build-7  192.0.2.7:51822  3m     timeout
late       名前     -                1m35s
and 12 more
";
        assert_eq!(text, expected);
        assert!(!found(Value::Null).all_well());
    }

    #[test]
    fn a_hostile_answer_is_bounded_and_harmless() {
        let hostile = "ev\u{1b}[31mil\r\n\u{202e}\u{9b}";
        let mut deep = json!(hostile);
        for _ in 0..50 {
            deep = json!([deep]);
        }
        let rows = json!({"matched": 1, "clients": [
            {"name": hostile, "state": hostile, "address": "x".repeat(5_000), "detail": hostile, "reason": 7},
            deep, 3,
        ]});
        let found = found(cleaned(rows, DEPTH_MAX));
        for text in [found.text(), found.json()] {
            let harmful = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
            assert!(!text.contains(harmful) && text.len() < 4_000, "{text}");
        }
        assert_eq!(found.json().lines().count(), 1);
    }
}
