//! The log's file: one a day, by the date in UTC, of which the newest are kept.
//!
//! tracing-appender has one as well, and tells its troubles to stderr: right across the screen, if one is drawn.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::timestamp;

/// What the names of all the files end with.
const SUFFIX: &str = ".log";

/// Appends to the file of the day.
///
/// Its errors are counted and not returned: the thread behind the queue could do nothing about them.
#[derive(Debug)]
pub(super) struct Daily {
    dir: PathBuf,
    /// What the names of all the files begin with.
    prefix: String,
    /// How many files are kept.
    keep: usize,
    /// What is open, and for which day.
    file: File,
    day: String,
    lost: Arc<AtomicUsize>,
}

impl Daily {
    /// Makes the folder and opens today's file; the lines that cannot be written from then on are counted in `lost`.
    pub(super) fn open(dir: &Path, prefix: &str, keep: usize, lost: Arc<AtomicUsize>) -> io::Result<Self> {
        Self::open_on(today(), dir, prefix, keep, lost)
    }

    fn open_on(
        day: String,
        dir: &Path,
        prefix: &str,
        keep: usize,
        lost: Arc<AtomicUsize>,
    ) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let prefix = format!("{prefix}.");
        let file = append(dir, &prefix, &day)?;
        let daily = Self { dir: dir.to_owned(), prefix, keep, file, day, lost };
        daily.prune();
        Ok(daily)
    }

    fn write_on(&mut self, day: String, lines: &[u8]) {
        // Where a new one cannot be had, yesterday's goes on.
        if day != self.day
            && let Ok(file) = append(&self.dir, &self.prefix, &day)
        {
            (self.file, self.day) = (file, day);
            self.prune();
        }
        if self.file.write_all(lines).is_err() {
            self.lost.fetch_add(memchr::memchr_iter(b'\n', lines).count(), Relaxed);
        }
    }

    /// Removes the oldest files; one that cannot be removed today may be tomorrow.
    fn prune(&self) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut ours: Vec<_> = names.filter(|name| self.is_ours(name)).collect();
        // By date, since that is where they differ.
        ours.sort_unstable();
        for name in ours.iter().rev().skip(self.keep) {
            let _ = fs::remove_file(self.dir.join(name));
        }
    }

    fn is_ours(&self, name: &str) -> bool {
        let date = name.strip_prefix(&self.prefix).and_then(|rest| rest.strip_suffix(SUFFIX));
        date.is_some_and(|date| {
            date.len() == self.day.len() && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
        })
    }
}

impl Write for Daily {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.write_on(today(), lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn append(dir: &Path, prefix: &str, day: &str) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(dir.join(format!("{prefix}{day}{SUFFIX}")))
}

/// Returns the date in UTC, such as `2026-11-21`.
fn today() -> String {
    timestamp().chars().take_while(|&c| c != 'T').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daily(dir: &Path, day: &str) -> (Daily, Arc<AtomicUsize>) {
        let lost = Arc::new(AtomicUsize::new(0));
        (Daily::open_on(day.to_owned(), dir, "serve", 2, lost.clone()).unwrap(), lost)
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn each_day_has_its_file_and_only_so_many_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("logs");
        fs::create_dir(&folder).unwrap();
        for other in ["join.2026-11-01.log", "serve.log", "serve.notes.log", "serve.2026-11-01.log.gz"] {
            fs::write(folder.join(other), "not ours").unwrap();
        }
        let (mut file, lost) = daily(&folder, "2026-11-29");
        for day in ["2026-11-29", "2026-11-29", "2026-11-30", "2026-12-01"] {
            file.write_on(day.to_owned(), format!("{day}\n").as_bytes());
        }
        assert_eq!(
            names(&folder),
            [
                "join.2026-11-01.log",
                "serve.2026-11-01.log.gz",
                "serve.2026-11-30.log",
                "serve.2026-12-01.log",
                "serve.log",
                "serve.notes.log"
            ]
        );
        // Another start goes on where the last one stopped.
        daily(&folder, "2026-12-01").0.write_on("2026-12-01".to_owned(), b"again\n");
        let text = fs::read_to_string(folder.join("serve.2026-12-01.log")).unwrap();
        assert_eq!((text.as_str(), lost.load(Relaxed)), ("2026-12-01\nagain\n", 0));
    }

    #[test]
    fn a_day_without_a_file_of_its_own_is_written_into_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let (mut file, lost) = daily(dir.path(), "2026-11-29");
        let in_the_way = dir.path().join("serve.2026-11-30.log");
        fs::create_dir(&in_the_way).unwrap();
        file.write_on("2026-11-30".to_owned(), b"one\n");
        assert_eq!(fs::read_to_string(dir.path().join("serve.2026-11-29.log")).unwrap(), "one\n");
        fs::remove_dir(&in_the_way).unwrap();
        file.write_on("2026-11-30".to_owned(), b"two\n");
        assert_eq!(fs::read_to_string(&in_the_way).unwrap(), "two\n");
        assert_eq!(lost.load(Relaxed), 0);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_does_not_fit_on_the_disk_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let (mut file, lost) = daily(dir.path(), "2026-11-29");
        file.file = OpenOptions::new().append(true).open("/dev/full").unwrap();
        file.write_on("2026-11-29".to_owned(), b"one\ntwo\n");
        assert_eq!(lost.load(Relaxed), 2);
    }

    #[test]
    fn today_is_a_date() {
        let day = today();
        let parts: Vec<_> = day.split('-').map(str::len).collect();
        assert_eq!(parts, [4, 2, 2], "{day}");
    }
}
