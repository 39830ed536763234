//! A report as text for people, and as JSON for programs.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::report::{Client, Report, Session};
use crate::presence::past::Outage;
use crate::presence::span::brief;

/// How wide a name may be.
const NAME_MAX: usize = 32;
/// Between two columns.
const GAP: &str = "  ";

impl Report {
    /// Writes it for people, a table of clients or all about one.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let server = if self.running { "a server is writing to it" } else { "no server is writing to it" };
        let span = brief(self.until.saturating_sub(self.from));
        let known = brief(self.known);
        let path = clean(&self.path.display().to_string());
        let _ =
            writeln!(out, "{path}: {server}; the last {span}, of which {known} are known. Times are UTC.\n");
        if self.clients.is_empty() {
            out.push_str("nobody was here in that time (a longer --since looks further back)\n");
            return out;
        }
        if self.by_name {
            for client in &self.clients {
                client_text(&mut out, client);
            }
        } else {
            self.table(&mut out);
        }
        let shown = self.clients.len();
        if shown < self.matched {
            let _ = writeln!(
                out,
                "\n{shown} of {} clients, the least reliable first (--limit N shows more)",
                self.matched
            );
        }
        out
    }

    fn table(&self, out: &mut String) {
        let with_user = self.clients.iter().any(|client| client.user.is_some());
        let mut heads =
            vec!["CLIENT", "NOW", "UPTIME", "SESSIONS", "OUTAGES", "FLAPS", "LONGEST GAP", "LAST OUTAGE"];
        if with_user {
            heads.insert(1, "USER");
        }
        let line = |client: &Client| {
            let last = client.last_outages.first().map_or_else(|| "-".to_owned(), outage_text);
            let mut cells = vec![
                name(&client.label),
                client.state.to_owned(),
                client.share.percent().unwrap_or_else(|| "-".to_owned()),
                client.sessions.to_string(),
                client.outages.to_string(),
                client.flaps.to_string(),
                if client.longest_gap.is_zero() { "-".to_owned() } else { brief(client.longest_gap) },
                last,
            ];
            if with_user {
                cells.insert(1, name(client.user.as_deref().unwrap_or("-")));
            }
            cells
        };
        let heads: Vec<String> = heads.into_iter().map(str::to_owned).collect();
        let mut lines = vec![heads];
        lines.extend(self.clients.iter().map(line));
        columns(out, &lines, 2 + usize::from(with_user));
    }

    /// Writes it for programs. Times are RFC 3339, spans are seconds.
    #[must_use]
    pub fn json(&self) -> String {
        let whole = json!({
            "file": self.path.display().to_string(),
            "from": timestamp(self.from),
            "until": timestamp(self.until),
            "server_running": self.running,
            "known_s": self.known.as_secs_f64(),
            "matched": self.matched,
            "clients": self.clients.iter().map(|client| client_json(client, self.by_name)).collect::<Vec<_>>(),
        });
        format!("{whole:#}\n")
    }
}

/// Writes cells under one another; those from column `right` on that are numbers stand at the right.
fn columns(out: &mut String, lines: &[Vec<String>], right: usize) {
    let count = lines.first().map_or(0, Vec::len);
    let width =
        |at: usize| lines.iter().filter_map(|line| line.get(at)).map(|cell| cell.width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    for line in lines {
        let mut text = String::new();
        for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let blanks = " ".repeat(width.saturating_sub(cell.width()));
            let gap = if at > 0 { GAP } else { "" };
            let _ = match at {
                at if at >= right && at + 1 < count => write!(text, "{gap}{blanks}{cell}"),
                _ => write!(text, "{gap}{cell}{blanks}"),
            };
        }
        let _ = writeln!(out, "{}", text.trim_end());
    }
}

fn client_text(out: &mut String, client: &Client) {
    let user = client.user.as_deref().map(|user| format!(", user {}", clean(user))).unwrap_or_default();
    let _ = writeln!(out, "{} (id {}{user}): {}", clean(&client.label), clean(&client.id), client.state);
    let uptime = client.share.percent().unwrap_or_else(|| "unknown".to_owned());
    let _ = writeln!(
        out,
        "  uptime {uptime} of {}, sessions {}, outages {}, flaps {}, longest gap {}",
        brief(client.share.known),
        client.sessions,
        client.outages,
        client.flaps,
        brief(client.longest_gap)
    );
    if !client.last_outages.is_empty() {
        out.push_str("\n  outages\n");
        for outage in &client.last_outages {
            let _ = writeln!(out, "    {}", outage_text(outage));
        }
    }
    if !client.last_sessions.is_empty() {
        out.push_str("\n  sessions\n");
        let mut lines = String::new();
        columns(&mut lines, &client.last_sessions.iter().map(session_cells).collect::<Vec<_>>(), usize::MAX);
        for line in lines.lines() {
            let _ = writeln!(out, "    {line}");
        }
    }
    out.push('\n');
}

fn outage_text(outage: &Outage) -> String {
    let lasted = outage.lasted.map_or_else(|| "still".to_owned(), |lasted| format!("for {}", brief(lasted)));
    format!("{} {lasted} ({})", time(outage.began), outage.reason)
}

fn session_cells(session: &Session) -> Vec<String> {
    let end = session.end.map_or_else(|| "now".to_owned(), time);
    let why = match (session.reason.as_str(), session.detail.as_str()) {
        ("", _) => "is here".to_owned(),
        (reason, "") => clean(reason),
        (reason, detail) => format!("{}: {}", clean(reason), clean(detail)),
    };
    vec![
        time(session.start),
        format!("- {end}"),
        brief(session.up),
        why,
        format!("from {}", clean(&session.peer)),
    ]
}

fn client_json(client: &Client, by_name: bool) -> Value {
    let (online, known) = (client.share.online.as_secs_f64(), client.share.known.as_secs_f64());
    let outage = |outage: &Outage| {
        json!({
            "began": timestamp(outage.began),
            "lasted_s": outage.lasted.map(|lasted| lasted.as_secs_f64()),
            "reason": outage.reason.word(),
        })
    };
    let session = |session: &Session| {
        json!({
            "start": timestamp(session.start),
            "end": session.end.map(timestamp),
            "up_s": session.up.as_secs_f64(),
            "reason": (!session.reason.is_empty()).then_some(&session.reason),
            "detail": session.detail,
            "peer": session.peer,
        })
    };
    let mut value = json!({
        "id": client.id,
        "name": client.label,
        "user": client.user,
        "state": client.state,
        "last_seen": timestamp(client.seen),
        "uptime": (known > 0.0).then(|| online / known),
        "online_s": online,
        "known_s": known,
        "sessions": client.sessions,
        "outages": client.outages,
        "flaps": client.flaps,
        "longest_gap_s": client.longest_gap.as_secs_f64(),
        "last_outages": client.last_outages.iter().map(outage).collect::<Vec<_>>(),
    });
    if by_name {
        value["last_sessions"] = client.last_sessions.iter().map(session).collect();
    }
    value
}

fn timestamp(since_1970: Duration) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since_1970.min(END_OF_TIME)).to_string()
}

/// The last second that can be written; a file can be edited.
const END_OF_TIME: Duration = Duration::from_secs(253_402_300_799);

fn time(since_1970: Duration) -> String {
    timestamp(since_1970).replace('T', " ").trim_end_matches('Z').to_owned()
}

/// Cuts a name to its column.
fn name(text: &str) -> String {
    let mut cut = clean(text);
    while cut.width() > NAME_MAX {
        cut.pop();
    }
    cut
}

/// Makes a text from the file harmless to a terminal; a file can be edited.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
