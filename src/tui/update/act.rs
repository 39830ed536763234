//! What each action does.

use std::time::Duration;

use tui_input::Input;

use super::{Effect, ask, groups, moves, ring_of_panes, settings, writing};
use crate::presence::State;
use crate::presence::command::Command;
use crate::presence::view::{RowView, Sort};
use crate::tui::columns::{Column, sort_word};
use crate::tui::keymap::{Action, Key};
use crate::tui::layout::Pane;
use crate::tui::model::{Dialog, Face, Model, PROBLEMS, Paused, Prompt, Which};
use crate::tui::snapshot;

/// How soon a second Ctrl-C must come to mean "at once".
const TWICE: Duration = Duration::from_secs(2);

/// Does what a person meant.
pub(super) fn act(model: &mut Model, action: Action, key: Key, effects: &mut Vec<Effect>) {
    match action {
        Action::Down => moves::step(model, 1),
        Action::Up => moves::step(model, -1),
        Action::HalfDown => moves::step(model, (moves::page(model) / 2).max(1)),
        Action::HalfUp => moves::step(model, -(moves::page(model) / 2).max(1)),
        Action::PageDown => moves::step(model, moves::page(model)),
        Action::PageUp => moves::step(model, -moves::page(model)),
        Action::First => moves::first(model),
        Action::Last => moves::last(model),
        Action::NextProblem => moves::problem(model, true),
        Action::PrevProblem => moves::problem(model, false),
        Action::NextPane => focus(model, 1),
        Action::PrevPane => focus(model, -1),
        Action::Zoom => model.zoom = !model.zoom,
        Action::Details if groups::toggle(model) => {}
        Action::Details => details(model),
        Action::Group => groups::next(model, key),
        Action::Fold => groups::fold(model, key),
        Action::Unfold => groups::unfold(model, key),
        Action::Filter
        | Action::Problems
        | Action::Only(_)
        | Action::AllStates
        | Action::SortNext
        | Action::SortReverse
        | Action::SortLeft
        | Action::SortRight => choose(model, action, key),
        Action::Pause => pause(model),
        Action::Back => back(model),
        Action::Help => ask(model, Dialog::Help { scroll: 0, search: None }),
        Action::Events => model.events.shown = !model.events.shown,
        Action::Columns => ask(model, Dialog::Columns(0)),
        Action::Theme => theme(model),
        Action::Redraw => effects.push(Effect::Redraw),
        Action::Mouse => mouse(model, effects),
        Action::Mute => mute(model),
        Action::Quit => quit(model, effects),
        Action::Interrupt => interrupt(model, effects),
        Action::Suspend => suspend(model, effects),
        Action::CopyAddress | Action::CopyRow => copy(model, action, key, effects),
        Action::Snapshot => {
            model.saving = Some(model.now.mono);
            model.say("saving a snapshot");
        }
        _ => command(model, action, key, effects),
    }
}

/// Actions that ask somebody else to do something.
fn command(model: &mut Model, action: Action, key: Key, effects: &mut Vec<Effect>) {
    if matches!(model.face, Face::Serve { read_only: true, .. }) && writes(action) {
        return model.say(format!("{key}: this screen is read-only"));
    }
    match action {
        Action::IntervalUp => settings::nudge(model, Which::Interval, true),
        Action::IntervalDown => settings::nudge(model, Which::Interval, false),
        Action::TimeoutUp => settings::nudge(model, Which::Timeout, true),
        Action::TimeoutDown => settings::nudge(model, Which::Timeout, false),
        Action::EditInterval => ask(model, Dialog::Settings(Prompt::new(Which::Interval))),
        Action::EditTimeout => ask(model, Dialog::Settings(Prompt::new(Which::Timeout))),
        Action::Undo => settings::undo(model, effects),
        Action::Acknowledge => acknowledge(model, key, effects),
        Action::AcknowledgeAll => acknowledge_all(model, effects),
        Action::Write => writing::open(model, key),
        Action::OpenLetter => writing::open_letter(model, key),
        Action::Disconnect => disconnect(model, key),
        Action::Dismiss => dismiss(model, key, effects),
        Action::DismissAll => dismiss_all(model),
        Action::BeatNow => {
            effects.push(Effect::Send(Command::BeatNow));
            model.say("beat sent");
        }
        Action::Hold => {
            let hold = !model.uplink().is_some_and(|uplink| uplink.holding);
            effects.push(Effect::Send(Command::Hold(hold)));
            model.say(if hold { "holding heartbeats back" } else { "heartbeats go on" });
        }
        Action::Reconnect => {
            effects.push(Effect::Send(Command::Reconnect));
            model.say("reconnecting");
        }
        Action::EditNote if model.uplink().is_some_and(|uplink| uplink.foreign.is_some()) => {
            model.say(format!("{key}: nobody would see a note there, the server speaks something else"));
        }
        Action::EditNote => {
            let note = model.uplink().map(|uplink| uplink.note.clone()).unwrap_or_default();
            ask(model, Dialog::Note(Input::new(note)));
        }
        _ => {}
    }
}

