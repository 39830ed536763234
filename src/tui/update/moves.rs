//! Moving through the table and the events. The selection is a client, not a line.

use crate::presence::RowKey;
use crate::tui::layout::Pane;
use crate::tui::model::{Model, PROBLEMS};

/// Moves by so many lines in the panel that has the focus.
pub(super) fn step(model: &mut Model, by: isize) {
    model.dirty = true;
    if model.focus == Pane::Events {
        let most = model.shown().events.len();
        model.events.back = model.events.back.saturating_add_signed(-by).min(most);
        return;
    }
    let target = match model.table.goto.or_else(|| model.selected_place()) {
        Some(place) => place.saturating_add_signed(by),
        // The first step selects what is at the top and does not jump over it.
        None => model.table.top,
    };
    to(model, target);
}

/// Goes to the first line, or in the events to the oldest.
pub(super) fn first(model: &mut Model) {
    if model.focus == Pane::Events {
        model.events.back = model.shown().events.len();
    } else {
        to(model, 0);
    }
}

/// Goes to the last line, or in the events follows the newest.
pub(super) fn last(model: &mut Model) {
    if model.focus == Pane::Events {
        model.events.back = 0;
    } else {
        to(model, usize::MAX);
    }
}

/// Returns how many lines a page has in the panel that has the focus.
pub(super) fn page(model: &Model) -> isize {
    let plan = model.plan();
    let lines = if model.focus == Pane::Events { plan.event_lines() } else { plan.height() };
    isize::try_from(lines).unwrap_or(isize::MAX).max(1)
}

/// Selects the client at a place among those that match, now or when its row is known.
fn to(model: &mut Model, place: usize) {
    let Some(last) = model.shown().matched.checked_sub(1) else {
        return model.say("no client to select");
    };
    let place = place.min(last);
    let view = model.shown();
    let known = place.checked_sub(view.offset).and_then(|at| view.rows.get(at)).map(|row| row.key);
    match known {
        Some(key) => select(model, key, place),
        None if model.paused.is_some() => model.say("paused: other rows are not shown until p"),
        None => {
            model.table.goto = Some(place);
            model.table.moved = Some(model.now.mono);
            scroll_to(model, place);
        }
    }
}

fn select(model: &mut Model, key: RowKey, place: usize) {
    model.table.selected = Some(key);
    model.table.goto = None;
    model.table.moved = Some(model.now.mono);
    model.dirty = true;
    scroll_to(model, place);
}

/// Scrolls as little as possible to have a place on the screen.
fn scroll_to(model: &mut Model, place: usize) {
    let height = model.plan().height().max(1);
    if place < model.table.top {
        model.table.top = place;
    } else if place >= model.table.top + height {
        model.table.top = place + 1 - height;
    }
}

/// After a new answer: select what was waited for.
pub(super) fn arrive(model: &mut Model) {
    let Some(place) = model.table.goto else { return };
    let view = model.shown();
    let place = place.min(view.matched.saturating_sub(1));
    if let Some(row) = place.checked_sub(view.offset).and_then(|at| view.rows.get(at)) {
        let key = row.key;
        select(model, key, place);
    }
}

/// Never leaves blank lines below the last row while rows are hidden above, nor the selection out of sight.
pub(super) fn keep_in_sight(model: &mut Model) {
    let height = model.plan().height();
    if model.table.goto.is_none() {
        if let Some(place) = model.selected_place() {
            scroll_to(model, place);
        }
        model.table.top = model.table.top.min(model.shown().matched.saturating_sub(height));
    }
    let lines = model.plan().event_lines().max(1);
    model.events.back = model.events.back.min(model.shown().events.len().saturating_sub(lines));
}

/// Selects the next client with a problem, or the one before.
pub(super) fn problem(model: &mut Model, forward: bool) {
    let view = model.shown();
    let mut known: Vec<(usize, RowKey)> = view
        .rows
        .iter()
        .enumerate()
        .filter(|(_, row)| PROBLEMS.contains(&row.state) && row.group.is_none())
        .map(|(at, row)| (view.offset + at, row.key))
        .collect();
    let here = model.selected_place();
    if !forward {
        known.reverse();
    }
    let beyond = |place: usize| here.is_none_or(|here| if forward { place > here } else { place < here });
    let next = known.iter().find(|(place, _)| beyond(*place)).or(known.first()).copied();
    if let Some((place, key)) = next {
        return select(model, key, place);
    }
    let Some(alert) = view.alerts.newest.first().map(|alert| alert.row) else {
        return model.say("no client has a problem");
    };
    model.table.selected = Some(alert);
    model.table.moved = Some(model.now.mono);
}

/// Selects the row under the mouse.
pub(super) fn click(model: &mut Model, column: u16, line: u16) {
    let plan = model.plan();
    let at = ratatui::layout::Position::new(column, line);
    if plan.rows.contains(at) {
        model.focus = Pane::Table;
        let place = model.table.top + usize::from(line - plan.rows.y);
        if place < model.shown().matched {
            to(model, place);
        }
    } else if plan.events.contains(at) {
        model.focus = Pane::Events;
        model.dirty = true;
    }
}
