//! Which events are flips worth telling, and which of them are told as one.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::presence::{Event, EventKind, Flip, Reason, RowKey, State, Who};

/// More than so many of a kind within the wait are one call.
const APART_MAX: usize = 10;
/// How many may wait to be told; far more than any group names.
const HELD_MAX: usize = 20_000;

/// One flip, or several that came as one already.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) flip: Flip,
    pub(super) at: Instant,
    /// Who flipped; `None` for several.
    pub(super) who: Option<Who>,
    /// How many flipped.
    pub(super) count: usize,
    /// The names of the first of several.
    pub(super) names: Vec<Arc<str>>,
    pub(super) reason: &'static str,
    pub(super) detail: String,
    /// For how long nothing was heard.
    pub(super) gap: Option<Duration>,
    pub(super) up: Option<Duration>,
    pub(super) missed: Option<u32>,
}

impl Told {
    fn new(flip: Flip, event: &Event) -> Self {
        Self {
            flip,
            at: event.at,
            who: event.who.clone(),
            count: 1,
            names: event.who.iter().map(|who| who.label.clone()).collect(),
            reason: "",
            detail: String::new(),
            gap: None,
            up: None,
            missed: None,
        }
    }
}

/// What is told in one call: at least one flip, and the word it goes by.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) flip: Flip,
    pub(super) told: Vec<Told>,
}

/// Holds flips back for a moment, to see whether many are one.
///
/// All of them wait, so that a client's return is never told before its loss.
#[derive(Debug)]
pub(super) struct Collector {
    wanted: HashSet<Flip>,
    muted: HashSet<String>,
    span: Duration,
    held: Vec<Told>,
    /// When what is held is due.
    due: Option<Instant>,
    /// The row whose connection a newer one took over with the last event.
    replaced: Option<RowKey>,
    /// The server is stopping: who goes now was asked to.
    draining: bool,
}

impl Collector {
    pub(super) fn new(wanted: &[Flip], muted: &[String], span: Duration) -> Self {
        Self {
            wanted: wanted.iter().copied().collect(),
            muted: muted.iter().cloned().collect(),
            span,
            held: Vec::new(),
            due: None,
            replaced: None,
            draining: false,
        }
    }

    /// Takes an event in; returns whether there was room for it.
    pub(super) fn hear(&mut self, event: &Event) -> bool {
        let row = event.who.as_ref().map(|who| who.row);
        let replaced = self.replaced.take();
        match &event.kind {
            EventKind::Acknowledged { .. } => {
                self.acknowledge(row);
                return true;
            }
            EventKind::Draining { .. } => self.draining = true,
            EventKind::Gone { departure, .. } if departure.reason == Reason::Replaced => {
                self.replaced = row;
                return true;
            }
            // The newer connection of somebody who was here all the time.
            EventKind::Resumed { .. } if row.is_some() && row == replaced => return true,
            _ => {}
        }
        let Some(told) = self.told(event) else { return true };
        let has_room = self.held.len() < HELD_MAX;
        if has_room {
            self.due.get_or_insert(event.at + self.span);
            self.held.push(told);
        }
        has_room
    }

    /// Returns when something is to be told.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Returns what is held, in order, as the calls it makes.
    pub(super) fn take(&mut self) -> Vec<Group> {
        self.due = None;
        let held = std::mem::take(&mut self.held);
        let count = |of: &dyn Fn(Flip) -> bool| -> usize {
            held.iter().filter(|told| of(told.flip)).map(|told| told.count).sum()
        };
        let is_mass = self.wanted.contains(&Flip::MassTimeout) && count(&Flip::is_failure) > APART_MAX;
        let crowded: Vec<Flip> =
            Flip::ALL.into_iter().filter(|&flip| count(&|it| it == flip) > APART_MAX).collect();
        let mut groups: Vec<Group> = Vec::new();
        for told in held {
            let flip = if is_mass && told.flip.is_failure() { Flip::MassTimeout } else { told.flip };
            let grouped = flip == Flip::MassTimeout || crowded.contains(&flip);
            match groups.iter_mut().find(|group| grouped && group.flip == flip) {
                Some(group) => group.told.push(told),
                None if self.wanted.contains(&flip) => groups.push(Group { flip, told: vec![told] }),
                None => {}
            }
        }
        groups
    }

    /// Drops what an operator knows of already.
    fn acknowledge(&mut self, row: Option<RowKey>) {
        self.held.retain(|told| {
            let meant = row.is_none() || told.who.as_ref().map(|who| who.row) == row;
            !(meant && told.flip.is_failure())
        });
    }

    fn told(&self, event: &Event) -> Option<Told> {
        let told = match &event.kind {
            EventKind::Joined => Told::new(Flip::Joined, event),
            EventKind::Resumed { away } => {
                let turn = event.who.as_ref()?.turn;
                let flip = match turn.old {
                    Some(State::TimedOut) if !turn.acked => Flip::Recovered,
                    Some(State::Left) => Flip::Joined,
                    // Back after a restart, or from a failure somebody knows of.
                    _ => return None,
                };
                Told { gap: Some(*away), ..Told::new(flip, event) }
            }
            EventKind::Gone { .. } if self.draining => return None,
            EventKind::Gone { departure, silent, up, missed } => Told {
                reason: departure.reason.word(),
                detail: departure.detail.to_string(),
                gap: Some(*silent),
                up: Some(*up),
                missed: Some(*missed),
                ..Told::new(
                    match departure.reason {
                        Reason::Timeout => Flip::TimedOut,
                        Reason::Lost => Flip::Lost,
                        _ => Flip::Left,
                    },
                    event,
                )
            },
            EventKind::NotBack { lost, .. } => {
                let mut named = lost.clone();
                named.names.retain(|name| !self.muted.contains(&**name));
                named.count -= lost.names.len() - named.names.len();
                let reason = Reason::Lost.word();
                let detail = "did not come back after the restart".to_owned();
                let (count, names) = (named.count, named.names);
                Told { count, names, reason, detail, ..Told::new(Flip::Lost, event) }
            }
            _ => return None,
        };
        let is_muted = told
            .who
            .as_ref()
            .is_some_and(|who| self.muted.contains(&*who.label) || self.muted.contains(&*who.id));
        let matters = self.wanted.contains(&told.flip)
            || (told.flip.is_failure() && self.wanted.contains(&Flip::MassTimeout));
        (matters && !is_muted && told.count > 0).then_some(told)
    }
}

#[cfg(test)]
mod tests;
