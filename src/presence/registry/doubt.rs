//! What is done about a silence before it is called a death: ask once more, and look at ourselves first.
//!
//! A client that can be asked is asked shortly before its deadline. And when
//! most of a fleet falls silent together, the likeliest cause is here: a
//! cable, a switch, a route. Then nobody is convicted until everybody has had
//! one more interval.

use std::time::{Duration, Instant};

use super::fleet::walk;
use super::{Live, Registry};
use crate::presence::event::EventKind;
use crate::presence::row::ConnNo;
use crate::presence::settings::Settings;
use crate::presence::span::brief;
use crate::presence::trust::Hold;

/// Fewer silent clients than this are never called a mass.
const MASS_MIN: usize = 5;
/// How long before its deadline a client is asked once more, at least; else an eighth of its timeout.
const PROBE_AHEAD: Duration = Duration::from_secs(2);

/// How often a hold is looked at: who was heard again meanwhile tells nobody, and everybody must be asked.
pub(super) const HOLD_REVIEW: Duration = Duration::from_millis(250);

/// What was done about one silence of a client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doubt {
    /// When it was last heard: a later sign of life ends the silence, and this with it.
    since: Instant,
    /// It was asked to speak.
    probed: bool,
    /// It was not judged, because something it said had not been read.
    spared: bool,
    /// Its deadline was moved to here.
    reprieve: Option<Instant>,
}

/// Returns the silence after which a client is asked; `None` if that would be no earlier than the timeout.
///
/// Never within the interval: a client that keeps its word is not asked.
pub(super) fn probe_after(terms: Settings) -> Option<Duration> {
    let ahead = PROBE_AHEAD.max(terms.timeout() / 8);
    let after = terms.timeout().saturating_sub(ahead).max(terms.interval() * 11 / 10);
    (after < terms.timeout()).then_some(after)
}

impl Live {
    /// Returns what was done about the present silence.
    fn doubt(&self) -> Option<Doubt> {
        self.doubt.as_deref().copied().filter(|doubt| doubt.since == self.pulse.last_seen())
    }

    /// Returns what was done about the present silence, to note more of it.
    fn doubt_mut(&mut self) -> &mut Doubt {
        let fresh = Doubt { since: self.pulse.last_seen(), probed: false, spared: false, reprieve: None };
        let doubt = self.doubt.get_or_insert_with(|| Box::new(fresh));
        if doubt.since != fresh.since {
            **doubt = fresh;
        }
        doubt
    }

    /// Returns until when it has time to be heard, should verdicts have been held back for it.
    pub(super) fn reprieve(&self) -> Option<Instant> {
        self.doubt().and_then(|doubt| doubt.reprieve)
    }

    /// Gives it more time, should it have been given any: a pause of our own is not its silence.
    pub(super) fn prolong(&mut self, pause: Duration) {
        if let Some(doubt) = &mut self.doubt {
            doubt.reprieve = doubt.reprieve.map(|until| until + pause);
        }
    }

    /// Returns when it is to be asked; `None` if it was, or cannot be.
    pub(super) fn probe_at(&self) -> Option<Instant> {
        let asked = self.doubt().is_some_and(|doubt| doubt.probed);
        let after = probe_after(self.terms).filter(|_| self.is_v1 && !asked)?;
        self.heard().checked_add(after)
    }

    /// Notes that it is being asked.
    pub(super) fn probed(&mut self) {
        self.doubt_mut().probed = true;
    }

    /// Notes that it is not judged yet; returns whether that is news.
    pub(super) fn spared(&mut self) -> bool {
        !std::mem::replace(&mut self.doubt_mut().spared, true)
    }

    /// Returns after which instant a beat is missing, unless it is heard before; `None` once time was granted for that.
    fn silent_after(&self) -> Option<Instant> {
        let at = self.heard() + self.terms.interval();
        self.reprieve().is_none().then_some(at)
    }
}

/// What a look at all silences has shown: until when there cannot be a mass of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calm {
    until: Instant,
    /// Of so many.
    of: usize,
}

