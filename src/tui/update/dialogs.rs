//! Keys and pasted text while something is asked: no other key works then.

use std::time::Duration;

use tui_input::{Input, InputRequest};

use super::prompt::Verdict;
use super::{Effect, act, settings, writing};
use crate::presence::command::Command;
use crate::presence::event::Origin;
use crate::tui::help;
use crate::tui::keymap::Key;
use crate::tui::model::{Dialog, Model, Which};

/// The most characters a filter or a note may have.
pub const TEXT_CHARS_MAX: usize = 64;
/// How long the dialog's second choice keeps a client out.
pub const BLOCK: Duration = Duration::from_mins(10);

/// Gives a key to the dialog that is open.
pub(super) fn press(model: &mut Model, key: Key, effects: &mut Vec<Effect>) {
    let Some(dialog) = model.dialog.take() else { return };
    model.dialog = match dialog {
        Dialog::Help { scroll, search } => help(model, key, scroll, search),
        Dialog::Filter(input) => filter(model, key, input),
        Dialog::Settings(prompt) => values(model, key, prompt, effects),
        Dialog::Columns(at) => columns(model, key, at),
        Dialog::Note(input) => note(model, key, input, effects),
        Dialog::Write(draft) => writing::write(model, key, draft, effects),
        Dialog::Chat(input) => writing::chat(model, key, input, effects),
        open @ Dialog::Letter(..) => writing::letter(model, key, open, effects),
        question => answer(model, key, question, effects),
    };
}

/// Puts pasted text into the input that is open, without its control characters.
pub(super) fn paste(model: &mut Model, text: &str) {
    if writing::paste(model, text) {
        return;
    }
    let input = match &mut model.dialog {
        Some(Dialog::Filter(input) | Dialog::Note(input) | Dialog::Help { search: Some(input), .. }) => input,
        Some(Dialog::Settings(prompt)) => prompt.active(),
        _ => return model.say("pasted text goes only into a prompt (/ filters)"),
    };
    for c in text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX) {
        insert(input, c);
    }
    if let Some(Dialog::Filter(input)) = &model.dialog {
        input.value().clone_into(&mut model.table.filter);
        model.table.top = 0;
    }
    model.dirty = true;
}

fn insert(input: &mut Input, c: char) {
    insert_within(input, c, TEXT_CHARS_MAX);
}

/// Inserts a character, if there are not too many.
pub(super) fn insert_within(input: &mut Input, c: char, chars_max: usize) {
    if input.value().chars().count() < chars_max {
        input.handle(InputRequest::InsertChar(c));
    }
}

/// Edits a line of text; returns whether the key was one for that.
fn edit(input: &mut Input, key: Key) -> bool {
    edit_within(input, key, TEXT_CHARS_MAX)
}

/// As [`edit`], for a text of so many characters.
pub(super) fn edit_within(input: &mut Input, key: Key, chars_max: usize) -> bool {
    let request = match key {
        Key::Char(c) => {
            insert_within(input, c, chars_max);
            return true;
        }
        Key::Backspace => InputRequest::DeletePrevChar,
        Key::Delete => InputRequest::DeleteNextChar,
        Key::Left => InputRequest::GoToPrevChar,
        Key::Right => InputRequest::GoToNextChar,
        Key::Home | Key::Ctrl('a') => InputRequest::GoToStart,
        Key::End | Key::Ctrl('e') => InputRequest::GoToEnd,
        Key::Ctrl('w') => InputRequest::DeletePrevWord,
        Key::Ctrl('u') => InputRequest::DeleteLine,
        _ => return false,
    };
    input.handle(request);
    true
}

fn help(model: &Model, key: Key, scroll: usize, search: Option<Input>) -> Option<Dialog> {
    if let Some(mut input) = search {
        let last = help::last(model, input.value());
        return match key {
            Key::Esc => Some(Dialog::Help { scroll: 0, search: None }),
            Key::Down => Some(Dialog::Help { scroll: (scroll + 1).min(last), search: Some(input) }),
            Key::Up => Some(Dialog::Help { scroll: scroll.saturating_sub(1), search: Some(input) }),
            _ => {
                edit(&mut input, key);
                Some(Dialog::Help { scroll: 0, search: Some(input) })
            }
        };
    }
    let last = help::last(model, "");
    let scroll = match key {
        Key::Esc | Key::Enter | Key::F(1) | Key::Char('?' | 'q') => return None,
        Key::Char('/') => return Some(Dialog::Help { scroll: 0, search: Some(Input::default()) }),
        Key::Char('j') | Key::Down => scroll + 1,
        Key::Char('k') | Key::Up => scroll.saturating_sub(1),
        Key::PageDown | Key::Char(' ') | Key::Ctrl('d') => scroll + 10,
        Key::PageUp | Key::Ctrl('u') => scroll.saturating_sub(10),
        Key::Char('g') | Key::Home => 0,
        Key::Char('G') | Key::End => last,
        _ => scroll,
    };
    Some(Dialog::Help { scroll: scroll.min(last), search: None })
}

