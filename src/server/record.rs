//! Writes the server's own record into the story it tells, when there is something new to say.

use std::time::{Duration, Instant};

use crate::presence::EventKind;
use crate::presence::trust::TrackRecord;

/// How often the record is said at most.
const PERIOD: Duration = Duration::from_mins(10);

/// Knows what was last said of the record.
#[derive(Debug)]
pub(super) struct RecordBook {
    said: TrackRecord,
    at: Instant,
}

impl RecordBook {
    pub(super) fn new(now: Instant) -> Self {
        Self { said: TrackRecord::default(), at: now }
    }

    /// Returns what is to be said, if it is time and there is news.
    pub(super) fn turn(&mut self, now: Instant, record: impl FnOnce() -> TrackRecord) -> Option<EventKind> {
        if now.saturating_duration_since(self.at) < PERIOD {
            return None;
        }
        self.at = now;
        let record = record();
        let is_news = record != self.said;
        self.said = record;
        is_news.then(|| EventKind::Notice(format!("so far {record}")))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;

    #[test]
    fn the_record_is_said_when_it_has_changed_and_not_too_often() {
        let start = Instant::now();
        let mut book = RecordBook::new(start);
        let one = || TrackRecord { verdicts: 1, ..TrackRecord::default() };
        assert_eq!(book.turn(start + Duration::from_secs(599), one), None);
        let said = book.turn(start + PERIOD, one);
        assert!(matches!(said, Some(EventKind::Notice(words)) if words.starts_with("so far 1 timed out")));
        assert_eq!(book.turn(start + PERIOD * 3, one), None, "nothing new");
    }
}
