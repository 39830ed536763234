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

enum Meanwhile<T> {
    Done(T),
    Command(Command),
    Cancelled,
    Publish,
}

impl Console {
    /// Waits for `work` without a connection, and does meanwhile what can be done without one.
    ///
    /// # Errors
    /// Somebody wants something that ends the wait.
    pub async fn until<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Interrupt> {
        let mut work = std::pin::pin!(work);
        loop {
            if let Some(done) = self.meanwhile(work.as_mut()).await? {
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
            let _: Option<()> = self.meanwhile(std::pin::pin!(std::future::pending())).await?;
        }
        Ok(())
    }

    /// Waits for one thing to happen and deals with it; returns what `work` came to, if it was that.
    async fn meanwhile<T>(
        &mut self,
        work: Pin<&mut impl Future<Output = T>>,
    ) -> Result<Option<T>, Interrupt> {
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
            Meanwhile::Done(done) => return Ok(Some(done)),
            Meanwhile::Cancelled | Meanwhile::Command(Command::Quit) => return Err(Interrupt::Quit),
            Meanwhile::Command(Command::Reconnect) => return Err(Interrupt::Now),
            Meanwhile::Command(Command::Hold(holding)) => self.desk.hold(holding),
            Meanwhile::Command(Command::Note(note)) => self.desk.note(&note),
            Meanwhile::Command(Command::Dismiss(key)) => self.desk.dismiss(key),
            Meanwhile::Command(_) | Meanwhile::Publish => {}
        }
        Ok(None)
    }

    /// Waits for so long, unless somebody wants to go on at once.
    ///
    /// # Errors
    /// Somebody wants something that ends the wait.
    pub async fn wait(&mut self, wait: Duration) -> Result<(), Interrupt> {
        self.until(tokio::time::sleep(wait)).await
    }
}

/// Waits for a command; for ever, once nobody is left to give one.
pub(super) async fn next_command(commands: &mut mpsc::Receiver<Command>) -> Command {
    match commands.recv().await {
        Some(command) => command,
        None => std::future::pending().await,
    }
}
