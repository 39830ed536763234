//! A connection to a server that is far away, though it is not.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::client::{Connected, Connector, ServerAddr, Tcp};
use crate::security::duplex::Stream;

/// How much is taken from the socket at once.
const CHUNK_BYTES: usize = 1_024;

/// Real sockets whose answers take their time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Far {
    pub(super) latency: Duration,
}

impl Connector for Far {
    fn resolve<'a>(&'a self, server: &'a ServerAddr) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Tcp.resolve(server)
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Connected>> {
        Box::pin(async move {
            let (stream, local) = Tcp.connect(address).await?;
            Ok((Box::new(Delayed::new(stream, self.latency)) as Stream, local))
        })
    }
}

/// A stream on which everything is read so much later than it came.
pub(super) struct Delayed {
    inner: Stream,
    latency: Duration,
    /// What has come and is not to be read before `due`.
    held: BytesMut,
    due: Option<Pin<Box<Sleep>>>,
}

impl Delayed {
    pub(super) fn new(inner: Stream, latency: Duration) -> Self {
        Self { inner, latency, held: BytesMut::new(), due: None }
    }
}

impl AsyncRead for Delayed {
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

impl AsyncWrite for Delayed {
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
        let mut far = Delayed::new(Box::new(there), latency);
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