impl Calm {
    /// Judges by when each of a fleet will be silent, unless it is heard before; newcomers not before `newcomers`.
    ///
    /// While no more than two fifths are silent, and no more than a fifth is gone, those are no more than half.
    fn of(mut silent_after: Vec<Instant>, live: usize, newcomers: Instant) -> Self {
        let place = live * 2 / 5;
        let known = (place < silent_after.len()).then(|| *silent_after.select_nth_unstable(place).1);
        Self { until: known.map_or(newcomers, |until| until.min(newcomers)), of: live }
    }

    /// Tells whether it still holds with so many here.
    fn holds(self, now: Instant, live: usize) -> bool {
        now <= self.until && live * 5 >= self.of * 4
    }
}

impl Registry {
    /// Gives more time to those whose verdict is due, if most of the fleet is silent; returns whom to ask.
    pub(super) fn hold_back(&mut self, now: Instant, due: &[ConnNo]) -> Vec<ConnNo> {
        let is_held = self.hold.is_some_and(|hold| now < hold.until);
        let suspects = if is_held { self.unheld(due) } else { self.mass(now) };
        let (mut until, mut probes) = (now, Vec::new());
        for conn in &suspects {
            let Some(live) = self.live.get_mut(conn) else { continue };
            let reprieve = live.deadline().max(now + live.terms.interval());
            until = until.max(reprieve);
            let doubt = live.doubt_mut();
            (doubt.reprieve, doubt.probed) = (Some(reprieve), true);
            probes.extend(live.is_v1.then_some(conn));
        }
        if !is_held && !suspects.is_empty() {
            self.hold = Some(Hold { clients: suspects.len(), of: self.live.len(), until });
            self.record.holds += 1;
            let words = format!(
                "{} of {} clients fell silent together: suspect this host's own network; nobody is convicted for another {}",
                suspects.len(),
                self.live.len(),
                brief(until.saturating_duration_since(now))
            );
            self.emit(now, None, EventKind::Trouble(words));
        }
        probes
    }

    /// Returns everybody who is silent, if that is more than half of the fleet.
    ///
    /// Silent is who has missed a beat, and not only who is about to expire:
    /// when a network fails, the deadlines of a fleet lie a whole interval
    /// apart, and the first to expire must not be convicted for the others.
    ///
    /// Not everybody is looked at for every verdict: how long all have been silent tells how soon there can be
    /// a mass at all.
    fn mass(&mut self, now: Instant) -> Vec<ConnNo> {
        if self.calm.is_some_and(|calm| calm.holds(now, self.live.len())) {
            return Vec::new();
        }
        let (mut silent, mut silent_after) = (Vec::new(), Vec::with_capacity(self.live.len()));
        walk(&self.live, |conn, live| {
            if let Some(at) = live.silent_after() {
                silent_after.push(at);
                silent.extend((now > at).then_some(conn));
            }
        });
        if silent.len() >= MASS_MIN && silent.len() * 2 > self.live.len() {
            return silent;
        }
        self.calm = Some(Calm::of(silent_after, self.live.len(), now + self.settings.interval()));
        Vec::new()
    }

    /// Returns those of `due` that have not been given time yet.
    fn unheld(&self, due: &[ConnNo]) -> Vec<ConnNo> {
        let unheld = |conn: &&ConnNo| self.live.get(conn).is_some_and(|live| live.reprieve().is_none());
        due.iter().filter(unheld).copied().collect()
    }

    /// Counts who is still silent of those that were given time; ends the hold when nobody is.
    pub(super) fn review_hold(&mut self, now: Instant) {
        let Some(hold) = self.hold else { return };
        if self.review_at.is_some_and(|at| now < at.min(hold.until)) {
            return;
        }
        self.review_at = Some(now + HOLD_REVIEW);
        let mut clients = 0;
        walk(&self.live, |_, live| clients += usize::from(live.reprieve().is_some()));
        if clients > 0 {
            self.hold = Some(Hold { clients, of: self.live.len(), ..hold });
            return;
        }
        (self.hold, self.review_at) = (None, None);
        let words = if now < hold.until {
            "everybody who had fallen silent was heard again or is accounted for: verdicts are given as usual"
        } else {
            "the time granted to the silent is over: verdicts are given as usual"
        };
        self.emit(now, None, EventKind::Notice(words.to_owned()));
    }
}
