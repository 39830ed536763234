//! Values being typed: what they come to, whether they may be, and the way out when they may not.

use std::time::Duration;

use crate::presence::Settings;
use crate::presence::State;
use crate::presence::settings::{INTERVAL_MIN, step_down, step_up};
use crate::presence::span;
use crate::tui::format::running;
use crate::tui::model::{Model, Prompt, Which};

/// What a prompt's values come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is changed.
    Unchanged,
    /// They may be applied; a warning may go with them.
    Fine(Settings, Option<String>),
    /// They may not.
    Refused {
        /// Why.
        reason: String,
        /// The value of the other setting that would make them fit.
        other: Option<Duration>,
    },
}

impl Prompt {
    /// Opens a prompt on one of the two.
    #[must_use]
    pub fn new(which: Which) -> Self {
        Self { which, interval: tui_input::Input::default(), timeout: tui_input::Input::default() }
    }

    /// Returns the input of one setting.
    #[must_use]
    pub fn input(&self, which: Which) -> &tui_input::Input {
        match which {
            Which::Interval => &self.interval,
            Which::Timeout => &self.timeout,
        }
    }

    /// Returns the input under the cursor.
    pub fn active(&mut self) -> &mut tui_input::Input {
        match self.which {
            Which::Interval => &mut self.interval,
            Which::Timeout => &mut self.timeout,
        }
    }

    /// Returns the value of one setting: what is typed, or what was asked for before while nothing is.
    fn value(&self, which: Which, now: Settings) -> Result<Duration, String> {
        let text = self.input(which).value().trim();
        match (text.is_empty(), which) {
            (true, Which::Interval) => Ok(now.interval()),
            (true, Which::Timeout) => Ok(now.timeout()),
            (false, _) => span::parse(text).map_err(|error| format!("{} {text:?} is {error}", which.word())),
        }
    }

    /// Judges what is typed against the settings asked for so far.
    #[must_use]
    pub fn judge(&self, now: Settings) -> Verdict {
        let values = (self.value(Which::Interval, now), self.value(Which::Timeout, now));
        let (interval, timeout) = match values {
            (Ok(interval), Ok(timeout)) => (interval, timeout),
            (Err(reason), _) | (_, Err(reason)) => return Verdict::Refused { reason, other: None },
        };
        match Settings::new(interval, timeout) {
            Ok(settings) if settings == now => Verdict::Unchanged,
            Ok(settings) => Verdict::Fine(settings, warning(settings)),
            Err(error) => {
                let other = other_that_fits(self.which, interval, timeout);
                let reason = match self.which {
                    Which::Interval if timeout <= interval && other.is_some() => {
                        format!(
                            "interval {} must be less than timeout {}",
                            running(interval),
                            running(timeout)
                        )
                    }
                    _ => error.to_string(),
                };
                Verdict::Refused { reason, other }
            }
        }
    }

    /// Steps the value under the cursor.
    pub fn step(&mut self, up: bool, now: Settings) {
        let Ok(value) = self.value(self.which, now) else { return };
        if let Some(next) = if up { step_up(value) } else { step_down(value) } {
            self.put(self.which, next);
        }
    }

    /// Writes a value into one of the inputs.
    pub fn put(&mut self, which: Which, value: Duration) {
        let input = tui_input::Input::new(typed(value));
        match which {
            Which::Interval => self.interval = input,
            Which::Timeout => self.timeout = input,
        }
    }
}

/// Writes a duration so that it reads back as exactly the same.
fn typed(value: Duration) -> String {
    let text = span::brief(value);
    if span::parse(&text) == Ok(value) { text } else { format!("{}", value.as_secs_f64()) }
}

/// Finds a value of the other setting that makes the typed one possible.
fn other_that_fits(typed: Which, interval: Duration, timeout: Duration) -> Option<Duration> {
    let other = match typed {
        Which::Interval => interval.checked_mul(3)?,
        Which::Timeout => step_down(timeout / 2).unwrap_or(INTERVAL_MIN),
    };
    let fits = match typed {
        Which::Interval => Settings::new(interval, other),
        Which::Timeout => Settings::new(other, timeout),
    };
    (timeout <= interval && fits.is_ok()).then_some(other)
}

