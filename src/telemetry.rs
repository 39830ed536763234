//! What is written for the eyes outside: a log file a day, and lifecycle lines on stderr.
//!
//! The log never touches the terminal. The lines are for runs without a
//! screen; they go through a thread of their own, so that a pipe nobody reads
//! costs lines and never a heartbeat.

use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::SystemTime;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

use crate::presence::{Event, EventKind, Reason};

mod daily;
mod file;
mod lines;

use daily::Daily;
pub use file::{EventFile, FilePlan};
pub use lines::{LineFormat, Lines};

/// How many lines may wait for a slow disk or a slow reader before the next ones are dropped.
const LINES_WAITING_MAX: usize = 8_192;

/// What the log needs to know.
#[derive(Debug, Clone, Copy)]
pub struct LogPlan<'a> {
    /// The folder of the files; `None` for no log.
    pub dir: Option<&'a Path>,
    /// The least important level, or a filter.
    pub level: &'a str,
    /// The value of `RUST_LOG`, which beats the level.
    pub rust_log: Option<&'a str>,
    /// How many daily files are kept.
    pub max_files: usize,
    /// For which command: `serve` or `join`; part of the file's name.
    pub role: &'a str,
}

/// The log, as long as it is kept; dropping it writes out what is waiting.
#[derive(Debug)]
pub struct Log {
    /// What did not work, in words; the program runs on.
    pub warnings: Vec<String>,
    open: Option<Open>,
}

/// What is held while there is a log.
#[derive(Debug)]
struct Open {
    /// Lines that found the queue full.
    dropped: ErrorCounter,
    /// Lines the disk did not take.
    lost: Arc<AtomicUsize>,
    _writer: WorkerGuard,
}

impl Log {
    /// Tells whether anything is logged at all.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Returns how many lines were dropped because the disk was full or too slow.
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.dropped.dropped_lines() + open.lost.load(Relaxed))
    }
}

/// Starts the log of this process. Whatever goes wrong is a warning and costs the log, not the program.
#[must_use]
pub fn start_log(plan: LogPlan<'_>) -> Log {
    let mut warnings = Vec::new();
    let open = match log_to_file(plan, &mut warnings) {
        Ok((subscriber, open)) => match tracing::subscriber::set_global_default(subscriber) {
            Ok(()) => Some(open),
            Err(error) => {
                warnings.push(format!("nothing is logged: {error}"));
                None
            }
        },
        Err(warning) => {
            warnings.push(warning);
            None
        }
    };
    Log { warnings, open }
}

/// Opens the file and sets the filter.
fn log_to_file(
    plan: LogPlan<'_>,
    warnings: &mut Vec<String>,
) -> Result<(impl Subscriber + Send + Sync + use<>, Open), String> {
    let Some(dir) = plan.dir else {
        return Err(
            "nothing is logged: there is no home folder to log in (set log.dir or --log-dir)".to_owned()
        );
    };
    let lost = Arc::<AtomicUsize>::default();
    let prefix = format!("presence-tui-{}", plan.role);
    let file = Daily::open(dir, &prefix, plan.max_files, lost.clone()).map_err(|error| {
        format!("nothing is logged: cannot write to {}: {error} (set log.dir or --log-dir)", dir.display())
    })?;
    let (queue, writer) = waiting_line("log").finish(batched(file));
    let open = Open { dropped: queue.error_counter(), lost, _writer: writer };
    let lines = tracing_subscriber::fmt::layer().with_writer(queue);
    let subscriber = tracing_subscriber::registry().with(filter(plan, warnings)).with(lines);
    Ok((subscriber, open))
}

/// Returns what is logged: `RUST_LOG`, else the configured level, else `info`.
fn filter(plan: LogPlan<'_>, warnings: &mut Vec<String>) -> Targets {
    let rust_log = plan.rust_log.filter(|text| !text.trim().is_empty()).map(|text| ("RUST_LOG", text));
    for (name, text) in rust_log.into_iter().chain([("log.level", plan.level)]) {
        match text.parse::<Targets>() {
            Ok(filter) if filter.default_level().is_some() => return filter,
            Ok(filter) => return filter.with_default(LevelFilter::INFO),
            Err(error) => warnings.push(format!("{name} is ignored: {text:?} is no log filter: {error}")),
        }
    }
    Targets::new().with_default(LevelFilter::INFO)
}

/// Makes one write of all the lines that are waiting: the thread behind the queue flushes when it is empty.
fn batched<W: io::Write>(writer: W) -> BufWriter<W> {
    BufWriter::with_capacity(64 * 1024, writer)
}

/// Returns a bounded queue with a thread behind it that does the writing.
fn waiting_line(name: &str) -> NonBlockingBuilder {
    NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES_WAITING_MAX).thread_name(name)
}

/// Logs one event. Peers' texts go in as fields, which are escaped, and never as the message, which is not.
pub fn log_event(event: &Event) {
    let (seq, word, detail) = (event.seq, event.kind.word(), detail(&event.kind));
    let (id, name, peer) = match &event.who {
        Some(who) => (&*who.id, &*who.label, Some(who.peer)),
        None => ("", "", None),
    };
    if is_trouble(&event.kind) {
        tracing::warn!(seq, event = word, id, name, peer = ?peer, detail = detail.as_str());
    } else {
        tracing::info!(seq, event = word, id, name, peer = ?peer, detail = detail.as_str());
    }
}

