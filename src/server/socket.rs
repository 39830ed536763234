//! A TCP connection with an eye on it: has something arrived that nobody has read?

use std::io;
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// A TCP connection as a session uses it, while the hub keeps an [`Eye`] on it.
#[derive(Debug)]
pub struct Socket(OwnedReadHalf);

/// Looks into a connection's receive buffer without touching it.
///
/// The hub looks before it judges: whoever is behind with reading, for
/// whatever reason (an overloaded machine, a stopped process), sees here that
/// the client did speak. One look is one system call, under a microsecond.
#[derive(Debug, Default)]
pub struct Eye(Option<OwnedWriteHalf>);

impl Socket {
    /// Takes a connection, and returns the eye on it.
    #[must_use]
    pub fn new(stream: TcpStream) -> (Self, Eye) {
        // Halves share the connection without a lock; the write half is only kept for looking.
        let (reader, keeper) = stream.into_split();
        (Self(reader), Eye(Some(keeper)))
    }

    fn stream(&self) -> &TcpStream {
        self.0.as_ref()
    }
}

impl Eye {
    /// Sees nothing: for connections in memory, which are read as soon as they are written.
    #[must_use]
    pub fn blind() -> Self {
        Self(None)
    }

    /// Tells whether bytes have arrived that were not read yet.
    #[must_use]
    pub fn sees_unread(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        self.0.as_ref().is_some_and(|half| {
            let stream: &TcpStream = half.as_ref();
            SockRef::from(stream).peek(&mut byte).is_ok_and(|bytes| bytes > 0)
        })
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream().poll_write_ready(cx))?;
            match self.stream().try_write(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(self.stream()).shutdown(Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_eye_sees_what_has_not_been_read_and_leaves_it_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut socket, eye) = Socket::new(listener.accept().await.unwrap().0);
        assert!(!eye.sees_unread() && !Eye::blind().sees_unread());
        client.write_all(b"ping").await.unwrap();
        socket.stream().readable().await.unwrap();
        assert!(eye.sees_unread());
        let mut heard = [0; 4];
        socket.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"ping");
        assert!(!eye.sees_unread());
        socket.write_all(b"pong").await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "pong");
        drop(client);
        assert_eq!(socket.read(&mut heard).await.unwrap(), 0);
        assert!(!eye.sees_unread(), "the end of the stream is not something said");
    }
}
