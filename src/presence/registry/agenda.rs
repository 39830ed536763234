//! Whom a sweep must look at, and when: nobody has a timer, and nobody is looked at for nothing.
//!
//! A beat only moves what can be decided about a client into the future, and
//! tells nobody. So each connection stands here with a time before which
//! nothing can be decided about it. When that has come the client is looked at,
//! has usually been heard meanwhile, and is given its next one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use super::Live;
use super::lives::Lives;
use crate::presence::row::ConnNo;

/// So many are taken out one by one; more are picked out of all at once.
const FEW: usize = 1_024;

/// Nanoseconds since the first time it was asked or told anything.
type Nanos = u64;

/// Connections by when they must be looked at. An entry that is not what its connection says is stale.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    start: Option<Instant>,
    heap: BinaryHeap<Reverse<(Nanos, ConnNo)>>,
}

impl Agenda {
    /// Counts from the first `now`, than which nothing is earlier.
    fn nanos(&mut self, now: Instant, at: Instant) -> Nanos {
        let start = *self.start.get_or_insert(now);
        u64::try_from(at.saturating_duration_since(start).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Notes when a connection must be looked at, whatever it was before.
    pub(super) fn set(&mut self, now: Instant, conn: ConnNo, live: &mut Live, at: Instant) {
        live.look_at = self.nanos(now, at);
        self.heap.push(Reverse((live.look_at, conn)));
    }

    /// Has everybody looked at by the next sweep.
    pub(super) fn set_all(&mut self, live: &mut Lives, now: Instant) {
        let at = self.nanos(now, now);
        let entry = |(conn, live): (ConnNo, &mut Live)| {
            live.look_at = at;
            Reverse((at, conn))
        };
        self.heap = live.iter_mut().map(entry).collect::<Vec<_>>().into();
    }

    /// Takes out whom to look at, in the order they joined.
    pub(super) fn due(&mut self, now: Instant, live: &Lives) -> Vec<ConnNo> {
        if self.heap.len() > live.len() * 2 + FEW {
            self.heap.retain(|Reverse((at, conn))| live.get(conn).is_some_and(|live| live.look_at == *at));
        }
        let now = self.nanos(now, now);
        let mut due = Vec::new();
        while due.len() < FEW
            && let Some(entry) = self.pop_due(now)
        {
            due.push(entry);
        }
        if due.len() == FEW {
            let all = std::mem::take(&mut self.heap).into_vec();
            let (more, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|entry| entry.0.0 <= now);
            due.extend(more.into_iter().map(|entry| entry.0));
            self.heap = rest.into();
        }
        due.retain(|(at, conn)| live.get(conn).is_some_and(|live| live.look_at == *at));
        let mut conns: Vec<ConnNo> = due.into_iter().map(|(_, conn)| conn).collect();
        conns.sort_unstable();
        conns.dedup();
        conns
    }

    fn pop_due(&mut self, now: Nanos) -> Option<(Nanos, ConnNo)> {
        let due = self.heap.peek().is_some_and(|top| top.0.0 <= now);
        due.then(|| self.heap.pop()).flatten().map(|top| top.0)
    }

    /// Returns when somebody must be looked at.
    pub(super) fn next(&mut self, live: &Lives) -> Option<Instant> {
        while let Some(Reverse((at, conn))) = self.heap.peek() {
            if live.get(conn).is_some_and(|live| live.look_at == *at) {
                return self.start?.checked_add(Duration::from_nanos(*at));
            }
            self.heap.pop();
        }
        None
    }
}
