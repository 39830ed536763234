//! What is asked: in a box in the middle, or in one line where there is no room for a box.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::flow::{flow, sentence};
use super::pen::{Pen, Text, first_that_fits};
use super::{count, header, help, prompt, writing};
use crate::presence::view::RowView;
use crate::tui::format::{age, fit};
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
            boxed(model, &title, prompt::lines(model, asked), buf);
        }
        Dialog::Columns(at) => columns(model, *at, small, buf),
        Dialog::Note(input) if small => one_line(model, &format!("note: {}_", input.value()), "", buf),
        Dialog::Note(input) => boxed(model, "My note", note(model, input), buf),
        Dialog::Write(draft) => writing::write(model, draft, small, buf),
        Dialog::Chat(input) => writing::chat(model, input, small, buf),
        Dialog::Letter(at, letter) => writing::letter(model, *at, letter, small, buf),
        Dialog::Disconnect(row) if small => {
            let question = format!("disconnect {}?", row.label);
            one_line(model, &question, "[d]isconnect / [esc]", buf);
        }
        Dialog::Disconnect(row) => boxed(model, "Disconnect client?", disconnect(model, row), buf),
        Dialog::DismissAll(gone) if small => {
            one_line(model, &format!("forget {gone} gone?"), "[d] forget / [esc]", buf);
        }
        Dialog::DismissAll(gone) => boxed(model, "Forget who is gone?", dismiss_all(model, *gone), buf),
        Dialog::Quit if small => {
            let online = model.live.counts.live();
            one_line(model, &format!("stop? {online} online"), "[s]top / [esc]", buf);
        }
        Dialog::Quit => boxed(model, "Stop the server?", quit(model), buf),
        Dialog::Suspend if small => one_line(model, "suspend?", "[z] suspend / [esc]", buf),
        Dialog::Suspend => boxed(model, "Suspend the server?", suspend(model), buf),
    }
}

/// Returns an area of that size in the middle, never larger than the screen.
pub(super) fn centred(buf: &Buffer, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(buf.area.width), height.min(buf.area.height));
    Rect::new((buf.area.width - width) / 2, (buf.area.height - height) / 2, width, height)
}

/// Returns how many cells a box has for text, behind and before a margin of two.
pub(super) fn width(model: &Model) -> usize {
    usize::from(WIDTH_MAX.min(model.size.0)).saturating_sub(6)
}

/// Draws lines in a box: what is said, the keys, and a footnote.
pub(super) fn boxed(model: &Model, title: &str, asked: Asked, buf: &mut Buffer) {
    let lines = asked.lines(usize::from(buf.area.height).saturating_sub(2));
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

/// The lines of a box.
pub(super) struct Asked {
    /// What is said; the first lines matter most.
    pub(super) body: Vec<Line<'static>>,
    /// What can be pressed, which must be seen whatever else must go.
    pub(super) keys: Vec<Line<'static>>,
    /// What may go first.
    pub(super) note: Vec<Line<'static>>,
}

impl Asked {
    /// Returns the lines that fit: the blank ones go first, then the footnote, then the end of what is said.
    fn lines(mut self, room: usize) -> Vec<Line<'static>> {
        let all = |asked: &Self| asked.body.len() + asked.keys.len() + asked.note.len();
        if all(&self) > room {
            for part in [&mut self.body, &mut self.keys, &mut self.note] {
                part.retain(|line| line.width() > 0);
            }
        }
        self.note.truncate(room.saturating_sub(self.body.len() + self.keys.len()));
        self.body.truncate(room.saturating_sub(self.keys.len()).max(1));
        [self.body, self.keys, self.note].concat()
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

pub(super) fn text(model: &Model) -> Text {
    Text::new(model.look).add("  ", Role::Text)
}

fn blank() -> Line<'static> {
    Line::default()
}

/// Says something in sentences, each on lines of its own.
fn say(model: &Model, words: &str, role: Role) -> Vec<Line<'static>> {
    sentence(model.look, words, role, width(model), 0)
}

/// The buttons of a question: the safe one first, marked as the one that Enter presses.
fn buttons(model: &Model, safe: &str, others: &[(&str, &str)]) -> Vec<Line<'static>> {
    let mut pieces = vec![text(model).add("   ", Role::Text).add(format!("[ {safe} ]"), Role::Banner).done()];
    pieces.extend(others.iter().map(|(key, words)| Text::new(model.look).hint(key, words).done()));
    let mut lines = flow(pieces, 5, width(model) + 2);
    for line in lines.iter_mut().skip(1) {
        line.spans.insert(0, "     ".into());
    }
    lines.insert(0, blank());
    lines
}

