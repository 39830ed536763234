//! A netsync client as a session sees it: lines in, and nothing but pings and notifications out.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::presence::Dialect;
use crate::protocol::netsync::{PING, Splitter, Value, custom, read};
use crate::protocol::{Notified, register};
use crate::security::duplex::Stream;
use crate::server::arrival::{self, Caller};
use crate::server::handle::HubHandle;
use crate::server::link::Link;

/// The longest a client of this kind is left without a ping: it gives a server up that is silent for twice as long.
const PING_PERIOD_MAX: Duration = Duration::from_secs(5);
/// How far two values are apart at least: two that such a client reads as one are both lost to it, and 50 ms
/// between them are enough.
const GAP: Duration = Duration::from_millis(60);
/// How many notifications may wait for it; until there is room, no more is taken from the hub.
const TEXTS_MAX: usize = 8;
/// How long a refused one is held in silence: closed at once, it would come back at once, for ever.
const HOLD: Duration = Duration::from_secs(10);
/// How much a held one may say until it is not read from any more.
const HELD_BYTES_MAX: u64 = 64 * 1024;
/// How much is read at once.
const READ_BYTES: usize = 1024;

/// Leads a conversation in bare values, whose first bytes are in `head`.
pub(super) async fn lead(
    io: Stream,
    head: BytesMut,
    link: Arc<Link>,
    mut caller: Box<Caller>,
    hub: HubHandle,
) {
    caller.origin.dialect = Dialect::Netsync;
    caller.origin.deaf = true;
    let cancel = caller.cancel.clone();
    let mut values = Values::new(io, head, caller.origin.peer, hub.clone());
    let was_in = arrival::lead(&mut values, &link, *caller, &hub).await;
    if was_in {
        return;
    }
    let Ok(_place) = hub.rules().held.try_acquire() else { return };
    let swallowed = async {
        let mut rest = (&mut values.io).take(HELD_BYTES_MAX);
        let gone = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
        if gone.is_ok_and(|bytes| bytes == HELD_BYTES_MAX) {
            std::future::pending::<()>().await;
        }
    };
    let _ = cancel.run_until_cancelled(timeout(HOLD, swallowed)).await; // All three ends are the same to us.
}

/// The adapter between values and lines.
struct Values {
    io: Stream,
    peer: std::net::SocketAddr,
    hub: HubHandle,
    splitter: Splitter,
    /// What came and is no whole value yet.
    input: BytesMut,
    /// Lines made of values, that nobody has read yet.
    lines: BytesMut,
    stage: Stage,
    pulse: Pings,
}

/// How far the conversation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It has not said who it is.
    Nameless,
    /// It has, and the session is about to be told, or decides. A session that reads on has let it in.
    Named,
    /// It is in, and pinged.
    In,
    /// It is over.
    Over,
}

/// What one client is sent: pings, and now and then a notification.
struct Pings {
    /// Runs out when the next ping is due.
    due: Pin<Box<Sleep>>,
    /// What is left to be written of a value.
    unsent: Bytes,
    /// Whether that is a ping.
    is_ping: bool,
    /// Notifications that wait.
    texts: VecDeque<Bytes>,
    /// Runs out when the next of them may go.
    gap: Option<Pin<Box<Sleep>>>,
    /// When a value was last written.
    wrote: Option<Instant>,
    /// When the last ping went out.
    asked: Option<Instant>,
    /// How many were not answered.
    open: u32,
}

impl Pings {
    /// Counts an answer; returns the round trip, when there is no doubt which ping it answers.
    fn answered(&mut self) -> Option<Duration> {
        let certain = std::mem::take(&mut self.open) == 1;
        self.asked.filter(|_| certain).map(|asked| asked.elapsed())
    }

    /// Takes the next notification, if it may go yet.
    fn next_text(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        let text = self.texts.front()?;
        let at = self.wrote.map_or_else(Instant::now, |wrote| wrote + GAP);
        let gap = self.gap.get_or_insert_with(|| Box::pin(sleep(Duration::ZERO)));
        if gap.deadline() != at {
            gap.as_mut().reset(at);
        }
        gap.as_mut().poll(cx).is_ready().then(|| text.clone()).inspect(|_| {
            self.texts.pop_front();
            self.gap = None;
        })
    }

