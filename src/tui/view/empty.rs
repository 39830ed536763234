//! What stands where no row does: what a newcomer types next, or the way back to all rows.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::pen::{Pen, Text};
use crate::presence::view::Link;
use crate::tui::model::{Face, Model};
use crate::tui::theme::Role;

/// Draws the words for an empty table.
pub(super) fn draw(model: &Model, area: Rect, buf: &mut Buffer) {
    let lines = words(model);
    let height = usize::from(area.height);
    // The line to type is the one that must survive in a small area.
    let lines: Vec<Line<'static>> = if lines.len() > height {
        lines.into_iter().filter(|line| line.width() > 0).collect()
    } else {
        lines
    };
    let widest = lines.iter().map(Line::width).max().unwrap_or(0);
    let width = usize::from(area.width);
    let (left, top) = (width.saturating_sub(widest) / 2, height.saturating_sub(lines.len()) / 3);
    let mut pen = Pen::new(buf, model.look, area);
    for (at, line) in lines.iter().enumerate() {
        pen.line(top + at).gap(left).spans(line);
    }
}

fn words(model: &Model) -> Vec<Line<'static>> {
    let text = || Text::new(model.look);
    let line = |words: &str, role: Role| text().add(words, role).done();
    let table = &model.table;
    if !table.filter.is_empty() || !table.states.is_empty() {
        return vec![
            line("no client matches", Role::Strong),
            Line::default(),
            text().hint("esc", "shows all of them again").done(),
        ];
    }
    match &model.face {
        Face::Serve { bound, join_line, .. } => {
            let (host, port) = (join_line.split_whitespace().nth(2), bound.port());
            let host = host.and_then(|address| address.rsplit_once(':')).map_or("HOST", |(host, _)| host);
            let host = host.trim_matches(['[', ']']);
            vec![
                line("No clients yet. On another machine, type", Role::Strong),
                Line::default(),
                text().add("   ", Role::Text).add(join_line.clone(), Role::Key).done(),
                Line::default(),
                line("and it appears here. Without the program, any line of TCP will do:", Role::Dim),
                Line::default(),
                line(&format!("   nc {host} {port}"), Role::Dim),
                line("   {\"type\":\"register\",\"ip\":\"10.0.0.1\",\"port\":1}", Role::Dim),
                Line::default(),
                text().hint("?", "lists the keys").done(),
            ]
        }
        Face::Join(uplink) => match &uplink.link {
            Link::Online(_) | Link::Late(..) => vec![line("nobody else is here yet", Role::Dim)],
            Link::Connecting(_) => vec![line("connecting", Role::Dim)],
            Link::Offline { .. } | Link::Ended(_) => vec![line("no list of peers has come yet", Role::Dim)],
        },
    }
}
