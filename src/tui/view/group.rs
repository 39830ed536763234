//! A group of clients in one line.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::header;
use super::pen::Pen;
use super::row::{Shape, state_word};
use crate::presence::State;
use crate::presence::view::{Group, RowView};
use crate::tui::columns::{Column, gap};
use crate::tui::format::{age, cells};
use crate::tui::model::Model;
use crate::tui::theme::Role;

/// How far the names of members stand behind those of groups.
pub(super) const INDENT: usize = 2;

/// Draws a group into an area of one line: what is worst in it, its name, its latest beat, and who is in it.
pub(super) fn draw(
    model: &Model,
    row: &RowView,
    group: &Group,
    shape: &Shape<'_>,
    area: Rect,
    buf: &mut Buffer,
) {
    let glyphs = model.look.glyphs();
    let selected = model.table.selected == Some(row.key);
    let mut pen = Pen::new(buf, model.look, area);
    let role = |state| if model.stale_since().is_some() { Role::Dim } else { Role::State(state) };
    pen.line(0);
    if shape.lead >= 3 {
        pen.put(if selected { glyphs.marker } else { " " }, Role::Key);
    }
    pen.put(glyphs.state(group.worst), role(group.worst)).gap(1);
    for (at, (column, width)) in shape.columns.iter().enumerate() {
        if at > 0 {
            pen.gap(gap(*column, shape.screen));
        }
        match column {
            Column::State => {
                pen.cell(state_word(row.state), *width, role(row.state));
            }
            Column::Name => {
                let [open, folded] = glyphs.folds;
                let fold = if group.open { open } else { folded };
                let folds_wide = cells(fold) + 1;
                pen.put(fold, Role::Key).gap(1);
                pen.cell(&row.label, width.saturating_sub(folds_wide), Role::Strong);
            }
            Column::LastPing => {
                let seen = row.last_seen.map(|seen| model.clock().saturating_duration_since(seen));
                let text = seen.map_or_else(|| glyphs.none.to_owned(), |seen| format!("{} ago", age(seen)));
                pen.cell_right(&text, *width, Role::Dim);
            }
            Column::TimesOut => {
                // Nothing of a client stands behind this column that a group has: there is room to the edge.
                census(model, group, &mut pen);
                break;
            }
            _ => {
                pen.gap(*width);
            }
        }
    }
    if selected {
        Pen::new(buf, model.look, area).wash(0, Role::Selected);
    }
}

/// Writes how many are in each state, in words where they fit: `3 online  1 late`.
fn census(model: &Model, group: &Group, pen: &mut Pen<'_>) {
    let there = || State::ALL.into_iter().filter(|state| group.counts.of(*state) > 0);
    let words = |state: State| format!("{} {}", group.counts.of(state), header::word(state));
    let brief = |state: State| format!("{}{}", model.look.glyphs().state(state), group.counts.of(state));
    let wide = there().map(|state| cells(&words(state)) + 2).sum::<usize>() <= pen.left() + 2;
    for (at, state) in there().enumerate() {
        let text = if wide { words(state) } else { brief(state) };
        let role = if model.stale_since().is_some() { Role::Dim } else { Role::State(state) };
        pen.gap(if at == 0 {
            0
        } else if wide {
            2
        } else {
            1
        })
        .put(&text, role);
    }
}
