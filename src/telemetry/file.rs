//! The file for machines: lines that are appended, and turned over at a size.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;

use super::{batched, waiting_line};
use crate::presence::EventKind;

/// How many remarks about the file may wait to be said.
const NEWS_WAITING: usize = 4;

/// Where the file is, and how large it may get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePlan {
    /// The file.
    pub path: PathBuf,
    /// At how many bytes it becomes `FILE.1`.
    pub bytes_max: u64,
    /// How many of those are kept.
    pub keep: usize,
    /// How long to wait before a file that could not be written is tried again.
    pub retry: Duration,
}

impl FilePlan {
    /// Plans a file of 16 MiB, five older ones, and another try every 10 s.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, bytes_max: 16 << 20, keep: 5, retry: Duration::from_secs(10) }
    }
}

/// Appends lines from a thread of its own; dropping it writes out what is waiting.
///
/// A file that cannot be written costs lines, which are counted, and never
/// the caller.
#[derive(Debug)]
pub struct EventFile {
    queue: NonBlocking,
    _writer: WorkerGuard,
}

impl EventFile {
    /// Opens the file; what goes wrong with it, now and later, comes out of the channel.
    #[must_use]
    pub fn open(plan: FilePlan) -> (Self, mpsc::Receiver<EventKind>) {
        let (news, told) = mpsc::channel(NEWS_WAITING);
        let mut file = Rotating { plan, news, open: None, broken: None, lost: 0 };
        file.ready(); // Trouble is told from the start, and not with the first line.
        let (queue, writer) = waiting_line("event-file").finish(batched(file));
        (Self { queue, _writer: writer }, told)
    }

    /// Queues one line with its line end.
    pub(super) fn write(&self, line: &str) {
        let _ = self.queue.make_writer().write_all(line.as_bytes()); // a full queue is counted by the writer
    }

    /// Returns how many lines were dropped because the disk was too slow.
    pub(super) fn dropped(&self) -> usize {
        self.queue.error_counter().dropped_lines()
    }
}

/// The file itself. Its errors are told and not returned: the thread behind the queue could do nothing about them.
#[derive(Debug)]
struct Rotating {
    plan: FilePlan,
    news: mpsc::Sender<EventKind>,
    /// The file and its length.
    open: Option<(File, u64)>,
    /// When it last failed, if it has not worked since.
    broken: Option<Instant>,
    /// Lines that were not written since then.
    lost: u64,
}

impl Rotating {
    /// Makes sure there is a file to write to, unless it failed a moment ago.
    fn ready(&mut self) -> bool {
        if self.open.is_some() {
            return true;
        }
        if self.broken.is_some_and(|at| at.elapsed() < self.plan.retry) {
            return false;
        }
        match append(&self.plan.path) {
            Ok(open) => self.open = Some(open),
            Err(error) => self.fail(&error),
        }
        self.open.is_some()
    }

    /// Appends whole lines.
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let Some((_, length)) = self.open else { return Err(io::ErrorKind::NotFound.into()) };
        if length > 0 && length + lines.len() as u64 > self.plan.bytes_max {
            self.open = None;
            turn_over(&self.plan)?;
            self.open = Some(append(&self.plan.path)?);
        }
        let Some((file, length)) = &mut self.open else { return Err(io::ErrorKind::NotFound.into()) };
        if let Err(error) = file.write_all(lines) {
            let _ = file.set_len(*length); // Half a line would spoil the next one; if it stays, so be it.
            return Err(error);
        }
        *length += lines.len() as u64;
        Ok(())
    }

    fn fail(&mut self, error: &io::Error) {
        self.open = None;
        if self.broken.replace(Instant::now()).is_none() {
            let words = format!(
                "the event file {} cannot be written: {error} (what happens meanwhile is missing in it)",
                self.plan.path.display()
            );
            let _ = self.news.try_send(EventKind::Trouble(words)); // What nobody takes in time is left out.
        }
    }

    fn recovered(&mut self) {
        if self.broken.take().is_some() {
            let (path, lost) = (self.plan.path.display(), std::mem::take(&mut self.lost));
            let words = format!("the event file {path} is written again; {lost} lines are missing in it");
            let _ = self.news.try_send(EventKind::Notice(words)); // Likewise.
        }
    }
}

