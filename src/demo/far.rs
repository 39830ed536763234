//! A connection to a server that is far away, though it is not.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use crate::client::{Connector, ServerAddr, Tcp};

/// How much is taken from the socket at once.
const CHUNK_BYTES: usize = 1_024;

/// Real sockets whose answers take their time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Far {
    pub(super) latency: Duration,
}

impl Connector for Far {
    type Stream = Delayed<TcpStream>;

    async fn resolve(&self, server: &ServerAddr) -> io::Result<Vec<SocketAddr>> {
        Tcp.resolve(server).await
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<(Self::Stream, Option<SocketAddr>)> {
        let (stream, local) = Tcp.connect(address).await?;
        Ok((Delayed::new(stream, self.latency), local))
    }
}

/// A stream on which everything is read so much later than it came.
#[derive(Debug)]
pub(super) struct Delayed<S> {
    inner: S,
    latency: Duration,
    /// What has come and is not to be read before `due`.
    held: BytesMut,
    due: Option<Pin<Box<Sleep>>>,
}

impl<S> Delayed<S> {
    pub(super) fn new(inner: S, latency: Duration) -> Self {
        Self { inner, latency, held: BytesMut::new(), due: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Delayed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.latency.is_zero() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        if self.held.is_empty() {
            let mut chunk = [0; CHUNK_BYTES];
            let mut read = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.held.extend_from_slice(read.filled());
            self.due = Some(Box::pin(sleep(self.latency)));
        }
        if let Some(due) = &mut self.due {
            ready!(due.as_mut().poll(cx));
            self.due = None;
        }
        let taken = self.held.len().min(buf.remaining());
        buf.put_slice(&self.held[..taken]);
        self.held.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Delayed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::{Instant, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_comes_is_read_later_and_nothing_is_lost() {
        let (mut here, there) = tokio::io::duplex(64);
        let latency = Duration::from_millis(80);
        let mut far = Delayed::new(there, latency);
        let sent = Instant::now();
        here.write_all(b"pong\n").await.unwrap();
        let mut word = [0; 2];
        // A read that is given up in between takes nothing with it.
        assert!(timeout(Duration::from_millis(30), far.read_exact(&mut word)).await.is_err());
        far.read_exact(&mut word).await.unwrap();
        assert!(sent.elapsed() >= latency && sent.elapsed() < latency * 2, "{:?}", sent.elapsed());
        drop(here);
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).await.unwrap();
        assert_eq!((&word, &*rest), (b"po", &b"ng\n"[..]));
    }
}
