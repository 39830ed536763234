//! How far the verdicts can be trusted: what is held back, what a change would do, and our own mistakes.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::settings::Settings;
use super::span::brief;

/// How many names an [`Outlook`] lists.
pub const NAMED_MAX: usize = 5;

/// Many clients fell silent together: nobody is convicted for a while, because the cause is probably here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// How many are silent.
    pub clients: usize,
    /// Of how many that are here.
    pub of: usize,
    /// Until when they have time to be heard.
    pub until: Instant,
}

/// What other settings would do to those who are here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// The settings that were asked about.
    pub settings: Settings,
    /// How many clients would be at risk: their own rhythm does not fit the new timeout, and nothing protects them.
    pub at_risk: usize,
    /// The names of the first [`NAMED_MAX`] of those.
    pub names: Vec<Arc<str>>,
    /// How many clients cannot follow, and would keep their old timeout until their rhythm fits.
    pub pinned: usize,
}

/// What this server knows of its own mistakes since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrackRecord {
    /// Clients that were timed out.
    pub verdicts: u64,
    /// How late 99 of 100 of those verdicts were at most.
    pub lateness_p99: Duration,
    /// How late the latest was.
    pub lateness_max: Duration,
    /// Timed-out clients that were back soon with the same generation: they had been alive all the time.
    pub false_timeouts: u64,
    /// How long this process could not look, all in all.
    pub paused: Duration,
    /// How many verdicts waited because something had arrived that was not read yet.
    pub spared: u64,
    /// How often a verdict was held back because too many fell silent at once.
    pub holds: u64,
}

/// Says it in one line, e.g. `12 timed out, 99 % of those at most 3ms late, the latest 14ms, 1 of them falsely`.
impl fmt::Display for TrackRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} timed out", self.verdicts)?;
        if self.verdicts > 0 {
            let (p99, max) = (brief(self.lateness_p99), brief(self.lateness_max));
            write!(f, ", 99 % of those at most {p99} late, the latest {max}")?;
        }
        if self.false_timeouts > 0 {
            write!(f, ", {} of them falsely", self.false_timeouts)?;
        }
        if self.spared > 0 {
            write!(f, ", {} spared because their words were not read yet", self.spared)?;
        }
        if self.holds > 0 {
            write!(f, ", verdicts held back {} times", self.holds)?;
        }
        if self.paused >= Duration::from_secs(1) {
            write!(f, ", paused for {} ourselves", brief(self.paused))?;
        }
        Ok(())
    }
}
