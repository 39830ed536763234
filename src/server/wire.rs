//! One connection's bytes: lines in, lines out, nothing held while nothing happens.

use std::io::{self, Cursor};
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

/// A connection. While it is idle it owns no buffer at all: that is what makes
/// a hundred thousand of them affordable.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    io: S,
    link: Arc<Link>,
    /// What is on its way in or out, while anything is.
    busy: Option<Box<Busy>>,
}

/// The bytes of a connection that are on their way.
#[derive(Debug)]
struct Busy {
    codec: LineCodec,
    input: BytesMut,
    /// Answers of this session, and how far they are written. They go out before anything the hub has queued.
    answers: Cursor<Vec<u8>>,
    /// What the hub had queued and is being written; a line begun is always finished first.
    current: Bytes,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Nothing can be sent any more. What the client said before is still heard: it may be a goodbye.
    broken: Option<Broken>,
}

/// Why nothing can be sent any more, and until when the client is heard out.
#[derive(Debug)]
struct Broken {
    error: io::Error,
    heard_out: Pin<Box<Sleep>>,
}

impl Busy {
    fn new() -> Self {
        Self {
            codec: LineCodec::new(LINE_BYTES_MAX),
            input: BytesMut::new(),
            answers: Cursor::default(),
            current: Bytes::new(),
            stalled: None,
            broken: None,
        }
    }

    fn is_empty(&self) -> bool {
        self.input.is_empty() && self.out().is_empty() && self.broken.is_none()
    }

    /// Returns what is written next.
    fn out(&self) -> &[u8] {
        if self.current.is_empty() { self.answers.chunk() } else { &self.current }
    }

    /// Takes note of how much of that was written.
    fn written(&mut self, bytes: usize) {
        if self.current.is_empty() {
            self.answers.advance(bytes);
            if !self.answers.has_remaining() {
                self.answers = Cursor::default();
            }
        } else {
            self.current.advance(bytes);
        }
        self.stalled = None;
    }

    /// Queues an answer. There is rarely another one before it, so most are written from where they were made.
    fn answer(&mut self, line: Vec<u8>) {
        if !self.answers.has_remaining() {
            self.answers = Cursor::new(line);
            return;
        }
        let written = self.answers.get_ref().len() - self.answers.remaining();
        self.answers.get_mut().drain(..written);
        self.answers.set_position(0);
        self.answers.get_mut().extend_from_slice(&line);
    }

    /// Gives up what was to be sent.
    fn break_off(&mut self, error: io::Error) {
        (self.answers, self.current) = (Cursor::default(), Bytes::new());
        self.broken = Some(Broken { error, heard_out: Box::pin(sleep(GOODBYE)) });
    }

