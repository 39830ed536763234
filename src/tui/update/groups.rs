//! The table as a tree: by what it is grouped, and which groups are folded.

use crate::presence::RowKey;
use crate::presence::view::Grouping;
use crate::tui::keymap::Key;
use crate::tui::model::Model;

/// Groups by the next thing there is to group by: the user, each common tag, nothing.
pub(super) fn next(model: &mut Model, key: Key) {
    if model.paused.is_some() {
        return model.say(format!("{key}: the view is paused (p goes on)"));
    }
    let known = model.live.grouped.as_ref().map(|grouped| grouped.tags.as_slice()).unwrap_or_default();
    let next = match &model.table.group {
        None => Some(Grouping::User),
        Some(Grouping::User) => known.first().cloned().map(Grouping::Tag),
        Some(Grouping::Tag(here)) => {
            let after = known.iter().skip_while(|tag| *tag != here).nth(1);
            after.cloned().map(Grouping::Tag)
        }
    };
    let words = match &next {
        None => "no groups".to_owned(),
        Some(Grouping::User) => "grouped by user".to_owned(),
        Some(Grouping::Tag(tag)) => format!("grouped by {tag}"),
    };
    let table = &mut model.table;
    (table.group, table.top) = (next, 0);
    table.folded.clear();
    // The line of a group is gone with its groups.
    if model.selected_row().is_some_and(|row| row.group.is_some()) {
        model.table.selected = None;
    }
    model.say(words);
}

/// Folds the selected group, or unfolds it; returns whether a group is selected.
pub(super) fn toggle(model: &mut Model) -> bool {
    let Some((key, open)) = selected(model) else { return false };
    set(model, key, !open);
    true
}

/// Hides the members of the group the selected line belongs to.
pub(super) fn fold(model: &mut Model, key: Key) {
    if model.table.group.is_none() {
        return model.say(format!("{key}: there are no groups (v makes some)"));
    }
    match selected(model).or_else(|| above(model)) {
        Some((group, true)) => {
            set(model, group, false);
            model.table.selected = Some(group);
        }
        Some((_, false)) => model.say(format!("{key}: it is folded already")),
        None => model.say(format!("{key}: no group selected (j and k select)")),
    }
}

/// Shows the members of the selected group.
pub(super) fn unfold(model: &mut Model, key: Key) {
    if model.table.group.is_none() {
        return model.say(format!("{key}: there are no groups (v makes some)"));
    }
    match selected(model) {
        Some((group, false)) => set(model, group, true),
        Some((_, true)) => model.say(format!("{key}: its members are shown already")),
        None => model.say(format!("{key}: no group selected (j and k select)")),
    }
}

/// Says why a key that needs a client does nothing, should a group be selected.
pub(super) fn refuses(model: &mut Model, key: Key) -> bool {
    let Some(row) = model.selected_row().filter(|row| row.group.is_some()) else { return false };
    let words = format!("{key}: {} is a group; select one of its clients", row.label);
    model.say(words);
    true
}

/// Returns the selected group, and whether it is open.
fn selected(model: &Model) -> Option<(RowKey, bool)> {
    let row = model.selected_row()?;
    let key = row.key;
    row.group.as_ref().map(|_| (key, !model.table.folded.contains(&key)))
}

/// Returns the group above the selected line, as far as the lines are known.
fn above(model: &Model) -> Option<(RowKey, bool)> {
    let key = model.table.selected?;
    let rows = &model.shown().rows;
    let at = rows.iter().position(|row| row.key == key)?;
    let group = rows.iter().take(at).rev().find(|row| row.group.is_some())?;
    Some((group.key, true))
}

fn set(model: &mut Model, key: RowKey, open: bool) {
    if model.paused.is_some() {
        return model.say("paused: nothing folds until p");
    }
    model.table.folded.retain(|folded| *folded != key);
    if !open {
        model.table.folded.push(key);
    }
    model.dirty = true;
}
