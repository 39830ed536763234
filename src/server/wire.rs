//! One connection's bytes: lines in, lines out, nothing held while nothing happens.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Sleep, sleep, timeout};
use tokio_util::codec::Decoder;

use super::link::{Link, Outgoing};
use crate::protocol::sniff::{Start, Verdict, sniff};
use crate::protocol::{CodecError, LINE_BYTES_MAX, LineCodec};

/// How long a client may take to accept a byte before it is cut as slow.
pub const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// How long a goodbye may take: the last words, then waiting for the client to close.
pub const GOODBYE: Duration = Duration::from_millis(500);
/// A client that has this many bytes of answers unread is not read from until it takes some.
const ANSWERS_BYTES_MAX: usize = 16 * 1024;
/// How much one read takes at most; it lives on the stack of the poll, not in the session.
const READ_BYTES: usize = 2 * 1024;
/// How much a dying connection may still send before it is closed in its face.
const LINGER_BYTES_MAX: usize = 64 * 1024;

/// Why no more lines come.
#[derive(Debug)]
pub(crate) enum WireEnd {
    /// The client closed without a goodbye.
    Eof,
    /// The connection failed.
    Failed(io::Error),
    /// A line is too long.
    TooLong,
    /// The client does not read.
    Slow,
    /// It does not begin like anything that is spoken here.
    Unknown,
}

/// What a session hears.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A complete line.
    Line(BytesMut),
    /// The client has taken all it was sent and has more pages to come.
    WantsPage,
}

