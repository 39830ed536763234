//! The read model: what a screen of any kind sees of a fleet.
//!
//! A screen says which window it shows; the owner of the rows answers with
//! the counts and only those rows. What it costs follows what is visible.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dialect::Dialect;
use super::event::Event;
use super::notify::{Posted, Reach, Target};
use super::past::Past;
use super::pulse::BeatStrip;
use super::reason::Departure;
use super::row::{Counts, RowKey, State, Tag};
use super::settings::{Revision, Settings};
use super::trust::{Hold, Outlook, TrackRecord};

/// By which column rows are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// Problems first: unacknowledged departures, other failures, late (least time left first), online, left, offline.
    #[default]
    State,
    /// By name.
    Name,
    /// By address.
    Address,
    /// By age of the last sign of life, youngest first.
    LastPing,
    /// By time left, shortest first.
    TimesOut,
    /// By round trip, shortest first.
    Rtt,
    /// By length of the session, longest first.
    Up,
}

impl Sort {
    /// Every order, with the word that settings and questions have for it.
    pub const WORDS: [(&'static str, Self); 7] = [
        ("state", Self::State),
        ("name", Self::Name),
        ("address", Self::Address),
        ("last_ping", Self::LastPing),
        ("times_out", Self::TimesOut),
        ("rtt", Self::Rtt),
        ("up", Self::Up),
    ];

    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, sort)| *sort == self).map_or("state", |(word, _)| word)
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, sort)| *sort)
    }
}

/// By what rows are grouped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Grouping {
    /// By the person they belong to.
    User,
    /// By the value of the tag with this key.
    Tag(Arc<str>),
}

/// What a line of the table says of a group, beside what it has in common with a client's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// How many of its members that pass the filter are in each state.
    pub counts: Counts,
    /// The state of those that need somebody's eye most.
    pub worst: State,
    /// Whether its members are shown beneath it.
    pub open: bool,
}

/// How the rows of an answer are grouped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouped {
    /// By what.
    pub by: Grouping,
    /// The tags that most rows have, at most five: by what else they may be grouped.
    pub tags: Vec<Arc<str>>,
}

/// Which rows a screen shows, and in which order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Window {
    /// The column to order by.
    pub sort: Sort,
    /// The other way round.
    pub reversed: bool,
    /// Keep the order of the last answer (an operator is moving through it).
    pub hold_order: bool,
    /// Only rows whose name, id, address, user or tags contain this, whatever the case; empty for all.
    pub filter: String,
    /// Only rows in these states; empty for all.
    pub states: Vec<State>,
    /// Only rows of exactly this user.
    pub user: Option<String>,
    /// Show a line for each group, and its members beneath it.
    pub group: Option<Grouping>,
    /// The groups whose members are not shown.
    pub folded: Vec<RowKey>,
    /// How many rows to skip.
    pub offset: usize,
    /// How many rows fit.
    pub height: usize,
    /// The selected row, whose details and position are wanted wherever it is.
    pub selected: Option<RowKey>,
    /// How many of the newest events are wanted.
    pub events: usize,
    /// Settings somebody thinks of putting in force: what would they do?
    pub preview: Option<Settings>,
    /// Somebody thinks of writing to these: whom would that reach?
    pub writing_to: Option<Box<Target>>,
}

/// One answer: everything a screen needs for its next frames.
#[derive(Debug, Clone)]
pub struct View {
    /// When it was taken.
    pub at: Instant,
    /// How many rows are in each state.
    pub counts: Counts,
    /// How many connections have not registered yet.
    pub connecting: usize,
    /// Others can reach the server, and nothing is asked of them: anyone can join.
    pub open: bool,
    /// How many clients may be registered at once; 0 when that is not known.
    pub max_clients: usize,
    /// The settings in force.
    pub settings: Settings,
    /// The settings that were asked for; those in force are longer while the fleet is too large for them.
    pub asked: Settings,
    /// The revision of the settings in force.
    pub rev: Revision,
    /// How far these settings have come.
    pub rollout: Rollout,
    /// How many rows pass the filter; where they are grouped, how many lines there are.
    pub matched: usize,
    /// How many rows were skipped; less than asked for when there are not that many.
    pub offset: usize,
    /// The rows of the window, in order.
    pub rows: Vec<RowView>,
    /// How the rows are grouped, if they are.
    pub grouped: Option<Grouped>,
    /// The selected row, if it still exists.
    pub selected: Option<Selected>,
    /// Departures nobody has acknowledged.
    pub alerts: Alerts,
    /// Set while verdicts are held back.
    pub hold: Option<Hold>,
    /// What the settings of [`Window::preview`] would do.
    pub outlook: Option<Outlook>,
    /// How far the verdicts can be trusted.
    pub record: TrackRecord,
    /// Notifications on their way, and those decided in the last few seconds, oldest first.
    pub posted: Vec<Posted>,
    /// Whom [`Window::writing_to`] would reach.
    pub reach: Option<Reach>,
    /// The newest events, oldest first.
    pub events: Vec<Arc<Event>>,
}

