//! What happened, newest at the bottom.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::pen::{Pen, Text};
use super::record;
use crate::presence::{Event, EventKind, State};
use crate::tui::format::{cells, fit, time_of_day};
use crate::tui::layout::Pane;
use crate::tui::model::Model;
use crate::tui::theme::{Glyphs, Role};

/// Draws the events panel.
pub(super) fn draw(model: &Model, area: Rect, buf: &mut Buffer) {
    if area.height < 2 || area.width < 4 {
        return;
    }
    let wide = area.width >= 110;
    let text = Text::new(model.look);
    let place = match (model.events.back, wide) {
        (0, true) => text.add("follow  ", Role::Dim).hint("L", "hide").done(),
        (0, false) => text.add("follow", Role::Dim).done(),
        (back, _) => text.add(format!("{back} newer  "), Role::Pending).hint("G", "follow").done(),
    };
    let mut right = record::line(model, usize::from(area.width).saturating_sub(place.width() + 15));
    if right.width() > 0 {
        right.push_span("  ");
    }
    right.spans.extend(place.spans);
    let mut pen = Pen::new(buf, model.look, area);
    pen.panel("Events", &right, model.focus == Pane::Events);
    let inner = Rect::new(area.x + 1, area.y + 1, area.width - 2, area.height - 2);
    let lines = usize::from(inner.height);
    let events = &model.shown().events;
    let end = events.len().saturating_sub(model.events.back);
    let shown = events.get(end.saturating_sub(lines)..end).unwrap_or_default();
    let mut pen = Pen::new(buf, model.look, inner);
    for (at, event) in shown.iter().enumerate() {
        pen.line(at).gap(1);
        line(model, event, wide, &mut pen);
    }
}

/// Writes one event: time, symbol, whom, what.
pub(super) fn line(model: &Model, event: &Event, wide: bool, pen: &mut Pen<'_>) {
    let gap = if wide { 2 } else { 1 };
    let (glyph, role) = glyph(&event.kind, model.look.glyphs());
    pen.put(&time_of_day(model.now.wall_of(event.at)), Role::Dim).gap(gap).put(glyph, role).gap(1);
    if let Some(who) = &event.who {
        if wide {
            pen.cell(&who.label, 16, Role::Text);
        } else {
            let name = fit(&who.label, 24, model.look.glyphs().ellipsis).into_owned();
            pen.put(&name, Role::Text).gap(1);
        }
    } else if wide && model.uplink().is_none() {
        pen.cell("server", 16, Role::Dim);
    }
    let mut words = event.kind.to_string();
    if matches!(event.kind, EventKind::Joined)
        && let Some(who) = &event.who
    {
        words = format!("joined from {}", who.peer);
    }
    let words = words.replace("->", model.look.glyphs().to);
    let room = pen.left().saturating_sub(1);
    let words = if cells(&words) > room {
        fit(&words, room, model.look.glyphs().ellipsis).into_owned()
    } else {
        words
    };
    let plain = matches!(role, Role::State(State::Left | State::Offline) | Role::Dim);
    pen.put(&words, if plain { Role::Dim } else { Role::Text });
}

/// Returns the symbol of what happened: a state's when it led to one.
fn glyph(kind: &EventKind, glyphs: &Glyphs) -> (&'static str, Role) {
    let state = match kind {
        EventKind::Joined | EventKind::Resumed { .. } | EventKind::Back { .. } => State::Online,
        EventKind::Late { .. } => State::Late,
        EventKind::Gone { departure, .. } if departure.reason.is_failure() => State::TimedOut,
        EventKind::NotBack { lost, .. } if lost.count > 0 => State::TimedOut,
        EventKind::NotBack { .. } => State::Offline,
        EventKind::Gone { .. } => State::Left,
        EventKind::Refused { .. }
        | EventKind::Conflict { .. }
        | EventKind::FalseTimeout { .. }
        | EventKind::Trouble(_) => {
            return ("!", Role::Warning);
        }
        EventKind::Notified(posted) if posted.tally.is_complete() => return (" ", Role::Text),
        EventKind::Notified(_) | EventKind::Draining { .. } => return ("!", Role::Warning),
        EventKind::Updated
        | EventKind::Acknowledged { .. }
        | EventKind::Dismissed { .. }
        | EventKind::Settings { .. }
        | EventKind::Notice(_) => return (" ", Role::Dim),
    };
    (glyphs.state(state), Role::State(state))
}
