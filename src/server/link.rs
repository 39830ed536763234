//! The hub's end of a session: what is to be sent, and the word to stop.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::socket::Eye;
use crate::presence::{Departure, Reason};

/// How many bytes may wait for a client that does not read.
pub const QUEUE_BYTES_MAX: usize = 256 * 1024;

/// What the hub hands to one session. Nothing is allocated while nothing waits.
///
/// The lock is held for a few instructions, never across an await, and never
/// by two sessions: a client that does not read costs nobody else a moment.
#[derive(Debug, Default)]
pub(crate) struct Link {
    state: Mutex<State>,
    more: Notify,
    kicked: Notify,
    eye: Eye,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Bytes>,
    queued_bytes: usize,
    /// The newest whole list. It takes the place of an older one that was not sent yet, and its bytes are
    /// shared by everybody who gets it, so it does not count against the queue.
    list: Option<Bytes>,
    /// More pages of a roster follow as soon as the queue is empty.
    wants_page: bool,
    verdict: Option<Departure>,
}

/// What a session should do next with its sending side.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Send this.
    Line(Bytes),
    /// Ask the hub for the next page.
    WantsPage,
    /// Nothing.
    Nothing,
}

impl Link {
    pub(crate) fn new(eye: Eye) -> Self {
        Self { eye, ..Self::default() }
    }

    /// Tells whether something has arrived that the session has not read yet.
    pub(crate) fn sees_unread(&self) -> bool {
        self.eye.sees_unread()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a line; a queue that overflows ends the session with the reason `slow`.
    pub(crate) fn push(&self, line: Bytes) {
        let mut state = self.state();
        if state.verdict.is_some() {
            return;
        }
        if state.queued_bytes + line.len() > QUEUE_BYTES_MAX {
            drop(state);
            let waiting = QUEUE_BYTES_MAX / 1024;
            return self.kick(Departure::new(Reason::Slow, format!("{waiting} KiB wait unread")));
        }
        state.queued_bytes += line.len();
        state.queue.push_back(line);
        drop(state);
        self.more.notify_one();
    }

    /// Queues one page of a roster; `more` makes the session ask for the next when this one is gone.
    pub(crate) fn push_page(&self, page: Bytes, more: bool) {
        self.state().wants_page = more;
        self.push(page);
    }

    /// Puts the newest whole list in place of one that still waits.
    pub(crate) fn set_list(&self, list: Bytes) {
        self.state().list = Some(list);
        self.more.notify_one();
    }

    /// Ends the session for this reason; the first reason stands.
    pub(crate) fn kick(&self, departure: Departure) {
        self.state().verdict.get_or_insert(departure);
        self.kicked.notify_one();
    }

    /// Waits until the hub wants the session to end, and returns why.
    pub(crate) async fn kicked(&self) -> Departure {
        loop {
            if let Some(departure) = self.state().verdict.clone() {
                return departure;
            }
            self.kicked.notified().await;
        }
    }

    /// Waits until there is something to send.
    pub(crate) async fn more(&self) {
        self.more.notified().await;
    }

    /// Takes what is to be sent next.
    pub(crate) fn take(&self) -> Outgoing {
        let mut state = self.state();
        if let Some(line) = state.queue.pop_front() {
            state.queued_bytes -= line.len();
            if state.queue.is_empty() {
                state.queue = VecDeque::new();
            }
            return Outgoing::Line(line);
        }
        if let Some(list) = state.list.take() {
            return Outgoing::Line(list);
        }
        if std::mem::take(&mut state.wants_page) { Outgoing::WantsPage } else { Outgoing::Nothing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_overflowing_queue_ends_the_session_as_slow() {
        let link = Link::default();
        let line = Bytes::from(vec![b'x'; QUEUE_BYTES_MAX / 4]);
        for _ in 0..4 {
            link.push(line.clone());
        }
        assert!(link.state().verdict.is_none());
        link.push(line);
        assert_eq!(link.kicked().await.reason, Reason::Slow);
    }

    #[tokio::test]
    async fn the_first_verdict_stands() {
        let link = Link::default();
        link.kick(Reason::Timeout.into());
        link.kick(Reason::Drain.into());
        assert_eq!(link.kicked().await.reason, Reason::Timeout);
    }

    #[test]
    fn a_newer_list_replaces_one_that_waits() {
        let link = Link::default();
        link.set_list(Bytes::from_static(b"old"));
        link.set_list(Bytes::from_static(b"new"));
        assert!(matches!(link.take(), Outgoing::Line(line) if line == "new"));
        assert!(matches!(link.take(), Outgoing::Nothing));
    }

    #[test]
    fn the_next_page_is_asked_for_when_everything_before_it_is_gone() {
        let link = Link::default();
        link.push_page(Bytes::from_static(b"page"), true);
        link.push(Bytes::from_static(b"diff"));
        assert!(matches!(link.take(), Outgoing::Line(_)));
        assert!(matches!(link.take(), Outgoing::Line(_)));
        assert!(matches!(link.take(), Outgoing::WantsPage));
        assert!(matches!(link.take(), Outgoing::Nothing));
    }
}
