//! What a client speaks: several protocols share one port.

use std::fmt;

/// One of the protocols on the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Dialect {
    /// The presence protocol: one JSON object a line.
    #[default]
    Presence,
    /// Bare JSON values without any delimiter.
    Netsync,
    /// Presence messages, or bare heartbeats, in WebSocket frames.
    WebSocket,
    /// Questions about the fleet. Who asks them is no client and has no row.
    Http,
}

impl Dialect {
    /// Every dialect, in the order of the settings.
    pub const ALL: [Self; 4] = [Self::Presence, Self::Netsync, Self::WebSocket, Self::Http];

    /// Returns the word for it, as settings, lists and screens write it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Presence => "presence",
            Self::Netsync => "netsync",
            Self::WebSocket => "websocket",
            Self::Http => "http",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.word() == word)
    }

    /// Says what a client of this protocol version cannot do; `None` when it can do everything.
    #[must_use]
    pub fn cannot(self, version: u8) -> Option<&'static str> {
        (version == 0).then_some(match self {
            Self::Presence | Self::Http => "no notify, no live interval",
            // It is told, and cannot say so.
            Self::Netsync | Self::WebSocket => "no receipts, no live interval",
        })
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Which dialects are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialects(u8);

impl Dialects {
    /// Returns none of them.
    #[must_use]
    pub const fn none() -> Self {
        Self(0)
    }

    /// Returns all of them.
    #[must_use]
    pub const fn all() -> Self {
        Self(0b1111)
    }

    /// Returns these and one more.
    #[must_use]
    pub const fn with(self, dialect: Dialect) -> Self {
        Self(self.0 | 1 << dialect as u8)
    }

    /// Tells whether a dialect is among them.
    #[must_use]
    pub const fn contains(self, dialect: Dialect) -> bool {
        self.0 & 1 << dialect as u8 != 0
    }

    /// Yields them in the order of [`Dialect::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Dialect> {
        Dialect::ALL.into_iter().filter(move |&dialect| self.contains(dialect))
    }

    /// Returns them as a number, to be kept in an atomic.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Reads that number back.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::all().0)
    }
}

impl FromIterator<Dialect> for Dialects {
    fn from_iter<I: IntoIterator<Item = Dialect>>(dialects: I) -> Self {
        dialects.into_iter().fold(Self::none(), Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_sets_survive_the_way_there_and_back() {
        for dialect in Dialect::ALL {
            assert_eq!(Dialect::from_word(dialect.word()), Some(dialect));
            let alone = Dialects::none().with(dialect);
            assert_eq!(alone.iter().collect::<Vec<_>>(), [dialect]);
            assert_eq!(Dialects::from_bits(alone.bits()), alone);
        }
        assert_eq!(Dialect::from_word("gopher"), None);
        assert_eq!(Dialect::ALL.into_iter().collect::<Dialects>(), Dialects::all());
    }
}
