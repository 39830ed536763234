//! One client in one line.

use std::borrow::Cow;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::group::INDENT;
use super::pen::Pen;
use crate::presence::pulse::missed_beats;
use crate::presence::span::brief;
use crate::presence::view::RowView;
use crate::presence::{Reason, State};
use crate::tui::columns::{Column, NARROW, PLAIN, TIGHT, bar_width, countdown_width, gap};
use crate::tui::format::{
    age, bar, beats, cells, fit, fit_middle, hours, late_bar, running, session, since, whole,
};
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::tui::wake::PULSE;

/// What all rows of a table have in common.
pub(super) struct Shape<'a> {
    /// The columns and their widths.
    pub(super) columns: &'a [(Column, usize)],
    /// How wide the whole screen is.
    pub(super) screen: usize,
    /// How many cells stand before the first column.
    pub(super) lead: usize,
    /// The rows on the screen, to tell long names apart.
    pub(super) rows: &'a [RowView],
}

/// Draws a row into an area of one line.
pub(super) fn draw(model: &Model, row: &RowView, shape: &Shape<'_>, area: Rect, buf: &mut Buffer) {
    let glyphs = model.look.glyphs();
    let selected = model.table.selected == Some(row.key);
    let mut pen = Pen::new(buf, model.look, area);
    pen.line(0);
    if shape.lead >= 3 {
        pen.put(if selected { glyphs.marker } else { " " }, Role::Key);
    }
    let role = role(model, row);
    pen.put(glyphs.state(row.state), role).gap(1);
    for (at, (column, width)) in shape.columns.iter().enumerate() {
        if at > 0 {
            pen.gap(gap(*column, shape.screen));
        }
        draw_column(model, row, *column, *width, shape, &mut pen);
    }
    if selected {
        pen.wash(0, Role::Selected);
    }
    if model.motion && pulses(model, row) {
        pen.wash(0, Role::Pulse);
    }
}

/// Tells whether a row changed its state just now.
fn pulses(model: &Model, row: &RowView) -> bool {
    let age = model.clock().checked_duration_since(row.changed);
    // A row that was there when the screen opened has not just changed.
    row.changed > model.started && age.is_none_or(|age| age < PULSE) && model.stale_since().is_none()
}

/// Returns how a row is drawn: the peers of a lost server are a memory.
pub(super) fn role(model: &Model, row: &RowView) -> Role {
    if model.stale_since().is_some() { Role::Dim } else { Role::State(row.state) }
}

fn draw_column(
    model: &Model,
    row: &RowView,
    column: Column,
    width: usize,
    shape: &Shape<'_>,
    pen: &mut Pen<'_>,
) {
    let quiet = if row.state.is_live() && model.stale_since().is_none() { Role::Text } else { Role::Dim };
    let text = |text: &Option<std::sync::Arc<str>>| text.as_deref().unwrap_or("").to_owned();
    let now = model.clock();
    match column {
        Column::State => {
            let role =
                if unacked(row) && model.stale_since().is_none() { Role::Alert } else { role(model, row) };
            let word = state_word(row.state);
            pen.put(word, role);
            let mark = flaps(row, width.saturating_sub(word.len()));
            pen.gap(width.saturating_sub(word.len() + mark));
            unsteady(model, mark, pen);
        }
        Column::Name => {
            let quiet = if row.state == State::TimedOut { Role::Text } else { quiet };
            // Where there is no word for the state, its mark stands behind the name.
            let worded = shape.columns.iter().any(|(column, _)| *column == Column::State);
            let mark = if worded { 0 } else { flaps(row, width.saturating_sub(NAME_LEFT)) };
            cell_of_name(model, row, width - mark, shape, quiet, pen);
            unsteady(model, mark, pen);
        }
        Column::Address => {
            pen.cell(&address(row), width, quiet);
        }
        Column::LastPing => {
            let text = match row.last_seen {
                Some(at) => format!("{} ago", age(now.saturating_duration_since(at))),
                // A roster tells who is there, not when each was heard.
                None if row.state.is_live() => model.look.glyphs().none.to_owned(),
                None => "never".to_owned(),
            };
            pen.cell_right(&text, width, quiet);
        }
        Column::TimesOut => countdown(model, row, width, shape.screen, pen),
        Column::Rtt => {
            let rtt = row
                .rtt
                .filter(|_| row.state.is_live())
                .map_or_else(|| model.look.glyphs().none.to_owned(), brief);
            pen.cell_right(&rtt, width, quiet);
        }
        Column::Up => {
            pen.cell_right(&up(model, row), width, quiet);
        }
        Column::Beats => {
            // With room, what became of a client has a cell of its own behind the beats.
            let end = usize::from(width > 12 && row.gone.is_none());
            let strip = strip(model, row, width - end);
            pen.gap((width - end).saturating_sub(cells(&strip))).put(&strip, role(model, row)).gap(end);
        }
        Column::Uptime => {
            pen.cell(&hours(row.past.as_deref(), width, model.look.glyphs()), width, quiet);
        }
        Column::Note => {
            let words = note(row).map(|note| format!("note: {note}")).unwrap_or_default();
            pen.cell(&words, width, Role::Dim);
        }
        Column::User => {
            pen.cell(&text(&row.user), width, quiet);
        }
        Column::Device => {
            pen.cell(&text(&row.device), width, quiet);
        }
        Column::Platform => {
            pen.cell(&text(&row.platform), width, quiet);
        }
        Column::Id => {
            pen.cell(&row.id, width, Role::Dim);
        }
        Column::Dialect => {
            pen.cell(row.dialect.word(), width, quiet);
        }
    }
}

