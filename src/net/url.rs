//! The address of a server that speaks something else, as a person writes it: `ws://`, `wss://`, `tcp+raw://`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::addr::{AddrError, ServerAddr};

/// The longest address that is taken.
const URL_BYTES_MAX: usize = 2_048;

/// How a foreign server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `ws://`: WebSocket over TCP.
    Ws,
    /// `wss://`: WebSocket over TLS.
    Wss,
    /// `tcp+raw://`: bytes over TCP, without any protocol.
    TcpRaw,
}

impl Scheme {
    const ALL: [Self; 3] = [Self::Wss, Self::Ws, Self::TcpRaw];

    /// Returns the word in front of `://`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::TcpRaw => "tcp+raw",
        }
    }

    /// Returns the port of an address that names none, where there is a usual one.
    fn port(self) -> Option<u16> {
        match self {
            Self::Ws => Some(80),
            Self::Wss => Some(443),
            Self::TcpRaw => None,
        }
    }

    /// Returns what follows this scheme in a text, if the text begins with it, whatever the case.
    fn strip(self, text: &str) -> Option<&str> {
        let (scheme, rest) = text.split_at_checked(self.word().len())?;
        scheme.eq_ignore_ascii_case(self.word()).then_some(rest)
    }
}

/// Where a foreign server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignUrl {
    scheme: Scheme,
    server: ServerAddr,
    full: String,
    shown: String,
}

/// Why a text is not the address of a foreign server.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UrlError {
    /// The scheme is there, and what separates it is not.
    #[error("{written:?} looks like an address with a scheme but is none (write {scheme}://HOST...)")]
    Separator {
        /// What was written.
        written: String,
        /// The scheme that was probably meant.
        scheme: &'static str,
    },
    /// It names no host.
    #[error("{0:?} names no host (write ws://HOST/PATH, wss://HOST/PATH or tcp+raw://HOST:PORT)")]
    NoHost(String),
    /// A raw connection has no usual port.
    #[error("{0:?} names no port, and tcp+raw has no usual one (write tcp+raw://HOST:PORT)")]
    NoPort(String),
    /// A path where there can be none.
    #[error("{0:?} has a path, and raw TCP knows none (write tcp+raw://HOST:PORT)")]
    RawPath(String),
    /// The host or the port is wrong.
    #[error("{written:?}: {error}")]
    Address {
        /// What was written.
        written: String,
        /// What is wrong with it.
        error: AddrError,
    },
    /// The host is no name a WebSocket can be asked by.
    #[error("{0:?}: the host of a WebSocket is written in ASCII (an international name as xn--...)")]
    Host(String),
    /// It has a character no address has.
    #[error("{0:?}: a path has visible ASCII characters and no # (write others as %20 and the like)")]
    Path(String),
    /// It is far too long.
    #[error("an address has at most {URL_BYTES_MAX} characters")]
    TooLong,
}

/// Tells whether a text means a foreign server, well written or not: what it begins with decides.
#[must_use]
pub fn is_foreign(text: &str) -> bool {
    scheme_of(text.trim()).is_some()
}

/// Returns the scheme a text begins with, and what follows it: `://`, or a slip of the finger.
fn scheme_of(text: &str) -> Option<(Scheme, &str)> {
    Scheme::ALL.into_iter().find_map(|scheme| {
        let rest = scheme.strip(text)?;
        // `ws:8080` is a host called ws; no host can be called tcp+raw.
        let meant =
            rest.starts_with(":/") || rest.starts_with('/') || scheme == Scheme::TcpRaw || rest == ":";
        meant.then_some((scheme, rest))
    })
}

impl ForeignUrl {
    /// Returns how the server is reached.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns its host and port.
    #[must_use]
    pub fn server(&self) -> &ServerAddr {
        &self.server
    }

    /// Returns the whole address, for the server alone: what follows a `?` may be a secret.
    #[must_use]
    pub fn full(&self) -> &str {
        &self.full
    }
}

/// The address as it may be shown and logged: without what follows a `?`.
impl fmt::Display for ForeignUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl FromStr for ForeignUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let written = text.trim();
        if written.len() > URL_BYTES_MAX {
            return Err(UrlError::TooLong);
        }
        let no_host = || UrlError::NoHost(written.to_owned());
        let (scheme, rest) = scheme_of(written).ok_or_else(no_host)?;
        let rest = rest
            .strip_prefix("://")
            .ok_or_else(|| UrlError::Separator { written: written.to_owned(), scheme: scheme.word() })?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.is_empty() || (authority.starts_with(':') && !authority.starts_with("::")) {
            return Err(no_host());
        }
        if scheme == Scheme::TcpRaw && !matches!(path, "" | "/") {
            return Err(UrlError::RawPath(written.to_owned()));
        }
        if !path.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
            return Err(UrlError::Path(written.to_owned()));
        }
        let server = server(scheme, authority, written)?;
        if scheme != Scheme::TcpRaw && (!authority.is_ascii() || authority.contains('%')) {
            return Err(UrlError::Host(authority.to_owned()));
        }
        let path = if path.starts_with('/') || scheme == Scheme::TcpRaw {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        let full = format!("{}://{authority}{path}", scheme.word());
        let shown = match written.split_once('?') {
            Some((before, _)) => format!("{before}?..."),
            None => written.to_owned(),
        };
        Ok(Self { scheme, server, full, shown })
    }
}

