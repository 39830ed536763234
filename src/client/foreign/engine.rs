//! The policy for a foreign server: connect, keep the beat, come back, for ever.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::mpsc;
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

use super::plan::{Payload, Plan};
use super::session::{Ending, Session};
use super::wire::Wire;
use crate::client::backoff::Backoff;
use crate::client::connect::{Connector, Unreached, reach};
use crate::client::console::{Console, Interrupt, Waited};
use crate::client::desk::Desk;
use crate::client::engine::Windows;
use crate::client::notice::Notice;
use crate::net::url::Scheme;
use crate::presence::command::Command;
use crate::presence::view::{Foreign, Link, Uplink};
use crate::security::tls::ClientTls;

/// How long a server may take from the connection to the first beat's turn: TLS and the WebSocket's handshake.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// A client of a foreign server, ready to run.
#[derive(Debug)]
pub struct ForeignEngine {
    plan: Arc<Plan>,
    replies: Vec<Payload>,
    connector: Box<dyn Connector>,
    console: Console,
    rng: Rng,
    backoff: Backoff,
    /// Attempts since the last success.
    attempt: u32,
    /// Since when there has been no connection.
    down_since: Option<Instant>,
    /// Made at the first attempt that needs it.
    tls: Option<ClientTls>,
}

impl ForeignEngine {
    /// Sets a client up; nothing happens before [`Self::run`].
    #[must_use]
    pub fn new(
        plan: Plan,
        connector: impl Connector + 'static,
        commands: mpsc::Receiver<Command>,
        cancel: CancellationToken,
        rng: Rng,
    ) -> (Self, Windows) {
        let (desk, state, notices) = Desk::open(first_uplink(&plan), Instant::now());
        let engine = Self {
            replies: plan.rules.iter().map(|(_, reply)| Payload::Text(reply.clone())).collect(),
            plan: Arc::new(plan),
            connector: Box::new(connector),
            console: Console { desk, commands, cancel },
            rng,
            backoff: Backoff::default(),
            attempt: 0,
            down_since: None,
            tls: None,
        };
        (engine, Windows { state, notices })
    }

    /// Puts a warning among the notices.
    pub fn warn(&mut self, words: impl Into<Arc<str>>) {
        self.console.desk.say(Notice::Warning(words.into()));
    }

    /// Stays connected until somebody here says stop: a foreign server cannot send anybody away for good.
    pub async fn run(mut self) {
        loop {
            let cause = match self.attempt().await {
                Ending::Quit => break,
                Ending::Again => continue,
                Ending::Lost(cause) => cause,
            };
            let pause = match self.sit_out(&cause).await {
                Ok(false) => self.pause(cause).await,
                Ok(true) => continue,
                Err(interrupt) => Err(interrupt),
            };
            match pause {
                Ok(()) | Err(Interrupt::Now) => {}
                Err(Interrupt::Quit) => break,
            }
        }
        self.console.desk.say(Notice::Left);
        self.console.desk.uplink.link = Link::Ended("left".to_owned());
        self.console.desk.publish(Instant::now());
    }

    /// Connects and keeps the beat, once.
    async fn attempt(&mut self) -> Ending {
        self.attempt = self.attempt.saturating_add(1);
        let server = self.console.desk.uplink.server.as_str().into();
        self.console.desk.say(Notice::Connecting { server, attempt: self.attempt });
        self.console.desk.link(Link::Connecting(self.attempt), Instant::now());
        let (wire, address) = match self.connect().await {
            Ok(connected) => connected,
            Err(Ending::Lost(cause)) => {
                self.console.desk.say(Notice::Failed { cause: cause.as_str().into() });
                return Ending::Lost(cause);
            }
            Err(ending) => return ending,
        };
        let now = Instant::now();
        self.connected(address, now);
        let plan = Arc::clone(&self.plan);
        let holding = self.console.desk.uplink.holding;
        let mut session = Session::new(&plan, &self.replies, holding, now);
        let ending = session.run(wire, &mut self.console).await;
        let now = Instant::now();
        if session.is_stable(now) {
            self.backoff.reset();
        }
        let cause = match &ending {
            Ending::Lost(cause) => cause.as_str(),
            Ending::Again => "a new connection was asked for",
            Ending::Quit => return ending,
        };
        self.console.desk.uplink.last_loss = Some((now.into_std(), cause.to_owned(), None));
        self.console.desk.say(Notice::Lost { cause: cause.into() });
        ending
    }

