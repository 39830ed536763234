//! What could not be written yet, or is written nowhere: the newest changes, within a limit.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::flip::{Change, Flip};
use super::timeline::{Over, Span, Stay};
use crate::presence::{EventKind, Reason};

/// Who is here, and what changed lately.
#[derive(Debug)]
pub(super) struct Ring {
    flips: VecDeque<Flip>,
    /// The beginning of every session that is open, by row: one for each client, so no larger than it must be.
    here: HashMap<u64, Box<Here>>,
    max: usize,
    /// How many changes were given up for want of room.
    pub(super) lost: u64,
}

/// How a session began.
#[derive(Debug)]
struct Here {
    key: Arc<str>,
    label: Arc<str>,
    user: Option<Arc<str>>,
    peer: SocketAddr,
    at_ms: u64,
    away_ms: Option<u64>,
}

impl Here {
    fn of(flip: &Flip, away_ms: Option<u64>) -> Self {
        let Flip { key, label, user, peer, at_ms, .. } = flip.clone();
        Self { key, label, user, peer, at_ms, away_ms }
    }

    fn flip(&self, row: u64) -> Flip {
        let Self { key, label, user, peer, at_ms, away_ms } = self;
        let (key, label, user) = (key.clone(), label.clone(), user.clone());
        let change = Change::Began { away_ms: *away_ms };
        Flip { row, key, label, user, peer: *peer, at_ms: *at_ms, word: word(*away_ms), change }
    }
}

/// Returns the word of the event that began a session.
fn word(away_ms: Option<u64>) -> &'static str {
    match away_ms {
        None => EventKind::Joined.word(),
        Some(ms) => EventKind::Resumed { away: Duration::from_millis(ms) }.word(),
    }
}

impl Ring {
    /// Makes room for `max` changes.
    pub(super) fn new(max: usize) -> Self {
        Self { flips: VecDeque::new(), here: HashMap::new(), max, lost: 0 }
    }

    /// Takes a change in; the oldest one gives way.
    pub(super) fn push(&mut self, flip: Flip) {
        match flip.change {
            Change::Began { away_ms } => {
                self.here.insert(flip.row, Box::new(Here::of(&flip, away_ms)));
            }
            Change::Ended { .. } => {
                self.here.remove(&flip.row);
            }
            Change::Wavered { .. } | Change::Renamed => {}
        }
        if self.flips.len() >= self.max {
            self.flips.pop_front();
            self.lost += 1;
        }
        self.flips.push_back(flip);
    }

    /// Tells whether any session is open.
    pub(super) fn anybody(&self) -> bool {
        !self.here.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.flips.len()
    }

    /// Returns the oldest changes, at most `max`.
    pub(super) fn oldest(&mut self, max: usize) -> &[Flip] {
        let flips = self.flips.make_contiguous();
        flips.get(..max).unwrap_or(flips)
    }

    /// Forgets the oldest `count`: they are written.
    pub(super) fn written(&mut self, count: usize) {
        self.flips.drain(..count.min(self.flips.len()));
    }

    /// Returns the beginning of every open session that no change in here tells of.
    pub(super) fn here(&self) -> Vec<Flip> {
        let told: std::collections::HashSet<u64> =
            self.flips.iter().filter(|flip| began(flip)).map(|flip| flip.row).collect();
        // A session that ended in here was open as well before.
        self.here.iter().filter(|(row, _)| !told.contains(*row)).map(|(&row, here)| here.flip(row)).collect()
    }

    /// Returns the stays of one client, as far as they are known in here.
    pub(super) fn stays(&self, key: &Arc<str>, now_ms: u64) -> Vec<Stay> {
        let here = self.here.values().filter(|here| here.key == *key);
        let here = here.map(|here| Stay { span: Span::new(here.at_ms, now_ms), over: Over::Here });
        let ended = self.flips.iter().filter(|flip| flip.key == *key).filter_map(|flip| {
            let Change::Ended { reason, silent_ms, up_ms, .. } = flip.change else { return None };
            let span = Span::new(flip.began_ms(up_ms), flip.last_ms(reason, silent_ms, up_ms));
            let over = match reason {
                reason if reason.is_failure() => Over::Failed(reason),
                Reason::Drain => Over::Unknown,
                _ => Over::Decided,
            };
            Some(Stay { span, over })
        });
        here.chain(ended).collect()
    }
}

fn began(flip: &Flip) -> bool {
    matches!(flip.change, Change::Began { .. })
}
