//! What is on the screen as JSON, for the clipboard and for a file.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::format::{date, time_of_day};
use super::model::Now;
use crate::presence::State;
use crate::presence::view::{RowView, View};

/// Writes the moment as `2026-11-21T14:22:07Z`.
#[must_use]
pub fn timestamp(wall: Duration) -> String {
    let (year, month, day) = date(wall);
    format!("{year:04}-{month:02}-{day:02}T{}Z", time_of_day(wall))
}

/// Returns the name of a snapshot taken now, fit for every file system.
#[must_use]
pub fn file_name(wall: Duration) -> String {
    format!("presence-{}.json", timestamp(wall).replace([':', '-'], ""))
}

/// Returns what is to be said of a file that does not hold all rows; nothing where it does.
#[must_use]
pub fn extent(view: &View) -> String {
    let rows = view.rows.len();
    if rows < view.matched { format!(": {rows} of {} rows", view.matched) } else { String::new() }
}

/// Makes an object of pairs. Collecting them would sort them first, with a sort of its own for each kind of pairs.
fn object<'a>(pairs: impl Iterator<Item = (&'a str, Value)>) -> Map<String, Value> {
    let mut object = Map::new();
    object.extend(pairs.map(|(name, value)| (name.to_owned(), value)));
    object
}

/// Returns one row.
#[must_use]
pub fn row(row: &RowView, now: Now) -> Value {
    let tags = object(row.tags.iter().map(|(key, value)| (&**key, json!(&**value))));
    let time = |at: Option<Instant>| at.map(|at| timestamp(now.wall_of(at)));
    let left = row.deadline.map(|at| at.saturating_duration_since(now.mono).as_secs_f64());
    let (gone_at, departure) = row.gone.as_ref().map_or((None, None), |(at, why)| (Some(*at), Some(why)));
    json!({
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
        "protocol": row.version,
        "dialect": row.dialect.word(),
        "last_seen": time(row.last_seen),
        "times_out_in_s": left.map(|left| (left * 10.0).floor() / 10.0),
        "timeout_s": row.timeout.as_secs_f64(),
        "rtt_ms": row.rtt.map(|rtt| rtt.as_secs_f64() * 1_000.0),
        "up_since": time(row.up_since),
        "gone_at": time(gone_at),
        "acknowledged": row.acked,
        "flapping": row.flapping,
        "beats": row.beats,
        "sessions": row.sessions,
    })
}

/// Returns a whole answer as the text of a file.
#[must_use]
pub fn file(view: &View, now: Now) -> String {
    let counts = object(State::ALL.into_iter().map(|state| (state.word(), json!(view.counts.of(state)))));
    let whole = json!({
        "at": timestamp(now.wall),
        "counts": counts,
        "connecting": view.connecting,
        "matched": view.matched,
        "interval_s": view.settings.interval().as_secs_f64(),
        "timeout_s": view.settings.timeout().as_secs_f64(),
        "rev": view.rev.0,
        "rows": view.rows.iter().filter(|row| row.group.is_none()).map(|one| row(one, now)).collect::<Vec<_>>(),
    });
    format!("{whole:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_hold_nothing_a_file_system_minds() {
        assert_eq!(file_name(Duration::from_secs(1_795_260_127)), "presence-20261121T112207Z.json");
    }
}
