//! From a name to a stream.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::net::addr::ServerAddr;

/// Makes connections; tests make theirs of memory.
pub trait Connector: Send + Sync {
    /// What a connection is.
    type Stream: AsyncRead + AsyncWrite + Send;

    /// Looks a server up.
    ///
    /// # Errors
    /// The name is not known, or nobody could be asked.
    fn resolve(&self, server: &ServerAddr) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Connects to one address; returns this end's own too, if it has one.
    ///
    /// # Errors
    /// Nobody listens there, or the way there is blocked.
    fn connect(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<(Self::Stream, Option<SocketAddr>)>> + Send;
}

/// Real names and real sockets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tcp;

impl Connector for Tcp {
    type Stream = TcpStream;

    async fn resolve(&self, server: &ServerAddr) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((server.host(), server.port())).await?.collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        let stream = TcpStream::connect(address).await?;
        // A ping is one small segment that should leave now; without this the client still works.
        let _ = stream.set_nodelay(true);
        let local = stream.local_addr().ok();
        if local == Some(address) {
            // On loopback a free port may connect to itself: nobody is there, and the server could not come back.
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        Ok((stream, local))
    }
}
