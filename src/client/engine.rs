//! The client's policy: connect, converse, come back, for ever.

mod waiting;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::connect::{Connector, Reached, Unreached, reach};
use super::console::{Console, Interrupt};
use super::desk::{Desk, JoinState};
use super::dialogue::{self, Dialogue, Ending, Opening};
use super::heart::legacy_settings;
use super::identity::Identity;
use super::notice::Notice;
use super::peers::base_id;
use super::session::converse;
use crate::net::addr::ServerAddr;
use crate::presence::command::Command;
use crate::presence::row::Claim;
use crate::presence::view::{Link, Uplink};
use crate::protocol::{ErrorCode, Register, VERSION, clean};

/// How often in a row a server may say "come back at once" before that is taken with a grain of salt.
const HASTE_MAX: u32 = 3;
/// The shortest wait after that.
const HASTE_WAIT: Duration = Duration::from_millis(100);

/// What a client is told before it starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the server is.
    pub server: ServerAddr,
    /// What to call this client.
    pub name: String,
    /// The person it belongs to.
    pub user: Option<String>,
    /// Which of the person's devices it is.
    pub device: Option<String>,
    /// Labels.
    pub tags: Vec<(String, String)>,
    /// The address to claim, in place of the one the connection has.
    pub advertise: Option<Claim>,
    /// The token that lets it in.
    pub token: Option<String>,
    /// How often to ping a server that does not say, at most every minute.
    pub interval: Duration,
}

/// A client, ready to run.
#[derive(Debug)]
pub struct Engine {
    options: Options,
    identity: Identity,
    connector: Box<dyn Connector>,
    console: Console,
    rng: Rng,
    backoff: Backoff,
    epoch: Instant,
    /// Attempts since the last success.
    attempt: u32,
    /// Connections of this process.
    conn: u64,
    /// How often in a row the server said "come back at once".
    haste: u32,
    /// Since when there has been no connection.
    down_since: Option<Instant>,
    /// What it asks the server to be told about.
    wants: Vec<String>,
}

/// What a client shows of itself.
#[derive(Debug)]
pub struct Windows {
    /// Its state, at most 10 times a second.
    pub state: watch::Receiver<Arc<JoinState>>,
    /// What happens, in order; what nobody reads in time is dropped and counted.
    pub notices: mpsc::Receiver<Notice>,
}

/// Why a client ended for good.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JoinError {
    /// The server does not want it back.
    #[error("{server} sent this client away for good: {code}: {message} ({})", advice(*.code))]
    Refused {
        /// The server.
        server: String,
        /// What kind of error.
        code: ErrorCode,
        /// The server's words.
        message: String,
    },
}

/// Says what can be done about a final error.
fn advice(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Auth => "give the token this server asks for",
        ErrorCode::Forbidden => "ask whoever runs the server to allow this client",
        ErrorCode::BadRequest => "check the name, id, tags and advertised address given to join",
        ErrorCode::Version => "use a version of presence-tui that fits the server's",
        ErrorCode::Replaced => {
            "another client took over this id; stop one of them, or give each its own --id"
        }
        ErrorCode::IdConflict => "another machine uses this id; give each machine its own --id",
        ErrorCode::Kicked => "ask whoever runs the server, or join again later",
        _ => "ask whoever runs the server",
    }
}

impl Engine {
    /// Sets a client up; nothing happens before [`Self::run`].
    #[must_use]
    pub fn new(
        options: Options,
        identity: Identity,
        connector: impl Connector + 'static,
        commands: mpsc::Receiver<Command>,
        cancel: CancellationToken,
        rng: Rng,
    ) -> (Self, Windows) {
        let now = Instant::now();
        let (desk, state, notices) = Desk::open(first_uplink(&options, &identity), now);
        let engine = Self {
            options,
            identity,
            connector: Box::new(connector),
            console: Console { desk, commands, cancel },
            rng,
            backoff: Backoff::default(),
            epoch: now,
            attempt: 0,
            conn: 0,
            haste: 0,
            down_since: None,
            wants: vec!["roster".to_owned()],
        };
        (engine, Windows { state, notices })
    }

    /// Does not ask who else is there: a fleet of thousands in one process would keep millions of peers.
    #[must_use]
    pub fn without_roster(mut self) -> Self {
        self.wants.clear();
        self
    }

    /// Puts a warning among the notices, such as those of [`Identity::open`].
    pub fn warn(&mut self, words: impl Into<Arc<str>>) {
        self.console.desk.say(Notice::Warning(words.into()));
    }

    /// Stays connected until somebody here, or the server for good, says stop.
    ///
    /// # Errors
    /// The server does not want this client back.
    pub async fn run(mut self) -> Result<(), JoinError> {
        loop {
            let (cause, wait) = match self.attempt().await {
                Ending::Quit => break,
                Ending::Final(code, message) => return Err(self.ended(code, message)),
                Ending::Again => continue,
                Ending::Lost(cause) => (cause, self.own_wait()),
                Ending::Retry(after, cause) => (cause, self.told(after)),
                Ending::TimedOut(after, cause) => match self.sit_out(&cause).await {
                    Ok(()) => (cause, self.wait_of(after)),
                    Err(Interrupt::Now) => continue,
                    Err(Interrupt::Quit) => break,
                },
            };
            match self.pause(cause, wait).await {
                Ok(()) | Err(Interrupt::Now) => {}
                Err(Interrupt::Quit) => break,
            }
        }
        self.left();
        Ok(())
    }

