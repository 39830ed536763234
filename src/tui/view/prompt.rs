//! Interval and timeout being typed, judged with every key.

use ratatui::buffer::Buffer;
use ratatui::text::Line;

use super::dialogs::{self, Asked, width};
use super::flow::sentence;
use super::outlook::{at_risk, pinned};
use super::pen::{Text, first_that_fits};
use crate::presence::Settings;
use crate::presence::trust::NAMED_MAX;
use crate::tui::format::{cells, running};
use crate::tui::model::{Model, Prompt, Which};
use crate::tui::theme::Role;
use crate::tui::update::dialogs::way_out;
use crate::tui::update::prompt::{Verdict, clients, consequences};

/// Below this height there is no room for what goes without saying.
const ROOMY: u16 = 12;

/// Returns the lines of the dialog.
pub(super) fn lines(model: &Model, prompt: &Prompt) -> Asked {
    let verdict = prompt.judge(model.live.asked);
    let mut body = vec![Line::default(), field(model, prompt, prompt.which)];
    let other = prompt.which.other();
    if !prompt.input(other).value().is_empty() {
        body.push(field(model, prompt, other));
    }
    body.push(Line::default());
    match &verdict {
        Verdict::Unchanged => {
            body.push(text(model).add("Write 60, 0.5, 500ms, 2m, 2m30s or 1h.", Role::Dim).done());
        }
        Verdict::Fine(settings, warning) => body.extend(effects(model, *settings, warning.as_deref())),
        Verdict::Refused { reason, other } => {
            let cross = model.look.glyphs().state(crate::presence::State::TimedOut);
            let role = Role::State(crate::presence::State::TimedOut);
            body.extend(wrapped(model, &format!("{cross} rejected: {reason}."), role));
            if let Some(value) = other {
                let [tab, ctrl_t] = way_out(prompt.which, *value);
                if tab.len() + ctrl_t.len() + 5 <= width(model) {
                    body.push(text(model).add(format!("  {tab}   {ctrl_t}"), Role::Text).done());
                } else {
                    body.push(text(model).add(format!("  {tab}"), Role::Text).done());
                    body.push(text(model).add(format!("  {ctrl_t}"), Role::Text).done());
                }
            }
        }
    }
    Asked { body, keys: vec![Line::default(), keys(model, prompt, &verdict)], note: Vec::new() }
}

/// Says what settings that may be applied would do: who is at risk comes first, then what is daring about them.
fn effects(model: &Model, settings: Settings, warning: Option<&str>) -> Vec<Line<'static>> {
    let outlook = model.outlook(settings);
    let mut lines = Vec::new();
    if let Some(outlook) = outlook.filter(|outlook| outlook.at_risk > 0) {
        let words = format!("! would put {}.", at_risk(model, outlook, NAMED_MAX, true));
        lines.extend(wrapped(model, &words, Role::Warning));
        lines.push(Line::default());
    }
    if let Some(warning) = warning {
        let rule = if model.size.1 < ROOMY { "" } else { " Allowed; the rule is timeout > interval." };
        lines.extend(wrapped(model, &format!("! {warning}.{rule}"), Role::Warning));
        lines.push(Line::default());
    }
    match outlook {
        None => lines.extend(wrapped(model, &format!("{}.", consequences(model, settings)), Role::Text)),
        Some(outlook) if outlook.at_risk == 0 => {
            let words = format!("{} connected; nobody is put at risk.", clients(model));
            lines.extend(wrapped(model, &words, Role::Text));
        }
        Some(_) => {}
    }
    if let Some(pinned) = outlook.and_then(pinned) {
        lines.extend(wrapped(model, &format!("{pinned}."), Role::Text));
    }
    if lines.last().is_some_and(|line| line.width() == 0) {
        lines.pop();
    }
    lines
}

/// Asks in one line; who is at risk is said before anything else that has room.
pub(super) fn one_line(model: &Model, prompt: &Prompt, buf: &mut Buffer) {
    let verdict = prompt.judge(model.live.asked);
    let risk = match verdict {
        Verdict::Fine(settings, _) => model.outlook(settings).filter(|outlook| outlook.at_risk > 0),
        _ => None,
    };
    let typed = format!("{}_", prompt.input(prompt.which).value());
    let question = format!("{}: {typed}", prompt.which.word());
    let Some(risk) = risk else {
        let refused = matches!(verdict, Verdict::Refused { .. });
        let answers = if refused { "rejected / [esc]" } else { "[enter] / [esc]" };
        return dialogs::one_line(model, &question, answers, buf);
    };
    let answers = if model.size.0 < 40 { "[enter]" } else { "[enter] / [esc]" };
    let room = usize::from(model.size.0).saturating_sub(answers.len() + 2);
    let named =
        (0..=NAMED_MAX).rev().map(|most| format!("{question}   {}", at_risk(model, risk, most, true)));
    let short = format!("{typed} {} at risk", risk.at_risk);
    let words = named.chain([short.clone()]).find(|words| cells(words) <= room).unwrap_or(short);
    dialogs::one_line(model, &words, answers, buf);
}

fn text(model: &Model) -> Text {
    Text::new(model.look).add("  ", Role::Text)
}

fn field(model: &Model, prompt: &Prompt, which: Which) -> Line<'static> {
    let (asked, force) = (model.live.asked, model.live.settings);
    let now = match which {
        Which::Interval => asked.interval(),
        Which::Timeout => asked.timeout(),
    };
    // What is stepped from is not in force while the fleet is too large for it.
    let state = if asked == force { "  now" } else { "asked" };
    let active = which == prompt.which;
    let input = prompt.input(which);
    let text =
        text(model).add(format!("New {:<8}  [ ", which.word()), if active { Role::Text } else { Role::Dim });
    let text = if active { text.input(input, Role::Strong) } else { text.add(input.value(), Role::Text) };
    let room = width(model).saturating_sub(28).min(16);
    // The cursor takes a cell of its own only behind the last letter.
    let cursor = usize::from(active && input.cursor() >= input.value().chars().count());
    let blank = " ".repeat(room.saturating_sub(input.value().chars().count() + cursor));
    text.add(format!("{blank}] {state} {}", running(now)), Role::Dim).done()
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

/// Breaks a sentence into lines between words, the first one standing out.
fn wrapped(model: &Model, words: &str, role: Role) -> Vec<Line<'static>> {
    sentence(model.look, words, role, width(model), 2)
}
