//! What is written to clients, what became of it, and what somebody wrote to this one.

use std::time::Instant;

use ratatui::buffer::Buffer;
use ratatui::text::Line;
use tui_input::Input;

use super::dialogs::{self, Asked, boxed, one_line, width};
use super::flow::sentence;
use super::pen::{Pen, Text, first_that_fits};
use super::{banner, count};
use crate::presence::notify::Reach;
use crate::presence::view::Letter;
use crate::tui::format::{cells, fit, hour_and_minute};
use crate::tui::model::{Draft, Model};
use crate::tui::theme::Role;

/// Draws the prompt for a message to clients.
pub(super) fn write(model: &Model, draft: &Draft, small: bool, buf: &mut Buffer) {
    let name = draft.targets.get(draft.at).map_or("", |(name, _)| name.as_str());
    let reach = reach(model, draft);
    if small {
        let answers = if model.size.0 < 40 { "" } else { "tab [enter]" };
        let whom = reach.map_or_else(|| name.to_owned(), |reach| format!("{name} ({})", reach.here));
        let room = usize::from(model.size.0).saturating_sub(answers.len() + 8);
        let whom = fit(&whom, room / 2, model.look.glyphs().ellipsis).into_owned();
        let typed = scrolled(&draft.input, room.saturating_sub(cells(&whom)));
        return one_line(model, &format!("to {whom}: {}_", typed.value()), answers, buf);
    }
    let ellipsis = model.look.glyphs().ellipsis;
    let many = if draft.targets.len() > 1 {
        format!("   {} of {}", draft.at + 1, draft.targets.len())
    } else {
        String::new()
    };
    let name = fit(name, width(model).saturating_sub(4 + cells(&many)), ellipsis).into_owned();
    let to = dialogs::text(model).add("To  ", Role::Dim).add(name, Role::Strong).add(many, Role::Dim).done();
    let mut body = vec![Line::default(), to];
    let words = reach.map_or_else(|| "counting whom that reaches".to_owned(), reaches);
    body.extend(sentence(model.look, &format!("{words}."), Role::Text, width(model), 0));
    body.extend([Line::default(), field(model, &draft.input), Line::default()]);
    let keys = |tab: &str| {
        let keys = dialogs::text(model).hint("enter", "send").add("   ", Role::Text);
        keys.hint("tab", tab).add("   ", Role::Text).hint("esc", "cancel").done()
    };
    let keys = first_that_fits([keys("somebody else"), keys("other")], width(model) + 2);
    boxed(model, "Write to clients", Asked { body, keys: vec![keys], note: Vec::new() }, buf);
}

/// Returns whom it would reach, as far as that has been counted.
fn reach<'a>(model: &'a Model, draft: &Draft) -> Option<&'a Reach> {
    model.live.reach.as_ref().filter(|reach| Some(&reach.to) == draft.target())
}

/// Says whom a message would reach: `Reaches 3 clients; 1 is gone, 2 cannot be told`.
fn reaches(reach: &Reach) -> String {
    let here = if reach.here == 0 {
        "Reaches nobody".to_owned()
    } else {
        format!("Reaches {}", count(reach.here, "client"))
    };
    let gone = match reach.gone {
        0 => None,
        1 => Some("1 is gone".to_owned()),
        gone => Some(format!("{gone} are gone")),
    };
    let deaf = (reach.deaf > 0).then(|| format!("{} cannot be told", reach.deaf));
    let rest: Vec<String> = gone.into_iter().chain(deaf).collect();
    if rest.is_empty() { here } else { format!("{here}; {}", rest.join(", ")) }
}

/// Draws the prompt for a line of chat.
pub(super) fn chat(model: &Model, input: &Input, small: bool, buf: &mut Buffer) {
    if small {
        let typed = scrolled(input, usize::from(model.size.0).saturating_sub(7));
        return one_line(model, &format!("say: {}_", typed.value()), "", buf);
    }
    let mut body = vec![Line::default(), field(model, input), Line::default()];
    let words = "Everybody connected hears it, also clients of the base protocol.";
    body.extend(sentence(model.look, words, Role::Dim, width(model), 0));
    let keys = dialogs::text(model).hint("enter", "say").add("   ", Role::Text).hint("esc", "cancel").done();
    boxed(
        model,
        "Say to everybody",
        Asked { body, keys: vec![Line::default(), keys], note: Vec::new() },
        buf,
    );
}