fn writes(action: Action) -> bool {
    matches!(
        action,
        Action::IntervalUp
            | Action::IntervalDown
            | Action::TimeoutUp
            | Action::TimeoutDown
            | Action::EditInterval
            | Action::EditTimeout
            | Action::Undo
            | Action::Write
            | Action::Disconnect
            | Action::Dismiss
            | Action::DismissAll
    )
}

fn focus(model: &mut Model, by: isize) {
    let panes = ring_of_panes(model);
    let here = panes.iter().position(|pane| *pane == model.focus).unwrap_or(0);
    let next = (here + panes.len()).saturating_add_signed(by) % panes.len().max(1);
    if panes.len() == 1 {
        return model.say("tab: there is no other panel (L shows the events)");
    }
    model.focus = panes.get(next).copied().unwrap_or_default();
}

fn details(model: &mut Model) {
    if model.details {
        model.details = false;
        if model.focus == Pane::Details {
            model.focus = Pane::Table;
        }
        return;
    }
    if model.selected_row().is_none() {
        moves::step(model, 0);
    }
    model.details =
        model.selected_row().is_none_or(|row| row.group.is_none()) && model.table.selected.is_some();
}

/// Chooses which rows are asked for, and in which order.
fn choose(model: &mut Model, action: Action, key: Key) {
    if model.paused.is_some() {
        return model.say(format!("{key}: the view is paused (p goes on)"));
    }
    let table = &mut model.table;
    let only = |table: &mut crate::tui::model::Table, states: &[State]| {
        let same = table.states == states;
        table.states = if same { Vec::new() } else { states.to_vec() };
        table.top = 0;
    };
    match action {
        Action::Problems => only(table, &PROBLEMS),
        Action::Only(state) => only(table, &[state]),
        Action::AllStates if table.states.is_empty() => {
            model.say(format!("{key}: all states are shown already"));
        }
        Action::AllStates => only(table, &[]),
        Action::SortReverse => table.reversed = !table.reversed,
        Action::SortNext | Action::SortRight => sort(model, 1),
        Action::SortLeft => sort(model, -1),
        _ => {
            let before = Input::new(table.filter.clone());
            ask(model, Dialog::Filter(before));
        }
    }
}

/// Orders by the next column that can be ordered by, among those that are shown.
fn sort(model: &mut Model, by: isize) {
    let sorts: Vec<Sort> = model.table.shown().into_iter().filter_map(Column::sort).collect();
    let Some(here) = sorts.iter().position(|sort| *sort == model.table.sort) else {
        model.table.sort = sorts.first().copied().unwrap_or_default();
        return;
    };
    let next = (here + sorts.len()).saturating_add_signed(by) % sorts.len().max(1);
    model.table.sort = sorts.get(next).copied().unwrap_or_default();
    model.table.reversed = false;
    model.table.top = 0;
    let word = sort_word(model.table.sort).replace('_', " ");
    model.say(format!("sorted by {word}"));
}

fn pause(model: &mut Model) {
    model.paused = match model.paused.take() {
        Some(_) => None,
        None => Some(Paused { since: model.now, view: model.live.clone() }),
    };
}

/// Takes one step back, the innermost first.
fn back(model: &mut Model) {
    let table = &mut model.table;
    if model.zoom {
        model.zoom = false;
    } else if model.details {
        model.details = false;
        model.focus = Pane::Table;
    } else if !table.filter.is_empty() {
        table.filter.clear();
    } else if !table.states.is_empty() {
        table.states.clear();
    } else if table.selected.take().is_none() {
        model.say("esc: nothing is open (q quits)");
    }
}

fn theme(model: &mut Model) {
    if model.look.colourless {
        return model.say("C: NO_COLOR is set, so there is no other theme");
    }
    model.look.theme = model.look.theme.next();
    model.say(format!("theme: {}", model.look.theme.word()));
}

fn mouse(model: &mut Model, effects: &mut Vec<Effect>) {
    model.mouse = !model.mouse;
    effects.push(Effect::Mouse(model.mouse));
    model.say(if model.mouse {
        "the mouse selects rows (M gives it back to the terminal)"
    } else {
        "the mouse belongs to the terminal again"
    });
}

