//! The screen: what an operator sees of a fleet, and asks of it.
//!
//! It reads [`View`]s and [`Uplink`]s, sends [`Command`]s, and knows nothing
//! else. It runs on a thread of its own, so a terminal that stands still
//! delays no heartbeat and no signal.
//!
//! - [`engine`] is the loop, generic over what it draws on.
//! - [`model`] is plain data; [`update`](update::update()) changes it and says
//!   what to do outside; [`view`] draws it.
//! - [`keymap`] is the one table of keys.
//! - [`wake`] knows when time alone changes what is seen.
//! - [`terminal`] takes the terminal and gives it back.

pub mod columns;
pub mod engine;
pub mod format;
pub mod help;
pub mod input;
pub mod key;
pub mod keymap;
pub mod layout;
pub mod model;
pub mod snapshot;
pub mod terminal;
pub mod theme;
pub mod update;
pub mod view;
pub mod wake;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::presence::command::Command;
use crate::presence::view::{Sort, Uplink, View};
use columns::Column;
use engine::Wires;
use model::{Face, Model, Now};
use terminal::{Stage, Tty};
use theme::{Look, Theme};

pub use terminal::is_possible;

/// Which screen to show, and where its news come from.
#[derive(Debug)]
pub enum Screen {
    /// The server's.
    Serve {
        /// The address clients connect to.
        bound: SocketAddr,
        /// The exact line to type on another machine.
        join_line: String,
        /// Whether settings and clients may only be looked at.
        read_only: bool,
        /// Answers of the owner of the rows.
        views: watch::Receiver<Arc<View>>,
    },
    /// The client's.
    Join {
        /// How our own connection stands.
        uplink: watch::Receiver<Arc<Uplink>>,
        /// What is known of the others.
        peers: watch::Receiver<Arc<View>>,
    },
}

/// How the screen looks and behaves; `None` lets the terminal decide.
#[derive(Debug, Clone)]
pub struct Options {
    /// The colours.
    pub theme: Option<Theme>,
    /// Whether only ASCII may be drawn.
    pub ascii: Option<bool>,
    /// Whether a departure rings the bell.
    pub bell: bool,
    /// Whether a row that changes its state is drawn in reverse for a moment.
    pub motion: bool,
    /// The order of rows at the start.
    pub sort: Sort,
    /// The columns at the start, in order; empty for the usual ones.
    pub columns: Vec<Column>,
    /// Where snapshots are written.
    pub save_dir: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            theme: None,
            ascii: None,
            bell: true,
            motion: true,
            sort: Sort::State,
            columns: Vec::new(),
            save_dir: PathBuf::from("."),
        }
    }
}

/// How a screen ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was cancelled, usually after it sent [`Command::Quit`] itself.
    Closed,
    /// The operator would not wait for that, or it did not come in time: stop at once.
    Left,
}