/// Draws an input in brackets, as much of it as has room.
fn field(model: &Model, input: &Input) -> Line<'static> {
    let room = width(model).saturating_sub(4);
    let shown = scrolled(input, room);
    let used = cells(shown.value()) + usize::from(shown.cursor() >= shown.value().chars().count());
    let text = dialogs::text(model).add("[ ", Role::Dim).input(&shown, Role::Strong);
    text.add(format!("{} ]", " ".repeat(room.saturating_sub(used))), Role::Dim).done()
}

/// Returns the part of an input that fits into so many cells and has the cursor in it.
fn scrolled(input: &Input, room: usize) -> Input {
    let chars: Vec<char> = input.value().chars().collect();
    let wide = |part: &[char]| cells(&part.iter().collect::<String>());
    let mut from = 0;
    while from < input.cursor() && chars.get(from..input.cursor()).is_some_and(|part| wide(part) >= room) {
        from += 1;
    }
    let mut shown: Vec<char> = chars.get(from..).unwrap_or_default().to_vec();
    while wide(&shown) > room {
        shown.pop();
    }
    Input::new(shown.into_iter().collect()).with_cursor(input.cursor() - from)
}

/// Draws a notification in full.
pub(super) fn letter(model: &Model, at: Instant, letter: &Letter, small: bool, buf: &mut Buffer) {
    if small {
        return one_line(model, &letter.to_string(), "[a]/[esc]", buf);
    }
    let from = fit(&letter.from, 32, model.look.glyphs().ellipsis);
    let when = format!("{from}, {}", hour_and_minute(model.now.wall_of(at)));
    let mut body = vec![Line::default(), dialogs::text(model).add(when, Role::Dim).done(), Line::default()];
    if !letter.title.is_empty() {
        body.extend(sentence(model.look, &letter.title, Role::Strong, width(model), 0));
        body.push(Line::default());
    }
    body.extend(sentence(model.look, &letter.body, Role::Text, width(model), 0));
    let keys = dialogs::text(model).hint("enter", "read").add("   ", Role::Text).hint("esc", "later").done();
    boxed(model, "Message", Asked { body, keys: vec![Line::default(), keys], note: Vec::new() }, buf);
}

/// Draws the oldest notification nobody has read into the banner.
pub(super) fn toast(model: &Model, pen: &mut Pen<'_>, wide: usize) {
    let Some(letters) = model.uplink().map(|uplink| &uplink.letters) else { return };
    let Some((at, letter)) = letters.first() else { return };
    let keys =
        [banner::hints(model, &[("a", "read"), ("o", "open")]), banner::hints(model, &[("a", "read")])];
    let right = first_that_fits(keys, wide / 3);
    let right = if wide < 24 { Line::default() } else { right };
    let badge = match letters.len() {
        _ if wide < 40 => " ! ".to_owned(),
        1 => " MESSAGE ".to_owned(),
        many => format!(" {many} MESSAGES "),
    };
    let room = wide.saturating_sub(cells(&badge) + right.width() + 4);
    let said = Letter { from: "".into(), ..(**letter).clone() }.to_string();
    let tail = format!("  {} {}", letter.from, hour_and_minute(model.now.wall_of(*at)));
    let said = if cells(&said) + cells(&tail) <= room {
        Text::new(model.look).add(format!(" {said}"), Role::Strong).add(tail, Role::Dim)
    } else {
        let said = fit(&said, room, model.look.glyphs().ellipsis).into_owned();
        Text::new(model.look).add(format!(" {said}"), Role::Strong)
    };
    let badge = Text::new(model.look).add(badge, Role::Banner).done();
    pen.line(0).spans(&badge).spans(&said.done()).spans_right(&right, 1);
}

/// Says what became of the newest notification, where the hints are; `None` when there is none to speak of.
pub(super) fn posted(model: &Model, room: usize) -> Option<Line<'static>> {
    let posted = &model.live.posted;
    let newest = posted.last()?;
    let role = match newest.tally.pending() {
        0 if newest.tally.is_complete() => Role::Text,
        0 => Role::Warning,
        _ => Role::Pending,
    };
    let more = match posted.iter().rev().skip(1).filter(|posted| posted.tally.pending() > 0).count() {
        0 => String::new(),
        more => format!("  ({more} more on the way)"),
    };
    let short = format!("n{}: {}", newest.number, newest.tally);
    let lines = [format!("{newest}{more}"), newest.to_string(), short];
    let line = lines.map(|words| Text::new(model.look).add(words, role).done());
    Some(first_that_fits(line, room))
}