fn mute(model: &mut Model) {
    model.bell.muted = !model.bell.muted;
    model.say(match (model.bell.enabled, model.bell.muted) {
        (false, _) => "the bell is switched off in the configuration (ui.bell)",
        (true, true) => "muted: alerts are shown and make no sound",
        (true, false) => "the bell rings again",
    });
}

/// Stops the server or leaves, asking first while that would cost somebody something.
pub(super) fn quit(model: &mut Model, effects: &mut Vec<Effect>) {
    if model.stopping.is_some() {
        effects.push(Effect::Leave);
    } else if !model.is_join() && model.live.counts.live() > 0 {
        ask(model, Dialog::Quit);
    } else {
        stop(model, effects);
    }
}

/// Asks for the stop and waits for it with the screen still up.
pub(super) fn stop(model: &mut Model, effects: &mut Vec<Effect>) {
    model.dialog = None;
    model.stopping = Some(model.now.mono);
    model.dirty = true;
    effects.push(Effect::Send(Command::Quit));
}

/// Ctrl-C: asks as `q` does, and does not ask twice.
pub(super) fn interrupt(model: &mut Model, effects: &mut Vec<Effect>) {
    let now = model.now.mono;
    if model.interrupted.is_some_and(|at| now < at + TWICE) {
        effects.push(Effect::Leave);
        return;
    }
    model.interrupted = Some(now);
    quit(model, effects);
}

fn suspend(model: &mut Model, effects: &mut Vec<Effect>) {
    if !model.is_join() && model.live.counts.live() > 0 {
        ask(model, Dialog::Suspend);
    } else {
        effects.push(Effect::Suspend);
    }
}

fn is_alert(row: &RowView) -> bool {
    row.state == State::TimedOut && !row.acked
}

fn acknowledge(model: &mut Model, key: Key, effects: &mut Vec<Effect>) {
    if writing::read(model, false, effects) || groups::refuses(model, key) {
        return;
    }
    let selected = model.selected_row().filter(|row| is_alert(row)).map(|row| row.key);
    let newest = model.live.alerts.newest.first().map(|alert| alert.row);
    match selected.or(newest) {
        Some(row) => effects.push(Effect::Send(Command::Acknowledge(Some(row)))),
        None => model.say("a: nothing waits for an acknowledgement"),
    }
}

fn acknowledge_all(model: &mut Model, effects: &mut Vec<Effect>) {
    let read = writing::read(model, true, effects);
    match model.live.alerts.unacked {
        0 if read => {}
        0 => model.say("A: nothing waits for an acknowledgement"),
        count => {
            effects.push(Effect::Send(Command::Acknowledge(None)));
            model.say(format!("acknowledged {count}"));
        }
    }
}

fn disconnect(model: &mut Model, key: Key) {
    if groups::refuses(model, key) {
        return;
    }
    match model.selected_row() {
        None => model.say(format!("{key}: nothing selected (j and k select)")),
        Some(row) if !row.state.is_live() => {
            let words = format!("{key}: {} is not connected (d forgets it)", row.label);
            model.say(words);
        }
        Some(row) => {
            let row = Box::new(row.clone());
            ask(model, Dialog::Disconnect(row));
        }
    }
}

fn dismiss(model: &mut Model, key: Key, effects: &mut Vec<Effect>) {
    if groups::refuses(model, key) {
        return;
    }
    match model.selected_row() {
        None => model.say(format!("{key}: nothing selected (j and k select)")),
        Some(row) if row.state.is_live() => {
            let words = format!("{key}: {} is here; only who is gone can be forgotten", row.label);
            model.say(words);
        }
        Some(row) => {
            let (row, words) = (row.key, format!("forgot {}", row.label));
            effects.push(Effect::Send(Command::Dismiss(Some(row))));
            model.say(words);
        }
    }
}

fn dismiss_all(model: &mut Model) {
    let counts = model.live.counts;
    match counts.total() - counts.live() {
        0 => model.say("D: nobody is gone"),
        gone => ask(model, Dialog::DismissAll(gone)),
    }
}

fn copy(model: &mut Model, action: Action, key: Key, effects: &mut Vec<Effect>) {
    if groups::refuses(model, key) {
        return;
    }
    let Some(row) = model.selected_row() else {
        return model.say(format!("{key}: nothing selected (j and k select)"));
    };
    if action == Action::CopyRow {
        let (text, words) =
            (snapshot::row(row, model.now).to_string(), format!("copied {} as JSON", row.label));
        effects.push(Effect::Copy(text));
        return model.say(words);
    }
    let address = row.peer.map(|peer| peer.to_string()).or_else(|| row.claim.clone());
    match address {
        None => {
            let words = format!("{key}: {} has no address", row.label);
            model.say(words);
        }
        Some(address) => {
            model.say(format!("copied {address}"));
            effects.push(Effect::Copy(address));
        }
    }
}