/// Why a screen could not be shown any longer.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// Standard input or output is something else.
    #[error("no terminal to draw on (run with --headless)")]
    NoTerminal,
    /// The terminal refused.
    #[error("could not take the terminal: {0} (run with --headless)")]
    Take(#[source] io::Error),
    /// A frame could not be written.
    #[error("could not draw: {0}")]
    Draw(#[source] io::Error),
    /// Keys could not be read.
    #[error("could not read keys: {0}")]
    Input(#[source] io::Error),
    /// There is no terminal any more.
    #[error("the terminal is gone")]
    Lost,
    /// The terminal takes no more bytes.
    #[error("the terminal does not take anything any more")]
    Stalled,
    /// The thread could not be started.
    #[error("could not start the screen's thread: {0}")]
    Thread(#[source] io::Error),
    /// The screen has a fault; the report is on standard error or in the log.
    #[error("the screen failed; this is a fault of the program")]
    Panicked,
}

/// How long a cancelled screen may take to give the terminal back.
const LEAVE_GRACE: Duration = Duration::from_millis(500);

/// How often somebody other than the screen asks whether the terminal is still there.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// Shows a screen on a thread of its own until `cancel`, until the operator insists, or until the terminal is lost.
///
/// `q` sends [`Command::Quit`] and the screen stays up, saying that it stops,
/// until `cancel`; the operator can cut that short. The terminal is given back
/// before this returns. Dropping the future closes the screen as well.
///
/// # Errors
/// There is no terminal, or it does not work any more.
pub async fn run(
    screen: Screen,
    options: Options,
    commands: mpsc::Sender<Command>,
    cancel: CancellationToken,
) -> Result<Outcome, TuiError> {
    if !is_possible() {
        return Err(TuiError::NoTerminal);
    }
    let (done, mut ended) = oneshot::channel();
    let close = cancel.child_token();
    let _close_when_dropped = close.clone().drop_guard();
    let stage = move || {
        // An error here means nobody waits any more.
        let _ = done.send(on_this_thread(screen, &options, commands, close));
    };
    std::thread::Builder::new().name("screen".to_owned()).spawn(stage).map_err(TuiError::Thread)?;
    let cancelled = async {
        cancel.cancelled().await;
        tokio::time::sleep(LEAVE_GRACE).await;
    };
    // Not left to the screen alone: crossterm reads a dead terminal for ever, at times on the screen's own thread.
    let lost = async {
        while terminal::is_alive() {
            tokio::time::sleep(WATCH_EVERY).await;
        }
        tokio::time::sleep(LEAVE_GRACE).await;
    };
    tokio::select! {
        result = &mut ended => result.unwrap_or(Err(TuiError::Panicked)),
        () = lost => {
            terminal::abandon();
            Err(TuiError::Lost)
        }
        () = cancelled => {
            terminal::abandon();
            Err(TuiError::Stalled)
        }
    }
}

fn on_this_thread(
    screen: Screen,
    options: &Options,
    commands: mpsc::Sender<Command>,
    cancel: CancellationToken,
) -> Result<Outcome, TuiError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(TuiError::Thread)?;
    let look = Look::decide(options.theme, options.ascii, |name| std::env::var(name).ok());
    let mut tty = Tty::take(look.colourless).map_err(TuiError::Take)?;
    let size = tty.terminal().size().map_err(TuiError::Take)?;
    let result = runtime.block_on(async {
        let (mut model, wires) = set_up(screen, options, look, (size.width, size.height), commands, cancel);
        let events = crossterm::event::EventStream::new();
        engine::show(&mut tty, &mut model, wires, events, clock).await
    });
    drop(tty);
    result
}

/// Makes the model of a screen and the wires of its loop.
fn set_up(
    screen: Screen,
    options: &Options,
    look: Look,
    size: (u16, u16),
    commands: mpsc::Sender<Command>,
    cancel: CancellationToken,
) -> (Model, Wires) {
    let (face, mut views, uplink) = match screen {
        Screen::Serve { bound, join_line, read_only, views } => {
            (Face::Serve { bound, join_line, read_only }, views, None)
        }
        Screen::Join { mut uplink, peers } => {
            let first = uplink.borrow_and_update().clone();
            (Face::Join(first), peers, Some(uplink))
        }
    };
    let first = views.borrow_and_update().clone();
    let mut model = Model::new(face, look, size, first, clock());
    model.bell.enabled = options.bell;
    model.motion = options.motion;
    model.table.sort = options.sort;
    if !options.columns.is_empty() {
        model.table.columns = arranged(&options.columns);
    }
    (model, Wires { views, uplink, commands, cancel, save_dir: options.save_dir.clone() })
}

/// Puts the chosen columns first, in their order, and the others behind them, hidden.
fn arranged(chosen: &[Column]) -> Vec<(Column, bool)> {
    let hidden = Column::ALL.into_iter().filter(|column| !chosen.contains(column));
    let mut out: Vec<(Column, bool)> = Vec::new();
    for column in chosen {
        if !out.contains(&(*column, true)) {
            out.push((*column, true));
        }
    }
    out.extend(hidden.map(|column| (column, false)));
    out
}

/// Reads both clocks.
#[expect(clippy::disallowed_methods, reason = "the header shows the time of day")]
fn clock() -> Now {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Now { mono: tokio::time::Instant::now().into_std(), wall }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_columns_come_first_and_the_others_can_still_be_switched_on() {
        let columns = arranged(&[Column::Name, Column::Up, Column::Name]);
        assert_eq!(columns.get(..2), Some(&[(Column::Name, true), (Column::Up, true)][..]));
        assert_eq!(columns.len(), Column::ALL.len());
        assert!(columns.iter().skip(2).all(|(_, shown)| !shown));
    }

    #[tokio::test]
    async fn without_a_terminal_it_says_what_to_do() {
        if is_possible() {
            return;
        }
        let (_views, views) = watch::channel(Arc::new(nothing()));
        let screen = Screen::Serve {
            bound: SocketAddr::from(([0, 0, 0, 0], 8080)),
            join_line: String::new(),
            read_only: false,
            views,
        };
        let (commands, _asked) = mpsc::channel(1);
        let error = run(screen, Options::default(), commands, CancellationToken::new()).await.unwrap_err();
        assert!(error.to_string().contains("--headless"));
    }

    fn nothing() -> View {
        View {
            at: clock().mono,
            counts: crate::presence::row::Counts::default(),
            connecting: 0,
            open: false,
            max_clients: 0,
            settings: crate::presence::Settings::default(),
            asked: crate::presence::Settings::default(),
            rev: crate::presence::Revision(1),
            rollout: crate::presence::view::Rollout::default(),
            matched: 0,
            offset: 0,
            rows: Vec::new(),
            grouped: None,
            selected: None,
            alerts: crate::presence::view::Alerts::default(),
            hold: None,
            outlook: None,
            posted: Vec::new(),
            reach: None,
            record: crate::presence::trust::TrackRecord::default(),
            events: Vec::new(),
        }
    }
}