impl Write for Rotating {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let written = self.ready() && {
            let appended = self.append(lines);
            if let Err(error) = &appended {
                self.fail(error);
            }
            appended.is_ok()
        };
        if written {
            self.recovered();
        } else {
            self.lost += memchr::memchr_iter(b'\n', lines).count() as u64;
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

/// Makes `FILE` to `FILE.1`, that one to `FILE.2`, and so on; the last one goes.
fn turn_over(plan: &FilePlan) -> io::Result<()> {
    let numbered = |n: usize| {
        let mut name = plan.path.clone().into_os_string();
        name.push(format!(".{n}"));
        PathBuf::from(name)
    };
    for n in (1..plan.keep).rev() {
        match fs::rename(numbered(n), numbered(n + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    if plan.keep == 0 { fs::remove_file(&plan.path) } else { fs::rename(&plan.path, numbered(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(dir: &Path) -> FilePlan {
        let path = dir.join("events.ndjson");
        FilePlan { path, bytes_max: 40, keep: 2, retry: Duration::ZERO }
    }

    fn rotating(plan: FilePlan) -> (Rotating, mpsc::Receiver<EventKind>) {
        let (news, told) = mpsc::channel(NEWS_WAITING);
        (Rotating { plan, news, open: None, broken: None, lost: 0 }, told)
    }

    #[test]
    fn a_full_file_is_turned_over_and_only_so_many_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..8 {
            // Another start goes on where the last one stopped.
            let (mut file, mut told) = rotating(plan(dir.path()));
            file.write_all(format!("{{\"number\":{n:06}}}\n").as_bytes()).unwrap();
            assert!(told.try_recv().is_err());
        }
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        let two = |n: u32| format!("{{\"number\":{n:06}}}\n{{\"number\":{:06}}}\n", n + 1);
        let files = ["events.ndjson", "events.ndjson.1", "events.ndjson.2"];
        assert_eq!(files.map(read), [two(6), two(4), two(2)]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_one_warning_and_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("later");
        let (mut file, mut told) = rotating(plan(&folder));
        assert!(!file.ready());
        for _ in 0..3 {
            file.write_all(b"{}\n{}\n").unwrap();
        }
        let Ok(EventKind::Trouble(words)) = told.try_recv() else { panic!("nothing was said") };
        assert!(words.contains("events.ndjson cannot be written: "), "{words}");
        assert!(told.try_recv().is_err(), "said twice");
        fs::create_dir(&folder).unwrap();
        file.write_all(b"{}\n").unwrap();
        let Ok(EventKind::Notice(words)) = told.try_recv() else { panic!("nothing was said") };
        assert!(words.ends_with("is written again; 6 lines are missing in it"), "{words}");
        assert_eq!(fs::read_to_string(folder.join("events.ndjson")).unwrap(), "{}\n");
        file.plan.retry = Duration::from_mins(1);
        file.fail(&io::ErrorKind::StorageFull.into());
        file.write_all(b"{}\n").unwrap();
        assert_eq!(file.lost, 1, "it is left alone for a while");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_costs_lines_and_never_the_caller() {
        let full = FilePlan { path: PathBuf::from("/dev/full"), ..plan(Path::new("/")) };
        let (file, mut told) = EventFile::open(full);
        for _ in 0..100 {
            file.write("{}\n");
        }
        drop(file);
        let Ok(EventKind::Trouble(words)) = told.try_recv() else { panic!("nothing was said") };
        assert!(words.starts_with("the event file /dev/full cannot be written: "), "{words}");
        assert!(told.try_recv().is_err(), "said twice");
    }
}
