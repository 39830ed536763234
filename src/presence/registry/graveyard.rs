//! Departed rows in the order they went, so that the oldest can be forgotten first.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::presence::row::RowKey;

/// How many departed rows are kept at most, whatever the retention.
pub const GONE_ROWS_MAX: usize = 10_000;

/// A queue of departures. An entry whose row has come back is stale and skipped.
#[derive(Debug, Default)]
pub(super) struct Graveyard {
    departures: VecDeque<(Instant, RowKey)>,
}

impl Graveyard {
    pub(super) fn push(&mut self, now: Instant, row: RowKey) {
        self.departures.push_back((now, row));
    }

    /// Removes and returns the next row to forget, if its time has come or there are too many.
    ///
    /// `gone_since` says since when a row is gone, and `None` when it is back or was dismissed.
    pub(super) fn pop_due(
        &mut self,
        now: Instant,
        retention: Duration,
        gone_rows: usize,
        gone_since: impl Fn(RowKey) -> Option<Instant>,
    ) -> Option<RowKey> {
        loop {
            let &(at, row) = self.departures.front()?;
            let stale = gone_since(row) != Some(at);
            let due = gone_rows > GONE_ROWS_MAX || now.saturating_duration_since(at) >= retention;
            if !stale && !due {
                return None;
            }
            self.departures.pop_front();
            if !stale {
                return Some(row);
            }
        }
    }

    /// Returns when the oldest entry will be due.
    pub(super) fn next_due(&self, retention: Duration) -> Option<Instant> {
        self.departures.front().and_then(|(at, _)| at.checked_add(retention))
    }
}
