//! What the model is made of: the table, the events, what is asked, what is under way.

use std::sync::Arc;
use std::time::Instant;

use tui_input::Input;

use super::Now;
use crate::presence::notify::Target;
use crate::presence::view::{Grouping, Letter, RowView, Sort, View};
use crate::presence::{RowKey, Settings, State};
use crate::tui::columns::Column;

/// A view that stands still.
#[derive(Debug, Clone)]
pub struct Paused {
    /// Since when.
    pub since: Now,
    /// What it shows.
    pub view: Arc<View>,
}

/// What the table shows.
#[derive(Debug, Clone)]
pub struct Table {
    /// The selected row.
    pub selected: Option<RowKey>,
    /// The place to select as soon as its row is known.
    pub goto: Option<usize>,
    /// The first row on the screen, among all that match.
    pub top: usize,
    /// The order.
    pub sort: Sort,
    /// The other way round.
    pub reversed: bool,
    /// Only rows that contain this.
    pub filter: String,
    /// Only rows in these states; empty for all.
    pub states: Vec<State>,
    /// By what rows are grouped, if they are.
    pub group: Option<Grouping>,
    /// The groups whose members are hidden.
    pub folded: Vec<RowKey>,
    /// The columns, in order, and whether each is shown.
    pub columns: Vec<(Column, bool)>,
    /// When the selection was last moved.
    pub moved: Option<Instant>,
}

impl Table {
    /// Returns the columns that are shown, in order.
    #[must_use]
    pub fn shown(&self) -> Vec<Column> {
        self.columns.iter().filter(|(_, shown)| *shown).map(|(column, _)| *column).collect()
    }

    /// Tells whether only problems are shown.
    #[must_use]
    pub fn problems_only(&self) -> bool {
        self.states == PROBLEMS
    }
}

/// The states that need somebody to look.
pub const PROBLEMS: [State; 2] = [State::Late, State::TimedOut];

/// What the events panel shows.
#[derive(Debug, Clone, Copy)]
pub struct Events {
    /// Whether it is wanted.
    pub shown: bool,
    /// How many of the newest are below its last line; 0 follows.
    pub back: usize,
    /// When the newest came, for the small screens that show it for a while.
    pub newest: Option<Instant>,
}

/// A short answer to a key, gone after a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flash {
    /// What it says.
    pub words: String,
    /// Until when.
    pub until: Instant,
}

/// A change of settings on its way.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Steps made by keys and not sent yet, and when the last was made.
    pub nudge: Option<(Settings, Instant)>,
    /// What was sent, and when; kept until an answer shows it.
    pub sent: Option<(Settings, Instant)>,
    /// What was in force before each change made here, newest last.
    pub undo: Vec<Settings>,
}

/// When the bell rings.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bell {
    /// Whether it may at all.
    pub enabled: bool,
    /// Whether the operator wants silence for now.
    pub muted: bool,
    /// When it last rang.
    pub rang: Option<Instant>,
}

/// One of the two settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The heartbeat interval.
    Interval,
    /// The connection timeout.
    Timeout,
}

impl Which {
    /// Returns its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Interval => "interval",
            Self::Timeout => "timeout",
        }
    }

    /// Returns the other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Interval => Self::Timeout,
            Self::Timeout => Self::Interval,
        }
    }
}

/// Values being typed.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// Which one is under the cursor.
    pub which: Which,
    /// The text of the interval.
    pub interval: Input,
    /// The text of the timeout.
    pub timeout: Input,
}

/// A message to clients that is being written.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Whom it can go to, with what they are called.
    pub targets: Vec<(String, Target)>,
    /// Which of them it will.
    pub at: usize,
    /// What it says so far.
    pub input: Input,
}

impl Draft {
    /// Returns whom it will go to.
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        self.targets.get(self.at).map(|(_, target)| target)
    }
}

/// What is asked.
#[derive(Debug, Clone)]
pub enum Dialog {
    /// The help, scrolled, with what is searched for.
    Help {
        /// Lines above the first shown.
        scroll: usize,
        /// Only lines that contain this.
        search: Option<Input>,
    },
    /// A filter, in force while it is typed.
    Filter(Input),
    /// New settings.
    Settings(Prompt),
    /// Whether to disconnect this row, as it was when asked.
    Disconnect(Box<RowView>),
    /// Whether to forget all rows that are gone.
    DismissAll(usize),
    /// Whether to stop the server.
    Quit,
    /// Whether to stop the process for a while.
    Suspend,
    /// Which columns to show; the line under the cursor.
    Columns(usize),
    /// The note others see.
    Note(Input),
    /// A message to clients.
    Write(Box<Draft>),
    /// A line of chat.
    Chat(Input),
    /// A notification, and when it came.
    Letter(Instant, Arc<Letter>),
}

/// What the line below the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Banner {
    /// The program is on its way out.
    Stopping,
    /// The view stands still.
    Paused,
    /// Heartbeats are held back.
    Holding,
    /// Somebody wrote to this client.
    Letter,
    /// Verdicts are held back, because many fell silent together.
    Withheld,
    /// Many went at once.
    Mass,
    /// Somebody went and nobody has acknowledged it.
    Alert,
}

impl Banner {
    /// Tells whether it says what the program itself is doing, which even a tiny screen must say.
    #[must_use]
    pub fn is_mode(self) -> bool {
        matches!(self, Self::Stopping | Self::Paused | Self::Holding | Self::Letter | Self::Withheld)
    }
}
