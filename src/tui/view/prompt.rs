//! Interval and timeout being typed, judged with every key.

use ratatui::buffer::Buffer;
use ratatui::text::Line;

use super::dialogs;
use super::pen::{Text, first_that_fits};
use crate::tui::format::running;
use crate::tui::model::{Model, Prompt, Which};
use crate::tui::theme::Role;
use crate::tui::update::dialogs::way_out;
use crate::tui::update::prompt::{Verdict, consequences};

/// How wide a dialog's text may be.
const WIDTH: usize = 66;

/// Returns how wide it may be on this screen.
fn width(model: &Model) -> usize {
    WIDTH.min(usize::from(model.size.0).saturating_sub(6))
}

/// Returns the lines of the dialog.
pub(super) fn lines(model: &Model, prompt: &Prompt) -> Vec<Line<'static>> {
    let verdict = prompt.judge(model.live.settings);
    let mut lines = vec![Line::default(), field(model, prompt, prompt.which)];
    let other = prompt.which.other();
    if !prompt.input(other).value().is_empty() {
        lines.push(field(model, prompt, other));
    }
    lines.push(Line::default());
    match &verdict {
        Verdict::Unchanged => {
            lines.push(text(model).add("Write 60, 0.5, 500ms, 2m, 2m30s or 1h.", Role::Dim).done());
        }
        Verdict::Fine(settings, warning) => {
            if let Some(warning) = warning {
                let sentence = format!("! {warning}. Allowed; the rule is timeout > interval.");
                lines.extend(wrapped(model, &sentence, Role::Warning));
                lines.push(Line::default());
            }
            lines.extend(wrapped(model, &format!("{}.", consequences(model, *settings)), Role::Text));
        }
        Verdict::Refused { reason, other } => {
            let cross = model.look.glyphs().state(crate::presence::State::TimedOut);
            let role = Role::State(crate::presence::State::TimedOut);
            lines.extend(wrapped(model, &format!("{cross} rejected: {reason}."), role));
            if let Some(value) = other {
                let [tab, ctrl_t] = way_out(prompt.which, *value);
                if tab.len() + ctrl_t.len() + 5 <= width(model) {
                    lines.push(text(model).add(format!("  {tab}   {ctrl_t}"), Role::Text).done());
                } else {
                    lines.push(text(model).add(format!("  {tab}"), Role::Text).done());
                    lines.push(text(model).add(format!("  {ctrl_t}"), Role::Text).done());
                }
            }
        }
    }
    lines.push(Line::default());
    lines.push(keys(model, prompt, &verdict));
    lines
}

/// Asks in one line.
pub(super) fn one_line(model: &Model, prompt: &Prompt, buf: &mut Buffer) {
    let verdict = prompt.judge(model.live.settings);
    let answers = match verdict {
        Verdict::Refused { .. } => "rejected / [esc]",
        _ => "[enter] / [esc]",
    };
    let question = format!("{}: {}_", prompt.which.word(), prompt.input(prompt.which).value());
    dialogs::one_line(model, &question, answers, buf);
}

fn text(model: &Model) -> Text {
    Text::new(model.look).add("  ", Role::Text)
}

fn field(model: &Model, prompt: &Prompt, which: Which) -> Line<'static> {
    let live = model.live.settings;
    let now = match which {
        Which::Interval => live.interval(),
        Which::Timeout => live.timeout(),
    };
    let active = which == prompt.which;
    let input = prompt.input(which);
    let text =
        text(model).add(format!("New {:<8}  [ ", which.word()), if active { Role::Text } else { Role::Dim });
    let text = if active { text.input(input, Role::Strong) } else { text.add(input.value(), Role::Text) };
    // The cursor takes a cell of its own only behind the last letter.
    let cursor = usize::from(active && input.cursor() >= input.value().chars().count());
    let blank = " ".repeat(16_usize.saturating_sub(input.value().chars().count() + cursor));
    text.add(format!("{blank}]   now {}", running(now)), Role::Dim).done()
}

fn keys(model: &Model, prompt: &Prompt, verdict: &Verdict) -> Line<'static> {
    if let Verdict::Refused { .. } = verdict {
        let line = text(model).add("enter (disabled)", Role::Dim).add("   ", Role::Text);
        return line.hint("esc", "cancel").done();
    }
    let other = format!("to {}", prompt.which.other().word());
    let all =
        [("enter", "apply"), ("tab", other.as_str()), ("up/down", "step"), ("u", "undo"), ("esc", "cancel")];
    let few = [("enter", "apply"), ("tab", "other"), ("esc", "cancel")];
    let line = |keys: &[(&str, &str)]| {
        let hints =
            keys.iter().fold(text(model), |line, (key, words)| line.hint(key, words).add("   ", Role::Text));
        hints.done()
    };
    first_that_fits([line(&all), line(&few)], width(model) + 7)
}

/// Breaks a sentence into lines between words.
fn wrapped(model: &Model, sentence: &str, role: Role) -> Vec<Line<'static>> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in sentence.split(' ') {
        let fits =
            lines.last().is_some_and(|line| line.chars().count() + word.chars().count() < width(model));
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if fits => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("  {word}")),
        }
    }
    lines.into_iter().map(|line| text(model).add(line, role).done()).collect()
}