    /// Sends what is due; a client that takes nothing is left to its own silence.
    fn poll<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut S,
        interval: Duration,
    ) -> io::Result<()> {
        loop {
            if self.unsent.is_empty() {
                self.is_ping = self.due.as_mut().poll(cx).is_ready();
                self.unsent = if self.is_ping {
                    Bytes::from_static(PING)
                } else if let Some(text) = self.next_text(cx) {
                    text
                } else {
                    return Ok(());
                };
            }
            match Pin::new(&mut *io).poll_write(cx, &self.unsent) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => self.unsent.advance(written.min(self.unsent.len())),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
            if self.unsent.is_empty() {
                let now = Instant::now();
                self.wrote = Some(now);
                if !self.is_ping {
                    let due = self.due.deadline().max(now + GAP);
                    self.due.as_mut().reset(due);
                    continue;
                }
                (self.asked, self.open) = (Some(now), self.open.saturating_add(1));
                // Early enough that its answer is never late. The shortest interval is 100 ms, so
                // that two pings are never as close as the 50 ms that would lose both.
                self.due.as_mut().reset(now + PING_PERIOD_MAX.min(interval * 3 / 4));
            }
        }
    }
}

impl Values {
    fn new(io: Stream, head: BytesMut, peer: std::net::SocketAddr, hub: HubHandle) -> Self {
        let pulse = Pings {
            due: Box::pin(sleep(Duration::ZERO)),
            unsent: Bytes::new(),
            is_ping: true,
            texts: VecDeque::new(),
            gap: None,
            wrote: None,
            asked: None,
            open: 0,
        };
        let (splitter, lines) = (Splitter::default(), BytesMut::new());
        Self { io, peer, hub, splitter, input: head, lines, stage: Stage::Nameless, pulse }
    }

    /// Makes a line of a value.
    fn hear(&mut self, value: &[u8]) {
        match read(value) {
            Value::Identify { hostname } => {
                self.lines.extend_from_slice(&register::in_place_of(Some(&hostname), self.peer));
                if self.stage == Stage::Nameless {
                    self.stage = Stage::Named;
                }
            }
            Value::Pong => {
                let rtt = self.pulse.answered().map(|rtt| rtt.as_micros());
                let rtt =
                    rtt.map_or_else(String::new, |us| format!(",\"rtt_us\":{}", us.min(u32::MAX.into())));
                self.lines.extend_from_slice(format!("{{\"type\":\"ping\"{rtt}}}\n").as_bytes());
            }
            Value::Other => self.lines.put_u8(b'\n'),
            // The session counts it with everything else that cannot be understood.
            Value::Broken => self.lines.extend_from_slice(b"?\n"),
        }
    }

    /// Reads once; `false` at the end of the stream.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut scratch = [0; READ_BYTES];
        let room = self.splitter.room(&self.input).min(READ_BYTES);
        let mut read = ReadBuf::new(scratch.get_mut(..room).unwrap_or_default());
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
        self.input.extend_from_slice(read.filled());
        Poll::Ready(Ok(!read.filled().is_empty()))
    }
}

impl AsyncRead for Values {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.stage == Stage::Named && this.lines.is_empty() {
            this.stage = Stage::In;
        }
        if this.stage == Stage::In {
            this.pulse.poll(cx, &mut this.io, this.hub.rules().interval())?;
        }
        while this.lines.is_empty() {
            match this.splitter.next(&mut this.input) {
                Ok(Some(value)) => this.hear(&value),
                Ok(None) => {
                    if this.input.is_empty() {
                        this.input = BytesMut::new();
                    }
                    if !ready!(this.poll_more(cx))? {
                        return Poll::Ready(Ok(()));
                    }
                }
                Err(error) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string())));
                }
            }
        }
        let taken = this.lines.len().min(buf.remaining());
        buf.put_slice(this.lines.get(..taken).unwrap_or_default());
        this.lines.advance(taken);
        Poll::Ready(Ok(()))
    }
}

/// Whatever a session says, a client of this kind would not understand; notifications become values.
impl AsyncWrite for Values {
    /// Takes one line.
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let end = memchr::memchr(b'\n', buf).map_or(buf.len(), |end| end + 1);
        let text = buf.get(..end).and_then(Notified::plain_of).filter(|_| this.stage != Stage::Over);
        if let Some(text) = text {
            if this.pulse.texts.len() >= TEXTS_MAX {
                this.pulse.poll(cx, &mut this.io, this.hub.rules().interval())?;
            }
            if this.pulse.texts.len() >= TEXTS_MAX {
                return Poll::Pending;
            }
            this.pulse.texts.push_back(custom(&text).into());
        }
        Poll::Ready(Ok(end))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Says no more; closing is for who decides how long a refused one is held.
    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stage = Stage::Over;
        Poll::Ready(Ok(()))
    }
}