/// Says what is daring about settings that are allowed.
fn warning(settings: Settings) -> Option<String> {
    if settings.warning().is_some() {
        return settings.warning();
    }
    let (interval, timeout) = (settings.interval(), settings.timeout());
    (timeout < interval * 5 / 2).then(|| {
        let tenths = timeout.as_millis() * 10 / interval.as_millis().max(1);
        format!(
            "{} is only {}.{}x the interval ({}): two lost pings in a row will time a client out",
            running(timeout),
            tenths / 10,
            tenths % 10,
            running(interval)
        )
    })
}

/// Says how many clients are connected.
#[must_use]
pub fn clients(model: &Model) -> String {
    let live = model.live.counts.live();
    if live == 1 { "1 client".to_owned() } else { format!("{live} clients") }
}

/// Says whom new settings would touch at once, as far as the rows here tell, until the server says more.
#[must_use]
pub fn consequences(model: &Model, settings: Settings) -> String {
    let view = &model.live;
    let silent = |row: &&crate::presence::view::RowView| {
        let silence = row.last_seen.map(|seen| model.now.mono.saturating_duration_since(seen));
        row.state == State::Online && silence.is_some_and(|silence| silence > settings.late_after())
    };
    let late = view.rows.iter().filter(silent).count();
    let clients = clients(model);
    match late {
        0 => format!("{clients} connected; none would be late right now"),
        late => format!("{clients} connected; {late} of those listed would be late"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(interval: u64, timeout: u64) -> Settings {
        Settings::new(Duration::from_secs(interval), Duration::from_secs(timeout)).unwrap()
    }

    fn typed_in(which: Which, text: &str) -> Prompt {
        let mut prompt = Prompt::new(which);
        *prompt.active() = tui_input::Input::new(text.to_owned());
        prompt
    }

    #[test]
    fn both_doors_are_guarded_and_the_way_out_is_named() {
        let now = settings(5, 15);
        let Verdict::Refused { reason, other } = typed_in(Which::Interval, "20s").judge(now) else {
            panic!()
        };
        assert_eq!(reason, "interval 20.0s must be less than timeout 15.0s");
        assert_eq!(other, Some(Duration::from_mins(1)));
        let Verdict::Refused { other, .. } = typed_in(Which::Timeout, "4s").judge(now) else { panic!() };
        assert_eq!(other, Some(Duration::from_secs(1)));
    }

    #[test]
    fn two_values_typed_together_are_judged_together() {
        let mut prompt = typed_in(Which::Interval, "20s");
        prompt.put(Which::Timeout, Duration::from_mins(1));
        assert_eq!(prompt.judge(settings(5, 15)), Verdict::Fine(settings(20, 60), None));
    }

    #[test]
    fn what_is_daring_is_allowed_and_said() {
        let Verdict::Fine(_, Some(words)) = typed_in(Which::Timeout, "12s").judge(settings(5, 15)) else {
            panic!()
        };
        assert!(words.starts_with("12.0s is only 2.4x the interval (5.0s)"), "{words}");
    }

    #[test]
    fn nonsense_is_refused_and_nothing_is_unchanged() {
        assert!(matches!(
            typed_in(Which::Timeout, "abc").judge(settings(5, 15)),
            Verdict::Refused { other: None, .. }
        ));
        assert_eq!(Prompt::new(Which::Timeout).judge(settings(5, 15)), Verdict::Unchanged);
    }

    #[test]
    fn every_step_reads_back_as_itself() {
        let now = Settings::default();
        let mut prompt = Prompt::new(Which::Interval);
        for up in [true, false] {
            for _ in 0..30 {
                prompt.step(up, now);
                let text = prompt.interval.value().to_owned();
                assert!(span::parse(&text).is_ok(), "{text}");
            }
        }
        assert_eq!(prompt.value(Which::Interval, now), Ok(INTERVAL_MIN));
    }
}