    /// Connects and converses, once.
    async fn attempt(&mut self) -> Ending {
        self.attempt = self.attempt.saturating_add(1);
        let now = Instant::now();
        let server = self.options.server.written().into();
        self.console.desk.say(Notice::Connecting { server, attempt: self.attempt });
        self.console.desk.link(Link::Connecting(self.attempt), now);
        let (stream, address, local) = match self.connect().await {
            Ok(connected) => connected,
            Err(Ending::Lost(cause)) => {
                self.console.desk.say(Notice::Failed { cause: cause.as_str().into() });
                return Ending::Lost(cause);
            }
            Err(ending) => return ending,
        };
        let now = Instant::now();
        let opening = self.opening(address, local);
        self.console.desk.uplink.address = Some(address);
        self.console.desk.peers.reconnected();
        let holding = self.console.desk.uplink.holding;
        let mut dialogue = Dialogue::open(opening, holding, now);
        // On the heap: a conversation's future is far larger than what surrounds it.
        let talk = converse(stream, &mut dialogue, &mut self.identity, &mut self.console);
        let ending = Box::pin(talk).await;
        self.conversed(&dialogue, &ending);
        ending
    }

    /// Looks the server up afresh, and tries each of its addresses.
    async fn connect(&mut self) -> Result<Reached, Ending> {
        let reached = reach(&*self.connector, &self.options.server, &mut self.console).await;
        reached.map_err(|unreached| match unreached {
            Unreached::Interrupted(interrupt) => interrupt.into(),
            Unreached::Failed(cause) => Ending::Lost(cause),
        })
    }

    /// Prepares the first line.
    fn opening(&mut self, address: SocketAddr, local: Option<SocketAddr>) -> Opening {
        self.conn += 1;
        let (options, identity, desk) = (&self.options, &self.identity, &mut self.console.desk);
        let claim = options.advertise.clone().unwrap_or_else(|| {
            let local = local.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
            Claim { ip: local.ip().to_canonical().to_string().into(), port: local.port() }
        });
        desk.peers.set_me(vec![identity.id().to_owned(), base_id(&claim.ip, claim.port, 1)]);
        let register = Register {
            client_ip: claim.ip.to_string(),
            client_port: claim.port,
            v: Some(VERSION.into()),
            id: Some(identity.id().to_owned()),
            generation: Some(identity.generation()),
            conn: Some(self.conn),
            name: Some(options.name.clone()),
            user: options.user.clone(),
            device: options.device.clone(),
            platform: Some(format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH)),
            tags: dialogue::tags(&options.tags, &desk.uplink.note),
            want: self.wants.clone(),
            resume: identity.resume().map(str::to_owned),
            token: options.token.clone(),
        };
        Opening {
            register,
            tags: options.tags.clone(),
            interval: options.interval,
            address,
            epoch: self.epoch,
            rng: self.rng.fork(),
        }
    }

    /// Takes from a conversation what matters for the next one.
    fn conversed(&mut self, dialogue: &Dialogue, ending: &Ending) {
        let now = Instant::now();
        if let Some(spread) = dialogue.spread() {
            self.backoff.set_spread(spread);
        }
        if dialogue.is_stable(now) {
            self.backoff.reset();
            self.haste = 0;
        }
        if !dialogue.is_registered() {
            return;
        }
        self.attempt = 0;
        self.down_since = None;
        let cause = match ending {
            Ending::Lost(cause) | Ending::Retry(_, cause) | Ending::TimedOut(_, cause) => cause.as_str(),
            Ending::Again => "a new connection was asked for",
            Ending::Quit | Ending::Final(..) => return,
        };
        self.console.desk.uplink.last_loss = Some((now.into_std(), cause.to_owned(), None));
        self.console.desk.say(Notice::Lost { cause: cause.into() });
    }

    fn left(&mut self) {
        self.console.desk.say(Notice::Left);
        self.console.desk.uplink.link = Link::Ended("left".to_owned());
        self.console.desk.publish(Instant::now());
    }

    fn ended(&mut self, code: ErrorCode, message: String) -> JoinError {
        self.console.desk.uplink.link = Link::Ended(format!("{code}: {message}"));
        self.console.desk.publish(Instant::now());
        JoinError::Refused { server: self.options.server.to_string(), code, message }
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

fn first_uplink(options: &Options, identity: &Identity) -> Uplink {
    let note = options.tags.iter().find(|(key, _)| key == "note").map(|(_, note)| clean::name(note));
    Uplink {
        id: identity.id().to_owned(),
        note: note.unwrap_or_default(),
        ..Uplink::new(
            options.server.written().to_owned(),
            clean::name(&options.name),
            legacy_settings(options.interval),
        )
    }
}

#[cfg(test)]
mod tests;
