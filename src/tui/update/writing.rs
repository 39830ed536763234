//! Writing to clients, chatting, and reading what somebody wrote to this one.

use std::sync::Arc;

use tui_input::Input;

use super::dialogs::{edit_within, insert_within};
use super::{Effect, ask};
use crate::presence::command::Command;
use crate::presence::notify::{Notification, Target};
use crate::presence::view::Link;
use crate::tui::keymap::Key;
use crate::tui::model::{Dialog, Draft, Model};

/// The most characters that can be written at once: as UTF-8 they always fit a notification.
const WRITTEN_CHARS_MAX: usize = 256;

/// Opens the prompt: on a server to write to clients, on a client to say something to everybody.
pub(super) fn open(model: &mut Model, key: Key) {
    if let Some(uplink) = model.uplink() {
        let why = match uplink.link {
            _ if uplink.foreign.is_some() => "this server knows no chat",
            _ if uplink.holding => "heartbeats are held back, and words would show life (H lets them go)",
            Link::Online(_) | Link::Late(..) => return ask(model, Dialog::Chat(Input::default())),
            _ => "there is no connection to say it on",
        };
        return model.say(format!("{key}: {why}"));
    }
    let targets = targets(model);
    ask(model, Dialog::Write(Box::new(Draft { targets, at: 0, input: Input::default() })));
}

/// Returns whom can be written to, the likeliest first: what is selected, then what is shown, then everybody.
fn targets(model: &Model) -> Vec<(String, Target)> {
    let mut targets = Vec::new();
    if let Some(row) = model.selected_row() {
        targets.push((row.label.to_string(), Target::Row(row.key)));
        if let Some(user) = &row.user {
            targets.push((format!("all devices of {user}"), Target::User(user.clone())));
        }
    }
    let (filter, states) = (&model.table.filter, &model.table.states);
    if !(filter.is_empty() && states.is_empty()) {
        let words = if filter.is_empty() {
            let words: Vec<&str> = states.iter().map(|state| state.word()).collect();
            format!("those shown ({})", words.join(", ").replace('_', " "))
        } else {
            format!("those shown (/{filter})")
        };
        targets.push((words, Target::Shown { filter: filter.clone(), states: states.clone(), user: None }));
    }
    targets.push(("everybody".to_owned(), Target::All));
    targets
}

/// A key while a message to clients is written.
pub(super) fn write(
    model: &mut Model,
    key: Key,
    mut draft: Box<Draft>,
    effects: &mut Vec<Effect>,
) -> Option<Dialog> {
    let all = draft.targets.len().max(1);
    match key {
        Key::Esc => return None,
        Key::Tab => draft.at = (draft.at + 1) % all,
        Key::BackTab => draft.at = (draft.at + all - 1) % all,
        Key::Enter => {
            let (body, to) = (draft.input.value().trim(), draft.target().cloned());
            let (false, Some(to)) = (body.is_empty(), to) else {
                model.say("write something first (esc closes)");
                return Some(Dialog::Write(draft));
            };
            let notification = Notification { to, title: Arc::from(""), body: body.into() };
            effects.push(Effect::Send(Command::Notify(notification)));
            // What becomes of it takes the place of the hints, so nothing is said here that would hide it.
            model.flash = None;
            return None;
        }
        key => {
            edit_within(&mut draft.input, key, WRITTEN_CHARS_MAX);
        }
    }
    Some(Dialog::Write(draft))
}

/// A key while a line of chat is written.
pub(super) fn chat(
    model: &mut Model,
    key: Key,
    mut input: Input,
    effects: &mut Vec<Effect>,
) -> Option<Dialog> {
    match key {
        Key::Esc => return None,
        Key::Enter => {
            let words = input.value().trim().to_owned();
            if !words.is_empty() {
                effects.push(Effect::Send(Command::Say { words, at: model.now.wall }));
                model.say("said");
            }
            return None;
        }
        _ => {}
    }
    edit_within(&mut input, key, WRITTEN_CHARS_MAX);
    Some(Dialog::Chat(input))
}

/// Puts pasted text into what is written; returns whether anything is.
pub(super) fn paste(model: &mut Model, text: &str) -> bool {
    let input = match &mut model.dialog {
        Some(Dialog::Write(draft)) => &mut draft.input,
        Some(Dialog::Chat(input)) => input,
        _ => return false,
    };
    for c in text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !c.is_control()) {
        insert_within(input, c, WRITTEN_CHARS_MAX);
    }
    model.dirty = true;
    true
}

/// Takes the oldest notification, or all of them, as read; returns whether there was any.
pub(super) fn read(model: &mut Model, all: bool, effects: &mut Vec<Effect>) -> bool {
    let waits = model.uplink().is_some_and(|uplink| !uplink.letters.is_empty());
    if waits {
        effects.push(Effect::Send(Command::Read { all }));
    }
    waits
}

/// Opens the oldest notification, to be read in full.
pub(super) fn open_letter(model: &mut Model, key: Key) {
    match model.uplink().and_then(|uplink| uplink.letters.first()).cloned() {
        Some((at, letter)) => ask(model, Dialog::Letter(at, letter)),
        None => model.say(format!("{key}: no message waits to be read")),
    }
}

/// A key while a notification is open.
pub(super) fn letter(model: &mut Model, key: Key, open: Dialog, effects: &mut Vec<Effect>) -> Option<Dialog> {
    match key {
        Key::Esc | Key::Char('q') => None,
        Key::Enter | Key::Char('a') => {
            read(model, false, effects);
            None
        }
        _ => Some(open),
    }
}
