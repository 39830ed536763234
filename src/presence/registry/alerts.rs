//! Failures that wait for an operator, and the moment when many are one.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::presence::row::RowKey;
use crate::presence::view::MassTimeout;

/// How many alerts a screen is shown by name.
const NEWEST_MAX: usize = 8;
/// Fewer failures than this are never called a mass.
const MASS_CLIENTS_MIN: usize = 3;
/// The share of the fleet that makes a mass, in percent.
const MASS_PERCENT: usize = 20;
/// How many recent failures are remembered to see a mass.
const RECENT_MAX: usize = 10_000;

/// Unacknowledged failures, by the order they happened.
#[derive(Debug, Default)]
pub(super) struct AlertBook {
    raised: u64,
    by_order: BTreeMap<u64, RowKey>,
    recent: VecDeque<Instant>,
}

impl AlertBook {
    /// Notes a failure; returns the number to clear it by.
    pub(super) fn raise(&mut self, now: Instant, row: RowKey) -> u64 {
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.raise_known(row)
    }

    /// Notes a failure whose cause is known, so that many of them are no riddle.
    pub(super) fn raise_known(&mut self, row: RowKey) -> u64 {
        self.raised += 1;
        self.by_order.insert(self.raised, row);
        self.raised
    }

    pub(super) fn clear(&mut self, number: u64) {
        self.by_order.remove(&number);
        if self.by_order.is_empty() {
            self.recent.clear();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_order.len()
    }

    /// Returns all of them.
    pub(super) fn all(&self) -> impl Iterator<Item = RowKey> + '_ {
        self.by_order.values().copied()
    }

    /// Returns the newest few, newest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = RowKey> + '_ {
        self.by_order.values().rev().take(NEWEST_MAX).copied()
    }

    /// Tells whether so many of a fleet with `live` clients left failed within one `span` that one cause is likely.
    pub(super) fn mass(&self, span: Duration, live: usize) -> Option<MassTimeout> {
        let &last = self.recent.back()?;
        let first_inside = self.recent.partition_point(|&at| last.saturating_duration_since(at) > span);
        let clients = (self.recent.len() - first_inside).min(self.by_order.len());
        let of = live + clients;
        let first = *self.recent.get(first_inside)?;
        (clients >= MASS_CLIENTS_MIN.max(of * MASS_PERCENT / 100)).then(|| MassTimeout {
            clients,
            of,
            within: last.saturating_duration_since(first),
        })
    }
}