    /// Takes in what was read.
    fn receive(&mut self, bytes: &[u8]) {
        let needed = self.input.len() + bytes.len();
        if self.input.capacity() < needed {
            // Doubling, but never past the longest line: `BytesMut` would round up to twice that.
            let capacity = (self.input.capacity() * 2).min(LINE_BYTES_MAX + 2).max(needed);
            let mut grown = BytesMut::with_capacity(capacity);
            grown.extend_from_slice(&self.input);
            self.input = grown;
        }
        self.input.extend_from_slice(bytes);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(io: S, link: Arc<Link>) -> Self {
        Self { io, link, busy: None }
    }

    /// Returns the hub's end of it.
    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Gives the connection up, with what was read of it and not understood.
    pub(crate) fn into_parts(self) -> (S, BytesMut) {
        (self.io, self.busy.map(|busy| busy.input).unwrap_or_default())
    }

    /// Reads until the first bytes tell what is spoken; they stay where they are.
    pub(crate) async fn sniff(&mut self) -> Result<Start, WireEnd> {
        std::future::poll_fn(|cx| {
            loop {
                match self.busy.as_ref().map_or(Verdict::More, |busy| sniff(&busy.input)) {
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

    fn busy(&mut self) -> &mut Busy {
        self.busy.get_or_insert_with(|| Box::new(Busy::new()))
    }

    /// Queues an answer, ahead of whatever the hub has queued.
    pub(crate) fn answer(&mut self, line: Vec<u8>) {
        let busy = self.busy();
        if busy.broken.is_none() {
            busy.answer(line);
        }
    }

    /// Returns the next line, sending what there is to send meanwhile. Giving up half-way loses nothing.
    pub(crate) async fn hear(&mut self) -> Result<Heard, WireEnd> {
        std::future::poll_fn(|cx| self.poll_hear(cx)).await
    }

    /// As [`Self::hear`], for whoever is polled.
    pub(crate) fn poll_hear(&mut self, cx: &mut Context<'_>) -> Poll<Result<Heard, WireEnd>> {
        loop {
            if let Poll::Ready(sent) = self.poll_send(cx) {
                match sent {
                    Ok(true) => return Poll::Ready(Ok(Heard::WantsPage)),
                    Ok(false) => {}
                    Err(end) => return Poll::Ready(Err(end)),
                }
            }
            if let Some(busy) = self.busy.as_deref_mut() {
                match busy.codec.decode(&mut busy.input) {
                    Ok(Some(line)) => return Poll::Ready(Ok(Heard::Line(line))),
                    Ok(None) => {}
                    Err(CodecError::TooLong(_)) => return Poll::Ready(Err(WireEnd::TooLong)),
                    Err(CodecError::Io(error)) => return Poll::Ready(Err(WireEnd::Failed(error))),
                }
                if busy.answers.remaining() >= ANSWERS_BYTES_MAX {
                    return Poll::Pending; // It pings without reading; the write deadline decides.
                }
                if busy.is_empty() {
                    self.busy = None;
                }
            }
            let end = match self.poll_read(cx) {
                Poll::Ready(Ok(1..)) => continue,
                Poll::Ready(Ok(0)) => WireEnd::Eof,
                Poll::Ready(Err(error)) => WireEnd::Failed(error),
                Poll::Pending => {
                    // That it is broken can be known before that there is something to read.
                    let Some(broken) = self.busy.as_mut().and_then(|busy| busy.broken.as_mut()) else {
                        return Poll::Pending;
                    };
                    ready!(broken.heard_out.as_mut().poll(cx));
                    WireEnd::Eof
                }
            };
            let broken = self.busy.as_mut().and_then(|busy| busy.broken.take());
            return Poll::Ready(Err(broken.map_or(end, |broken| WireEnd::Failed(broken.error))));
        }
    }

    /// Reads once, never more than there is room for.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut scratch = [const { MaybeUninit::uninit() }; READ_BYTES];
        let room = self.busy.as_ref().map_or(READ_BYTES, |busy| busy.codec.room(&busy.input)).min(READ_BYTES);
        let mut read = ReadBuf::uninit(scratch.get_mut(..room).unwrap_or_default());
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
        let bytes = read.filled();
        self.busy().receive(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// Sends until nothing is left (`false`), a page is wanted (`true`), or the client takes no more (pending).
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, WireEnd>> {
        loop {
            if self.busy.as_ref().is_some_and(|busy| busy.broken.is_some()) {
                return Poll::Ready(Ok(false));
            }
            if self.busy.as_ref().is_none_or(|busy| busy.out().is_empty()) {
                match self.link.take() {
                    Outgoing::Line(line) => self.busy().current = line,
                    Outgoing::WantsPage => return Poll::Ready(Ok(true)),
                    Outgoing::Nothing => {
                        match ready!(Pin::new(&mut self.io).poll_flush(cx)) {
                            Ok(()) => return Poll::Ready(Ok(false)),
                            Err(error) => self.busy().break_off(error),
                        }
                        continue;
                    }
                }
            }
            let Some(busy) = self.busy.as_deref_mut() else { continue };
            match Pin::new(&mut self.io).poll_write(cx, busy.out()) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(WireEnd::Failed(io::ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(bytes)) => busy.written(bytes),
                Poll::Ready(Err(error)) => busy.break_off(error),
                Poll::Pending => {
                    let stalled = busy.stalled.get_or_insert_with(|| Box::pin(sleep(WRITE_DEADLINE)));
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
            if let Some(busy) = &self.busy {
                // A line begun is finished; what only waited is dropped.
                self.io.write_all(&busy.current).await?;
                self.io.write_all(busy.answers.chunk()).await?;
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection whose other end has said something, and then closed with answers unread.
    struct HalfDead {
        said: &'static [u8],
        /// The system has not told yet that there is something to read.
        quiet: bool,
        ends: bool,
        /// What is written is held until it is flushed, as a WebSocket and TLS do.
        holds: bool,
    }

    impl AsyncRead for HalfDead {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if std::mem::take(&mut self.quiet) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.said.is_empty() && !self.ends {
                return Poll::Pending;
            }
            buf.put_slice(std::mem::take(&mut self.said));
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for HalfDead {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let broken = io::ErrorKind::BrokenPipe.into();
            Poll::Ready(if self.holds { Ok(bytes.len()) } else { Err(broken) })
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(if self.holds { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) })
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn what_is_begun_is_finished_and_answers_follow_one_another() {
        let mut busy = Busy::new();
        let mut sent = Vec::new();
        let mut send = |busy: &mut Busy, bytes: usize| {
            for _ in 0..bytes {
                sent.extend(busy.out().first());
                busy.written(1);
            }
        };
        busy.current = Bytes::from_static(b"list\n");
        send(&mut busy, 2);
        busy.answer(b"one\n".to_vec());
        send(&mut busy, 5);
        busy.answer(b"two\n".to_vec());
        send(&mut busy, 6);
        assert_eq!(String::from_utf8(sent).unwrap(), "list\none\ntwo\n");
        assert!(busy.is_empty() && busy.answers.get_ref().capacity() == 0, "nothing is kept");
    }

    #[tokio::test(start_paused = true)]
    async fn a_goodbye_is_heard_even_when_nothing_can_be_sent_any_more() {
        for (quiet, ends, holds) in [
            (false, true, false),
            (true, true, false),
            (true, false, false),
            (false, true, true),
            (true, true, true),
        ] {
            let mut wire = Wire::new(HalfDead { said: b"goodbye\n", quiet, ends, holds }, Arc::default());
            wire.answer(b"welcome\n".to_vec());
            let heard = wire.hear().await;
            assert!(matches!(&heard, Ok(Heard::Line(line)) if &line[..] == b"goodbye"), "{heard:?}");
            let Err(WireEnd::Failed(error)) = wire.hear().await else { panic!("it goes on") };
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        }
    }
}
