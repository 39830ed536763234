//! Changing the settings while clients are live, so that it hurts nobody.
//!
//! A longer timeout holds for everybody at once. A shorter one holds for a
//! client from the ping in which it says that it follows the new revision; one
//! that has not said so yet, or cannot, is judged by the longer of what it was
//! told and what is in force. So no healthy client is ever too slow for a rule
//! it has not heard of.

use std::time::{Duration, Instant};

use super::{Live, Registry};
use crate::presence::event::{EventKind, Origin};
use crate::presence::row::ConnNo;
use crate::presence::settings::{Revision, Settings};
use crate::presence::view::Rollout;

/// After so many of its old intervals without a word about the new ones, a client is lagging.
const LAGGING_INTERVALS: u32 = 2;

/// Why a client does not go by the settings in force.
#[derive(Debug, Clone, Copy)]
pub(super) enum Behind {
    /// It was told, and has not said that it does.
    Told {
        /// When.
        at: Instant,
        /// The interval it kept until then.
        interval: Duration,
    },
    /// It cannot be told, and keeps what it registered under until its own rhythm fits.
    Pinned {
        /// When the settings in force came.
        at: Instant,
    },
}

/// How many of those who are here can follow, have not yet, and cannot.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    v1: usize,
    told: usize,
    pinned: usize,
}

impl Tally {
    pub(super) fn add(&mut self, live: &Live) {
        self.v1 += usize::from(live.is_v1);
        self.told += usize::from(live.is_told());
        self.pinned += usize::from(live.is_pinned());
    }

    pub(super) fn remove(&mut self, live: &Live) {
        self.v1 -= usize::from(live.is_v1);
        self.told -= usize::from(live.is_told());
        self.pinned -= usize::from(live.is_pinned());
    }
}

impl Live {
    /// Returns the silence after which it is shown as late; eviction knows only the plain deadline.
    ///
    /// A client with a rhythm of its own, slower than agreed, is late when it
    /// is late by that: four times its usual deviation above its usual gap (as
    /// TCP waits for an answer, RFC 6298). Never later than half the timeout,
    /// and never earlier than 1.5 intervals.
    pub(super) fn late_after(&self) -> Duration {
        let plain = self.terms.late_after();
        let own = self.pulse.gap().map_or(plain, |(mean, spread)| mean + spread * 4);
        own.min(self.terms.timeout() / 2).max(plain)
    }

    /// Puts new settings to a client that may be able to follow them.
    fn retune(&mut self, now: Instant, new: Settings, pin: bool) {
        let interval = self.terms.interval();
        let kept = self.terms.longer(new);
        let behind = match self.is_v1 {
            true => Behind::Told { at: now, interval },
            false if pin && kept != new => Behind::Pinned { at: now },
            false => return self.move_to(now, new),
        };
        (self.terms, self.behind) = (kept, Some(Box::new(behind)));
    }

    /// Judges by other settings than before, of which the client was not told.
    ///
    /// What it was silent before they came does not count against it, but a
    /// shorter timeout gives nobody more time than the longer one would have.
    fn move_to(&mut self, came: Instant, new: Settings) {
        let spare = self.terms.timeout().saturating_sub(new.timeout());
        self.not_before = came.min(self.heard() + spare).max(self.not_before);
        (self.terms, self.behind) = (new, None);
    }

    /// Tells whether it was told of the settings in force and has not said that it follows them.
    fn is_told(&self) -> bool {
        matches!(self.behind.as_deref(), Some(Behind::Told { .. }))
    }

    /// Tells whether it keeps what it registered under, for as long as its rhythm does not fit anything else.
    pub(super) fn is_pinned(&self) -> bool {
        matches!(self.behind.as_deref(), Some(Behind::Pinned { .. }))
    }

    /// Lets a pinned client go by the settings in force, if its own rhythm fits them twice over.
    pub(super) fn unpin(&mut self, settings: Settings) {
        if let Some(&Behind::Pinned { at }) = self.behind.as_deref()
            && self.pulse.longest_gap().is_some_and(|gap| gap * 2 <= settings.timeout())
        {
            self.move_to(at, settings);
        }
    }
}

impl Registry {
    /// Puts new settings in force, or longer ones if the fleet is too large for them; returns their
    /// revision, or the old one if nothing changes.
    pub fn set_settings(&mut self, now: Instant, asked: Settings, origin: Origin) -> Revision {
        if asked == self.asked {
            return self.rev;
        }
        self.asked = asked;
        self.put_in_force(now, self.bearable(asked), origin)
    }

    /// Makes `new` the settings everybody is told of, and judged by as soon as that is safe.
    pub(super) fn put_in_force(&mut self, now: Instant, new: Settings, origin: Origin) -> Revision {
        let old = self.settings;
        self.settings = new;
        self.calm = None;
        self.rev = self.rev.next();
        for live in self.live.values_mut() {
            live.retune(now, new, self.limits.pin_legacy);
        }
        self.agenda.set_all(&mut self.live, now);
        self.tally = self.live.values().fold(Tally::default(), |mut tally, live| {
            tally.add(live);
            tally
        });
        self.emit(now, None, EventKind::Settings { rev: self.rev, old, new, origin });
        self.rev
    }

    /// Notes that a client said which revision it follows; from here on it is judged by that.
    pub fn followed(&mut self, now: Instant, conn: ConnNo) {
        let Some(live) = self.live.get_mut(&conn) else { return };
        if live.pulse.revision() == self.rev {
            self.tally.remove(live);
            (live.terms, live.behind) = (self.settings, None);
            self.calm = None;
            self.tally.add(live);
            self.look_again(now, conn);
        }
    }

    /// Returns how far the settings in force have come.
    #[must_use]
    pub fn rollout(&self, now: Instant) -> Rollout {
        let Tally { v1, told, pinned } = self.tally;
        let lags = |live: &Live| match live.behind.as_deref() {
            Some(&Behind::Told { at, interval }) => {
                now.saturating_duration_since(at) > interval * LAGGING_INTERVALS
            }
            _ => false,
        };
        // A view asks ten times a second, and mostly everybody has followed.
        let lagging = if told > 0 { self.live.values().filter(|live| lags(live)).count() } else { 0 };
        Rollout { applied: v1 - told, of: v1, lagging, pinned }
    }
}
