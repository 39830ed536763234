//! What the operating system gives and takes: descriptors, socket options, accept errors.

pub mod addr;
pub mod http;
pub mod url;
pub mod web;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// How many connections may wait to be accepted: a fleet that reconnects at once must not be sent away.
const BACKLOG: i32 = 4_096;

/// Raises the limit of open files as far as the system allows, and returns it; `None` where there is none to know.
#[must_use]
pub fn raise_open_files() -> Option<u64> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        // A system may refuse its own hard limit (macOS does): then the soft one stays.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
        getrlimit(Resource::Nofile).current
    }
    #[cfg(not(unix))]
    None
}

/// Listens on `addr`, with a backlog for a whole fleet.
///
/// # Errors
/// The address is taken, not ours, or not allowed.
pub fn listen(addr: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // Otherwise a restarted server could not have its port back for a minute.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() && addr.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Returns the address under which others most likely reach a server that listens on `bound`.
///
/// A server that listens everywhere has no address of its own to tell; the
/// one a packet to the outside would carry is asked of the routing table.
/// Nothing is sent.
#[must_use]
pub fn reachable(bound: SocketAddr) -> SocketAddr {
    if !bound.ip().is_unspecified() {
        return bound;
    }
    // Addresses set aside for documentation (RFC 5737, RFC 3849): never ours, and always outside.
    let (any, outside): (SocketAddr, SocketAddr) = if bound.is_ipv4() {
        (([0; 4], 0).into(), ([192, 0, 2, 1], 9).into())
    } else {
        (([0u16; 8], 0).into(), ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 9).into())
    };
    let ours = || {
        let probe = std::net::UdpSocket::bind(any)?;
        probe.connect(outside)?;
        probe.local_addr()
    };
    let local = if bound.is_ipv4() {
        IpAddr::from([127, 0, 0, 1])
    } else {
        IpAddr::from([0u16, 0, 0, 0, 0, 0, 0, 1])
    };
    SocketAddr::new(ours().map_or(local, |addr: SocketAddr| addr.ip()), bound.port())
}

/// Sets what a heartbeat connection needs: small lines at once, and the kernel as a second pair of eyes.
///
/// The kernel's own probes never convict before `timeout` has passed: our
/// countdown is the one on the screen, theirs is for what it cannot see.
/// Options a platform does not have are left out.
pub fn tune(socket: &impl AsSocket, timeout: Duration) {
    let socket = socket.as_socket();
    let idle = timeout.max(Duration::from_secs(10));
    let every = (idle / 4).max(Duration::from_secs(1));
    let _ = socket.set_tcp_nodelay(true); // Each of these is a help, and none a condition.
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle).with_interval(every));
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "fuchsia"))]
    let _ = socket.set_tcp_user_timeout(Some(idle * 2));
}

/// Something with a socket in it.
pub trait AsSocket {
    /// Borrows the socket.
    fn as_socket(&self) -> SockRef<'_>;
}

#[cfg(unix)]
impl<T: std::os::fd::AsFd> AsSocket for T {
    fn as_socket(&self) -> SockRef<'_> {
        SockRef::from(self)
    }
}

#[cfg(windows)]
impl<T: std::os::windows::io::AsSocket> AsSocket for T {
    fn as_socket(&self) -> SockRef<'_> {
        SockRef::from(self)
    }
}

/// What an error of `accept` means for the one who accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptTrouble {
    /// That one connection failed; the next may be fine.
    ThisOne,
    /// Descriptors or memory have run out: trying again at once would fail at once.
    RunOut,
}

/// Tells what to make of an error of `accept`.
#[must_use]
pub fn accept_trouble(error: &io::Error) -> AcceptTrouble {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, WouldBlock};
    match error.kind() {
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | WouldBlock => {
            AcceptTrouble::ThisOne
        }
        // EMFILE, ENFILE, ENOBUFS, ENOMEM, and whatever else would otherwise spin.
        _ => AcceptTrouble::RunOut,
    }
}
