//! Replaces a file as a whole: whoever looks, at any moment, finds the old text or the new one.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::files::{private, sync_folder};

/// How many random bytes the name of a temporary file has.
const NAME_BYTES: usize = 16;

/// What could not be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Opening the file for writing, to see whether that is allowed.
    Open,
    /// Making a temporary file beside it.
    Create,
    /// Writing the new text to the disk.
    Write,
    /// Putting the new file in the place of the old one.
    Rename,
}

/// Why a file was not replaced; it is as it was.
#[derive(Debug)]
pub(super) enum ReplaceError {
    /// Somebody else changed it meanwhile.
    Changed,
    /// The system refused a step.
    Refused(Step, io::Error),
}

/// Replaces what is in `target`, if that is still `before`.
///
/// The new text is on the disk before it takes the old one's place. Mode and
/// owner are kept as far as the system lets this user. `target` must not be a
/// link: the link would be replaced.
pub(super) fn replace(target: &Path, before: &[u8], after: &[u8]) -> Result<(), ReplaceError> {
    let refused = |step| move |error| ReplaceError::Refused(step, error);
    let old = writable(target).map_err(refused(Step::Open))?;
    let folder = target.parent().unwrap_or_else(|| Path::new("/"));
    let mut new = Temporary::create(folder).map_err(refused(Step::Create))?;
    new.fill(after, &old).map_err(refused(Step::Write))?;
    // As late as possible: an edit between this look and the rename, microseconds later, would be lost.
    if super::file::read(target).ok().as_deref() != Some(before) {
        return Err(ReplaceError::Changed);
    }
    new.rename(target).map_err(refused(Step::Rename))?;
    sync_folder(folder);
    Ok(())
}

/// Makes sure that this user may write the file.
///
/// A rename asks only for the folder. Taking the file's own mode seriously is
/// what a person expects who made the file read-only, also from root.
fn writable(target: &Path) -> io::Result<fs::Metadata> {
    let old = OpenOptions::new().write(true).open(target)?.metadata()?;
    if old.permissions().readonly() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(old)
}

/// A new file beside the old one; gone again unless it takes the old one's place.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
    file: File,
    renamed: bool,
}

impl Temporary {
    /// Makes an empty file nobody else can have made or foreseen, readable by its owner alone.
    fn create(folder: &Path) -> io::Result<Self> {
        let mut random = [0; NAME_BYTES];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let path = folder.join(format!(".presence-tui.{:032x}.tmp", u128::from_ne_bytes(random)));
        let file = private().write(true).create_new(true).open(&path)?;
        Ok(Self { path, file, renamed: false })
    }

    /// Writes the text, takes over mode and owner, and waits for the disk.
    fn fill(&mut self, text: &[u8], old: &fs::Metadata) -> io::Result<()> {
        self.file.write_all(text)?;
        // The owner before the mode: a change of owner may clear bits of the mode.
        let permissions = take_over_owner(&self.file, old)?;
        self.file.set_permissions(permissions)?;
        self.file.sync_all()
    }

    fn rename(mut self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = fs::remove_file(&self.path); // nothing more can be done, and nobody reads it
        }
    }
}

/// Gives the file the old one's owner and group if that is allowed, and returns the mode to give it.
#[cfg(unix)]
fn take_over_owner(file: &File, old: &fs::Metadata) -> io::Result<Permissions> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};

    if fchown(file, Some(old.uid()), Some(old.gid())).is_err() {
        let _ = fchown(file, None, Some(old.gid())); // the look below tells
    }
    let mode = old.mode() & 0o7777;
    let same_group = file.metadata()?.gid() == old.gid();
    Ok(Permissions::from_mode(if same_group { mode } else { unshared(mode) }))
}

/// Returns the mode with which a strange group gets no more than everybody does.
///
/// What was shared with one group is not shared with another one by a save.
#[cfg(unix)]
fn unshared(mode: u32) -> u32 {
    (mode & 0o707) | (mode & (mode & 0o007) << 3)
}

#[cfg(not(unix))]
fn take_over_owner(_: &File, old: &fs::Metadata) -> io::Result<Permissions> {
    Ok(old.permissions())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_file_that_somebody_else_changed_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, "theirs").unwrap();
        assert!(matches!(replace(&file, b"what we read", b"ours"), Err(ReplaceError::Changed)));
        assert_eq!(fs::read_to_string(&file).unwrap(), "theirs");
        assert_eq!(names(folder.path()), ["f"]);
    }

    #[test]
    fn a_rename_that_fails_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        fs::create_dir_all(taken.join("full")).unwrap();
        let mut new = Temporary::create(folder.path()).unwrap();
        let like = fs::metadata(&new.path).unwrap();
        new.fill(b"text", &like).unwrap();
        assert_eq!(names(folder.path()).len(), 2);
        assert!(new.rename(&taken).is_err());
        assert_eq!(names(folder.path()), ["taken"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_strange_group_gets_no_more_than_everybody_and_no_more_than_the_old_one() {
        for (old, new) in [(0o640, 0o600), (0o664, 0o644), (0o644, 0o644), (0o666, 0o666), (0o606, 0o606)] {
            assert_eq!(unshared(old), new, "{old:o}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_temporary_file_is_nobody_else_s_to_read() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let (one, other) =
            (Temporary::create(folder.path()).unwrap(), Temporary::create(folder.path()).unwrap());
        assert_ne!(one.path, other.path);
        assert_eq!(fs::metadata(&one.path).unwrap().permissions().mode() & 0o777, 0o600);
        drop((one, other));
        assert!(names(folder.path()).is_empty());
    }
}
