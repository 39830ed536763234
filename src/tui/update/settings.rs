//! Changing interval and timeout by single keys: shown at once, sent when the keys rest.

use std::time::{Duration, Instant};

use super::Effect;
use super::prompt::Verdict;
use crate::presence::Settings;
use crate::presence::command::Command;
use crate::presence::event::Origin;
use crate::presence::settings::{SettingsError, step_down, step_up};
use crate::presence::trust::Outlook;
use crate::tui::format::running;
use crate::tui::model::{Dialog, Model, Which};

/// How long the keys must rest before a change is sent.
pub const QUIET: Duration = Duration::from_millis(400);
/// How long they must rest when the change would put somebody at risk, so that who can be read before.
pub const RISKY_QUIET: Duration = Duration::from_secs(2);
/// How many changes can be taken back.
const UNDO_MAX: usize = 32;

/// Moves one setting by one step, and says why when it cannot.
pub(super) fn nudge(model: &mut Model, which: Which, up: bool) {
    let wanted = model.wanted();
    let from = match which {
        Which::Interval => wanted.interval(),
        Which::Timeout => wanted.timeout(),
    };
    let word = which.word();
    let Some(step) = (if up { step_up(from) } else { step_down(from) }) else {
        let end = if up { "longest" } else { "shortest" };
        return model.say(format!("{word} {} is the {end} there is", running(from)));
    };
    let next = match which {
        Which::Interval => Settings::new(step, wanted.timeout()),
        Which::Timeout => Settings::new(wanted.interval(), step),
    };
    match next {
        Ok(next) => {
            model.change.nudge = Some((next, model.now.mono));
            model.dirty = true;
            if let Some(warning) = next.warning() {
                model.say(warning);
            }
        }
        Err(SettingsError::TimeoutNotAboveInterval { interval, timeout }) => model.say(match which {
            Which::Interval => format!(
                "interval {} must stay below timeout {}: raise the timeout first ( ] )",
                running(interval),
                running(timeout)
            ),
            Which::Timeout => format!(
                "timeout {} must stay above interval {}: lower the interval first ( - )",
                running(timeout),
                running(interval)
            ),
        }),
        Err(error) => model.say(error.to_string()),
    }
}

/// Returns the settings somebody thinks about: typed and possible, or stepped to and not sent yet.
pub(super) fn considered(model: &Model) -> Option<Settings> {
    if let Some(Dialog::Settings(prompt)) = &model.dialog {
        return match prompt.judge(model.live.asked) {
            Verdict::Fine(settings, _) => Some(settings),
            Verdict::Unchanged | Verdict::Refused { .. } => None,
        };
    }
    model.change.nudge.map(|(settings, _)| settings).filter(|settings| *settings != model.live.asked)
}

/// Returns who would be at risk by the steps that were not sent yet, if anybody would.
#[must_use]
pub fn risk(model: &Model) -> Option<&Outlook> {
    let (settings, _) = model.change.nudge?;
    model.outlook(settings).filter(|outlook| outlook.at_risk > 0)
}

/// Returns when the steps made so far will be sent, unless another one is made.
#[must_use]
pub fn due(model: &Model) -> Option<Instant> {
    let (_, at) = model.change.nudge?;
    Some(at + if risk(model).is_some() { RISKY_QUIET } else { QUIET })
}

/// Sends the steps made so far once the keys have rested.
pub(super) fn send_when_quiet(model: &mut Model, effects: &mut Vec<Effect>) {
    if due(model).is_some_and(|due| model.now.mono >= due)
        && let Some((settings, _)) = model.change.nudge.take()
    {
        send(model, settings, Origin::Key, effects);
    }
}

/// Sends a change and remembers what it replaces.
pub(super) fn send(model: &mut Model, settings: Settings, origin: Origin, effects: &mut Vec<Effect>) {
    model.dirty = true;
    let before = model.change.sent.map_or(model.live.asked, |(sent, _)| sent);
    if settings == before {
        return;
    }
    if origin != Origin::Undo {
        if model.change.undo.len() >= UNDO_MAX {
            model.change.undo.remove(0);
        }
        model.change.undo.push(before);
    }
    model.change.nudge = None;
    model.change.sent = Some((settings, model.now.mono));
    effects.push(Effect::Send(Command::Set(settings, origin)));
}

/// Takes back steps that were not sent yet, or else the last change made here.
pub(super) fn undo(model: &mut Model, effects: &mut Vec<Effect>) {
    if model.change.nudge.take().is_some() {
        return model.say("steps taken back");
    }
    match model.change.undo.pop() {
        Some(before) => {
            send(model, before, Origin::Undo, effects);
            let (interval, timeout) = (running(before.interval()), running(before.timeout()));
            model.say(format!("back to interval {interval}, timeout {timeout}"));
        }
        None => model.say("u: no change of settings to take back"),
    }
}
