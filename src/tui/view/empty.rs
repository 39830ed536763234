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
    let (height, width) = (usize::from(area.height), usize::from(area.width));
    let fits = |lines: &[Line<'_>]| lines.len() <= height && lines.iter().all(|line| line.width() <= width);
    let full = words(model);
    let lines = if fits(&full) { full } else { few_words(model, width).unwrap_or(full) };
    let widest = lines.iter().map(Line::width).max().unwrap_or(0);
    let (left, top) = (width.saturating_sub(widest) / 2, height.saturating_sub(lines.len()) / 3);
    let mut pen = Pen::new(buf, model.look, area);
    for (at, line) in lines.iter().enumerate() {
        pen.line(top + at).gap(left).spans(line);
    }
}

/// Says the same where there is hardly any room: the line to type is the one that must survive.
fn few_words(model: &Model, width: usize) -> Option<Vec<Line<'static>>> {
    let Face::Serve { join_line, .. } = &model.face else { return None };
    if !model.table.filter.is_empty() || !model.table.states.is_empty() {
        return None;
    }
    let line = |words: &str, role: Role| Text::new(model.look).add(words, role).done();
    let title =
        if width < 40 { "No clients yet; elsewhere:" } else { "No clients yet. On another machine, type" };
    let mut lines = vec![line(title, Role::Strong)];
    match join_line.rsplit_once(' ') {
        Some((program, address)) if join_line.len() + 2 > width => {
            lines.extend([line(program, Role::Key), line(&format!("  {address}"), Role::Key)]);
        }
        _ => lines.push(line(&format!("  {join_line}"), Role::Key)),
    }
    Some(lines)
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
            let host = host.trim_start_matches("tls://").trim_matches(['[', ']']);
            vec![
                line("No clients yet. On another machine, type", Role::Strong),
                Line::default(),
                text().add("   ", Role::Text).add(join_line.clone(), Role::Key).done(),
                Line::default(),
                line("and it appears here. Without the program, two lines of shell will do:", Role::Dim),
                Line::default(),
                line(&format!("   nc {host} {port}"), Role::Dim),
                line("   {\"type\":\"register\",\"client_ip\":\"10.0.0.1\",\"client_port\":1}", Role::Dim),
                Line::default(),
                text().hint("?", "lists the keys").done(),
            ]
        }
        Face::Join(uplink) if let Some(foreign) = uplink.foreign => {
            let kind = foreign.transport.word();
            vec![line(&format!("a foreign server ({kind}) has no list of peers"), Role::Dim)]
        }
        Face::Join(uplink) => match &uplink.link {
            Link::Online(_) | Link::Late(..) => vec![line("nobody else is here yet", Role::Dim)],
            Link::Connecting(_) => vec![line("connecting", Role::Dim)],
            Link::Offline { .. } | Link::Ended(_) => vec![line("no list of peers has come yet", Role::Dim)],
        },
    }
}
