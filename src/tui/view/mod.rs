//! What the model looks like: one file per panel, each a function of the model and an area.
//!
//! ```text
//! header   who we are, counts, interval and timeout
//! banner   alerts; paused, holding, stopping
//! card     (join) our own connection, and its round trips
//! table    the clients
//! details  the selected client
//! events   what happened
//! hints    keys, or an answer to one
//! ```

mod banner;
mod card;
mod details;
mod dialogs;
mod empty;
mod events;
mod flow;
mod foreign;
mod group;
mod header;
mod help;
mod hints;
mod outlook;
mod pen;
mod prompt;
mod record;
mod row;
mod table;
mod writing;

use ratatui::Frame;
use ratatui::buffer::Buffer;

use super::model::Model;
use super::wake::{Pace, pace};

/// Draws a frame.
pub fn draw(model: &Model, frame: &mut Frame<'_>) {
    render(model, frame.buffer_mut());
}

/// Draws into a buffer.
pub fn render(model: &Model, buf: &mut Buffer) {
    let plan = model.plan();
    header::draw(model, plan.header, buf);
    banner::draw(model, plan.banner, buf);
    card::draw(model, &plan, buf);
    table::draw(model, &plan, buf);
    details::draw(model, plan.details, buf);
    events::draw(model, plan.events, buf);
    hints::draw(model, plan.hints, buf);
    dialogs::draw(model, buf);
    if model.look.ascii {
        only_ascii(buf);
    }
}

/// Replaces every symbol the terminal may not have, whoever wrote it.
fn only_ascii(buf: &mut Buffer) {
    for cell in &mut buf.content {
        if !cell.symbol().is_ascii() {
            cell.set_symbol("?");
        }
    }
}

/// Tells whether seconds are shown: only while something on the screen runs anyway.
fn ticks(model: &Model) -> bool {
    pace(model) < Pace::Minute
}

/// Writes a number and its noun: `1 client`, `2 clients`.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
