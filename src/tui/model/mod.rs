//! The screen's state: plain data, changed by `update` alone and drawn by `view`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

mod parts;

pub use parts::{Banner, Bell, Change, Dialog, Draft, Events, Flash, PROBLEMS, Paused, Prompt, Table, Which};

use super::columns::Column;
use super::layout::{Facts, Pane, Plan, plan};
use super::theme::Look;
use crate::presence::Settings;
use crate::presence::trust::Outlook;
use crate::presence::view::{Link, RowView, Sort, Uplink, View, Window};

/// The most rows one snapshot file holds: whoever makes them has clients to listen to meanwhile.
pub const SNAPSHOT_ROWS_MAX: usize = 5_000;
/// How many events are asked for when somebody looks closely.
const EVENTS_MAX: usize = 500;
/// How long the order of rows stands still after a key that moves the selection.
pub const HOLD: Duration = Duration::from_millis(1_500);

/// A moment on both clocks, as the loop read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock.
    pub mono: Instant,
    /// Time since the epoch.
    pub wall: Duration,
}

impl Now {
    /// Returns the wall time of an instant.
    #[must_use]
    pub fn wall_of(self, at: Instant) -> Duration {
        match self.mono.checked_duration_since(at) {
            Some(ago) => self.wall.saturating_sub(ago),
            None => self.wall.saturating_add(at.saturating_duration_since(self.mono)),
        }
    }
}

/// Which of the two screens this is, and what only that one knows.
#[derive(Debug, Clone)]
pub enum Face {
    /// The server's.
    Serve {
        /// The address clients connect to.
        bound: SocketAddr,
        /// The exact line to type on another machine.
        join_line: String,
        /// Whether settings and clients may only be looked at.
        read_only: bool,
    },
    /// The client's.
    Join(Arc<Uplink>),
}

/// Everything the screen knows.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "switches an operator flips one by one")]
pub struct Model {
    /// Which screen.
    pub face: Face,
    /// How it is drawn.
    pub look: Look,
    /// Width and height of the terminal.
    pub size: (u16, u16),
    /// The newest moment it was told of.
    pub now: Now,
    /// When the program started.
    pub started: Instant,
    /// When the last frame was drawn.
    pub drawn: Option<Now>,
    /// Whether something visible changed since.
    pub dirty: bool,
    /// The newest answer.
    pub live: Arc<View>,
    /// What stands still while the view is paused.
    pub paused: Option<Paused>,
    /// The table.
    pub table: Table,
    /// The events.
    pub events: Events,
    /// The panel that has the focus.
    pub focus: Pane,
    /// Whether it has all the room.
    pub zoom: bool,
    /// Whether the details are open.
    pub details: bool,
    /// What is asked, if anything.
    pub dialog: Option<Dialog>,
    /// What the hint line says for a moment.
    pub flash: Option<Flash>,
    /// The change of settings under way.
    pub change: Change,
    /// The bell.
    pub bell: Bell,
    /// Whether a row that changes its state may draw attention to itself for a moment.
    pub motion: bool,
    /// Whether the mouse belongs to the screen.
    pub mouse: bool,
    /// When Ctrl-C was last pressed.
    pub interrupted: Option<Instant>,
    /// Since when a stop has been asked for.
    pub stopping: Option<Instant>,
    /// Since when a snapshot waits for all its rows.
    pub saving: Option<Instant>,
    /// The window last asked for.
    pub asked: Option<Window>,
}

impl Model {
    /// Starts a screen.
    #[must_use]
    pub fn new(face: Face, look: Look, size: (u16, u16), live: Arc<View>, now: Now) -> Self {
        let join = matches!(face, Face::Join(_));
        let columns = Column::ALL.into_iter().map(|column| (column, column.usual(join))).collect();
        Self {
            face,
            look,
            size,
            now,
            started: now.mono,
            drawn: None,
            dirty: true,
            live,
            paused: None,
            table: Table {
                selected: None,
                goto: None,
                top: 0,
                sort: Sort::State,
                reversed: false,
                filter: String::new(),
                states: Vec::new(),
                group: None,
                folded: Vec::new(),
                columns,
                moved: None,
            },
            events: Events { shown: true, back: 0, newest: None },
            focus: Pane::Table,
            zoom: false,
            details: false,
            dialog: None,
            flash: None,
            change: Change::default(),
            bell: Bell::default(),
            motion: true,
            mouse: false,
            interrupted: None,
            stopping: None,
            saving: None,
            asked: None,
        }
    }

    /// Tells whether this is the client's screen.
    #[must_use]
    pub fn is_join(&self) -> bool {
        matches!(self.face, Face::Join(_))
    }

    /// Returns what a client knows of its connection.
    #[must_use]
    pub fn uplink(&self) -> Option<&Uplink> {
        match &self.face {
            Face::Join(uplink) => Some(uplink),
            Face::Serve { .. } => None,
        }
    }

    /// Returns what is drawn: the newest answer, or the one that stands still.
    #[must_use]
    pub fn shown(&self) -> &View {
        self.paused.as_ref().map_or(&self.live, |paused| &paused.view)
    }

    /// Returns the moment rows are counted from: they stand still while paused, and when no news can come.
    #[must_use]
    pub fn clock(&self) -> Instant {
        if let Some(paused) = &self.paused {
            return paused.since.mono;
        }
        self.stale_since().unwrap_or(self.now.mono)
    }

