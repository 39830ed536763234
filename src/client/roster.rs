//! Revisions of the roster: which page or batch may be believed now.

use std::time::{Duration, Instant};

use crate::protocol::entry::{Entry, Parted};
use crate::protocol::message::ClientList;

/// How much text is kept of pages and batches before the last page has come; 100,000 peers have about 10 MB.
const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What an entry weighs at least, besides its texts.
const ENTRY_BYTES: usize = 256;
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

    /// Returns about how many bytes it takes.
    fn weight(&self) -> usize {
        ENTRY_BYTES
            + match self {
                Self::Joined { clients, .. } => clients.iter().map(weight).sum::<usize>(),
                Self::Left { clients, .. } => {
                    clients.iter().map(|it| ENTRY_BYTES + it.id.len() + it.reason.len()).sum()
                }
            }
    }
}

/// Returns about how many bytes an entry takes.
fn weight(entry: &Entry) -> usize {
    let texts = [&entry.id, &entry.name, &entry.state, &entry.user, &entry.device];
    let texts: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
    let tags: usize = entry.tags.0.iter().map(|(key, value)| ENTRY_BYTES + key.len() + value.len()).sum();
    ENTRY_BYTES + entry.ip.len() + texts + tags
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
    /// What pages and batches weigh together.
    held_bytes: usize,
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
        if first {
            self.held_bytes = self.later.iter().map(Batch::weight).sum();
        }
        self.held_bytes += list.clients.iter().map(weight).sum::<usize>();
        if self.held_bytes <= HELD_BYTES_MAX {
            entries.extend(list.clients);
        }
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
            self.held_bytes += batch.weight();
            if self.held_bytes <= HELD_BYTES_MAX {
                self.later.push(batch); // One that is dropped here shows as a gap later.
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
