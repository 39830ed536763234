//! The help, over everything else.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tui_input::Input;

use super::dialogs::centred;
use super::pen::{Pen, Text};
use super::record;
use crate::tui::format::cells;
use crate::tui::help::{Line, WIDTH, left, lines, room};
use crate::tui::model::Model;
use crate::tui::theme::Role;

/// Draws the help.
pub(super) fn draw(model: &Model, scroll: usize, search: Option<&Input>, buf: &mut Buffer) {
    let mut lines = lines(model, search.map_or("", Input::value));
    if lines.is_empty() {
        lines.push(Line::Title("no key does that"));
    }
    let room = room(model, lines.len());
    let area = centred(buf, WIDTH, u16::try_from(room + 2).unwrap_or(u16::MAX));
    let scroll = scroll.min(lines.len().saturating_sub(room));
    let text = Text::new(model.look);
    let right = match search {
        Some(input) => text.add(format!("/{}_  ", input.value()), Role::Pending).hint("esc", "all"),
        None => text.hint("/", "search").add("  ", Role::Text).hint("esc", "close"),
    };
    let mut pen = Pen::new(buf, model.look, area);
    pen.panel("Help", &right.done(), true);
    if scroll + room < lines.len() {
        let more = format!("{} {} more", lines.len() - scroll - room, model.look.glyphs().more);
        pen.foot(&Text::new(model.look).add(more, Role::Dim).done());
    }
    let inner =
        Rect::new(area.x + 1, area.y + 1, area.width.saturating_sub(2), area.height.saturating_sub(2));
    let mut pen = Pen::new(buf, model.look, inner);
    let (margin, keys) = left(model);
    for (at, line) in lines.iter().skip(scroll).take(room).enumerate() {
        match line {
            Line::Record => {
                pen.line(at).gap(1).spans(&record::line(model, usize::from(inner.width).saturating_sub(2)))
            }
            Line::Title(title) => pen.line(at).gap(1).put(title, Role::Title),
            Line::Entry(key, words) => {
                pen.line(at).gap(margin).put(key, Role::Key);
                pen.gap(keys.saturating_sub(cells(key))).put(words, Role::Text)
            }
        };
    }
}
