//! Everything known of the selected client.

use std::time::Instant;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::flow::flow;
use super::pen::{Pen, Text};
use super::{count, row};
use crate::presence::past::{Past, Share};
use crate::presence::pulse::Beat;
use crate::presence::rhythm::{FLAP_CHANGES, FLAP_SPAN};
use crate::presence::span::brief;
use crate::presence::view::RowView;
use crate::presence::{Dialect, State};
use crate::tui::format::{age, bar, date, late_bar, running, since, time_of_day};
use crate::tui::layout::Pane;
use crate::tui::model::Model;
use crate::tui::theme::Role;

/// How wide the names at the left are.
const NAMES: usize = 12;
/// How many blanks stand between two facts.
const GAP: usize = 4;

/// Draws the drawer.
pub(super) fn draw(model: &Model, area: Rect, buf: &mut Buffer) {
    let Some(row) = model.selected_client().filter(|_| area.height > 0) else { return };
    let lines = [
        ("State", GAP, state(model, row)),
        ("Address", GAP, address(model, row)),
        ("Last ping", GAP, last_ping(model, row)),
        ("Times out", GAP, vec![times_out(model, row, usize::from(area.width))]),
        ("Beats", 3, beats(model, row)),
        ("Gaps", GAP, gaps(model, row)),
        ("History", 1, history(model, row)),
    ];
    let framed = area.height >= 4 && area.width >= 20;
    let mut inner = area;
    if framed {
        let mut pen = Pen::new(buf, model.look, area);
        pen.panel(&row.label, &Line::default(), model.focus == Pane::Details);
        let keys = Text::new(model.look).hint("y", "copy").add("  ", Role::Text).hint("Y", "copy JSON");
        let keys = if model.is_join() { keys } else { keys.add("  ", Role::Text).hint("x", "disconnect") };
        pen.foot(&keys.add("  ", Role::Text).hint("esc", "close").done());
        inner = Rect::new(area.x + 1, area.y + 1, area.width - 2, area.height - 2);
    }
    let room = usize::from(inner.width).saturating_sub(NAMES + 1);
    // A piece that does not fit goes to the next line while there are lines to spare, the lowest rows first:
    // what the upper ones have to say is in the table as well.
    let mut spare = usize::from(inner.height).saturating_sub(lines.len());
    let mut rows = lines.map(|(name, gap, pieces)| (name, flow(pieces, gap, room)));
    for (_, flowed) in rows.iter_mut().rev() {
        flowed.truncate(1 + spare);
        spare -= flowed.len() - 1;
    }
    let mut pen = Pen::new(buf, model.look, inner);
    let mut at = 0;
    for (name, flowed) in rows {
        for (n, line) in flowed.iter().enumerate() {
            pen.line(at).gap(1).cell(if n == 0 { name } else { "" }, NAMES, Role::Dim).spans(line);
            at += 1;
        }
    }
}

fn text(model: &Model) -> Text {
    Text::new(model.look)
}

/// Writes one fact of many.
fn piece(model: &Model, words: impl Into<String>, role: Role) -> Line<'static> {
    text(model).add(words, role).done()
}

fn state(model: &Model, row: &RowView) -> Vec<Line<'static>> {
    let glyph = model.look.glyphs().state(row.state);
    let span = since(model.clock().saturating_duration_since(row.changed));
    let line = text(model).add(format!("{glyph} {}", row::state_word(row.state)), row::role(model, row));
    let line = match &row.gone {
        Some((_, departure)) => line.add(format!(" for {span} ({departure})"), Role::Text),
        None => line.add(format!(" for {span}"), Role::Text),
    };
    let mut pieces = vec![line.done()];
    if row.flapping {
        pieces.push(piece(model, "flapping", Role::Warning));
    }
    pieces.push(piece(model, format!("id {}", row.id), Role::Dim));
    pieces.push(piece(model, format!("protocol {}", protocol(row)), Role::Dim));
    let facts = [("user", &row.user), ("device", &row.device), ("platform", &row.platform)];
    for (name, value) in facts {
        pieces.extend(value.as_ref().map(|value| piece(model, format!("{name} {value}"), Role::Dim)));
    }
    if !row.tags.is_empty() {
        let tags: Vec<String> = row.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        pieces.push(piece(model, format!("tags {}", tags.join(", ")), Role::Dim));
    }
    pieces
}

/// Says what a client speaks, and what it cannot do.
fn protocol(row: &RowView) -> String {
    let spoken = match (row.dialect, row.version) {
        (Dialect::Presence, 0) => "base".to_owned(),
        (Dialect::Presence, version) => version.to_string(),
        (other, 0) => other.to_string(),
        (other, version) => format!("{version} over {other}"),
    };
    let cannot = row.dialect.cannot(row.version).map(|cannot| format!(" ({cannot})")).unwrap_or_default();
    spoken + &cannot
}

fn address(model: &Model, row: &RowView) -> Vec<Line<'static>> {
    let peer = row.peer.map_or_else(|| "never connected".to_owned(), |peer| peer.to_string());
    let mut pieces = vec![piece(model, peer, Role::Text)];
    if let Some(claim) = &row.claim {
        let role = if row.claim_differs { Role::Warning } else { Role::Dim };
        let differs = if row.claim_differs { " (differs)" } else { "" };
        pieces.push(piece(model, format!("says {claim}{differs}"), role));
    }
    let sessions = count(row.sessions as usize, "session");
    let joined = row.up_since.map(|since_at| {
        let wall = model.now.wall_of(since_at);
        let (_, month, day) = date(wall);
        let up = since(model.clock().saturating_duration_since(since_at));
        format!("joined {month:02}-{day:02} {} ({up})", time_of_day(wall))
    });
    pieces.extend(joined.into_iter().chain([sessions]).map(|words| piece(model, words, Role::Dim)));
    pieces
}

