//! What a message does to the model: no I/O, no waiting, no clock of its own.

mod act;
pub mod dialogs;
mod groups;
mod moves;
pub mod prompt;
pub mod settings;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use super::keymap::{Key, elsewhere, lookup};
use super::layout::Pane;
use super::model::{Dialog, Face, Model, Now};
use super::snapshot;
use super::wake;
use crate::presence::command::Command;
use crate::presence::view::{Link, RowView, Uplink, View, Window};

/// What happened.
#[derive(Debug, Clone)]
pub enum Msg {
    /// Time passed.
    Tick,
    /// The owner of the rows answered.
    View(Arc<View>),
    /// The client's connection changed.
    Uplink(Arc<Uplink>),
    /// A key was pressed.
    Key {
        /// Which.
        key: Key,
        /// Whether it is only held down.
        repeat: bool,
    },
    /// Text was pasted.
    Paste(String),
    /// The terminal has a new size.
    Resize(u16, u16),
    /// The mouse was clicked in this cell.
    Click(u16, u16),
    /// The wheel was turned, down or up.
    Wheel {
        /// Towards the end.
        down: bool,
    },
    /// What an effect had to say.
    Say(String),
}

/// What the loop must do outside the model.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send a command.
    Send(Command),
    /// Ring the bell.
    Bell,
    /// Put a text on the clipboard.
    Copy(String),
    /// Write a snapshot to a file.
    Save(String),
    /// Take the mouse, or give it back.
    Mouse(bool),
    /// Stop the process until it is continued.
    Suspend,
    /// Draw every cell again.
    Redraw,
    /// Close the screen without waiting any longer.
    Leave,
}

/// How long the screen waits for a stop it asked for before it closes by itself.
pub const STOP_GRACE: Duration = Duration::from_secs(6);
/// The shortest time between two rings.
const BELL_EVERY: Duration = Duration::from_secs(2);
/// How long a sent change may stay unanswered before the screen shows the old value again.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How long a snapshot waits for all its rows.
pub const SNAPSHOT_WITHIN: Duration = Duration::from_secs(2);

/// Changes the model as a message says and returns what is to be done outside it.
pub fn update(model: &mut Model, now: Now, msg: Msg) -> Vec<Effect> {
    model.now = now;
    let mut effects = Vec::new();
    match msg {
        Msg::Tick => {}
        Msg::View(view) => answer(model, view, &mut effects),
        Msg::Uplink(uplink) => link(model, uplink, &mut effects),
        Msg::Key { key, repeat } => press(model, key, repeat, &mut effects),
        Msg::Paste(text) => dialogs::paste(model, &text),
        Msg::Resize(width, height) => {
            model.size = (width, height);
            model.dirty = true;
        }
        Msg::Click(column, line) => moves::click(model, column, line),
        Msg::Wheel { down } => moves::step(model, if down { 3 } else { -3 }),
        Msg::Say(words) => model.say(words),
    }
    if !ring_of_panes(model).contains(&model.focus) {
        // Its panel was closed, or the terminal became too small for it.
        (model.focus, model.zoom) = (Pane::Table, false);
    }
    timers(model, &mut effects);
    moves::keep_in_sight(model);
    let window = Window { preview: settings::considered(model), ..model.window() };
    if model.asked.as_ref() != Some(&window) {
        model.asked = Some(window.clone());
        effects.push(Effect::Send(Command::Show(window)));
    }
    effects
}

/// Does what has become due.
fn timers(model: &mut Model, effects: &mut Vec<Effect>) {
    let now = model.now.mono;
    if model.flash.as_ref().is_some_and(|flash| flash.until <= now) {
        model.flash = None;
        model.dirty = true;
    }
    settings::send_when_quiet(model, effects);
    if model.change.sent.is_some_and(|(_, at)| now >= at + ANSWER_WITHIN) {
        model.change.sent = None;
        model.say("the server has not answered the change of settings");
    }
    if model.saving.is_some_and(|since| now >= since + SNAPSHOT_WITHIN) {
        save(model, effects);
    }
    if model.stopping.is_some_and(|since| now >= since + STOP_GRACE) {
        effects.push(Effect::Leave);
    }
    if wake::frame_at(model).is_some_and(|at| at <= now) {
        model.dirty = true;
    }
}

/// Takes a new answer in.
fn answer(model: &mut Model, view: Arc<View>, effects: &mut Vec<Effect>) {
    let old = std::mem::replace(&mut model.live, view);
    let new = Arc::clone(&model.live);
    ring(model, &old, &new, effects);
    let answered = model.change.sent.is_some_and(|(sent, _)| sent == new.asked);
    if answered || (old.rev, old.asked) != (new.rev, new.asked) {
        model.change.sent = None;
    }
    let last = |view: &View| view.events.last().map(|event| event.seq);
    if last(&old) != last(&new) {
        model.events.newest = Some(model.now.mono);
        if model.events.back > 0 && model.paused.is_none() {
            model.events.back += new.events.iter().filter(|event| Some(event.seq) > last(&old)).count();
        }
    }
    if model.paused.is_some() {
        // The header and what is asked stay alive.
        model.dirty |= old.counts != new.counts || last(&old) != last(&new);
        model.dirty |= terms_differ(&old, &new) || old.outlook != new.outlook;
        model.dirty |= (&old.posted, &old.reach) != (&new.posted, &new.reach);
    } else {
        model.dirty |= differs(&old, &new);
        moves::arrive(model);
    }
    let all = new.matched.min(super::model::SNAPSHOT_ROWS_MAX);
    if model.saving.is_some() && new.offset == 0 && new.rows.len() >= all {
        save(model, effects);
    }
}

