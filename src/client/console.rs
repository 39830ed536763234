//! What a client is told to do, and where it shows how it does.

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::session::at;
use crate::presence::command::Command;

/// The desk, and the two ways to be told something.
#[derive(Debug)]
pub struct Console {
    /// Where the state is shown.
    pub desk: Desk,
    /// What somebody wants.
    pub commands: mpsc::Receiver<Command>,
    /// Set when the program stops.
    pub cancel: CancellationToken,
}

/// What breaks into a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// Somebody wants to stop.
    Quit,
    /// Somebody wants to connect now.
    Now,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// It is over.
    Over,
    /// This machine or this process slept, and the wait may not be worth its while any more.
    Woke {
        /// For how long.
        slept: Duration,
        /// How much of that the clock the wait goes by does not know of.
        suspended: Duration,
    },
}

enum Meanwhile<T> {
    Done(T),
    Command(Command),
    Cancelled,
    Publish,
}

/// What became of one of the things that happen meanwhile.
enum Step<T> {
    Done(T),
    Woke(Duration, Duration),
    DealtWith,
}

impl Console {
    /// Waits for `work` without a connection, and does meanwhile what can be done without one.
    ///
    /// # Errors
    /// Somebody wants something that ends the wait.
    pub async fn until<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Interrupt> {
        let mut work = std::pin::pin!(work);
        loop {
            // An attempt goes on after a sleep: it has a limit of its own, and most end soon.
            if let Step::Done(done) = self.meanwhile(work.as_mut()).await? {
                return Ok(done);
            }
        }
    }

    /// Waits until heartbeats are no longer held back.
    ///
    /// # Errors
    /// Somebody wants something that ends the wait.
    pub async fn released(&mut self) -> Result<(), Interrupt> {
        while self.desk.uplink.holding {
            let _: Step<()> = self.meanwhile(std::pin::pin!(std::future::pending())).await?;
        }
        Ok(())
    }

    /// Waits for one thing to happen and deals with it; returns what `work` came to, if it was that.
    async fn meanwhile<T>(&mut self, work: Pin<&mut impl Future<Output = T>>) -> Result<Step<T>, Interrupt> {
        self.desk.publish_due(Instant::now());
        let publish = self.desk.publish_at();
        let next = tokio::select! {
            biased;
            () = self.cancel.cancelled() => Meanwhile::Cancelled,
            command = next_command(&mut self.commands) => Meanwhile::Command(command),
            done = work => Meanwhile::Done(done),
            () = at(publish) => Meanwhile::Publish,
        };
        match next {
            Meanwhile::Done(done) => return Ok(Step::Done(done)),
            Meanwhile::Cancelled | Meanwhile::Command(Command::Quit) => return Err(Interrupt::Quit),
            Meanwhile::Command(Command::Reconnect) => return Err(Interrupt::Now),
            Meanwhile::Command(Command::Awake { slept, suspended }) => {
                self.desk.suspended(suspended);
                return Ok(Step::Woke(slept, suspended));
            }
            Meanwhile::Command(Command::Hold(holding)) => self.desk.hold(holding),
            Meanwhile::Command(Command::Note(note)) => self.desk.note(&note),
            Meanwhile::Command(Command::Dismiss(key)) => self.desk.dismiss(key),
            Meanwhile::Command(_) | Meanwhile::Publish => {}
        }
        Ok(Step::DealtWith)
    }

    /// Waits until then, or until it is found that a sleep lay in between.
    ///
    /// # Errors
    /// Somebody wants something that ends the wait.
    pub async fn wait(&mut self, until: Instant) -> Result<Waited, Interrupt> {
        let mut sleep = std::pin::pin!(tokio::time::sleep_until(until));
        loop {
            match self.meanwhile(sleep.as_mut()).await? {
                Step::Done(()) => return Ok(Waited::Over),
                Step::Woke(slept, suspended) => return Ok(Waited::Woke { slept, suspended }),
                Step::DealtWith => {}
            }
        }
    }
}

/// Waits for a command; for ever, once nobody is left to give one.
pub(super) async fn next_command(commands: &mut mpsc::Receiver<Command>) -> Command {
    match commands.recv().await {
        Some(command) => command,
        None => std::future::pending().await,
    }
}
