//! From a name to a stream.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::net::TcpStream;
use tokio::time;

use super::console::{Console, Interrupt};
use crate::net::addr::ServerAddr;
use crate::security::duplex::Stream;
use crate::security::tls::ClientTls;

/// How long one address may take to answer.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long a name may take to be looked up.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(10);

/// Makes connections; tests make theirs of memory.
///
/// An object and no parameter, as is what it makes: so a client is compiled once, whatever it talks through.
pub trait Connector: Debug + Send + Sync {
    /// Looks a server up.
    ///
    /// # Errors
    /// The name is not known, or nobody could be asked.
    fn resolve<'a>(&'a self, server: &'a ServerAddr) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;

    /// Connects to one address; returns this end's own too, if it has one.
    ///
    /// # Errors
    /// Nobody listens there, or the way there is blocked.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Connected>>;
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreached {
    /// Somebody here wants something else.
    Interrupted(Interrupt),
    /// It did not work out, in words.
    Failed(String),
}

impl From<Interrupt> for Unreached {
    fn from(interrupt: Interrupt) -> Self {
        Self::Interrupted(interrupt)
    }
}

/// A stream, and this end's own address, if it has one.
pub type Connected = (Stream, Option<SocketAddr>);

/// A stream, where it goes, and this end's own address, if it has one.
pub type Reached = (Stream, SocketAddr, Option<SocketAddr>);

/// Looks a server up afresh, and tries each of its addresses.
///
/// # Errors
/// Nobody was reached, or somebody here wants something else.
pub async fn reach(
    connector: &dyn Connector,
    server: &ServerAddr,
    console: &mut Console,
) -> Result<Reached, Unreached> {
    let lookup = time::timeout(RESOLVE_PATIENCE, connector.resolve(server));
    let addresses = match console.until(lookup).await? {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => {
            return Err(Unreached::Failed(format!("could not look {} up: {error}", server.host())));
        }
        Err(_) => return Err(Unreached::Failed(format!("could not look {} up within 10s", server.host()))),
    };
    let mut cause = format!("{} has no address", server.host());
    for address in addresses {
        let connecting = time::timeout(CONNECT_PATIENCE, connector.connect(address));
        cause = match console.until(connecting).await? {
            Ok(Ok((stream, local))) => return Ok((stream, address, local)),
            Ok(Err(error)) => format!("{address}: {error}"),
            Err(_) => format!("{address} did not answer within 5s"),
        };
    }
    Err(Unreached::Failed(cause))
}

/// Real names and real sockets, made secret if that is asked for.
#[derive(Debug, Clone, Default)]
pub struct Dial {
    /// What makes them secret, and the host that has to prove who it is.
    pub tls: Option<(ClientTls, String)>,
}

impl Connector for Dial {
    fn resolve<'a>(&'a self, server: &'a ServerAddr) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Tcp.resolve(server)
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Connected>> {
        Box::pin(async move {
            let (stream, local) = Tcp.connect(address).await?;
            match &self.tls {
                Some((tls, host)) => {
                    let secret = tls.connect(host, stream).await;
                    secret.map(|stream| (stream, local)).map_err(io::Error::other)
                }
                None => Ok((stream, local)),
            }
        })
    }
}

/// Real names and real sockets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tcp;

impl Connector for Tcp {
    fn resolve<'a>(&'a self, server: &'a ServerAddr) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((server.host(), server.port())).await?.collect()) })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Connected>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            // A ping is one small segment that should leave now; without this the client still works.
            let _ = stream.set_nodelay(true);
            let local = stream.local_addr().ok();
            if local == Some(address) {
                // On loopback a free port may connect to itself: nobody is there, and the server could not come back.
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            Ok((Box::new(stream) as Stream, local))
        })
    }
}
