//! Saves interval and timeout to the file they came from, and nothing else.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::replace::{self, ReplaceError, Step};
use super::{ConfigError, edit, file, named, resolve};
use crate::presence::Settings;

/// What saving did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Saved {
    /// The file has the new values.
    Written,
    /// The file meant these values already, and was not touched.
    Unchanged,
}

/// Why the settings were not saved; the file is as it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum SaveError {
    /// There is no such file any more.
    Gone(PathBuf),
    /// There is something else under its name: a folder, a pipe.
    NotAFile(PathBuf),
    /// It cannot be read.
    Unreadable(PathBuf, io::Error),
    /// What is in it is no valid config file any more.
    Broken(PathBuf, ConfigError),
    /// It was changed by somebody else while it was being saved.
    Changed(PathBuf),
    /// The new text would not have meant these settings.
    Inexact(PathBuf, Settings),
    /// This user may not write the file.
    ReadOnly(PathBuf, io::Error),
    /// No new file can be made in its folder, which is the second path.
    ReadOnlyFolder(PathBuf, PathBuf, io::Error),
    /// The new text could not be written to the disk.
    Unwritten(PathBuf, io::Error),
    /// The new file could not be put in the place of the old one.
    Irreplaceable(PathBuf, io::Error),
}

/// Writes `settings` to `server.heartbeat_interval` and `server.connection_timeout` of a config file.
///
/// Every other byte stays: comments, order, blank lines, quoting, line ends.
/// The file is read afresh, so an edit made since the start is kept, and it is
/// replaced as a whole, so a crash leaves the old text or the new one. Mode
/// and owner are kept as far as the system allows; a link stays a link.
///
/// Waits for the disk: call it where blocking is allowed, one call at a time.
///
/// # Errors
/// The file is gone, broken, not writable or was just changed by somebody
/// else. Then it is as it was, and no temporary file is left.
pub fn save_settings(path: &Path, settings: Settings) -> Result<Saved, SaveError> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => SaveError::Gone(path.to_owned()),
        _ => SaveError::Unreadable(path.to_owned(), error),
    };
    // Asked first, because opening a pipe would wait for its other end.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(SaveError::NotAFile(path.to_owned()));
    }
    let target = fs::canonicalize(path).map_err(unreadable)?;
    let before = file::read(&target).map_err(unreadable)?;
    let was = resolve::interval_and_timeout(path, &before)
        .map_err(|error| SaveError::Broken(path.to_owned(), error))?;
    let wanted = (settings.interval(), settings.timeout());
    if was == wanted {
        return Ok(Saved::Unchanged);
    }
    let after = std::str::from_utf8(&before)
        .ok()
        .and_then(|text| edit::edited(text, was, settings))
        .filter(|after| resolve::interval_and_timeout(path, after.as_bytes()).is_ok_and(|is| is == wanted))
        .ok_or_else(|| SaveError::Inexact(path.to_owned(), settings))?;
    replace::replace(&target, &before, after.as_bytes())
        .map_err(|error| not_replaced(path, &target, error))?;
    Ok(Saved::Written)
}

/// Says of a replacement that failed what it means for the file a person knows.
fn not_replaced(path: &Path, target: &Path, error: ReplaceError) -> SaveError {
    let path = path.to_owned();
    match error {
        ReplaceError::Changed => SaveError::Changed(path),
        ReplaceError::Refused(Step::Open, error) => SaveError::ReadOnly(path, error),
        ReplaceError::Refused(Step::Create, error) if error.kind() != io::ErrorKind::StorageFull => {
            SaveError::ReadOnlyFolder(path, target.parent().unwrap_or(target).to_owned(), error)
        }
        ReplaceError::Refused(Step::Create | Step::Write, error) => SaveError::Unwritten(path, error),
        ReplaceError::Refused(Step::Rename, error) => SaveError::Irreplaceable(path, error),
    }
}

impl SaveError {
    /// Returns the file as it was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Gone(path)
            | Self::NotAFile(path)
            | Self::Unreadable(path, _)
            | Self::Broken(path, _)
            | Self::Changed(path)
            | Self::Inexact(path, _)
            | Self::ReadOnly(path, _)
            | Self::ReadOnlyFolder(path, _, _)
            | Self::Unwritten(path, _)
            | Self::Irreplaceable(path, _) => path,
        }
    }
}

impl fmt::Display for SaveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not save the settings to {}: ", named(self.path()))?;
        match self {
            Self::Gone(_) => f.write_str(
                "no such file any more (`presence-tui config --default` prints one to start from)",
            ),
            Self::NotAFile(_) => f.write_str("not a plain file (name one with --config)"),
            Self::Unreadable(_, error) => write!(f, "{} (make it readable)", words(error)),
            Self::Broken(_, error) => f.write_str(&broken(error)),
            Self::Changed(_) => {
                f.write_str("somebody else changed it at the same moment (make the change once more)")
            }
            Self::Inexact(_, settings) => write!(
                f,
                "it would not read back as interval {:?} and timeout {:?} (write them into the file by hand)",
                settings.interval(),
                settings.timeout()
            ),
            Self::ReadOnly(_, error) => write!(f, "{} (make it writable, {OR_OFF})", words(error)),
            Self::ReadOnlyFolder(_, folder, error) => write!(
                f,
                "no new file can be made in {}: {} (make the folder writable, {OR_OFF})",
                named(folder),
                words(error)
            ),
            Self::Unwritten(_, error) => {
                write!(f, "{} (make room on the disk and make the change once more)", words(error))
            }
            Self::Irreplaceable(_, error) if error.kind() == io::ErrorKind::ResourceBusy => {
                f.write_str("it is mounted by itself and cannot be replaced (mount its folder instead)")
            }
            Self::Irreplaceable(_, error) => {
                write!(f, "it cannot be replaced: {} (make its folder writable, {OR_OFF})", words(error))
            }
        }
    }
}

/// What to do when the file is not meant to be written.
const OR_OFF: &str = "or set save_changes = false under [ui]";

/// Names the first problem of a broken file, and how many there are.
fn broken(error: &ConfigError) -> String {
    let first = error.problems.first().map_or("", String::as_str);
    match error.problems.len() {
        0 | 1 => format!("the file is broken, {first} (mend it and make the change once more)"),
        many => format!("the file is broken, {first} (mend this and {} more)", many - 1),
    }
}

/// Says what the system said, without its numbers where we know better.
fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "read-only file system".to_owned(),
        io::ErrorKind::StorageFull => "no space left on the disk".to_owned(),
        _ => error.to_string(),
    }
}

impl std::error::Error for SaveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable(_, error)
            | Self::ReadOnly(_, error)
            | Self::ReadOnlyFolder(_, _, error)
            | Self::Unwritten(_, error)
            | Self::Irreplaceable(_, error) => Some(error),
            Self::Broken(_, error) => Some(error),
            Self::Gone(_) | Self::NotAFile(_) | Self::Changed(_) | Self::Inexact(_, _) => None,
        }
    }
}
