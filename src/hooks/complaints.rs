//! The same trouble over and over, said now and then.

use std::time::{Duration, Instant};

/// What goes wrong with one hook.
#[derive(Debug)]
pub(super) struct Complaints {
    about: String,
    apart: Duration,
    said: Option<Instant>,
    unsaid: u64,
}

impl Complaints {
    /// Starts a list of what goes wrong with `about`, said at most once in `apart`.
    pub(super) fn new(about: String, apart: Duration) -> Self {
        Self { about, apart, said: None, unsaid: 0 }
    }

    /// Notes a failure; returns what is to be said of it, unless something was said a moment ago.
    pub(super) fn about(&mut self, now: Instant, words: &str) -> Option<String> {
        if self.said.is_some_and(|at| now.saturating_duration_since(at) < self.apart) {
            self.unsaid += 1;
            tracing::debug!(hook = ?self.about, failed = ?words);
            return None;
        }
        self.said = Some(now);
        let more = match std::mem::take(&mut self.unsaid) {
            0 => String::new(),
            unsaid => format!(" ({unsaid} more failed before)"),
        };
        Some(format!("{}: {words}{more}", self.about))
    }
}
