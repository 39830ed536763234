//! Answers as JSON: ages in whole milliseconds, round trips in microseconds, no wall-clock time.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::presence::lateness::Lateness;
use crate::presence::view::{RowView, View};
use crate::presence::{Dialect, Event, EventKind, Reason, State};
use crate::protocol::message::millis;
use crate::server::ledger::{Departed, Departures, Facts, Shelf};

/// Who is here: `/health/connections`.
pub(super) fn connections(facts: &Facts, http: usize) -> Value {
    let view = &facts.view;
    let states = State::ALL.into_iter().map(|state| (state.word(), view.counts.of(state)));
    let platforms = facts.platforms.iter().map(|(name, count)| (&**name, *count));
    let dialects = Dialect::ALL.into_iter().zip(facts.dialects);
    let dialects = dialects
        .filter(|(dialect, _)| *dialect != Dialect::Http)
        .map(|(dialect, count)| (dialect.word(), count));
    let reasons = Reason::ALL.into_iter().zip(facts.totals.departures);
    let reasons = reasons.map(|(reason, count)| (reason.word(), count));
    json!({
        "active": view.counts.live(),
        "connecting": view.connecting,
        "max_clients": view.max_clients,
        "http": http,
        "states": object(states),
        "platforms": object(platforms),
        "dialects": object(dialects),
        "departures": object(reasons),
        "sessions": facts.totals.sessions,
        "sessions_ended": facts.totals.ended(),
        "average_age_ms": millis(facts.age),
        "average_lifetime_ms": millis(facts.totals.lifetime()),
        "uptime_ms": millis(facts.uptime),
    })
}

/// Makes an object of pairs. Collecting them would sort them first, with a sort of its own for each kind of pairs.
fn object<'a, T: Into<Value>>(pairs: impl Iterator<Item = (&'a str, T)>) -> Value {
    let mut object = Map::new();
    for (name, value) in pairs {
        object.insert(name.to_owned(), value.into());
    }
    Value::Object(object)
}

/// How the heartbeats are, and how far the verdicts can be trusted: `/health/heartbeats`.
pub(super) fn heartbeats(facts: &Facts) -> Value {
    let view = &facts.view;
    let missed = facts.missed + facts.totals.owed;
    let success = success(facts.received.count, missed);
    json!({
        "received": facts.received.count,
        "sent": facts.sent.count,
        "missed": missed,
        "success_rate": success,
        "failure_rate": 1.0 - success,
        "last_received_ms": facts.received.last.map(millis),
        "last_sent_ms": facts.sent.last.map(millis),
        "interval_ms": millis(view.settings.interval()),
        "timeout_ms": millis(view.settings.timeout()),
        "rev": view.rev.0,
        "lateness": spread(&facts.lateness),
        "rtt": spread(&facts.rtt),
        "false_timeouts": view.record.false_timeouts,
        "paused_ms": millis(view.record.paused),
    })
}

/// Returns which part of the heartbeats that were due came; 1 while none was due.
#[expect(clippy::cast_precision_loss, reason = "a rate needs no sixteen digits")]
fn success(received: u64, missed: u64) -> f64 {
    let due = received + missed;
    if due == 0 { 1.0 } else { received as f64 / due as f64 }
}

fn spread(spans: &Lateness) -> Value {
    json!({
        "count": spans.total(),
        "p50_us": micros(spans.percentile(50)),
        "p99_us": micros(spans.percentile(99)),
        "max_us": micros(spans.max()),
    })
}

/// Who is silent, and what was done about it: `/health/stale`.
pub(super) fn stale(facts: &Facts) -> Value {
    let timeouts = facts.totals.departures.get(Reason::Timeout as usize);
    json!({
        "late": facts.view.counts.of(State::Late),
        "timed_out": facts.view.counts.of(State::TimedOut),
        "unacknowledged": facts.view.alerts.unacked,
        "late_detected": facts.totals.late,
        "timeouts_detected": timeouts,
        "rows_cleaned_up": facts.totals.cleaned,
        "last_check_ms": facts.judged.map(millis),
        "last_cleanup_ms": facts.cleaned.map(millis),
    })
}

