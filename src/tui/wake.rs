//! When the screen has to do something next: draw because time shows, or act because time is up.

use std::time::{Duration, Instant};

use super::model::{HOLD, Model};

use super::update::{ANSWER_WITHIN, SNAPSHOT_WITHIN, STOP_GRACE, settings};
use crate::presence::view::{Link, RowView};

/// How long a row that changed its state is drawn in reverse.
pub const PULSE: Duration = Duration::from_secs(2);
/// How long a small screen shows the newest event in place of the hints.
pub const EVENT_SHOWN: Duration = Duration::from_secs(5);
/// A countdown this short is drawn four times a second.
const CLOSE: Duration = Duration::from_secs(15);

/// How finely time shows on the screen right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pace {
    /// A countdown is close to its end.
    Quarter,
    /// Ages and countdowns run.
    Second,
    /// Nothing runs but the clock in the header, which shows no seconds then.
    Minute,
}

/// Returns how finely time shows.
#[must_use]
pub fn pace(model: &Model) -> Pace {
    if model.paused.is_some() {
        return Pace::Minute;
    }
    let rows = model.visible().iter();
    let details = model.selected_client().filter(|_| model.details);
    let table = match model.stale_since() {
        None => rows.chain(details).map(|row| row_pace(model, row)).min().unwrap_or(Pace::Minute),
        Some(_) => Pace::Minute,
    };
    table.min(link_pace(model)).min(alert_pace(model)).min(hold_pace(model))
}

fn row_pace(model: &Model, row: &RowView) -> Pace {
    let left = row.deadline.map(|at| at.saturating_duration_since(model.now.mono));
    match (left, row.gone.as_ref()) {
        (Some(left), _) if left < row.timeout / 5 && left < CLOSE => Pace::Quarter,
        (Some(_), _) => Pace::Second,
        (None, Some((at, _))) => age_pace(model, *at),
        (None, None) => row.last_seen.map_or(Pace::Minute, |at| age_pace(model, at)),
    }
}

/// Ages show their seconds for an hour.
fn age_pace(model: &Model, since: Instant) -> Pace {
    let young = model.now.mono.saturating_duration_since(since) < Duration::from_hours(1);
    if young { Pace::Second } else { Pace::Minute }
}

fn link_pace(model: &Model) -> Pace {
    let Some(uplink) = model.uplink() else { return Pace::Minute };
    let timeout = uplink.settings.timeout();
    let left = uplink.last_ping.map(|at| (at + timeout).saturating_duration_since(model.now.mono));
    match &uplink.link {
        Link::Ended(_) => Pace::Minute,
        Link::Online(_) | Link::Late(..) if left.is_some_and(|left| left < timeout / 5 && left < CLOSE) => {
            Pace::Quarter
        }
        _ => Pace::Second,
    }
}

fn alert_pace(model: &Model) -> Pace {
    let newest = model.shown().alerts.newest.first();
    newest.map_or(Pace::Minute, |alert| age_pace(model, alert.since))
}

/// The banner counts down to the moment verdicts are given again.
fn hold_pace(model: &Model) -> Pace {
    let left = model.live.hold.map(|hold| hold.until.saturating_duration_since(model.now.mono));
    match left {
        None => Pace::Minute,
        Some(left) if left < CLOSE => Pace::Quarter,
        Some(_) => Pace::Second,
    }
}

/// Returns when time alone makes the next frame differ from the last one drawn.
#[must_use]
pub fn frame_at(model: &Model) -> Option<Instant> {
    let drawn = model.drawn?;
    let step = match pace(model) {
        Pace::Quarter => Duration::from_millis(250),
        Pace::Second => Duration::from_secs(1),
        Pace::Minute => Duration::from_mins(1),
    };
    // Aligned to the wall clock, so that every age and the header's clock tick in one frame.
    let past = drawn.wall.as_nanos() % step.as_nanos();
    let mut next = drawn.mono + step.saturating_sub(Duration::from_nanos_u128(past));
    if model.paused.is_none() {
        for row in model.visible() {
            let settles = row.changed + PULSE;
            if settles > drawn.mono && row.group.is_none() {
                next = next.min(settles);
            }
        }
    }
    if let Some(until) = model.events.newest.map(|at| at + EVENT_SHOWN).filter(|at| *at > drawn.mono)
        && model.plan().events.height == 0
    {
        next = next.min(until);
    }
    Some(next)
}

/// Returns when something must be done though nothing may change on the screen.
#[must_use]
pub fn timer_at(model: &Model) -> Option<Instant> {
    let change = &model.change;
    [
        model.flash.as_ref().map(|flash| flash.until),
        settings::due(model),
        change.sent.map(|(_, at)| at + ANSWER_WITHIN),
        model.table.moved.map(|at| at + HOLD).filter(|at| *at > model.now.mono),
        model.saving.map(|at| at + SNAPSHOT_WITHIN),
        model.stopping.map(|at| at + STOP_GRACE),
    ]
    .into_iter()
    .flatten()
    .min()
}

/// Returns when the loop must look at the model again.
#[must_use]
pub fn next(model: &Model) -> Option<Instant> {
    [frame_at(model), timer_at(model)].into_iter().flatten().min()
}
