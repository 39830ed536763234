//! Where the server is, as a person writes it.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

/// The port of a server nobody gave a port for.
pub const DEFAULT_PORT: u16 = 8080;
/// What stands in front of an address whose connection is to be made secret.
const TLS: &str = "tls://";
/// The longest host name DNS allows.
const HOST_BYTES_MAX: usize = 253;

/// A server's host and port, and how the person wrote them.
///
/// The host stays a name: it is looked up afresh for every attempt, because a
/// server that moved is exactly when an old answer hurts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddr {
    written: String,
    host: String,
    port: u16,
    tls: bool,
}

/// Why a text is not the address of a server.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddrError {
    /// Nothing was written.
    #[error("the server's address is empty (write host or host:port, such as 192.168.1.10:8080)")]
    Empty,
    /// It is a URL.
    #[error(
        "{0:?} is a URL, not an address (write only its host and port, such as example.org:8080, with tls:// in front for TLS)"
    )]
    Url(String),
    /// There is nothing in front of the port.
    #[error("{0:?} has no host (write localhost{0} for this machine)")]
    NoHost(String),
    /// The port is not a number from 1 to 65535.
    #[error("{0:?} is not a port (write a number from 1 to 65535, or leave it out for {DEFAULT_PORT})")]
    Port(String),
    /// More than one colon, but not an IPv6 address.
    #[error(
        "{0:?} is neither host:port nor an IPv6 address (write an IPv6 address with a port as [::1]:8080)"
    )]
    Colons(String),
    /// The host has characters no host has, or too many of them.
    #[error("{0:?} is not a host name (letters, digits, dots and hyphens, at most 253 characters)")]
    Host(String),
}

impl ServerAddr {
    /// Returns the address as it was written.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Returns the host: a name, or an IP address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns host and port alone, as a URL has them.
    #[must_use]
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// Tells whether the connection is to be made secret.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl From<SocketAddr> for ServerAddr {
    fn from(addr: SocketAddr) -> Self {
        Self { written: addr.to_string(), host: addr.ip().to_string(), port: addr.port(), tls: false }
    }
}

impl FromStr for ServerAddr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        let written = text.trim();
        if written.is_empty() {
            return Err(AddrError::Empty);
        }
        let scheme = written.get(..TLS.len()).filter(|scheme| scheme.eq_ignore_ascii_case(TLS));
        let bare = scheme.and_then(|scheme| written.get(scheme.len()..)).unwrap_or(written);
        if bare.contains("://") {
            return Err(AddrError::Url(written.to_owned()));
        }
        if bare.is_empty() {
            return Err(AddrError::Empty);
        }
        let (host, port) = split(bare)?;
        let port = port.map_or(Ok(DEFAULT_PORT), port_of)?;
        Ok(Self { written: written.to_owned(), host: host.to_owned(), port, tls: scheme.is_some() })
    }
}

/// Cuts an address into its host and what stands for the port.
fn split(written: &str) -> Result<(&str, Option<&str>), AddrError> {
    if let Some((host, rest)) = written.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        if !is_v6(host) {
            return Err(AddrError::Host(host.to_owned()));
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(AddrError::Port(rest.to_owned())),
        };
    }
    if is_v6(written) {
        return Ok((written, None));
    }
    let (host, port) = match written.split_once(':') {
        None => (written, None),
        Some((_, rest)) if rest.contains(':') => return Err(AddrError::Colons(written.to_owned())),
        Some(("", _)) => return Err(AddrError::NoHost(written.to_owned())),
        Some((host, port)) => (host, Some(port)),
    };
    let fits = host.len() <= HOST_BYTES_MAX
        && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if fits { Ok((host, port)) } else { Err(AddrError::Host(host.to_owned())) }
}

/// Tells whether a text is an IPv6 address, with or without a zone such as `%eth0`.
fn is_v6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "zone"));
    address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty() && zone.chars().all(char::is_alphanumeric)
}

fn port_of(text: &str) -> Result<u16, AddrError> {
    match text.parse() {
        Ok(port) if port != 0 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
        _ => Err(AddrError::Port(text.to_owned())),
    }
}

impl fmt::Display for ServerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { TLS } else { "" })?;
        f.write_str(&self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_can_be_written_in_every_usual_way() {
        for (text, full) in [
            ("hq", "hq:8080"),
            ("hq:9000", "hq:9000"),
            (" hq.example.org ", "hq.example.org:8080"),
            ("10.0.0.1", "10.0.0.1:8080"),
            ("10.0.0.1:1", "10.0.0.1:1"),
            ("::1", "[::1]:8080"),
            ("[::1]", "[::1]:8080"),
            ("[::1]:9", "[::1]:9"),
            ("fe80::1%eth0", "[fe80::1%eth0]:8080"),
            ("[fe80::1%eth0]:81", "[fe80::1%eth0]:81"),
            ("büro:81", "büro:81"),
            ("tls://hq", "tls://hq:8080"),
            ("TLS://[::1]:9", "tls://[::1]:9"),
        ] {
            let server: ServerAddr = text.parse().unwrap();
            assert_eq!(server.to_string(), full, "{text}");
            assert_eq!(server.written(), text.trim());
            assert_eq!(server.is_tls(), full.starts_with("tls://"));
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused_with_a_hint() {
        for (text, hint) in [
            ("", "empty"),
            ("  ", "empty"),
            ("http://hq:8080", "URL"),
            ("tls://tls://hq", "URL"),
            ("tls://", "empty"),
            ("tls:hq", "not a port"),
            (":8080", "localhost:8080"),
            ("hq:", "65535"),
            ("hq:0", "65535"),
            ("hq:70000", "65535"),
            ("hq:+80", "65535"),
            ("a:b:c", "[::1]:8080"),
            ("[hq]:80", "host name"),
            ("[::1]80", "not a port"),
            ("a b", "host name"),
            ("a\x1b[2J", "host name"),
        ] {
            let error = text.parse::<ServerAddr>().unwrap_err().to_string();
            assert!(error.contains(hint), "{text:?}: {error}");
            assert!(!error.chars().any(char::is_control), "{error:?}");
        }
    }
}