    /// Reaches the server, and begins to speak what its address says.
    async fn connect(&mut self) -> Result<(Wire, SocketAddr), Ending> {
        let url = &self.plan.url;
        let (stream, address, _) = reach(&*self.connector, url.server(), &mut self.console).await?;
        let tls = &mut self.tls;
        let opening = async {
            if url.scheme() == Scheme::Wss && tls.is_none() {
                *tls = Some(ClientTls::system().await?);
            }
            Wire::open(stream, url, tls.as_ref()).await
        };
        let opened = self.console.until(time::timeout(HANDSHAKE_PATIENCE, opening)).await?;
        match opened {
            Ok(Ok(wire)) => Ok((wire, address)),
            Ok(Err(cause)) => Err(Ending::Lost(cause)),
            Err(_) => {
                Err(Ending::Lost(format!("{address} took the connection, but did not answer within 10s")))
            }
        }
    }

    /// Takes note that there is a connection.
    fn connected(&mut self, address: SocketAddr, now: Instant) {
        self.attempt = 0;
        self.down_since = None;
        let uplink = &mut self.console.desk.uplink;
        uplink.address = Some(address);
        if let Some((when, _, back @ None)) = &mut uplink.last_loss {
            *back = Some(now.into_std().saturating_duration_since(*when));
            uplink.reconnects = uplink.reconnects.saturating_add(1);
        }
        let (transport, interval) = (self.plan.transport(), self.plan.settings.interval());
        self.console.desk.say(Notice::Connected { address, transport, interval });
        self.console.desk.link(Link::Online(now.into_std()), now);
    }

    /// Stays away while heartbeats are held back; returns whether it did.
    ///
    /// Whoever holds them back wants to see what a server does about it, and
    /// has seen it. To come back only to be silent again would show nothing.
    async fn sit_out(&mut self, cause: &str) -> Result<bool, Interrupt> {
        if !self.console.desk.uplink.holding {
            return Ok(false);
        }
        self.console.desk.say(Notice::SittingOut);
        self.offline(format!("{cause}; staying away while heartbeats are held back"), Duration::ZERO);
        self.console.released().await?;
        Ok(true)
    }

    /// Shows that there is no connection, and waits. A sleep ends the wait: it was for a world that is gone.
    async fn pause(&mut self, cause: String) -> Result<(), Interrupt> {
        let wait = self.backoff.next(&mut self.rng);
        let attempt = self.attempt.saturating_add(1);
        self.console.desk.say(Notice::Retrying { wait, attempt });
        self.offline(cause, wait);
        if let Waited::Woke { slept, suspended } = self.console.wait(Instant::now() + wait).await? {
            self.console.desk.say(Notice::Woke { slept, online: false });
            self.down_since = self.down_since.map(|since| since.checked_sub(suspended).unwrap_or(since));
            self.backoff.reset();
        }
        Ok(())
    }

    /// Shows that there is no connection.
    fn offline(&mut self, cause: String, wait: Duration) {
        let now = Instant::now();
        let since = self.down_since.get_or_insert(now).into_std();
        let (retry_at, attempt) = ((now + wait).into_std(), self.attempt.saturating_add(1));
        self.console.desk.link(Link::Offline { since, cause, retry_at, wait, attempt }, now);
    }
}

impl From<Unreached> for Ending {
    fn from(unreached: Unreached) -> Self {
        match unreached {
            Unreached::Interrupted(interrupt) => interrupt.into(),
            Unreached::Failed(cause) => Self::Lost(cause),
        }
    }
}

impl From<Interrupt> for Ending {
    fn from(interrupt: Interrupt) -> Self {
        match interrupt {
            Interrupt::Quit => Self::Quit,
            Interrupt::Now => Self::Again,
        }
    }
}

fn first_uplink(plan: &Plan) -> Uplink {
    let (transport, expects) = (plan.transport(), plan.expect.is_some());
    Uplink {
        legacy: true,
        foreign: Some(Foreign { transport, expects, received: 0 }),
        ..Uplink::new(plan.url.to_string(), plan.name.clone(), plan.settings)
    }
}
