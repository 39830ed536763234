//! What is done about a silence before it is called a death: ask once more, and look at ourselves first.
//!
//! A client that can be asked is asked shortly before its deadline. And when
//! most of a fleet falls silent together, the likeliest cause is here: a
//! cable, a switch, a route. Then nobody is convicted until everybody has had
//! one more interval.

use std::time::{Duration, Instant};

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

    /// Tells whether a beat it should have sent is missing, and no time was granted for that yet.
    fn is_silent(&self, now: Instant) -> bool {
        let silent = now.saturating_duration_since(self.heard());
        silent > self.terms.interval() && self.reprieve().is_none()
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
    fn mass(&self, now: Instant) -> Vec<ConnNo> {
        let silent = self.live.iter().filter(|(_, live)| live.is_silent(now));
        let silent: Vec<ConnNo> = silent.map(|(&conn, _)| conn).collect();
        let is_mass = silent.len() >= MASS_MIN && silent.len() * 2 > self.live.len();
        if is_mass { silent } else { Vec::new() }
    }

    /// Returns those of `due` that have not been given time yet.
    fn unheld(&self, due: &[ConnNo]) -> Vec<ConnNo> {
        let unheld = |conn: &&ConnNo| self.live.get(conn).is_some_and(|live| live.reprieve().is_none());
        due.iter().filter(unheld).copied().collect()
    }

    /// Counts who is still silent of those that were given time; ends the hold when nobody is.
    pub(super) fn review_hold(&mut self, now: Instant) {
        let Some(hold) = self.hold else { return };
        let clients = self.live.values().filter(|live| live.reprieve().is_some()).count();
        if clients > 0 {
            self.hold = Some(Hold { clients, of: self.live.len(), ..hold });
            return;
        }
        self.hold = None;
        let words = if now < hold.until {
            "everybody who had fallen silent was heard again or is accounted for: verdicts are given as usual"
        } else {
            "the time granted to the silent is over: verdicts are given as usual"
        };
        self.emit(now, None, EventKind::Notice(words.to_owned()));
    }
}
