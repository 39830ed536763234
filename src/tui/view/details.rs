//! Everything known of the selected client.

use std::time::Instant;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::pen::{Pen, Text};
use super::{count, row};
use crate::presence::pulse::Beat;
use crate::presence::span::brief;
use crate::presence::view::RowView;
use crate::presence::{Dialect, State};
use crate::tui::format::{age, bar, date, late_bar, running, since, time_of_day};
use crate::tui::layout::Pane;
use crate::tui::model::Model;
use crate::tui::theme::Role;

/// How wide the names at the left are.
const NAMES: usize = 12;

/// Draws the drawer.
pub(super) fn draw(model: &Model, area: Rect, buf: &mut Buffer) {
    let Some(row) = model.selected_row().filter(|_| area.height > 0) else { return };
    let lines = [
        ("State", state(model, row)),
        ("Address", address(model, row)),
        ("Last ping", last_ping(model, row)),
        ("Times out", times_out(model, row, usize::from(area.width))),
        ("Beats", beats(model, row)),
        ("About", about(model, row)),
        ("History", history(model, row)),
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
    let mut pen = Pen::new(buf, model.look, inner);
    for (at, (name, line)) in lines.iter().enumerate() {
        pen.line(at).gap(1).cell(name, NAMES, Role::Dim).spans(line);
    }
}

fn text(model: &Model) -> Text {
    Text::new(model.look)
}

fn state(model: &Model, row: &RowView) -> Line<'static> {
    let glyph = model.look.glyphs().state(row.state);
    let span = since(model.clock().saturating_duration_since(row.changed));
    let line = text(model).add(format!("{glyph} {}", row::state_word(row.state)), row::role(model, row));
    let line = match &row.gone {
        Some((_, departure)) => line.add(format!(" for {span} ({departure})"), Role::Text),
        None => line.add(format!(" for {span}"), Role::Text),
    };
    let flapping = if row.flapping { "    flapping" } else { "" };
    let tags: Vec<String> = row.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let tags = if tags.is_empty() { String::new() } else { format!("    tags {}", tags.join(", ")) };
    let protocol = match (row.dialect, row.version) {
        (Dialect::Presence, 0) => "base".to_owned(),
        (Dialect::Presence, version) => version.to_string(),
        (other, 0) => other.to_string(),
        (other, version) => format!("{version} over {other}"),
    };
    let cannot = Dialect::cannot(row.version).map(|cannot| format!(" ({cannot})")).unwrap_or_default();
    line.add(flapping, Role::Warning)
        .add(format!("    id {}    protocol {protocol}{cannot}{tags}", row.id), Role::Dim)
        .done()
}

fn address(model: &Model, row: &RowView) -> Line<'static> {
    let peer = row.peer.map_or_else(|| "never connected".to_owned(), |peer| peer.to_string());
    let mut line = text(model).add(peer, Role::Text);
    if let Some(claim) = &row.claim {
        let role = if row.claim_differs { Role::Warning } else { Role::Dim };
        let differs = if row.claim_differs { " (differs)" } else { "" };
        line = line.add(format!("    says {claim}{differs}"), role);
    }
    if let Some(since_at) = row.up_since {
        let wall = model.now.wall_of(since_at);
        let (_, month, day) = date(wall);
        let up = since(model.clock().saturating_duration_since(since_at));
        let joined = format!("    joined {month:02}-{day:02} {} ({up})", time_of_day(wall));
        line = line.add(joined, Role::Dim);
    }
    line.add(format!(", {}", count(row.sessions as usize, "session")), Role::Dim).done()
}

fn last_ping(model: &Model, row: &RowView) -> Line<'static> {
    let seen = row.last_seen.map_or_else(
        || "never".to_owned(),
        |at| {
            let ago = age(model.clock().saturating_duration_since(at));
            format!("{} ({ago} ago)", time_of_day(model.now.wall_of(at)))
        },
    );
    let rtt = row.rtt.map_or_else(|| model.look.glyphs().none.to_owned(), brief);
    text(model)
        .add(seen, Role::Text)
        .add(format!("    {}    RTT {rtt}", count(row.beats as usize, "beat")), Role::Dim)
        .done()
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

fn beats(model: &Model, row: &RowView) -> Line<'static> {
    let strip = row::strip(model, row, 32);
    let of = |beat: Beat| row.strip.iter().filter(|one| *one == beat).count();
    let all = row.strip.iter().count();
    let (on_time, late, missed) = (of(Beat::OnTime), of(Beat::Late), of(Beat::Missed));
    let words = format!("   last {all}: {on_time} on time, {late} late, {missed} missed");
    text(model).add(strip, row::role(model, row)).add(words, Role::Dim).done()
}

fn about(model: &Model, row: &RowView) -> Line<'static> {
    let facts = [("user", &row.user), ("device", &row.device), ("platform", &row.platform)];
    let known: Vec<String> = facts
        .into_iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name} {value}")))
        .collect();
    let words = if known.is_empty() { "it told nothing about itself".to_owned() } else { known.join("    ") };
    text(model).add(words, Role::Dim).done()
}

fn history(model: &Model, row: &RowView) -> Line<'static> {
    const SHOWN: usize = 4;
    let dot = format!(" {} ", model.look.glyphs().dot);
    let mine = |event: &&std::sync::Arc<crate::presence::Event>| {
        event.who.as_ref().is_some_and(|who| who.row == row.key)
    };
    let time = |at: Instant| time_of_day(model.now.wall_of(at));
    let story: Vec<String> = (model.shown().events.iter().rev().filter(mine).take(SHOWN))
        .map(|event| format!("{} {}", time(event.at), event.kind.word().replace('_', " ")))
        .collect();
    let words = if story.is_empty() { "nothing lately".to_owned() } else { story.join(&dot) };
    text(model).add(words, Role::Dim).done()
}
