//! One connection to a foreign server: bytes, the clock, and what is made of both.

use std::time::Duration;

use tokio::time::Instant;

use super::plan::{Payload, Plan};
use super::pulse::Pulse;
use super::rules::{Ears, Reaction};
use super::wire::{Heard, Wire};
use crate::client::console::{Console, next_command};
use crate::client::session::at;
use crate::presence::command::Command;
use crate::presence::span::brief;
use crate::presence::view::Link;

/// How long a server may take nothing in of what is sent to it.
const SEND_PATIENCE: Duration = Duration::from_secs(5);
/// How long is read on after a beat has waited too long for its answer, should there still be something to read.
///
/// After a pause of our own the answer may be among it. A server that talks
/// without end and answers nothing gets no more than this.
const READ_ON: Duration = Duration::from_secs(1);

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Somebody here wants to stop.
    Quit,
    /// Somebody here wants a new connection.
    Again,
    /// It is gone, and why.
    Lost(String),
}

/// One connection.
pub(super) struct Session<'a> {
    plan: &'a Plan,
    replies: &'a [Payload],
    pulse: Pulse,
    ears: Ears,
    since: Instant,
    /// The oldest unanswered beat at the time the server was found silent.
    silent: Option<Instant>,
    /// Since when a beat has waited too long for its answer.
    overdue: Option<Instant>,
}

enum News {
    Cancelled,
    Command(Command),
    Beat,
    Heard(Heard),
    Quiet,
}

impl<'a> Session<'a> {
    /// Takes over a connection that has just been opened.
    #[must_use]
    pub(super) fn new(plan: &'a Plan, replies: &'a [Payload], holding: bool, now: Instant) -> Self {
        let expect = plan.expect.as_deref();
        Self {
            plan,
            replies,
            pulse: Pulse::new(plan.settings.interval(), expect.is_some(), holding, now),
            ears: Ears::new(expect, plan.rules.iter().map(|(on, _)| on.as_str())),
            since: now,
            silent: None,
            overdue: None,
        }
    }

    /// Tells whether it has gone well for a whole interval.
    #[must_use]
    pub(super) fn is_stable(&self, now: Instant) -> bool {
        now - self.since >= self.plan.settings.interval()
    }

    /// Beats, listens and replies until one side has had enough.
    pub(super) async fn run(&mut self, mut wire: Wire, console: &mut Console) -> Ending {
        let ending = loop {
            let now = Instant::now();
            if let Err(cause) = self.tick(&mut wire, now, console) {
                break Ending::Lost(cause);
            }
            self.report(now, console);
            console.desk.publish_due(now);
            let news = self.next(&mut wire, console).await;
            match self.take(news, &mut wire, console) {
                Ok(None) => {}
                Ok(Some(ending)) => break ending,
                Err(cause) => break Ending::Lost(cause),
            }
        };
        (0..self.pulse.unanswered()).for_each(|_| console.desk.beat(None));
        console.desk.uplink.next_ping = None;
        wire.goodbye().await;
        ending
    }

    /// Waits for whatever comes first; a beat that is due comes before anything the server says.
    async fn next(&self, wire: &mut Wire, console: &mut Console) -> News {
        let late = self.pulse.late_at().filter(|_| self.silent.is_none());
        let stuck = wire.unsent_since().map(|since| since + SEND_PATIENCE);
        let wake = [late, self.pulse.dead_at(), stuck, console.desk.publish_at()].into_iter().flatten().min();
        tokio::select! {
            biased;
            () = console.cancel.cancelled() => News::Cancelled,
            command = next_command(&mut console.commands) => News::Command(command),
            () = at(self.pulse.next_beat()) => News::Beat,
            heard = wire.hear() => News::Heard(heard),
            () = at(wake) => News::Quiet,
        }
    }

    /// Beats if it is time, and gives up a server that takes nothing in, or talks on without an answer.
    fn tick(&mut self, wire: &mut Wire, now: Instant, console: &mut Console) -> Result<(), String> {
        if wire.unsent_since().is_some_and(|since| now - since >= SEND_PATIENCE) {
            return Err("the server takes nothing in: nothing could be sent for 5s".to_owned());
        }
        if self.pulse.is_due(now) {
            self.beat(wire, now, console)?;
        }
        if self.pulse.dead_at().is_none_or(|at| now < at) {
            self.overdue = None;
        } else if now - *self.overdue.get_or_insert(now) >= READ_ON {
            return Err(self.verdict(now));
        }
        Ok(())
    }