/// A page of rows: `/clients`.
pub(super) fn rows(view: &View, asked: usize) -> Value {
    // A screen is never scrolled past its end; who pages through a list wants exactly what it asked for.
    let skipped = asked.saturating_sub(view.offset);
    let rows: Vec<_> = view.rows.iter().skip(skipped).map(|one| row(one, view.at)).collect();
    json!({ "matched": view.matched, "offset": asked, "count": rows.len(), "clients": rows })
}

fn row(row: &RowView, now: Instant) -> Value {
    let ago = |at: Instant| millis(now.saturating_duration_since(at));
    let tags = object(row.tags.iter().map(|(key, value)| (&**key, &**value)));
    let (gone, departure) = row.gone.as_ref().map_or((None, None), |(at, why)| (Some(*at), Some(why)));
    json!({
        "row": row.key.0,
        "id": &*row.id,
        "name": &*row.label,
        "state": row.state.word(),
        "reason": departure.map(|departure| departure.reason.word()),
        "detail": departure.map(|departure| &*departure.detail),
        "address": row.peer.map(|peer| peer.to_string()),
        "claim": row.claim,
        "claim_differs": row.claim_differs,
        "user": row.user.as_deref(),
        "device": row.device.as_deref(),
        "platform": row.platform.as_deref(),
        "tags": tags,
        "dialect": row.dialect.word(),
        "protocol": row.version,
        "cannot": row.dialect.cannot(row.version),
        "last_seen_ms": row.last_seen.map(ago),
        "times_out_in_ms": row.deadline.map(|at| millis(at.saturating_duration_since(now))),
        "timeout_ms": millis(row.timeout),
        "rtt_us": row.rtt.map(micros),
        "up_ms": row.up_since.map(ago),
        "gone_ms": gone.map(ago),
        "acknowledged": row.acked,
        "flapping": row.flapping,
        "beats": row.beats,
        "sessions": row.sessions,
    })
}

/// A page of departures: `/clients?state=closed`.
pub(super) fn departures(page: &Departures, shelf: &Shelf, now: Instant) -> Value {
    let rows: Vec<_> = page.rows.iter().map(|one| departed(one, now)).collect();
    json!({ "matched": page.matched, "offset": shelf.offset, "count": rows.len(), "clients": rows })
}

fn departed(gone: &Departed, now: Instant) -> Value {
    json!({
        "row": gone.row.0,
        "id": &*gone.id,
        "name": &*gone.label,
        "state": "closed",
        "reason": gone.departure.reason.word(),
        "detail": &*gone.departure.detail,
        "address": gone.peer.to_string(),
        "user": gone.user.as_deref(),
        "dialect": gone.dialect.word(),
        "gone_ms": millis(now.saturating_duration_since(gone.at)),
        "silent_ms": millis(gone.silent),
        "up_ms": millis(gone.up),
        "missed": gone.missed,
    })
}

/// One event: `/events`.
pub(super) fn event(event: &Event) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("event", event.kind.word().into());
    put("seq", event.seq.into());
    put("text", event.kind.to_string().into());
    if let Some(who) = &event.who {
        put("row", who.row.0.into());
        put("id", (*who.id).into());
        put("name", (*who.label).into());
        put("address", who.peer.to_string().into());
    }
    match &event.kind {
        EventKind::Resumed { away } => {
            put("away_ms", millis(*away).into());
        }
        EventKind::Late { silent, .. } => {
            put("silent_ms", millis(*silent).into());
        }
        EventKind::Back { silent, missed } => {
            put("silent_ms", millis(*silent).into());
            put("missed", (*missed).into());
        }
        EventKind::Gone { departure, silent, up, missed } => {
            put("reason", departure.reason.word().into());
            put("detail", (*departure.detail).into());
            put("silent_ms", millis(*silent).into());
            put("up_ms", millis(*up).into());
            put("missed", (*missed).into());
        }
        _ => {}
    }
    Value::Object(fields)
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