/// Reads host and port.
fn server(scheme: Scheme, authority: &str, written: &str) -> Result<ServerAddr, UrlError> {
    let wrong = |error| UrlError::Address { written: written.to_owned(), error };
    let colons = authority.matches(':').count();
    if colons > 1 && !authority.starts_with('[') {
        return Err(wrong(AddrError::Colons(authority.to_owned())));
    }
    let has_port = authority.rsplit(']').next().is_some_and(|tail| tail.contains(':'));
    let address = match scheme.port() {
        _ if has_port => authority.parse(),
        Some(port) => format!("{authority}:{port}").parse(),
        None => return Err(UrlError::NoPort(written.to_owned())),
    };
    address.map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_the_way_people_write_it() {
        for (text, scheme, server, full) in [
            ("ws://hq", Scheme::Ws, "hq:80", "ws://hq/"),
            (" WS://hq/a/b?c=d ", Scheme::Ws, "hq:80", "ws://hq/a/b?c=d"),
            ("ws://hq?x", Scheme::Ws, "hq:80", "ws://hq/?x"),
            (
                "wss://hq.example.org:8443/chat",
                Scheme::Wss,
                "hq.example.org:8443",
                "wss://hq.example.org:8443/chat",
            ),
            ("wss://[::1]/x", Scheme::Wss, "[::1]:443", "wss://[::1]/x"),
            ("ws://[::1]:81", Scheme::Ws, "[::1]:81", "ws://[::1]:81/"),
            ("tcp+raw://10.0.0.1:1883", Scheme::TcpRaw, "10.0.0.1:1883", "tcp+raw://10.0.0.1:1883"),
            ("tcp+raw://[::1]:7/", Scheme::TcpRaw, "[::1]:7", "tcp+raw://[::1]:7/"),
        ] {
            assert!(is_foreign(text), "{text}");
            let url: ForeignUrl = text.parse().unwrap();
            assert_eq!((url.scheme(), url.server().to_string().as_str(), url.full()), (scheme, server, full));
        }
    }

    #[test]
    fn what_is_no_foreign_server_is_left_to_others() {
        for text in [
            "hq",
            "hq:8080",
            "ws",
            "ws:8080",
            "wss.example.org",
            "ws.lab:1",
            "::1",
            "http://hq",
            "tcp://hq:1",
            "",
        ] {
            assert!(!is_foreign(text), "{text}");
        }
    }

    #[test]
    fn a_mistake_is_refused_with_a_hint() {
        for (text, hint) in [
            ("ws//host", "ws://HOST"),
            ("ws:/host", "ws://HOST"),
            ("wss//host/path", "wss://HOST"),
            ("tcp+raw:host:1", "tcp+raw://HOST"),
            ("tcp+raw", "tcp+raw://HOST"),
            ("ws:", "ws://HOST"),
            ("ws://", "no host"),
            ("ws:///path", "no host"),
            ("ws://:80/", "no host"),
            ("tcp+raw://:80", "no host"),
            ("tcp+raw://hq", "no port"),
            ("tcp+raw://hq:1/path", "has a path"),
            ("ws://hq:0/", "1 to 65535"),
            ("ws://hq:x/", "1 to 65535"),
            ("ws://ada:secret@hq/", "1 to 65535"),
            ("ws://ada@hq/", "host name"),
            ("ws://::1/", "[::1]"),
            ("ws://büro/", "xn--"),
            ("ws://[fe80::1%eth0]/", "ASCII"),
            ("ws://hq/a b", "%20"),
            ("ws://hq/a#b", "no #"),
            ("ws://hq/\x1b[2J", "visible"),
        ] {
            assert!(is_foreign(text), "{text}");
            let error = text.parse::<ForeignUrl>().unwrap_err().to_string();
            assert!(error.contains(hint), "{text:?}: {error}");
            assert!(!error.chars().any(char::is_control), "{error:?}");
        }
        assert_eq!(
            format!("ws://hq/{}", "a".repeat(URL_BYTES_MAX)).parse::<ForeignUrl>(),
            Err(UrlError::TooLong)
        );
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        let url: ForeignUrl = "wss://hq/live?token=s3cret".parse().unwrap();
        assert_eq!(url.to_string(), "wss://hq/live?...");
        assert!(url.full().contains("s3cret"));
    }
}