fn save(model: &mut Model, effects: &mut Vec<Effect>) {
    model.saving = None;
    effects.push(Effect::Save(snapshot::file(&model.live, model.now)));
}

/// Rings once for a new departure, and not more often than every two seconds.
fn ring(model: &mut Model, old: &View, new: &View, effects: &mut Vec<Effect>) {
    let newest = |view: &View| view.alerts.newest.iter().map(|alert| alert.since).max();
    if newest(new) <= newest(old) || !model.bell.enabled || model.bell.muted {
        return;
    }
    if model.bell.rang.is_none_or(|at| model.now.mono >= at + BELL_EVERY) {
        model.bell.rang = Some(model.now.mono);
        effects.push(Effect::Bell);
    }
}

/// Tells whether two answers differ in more than what ages and countdowns show anyway at their next tick.
fn differs(old: &View, new: &View) -> bool {
    let seq = |view: &View| view.events.last().map(|event| event.seq);
    let place = |view: &View| view.selected.as_ref().map(|selected| (selected.row.key, selected.position));
    old.counts != new.counts
        || terms_differ(old, new)
        || (old.hold, &old.outlook) != (new.hold, &new.outlook)
        || old.record != new.record
        || (&old.posted, &old.reach) != (&new.posted, &new.reach)
        || (old.matched, old.offset, old.connecting) != (new.matched, new.offset, new.connecting)
        || old.alerts.unacked != new.alerts.unacked
        || old.alerts.newest != new.alerts.newest
        || old.alerts.mass != new.alerts.mass
        || (seq(old), old.events.len()) != (seq(new), new.events.len())
        || place(old) != place(new)
        || (old.rows.len(), &old.grouped) != (new.rows.len(), &new.grouped)
        || old.rows.iter().zip(&new.rows).any(|(old, new)| row_differs(old, new))
}

/// Tells whether what the header says of the settings differs.
fn terms_differ(old: &View, new: &View) -> bool {
    (old.rev, old.rollout) != (new.rev, new.rollout) || (old.settings, old.asked) != (new.settings, new.asked)
}

fn row_differs(old: &RowView, new: &RowView) -> bool {
    (old.key, old.state, old.acked, old.flapping) != (new.key, new.state, new.acked, new.flapping)
        || (&old.label, old.peer, &old.claim) != (&new.label, new.peer, &new.claim)
        || (&old.gone, &old.tags, &old.user) != (&new.gone, &new.tags, &new.user)
        || (old.timeout, old.sessions, &old.group) != (new.timeout, new.sessions, &new.group)
        // That of a group is its last sign of life, which its age shows at the next tick.
        || (old.changed != new.changed && new.group.is_none())
}

/// Takes news of the client's own connection in.
fn link(model: &mut Model, uplink: Arc<Uplink>, effects: &mut Vec<Effect>) {
    let lost = |uplink: &Uplink| matches!(uplink.link, Link::Offline { .. } | Link::Ended(_));
    let Face::Join(old) = &model.face else { return };
    let newest = |uplink: &Uplink| uplink.letters.last().map(|(at, _)| *at);
    let rings = (lost(&uplink) && !lost(old)) || newest(&uplink) > newest(old);
    model.dirty |= old.link != uplink.link
        || (old.holding, old.settings, old.legacy) != (uplink.holding, uplink.settings, uplink.legacy)
        || old.letters != uplink.letters
        || (old.reconnects, old.unanswered) != (uplink.reconnects, uplink.unanswered)
        || (&old.note, &old.name, old.address) != (&uplink.note, &uplink.name, uplink.address);
    model.face = Face::Join(uplink);
    if rings && model.bell.enabled && !model.bell.muted {
        effects.push(Effect::Bell);
    }
}

fn press(model: &mut Model, key: Key, repeat: bool, effects: &mut Vec<Effect>) {
    model.dirty = true;
    if key == Key::Ctrl('c') {
        return act::interrupt(model, effects);
    }
    if model.dialog.is_some() {
        return dialogs::press(model, key, effects);
    }
    let Some(binding) = lookup(key, model.is_join()) else {
        let words = match elsewhere(key, model.is_join()) {
            Some(there) if model.is_join() => format!("{key}: the server decides that ({})", there.words),
            Some(there) => format!("{key}: only on a client's screen ({})", there.words),
            None => format!("{key}: no such key (? lists them)"),
        };
        return model.say(words);
    };
    if repeat && !binding.action.repeats() {
        return;
    }
    model.flash = None;
    act::act(model, binding.action, key, effects);
}

/// Opens a dialog in place of whatever was asked before.
fn ask(model: &mut Model, dialog: Dialog) {
    model.dialog = Some(dialog);
    model.dirty = true;
}

/// Returns the panels the focus can go to, in order.
fn ring_of_panes(model: &Model) -> Vec<Pane> {
    let plan = model.plan();
    let mut panes = Vec::new();
    if model.is_join() && plan.borders {
        panes.push(Pane::Card);
    }
    panes.push(Pane::Table);
    if model.events.shown && plan.borders && model.size.1 >= 20 {
        panes.push(Pane::Events);
    }
    if model.details {
        panes.push(Pane::Details);
    }
    panes
}