    /// Returns since when the peers are only a memory.
    #[must_use]
    pub fn stale_since(&self) -> Option<Instant> {
        match &self.uplink()?.link {
            Link::Offline { since, .. } => Some(*since),
            Link::Connecting(_) | Link::Ended(_) => Some(self.live.at),
            Link::Online(_) | Link::Late(..) => None,
        }
    }

    /// Returns the most important thing the line below the header has to say.
    #[must_use]
    pub fn banner(&self) -> Option<Banner> {
        let holding = self.uplink().is_some_and(|uplink| uplink.holding);
        let alerts = &self.shown().alerts;
        if self.stopping.is_some() {
            Some(Banner::Stopping)
        } else if self.paused.is_some() {
            Some(Banner::Paused)
        } else if holding {
            Some(Banner::Holding)
        } else if self.uplink().is_some_and(|uplink| !uplink.letters.is_empty()) {
            Some(Banner::Letter)
        } else if self.live.hold.is_some() {
            Some(Banner::Withheld)
        } else if alerts.mass.is_some() {
            Some(Banner::Mass)
        } else {
            (alerts.unacked > 0).then_some(Banner::Alert)
        }
    }

    /// Returns where the panels are.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let facts = Facts {
            join: self.is_join(),
            banner: self.banner().is_some_and(|banner| self.size.1 >= 8 || banner.is_mode()),
            details: self.details && self.selected_client().is_some(),
            events: self.events.shown,
            zoom: self.zoom.then_some(self.focus),
        };
        plan(self.size.0, self.size.1, facts)
    }

    /// Returns the rows on the screen, as far as they are known.
    #[must_use]
    pub fn visible(&self) -> &[RowView] {
        let (view, height) = (self.shown(), self.plan().height());
        let skip = self.table.top.saturating_sub(view.offset);
        let rows = view.rows.get(skip..).unwrap_or_default();
        rows.get(..height.min(rows.len())).unwrap_or_default()
    }

    /// Returns the selected row, on the screen or not.
    #[must_use]
    pub fn selected_row(&self) -> Option<&RowView> {
        let key = self.table.selected?;
        let view = self.shown();
        let known = view.selected.as_ref().map(|selected| &selected.row).filter(|row| row.key == key);
        view.rows.iter().find(|row| row.key == key).or(known)
    }

    /// Returns the selected row, if it is that of a client and not of a group.
    #[must_use]
    pub fn selected_client(&self) -> Option<&RowView> {
        self.selected_row().filter(|row| row.group.is_none())
    }

    /// Returns the selected row's place among those that match, if it is known.
    #[must_use]
    pub fn selected_place(&self) -> Option<usize> {
        let key = self.table.selected?;
        let view = self.shown();
        if let Some(at) = view.rows.iter().position(|row| row.key == key) {
            return Some(view.offset + at);
        }
        view.selected.as_ref().filter(|selected| selected.row.key == key)?.position
    }

    /// Returns the settings as the operator left them: stepped, sent, or asked for, whatever is in force.
    #[must_use]
    pub fn wanted(&self) -> Settings {
        let change = &self.change;
        change.nudge.or(change.sent).map_or(self.live.asked, |(settings, _)| settings)
    }

    /// Returns what such settings would do, if that is the question that was answered last.
    #[must_use]
    pub fn outlook(&self, settings: Settings) -> Option<&Outlook> {
        self.live.outlook.as_ref().filter(|outlook| outlook.settings == settings)
    }

    /// Returns the window this screen needs, a page more on either side so that a step is never a wait.
    ///
    /// Which settings are thought about is for `update` to add: it judges what is typed.
    #[must_use]
    pub fn window(&self) -> Window {
        let plan = self.plan();
        let page = plan.height();
        let close = self.details || self.events.back > 0 || (self.zoom && self.focus == Pane::Events);
        let aim = self.table.goto.unwrap_or(self.table.top);
        Window {
            preview: None,
            writing_to: match &self.dialog {
                Some(Dialog::Write(draft)) => draft.target().cloned().map(Box::new),
                _ => None,
            },
            sort: self.table.sort,
            reversed: self.table.reversed,
            hold_order: self.held(),
            filter: self.table.filter.clone(),
            states: self.table.states.clone(),
            user: None,
            // A file holds clients, folded or not.
            group: self.table.group.clone().filter(|_| self.saving.is_none()),
            folded: self.table.folded.clone(),
            offset: if self.saving.is_some() { 0 } else { aim.saturating_sub(page) },
            height: if self.saving.is_some() { SNAPSHOT_ROWS_MAX } else { page * 3 },
            selected: self.table.selected,
            events: if close { EVENTS_MAX } else { plan.event_lines().max(1) },
        }
    }

    /// Tells whether the order must stand still because somebody is moving through it.
    #[must_use]
    pub fn held(&self) -> bool {
        self.table.moved.is_some_and(|at| self.now.mono < at + HOLD)
    }

    /// Shows a short answer in the hint line.
    pub fn say(&mut self, words: impl Into<String>) {
        const SHOWN: Duration = Duration::from_secs(2);
        self.flash = Some(Flash { words: words.into(), until: self.now.mono + SHOWN });
        self.dirty = true;
    }
}
