//! Why nothing can be written.

use std::fmt;
use std::io;

/// What is wrong with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Held,
    Full,
    Damaged,
    Other,
}

/// Why the file cannot be written or read, in words.
#[derive(Debug)]
pub struct Trouble {
    kind: Kind,
    words: String,
}

impl Trouble {
    /// Somebody else writes to it.
    pub(super) fn held() -> Self {
        Self { kind: Kind::Held, words: "another program is writing to it".to_owned() }
    }

    /// It is not what it should be, and not ours to move.
    pub(super) fn strange(words: &str) -> Self {
        Self { kind: Kind::Other, words: words.to_owned() }
    }

    /// Tells whether there is no room.
    pub(super) fn is_full(&self) -> bool {
        self.kind == Kind::Full
    }

    /// Tells whether the file can never be read again.
    pub(super) fn is_damage(&self) -> bool {
        self.kind == Kind::Damaged
    }

    /// Tells whether it passes by itself, so that the file may stay open.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self.kind, Kind::Held | Kind::Full)
    }

    /// Says what a person can do about it.
    pub(super) fn remedy(&self) -> &'static str {
        match self.kind {
            Kind::Held => "it is tried again; let each server have a history.path of its own",
            Kind::Full => "it is tried again; make room",
            Kind::Damaged | Kind::Other => "it is tried again; see to it, or set another history.path",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Trouble {}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        let kind = if error.kind() == io::ErrorKind::StorageFull { Kind::Full } else { Kind::Other };
        Self { kind, words: error.to_string() }
    }
}

#[cfg(feature = "history")]
impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let (kind, words) = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => return Self::held(),
            Some(ErrorCode::DiskFull) => (Kind::Full, "there is no room left".to_owned()),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                (Kind::Damaged, "it is damaged".to_owned())
            }
            Some(ErrorCode::ReadOnly) => (Kind::Other, "it may only be read".to_owned()),
            Some(ErrorCode::CannotOpen) => (Kind::Other, "it cannot be opened".to_owned()),
            _ => (Kind::Other, error.to_string()),
        };
        Self { kind, words }
    }
}