impl View {
    /// Tells whether a screen would show the same for both; when they were taken does not count.
    #[must_use]
    pub fn looks_like(&self, other: &Self) -> bool {
        let newest = |view: &Self| (view.events.len(), view.events.last().map(|event| event.seq));
        let numbers = |view: &Self| {
            (view.counts, view.connecting, view.max_clients, view.matched, view.offset, view.rollout)
        };
        numbers(self) == numbers(other)
            && self.open == other.open
            && (self.settings, self.asked, self.rev) == (other.settings, other.asked, other.rev)
            && (self.hold, self.record) == (other.hold, other.record)
            && self.outlook == other.outlook
            && (&self.posted, &self.reach) == (&other.posted, &other.reach)
            && newest(self) == newest(other)
            && self.alerts == other.alerts
            && (&self.selected, &self.grouped) == (&other.selected, &other.grouped)
            && self.rows == other.rows
    }
}

/// How many clients go by the settings in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rollout {
    /// Clients that said they follow this revision.
    pub applied: usize,
    /// Clients that can say so.
    pub of: usize,
    /// Those of them that have not, though two of their old intervals have passed.
    pub lagging: usize,
    /// Clients that cannot follow, and keep the longer timeout they registered under.
    pub pinned: usize,
}

/// The selected row, whether it is inside the window or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Selected {
    /// Its place among the matching rows; `None` when the filter hides it.
    pub position: Option<usize>,
    /// The row itself.
    pub row: RowView,
}

/// Departures that wait for an operator's acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Alerts {
    /// How many there are.
    pub unacked: usize,
    /// The newest few, newest first.
    pub newest: Vec<Alert>,
    /// Set when so many went at once that one cause is likely.
    pub mass: Option<MassTimeout>,
}

/// One unacknowledged departure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The row.
    pub row: RowKey,
    /// Its name.
    pub label: Arc<str>,
    /// Its address.
    pub peer: Option<SocketAddr>,
    /// Since when it is gone.
    pub since: Instant,
    /// Why.
    pub departure: Departure,
}

/// Many clients went silent together: the cause is probably here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MassTimeout {
    /// How many went.
    pub clients: usize,
    /// Of how many that were there.
    pub of: usize,
    /// Within how long.
    pub within: Duration,
}

/// One row, ready to draw. Ages and countdowns are instants: the screen counts for itself.
#[derive(Debug, Clone, PartialEq)]
pub struct RowView {
    /// Which row.
    pub key: RowKey,
    /// Its state.
    pub state: State,
    /// Its name, or its claim.
    pub label: Arc<str>,
    /// Its identity, or a made-up one that starts with `~`.
    pub id: Arc<str>,
    /// Where it really comes from; `None` if it was never seen.
    pub peer: Option<SocketAddr>,
    /// The address it claims.
    pub claim: Option<String>,
    /// Whether that address differs from the real one.
    pub claim_differs: bool,
    /// The person it belongs to.
    pub user: Option<Arc<str>>,
    /// Which of the person's devices it is.
    pub device: Option<Arc<str>>,
    /// Operating system and architecture.
    pub platform: Option<Arc<str>>,
    /// Labels.
    pub tags: Vec<Tag>,
    /// Protocol version: 0 for a legacy client.
    pub version: u8,
    /// What it speaks.
    pub dialect: Dialect,
    /// When it was last heard.
    pub last_seen: Option<Instant>,
    /// When it will be declared gone unless heard before; `None` when gone.
    pub deadline: Option<Instant>,
    /// The timeout that deadline comes from.
    pub timeout: Duration,
    /// Its round trip, smoothed.
    pub rtt: Option<Duration>,
    /// How much its round trip varies.
    pub jitter: Option<Duration>,
    /// How far apart its pings are, and how much that varies.
    pub gap: Option<(Duration, Duration)>,
    /// Start of its session.
    pub up_since: Option<Instant>,
    /// How its last beats went.
    pub strip: BeatStrip,
    /// How many pings have come in this session.
    pub beats: u32,
    /// How many sessions it has had.
    pub sessions: u32,
    /// When and why it went; `None` while it is here.
    pub gone: Option<(Instant, Departure)>,
    /// Whether an operator has acknowledged the departure.
    pub acked: bool,
    /// Whether it changes state too often to be trusted.
    pub flapping: bool,
    /// What is remembered of it, where that is kept and known by now.
    pub past: Option<Arc<Past>>,
    /// When its state last changed, for the short pulse on the screen.
    pub changed: Instant,
    /// Set on the line of a group, which is no client; then only key, state, label and the last sign of life say
    /// anything. The state is that of the best member.
    pub group: Option<Box<Group>>,
}