/// Writes the name, indented beneath that of a group, and there with the device.
fn cell_of_name(
    model: &Model,
    row: &RowView,
    width: usize,
    shape: &Shape<'_>,
    role: Role,
    pen: &mut Pen<'_>,
) {
    let indent = if model.shown().grouped.is_some() { INDENT.min(width) } else { 0 };
    let width = width - indent;
    let mut name = name(model, row, width, shape);
    let room = width.saturating_sub(cells(&name) + 3);
    if let Some(device) = row.device.as_ref().filter(|device| indent > 0 && room >= cells(device).min(4)) {
        name = Cow::Owned(format!("{name} {} {device}", model.look.glyphs().dot));
    }
    pen.gap(indent).cell(&name, width, role);
}

/// How many cells of a name must be left beside a mark.
const NAME_LEFT: usize = 8;

/// Returns how many of `room` cells the mark of a client takes that is here and flapping.
fn flaps(row: &RowView, room: usize) -> usize {
    const MARK: usize = 3;
    if row.flapping && row.state.is_live() && room >= MARK { MARK } else { 0 }
}

/// Writes the mark of a client that goes up and down, if it has the cells for it.
fn unsteady(model: &Model, cells: usize, pen: &mut Pen<'_>) {
    if cells > 0 {
        let glyphs = model.look.glyphs();
        let role = if model.stale_since().is_some() { Role::Dim } else { Role::Warning };
        pen.gap(1).put(glyphs.up, role).put(glyphs.down, role);
    }
}

fn unacked(row: &RowView) -> bool {
    row.state == State::TimedOut && !row.acked
}

/// Returns the word for a state: capitals are for problems alone.
pub(super) fn state_word(state: State) -> &'static str {
    match state {
        State::Online => "online",
        State::Late => "LATE",
        State::TimedOut => "TIMED OUT",
        State::Left => "left",
        State::Offline => "offline",
    }
}

/// Returns the name cut to its column, in the middle when another one begins alike.
fn name<'a>(model: &Model, row: &'a RowView, width: usize, shape: &Shape<'_>) -> Cow<'a, str> {
    let mine = model.uplink().is_some_and(|uplink| *uplink.id == *row.id);
    let ellipsis = model.look.glyphs().ellipsis;
    if mine && width >= 14 {
        return Cow::Owned(format!("{} (you)", fit(&row.label, width - 6, ellipsis)));
    }
    if cells(&row.label) <= width {
        return Cow::Borrowed(&row.label);
    }
    let cut = fit(&row.label, width, ellipsis);
    let begins = |other: &&RowView| other.key != row.key && fit(&other.label, width, ellipsis) == cut;
    if shape.rows.iter().any(|other| begins(&other)) { fit_middle(&row.label, width, ellipsis) } else { cut }
}

/// Returns the address a row comes from; one it only claims stands in brackets.
fn address(row: &RowView) -> String {
    match (&row.peer, &row.claim) {
        (Some(peer), _) => peer.to_string(),
        (None, Some(claim)) => format!("({claim})"),
        (None, None) => "(expected)".to_owned(),
    }
}

