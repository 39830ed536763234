//! One conversation with a server, as decisions: what came in, what goes out, when it is over.
//!
//! Nothing here awaits or looks at a clock; [`super::session`] does both.

mod ending;
mod hearing;
mod waking;

use std::net::SocketAddr;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use fastrand::Rng;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::desk::Desk;
use super::heart::Heart;
use super::notice::Notice;
use crate::presence::Revision;
use crate::presence::command::Command;
use crate::presence::view::Link;
use crate::protocol::message::ErrorMessage;
use crate::protocol::register::Tags;
use crate::protocol::{Chat, ClientMessage, Ping, Register, ServerMessage, Update, clean};
pub use ending::Ending;
use ending::verdict;
use waking::Check;

/// How long a v1 server may take to say welcome; after that it is met as a base server.
const WELCOME_PATIENCE: Duration = Duration::from_secs(2);
/// How long after an error its connection must end for the error to be the cause.
const BLAME: Duration = Duration::from_secs(2);
/// How long a server's last words are listened to after nothing could be sent to it.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// The longest text of a server that is shown.
const WORDS_BYTES_MAX: usize = 512;

/// What a conversation starts with.
#[derive(Debug)]
pub struct Opening {
    /// The first line.
    pub register: Register,
    /// Labels as configured, without the note.
    pub tags: Vec<(String, String)>,
    /// How often to ping a server that does not say.
    pub interval: Duration,
    /// Where the server is.
    pub address: SocketAddr,
    /// The zero of this process's own clock.
    pub epoch: Instant,
    /// What the jitter comes from.
    pub rng: Rng,
}

/// Something that comes in.
#[derive(Debug)]
pub enum Input {
    /// A whole line.
    Line(BytesMut),
    /// Bytes that are no whole line yet: a sign of life all the same.
    Bytes,
    /// The connection ended.
    Closed(String),
    /// Somebody here wants something.
    Command(Command),
    /// The program stops.
    Cancelled,
    /// Nothing came in before the time asked for.
    Quiet,
}

/// How far the conversation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Registered, but not welcomed; until then.
    Greeting(Instant),
    /// With a base server since then.
    Legacy(Instant),
    /// With a v1 server since then.
    Welcomed(Instant),
}

/// The state of one conversation.
#[derive(Debug)]
pub struct Dialogue {
    opening: Opening,
    stage: Stage,
    heart: Heart,
    rev: Revision,
    spread: Option<Duration>,
    secret: Option<String>,
    leave_at: Option<Instant>,
    noted: Option<(ErrorMessage, Instant)>,
    /// The oldest unanswered ping at the time the server was found silent.
    silent: Option<Instant>,
    /// Whether nothing was there to be read when it was last looked.
    quiet: bool,
    /// What is to be found out after a sleep.
    check: Option<Check>,
    broken: Option<(String, Instant)>,
    outbox: Vec<u8>,
}

impl Dialogue {
    /// Starts with `register`.
    #[must_use]
    pub fn open(mut opening: Opening, holding: bool, now: Instant) -> Self {
        let first = ClientMessage::Register(Box::new(opening.register.clone())).encode();
        let heart = Heart::new(now, holding, opening.rng.fork());
        Self {
            opening,
            stage: Stage::Greeting(now + WELCOME_PATIENCE),
            heart,
            rev: Revision(0),
            spread: None,
            secret: None,
            leave_at: None,
            noted: None,
            silent: None,
            quiet: false,
            check: None,
            broken: None,
            outbox: first,
        }
    }

