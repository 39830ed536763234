//! What somebody outside may want to be told of: the few changes worth waking a person for.

use std::fmt;

/// A change that hooks can be run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flip {
    /// A client was silent for its whole timeout.
    TimedOut,
    /// A client's connection died.
    Lost,
    /// A client that had failed is back, and nobody had acknowledged the failure.
    Recovered,
    /// A client came that was not here, or had left.
    Joined,
    /// A client went because somebody decided it.
    Left,
    /// So many failed at once that they are one.
    MassTimeout,
}

impl Flip {
    /// Every flip.
    pub const ALL: [Self; 6] =
        [Self::TimedOut, Self::Lost, Self::Recovered, Self::Joined, Self::Left, Self::MassTimeout];

    /// Returns the word for it in settings, in a hook's environment and in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::TimedOut => "timed_out",
            Self::Lost => "lost",
            Self::Recovered => "recovered",
            Self::Joined => "joined",
            Self::Left => "left",
            Self::MassTimeout => "mass_timeout",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|flip| flip.word() == word)
    }

    /// Tells whether a client went without anybody having decided it.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::TimedOut | Self::Lost)
    }
}

impl fmt::Display for Flip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
