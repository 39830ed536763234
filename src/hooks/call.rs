//! What a command or a webhook is told: the same facts as variables and as JSON.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::collect::{Group, Told};
use crate::presence::event::Named;
use crate::presence::{RowKey, State};

/// How many clients of a group are given in full.
const CLIENTS_MAX: usize = 50;

/// One call, ready to be made.
#[derive(Debug)]
pub(super) struct Call {
    /// Whom it is about, if that is one client.
    pub(super) row: Option<RowKey>,
    /// Every variable, each with its value; those that do not apply are empty.
    pub(super) variables: Vec<(&'static str, String)>,
    /// The JSON, in one line.
    pub(super) body: Bytes,
}

impl Call {
    /// Writes down what happened; `server` is what the server calls itself.
    pub(super) fn new(now: Instant, server: &Arc<str>, group: &Group) -> Self {
        let told = &group.told;
        let count: usize = told.iter().map(|one| one.count).sum();
        let first = told.first().map_or(now, |one| one.at);
        let named = Named { count, ..Named::of(told.iter().flat_map(|one| one.names.iter().cloned())) };
        let ts = wall_time(now, first);
        let mut object = Map::new();
        object.insert("ts".to_owned(), json!(ts));
        object.insert("event".to_owned(), json!(group.flip.word()));
        object.insert("server".to_owned(), json!(**server));
        object.insert("count".to_owned(), json!(count));
        let only = match told.as_slice() {
            [one] => Some(one),
            _ => None,
        };
        if let Some(one) = only {
            object.extend(fields(one));
        } else {
            let last = told.iter().map(|one| one.at).max().unwrap_or(first);
            object.insert("within_ms".to_owned(), json!(ms(last.saturating_duration_since(first))));
            let clients = told.iter().filter(|one| one.who.is_some()).take(CLIENTS_MAX);
            let clients: Vec<_> = clients.map(|one| Value::Object(fields(one))).collect();
            object.insert("clients".to_owned(), Value::Array(clients));
        }
        if count > 1 {
            let names: Vec<_> = told.iter().flat_map(|one| &one.names).take(CLIENTS_MAX).collect();
            object.insert("names".to_owned(), json!(names));
        }
        let mut line = Value::Object(object).to_string();
        line.push('\n');
        let head = [
            ("PRESENCE_EVENT", group.flip.word().to_owned()),
            ("PRESENCE_TIME", ts),
            ("PRESENCE_SERVER", server.to_string()),
            ("PRESENCE_COUNT", count.to_string()),
            ("PRESENCE_NAMES", named.to_string()),
        ];
        Self {
            row: only.and_then(|one| one.who.as_ref()).map(|who| who.row),
            variables: head.into_iter().chain(variables(only)).collect(),
            body: line.into(),
        }
    }
}

/// Returns what is known of one client.
fn fields(one: &Told) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            fields.insert(name.to_owned(), value);
        }
    };
    if let Some(who) = &one.who {
        let word = |state: Option<State>| json!(state.map(State::word));
        put("id", json!(*who.id));
        put("name", json!(*who.label));
        put("user", json!(who.user.as_deref()));
        put("device", json!(who.device.as_deref()));
        put("address", json!(who.peer.to_string()));
        put("old", word(who.turn.old));
        put("new", word(who.turn.new));
    }
    let text = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
    put("reason", text(one.reason));
    put("detail", text(&one.detail));
    put("gap_ms", json!(one.gap.map(ms)));
    put("up_ms", json!(one.up.map(ms)));
    put("missed", json!(one.missed));
    fields
}

/// Returns the variables of one client: all of them, so that none is inherited from somewhere else.
fn variables(one: Option<&Told>) -> [(&'static str, String); 8] {
    let who = one.and_then(|one| one.who.as_ref());
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    [
        ("PRESENCE_ID", text(who.map(|who| &*who.id))),
        ("PRESENCE_NAME", text(who.map(|who| &*who.label))),
        ("PRESENCE_USER", text(who.and_then(|who| who.user.as_deref()))),
        ("PRESENCE_DEVICE", text(who.and_then(|who| who.device.as_deref()))),
        ("PRESENCE_ADDRESS", who.map(|who| who.peer.to_string()).unwrap_or_default()),
        ("PRESENCE_REASON", text(one.map(|one| one.reason))),
        ("PRESENCE_DETAIL", text(one.map(|one| &*one.detail))),
        ("PRESENCE_GAP_MS", one.and_then(|one| one.gap).map(|gap| ms(gap).to_string()).unwrap_or_default()),
    ]
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Returns when something happened, on the wall and in UTC.
#[expect(clippy::disallowed_methods, reason = "whoever is told lives by the wall; nothing is decided by it")]
fn wall_time(now: Instant, at: Instant) -> String {
    let wall = SystemTime::now();
    let ago = now.saturating_duration_since(at);
    humantime::format_rfc3339_seconds(wall.checked_sub(ago).unwrap_or(wall)).to_string()
}