    /// Takes what waits to be sent.
    pub fn take_outbox(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outbox)
    }

    /// Takes the secret of a welcome that just came.
    pub fn take_secret(&mut self) -> Option<String> {
        self.secret.take()
    }

    /// Returns the spread of the first reconnect, if the server told one.
    #[must_use]
    pub fn spread(&self) -> Option<Duration> {
        self.spread
    }

    /// Tells whether the server let this client in.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.since().is_some()
    }

    /// Tells whether it has gone well for a whole interval.
    #[must_use]
    pub fn is_stable(&self, now: Instant) -> bool {
        self.since().is_some_and(|since| now - since >= self.heart.settings().interval())
    }

    /// Takes note that nothing can be sent any more; what the server still has to say is heard out.
    pub fn broke(&mut self, cause: String, now: Instant) {
        if self.broken.is_none() {
            self.broken = Some((cause, now + LAST_WORDS));
        }
    }

    /// Returns when [`Self::tick`] is wanted next, if nothing comes in before.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        let greeting = match self.stage {
            Stage::Greeting(until) => Some(until),
            _ => None,
        };
        let late = self.heart.late_at().filter(|_| self.silent.is_none());
        let broken = self.broken.as_ref().map(|(_, until)| *until);
        let beat = self.heart.next_ping().filter(|_| self.broken.is_none());
        [greeting, self.leave_at, beat, late, self.dead_at(), broken].into_iter().flatten().min()
    }

    /// Returns when the server is to be judged; a check after a sleep takes the place of the usual patience.
    fn dead_at(&self) -> Option<Instant> {
        self.check.map_or_else(|| self.heart.dead_at(), |check| Some(check.due()))
    }

    /// Does what is due, apart from giving the server up: that needs a look at what it sent.
    pub fn tick(&mut self, now: Instant, desk: &mut Desk) -> ControlFlow<Ending> {
        if matches!(self.stage, Stage::Greeting(until) if until <= now) {
            self.heart.fall_back(self.opening.interval, now);
            self.registered(Stage::Legacy(now), "", None, now, desk);
        }
        if self.leave_at.is_some_and(|at| at <= now) {
            self.leave("restart");
            return Break(Ending::Retry(Duration::ZERO, "the server asked this client to leave".to_owned()));
        }
        if self.heart.is_due(now) && self.broken.is_none() {
            self.ping(now, desk);
        }
        self.report(now, desk);
        Continue(())
    }

    /// Takes one thing that came in.
    pub fn handle(&mut self, input: Input, now: Instant, desk: &mut Desk) -> ControlFlow<Ending> {
        self.quiet = matches!(input, Input::Quiet);
        match input {
            Input::Line(line) => {
                self.heard(now);
                match ServerMessage::decode(&line) {
                    Ok(message) => return self.message(message, now, desk),
                    Err(error) => desk.bad_line(words(&error.to_string())),
                }
            }
            Input::Bytes => self.heard(now),
            Input::Closed(cause) => return Break(self.closed(cause, now)),
            Input::Command(command) => return self.command(command, now, desk),
            Input::Cancelled => return self.quit(),
            Input::Quiet => return self.judge(now, desk),
        }
        Continue(())
    }

    /// Gives the server up if it is time: nothing was there to be read when this is called.
    fn judge(&mut self, now: Instant, desk: &mut Desk) -> ControlFlow<Ending> {
        if let Some((cause, until)) = &self.broken
            && *until <= now
        {
            return Break(self.closed(cause.clone(), now));
        }
        self.check(now, desk)?;
        if self.dead_at().is_some_and(|at| at <= now) {
            let silence = crate::presence::span::brief(now - self.heart.last_heard());
            return Break(Ending::Lost(format!("nothing was heard from the server for {silence}")));
        }
        Continue(())
    }

    /// Says why a connection that the other side closed is over.
    fn closed(&mut self, cause: String, now: Instant) -> Ending {
        match self.noted.take() {
            Some((error, at)) if now - at <= BLAME => verdict(error),
            // Found dead after a sleep: there is no herd to keep apart from.
            _ if self.check.is_some() => Ending::Retry(Duration::ZERO, cause),
            _ => Ending::Lost(self.broken.take().map_or(cause, |(first, _)| first)),
        }
    }

    fn command(&mut self, command: Command, now: Instant, desk: &mut Desk) -> ControlFlow<Ending> {
        match command {
            Command::BeatNow => {
                if !matches!(self.stage, Stage::Greeting(_)) && self.broken.is_none() {
                    self.ping(now, desk);
                }
            }
            Command::Hold(holding) => {
                self.heart.hold(holding, now);
                desk.hold(holding);
            }
            Command::Reconnect => return Break(Ending::Again),
            Command::Awake { slept, suspended } => self.woke(slept, suspended, now, desk),
            Command::Note(note) => {
                desk.note(&note);
                let tags = Some(tags(&self.opening.tags, &desk.uplink.note));
                self.say(&ClientMessage::Update(Update { name: None, tags }));
            }
            Command::Dismiss(key) => desk.dismiss(key),
            Command::Quit => return self.quit(),
            Command::Say { words, at } => self.chat(&words, at, desk),
            Command::Show(_)
            | Command::Notify(_)
            | Command::Read { .. }
            | Command::Set(..)
            | Command::Kick(..)
            | Command::Acknowledge(_) => {}
        }
        Continue(())
    }

    /// Says something to everybody. The base server wants every field of it.
    fn chat(&mut self, message: &str, at: Duration, desk: &mut Desk) {
        if self.since().is_none() || self.broken.is_some() || desk.uplink.holding {
            return desk.say(Notice::Unsaid);
        }
        let timestamp = humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + at).to_string();
        self.say(&ClientMessage::Chat(Chat {
            from_ip: self.opening.register.client_ip.clone(),
            from_port: self.opening.register.client_port,
            message: clean::line(message, WORDS_BYTES_MAX),
            timestamp: Some(timestamp),
            channel: Some("general".to_owned()),
        }));
    }

    fn quit(&mut self) -> ControlFlow<Ending> {
        self.leave("quit");
        Break(Ending::Quit)
    }

    fn leave(&mut self, reason: &str) {
        self.say(&ClientMessage::Leave { reason: Some(reason.to_owned()) });
    }

    fn ping(&mut self, now: Instant, desk: &mut Desk) {
        let seq = self.heart.sent(now);
        desk.uplink.sent += 1;
        let ping = match self.stage {
            Stage::Welcomed(_) => Ping {
                seq: Some(seq),
                t: RawValue::from_string((now - self.opening.epoch).as_micros().to_string()).ok(),
                rev: Some(self.rev.0),
                rtt_us: self.heart.rtt().map(|rtt| u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX)),
            },
            // The base server's ping has no fields.
            _ => Ping::default(),
        };
        self.say(&ClientMessage::Ping(ping));
    }

    fn say(&mut self, message: &ClientMessage) {
        self.outbox.extend(message.encode());
    }

    /// Since when this client is registered.
    fn since(&self) -> Option<Instant> {
        match self.stage {
            Stage::Greeting(_) => None,
            Stage::Legacy(since) | Stage::Welcomed(since) => Some(since),
        }
    }

    /// Shows how the heart beats, and whether the server answers.
    fn report(&mut self, now: Instant, desk: &mut Desk) {
        let uplink = &mut desk.uplink;
        let was = (uplink.next_ping, uplink.last_ping, uplink.last_heard);
        uplink.next_ping = self.heart.next_ping().map(Instant::into_std);
        uplink.last_ping = self.heart.last_sent().map(Instant::into_std).or(uplink.last_ping);
        uplink.last_heard = Some(self.heart.last_heard().into_std());
        if was != (uplink.next_ping, uplink.last_ping, uplink.last_heard) {
            desk.touch();
        }
        let Some(since) = self.since() else { return };
        // After a sleep the answer may be there already, and only not be read yet.
        let looked = self.quiet || self.silent.is_some();
        let late = self
            .heart
            .oldest_unanswered()
            .filter(|_| looked && self.heart.late_at().is_some_and(|at| at <= now));
        self.silent = desk.answering(late, self.silent, now);
        let since = since.into_std();
        desk.link(late.map_or(Link::Online(since), |oldest| Link::Late(since, oldest.into_std())), now);
    }

    /// Counts the pings that will not be answered any more.
    pub fn over(&self, desk: &mut Desk) {
        (0..self.heart.unanswered()).for_each(|_| desk.beat(None));
        desk.uplink.next_ping = None;
    }
}

/// Returns the labels with the note among them.
#[must_use]
pub fn tags(tags: &[(String, String)], note: &str) -> Tags {
    let mut tags: Vec<_> = tags.iter().filter(|(key, _)| key != "note").cloned().collect();
    if !note.is_empty() {
        tags.push(("note".to_owned(), note.to_owned()));
    }
    Tags(tags)
}

/// Makes a server's text fit to be shown.
fn words(text: &str) -> Arc<str> {
    clean::line(text, WORDS_BYTES_MAX).into()
}
