//! What a simulated client does with its life. Pure: the same seed makes the same story.
//!
//! All times are counted in the interval and the timeout in force, so that a
//! fleet under slower rules lives at a slower pace and yet does the same.

use std::time::Duration;

use fastrand::Rng;

use crate::presence::Settings;

/// Of so many percent of a fleet something may be heard other than steady beats; the rest is always online.
const RESTLESS_PERCENT: usize = 30;
/// In a large fleet it is this many and one in [`RESTLESS_SHARE`]: a screen full of news is no news.
const RESTLESS_BASE: usize = 6;
const RESTLESS_SHARE: usize = 20;

/// One turn of a life: calm for so long, and then something happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Turn {
    /// How long all is well before, in intervals.
    pub(super) calm: f64,
    pub(super) act: Act,
}

/// What may happen; numbers are intervals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Act {
    /// Heartbeats stop for long enough to be late, and go on before it is too late.
    Stumble(f64),
    /// Heartbeats stop for the whole timeout and this much more, on a connection that stays open.
    Freeze(f64),
    /// It is gone without a goodbye, for so long.
    Die(f64),
    /// It says goodbye and is gone for so long.
    Leave(f64),
}

impl Act {
    /// Returns how long it lasts.
    pub(super) fn lasts(self, settings: Settings) -> Duration {
        let interval = settings.interval();
        match self {
            // The last beat may be a whole interval old when the hold begins.
            Self::Stumble(span) => {
                interval.mul_f64(span).min(settings.timeout().saturating_sub(interval).mul_f64(0.95))
            }
            Self::Freeze(more) => settings.timeout() + interval.mul_f64(more),
            Self::Die(span) | Self::Leave(span) => interval.mul_f64(span),
        }
    }
}

/// What a client is prone to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Temper {
    /// To nothing: it beats and beats.
    Steady,
    /// To hang for good, until somebody pulls the plug.
    Freezes,
    /// To be late.
    Stumbles,
    /// To crash.
    Crashes,
    /// To come and go as it likes.
    Wanders,
}

/// The tempers of restless clients, in the order they are given out.
const RESTLESS: [Temper; 4] = [Temper::Freezes, Temper::Stumbles, Temper::Crashes, Temper::Wanders];

/// One client's life, turn by turn and without end; a steady client has no turns.
#[derive(Debug, Clone)]
pub(super) struct Script {
    temper: Temper,
    rng: Rng,
    /// Set for the few who see to it that something happens right after the start.
    opens: bool,
    begun: bool,
}

/// Writes a script for each of `n` clients.
pub(super) fn scripts(n: usize, rng: &mut Rng) -> Vec<Script> {
    let restless = (n * RESTLESS_PERCENT / 100).min(RESTLESS_BASE + n / RESTLESS_SHARE).max(1);
    let mut places: Vec<_> = (0..n).collect();
    rng.shuffle(&mut places);
    let mut scripts = vec![Script::new(Temper::Steady, false, rng); n];
    for (nth, place) in places.into_iter().take(restless).enumerate() {
        let temper = RESTLESS[nth % RESTLESS.len()];
        if let Some(script) = scripts.get_mut(place) {
            *script = Script::new(temper, nth < RESTLESS.len(), rng);
        }
    }
    scripts
}

impl Script {
    fn new(temper: Temper, opens: bool, rng: &mut Rng) -> Self {
        Self { temper, rng: rng.fork(), opens, begun: false }
    }

    /// Returns a number of intervals between the two.
    fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.rng.f64()
    }

    /// Writes what happens soon after the start, for those whose part that is.
    ///
    /// With an interval of 2 s and a timeout of 6 s somebody is late after
    /// 4 s, one has crashed after 6, and one has timed out after 7.
    fn opening(&mut self) -> f64 {
        match self.temper {
            Temper::Freezes => self.between(0.1, 0.2),
            Temper::Stumbles => self.between(0.3, 0.5),
            Temper::Crashes => self.between(2.2, 2.6),
            Temper::Wanders | Temper::Steady => self.between(5.0, 8.0),
        }
    }

    fn act(&mut self) -> Act {
        let chance = self.rng.f64();
        let rarely = self.begun && chance < 0.2;
        match self.temper {
            Temper::Freezes if !rarely => Act::Freeze(self.between(3.0, 12.0)),
            Temper::Crashes if !rarely => Act::Die(self.between(3.0, 12.0)),
            Temper::Wanders if !rarely => Act::Leave(self.between(15.0, 40.0)),
            _ => Act::Stumble(self.between(1.6, 1.9)),
        }
    }
}

impl Iterator for Script {
    type Item = Turn;

    fn next(&mut self) -> Option<Turn> {
        let calm = match self.temper {
            Temper::Steady => return None,
            _ if !self.begun && self.opens => self.opening(),
            Temper::Stumbles => self.between(2.0, 12.0),
            _ => self.between(6.0, 30.0),
        };
        let act = self.act();
        self.begun = true;
        Some(Turn { calm, act })
    }
}

#[cfg(test)]
mod tests;