/// A notification as it is shown to whom it was sent; every text is clean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Who sent it.
    pub from: Arc<str>,
    /// What it is about; may be empty.
    pub title: Arc<str>,
    /// What it says.
    pub body: Arc<str>,
}

/// Writes `hq: Break: tea at five`.
impl std::fmt::Display for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for part in [&self.from, &self.title].into_iter().filter(|part| !part.is_empty()) {
            write!(f, "{part}: ")?;
        }
        f.write_str(&self.body)
    }
}

/// What a client knows of its own connection, for the `join` screen.
#[derive(Debug, Clone)]
pub struct Uplink {
    /// The server as the person wrote it.
    pub server: String,
    /// The address it resolved to, once connected.
    pub address: Option<SocketAddr>,
    /// What this client is called.
    pub name: String,
    /// Its identity.
    pub id: String,
    /// How the connection stands.
    pub link: Link,
    /// Whether the server is a base server, which sets nothing and never says welcome.
    pub legacy: bool,
    /// The settings in force, and when the server last changed them.
    pub settings: Settings,
    /// What they were before that, and when they came.
    pub changed: Option<(Settings, Instant)>,
    /// When the next ping is due.
    pub next_ping: Option<Instant>,
    /// When the last ping went out: the server drops us one timeout after it.
    pub last_ping: Option<Instant>,
    /// When anything was last received.
    pub last_heard: Option<Instant>,
    /// Whether heartbeats are held back.
    pub holding: bool,
    /// Round trips of the last beats, oldest first, at most 120; `None` for a beat that was not answered.
    pub rtts: Vec<Option<Duration>>,
    /// Pings sent in this process.
    pub sent: u64,
    /// Pings answered.
    pub answered: u64,
    /// Pings that will not be answered any more.
    pub unanswered: u64,
    /// How often the connection was re-established.
    pub reconnects: u32,
    /// The last loss: when, why, and how long it took to come back, if it did.
    pub last_loss: Option<(Instant, String, Option<Duration>)>,
    /// The note this client shows to others.
    pub note: String,
    /// Notifications nobody has read yet, oldest first, and when each came.
    pub letters: Vec<(Instant, Arc<Letter>)>,
    /// Set when the server speaks no presence protocol; then `last_ping` stays empty, for nobody knows its timeout.
    pub foreign: Option<Foreign>,
}

impl Uplink {
    /// Returns how things stand before the first attempt to connect.
    #[must_use]
    pub fn new(server: String, name: String, settings: Settings) -> Self {
        Self {
            server,
            address: None,
            name,
            id: String::new(),
            link: Link::Connecting(1),
            legacy: false,
            settings,
            changed: None,
            next_ping: None,
            last_ping: None,
            last_heard: None,
            holding: false,
            rtts: Vec::new(),
            sent: 0,
            answered: 0,
            unanswered: 0,
            reconnects: 0,
            last_loss: None,
            note: String::new(),
            letters: Vec::new(),
            foreign: None,
        }
    }
}

/// What a client knows of a server that speaks something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign {
    /// What carries the heartbeat.
    pub transport: Transport,
    /// Whether beats are answered: then the settings' timeout is how long one may stay unanswered.
    pub expects: bool,
    /// How much was received in this process: messages, or bytes where there are no messages.
    pub received: u64,
}

/// What carries a heartbeat to a foreign server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// WebSocket messages over TCP.
    WebSocket,
    /// WebSocket messages over TLS.
    SecureWebSocket,
    /// Bytes over TCP.
    RawTcp,
}

impl Transport {
    /// Returns what it is called.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::SecureWebSocket => "websocket over TLS",
            Self::RawTcp => "raw TCP",
        }
    }
}

/// How a client's connection stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Link {
    /// Connecting, the attempt's number since the last success.
    Connecting(u32),
    /// Registered since this instant.
    Online(Instant),
    /// Registered since the first instant, but the oldest unanswered ping went out at the second.
    Late(Instant, Instant),
    /// No connection; the next attempt is made at `retry_at`, `wait` after the loss.
    Offline {
        /// Since when.
        since: Instant,
        /// Why.
        cause: String,
        /// When the next attempt is due.
        retry_at: Instant,
        /// How long the whole wait is.
        wait: Duration,
        /// Which attempt that will be.
        attempt: u32,
    },
    /// Ended for good, with the server's last word.
    Ended(String),
}
