//! Which rows changed, for whoever keeps an index of them.

use std::collections::VecDeque;

use crate::presence::row::RowKey;

/// So many changes are kept whatever the number of rows.
const KEPT_MIN: usize = 4_096;

/// The rows that changed lately, in order; keeps nothing until somebody wants to know.
#[derive(Debug, Default)]
pub(super) struct Changes {
    watched: bool,
    /// How many changes there were before the first that is kept.
    forgotten: u64,
    log: VecDeque<RowKey>,
}

impl Changes {
    /// Keeps changes from now on.
    pub(super) fn watch(&mut self) {
        self.watched = true;
    }

    /// Notes that a row came, went or looks different, in a fleet of so many `rows`.
    ///
    /// More changes than rows are not worth keeping: looking at every row is as cheap.
    pub(super) fn note(&mut self, row: RowKey, rows: usize) {
        if !self.watched || self.log.back() == Some(&row) {
            return;
        }
        while self.log.len() >= rows.max(KEPT_MIN) {
            self.log.pop_front();
            self.forgotten += 1;
        }
        self.log.push_back(row);
    }

    /// Returns how many changes there have been; `None` while nobody wants to know.
    pub(super) fn version(&self) -> Option<u64> {
        self.watched.then_some(self.forgotten + self.log.len() as u64)
    }

    /// Returns the rows that changed since there were `version` changes, if that is still known.
    pub(super) fn since(&self, version: u64) -> Option<Vec<RowKey>> {
        let skipped = usize::try_from(version.checked_sub(self.forgotten)?).ok()?;
        // The last one may have changed again without another line in the log.
        let from = skipped.saturating_sub(1);
        self.watched.then(|| self.log.iter().skip(from).copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_since_is_known_until_it_was_too_much() {
        let mut changes = Changes::default();
        changes.note(RowKey(1), 0);
        assert_eq!((changes.version(), changes.since(0)), (None, None), "nobody wanted to know");
        changes.watch();
        changes.note(RowKey(2), 0);
        let before = changes.version().unwrap();
        changes.note(RowKey(2), 0);
        changes.note(RowKey(3), 0);
        assert_eq!(changes.since(before).unwrap(), [RowKey(2), RowKey(3)], "a second change counts");
        for row in 0..KEPT_MIN as u64 * 2 {
            changes.note(RowKey(row), 0);
        }
        assert_eq!(changes.since(before), None);
        assert!(changes.log.len() <= KEPT_MIN);
    }
}
