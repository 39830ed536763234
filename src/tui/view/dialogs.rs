//! What is asked: in a box in the middle, or in one line where there is no room for a box.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::pen::{Pen, Text};
use super::{count, header, help, prompt};
use crate::presence::view::RowView;
use crate::tui::format::age;
use crate::tui::model::{Dialog, Model};
use crate::tui::theme::Role;

/// The widest a dialog gets.
const WIDTH_MAX: u16 = 72;
/// Below this there is no room for a box.
const BOX_MIN: (u16, u16) = (44, 9);

/// Draws what is asked, if anything is.
pub(super) fn draw(model: &Model, buf: &mut Buffer) {
    let Some(dialog) = &model.dialog else { return };
    let small = buf.area.width < BOX_MIN.0 || buf.area.height < BOX_MIN.1;
    match dialog {
        // The filter is typed in the hint line; without one it takes the last line there is.
        Dialog::Filter(input) => {
            if model.plan().hints.height == 0 {
                one_line(model, &format!("/{}_", input.value()), "", buf);
            }
        }
        Dialog::Help { scroll, search } => help::draw(model, *scroll, search.as_ref(), buf),
        Dialog::Settings(asked) if small => prompt::one_line(model, asked, buf),
        Dialog::Settings(asked) => {
            let title = format!("Set {}", asked.which.word());
            boxed(model, &title, &prompt::lines(model, asked), buf);
        }
        Dialog::Columns(at) => columns(model, *at, small, buf),
        Dialog::Note(input) if small => one_line(model, &format!("note: {}_", input.value()), "", buf),
        Dialog::Note(input) => boxed(model, "My note", &note(model, input), buf),
        Dialog::Disconnect(row) if small => {
            let question = format!("disconnect {}?", row.label);
            one_line(model, &question, "[d]isconnect / [esc]", buf);
        }
        Dialog::Disconnect(row) => boxed(model, "Disconnect client?", &disconnect(model, row), buf),
        Dialog::DismissAll(gone) if small => {
            one_line(model, &format!("forget {gone} gone?"), "[d] forget / [esc]", buf);
        }
        Dialog::DismissAll(gone) => boxed(model, "Forget who is gone?", &dismiss_all(model, *gone), buf),
        Dialog::Quit if small => {
            let online = model.live.counts.live();
            one_line(model, &format!("stop? {online} online"), "[s]top / [esc]", buf);
        }
        Dialog::Quit => boxed(model, "Stop the server?", &quit(model), buf),
        Dialog::Suspend if small => one_line(model, "suspend?", "[z] suspend / [esc]", buf),
        Dialog::Suspend => boxed(model, "Suspend the server?", &suspend(model), buf),
    }
}

/// Returns an area of that size in the middle, never larger than the screen.
pub(super) fn centred(buf: &Buffer, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(buf.area.width), height.min(buf.area.height));
    Rect::new((buf.area.width - width) / 2, (buf.area.height - height) / 2, width, height)
}

/// Draws lines in a box.
fn boxed(model: &Model, title: &str, lines: &[Line<'static>], buf: &mut Buffer) {
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let area = centred(buf, WIDTH_MAX, height);
    let mut pen = Pen::new(buf, model.look, area);
    pen.panel(title, &Line::default(), true);
    let inner =
        Rect::new(area.x + 1, area.y + 1, area.width.saturating_sub(2), area.height.saturating_sub(2));
    let mut pen = Pen::new(buf, model.look, inner);
    for (at, line) in lines.iter().enumerate() {
        pen.line(at).spans(line);
    }
}

/// Asks in the last line of the screen.
pub(super) fn one_line(model: &Model, question: &str, answers: &str, buf: &mut Buffer) {
    let area = Rect { y: buf.area.height.saturating_sub(1), height: 1.min(buf.area.height), ..buf.area };
    let mut pen = Pen::new(buf, model.look, area);
    let blank = " ".repeat(area.width.into());
    pen.line(0).put(&blank, Role::Text);
    let room = usize::from(area.width).saturating_sub(answers.len() + 1);
    pen.line(0).cell(question, room, Role::Strong);
    pen.gap(1).put(answers, Role::Key);
}

fn text(model: &Model) -> Text {
    Text::new(model.look).add("  ", Role::Text)
}

fn blank() -> Line<'static> {
    Line::default()
}

/// The buttons of a question: the safe one first, marked as the one that Enter presses.
fn buttons(model: &Model, safe: &str, others: &[(&str, &str)]) -> Line<'static> {
    let mut line = text(model).add("   ", Role::Text).add(format!("[ {safe} ]"), Role::Banner);
    for (key, words) in others {
        line = line.add("     ", Role::Text).hint(key, words);
    }
    line.done()
}

