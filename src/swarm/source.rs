//! Where connections come from.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::net::{TcpSocket, TcpStream};

/// How many loopback addresses connections are spread over. One address has some 28,000 ports, and a
/// port that was in use rests for a minute.
const ADDRESSES: usize = 250;

/// The addresses connections come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Whatever the system chooses.
    Any,
    /// 127.0.1.1 to 127.0.1.250, in turn.
    Loopback,
}

impl Source {
    /// Returns where connections to `server` are to come from.
    pub(super) fn to(server: SocketAddr) -> Self {
        // All of 127.0.0.0/8 is this machine, but not on every system without being told so.
        let can_bind = || std::net::UdpSocket::bind((loopback(0), 0)).is_ok();
        if matches!(server.ip(), IpAddr::V4(ip) if ip.is_loopback()) && can_bind() {
            Self::Loopback
        } else {
            Self::Any
        }
    }

    /// Connects to `server`; `turn` numbers the connections.
    pub(super) async fn connect(self, server: SocketAddr, turn: usize) -> io::Result<TcpStream> {
        let socket = if server.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if self == Self::Loopback {
            socket.bind(SocketAddr::new(loopback(turn).into(), 0))?;
        }
        let stream = socket.connect(server).await?;
        let _ = stream.set_nodelay(true); // A ping should leave now; without this it still works.
        if stream.local_addr()? == server {
            // A free port may connect to itself: nobody is there.
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        Ok(stream)
    }
}

fn loopback(turn: usize) -> Ipv4Addr {
    let last = u8::try_from(turn % ADDRESSES + 1).unwrap_or(1);
    Ipv4Addr::new(127, 0, 1, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_to_loopback_come_from_many_addresses() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let source = Source::to(addr);
        let mut from = std::collections::HashSet::new();
        for turn in 0..3 {
            let stream = source.connect(addr, turn).await.unwrap();
            from.insert(stream.local_addr().unwrap().ip());
        }
        assert_eq!(from.len(), if source == Source::Loopback { 3 } else { 1 });
        assert_eq!(Source::to("[::1]:1".parse().unwrap()), Source::Any);
        assert_eq!(Source::to("192.0.2.1:1".parse().unwrap()), Source::Any);
        assert_eq!(loopback(ADDRESSES - 1), Ipv4Addr::new(127, 0, 1, 250));
        assert_eq!(loopback(ADDRESSES), loopback(0));
    }
}