fn filter(model: &mut Model, key: Key, mut input: Input) -> Option<Dialog> {
    match key {
        Key::Enter => return None,
        Key::Esc => {
            model.table.filter.clear();
            return None;
        }
        _ => {}
    }
    edit(&mut input, key);
    if model.table.filter != input.value() {
        input.value().clone_into(&mut model.table.filter);
        model.table.top = 0;
    }
    Some(Dialog::Filter(input))
}

fn values(
    model: &mut Model,
    key: Key,
    mut prompt: crate::tui::model::Prompt,
    effects: &mut Vec<Effect>,
) -> Option<Dialog> {
    let now = model.live.asked;
    match key {
        Key::Esc => return None,
        Key::Tab | Key::BackTab => prompt.which = prompt.which.other(),
        Key::Up => prompt.step(true, now),
        Key::Down => prompt.step(false, now),
        Key::Char('u') => {
            settings::undo(model, effects);
            return None;
        }
        Key::Ctrl('t') => {
            if let Verdict::Refused { other: Some(value), .. } = prompt.judge(now) {
                let other = prompt.which.other();
                prompt.put(other, value);
            }
        }
        Key::Enter => match prompt.judge(now) {
            Verdict::Fine(settings, _) => {
                settings::send(model, settings, Origin::Prompt, effects);
                return None;
            }
            Verdict::Unchanged => return None,
            Verdict::Refused { .. } => {}
        },
        key => {
            edit(prompt.active(), key);
        }
    }
    Some(Dialog::Settings(prompt))
}

/// Offers the columns: space shows or hides one, comma and full stop move it.
fn columns(model: &mut Model, key: Key, at: usize) -> Option<Dialog> {
    let columns = &mut model.table.columns;
    let last = columns.len().saturating_sub(1);
    let at = match key {
        Key::Esc | Key::Enter | Key::Char('q' | 'c') => return None,
        Key::Char('j') | Key::Down => (at + 1).min(last),
        Key::Char('k') | Key::Up => at.saturating_sub(1),
        Key::Char(' ') => {
            if let Some((_, shown)) = columns.get_mut(at) {
                *shown = !*shown;
            }
            at
        }
        Key::Char(',') if at > 0 && at <= last => {
            columns.swap(at, at - 1);
            at - 1
        }
        Key::Char('.') if at < last => {
            columns.swap(at, at + 1);
            at + 1
        }
        _ => at,
    };
    Some(Dialog::Columns(at))
}

fn note(model: &mut Model, key: Key, mut input: Input, effects: &mut Vec<Effect>) -> Option<Dialog> {
    match key {
        Key::Esc => return None,
        Key::Enter => {
            effects.push(Effect::Send(Command::Note(input.value().trim().to_owned())));
            model.say("note sent");
            return None;
        }
        _ => {}
    }
    edit(&mut input, key);
    Some(Dialog::Note(input))
}

/// Questions: Enter and Esc change nothing, one letter acts, any other key is not an answer.
fn answer(model: &mut Model, key: Key, question: Dialog, effects: &mut Vec<Effect>) -> Option<Dialog> {
    if matches!(key, Key::Esc | Key::Enter) {
        return None;
    }
    match (&question, key) {
        (Dialog::Disconnect(row), Key::Char('d')) => {
            effects.push(Effect::Send(Command::Kick(row.key, None)));
            model.say(format!("disconnecting {}", row.label));
        }
        (Dialog::Disconnect(row), Key::Char('b')) => {
            effects.push(Effect::Send(Command::Kick(row.key, Some(BLOCK))));
            model.say(format!("disconnecting {} and keeping it out for 10m", row.label));
        }
        (Dialog::DismissAll(_), Key::Char('d')) => {
            effects.push(Effect::Send(Command::Dismiss(None)));
        }
        (Dialog::Quit, Key::Char('s')) => act::stop(model, effects),
        (Dialog::Suspend, Key::Char('z') | Key::Ctrl('z')) => effects.push(Effect::Suspend),
        _ => return Some(question),
    }
    None
}

/// Names the two ways out of a value that does not fit: the other setting first, or both at once.
#[must_use]
pub fn way_out(which: Which, value: Duration) -> [String; 2] {
    let verb = match which {
        Which::Interval => "raise the timeout",
        Which::Timeout => "lower the interval",
    };
    let value = crate::tui::format::running(value);
    [format!("tab: {verb} first"), format!("ctrl-t: set {} to {value} too", which.other().word())]
}
