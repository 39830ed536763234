//! The hub's end of a session: what is to be sent, and the word to stop.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

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
    eye: Eye,
}

#[derive(Debug, Default)]
struct State {
    /// On the heap while there is any: most clients are never sent anything but answers.
    waiting: Option<Box<Waiting>>,
    verdict: Option<Box<Departure>>,
    /// The session, when it sleeps.
    session: Option<Waker>,
}

/// What waits to be sent.
#[derive(Debug, Default)]
struct Waiting {
    queue: VecDeque<Bytes>,
    queued_bytes: usize,
    /// The newest whole list. It takes the place of an older one that was not sent yet, and its bytes are
    /// shared by everybody who gets it, so it does not count against the queue.
    list: Option<Bytes>,
    /// More pages of a roster follow as soon as the queue is empty.
    wants_page: bool,
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

    /// Queues a line and tells whether it could; a queue that overflows ends the session with the reason `slow`.
    pub(crate) fn push(&self, line: Bytes) -> bool {
        self.add(|waiting| {
            if waiting.queued_bytes + line.len() > QUEUE_BYTES_MAX {
                let kib = QUEUE_BYTES_MAX / 1024;
                return Err(Departure::new(Reason::Slow, format!("{kib} KiB wait unread")));
            }
            waiting.queued_bytes += line.len();
            waiting.queue.push_back(line);
            Ok(())
        })
    }

    /// Queues one page of a roster; `more` makes the session ask for the next when this one is gone.
    pub(crate) fn push_page(&self, page: Bytes, more: bool) {
        self.add(|waiting| {
            waiting.wants_page = more;
            Ok(())
        });
        self.push(page);
    }

    /// Puts the newest whole list in place of one that still waits.
    pub(crate) fn set_list(&self, list: Bytes) {
        self.add(|waiting| {
            waiting.list = Some(list);
            Ok(())
        });
    }

    /// Adds to what waits, wakes the session, and tells whether it fits; a session that is over gets nothing more.
    fn add(&self, add: impl FnOnce(&mut Waiting) -> Result<(), Departure>) -> bool {
        let mut state = self.state();
        if state.verdict.is_some() {
            return false;
        }
        let added = add(state.waiting.get_or_insert_default());
        let fits = added.is_ok();
        if let Err(departure) = added {
            state.verdict = Some(Box::new(departure));
        }
        let session = state.session.take();
        drop(state);
        wake(session);
        fits
    }

    /// Ends the session for this reason; the first reason stands.
    pub(crate) fn kick(&self, departure: Departure) {
        let mut state = self.state();
        state.verdict.get_or_insert_with(|| Box::new(departure));
        let session = state.session.take();
        drop(state);
        wake(session);
    }

    /// Returns why the hub wants the session to end, if it does; else wakes the task when that, or what is
    /// to be sent, changes.
    pub(crate) fn poll_verdict(&self, cx: &mut Context<'_>) -> Poll<Departure> {
        let mut state = self.state();
        if let Some(verdict) = state.verdict.as_deref() {
            return Poll::Ready(verdict.clone());
        }
        if !state.session.as_ref().is_some_and(|session| session.will_wake(cx.waker())) {
            state.session = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Takes what is to be sent next.
    pub(crate) fn take(&self) -> Outgoing {
        let mut state = self.state();
        let Some(waiting) = &mut state.waiting else { return Outgoing::Nothing };
        if let Some(line) = waiting.queue.pop_front() {
            waiting.queued_bytes -= line.len();
            return Outgoing::Line(line);
        }
        if let Some(list) = waiting.list.take() {
            return Outgoing::Line(list);
        }
        let wants_page = waiting.wants_page;
        state.waiting = None;
        if wants_page { Outgoing::WantsPage } else { Outgoing::Nothing }
    }
}

fn wake(session: Option<Waker>) {
    if let Some(session) = session {
        session.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn kicked(link: &Link) -> Departure {
        poll_fn(|cx| link.poll_verdict(cx)).await
    }

    #[tokio::test]
    async fn an_overflowing_queue_ends_the_session_as_slow() {
        let link = Link::default();
        let line = Bytes::from(vec![b'x'; QUEUE_BYTES_MAX / 4]);
        for _ in 0..4 {
            link.push(line.clone());
        }
        assert!(link.state().verdict.is_none());
        link.push(line);
        assert_eq!(kicked(&link).await.reason, Reason::Slow);
    }

    #[tokio::test]
    async fn the_first_verdict_stands() {
        let link = Link::default();
        link.kick(Reason::Timeout.into());
        link.kick(Reason::Drain.into());
        assert_eq!(kicked(&link).await.reason, Reason::Timeout);
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

    #[tokio::test]
    async fn a_word_to_stop_wakes_a_session_that_sleeps() {
        let link = std::sync::Arc::new(Link::default());
        let session = tokio::spawn({
            let link = link.clone();
            async move { kicked(&link).await }
        });
        tokio::task::yield_now().await;
        link.push(Bytes::from_static(b"more to send wakes it as well, and it sleeps on"));
        tokio::task::yield_now().await;
        link.kick(Reason::Drain.into());
        assert_eq!(session.await.unwrap().reason, Reason::Drain);
    }
}