/// Tells whether an operator should look at it.
fn is_trouble(kind: &EventKind) -> bool {
    match kind {
        EventKind::Gone { departure, .. } => {
            departure.reason.is_failure()
                || matches!(
                    departure.reason,
                    Reason::Conflict | Reason::Slow | Reason::Flood | Reason::Protocol
                )
        }
        EventKind::Late { .. }
        | EventKind::NotBack { .. }
        | EventKind::Refused { .. }
        | EventKind::Conflict { .. }
        | EventKind::Trouble(_) => true,
        _ => false,
    }
}

/// Says what happened without repeating the word the line already has.
fn detail(kind: &EventKind) -> String {
    let text = kind.to_string();
    let word = kind.word().replace('_', " ");
    match text.strip_prefix(&word) {
        Some(rest) if !rest.starts_with(char::is_alphanumeric) => {
            rest.trim_start_matches([':', ',', ' ']).to_owned()
        }
        _ => text,
    }
}

/// Returns the wall time to the second, in UTC.
#[expect(
    clippy::disallowed_methods,
    reason = "a line for the eyes outside bears the wall time; nothing is decided by it"
)]
fn timestamp() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::SocketAddr;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::presence::event::Turn;
    use crate::presence::{Departure, RowKey, Who};

    const HOSTILE: &str = "ev\u{1b}[31mil\r\nfake line\u{202e}\u{9b}";

    fn plan(dir: &Path) -> LogPlan<'_> {
        LogPlan { dir: Some(dir), level: "info", rust_log: None, max_files: 3, role: "serve" }
    }

    fn hostile_event() -> Event {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let at = Instant::now();
        let peer: SocketAddr = "127.0.0.1:51822".parse().unwrap();
        let (user, device, turn) = (None, None, Turn::default());
        let who = Who { row: RowKey(1), id: HOSTILE.into(), label: HOSTILE.into(), peer, user, device, turn };
        let departure = Departure::new(Reason::Lost, HOSTILE);
        let kind = EventKind::Gone { departure, silent: Duration::ZERO, up: Duration::ZERO, missed: 0 };
        Event { seq: 1, at, who: Some(who), kind }
    }

    /// Logs with `log` to a fresh folder and returns what the file says.
    fn logged(change: impl Fn(LogPlan<'_>) -> LogPlan<'_>, log: impl Fn()) -> (String, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let mut warnings = Vec::new();
        let (subscriber, open) = log_to_file(change(plan(dir.path())), &mut warnings).unwrap();
        tracing::subscriber::with_default(subscriber, log);
        drop(open);
        let files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        let name = files[0].file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("presence-tui-serve."), "{name}");
        assert_eq!(files[0].extension().unwrap(), "log");
        (fs::read_to_string(&files[0]).unwrap(), warnings)
    }

    #[test]
    fn an_event_is_one_line_of_the_log_whatever_a_peer_is_called() {
        let (text, warnings) = logged(|plan| plan, || log_event(&hostile_event()));
        assert_eq!((text.lines().count(), warnings.len()), (1, 0), "{text}");
        assert!(!text.trim_end().chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:?}");
        assert!(text.contains("WARN") && text.contains("event=\"lost\""), "{text}");
    }

    #[test]
    fn rust_log_beats_the_level_and_a_bad_one_is_told() {
        let speak = || {
            tracing::debug!("quiet");
            tracing::info!("normal");
        };
        assert!(!logged(|plan| plan, speak).0.contains("quiet"));
        assert!(logged(|plan| LogPlan { level: "debug", ..plan }, speak).0.contains("quiet"));
        assert!(logged(|plan| LogPlan { rust_log: Some("debug"), ..plan }, speak).0.contains("quiet"));
        assert!(logged(|plan| LogPlan { rust_log: Some(""), ..plan }, speak).0.contains("normal"));
        assert_eq!(logged(|plan| LogPlan { rust_log: Some("off"), ..plan }, speak).0, "");
        let (text, warnings) = logged(|plan| LogPlan { rust_log: Some("a=b=c"), ..plan }, speak);
        assert!(text.contains("normal") && !text.contains("quiet"));
        assert!(warnings[0].starts_with("RUST_LOG is ignored: \"a=b=c\" is no log filter"), "{warnings:?}");
    }

    #[test]
    fn a_folder_that_cannot_be_written_costs_the_log_and_not_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a file");
        fs::write(&file, "").unwrap();
        let log = start_log(plan(&file.join("logs")));
        assert!(!log.is_open());
        assert!(log.warnings[0].starts_with("nothing is logged: cannot write to "), "{:?}", log.warnings);
        let log = start_log(LogPlan { dir: None, ..plan(dir.path()) });
        assert!(log.warnings[0].contains("no home folder"), "{:?}", log.warnings);
        assert_eq!(log.dropped(), 0);
    }
}