fn disconnect(model: &Model, row: &RowView) -> Asked {
    let peer = row.peer.map(|peer| peer.to_string()).unwrap_or_default();
    let seen = row.last_seen.map(|at| age(model.now.mono.saturating_duration_since(at)));
    let seen = seen.map(|span| format!(", last ping {span} ago")).unwrap_or_default();
    let name = fit(&row.label, width(model), model.look.glyphs().ellipsis).into_owned();
    let piece = |words: String, role: Role| Text::new(model.look).add(words, role).done();
    let facts = vec![
        piece(format!("  {name}"), Role::Strong),
        piece(peer, Role::Text),
        piece(format!("{}{seen}", header::word(row.state)), Role::Text),
    ];
    let mut body = vec![blank()];
    for (at, line) in flow(facts, 3, width(model) + 2).into_iter().enumerate() {
        body.push(if at == 0 { line } else { Line::from([vec!["  ".into()], line.spans].concat()) });
    }
    body.push(blank());
    body.extend(say(model, "It may reconnect by itself; b also blocks it for 10m.", Role::Text));
    let keys = buttons(model, "Cancel", &[("d", "disconnect"), ("b", "disconnect + block 10m")]);
    let mut note = vec![blank()];
    note.extend(say(model, "(the target is fixed by id: it cannot change if rows move)", Role::Dim));
    Asked { body, keys, note }
}

fn dismiss_all(model: &Model, gone: usize) -> Asked {
    let mut body = vec![blank()];
    let words = format!("{} and their history are forgotten.", count(gone, "row"));
    body.extend(say(model, &words, Role::Text));
    body.extend(say(model, "Whoever comes back starts as a new client.", Role::Text));
    Asked { body, keys: buttons(model, "Keep them", &[("d", "forget them all")]), note: vec![blank()] }
}

/// Writes `13 clients are online.`
fn online(model: &Model) -> String {
    let online = model.live.counts.live();
    format!("{} {} online.", count(online, "client"), if online == 1 { "is" } else { "are" })
}

fn quit(model: &Model) -> Asked {
    let words =
        format!("{} They will be told \"server stopping\" and this console will close.", online(model));
    let mut body = vec![blank()];
    body.extend(say(model, &words, Role::Text));
    let keys = buttons(model, "Keep running", &[("s", "stop server")]);
    let mut note = vec![blank()];
    note.extend(say(model, "(a second Ctrl-C within 2s stops at once; SIGTERM never asks)", Role::Dim));
    Asked { body, keys, note }
}

fn suspend(model: &Model) -> Asked {
    let words = format!(
        "{} A suspended server hears nobody; nobody is timed out for it, but clients may give up and \
         go elsewhere.",
        online(model)
    );
    let mut body = vec![blank()];
    body.extend(say(model, &words, Role::Text));
    let keys = buttons(model, "Keep running", &[("z", "suspend")]);
    let note = vec![blank(), text(model).add("(fg in the shell brings it back)", Role::Dim).done()];
    Asked { body, keys, note }
}

fn note(model: &Model, input: &tui_input::Input) -> Asked {
    let typed = text(model).add("[ ", Role::Dim).input(input, Role::Strong).done();
    let mut body = vec![blank(), typed, blank()];
    let words = "Everybody sees it beside this client's name, e.g. draining.";
    body.extend(say(model, words, Role::Dim));
    let keys = text(model).hint("enter", "send").add("   ", Role::Text).hint("esc", "cancel").done();
    Asked { body, keys: vec![blank(), keys], note: Vec::new() }
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
    let keys = |show: &str, shift: &str| {
        let keys = text(model).hint("space", show).add("   ", Role::Text).hint(", .", shift);
        keys.add("   ", Role::Text).hint("esc", "close").done()
    };
    let keys = [keys("show or hide", "move up or down"), keys("show", "move")];
    let keys = vec![blank(), first_that_fits(keys, width(model) + 2)];
    boxed(model, "Columns", Asked { body: lines, keys, note: Vec::new() }, buf);
}
