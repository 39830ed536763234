//! The loop: waits for the first of many things, lets the model take it in, and draws when something shows.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crossterm::event::Event;
use futures_util::{Stream, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::model::{Model, Now};
use super::terminal::{Stage, panics_elsewhere};
use super::update::{Effect, Msg, update};
use super::{Outcome, TuiError, input, snapshot, view, wake};
use crate::presence::command::Command;
use crate::presence::view::{Uplink, View};

/// How often the terminal is asked whether it is still there.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many messages at most are taken in before a frame is drawn.
const TAKEN_MAX: usize = 64;

/// Everything the loop listens to and talks to.
#[derive(Debug)]
pub struct Wires {
    /// Answers of the owner of the rows.
    pub views: watch::Receiver<Arc<View>>,
    /// News of the client's own connection.
    pub uplink: Option<watch::Receiver<Arc<Uplink>>>,
    /// What the operator asks for.
    pub commands: mpsc::Sender<Command>,
    /// Closes the screen.
    pub cancel: CancellationToken,
    /// Where snapshots are written.
    pub save_dir: PathBuf,
}

/// What the loop woke up for.
enum Woke {
    Cancelled,
    Input(Option<io::Result<Event>>),
    View,
    Uplink,
    Continued,
    Time,
    Look,
}

/// Runs a screen until it is cancelled, left, or lost.
///
/// # Errors
/// The terminal does not take frames any more, or is gone.
pub async fn show<S: Stage>(
    stage: &mut S,
    model: &mut Model,
    mut wires: Wires,
    mut events: impl Stream<Item = io::Result<Event>> + Unpin,
    clock: impl Fn() -> Now,
) -> Result<Outcome, TuiError> {
    let mut continued = Continued::new();
    let mut look = Instant::now() + LOOK_EVERY;
    let mut panics = panics_elsewhere();
    let mut due = vec![Msg::Tick];
    loop {
        for msg in due.drain(..) {
            for effect in update(model, clock(), msg) {
                if perform(stage, model, &wires, effect).map_err(TuiError::Draw)? {
                    return Ok(Outcome::Left);
                }
            }
        }
        if model.dirty {
            draw(stage, model, clock()).map_err(TuiError::Draw)?;
        }
        let next = wake::next(model).map(|at| at.saturating_duration_since(clock().mono));
        match wait(next, &mut wires, &mut events, &mut continued, look).await {
            Woke::Cancelled => return Ok(Outcome::Closed),
            Woke::Input(None) => return Err(TuiError::Lost),
            Woke::Input(Some(Err(error))) => return Err(TuiError::Input(error)),
            Woke::Input(Some(Ok(event))) => {
                due.extend(input::message(event));
                // Keys that came in one burst cost one frame.
                while due.len() < TAKEN_MAX
                    && let Some(Ok(event)) = at_hand(&mut events).await
                {
                    due.extend(input::message(event));
                }
            }
            Woke::View => due.push(Msg::View(wires.views.borrow_and_update().clone())),
            Woke::Uplink => {
                due.extend(
                    wires.uplink.as_mut().map(|uplink| Msg::Uplink(uplink.borrow_and_update().clone())),
                );
            }
            Woke::Continued => {
                stage.retake().map_err(TuiError::Draw)?;
                redraw(stage, model).map_err(TuiError::Draw)?;
            }
            Woke::Time => due.push(Msg::Tick),
            Woke::Look => {
                look = Instant::now() + LOOK_EVERY;
                if !stage.is_alive() {
                    return Err(TuiError::Lost);
                }
                if panics_elsewhere() != panics {
                    panics = panics_elsewhere();
                    due.push(Msg::Say("a task panicked; the log has the details".to_owned()));
                }
            }
        }
    }
}

/// Returns what is there already, without waiting.
///
/// With the task's own waker: crossterm keeps the waker of the poll that found
/// nothing, and a key that wakes nobody would act only with the next one.
async fn at_hand<T>(events: &mut (impl Stream<Item = T> + Unpin)) -> Option<T> {
    std::future::poll_fn(|cx| match events.poll_next_unpin(cx) {
        Poll::Ready(event) => Poll::Ready(event),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Waits for whatever comes first.
async fn wait(
    next: Option<Duration>,
    wires: &mut Wires,
    events: &mut (impl Stream<Item = io::Result<Event>> + Unpin),
    continued: &mut Continued,
    look: Instant,
) -> Woke {
    tokio::select! {
        biased;
        () = wires.cancel.cancelled() => Woke::Cancelled,
        event = events.next() => Woke::Input(event),
        () = changed(Some(&mut wires.views)) => Woke::View,
        () = changed(wires.uplink.as_mut()) => Woke::Uplink,
        () = continued.next() => Woke::Continued,
        () = sleep(next.unwrap_or(LOOK_EVERY)), if next.is_some() => Woke::Time,
        () = sleep_until(look) => Woke::Look,
    }
}

/// Waits for news; for ever when there is nobody left who could send any.
async fn changed<T>(feed: Option<&mut watch::Receiver<T>>) {
    if let Some(feed) = feed
        && feed.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

fn draw<S: Stage>(stage: &mut S, model: &mut Model, now: Now) -> io::Result<()> {
    model.now = now;
    stage.begin()?;
    stage.terminal().draw(|frame| view::draw(model, frame)).map_err(other)?;
    stage.end()?;
    model.drawn = Some(now);
    model.dirty = false;
    Ok(())
}

fn redraw<S: Stage>(stage: &mut S, model: &mut Model) -> io::Result<()> {
    // Not `Terminal::clear`, which asks the terminal where its cursor is and may never hear.
    let size = stage.terminal().size().map_err(other)?;
    stage
        .terminal()
        .resize(ratatui::layout::Rect::from((ratatui::layout::Position::ORIGIN, size)))
        .map_err(other)?;
    model.size = (size.width, size.height);
    model.dirty = true;
    Ok(())
}

fn other(error: impl std::error::Error) -> io::Error {
    io::Error::other(error.to_string())
}

/// Does what the model cannot; returns whether the screen is to be closed.
fn perform<S: Stage>(stage: &mut S, model: &mut Model, wires: &Wires, effect: Effect) -> io::Result<bool> {
    match effect {
        Effect::Leave => return Ok(true),
        Effect::Send(command) => send(model, wires, command),
        Effect::Bell => stage.bell()?,
        Effect::Copy(text) => stage.copy(&text)?,
        Effect::Mouse(on) => stage.mouse(on)?,
        Effect::Redraw => redraw(stage, model)?,
        Effect::Suspend => {
            stage.suspend()?;
            redraw(stage, model)?;
        }
        Effect::Save(text) => {
            let path = wires.save_dir.join(snapshot::file_name(model.now.wall));
            match std::fs::write(&path, text) {
                Ok(()) => model.say(format!("saved {}{}", path.display(), snapshot::extent(&model.live))),
                Err(error) => model.say(format!("could not write {}: {error}", path.display())),
            }
        }
    }
    Ok(false)
}

/// Sends without waiting: a busy owner of the rows must not stop the screen, nor the other way round.
fn send(model: &mut Model, wires: &Wires, command: Command) {
    use mpsc::error::TrySendError::{Closed, Full};
    match wires.commands.try_send(command) {
        // Closed: whoever listened has stopped, and whoever stopped it will close the screen.
        Ok(()) | Err(Closed(_)) => {}
        // The window is asked for again at the next look.
        Err(Full(Command::Show(_))) => model.asked = None,
        Err(Full(_)) => model.say("the server is busy and did not take that; try again"),
    }
}

/// The process was stopped and goes on: the terminal may be in any state.
#[cfg(unix)]
struct Continued(Option<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Continued {
    fn new() -> Self {
        let kind = tokio::signal::unix::SignalKind::from_raw(rustix::process::Signal::CONT.as_raw());
        Self(tokio::signal::unix::signal(kind).ok())
    }

    async fn next(&mut self) {
        if let Some(signal) = &mut self.0
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

#[cfg(not(unix))]
struct Continued;

#[cfg(not(unix))]
impl Continued {
    fn new() -> Self {
        Self
    }

    async fn next(&mut self) {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::{Mutex, PoisonError};
    use std::task::{Context, Waker};

    use super::*;

    /// Keys as crossterm yields them: the waker of the first poll that finds nothing is kept, later ones are not.
    #[derive(Clone, Default)]
    struct Keys(Arc<Mutex<(Option<char>, Option<Waker>)>>);

    impl Keys {
        fn press(&self, key: char) {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.0 = Some(key);
            if let Some(waker) = state.1.take() {
                waker.wake();
            }
        }
    }

    impl Stream for Keys {
        type Item = char;

        fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<char>> {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(key) = state.0.take() {
                return Poll::Ready(Some(key));
            }
            state.1.get_or_insert_with(|| cx.waker().clone());
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_pressed_after_a_look_for_more_is_not_left_waiting_for_the_next() {
        let mut keys = Keys::default();
        assert_eq!(at_hand(&mut keys).await, None);
        let later = keys.clone();
        tokio::spawn(async move {
            sleep(Duration::from_millis(10)).await;
            later.press('x');
        });
        let pressed = tokio::time::timeout(Duration::from_secs(1), keys.next()).await;
        assert_eq!(pressed, Ok(Some('x')));
    }
}
