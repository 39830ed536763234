//! Small files that must survive a crash whole, and that nobody else may read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Starts an open that makes files only their owner can read.
#[must_use]
pub fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Writes `bytes` beside `target` and then puts them in its place: whoever looks finds the old text or the new one.
///
/// The new text is on the disk before that. One call at a time for each
/// target: the name beside it is its own with the ending `.tmp`, so that a
/// crash leaves at most one such file, and the next call removes it.
///
/// # Errors
/// The folder cannot be written to, or the disk is full; then `target` is as it was.
pub fn write_private(target: &Path, bytes: &[u8]) -> io::Result<()> {
    write_private_with(target, |file| file.write_all(bytes))
}

/// As [`write_private`], for what is written piece by piece.
///
/// # Errors
/// Those of [`write_private`], and those of `write`; then `target` is as it was.
pub fn write_private_with(target: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let temp = target.with_extension("tmp");
    match fs::remove_file(&temp) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private().write(true).create_new(true).open(&temp)?;
    let written = write(&mut file).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&temp, target));
    if written.is_err() {
        let _ = fs::remove_file(&temp); // Best effort: on a full disk it frees what it took.
    } else if let Some(folder) = target.parent() {
        sync_folder(folder);
    }
    written
}

/// Makes a rename in this folder last through a power cut.
pub fn sync_folder(folder: &Path) {
    // Best effort: the new file is in place, and some systems cannot sync a folder.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}
