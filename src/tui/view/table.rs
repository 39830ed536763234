//! The table of clients: frame, heads and the rows of the window.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::pen::{Pen, Text, first_that_fits};
use super::{empty, group, header, row};
use crate::presence::view::Grouping;
use crate::tui::columns::{Column, NARROW, PLAIN, choose, gap, sort_word};
use crate::tui::format::{cells, fit};
use crate::tui::layout::{Pane, Plan};
use crate::tui::model::Model;
use crate::tui::theme::Role;

/// Draws the table.
pub(super) fn draw(model: &Model, plan: &Plan, buf: &mut Buffer) {
    if plan.table.height == 0 || plan.table.width == 0 {
        return;
    }
    let framed = plan.rows != plan.table && plan.borders;
    if framed {
        let title = if model.is_join() { "Peers" } else { "Clients" };
        let mut pen = Pen::new(buf, model.look, plan.table);
        pen.panel(title, &about(model, plan), model.focus == Pane::Table);
    }
    let screen = usize::from(model.size.0);
    let lead = lead(screen);
    let margin = usize::from(screen >= 110);
    let room = usize::from(plan.rows.width).saturating_sub(lead + margin);
    let columns = choose(&model.table.shown(), screen, room);
    let mut heads_area = plan.heads;
    if !plan.borders {
        // Without a frame the first rows still stand under their heads.
        heads_area.width = plan.rows.width;
    }
    heads(model, heads_area, &columns, lead, buf);
    if model.shown().rows.is_empty() && model.shown().matched == 0 {
        return empty::draw(model, plan.rows, buf);
    }
    let visible = model.visible();
    let shape = row::Shape { columns: &columns, screen, lead, rows: visible };
    for (at, one) in visible.iter().enumerate() {
        let Some(area) = line(plan.rows, at) else { break };
        match &one.group {
            Some(group) => group::draw(model, one, group, &shape, area, buf),
            None => row::draw(model, one, &shape, area, buf),
        }
    }
}

/// Returns how many cells stand before the first column: marker, glyph and a blank.
fn lead(screen: usize) -> usize {
    if screen < NARROW { 2 } else { 3 }
}

fn line(area: Rect, at: usize) -> Option<Rect> {
    let at = u16::try_from(at).ok().filter(|at| *at < area.height)?;
    Some(Rect { y: area.y + at, height: 1, ..area })
}

fn heads(model: &Model, area: Rect, columns: &[(Column, usize)], lead: usize, buf: &mut Buffer) {
    let mut pen = Pen::new(buf, model.look, area);
    pen.line(0).cell(" S", lead, Role::Head);
    let glyphs = model.look.glyphs();
    for (at, (column, width)) in columns.iter().enumerate() {
        if at > 0 {
            pen.gap(gap(*column, usize::from(model.size.0)));
        }
        let arrow = if model.table.reversed { glyphs.up } else { glyphs.down };
        let sorted = column.sort() == Some(model.table.sort);
        let head = match column {
            Column::Beats if *width >= 13 => format!("LAST {} BEATS", width - 1),
            Column::Uptime => format!("UPTIME {width}H"),
            column => column.head().to_owned(),
        };
        let head = if sorted && cells(&head) + 2 <= *width { format!("{head} {arrow}") } else { head };
        let role = if sorted { Role::Strong } else { Role::Head };
        if column.at_right() {
            pen.cell_right(&head, *width, role);
        } else {
            pen.cell(&head, *width, role);
        }
    }
}

/// Writes which part is shown: `1-12 of 17 ▼`.
pub(super) fn span(model: &Model, height: usize) -> String {
    let view = model.shown();
    let shown = model.visible().len().min(height);
    let (first, last) = (model.table.top.min(view.matched), model.table.top + shown);
    if view.matched == 0 {
        return "0 of 0".to_owned();
    }
    let more = if last < view.matched { format!(" {}", model.look.glyphs().more) } else { String::new() };
    format!("{}-{} of {}{more}", first + 1, last.min(view.matched), view.matched)
}

/// Says how the rows are ordered and chosen.
fn about(model: &Model, plan: &Plan) -> Line<'static> {
    let table = &model.table;
    let glyphs = model.look.glyphs();
    let arrow = if table.reversed { glyphs.up } else { glyphs.down };
    let by = match &table.group {
        None => String::new(),
        Some(Grouping::User) => "by user   ".to_owned(),
        Some(Grouping::Tag(tag)) => format!("by {}   ", fit(tag, 16, glyphs.ellipsis)),
    };
    let sort = format!("{by}sort: {} {arrow}", sort_word(table.sort).replace('_', " "));
    let span = span(model, plan.height());
    let states: Vec<&str> = table.states.iter().map(|state| header::word(*state)).collect();
    let only = match (table.problems_only(), states.is_empty()) {
        (true, _) => "   problems only".to_owned(),
        (false, true) => String::new(),
        (false, false) => format!("   only {}", states.join(", ")),
    };
    let filter = if table.filter.is_empty() {
        format!("   filter: {}", glyphs.none)
    } else {
        format!("   filter: {}", fit(&table.filter, 24, glyphs.ellipsis))
    };
    let chosen = !table.filter.is_empty() || !only.is_empty();
    let role = if chosen { Role::Pending } else { Role::Dim };
    let text = || Text::new(model.look);
    let wide = text().add(sort.clone(), Role::Dim).add(filter.clone(), role).add(only.clone(), Role::Pending);
    let wide = wide.add(format!("   {span}"), Role::Dim).done();
    let filter = if table.filter.is_empty() { String::new() } else { filter };
    let middle = text().add(sort, Role::Dim).add(filter.clone(), role).add(only.clone(), Role::Pending);
    let middle = middle.add(format!("  {span}"), Role::Dim).done();
    let chosen = text().add(format!("{filter}{only}").trim_start().to_owned(), Role::Pending);
    let chosen = chosen.add(format!("  {span}"), Role::Dim).done();
    let small = text().add(span, Role::Dim).done();
    let room = usize::from(plan.table.width).saturating_sub(16);
    let first = usize::from(model.size.0 < 110);
    first_that_fits([wide, middle, chosen, small].into_iter().skip(first), room)
}

/// Tells whether the table has no frame that could say which part is shown.
pub(super) fn unframed(model: &Model) -> bool {
    usize::from(model.size.0) < PLAIN || model.size.1 < 14
}