fn last_ping(model: &Model, row: &RowView) -> Vec<Line<'static>> {
    let seen = row.last_seen.map_or_else(
        || "never".to_owned(),
        |at| {
            let ago = age(model.clock().saturating_duration_since(at));
            format!("{} ({ago} ago)", time_of_day(model.now.wall_of(at)))
        },
    );
    let glyphs = model.look.glyphs();
    let rtt = row.rtt.map_or_else(|| glyphs.none.to_owned(), brief);
    let jitter = row.jitter.map(|jitter| format!(" {}{}", glyphs.spread, brief(jitter))).unwrap_or_default();
    vec![
        piece(model, seen, Role::Text),
        piece(model, count(row.beats as usize, "beat"), Role::Dim),
        piece(model, format!("RTT {rtt}{jitter}"), Role::Dim),
    ]
}

/// Says how steadily it pings, and whether it goes up and down.
fn gaps(model: &Model, row: &RowView) -> Vec<Line<'static>> {
    let spread = model.look.glyphs().spread;
    let words = row.gap.map_or_else(
        || "not known yet".to_owned(),
        |(mean, varies)| format!("mean {} {spread}{}", running(mean), running(varies)),
    );
    let flaps = if row.flapping {
        let words = format!("{FLAP_CHANGES} or more flaps in {}", brief(FLAP_SPAN));
        piece(model, words, Role::Warning)
    } else {
        piece(model, format!("fewer than {FLAP_CHANGES} flaps in {}", brief(FLAP_SPAN)), Role::Dim)
    };
    vec![piece(model, words, Role::Text), flaps]
}

fn times_out(model: &Model, row: &RowView, width: usize) -> Line<'static> {
    let glyphs = model.look.glyphs();
    let Some(deadline) = row.deadline else {
        return text(model).add(row::fate(model, row).unwrap_or_default(), row::role(model, row)).done();
    };
    let left = deadline.saturating_duration_since(model.clock());
    let bars = width.saturating_sub(NAMES + 24).min(36);
    let (full, empty) = if row.state == State::Late {
        late_bar(left, row.timeout, bars, glyphs)
    } else {
        bar(left, row.timeout, bars, glyphs)
    };
    let seconds = format!("  {:>6} of {}", running(left), running(row.timeout));
    text(model).add(full, row::role(model, row)).add(empty, Role::Empty).add(seconds, Role::Text).done()
}

fn beats(model: &Model, row: &RowView) -> Vec<Line<'static>> {
    let strip = row::strip(model, row, 32);
    let of = |beat: Beat| row.strip.iter().filter(|one| *one == beat).count();
    let all = row.strip.iter().count();
    let (on_time, late, missed) = (of(Beat::OnTime), of(Beat::Late), of(Beat::Missed));
    let words = format!("of {all}: {on_time} on time, {late} late, {missed} missed");
    vec![piece(model, strip, row::role(model, row)), piece(model, words, Role::Dim)]
}

/// Says how much of the time it was here and when it last was not, and what happened lately.
fn history(model: &Model, row: &RowView) -> Vec<Line<'static>> {
    const SHOWN: usize = 4;
    let dot = format!(" {} ", model.look.glyphs().dot);
    let mine = |event: &&std::sync::Arc<crate::presence::Event>| {
        event.who.as_ref().is_some_and(|who| who.row == row.key)
    };
    let time = |at: Instant| time_of_day(model.now.wall_of(at));
    let mut story = row.past.as_deref().map_or_else(Vec::new, |past| remembered(model, past));
    let room = SHOWN.saturating_sub(story.len());
    story.extend(
        (model.shown().events.iter().rev().filter(mine).take(room))
            .map(|event| format!("{} {}", time(event.at), event.kind.word().replace('_', " "))),
    );
    if story.is_empty() {
        return vec![piece(model, "nothing lately", Role::Dim)];
    }
    let end = story.len() - 1;
    let words = story.into_iter().enumerate();
    words
        .map(|(at, words)| piece(model, words + if at < end { dot.trim_end() } else { "" }, Role::Dim))
        .collect()
}

/// Writes what is remembered of a client: its uptime, then its last outages.
fn remembered(model: &Model, past: &Past) -> Vec<String> {
    let share = |name: &str, share: Share| share.percent().map(|percent| format!("{name} {percent}"));
    let shares: Vec<String> =
        [share("24h", past.day), share("7d", past.week)].into_iter().flatten().collect();
    let uptime = (!shares.is_empty()).then(|| format!("up {}", shares.join(", ")));
    let outages = past.outages.iter().map(|outage| {
        let (_, month, day) = date(outage.began);
        let time = time_of_day(outage.began);
        let today = date(model.now.wall) == date(outage.began);
        let began = if today { time } else { format!("{month:02}-{day:02} {time}") };
        match outage.lasted {
            Some(lasted) => format!("down {began} for {}", brief(lasted)),
            None => format!("down since {began}"),
        }
    });
    uptime.into_iter().chain(outages).collect()
}
