//! The address of something that is asked over HTTP: `http://`, and `https://` in a build with TLS.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::addr::{AddrError, ServerAddr};

/// The longest address that is taken.
const URL_BYTES_MAX: usize = 2_048;

/// Where an HTTP server is, and what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl {
    secure: bool,
    server: ServerAddr,
    authority: String,
    target: String,
}

/// Why a text is not the address of an HTTP server.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HttpUrlError {
    /// It begins with something else, or with nothing.
    #[error("{0:?} does not begin with http:// or https://")]
    Scheme(String),
    /// This build cannot keep it secret.
    #[error("https:// needs a build with the feature tls")]
    NoTls,
    /// It carries a user name or a password.
    #[error("a user name or password in front of the host is not sent (leave out what stands before the @)")]
    Credentials,
    /// The host or the port is wrong.
    #[error(transparent)]
    Address(#[from] AddrError),
    /// The host is no name a request can bear.
    #[error("{0:?}: a host is written in ASCII (an international name as xn--...)")]
    Host(String),
    /// It has a character no address has.
    #[error("a path has visible ASCII characters and no # (write others as %20 and the like)")]
    Path,
    /// It is far too long.
    #[error("an address has at most {URL_BYTES_MAX} characters")]
    TooLong,
}

impl HttpUrl {
    /// Returns the address of something on a server, over TLS if the server's address says so; `target` begins
    /// with a slash.
    #[must_use]
    pub fn of(server: &ServerAddr, target: &str) -> Self {
        let (secure, server, target) = (server.is_tls(), server.clone(), target.to_owned());
        Self { secure, authority: server.authority(), server, target }
    }

    /// Tells whether the way there is encrypted.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Returns its host and port.
    #[must_use]
    pub fn server(&self) -> &ServerAddr {
        &self.server
    }

    /// Returns host and port as they were written, for the request's `Host`.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns path and query, for the server alone: they may be a secret.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Returns the whole address, secrets included.
    #[must_use]
    pub fn full(&self) -> String {
        format!("{}://{}{}", self.scheme(), self.authority, self.target)
    }

    fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}

/// The address as it may be shown and logged: who knows the path of a webhook may use it.
impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = if self.target == "/" { "/" } else { "/..." };
        write!(f, "{}://{}{rest}", self.scheme(), self.authority)
    }
}

impl FromStr for HttpUrl {
    type Err = HttpUrlError;

    fn from_str(text: &str) -> Result<Self, HttpUrlError> {
        let written = text.trim();
        if written.len() > URL_BYTES_MAX {
            return Err(HttpUrlError::TooLong);
        }
        let strip = |scheme: &str| {
            let (start, rest) = written.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(rest)
        };
        let (secure, rest) = match (strip("http://"), strip("https://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err(HttpUrlError::Scheme(written.to_owned())),
        };
        if secure && !cfg!(feature = "tls") {
            return Err(HttpUrlError::NoTls);
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(HttpUrlError::Credentials);
        }
        if !authority.is_ascii() || authority.contains('%') {
            return Err(HttpUrlError::Host(authority.to_owned()));
        }
        if !path.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
            return Err(HttpUrlError::Path);
        }
        let has_port = authority.rsplit(']').next().is_some_and(|tail| tail.contains(':'));
        let server = if authority.is_empty() || has_port {
            authority.parse()?
        } else {
            format!("{authority}:{}", if secure { 443 } else { 80 }).parse()?
        };
        let target = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { secure, server, authority: authority.to_owned(), target })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_the_way_people_write_it() {
        for (text, server, target) in [
            ("http://hq", "hq:80", "/"),
            (" HTTP://hq:81/a/b?c=d ", "hq:81", "/a/b?c=d"),
            ("http://hq?x", "hq:80", "/?x"),
            ("http://[::1]/x", "[::1]:80", "/x"),
            ("http://[::1]:81", "[::1]:81", "/"),
        ] {
            let url: HttpUrl = text.parse().unwrap();
            assert_eq!((url.server().to_string().as_str(), url.target()), (server, target), "{text}");
            assert!(!url.is_secure());
        }
        #[cfg(feature = "tls")]
        assert_eq!("https://hq/x".parse::<HttpUrl>().unwrap().server().to_string(), "hq:443");
    }

    #[test]
    fn what_nobody_can_ask_is_refused_with_a_hint() {
        for (text, hint) in [
            ("", "http://"),
            ("hq/hook", "http://"),
            ("file:///etc/passwd", "http://"),
            ("ftp://hq/", "http://"),
            ("http:/hq", "http://"),
            ("http://", "empty"),
            ("http:///path", "empty"),
            ("http://hq:0/", "1 to 65535"),
            ("http://ada:secret@hq/", "leave out"),
            ("http://büro/", "xn--"),
            ("http://hq/a b", "%20"),
            ("http://hq/a#b", "no #"),
            ("http://hq/\x1b[2J", "visible"),
        ] {
            let error = text.parse::<HttpUrl>().unwrap_err().to_string();
            assert!(error.contains(hint), "{text:?}: {error}");
            assert!(!error.contains("secret") && !error.chars().any(char::is_control), "{error:?}");
        }
        let long = format!("http://hq/{}", "a".repeat(URL_BYTES_MAX));
        assert_eq!(long.parse::<HttpUrl>(), Err(HttpUrlError::TooLong));
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        let url: HttpUrl = "http://hq/services/T0/s3cret".parse().unwrap();
        assert_eq!(url.to_string(), "http://hq/...");
        assert!(url.full().ends_with("s3cret"));
    }
}