    fn take(&mut self, news: News, wire: &mut Wire, console: &mut Console) -> Result<Option<Ending>, String> {
        let now = Instant::now();
        match news {
            News::Cancelled | News::Command(Command::Quit) => return Ok(Some(Ending::Quit)),
            News::Command(Command::Reconnect) => return Ok(Some(Ending::Again)),
            News::Command(Command::BeatNow) => self.pulse_now(wire, now, console)?,
            News::Command(Command::Hold(holding)) => {
                self.pulse.hold(holding, now);
                console.desk.hold(holding);
            }
            News::Command(Command::Note(note)) => console.desk.note(&note),
            News::Command(_) | News::Beat => {}
            News::Heard(heard) => self.heard(heard, wire, now, console)?,
            News::Quiet => self.judge(now)?,
        }
        Ok(None)
    }

    /// Gives the server up if it is time: nothing was there to be read when this is called.
    fn judge(&self, now: Instant) -> Result<(), String> {
        match self.pulse.dead_at() {
            Some(at) if at <= now => Err(self.verdict(now)),
            _ => Ok(()),
        }
    }

    fn verdict(&self, now: Instant) -> String {
        let waited = self.pulse.oldest_unanswered().map_or(Duration::ZERO, |sent| now - sent);
        format!("the server has not answered a beat for {}", brief(waited))
    }

    /// Beats out of turn.
    fn pulse_now(&mut self, wire: &mut Wire, now: Instant, console: &mut Console) -> Result<(), String> {
        self.pulse.hurry(now);
        self.beat(wire, now, console)
    }

    fn beat(&mut self, wire: &mut Wire, now: Instant, console: &mut Console) -> Result<(), String> {
        if wire.beat(&self.plan.payload, now)? {
            self.pulse.beat(now);
            console.desk.uplink.sent += 1;
            console.desk.touch();
        } else {
            self.pulse.skip(now);
        }
        Ok(())
    }

    fn heard(
        &mut self,
        heard: Heard,
        wire: &mut Wire,
        now: Instant,
        console: &mut Console,
    ) -> Result<(), String> {
        let (reaction, received) = match heard {
            Heard::Message(message) => (self.ears.message(&message), 1),
            Heard::Bytes(bytes) => (self.ears.bytes(&bytes), bytes.len()),
            Heard::Control => (Reaction::default(), 0),
            Heard::Closed(cause) => return Err(cause),
        };
        let uplink = &mut console.desk.uplink;
        uplink.last_heard = Some(now.into_std());
        if let Some(foreign) = &mut uplink.foreign {
            foreign.received = foreign.received.saturating_add(u64::try_from(received).unwrap_or(u64::MAX));
        }
        console.desk.touch();
        for _ in 0..reaction.answers.min(self.pulse.unanswered()) {
            if let Some(answer) = self.pulse.answered(now) {
                console.desk.beat(Some(answer.rtt));
            }
        }
        // Whoever holds heartbeats back wants to be taken for dead, so no reply must show life either.
        if !console.desk.uplink.holding {
            for rule in reaction.replies {
                if let Some(reply) = self.replies.get(rule) {
                    wire.queue(reply, now)?; // What there is no room for is not sent: the server does not read.
                }
            }
        }
        Ok(())
    }

    /// Shows how the pulse goes, and whether the server answers.
    fn report(&mut self, now: Instant, console: &mut Console) {
        let desk = &mut console.desk;
        let next = self.pulse.next_beat().map(Instant::into_std);
        if desk.uplink.next_ping != next {
            desk.uplink.next_ping = next;
            desk.touch();
        }
        let late =
            self.pulse.oldest_unanswered().filter(|_| self.pulse.late_at().is_some_and(|at| at <= now));
        self.silent = desk.answering(late, self.silent, now);
        let since = self.since.into_std();
        desk.link(late.map_or(Link::Online(since), |oldest| Link::Late(since, oldest.into_std())), now);
    }
}
