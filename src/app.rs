//! The wiring: what is started, in which order, and how it all stops.

mod awake;
mod demo;
mod face;
mod foreign;
mod gate;
mod history;
mod join;
mod memory;
mod notify;
mod recall;
mod running;
mod serve;
mod signals;
mod status;
mod swarm;
mod visit;

use std::io::Write;

use anyhow::Context;
use tokio::sync::mpsc;

use crate::cli::{self, Cli, Command, RunArgs};
use crate::config::{self, Config, Environment};
use crate::presence::EventKind;
use crate::server::Guard;
use crate::telemetry::{self, EventFile, FilePlan, LineFormat, Lines, Log, LogPlan};
use crate::tui;

/// How a run ended that could not do its job.
#[derive(Debug)]
pub enum Failure {
    /// What the program was told makes no sense: exit status 2.
    Usage(anyhow::Error),
    /// It could not do its job: exit status 1.
    Job(anyhow::Error),
    /// It did its job, and what it found has an exit status of its own.
    Found(u8),
    /// It did its job, and not all is as it should be: exit status 5.
    Short(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Job(error)
    }
}

/// Does what the command line asks for; `out` is where plain output goes.
///
/// # Errors
/// Settings that make no sense, or a job that cannot be done; both with words for the person who asked.
pub fn run(cli: &Cli, environment: Environment, out: &mut impl Write) -> Result<(), Failure> {
    let command = &cli.command;
    match command {
        Command::Completions(args) => return Ok(print(out, &cli::completions(args.shell))?),
        Command::Swarm(args) => return swarm::swarm(args, out),
        Command::Cert(args) => return Ok(print(out, gate::cert(args)?.as_bytes())?),
        Command::Status(args) => return status::status(args, command, environment, out),
        Command::Notify(args) => return notify::notify(args, command, environment, out),
        Command::Config(args) if args.default => {
            return Ok(print(out, config::default_file().as_bytes())?);
        }
        _ => {}
    }
    let cwd = std::env::current_dir().context("the current folder is gone; change to another one")?;
    let rust_log = environment.get("RUST_LOG").map(str::to_owned);
    let state_dir = environment.state_dir();
    let sources = command.sources(environment, cwd, host_name());
    let config = sources.resolve().map_err(|error| Failure::Usage(error.into()))?;
    let start = |role, args: &RunArgs| Start::new(role, &config, args, rust_log.as_deref());
    match command {
        Command::Serve(args) => {
            let (guard, said) = gate::guard(&config).map_err(Failure::Usage)?;
            let mut start = start("serve", &args.common.run).with_event_file(&config);
            start.guard = guard;
            start.remarks.extend(said);
            let last_words = runtime()?.block_on(serve::serve(&config, &sources, state_dir, start))?;
            print(out, last_words.as_bytes())?;
        }
        Command::Join(args) => {
            let plan = foreign::plan(args, &config).map_err(Failure::Usage)?;
            if let Some(plan) = plan {
                let start = start("join", &args.common.run);
                return runtime()?.block_on(foreign::join(plan, start));
            }
            let mut said = Vec::new();
            let server = config.client.server.as_ref();
            let pass =
                gate::pass(&config, &sources.environment, server, &mut said).map_err(Failure::Usage)?;
            let mut start = start("join", &args.common.run);
            start.remarks.extend(said);
            runtime()?.block_on(join::join(&config, pass, state_dir, start))?;
        }
        Command::Demo(args) => {
            let start = start("demo", &args.run);
            let demo = demo::demo(&config, &sources, args.clients(), args.seed, start);
            let last_words = runtime()?.block_on(demo)?;
            print(out, last_words.as_bytes())?;
        }
        Command::History(args) => history::history(args, &config, state_dir.as_deref(), out)?,
        Command::Config(_)
        | Command::Completions(_)
        | Command::Swarm(_)
        | Command::Cert(_)
        | Command::Status(_)
        | Command::Notify(_) => {
            print(out, config.print().as_bytes())?;
        }
    }
    Ok(())
}

/// What a long run starts with: its log, and where its lifecycle lines go.
struct Start {
    lines: Lines,
    log: Log,
    /// Said once, right after the first line.
    remarks: Vec<String>,
    /// How the screen looks, if one is to be drawn.
    screen: Option<tui::Options>,
    /// Who is let in.
    guard: Guard,
    /// What becomes of the event file, if one is kept.
    file_news: Option<mpsc::Receiver<EventKind>>,
}

impl Start {
    fn new(role: &str, config: &Config, args: &RunArgs, rust_log: Option<&str>) -> Self {
        let plan = LogPlan {
            dir: config.log.dir.as_deref(),
            level: &config.log.level,
            rust_log,
            max_files: config.log.max_files,
            role,
        };
        let log = telemetry::start_log(plan);
        let mut remarks: Vec<String> = config.warnings.iter().chain(&log.warnings).cloned().collect();
        log_panics();
        tracing::info!(version = env!("CARGO_PKG_VERSION"), config = config.file_line(), "{role} starts");
        if !args.headless && !args.json && tui::is_possible() {
            let (screen, unknown) = face::options(config, args.ascii);
            remarks.extend(unknown);
            let (lines, guard) = (Lines::log_only(), Guard::default());
            return Self { lines, log, remarks, screen: Some(screen), guard, file_news: None };
        }
        let format = if args.json { LineFormat::Json } else { LineFormat::Text };
        let lines = Lines::stderr(format);
        Self { lines, log, remarks, screen: None, guard: Guard::default(), file_news: None }
    }

    /// Keeps an event file as well, where one is asked for.
    fn with_event_file(self, config: &Config) -> Self {
        let Some(path) = config.log.events.clone() else { return self };
        let (file, news) = EventFile::open(FilePlan::new(path));
        Self { lines: self.lines.and_file(file), file_news: Some(news), ..self }
    }

    /// Says what was lost for want of readers, and lets what is waiting be written.
    fn finish(self) {
        let dropped = self.lines.dropped() + self.log.dropped();
        if dropped > 0 {
            self.lines
                .warn(&format!("{dropped} lines were dropped because nobody took them in time, or no disk"));
        }
    }
}

/// Writes panics to the log as well, with their place; what they end is decided where they are caught.
fn log_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        tracing::error!(panic = ?info.payload_as_str(), location = ?info.location());
        before(info);
    }));
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot start its threads")
}

fn print(out: &mut impl Write, bytes: &[u8]) -> anyhow::Result<()> {
    match out.write_all(bytes).and_then(|()| out.flush()) {
        // Whoever reads through `head` has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("could not write to stdout"),
    }
}

/// Returns what this machine calls itself.
fn host_name() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    if name.is_empty() { "localhost".to_owned() } else { name }
}
