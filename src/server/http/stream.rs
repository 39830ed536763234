//! Events as they happen, for who listens.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::json;
use crate::presence::Event;

/// How many events may wait for a listener before it is cut.
pub(super) const WAITING_MAX: usize = 256;
/// How often something is sent though nothing happens, so that a dead listener is noticed.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// The body of an answer that does not end: server-sent events.
#[derive(Debug)]
pub(super) struct EventStream {
    events: mpsc::Receiver<Arc<Event>>,
    /// Ticks at once for the first time, so that the listener knows it is heard.
    tick: Interval,
    _permit: OwnedSemaphorePermit,
}

impl EventStream {
    pub(super) fn new(events: mpsc::Receiver<Arc<Event>>, permit: OwnedSemaphorePermit) -> Self {
        let mut tick = interval(SIGN_OF_LIFE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Self { events, tick, _permit: permit }
    }
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Poll::Ready(event) = self.events.poll_recv(cx) {
            return Poll::Ready(event.map(|event| Ok(Frame::data(written(&event)))));
        }
        ready!(self.tick.poll_tick(cx));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b":\n\n")))))
    }
}

/// Writes one event as its lines.
fn written(event: &Event) -> Bytes {
    let data = json::event(event);
    format!("id: {}\nevent: {}\ndata: {data}\n\n", event.seq, event.kind.word()).into()
}