/// A connection. Its buffers are empty, and own no memory, while it is idle:
/// that is what makes a hundred thousand of them affordable.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    io: S,
    link: Arc<Link>,
    codec: LineCodec,
    input: BytesMut,
    /// Answers of this session. They go out before anything the hub has queued.
    answers: BytesMut,
    /// What is being written; a line begun is always finished first.
    current: Bytes,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(io: S, link: Arc<Link>) -> Self {
        Self {
            io,
            link,
            codec: LineCodec::new(LINE_BYTES_MAX),
            input: BytesMut::new(),
            answers: BytesMut::new(),
            current: Bytes::new(),
            stalled: None,
        }
    }

    /// Gives the connection up, with what was read of it and not understood.
    pub(crate) fn into_parts(self) -> (S, BytesMut) {
        (self.io, self.input)
    }

    /// Reads until the first bytes tell what is spoken; they stay where they are.
    pub(crate) async fn sniff(&mut self) -> Result<Start, WireEnd> {
        std::future::poll_fn(|cx| {
            loop {
                match sniff(&self.input) {
                    Verdict::Known(start) => return Poll::Ready(Ok(start)),
                    Verdict::Unknown => return Poll::Ready(Err(WireEnd::Unknown)),
                    Verdict::More => {}
                }
                match ready!(self.poll_read(cx)) {
                    Ok(0) => return Poll::Ready(Err(WireEnd::Eof)),
                    Ok(_) => {}
                    Err(error) => return Poll::Ready(Err(WireEnd::Failed(error))),
                }
            }
        })
        .await
    }

    /// Queues an answer, ahead of whatever the hub has queued.
    pub(crate) fn answer(&mut self, line: &[u8]) {
        self.answers.extend_from_slice(line);
    }

    /// Returns the next line, sending what there is to send meanwhile. Giving up half-way loses nothing.
    pub(crate) async fn hear(&mut self) -> Result<Heard, WireEnd> {
        std::future::poll_fn(|cx| self.poll_hear(cx)).await
    }

    fn poll_hear(&mut self, cx: &mut Context<'_>) -> Poll<Result<Heard, WireEnd>> {
        loop {
            if let Poll::Ready(sent) = self.poll_send(cx) {
                match sent {
                    Ok(true) => return Poll::Ready(Ok(Heard::WantsPage)),
                    Ok(false) => {}
                    Err(end) => return Poll::Ready(Err(end)),
                }
            }
            match self.codec.decode(&mut self.input) {
                Ok(Some(line)) => return Poll::Ready(Ok(Heard::Line(line))),
                Ok(None) => {}
                Err(CodecError::TooLong(_)) => return Poll::Ready(Err(WireEnd::TooLong)),
                Err(CodecError::Io(error)) => return Poll::Ready(Err(WireEnd::Failed(error))),
            }
            if self.input.is_empty() {
                self.input = BytesMut::new();
            }
            if self.answers.len() >= ANSWERS_BYTES_MAX {
                return Poll::Pending; // It pings without reading; the write deadline decides.
            }
            match ready!(self.poll_read(cx)) {
                Ok(0) => return Poll::Ready(Err(WireEnd::Eof)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(WireEnd::Failed(error))),
            }
        }
    }

    /// Reads once, never more than there is room for.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut scratch = [const { MaybeUninit::uninit() }; READ_BYTES];
        let room = self.codec.room(&self.input).min(READ_BYTES);
        let mut read = ReadBuf::uninit(scratch.get_mut(..room).unwrap_or_default());
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
        let bytes = read.filled();
        let needed = self.input.len() + bytes.len();
        if self.input.capacity() < needed {
            // Doubling, but never past the longest line: `BytesMut` would round up to twice that.
            let capacity = (self.input.capacity() * 2).min(LINE_BYTES_MAX + 2).max(needed);
            let mut grown = BytesMut::with_capacity(capacity);
            grown.extend_from_slice(&self.input);
            self.input = grown;
        }
        self.input.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// Sends until nothing is left (`false`), a page is wanted (`true`), or the client takes no more (pending).
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, WireEnd>> {
        loop {
            if self.current.is_empty() {
                if self.answers.is_empty() {
                    match self.link.take() {
                        Outgoing::Line(line) => self.current = line,
                        Outgoing::WantsPage => return Poll::Ready(Ok(true)),
                        Outgoing::Nothing => {
                            self.stalled = None;
                            self.current = Bytes::new();
                            let flushed = ready!(Pin::new(&mut self.io).poll_flush(cx));
                            return Poll::Ready(flushed.map(|()| false).map_err(WireEnd::Failed));
                        }
                    }
                } else {
                    self.current = std::mem::take(&mut self.answers).freeze();
                }
            }
            match Pin::new(&mut self.io).poll_write(cx, &self.current) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(WireEnd::Failed(io::ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(written)) => {
                    self.current.advance(written);
                    self.stalled = None;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(WireEnd::Failed(error))),
                Poll::Pending => {
                    let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(WRITE_DEADLINE)));
                    ready!(stalled.as_mut().poll(cx));
                    return Poll::Ready(Err(WireEnd::Slow));
                }
            }
        }
    }

    /// Says the last word, if there is one, and closes so that it arrives.
    pub(crate) async fn close(mut self, last_word: LastWord) {
        let (last_word, listening) = match last_word {
            LastWord::Nothing => return,
            LastWord::Dead(word) => (word, false),
            LastWord::Listening(word) => (word, true),
        };
        let said = timeout(GOODBYE, async {
            // A line begun is finished; what only waited is dropped.
            self.io.write_all(&self.current).await?;
            self.io.write_all(&self.answers).await?;
            self.io.write_all(&last_word).await?;
            self.io.shutdown().await
        });
        if !matches!(said.await, Ok(Ok(()))) || !listening {
            return;
        }
        let _ = timeout(GOODBYE, async {
            let mut sink = [0; 512];
            let mut swallowed = 0;
            while swallowed < LINGER_BYTES_MAX {
                match self.io.read(&mut sink).await {
                    Ok(0) | Err(_) => break,
                    Ok(n) => swallowed += n,
                }
            }
        })
        .await; // Whoever does not close by then is closed on.
    }
}

/// What a client is told before its connection is closed, and how much care that takes.
#[derive(Debug)]
pub(crate) enum LastWord {
    /// Nothing: nobody is there to hear it.
    Nothing,
    /// This, to a client that has been silent: it has sent nothing that could be in the way.
    Dead(Vec<u8>),
    /// This, to a client that may be talking. Closing a socket with unread bytes in it sends a reset,
    /// which can overtake what was just written: so the client's rest is read away first.
    Listening(Vec<u8>),
}
