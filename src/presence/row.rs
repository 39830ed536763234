//! What is known of one client: the nouns the registry, the wire and the screen share.

use std::fmt;
use std::sync::Arc;

/// Names a row for as long as the process lives; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(pub u64);

/// Numbers connections in the order they registered; never used twice.
///
/// Tear-down goes by this and never by identity: the slow death of an old
/// connection must not touch the one that took its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnNo(pub u64);

/// The address a client says it has; shown beside the one it really came from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claim {
    /// IP address or host name, as claimed and already validated.
    pub ip: Arc<str>,
    /// Port, as claimed.
    pub port: u16,
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ip.contains(':') && !self.ip.starts_with('[') {
            write!(f, "[{}]:{}", self.ip, self.port)
        } else {
            write!(f, "{}:{}", self.ip, self.port)
        }
    }
}

/// A label: key and value.
pub type Tag = (Arc<str>, Arc<str>);

/// What a client tells about itself beyond its address; every text is already clean and bounded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// What to call it.
    pub name: Option<Arc<str>>,
    /// The person it belongs to.
    pub user: Option<Arc<str>>,
    /// Which of the person's devices it is.
    pub device: Option<Arc<str>>,
    /// Operating system and architecture.
    pub platform: Option<Arc<str>>,
    /// Labels, sorted by key.
    pub tags: Vec<Tag>,
}

/// One claim to an identity; of two, the one with the higher (generation, attempt) wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Stable across restarts.
    pub id: Arc<str>,
    /// Grows with every process start.
    pub generation: u64,
    /// Grows with every connection attempt of the process.
    pub attempt: u64,
}

/// The five states a row can be shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Heard within 1.5 intervals.
    Online,
    /// A beat is overdue.
    Late,
    /// Gone without anybody deciding it: timed out, or the connection died.
    TimedOut,
    /// Gone because somebody decided it.
    Left,
    /// Expected, but not seen since the server started.
    Offline,
}

impl State {
    /// Every state, in the order the screen counts them.
    pub const ALL: [Self; 5] = [Self::Online, Self::Late, Self::TimedOut, Self::Left, Self::Offline];

    /// Returns the word for it, as the wire and the log write it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Late => "late",
            Self::TimedOut => "timed_out",
            Self::Left => "left",
            Self::Offline => "offline",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Tells whether the row has a connection.
    #[must_use]
    pub fn is_live(self) -> bool {
        matches!(self, Self::Online | Self::Late)
    }
}

/// How many rows are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts([usize; 5]);

impl Counts {
    /// Returns how many rows are in `state`.
    #[must_use]
    pub fn of(&self, state: State) -> usize {
        self.0[state as usize]
    }

    /// Returns how many rows have a connection.
    #[must_use]
    pub fn live(&self) -> usize {
        self.of(State::Online) + self.of(State::Late)
    }

    /// Returns how many rows there are.
    #[must_use]
    pub fn total(&self) -> usize {
        self.0.iter().sum()
    }

    /// Counts one row more in `state`.
    pub fn add(&mut self, state: State) {
        self.0[state as usize] += 1;
    }

    /// Counts one row less in `state`.
    pub fn remove(&mut self, state: State) {
        let count = &mut self.0[state as usize];
        debug_assert!(*count > 0, "no row was {}", state.word());
        *count = count.saturating_sub(1);
    }
}
