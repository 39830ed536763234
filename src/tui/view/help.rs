//! The help, written by the key table.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use tui_input::Input;

use super::dialogs::centred;
use super::pen::{Pen, Text};
use crate::tui::format::cells;
use crate::tui::keymap::{Section, keys, section};
use crate::tui::model::Model;
use crate::tui::theme::Role;

/// How wide the keys at the left are.
const KEYS: usize = 14;

/// Draws the help over everything else.
pub(super) fn draw(model: &Model, scroll: usize, search: Option<&Input>, buf: &mut Buffer) {
    let lines = lines(model, search.map_or("", Input::value));
    let wanted = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let margin = if buf.area.height < 12 { 0 } else { 2 };
    let area = centred(buf, 76, wanted.min(buf.area.height.saturating_sub(margin)).max(3));
    let room = usize::from(area.height.saturating_sub(2));
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
    for (at, line) in lines.iter().skip(scroll).take(room).enumerate() {
        pen.line(at).spans(line);
    }
}

/// Returns the lines that contain what is searched for, under their headings.
fn lines(model: &Model, search: &str) -> Vec<Line<'static>> {
    let wanted = search.to_lowercase();
    let mut out = Vec::new();
    for part in Section::ALL {
        let mut found = section(part, model.is_join())
            .map(|binding| (keys(binding), binding.words))
            .filter(|(keys, words)| {
                wanted.is_empty() || format!("{keys} {words}").to_lowercase().contains(&wanted)
            })
            .peekable();
        if found.peek().is_none() {
            continue;
        }
        out.push(Text::new(model.look).add(format!(" {}", part.title()), Role::Title).done());
        for (keys, words) in found {
            let blank = " ".repeat(KEYS.saturating_sub(cells(&keys)));
            let line = Text::new(model.look).add(format!("   {keys}{blank}"), Role::Key);
            out.push(line.add(words, Role::Text).done());
        }
    }
    if out.is_empty() {
        out.push(Text::new(model.look).add(" no key does that", Role::Dim).done());
    }
    out
}