fn disconnect(model: &Model, row: &RowView) -> Vec<Line<'static>> {
    let peer = row.peer.map(|peer| peer.to_string()).unwrap_or_default();
    let seen = row.last_seen.map(|at| age(model.now.mono.saturating_duration_since(at)));
    let seen = seen.map(|span| format!(", last ping {span} ago")).unwrap_or_default();
    let state = header::word(row.state);
    vec![
        blank(),
        text(model)
            .add(row.label.to_string(), Role::Strong)
            .add(format!("   {peer}   {state}{seen}"), Role::Text)
            .done(),
        blank(),
        text(model).add("It may reconnect by itself; b also blocks it for 10m.", Role::Text).done(),
        blank(),
        buttons(model, "Cancel", &[("d", "disconnect"), ("b", "disconnect + block 10m")]),
        blank(),
        text(model).add("(the target is fixed by id: it cannot change if rows move)", Role::Dim).done(),
    ]
}

fn dismiss_all(model: &Model, gone: usize) -> Vec<Line<'static>> {
    vec![
        blank(),
        text(model)
            .add(format!("{} and their history are forgotten.", count(gone, "row")), Role::Text)
            .done(),
        text(model).add("Whoever comes back starts as a new client.", Role::Text).done(),
        blank(),
        buttons(model, "Keep them", &[("d", "forget them all")]),
        blank(),
    ]
}

fn quit(model: &Model) -> Vec<Line<'static>> {
    let online = count(model.live.counts.live(), "client");
    let verb = if model.live.counts.live() == 1 { "is" } else { "are" };
    vec![
        blank(),
        text(model)
            .add(format!("{online} {verb} online. They will be told \"server stopping\" and"), Role::Text)
            .done(),
        text(model).add("this console will close.", Role::Text).done(),
        blank(),
        buttons(model, "Keep running", &[("s", "stop server")]),
        blank(),
        text(model).add("(a second Ctrl-C within 2s stops at once; SIGTERM never asks)", Role::Dim).done(),
    ]
}

fn suspend(model: &Model) -> Vec<Line<'static>> {
    let online = count(model.live.counts.live(), "client");
    let verb = if model.live.counts.live() == 1 { "is" } else { "are" };
    vec![
        blank(),
        text(model)
            .add(format!("{online} {verb} online. A suspended server hears nobody; nobody"), Role::Text)
            .done(),
        text(model).add("is timed out for it, but clients may give up and go elsewhere.", Role::Text).done(),
        blank(),
        buttons(model, "Keep running", &[("z", "suspend")]),
        blank(),
        text(model).add("(fg in the shell brings it back)", Role::Dim).done(),
    ]
}

fn note(model: &Model, input: &tui_input::Input) -> Vec<Line<'static>> {
    vec![
        blank(),
        text(model).add("[ ", Role::Dim).input(input, Role::Strong).done(),
        blank(),
        text(model).add("Everybody sees it beside this client's name, e.g. draining.", Role::Dim).done(),
        blank(),
        text(model).hint("enter", "send").add("   ", Role::Text).hint("esc", "cancel").done(),
    ]
}

fn columns(model: &Model, at: usize, small: bool, buf: &mut Buffer) {
    let columns = &model.table.columns;
    if small {
        let Some((column, shown)) = columns.get(at) else { return };
        let mark = if *shown { "x" } else { " " };
        return one_line(model, &format!("[{mark}] {}", column.head()), "space / [esc]", buf);
    }
    let room = usize::from(buf.area.height).saturating_sub(5).max(1);
    let first = (at + 1).saturating_sub(room);
    let mut lines: Vec<Line<'static>> = Vec::new();
    for (n, (column, shown)) in columns.iter().enumerate().skip(first).take(room) {
        let marker = if n == at { model.look.glyphs().marker } else { " " };
        let mark = if *shown { "[x] " } else { "[ ] " };
        let role = if *shown { Role::Text } else { Role::Dim };
        let name = format!("{:<14}", column.head().to_lowercase());
        let sort = if column.sort().is_some() { "sortable" } else { "" };
        let line = text(model).add(format!("{marker} "), Role::Key).add(mark, Role::Key).add(name, role);
        lines.push(line.add(sort, Role::Dim).done());
    }
    lines.push(blank());
    let keys =
        text(model).hint("space", "show or hide").add("   ", Role::Text).hint(", .", "move up or down");
    lines.push(keys.add("   ", Role::Text).hint("esc", "close").done());
    boxed(model, "Columns", &lines, buf);
}
