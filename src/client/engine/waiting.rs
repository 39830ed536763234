//! Between two connections: how long to wait, and what ends a wait early.

use std::time::Duration;

use tokio::time::Instant;

use super::{Engine, HASTE_MAX, HASTE_WAIT};
use crate::client::console::{Interrupt, Waited};
use crate::client::notice::Notice;
use crate::presence::view::Link;

/// A wait before the next attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait {
    span: Duration,
    /// Whether the server asked for it.
    told: bool,
}

impl Engine {
    /// Returns the wait of a client that is on its own.
    pub(super) fn own_wait(&mut self) -> Wait {
        Wait { span: self.backoff.next(&mut self.rng), told: false }
    }

    /// Returns the wait a server asked for: exactly that, unless it makes this client spin.
    pub(super) fn told(&mut self, after: Duration) -> Wait {
        self.haste = if after < HASTE_WAIT { self.haste.saturating_add(1) } else { 0 };
        Wait { span: if self.haste > HASTE_MAX { HASTE_WAIT } else { after }, told: true }
    }

    /// Returns the wait a server asked for, or one of our own if it asked for none.
    pub(super) fn wait_of(&mut self, after: Option<Duration>) -> Wait {
        match after {
            Some(after) => self.told(after),
            None => self.own_wait(),
        }
    }

    /// Stays away while heartbeats are held back.
    ///
    /// Whoever holds them back wants to see a client that is gone. One that
    /// came back at once, only to fall silent again, would be neither.
    pub(super) async fn sit_out(&mut self, cause: &str) -> Result<(), Interrupt> {
        if !self.console.desk.uplink.holding {
            return Ok(());
        }
        self.console.desk.say(Notice::SittingOut);
        let cause = format!("{cause}; staying away while heartbeats are held back");
        self.offline(cause, Instant::now(), Duration::ZERO);
        self.console.released().await
    }

    /// Shows that there is no connection, and waits.
    ///
    /// A sleep ends a wait of our own: it was for a world that is gone, and so
    /// are the failures before it. What a server asked for holds as far as it
    /// has not passed by the server's clock.
    pub(super) async fn pause(&mut self, cause: String, wait: Wait) -> Result<(), Interrupt> {
        let attempt = self.attempt.saturating_add(1);
        self.console.desk.say(Notice::Retrying { wait: wait.span, attempt });
        let mut until = Instant::now() + wait.span;
        loop {
            self.offline(cause.clone(), until, wait.span);
            let Waited::Woke { slept, suspended } = self.console.wait(until).await? else { return Ok(()) };
            self.console.desk.say(Notice::Woke { slept, online: false });
            self.down_since = self.down_since.map(|since| since.checked_sub(suspended).unwrap_or(since));
            if !wait.told {
                self.backoff.reset();
                return Ok(());
            }
            until = until.checked_sub(suspended).unwrap_or_else(Instant::now);
        }
    }

    /// Shows that there is no connection.
    fn offline(&mut self, cause: String, retry_at: Instant, wait: Duration) {
        let now = Instant::now();
        let since = *self.down_since.get_or_insert(now);
        let link = Link::Offline {
            since: since.into_std(),
            cause,
            retry_at: retry_at.into_std(),
            wait,
            attempt: self.attempt.saturating_add(1),
        };
        self.console.desk.link(link, now);
    }
}