/// Returns the value of the tag `note`.
pub(super) fn note(row: &RowView) -> Option<&str> {
    row.tags.iter().find(|(key, _)| **key == *"note").map(|(_, value)| &**value)
}

fn up(model: &Model, row: &RowView) -> String {
    let end = row.gone.as_ref().map_or(model.clock(), |(at, _)| *at);
    let up = row.up_since.map(|since| end.saturating_duration_since(since));
    up.map_or_else(|| model.look.glyphs().none.to_owned(), session)
}

/// Draws the last beats; those of a client that is gone end in what became of it.
pub(super) fn strip(model: &Model, row: &RowView, width: usize) -> String {
    let glyphs = model.look.glyphs();
    let Some((at, _)) = &row.gone else { return beats(row.strip, width, glyphs) };
    let interval = model.live.settings.interval();
    let silent = row.last_seen.map_or(Duration::ZERO, |seen| at.saturating_duration_since(seen));
    let missed = if row.state == State::TimedOut { missed_beats(silent, interval).min(3) } else { 0 };
    let missed = usize::try_from(missed).unwrap_or(0);
    let kept = beats(row.strip, width.saturating_sub(missed + 1), glyphs);
    if row.state == State::Offline {
        return kept;
    }
    format!("{kept}{}{}", glyphs.beat_missed.repeat(missed), glyphs.state(row.state))
}

/// Draws the countdown of a live row, or why there is none.
fn countdown(model: &Model, row: &RowView, width: usize, screen: usize, pen: &mut Pen<'_>) {
    let role = role(model, row);
    if let Some(text) = fate(model, row) {
        let brief = text.split_once(':').filter(|_| screen < NARROW || cells(&text) > width);
        if let (State::Offline, Some((expected, _))) = (row.state, brief) {
            pen.cell(expected, width, role);
        } else if screen < NARROW {
            // The first two words say it: `down 14s`, `left: quit`; and in a pinch the second one does.
            let short: Vec<&str> = text.split(' ').take(2).skip(usize::from(screen < TIGHT)).collect();
            pen.cell_right(short.join(" ").trim_end_matches(':'), width, role);
        } else {
            pen.cell(&text, width, role);
        }
        return;
    }
    // Gone at any moment: 0.0s until the owner of the rows says so, and never below.
    let Some(deadline) = row.deadline else {
        pen.gap(width);
        return;
    };
    let left = deadline.saturating_duration_since(model.clock()).min(row.timeout);
    let (bars, digits) = (bar_width(screen).min(width), countdown_width(screen));
    let glyphs = model.look.glyphs();
    let late = row.state == State::Late;
    let (full, empty) =
        if late { late_bar(left, row.timeout, bars, glyphs) } else { bar(left, row.timeout, bars, glyphs) };
    // One style for bar, rest and number: each change of style costs a dozen bytes a row a second.
    pen.put(&full, role).put(&empty, role);
    let seconds = if screen >= PLAIN { running(left) } else { whole(left) };
    pen.cell_right(&seconds, width.saturating_sub(bars).min(digits), role);
}

/// Says what became of a row that is not here: `down 14s`, `left: quit`, `not seen since start`.
pub(super) fn fate(model: &Model, row: &RowView) -> Option<String> {
    let flapping = if row.flapping { "  flapping" } else { "" };
    match (row.state, &row.gone) {
        (State::Online | State::Late, _) => None,
        (State::TimedOut, Some((at, departure))) => {
            let down = since(model.clock().saturating_duration_since(*at));
            let cause = match departure.reason {
                Reason::Timeout => String::new(),
                _ if departure.detail.is_empty() => format!(": {}", departure.reason),
                _ => format!(": {}", departure.detail),
            };
            let acked = if row.acked { "  ack" } else { "" };
            Some(format!("down {down}{cause}{acked}{flapping}"))
        }
        (State::TimedOut, None) => Some("down".to_owned()),
        (State::Left, Some((_, departure))) => Some(departure.to_string()),
        (State::Left, None) => Some("left".to_owned()),
        (State::Offline, None) if row.last_seen.is_some() => {
            Some("expected: here before the restart".to_owned())
        }
        (State::Offline, Some((_, departure))) if departure.detail.is_empty() => {
            Some(format!("expected: {}", departure.reason))
        }
        (State::Offline, Some((_, departure))) => Some(format!("expected: {}", departure.detail)),
        (State::Offline, None) => Some("not seen since start".to_owned()),
    }
}
