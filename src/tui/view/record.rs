//! What this server knows of its own mistakes.

use ratatui::text::Line;

use super::pen::{Text, first_that_fits};
use crate::presence::span::brief;
use crate::tui::help::paused;
use crate::tui::model::Model;
use crate::tui::theme::Role;

/// Writes the record in one line of at most `room` cells; nothing on a client's screen, which has none.
pub(super) fn line(model: &Model, room: usize) -> Line<'static> {
    if model.is_join() {
        return Line::default();
    }
    let record = model.shown().record;
    let dot = format!(" {} ", model.look.glyphs().dot);
    let (p99, max) = (brief(record.lateness_p99), brief(record.lateness_max));
    let write = |late: &str, wrong: &str, pause: &str| {
        let late = if record.verdicts > 0 { late } else { "" };
        let role = if record.false_timeouts > 0 { Role::Warning } else { Role::Dim };
        let text = Text::new(model.look).add(format!("verdicts {}{late}{dot}", record.verdicts), Role::Dim);
        text.add(format!("{} {wrong}", record.false_timeouts), role).add(pause.to_owned(), Role::Dim).done()
    };
    let pause = format!("{dot}paused {}", paused(record.paused));
    let late = format!(": p99 {p99}, max {max} late");
    let lines = [
        write(&late, "false timeouts", &pause),
        write(&late, "false", &pause),
        write(&format!(": max {max} late"), "false", &pause),
        write(&format!(": max {max} late"), "false", ""),
        write("", "false", ""),
        Line::default(),
    ];
    first_that_fits(lines, room)
}
