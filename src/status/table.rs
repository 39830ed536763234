//! What was found, for people.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use super::Found;
use crate::presence::State;
use crate::presence::span::brief;

/// How many rows are written; JSON has more.
const SHOWN_MAX: usize = 40;
/// The widest a cell gets.
const CELL_MAX: usize = 48;
/// What the columns are called.
const HEAD: [&str; 5] = ["STATE", "NAME", "ADDRESS", "HEARD", "WHY"];

/// Writes the counts, the settings, and a table of who is not online.
pub(super) fn write(found: &Found) -> String {
    let (connections, heartbeats) = (&found.connections, &found.heartbeats);
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let span = |value: &Value| value.as_u64().map_or("?".to_owned(), |ms| brief(Duration::from_millis(ms)));
    let mut text = format!(
        "{}: {} of {} clients, up {}, interval {}, timeout {}\n",
        found.server,
        number(&connections["active"]),
        number(&connections["max_clients"]),
        span(&connections["uptime_ms"]),
        span(&heartbeats["interval_ms"]),
        span(&heartbeats["timeout_ms"]),
    );
    let counts = State::ALL.map(|state| format!("{} {}", found.count(state), shown(state.word())));
    let _ = writeln!(text, "{}", counts.join(", ")); // a String takes everything
    let rows = found.rows["clients"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return text;
    }
    let cells: Vec<[String; 5]> = rows.iter().take(SHOWN_MAX).map(|row| cells(row, span)).collect();
    let widths: [usize; 5] = std::array::from_fn(|column| {
        let cells = cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.width());
        cells.chain(HEAD.get(column).map(|head| head.width())).max().unwrap_or(0)
    });
    text.push('\n');
    line(&mut text, &HEAD.map(str::to_owned), &widths);
    for row in &cells {
        line(&mut text, row, &widths);
    }
    let matched = usize::try_from(number(&found.rows["matched"])).unwrap_or(usize::MAX);
    let more = matched.max(rows.len()).saturating_sub(cells.len());
    if more > 0 {
        let _ = writeln!(text, "and {more} more"); // likewise
    }
    text
}

fn cells(row: &Value, span: impl Fn(&Value) -> String) -> [String; 5] {
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    let dash = |text: &str| if text.is_empty() { "-".to_owned() } else { fit(text) };
    let why = match (text("reason"), text("detail")) {
        (reason, "") => reason.to_owned(),
        (reason, detail) => format!("{reason}: {detail}"),
    };
    let heard = if row["last_seen_ms"].is_null() { "never".to_owned() } else { span(&row["last_seen_ms"]) };
    [dash(&shown(text("state"))), dash(text("name")), dash(text("address")), heard, fit(&why)]
}

/// Writes a state as people say it.
fn shown(state: &str) -> String {
    state.replace('_', " ")
}

/// Cuts a text to the widest cell.
fn fit(text: &str) -> String {
    let mut fitted = String::new();
    for c in text.chars() {
        fitted.push(c);
        if fitted.width() > CELL_MAX {
            fitted.pop();
            break;
        }
    }
    fitted
}

fn line(text: &mut String, cells: &[String; 5], widths: &[usize; 5]) {
    let mut written = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        written.push_str(cell);
        written.push_str(&" ".repeat(width.saturating_sub(cell.width()) + 2));
    }
    text.push_str(written.trim_end());
    text.push('\n');
}
