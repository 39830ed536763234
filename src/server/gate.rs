//! Who may come in: the one place that looks at a token.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::handle::Origin;
use super::session::Ended;
use crate::presence::span::brief;
use crate::protocol::ErrorCode;
use crate::security::tls::ServerTls;
use crate::security::{Rights, Tokens, Tries};

/// Who is let in.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// The tokens that let somebody in; `None` lets everybody in.
    pub tokens: Option<Tokens>,
    /// What makes connections secret, if anything does.
    pub tls: Option<ServerTls>,
    /// Connections that are not are refused.
    pub require_tls: bool,
    /// Others can reach this server, and nothing is asked of them: worth a word on the screen.
    pub open: bool,
}

/// What a client is told that comes without TLS where it is asked for.
const TLS_ALONE: &str = "this server takes connections over TLS alone (write tls:// in front of its address)";

/// The guard on duty, and what it remembers.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// Replaced as a whole when the files are read again; locked for as long as a pointer takes.
    guard: Mutex<Arc<Guard>>,
    tries: Mutex<Tries>,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// A token is asked for, and none was given.
    Missing,
    /// It is none of the tokens.
    Wrong,
    /// Too many wrong ones came from this address; not even a right one is looked at for so long.
    ShutOut(Duration),
}

impl Denied {
    /// Says it to whoever knocked.
    pub(crate) fn words(self) -> String {
        match self {
            Self::Missing => "this server asks for a token, and none was given".to_owned(),
            Self::Wrong => "this is none of the server's tokens".to_owned(),
            Self::ShutOut(rest) => {
                format!("too many wrong tokens from this address; try again in {}", brief(rest))
            }
        }
    }

    /// Returns how a conversation ends with it: for good, but for those who only share an address with who guesses.
    fn ended(self) -> Ended {
        let retry_ms = match self {
            Self::Missing | Self::Wrong => None,
            Self::ShutOut(rest) => {
                let rest = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
                Some(rest.saturating_add(fastrand::u64(..5_000)))
            }
        };
        Ended::told(ErrorCode::Auth, self.words(), retry_ms)
    }
}

impl Gate {
    /// Puts other rules in force; whoever is in stays.
    pub(crate) fn set(&self, guard: Guard) {
        *lock(&self.guard) = Arc::new(guard);
    }

    /// Returns the rules in force.
    pub(crate) fn guard(&self) -> Arc<Guard> {
        lock(&self.guard).clone()
    }

    /// Looks at a `register` and its token: returns what its client may do, or how the conversation ends.
    pub(crate) fn admit(&self, now: Instant, origin: &Origin, token: Option<&str>) -> Result<Rights, Ended> {
        if self.guard().require_tls && !origin.secure {
            return Err(Ended::told(ErrorCode::Forbidden, TLS_ALONE, None));
        }
        match (origin.rights, token) {
            (Some(rights), None) => Ok(rights),
            _ => self.judge(now, origin.peer.ip(), token).map_err(Denied::ended),
        }
    }

    /// Looks at what somebody presented from an address.
    pub(crate) fn judge(
        &self,
        now: Instant,
        address: IpAddr,
        presented: Option<&str>,
    ) -> Result<Rights, Denied> {
        let guard = self.guard();
        let Some(tokens) = &guard.tokens else { return Ok(Rights::ALL) };
        // Nobody guesses with nothing: who has no token harms nobody who shares its address.
        let presented = presented.ok_or(Denied::Missing)?;
        if let Some(rest) = lock(&self.tries).shut_out(now, address) {
            return Err(Denied::ShutOut(rest));
        }
        tokens.rights(presented).ok_or_else(|| {
            lock(&self.tries).wrong(now, address);
            Denied::Wrong
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
