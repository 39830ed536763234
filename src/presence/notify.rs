//! Messages to people: whom they are for, and what became of them.

use std::fmt;
use std::sync::Arc;

use super::row::{RowKey, State, Tag};

/// Whom a notification is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Every device of a person.
    User(Arc<str>),
    /// The client with this identity.
    Id(Arc<str>),
    /// Every client that has all of these labels.
    Tags(Vec<Tag>),
    /// Everybody.
    All,
    /// One row, as an operator selected it.
    Row(RowKey),
    /// The rows an operator has filtered, with the meaning of the same fields of [`super::view::Window`].
    Shown {
        /// Part of a name, id, address, user or tag; empty for all.
        filter: String,
        /// In one of these states; empty for all.
        states: Vec<State>,
        /// Of exactly this user.
        user: Option<String>,
    },
}

/// Writes it as the command line does: `user=ada`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user={user}"),
            Self::Id(id) => write!(f, "id={id}"),
            Self::Tags(tags) => {
                let words: Vec<String> =
                    tags.iter().map(|(key, value)| format!("tag={key}={value}")).collect();
                f.write_str(&words.join(" "))
            }
            Self::All => f.write_str("all"),
            Self::Row(_) => f.write_str("one client"),
            Self::Shown { .. } => f.write_str("the clients shown"),
        }
    }
}

/// A message to people; its texts are clean and bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Whom it is for.
    pub to: Target,
    /// What it is about; may be empty.
    pub title: Arc<str>,
    /// What it says.
    pub body: Arc<str>,
}

impl Notification {
    /// Returns the few words it goes by: its title, or its body when it has none.
    #[must_use]
    pub fn subject(&self) -> &Arc<str> {
        if self.title.is_empty() { &self.body } else { &self.title }
    }
}

/// How many clients a notification is for, and what became of each. All but `targets` never overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// How many clients it is for, those that are gone included.
    pub targets: usize,
    /// A receipt came.
    pub delivered: usize,
    /// Handed to a connection of a dialect that cannot confirm.
    pub sent: usize,
    /// The connection ended before a receipt came, or took nothing more.
    pub failed: usize,
    /// The client cannot be told: it speaks the base protocol alone.
    pub unsupported: usize,
    /// The client is not here.
    pub offline: usize,
    /// No receipt came in time.
    pub expired: usize,
}

impl Tally {
    /// Returns how many are not decided yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        let decided =
            self.delivered + self.sent + self.failed + self.unsupported + self.offline + self.expired;
        self.targets.saturating_sub(decided)
    }

    /// Tells whether it reached everybody it was for, and there was anybody.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.targets > 0 && self.delivered + self.sent == self.targets
    }
}

/// Writes `3/5 delivered, 1 offline, 1 pending`; what is 0 is left out.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.targets == 0 {
            return f.write_str("nobody to tell");
        }
        write!(f, "{}/{} delivered", self.delivered, self.targets)?;
        let rest = [
            (self.sent, "sent"),
            (self.failed, "failed"),
            (self.unsupported, "unsupported"),
            (self.offline, "offline"),
            (self.expired, "expired"),
            (self.pending(), "pending"),
        ];
        for (count, word) in rest.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {word}")?;
        }
        Ok(())
    }
}

/// A notification on its way, or just arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// Its number.
    pub number: u64,
    /// Who sent it.
    pub from: Arc<str>,
    /// What it is about.
    pub subject: Arc<str>,
    /// What became of it so far.
    pub tally: Tally,
}

/// How many cells of a subject are shown beside its counts.
const SUBJECT_CHARS_MAX: usize = 40;

/// Writes `n17 "reboot at 5": 3/5 delivered, 1 offline, 1 pending`.
impl fmt::Display for Posted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, tally) = (self.number, self.tally);
        let mut subject: String = self.subject.chars().take(SUBJECT_CHARS_MAX).collect();
        if subject.len() < self.subject.len() {
            subject.push_str("..");
        }
        write!(f, "n{number} \"{subject}\": {tally}")
    }
}

/// Whom a notification would reach, were it sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Whom it would be for.
    pub to: Target,
    /// Clients that are here and can be told.
    pub here: usize,
    /// Clients that are here and cannot be told.
    pub deaf: usize,
    /// Clients that are gone.
    pub gone: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_as_a_sentence_and_what_is_none_is_left_out() {
        let tally = Tally { targets: 5, delivered: 3, offline: 1, ..Tally::default() };
        let posted = Posted { number: 17, from: "hq".into(), subject: "reboot at 5".into(), tally };
        assert_eq!(posted.to_string(), "n17 \"reboot at 5\": 3/5 delivered, 1 offline, 1 pending");
        let all =
            Tally { targets: 7, delivered: 1, sent: 2, failed: 1, unsupported: 1, offline: 1, expired: 1 };
        assert_eq!((all.pending(), all.is_complete()), (0, false));
        assert_eq!(all.to_string(), "1/7 delivered, 2 sent, 1 failed, 1 unsupported, 1 offline, 1 expired");
        assert_eq!(Tally::default().to_string(), "nobody to tell");
        assert!(!Tally::default().is_complete());
        assert!(Tally { targets: 2, delivered: 1, sent: 1, ..Tally::default() }.is_complete());
    }
}
