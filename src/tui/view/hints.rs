//! The last line: keys, an answer to one, or a filter being typed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::outlook::at_risk;
use super::pen::{Pen, Text, first_that_fits};
use super::{events, table, writing};
use crate::presence::trust::{NAMED_MAX, Outlook};
use crate::tui::format::cells;
use crate::tui::keymap::footer;
use crate::tui::model::{Dialog, Model};
use crate::tui::theme::Role;
use crate::tui::update::settings;
use crate::tui::wake::EVENT_SHOWN;

/// Draws the hint line.
pub(super) fn draw(model: &Model, area: Rect, buf: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let mut pen = Pen::new(buf, model.look, area);
    pen.line(0).gap(1);
    if let Some(Dialog::Filter(input)) = &model.dialog {
        return typing(model, input, &mut pen);
    }
    if let Some(risk) = settings::risk(model) {
        pen.spans(&danger(model, risk, usize::from(area.width).saturating_sub(2)));
        return;
    }
    if let Some(flash) = &model.flash {
        pen.put(&flash.words, Role::Warning);
        return;
    }
    if let Some(line) = writing::posted(model, usize::from(area.width).saturating_sub(2)) {
        pen.spans(&line);
        return;
    }
    let newest = model.events.newest.filter(|at| model.now.mono < *at + EVENT_SHOWN);
    if let (Some(_), 0, Some(event)) = (newest, model.plan().events.height, model.shown().events.last()) {
        return events::line(model, event, false, &mut pen);
    }
    let width = usize::from(area.width);
    let gap = if width < 60 { 1 } else { 2 };
    let more = more(model);
    let room = width.saturating_sub(1 + cells(&more));
    let foreign = model.uplink().is_some_and(|uplink| uplink.foreign.is_some());
    for (at, (keys, words)) in footer(model.is_join(), foreign, room).into_iter().enumerate() {
        pen.gap(if at > 0 { gap } else { 0 }).put(keys, Role::Key).put(&format!(" {words}"), Role::Dim);
    }
    if !more.is_empty() {
        let text = Text::new(model.look).add(more, Role::Dim).done();
        pen.spans_right(&text, 1);
    }
}

/// Says who would be at risk by a change that is about to be sent, and how to take it back.
fn danger(model: &Model, risk: &Outlook, width: usize) -> Line<'static> {
    let line = |most: usize, long: bool| {
        let who = format!("! {}   ", at_risk(model, risk, most, long));
        let keys = if long { "takes the change back" } else { "undo" };
        Text::new(model.look).add(who, Role::Warning).hint("u", keys).done()
    };
    let named = (1..=NAMED_MAX).rev().flat_map(|most| [line(most, true), line(most, false)]);
    first_that_fits(named.chain([line(0, false)]), width)
}

/// Says how many rows there are when no frame around the table does.
fn more(model: &Model) -> String {
    let view = model.shown();
    let table = &model.table;
    if table::unframed(model) && !(table.filter.is_empty() && table.states.is_empty()) {
        let filter = if table.filter.is_empty() { "chosen".to_owned() } else { format!("/{}", table.filter) };
        return format!("{filter} {} of {}", view.matched, view.counts.total());
    }
    let seen = model.table.top + model.visible().len();
    if !table::unframed(model) || seen >= view.matched {
        return String::new();
    }
    format!("{}{}", view.matched, model.look.glyphs().more)
}

fn typing(model: &Model, input: &tui_input::Input, pen: &mut Pen<'_>) {
    pen.spans(&Text::new(model.look).add("/ ", Role::Key).input(input, Role::Strong).done());
    let found = format!("{} of {}  ", model.live.matched, model.live.counts.total());
    let keys = Text::new(model.look).add(found, Role::Dim).hint("enter", "keep").add("  ", Role::Text);
    pen.spans_right(&keys.hint("esc", "clear").done(), 1);
}
