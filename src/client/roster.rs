//! Revisions of the roster: which page or batch may be believed now.

use std::time::{Duration, Instant};

use super::peers::LIVE_MAX;
use crate::protocol::entry::{Entry, Parted};
use crate::protocol::message::ClientList;

/// How many batches are kept while pages are still coming.
const LATER_MAX: usize = 1_024;
/// How long the answer to a `sync` may take before it is asked for again.
const SYNC_PATIENCE: Duration = Duration::from_secs(5);

/// A batch of roster changes.
#[derive(Debug, Clone, PartialEq)]
pub enum Batch {
    /// These came or changed.
    Joined {
        /// The roster's revision after it.
        rev: u64,
        /// Who.
        clients: Vec<Entry>,
    },
    /// These went.
    Left {
        /// The roster's revision after it.
        rev: u64,
        /// Who, and why.
        clients: Vec<Parted>,
    },
}

impl Batch {
    fn rev(&self) -> u64 {
        match self {
            Self::Joined { rev, .. } | Self::Left { rev, .. } => *rev,
        }
    }
}

/// Puts pages together and keeps batches in order.
///
/// Pages come one by one and changes may come between them, so these wait: a
/// later page may still list somebody who has gone meanwhile.
#[derive(Debug, Clone, Default)]
pub struct Paging {
    /// The revision everything up to here is known of.
    rev: Option<u64>,
    /// Set while more pages are to come: the list's revision and what it has so far.
    pages: Option<(Option<u64>, Vec<Entry>)>,
    later: Vec<Batch>,
    asked: Option<(u64, Instant)>,
}

impl Paging {
    /// Takes a page; returns the whole list with its last one, and the batches that came meanwhile.
    pub fn page(&mut self, list: ClientList) -> Option<(Vec<Entry>, Vec<Batch>)> {
        let first = list.page.unwrap_or(0) == 0;
        let (rev, mut entries) = match self.pages.take() {
            Some(pages) if !first => pages,
            // A page from the middle of a list whose start was never seen.
            None if !first => return None,
            _ => (list.rev, Vec::new()),
        };
        entries.extend(list.clients);
        entries.truncate(LIVE_MAX);
        if list.more == Some(true) {
            self.pages = Some((rev, entries));
            return None;
        }
        self.rev = rev;
        self.asked = None;
        Some((entries, std::mem::take(&mut self.later)))
    }

    /// Takes a batch; returns it when its turn has come.
    ///
    /// # Errors
    /// The revision to `sync` from, when a batch before this one was missed.
    pub fn batch(&mut self, batch: Batch, now: Instant) -> Result<Option<Batch>, u64> {
        if self.pages.is_some() {
            if self.later.len() < LATER_MAX {
                self.later.push(batch); // One that is dropped here shows as a gap below.
            }
            return Ok(None);
        }
        // Without a list there is nothing to change yet.
        let Some(rev) = self.rev else { return Ok(None) };
        if batch.rev() <= rev {
            return Ok(None);
        }
        if batch.rev() == rev.saturating_add(1) {
            self.rev = Some(batch.rev());
            return Ok(Some(batch));
        }
        match self.asked {
            Some((from, at)) if from == rev && now.saturating_duration_since(at) < SYNC_PATIENCE => Ok(None),
            _ => {
                self.asked = Some((rev, now));
                Err(rev)
            }
        }
    }
}
