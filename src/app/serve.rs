//! `serve`: the server from its first line to its last.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context, bail};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Start;
use super::signals::{Asked, Signals};
use crate::config::{Config, PORT_DEFAULT, PORT_FALLBACK_LAST, Sources};
use crate::net;
use crate::presence::registry::Limits;
use crate::presence::span::brief;
use crate::presence::{Event, EventKind};
use crate::server::{HubHost, Options, Remote, Server, Summary};
use crate::telemetry::{Lines, Log};

/// Descriptors the process needs besides its clients': log, signals, newcomers.
pub(super) const DESCRIPTORS_OF_OUR_OWN: u64 = 64;

/// Serves until it is asked to stop.
pub(super) async fn serve(config: &Config, sources: &Sources, mut start: Start) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("cannot listen to signals")?;
    let open_files = net::raise_open_files();
    let (listener, addr) = bind(config)?;
    start.lines.listening(addr);
    start.say_remarks();
    start.lines.note(&config.file_line());
    if addr.port() != config.server.port && config.server.port != 0 {
        let wanted = config.server.port;
        start.lines.warn(&format!("port {wanted} is taken: listening on {} instead", addr.port()));
    }
    if let Some(warning) = too_few_files(open_files, config.server.max_clients) {
        start.lines.warn(&warning);
    }

    let running = Running::start(config, listener, start)?;
    let mut current = config.clone();
    while signals.next().await == Asked::Reload {
        if let Some(reloaded) = reload(sources, &current, &running.server.remote()).await {
            current = reloaded;
        }
    }
    running.stop(&mut signals, std::future::ready(())).await;
    Ok(())
}

/// A server at work, and the thread that writes down what happens there.
pub(super) struct Running {
    server: Server,
    pump: JoinHandle<()>,
    lines: Arc<Lines>,
    log: Log,
    began: Instant,
}

impl Running {
    /// Opens the door.
    pub(super) fn start(
        config: &Config,
        listener: std::net::TcpListener,
        start: Start,
    ) -> anyhow::Result<Self> {
        let began = Instant::now();
        let mut server =
            Server::start(options(config), HubHost::Thread).context("cannot start the hub's thread")?;
        server.open(TcpListener::from_std(listener).context("cannot listen")?);
        let events = server.events().context("nobody else takes the events")?;
        let Start { lines, log, .. } = start;
        let lines = Arc::new(lines);
        let pump =
            write_lines(events, lines.clone()).context("cannot start the thread that writes events")?;
        Ok(Self { server, pump, lines, log, began })
    }

    /// Waits for what has to go `first`, stops, and says how it all went; at once when asked a second time.
    pub(super) async fn stop(self, signals: &mut Signals, first: impl Future<Output = ()>) {
        let Self { server, pump, lines, log, began } = self;
        let stopping = async {
            first.await;
            server.stop().await
        };
        let summary = tokio::select! {
            summary = stopping => Some(summary),
            () = signals.stop() => None,
        };
        // The hub has ended, or ends now that nobody waits for it; whatever happened is on its way out.
        let _ = tokio::task::spawn_blocking(|| pump.join()).await;
        let words =
            summary.map_or_else(|| "stopped at once: asked twice".to_owned(), |it| last_words(it, began));
        lines.note(&words);
        if let Some(lines) = Arc::into_inner(lines) {
            Start { lines, log, remarks: Vec::new() }.finish();
        }
    }
}

fn options(config: &Config) -> Options {
    Options {
        name: config.server.name.clone(),
        settings: config.server.settings,
        limits: limits(config),
        register_timeout: config.server.register_timeout,
    }
}

fn limits(config: &Config) -> Limits {
    Limits {
        max_clients: config.server.max_clients,
        max_per_ip: config.server.max_per_ip.unwrap_or(0),
        retention: config.server.offline_retention,
    }
}

/// Listens on the configured port; the default one may give way to the next that is free, up to 8085.
pub(super) fn bind(config: &Config) -> anyhow::Result<(std::net::TcpListener, SocketAddr)> {
    let (host, port) = (config.server.host, config.server.port);
    let may_give_way = !config.port_is_explicit && (PORT_DEFAULT..=PORT_FALLBACK_LAST).contains(&port);
    let last = if may_give_way { PORT_FALLBACK_LAST } else { port };
    for candidate in port..=last {
        let wanted = SocketAddr::new(host, candidate);
        match net::listen(wanted) {
            Ok(listener) => {
                let addr = listener.local_addr().context("the system does not say where it listens")?;
                return Ok((listener, addr));
            }
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && candidate < last => {}
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && may_give_way => {
                bail!(
                    "could not listen on {host}: ports {port} to {last} are all taken (try --port 0 for any free one)"
                )
            }
            Err(error) => {
                let hint = match error.kind() {
                    std::io::ErrorKind::AddrInUse => {
                        "stop what holds it, or try another --port; 0 finds a free one"
                    }
                    std::io::ErrorKind::PermissionDenied => "try a port above 1023",
                    std::io::ErrorKind::AddrNotAvailable => {
                        "this machine has no such address; try --host 0.0.0.0"
                    }
                    _ => "try another --host or --port",
                };
                bail!("could not listen on {wanted}: {error} ({hint})")
            }
        }
    }
    bail!("could not listen on {host}:{port}") // The range is never empty.
}

/// Compares the open-file limit with what a full house needs.
fn too_few_files(limit: Option<u64>, max_clients: usize) -> Option<String> {
    let needed = max_clients as u64 + DESCRIPTORS_OF_OUR_OWN;
    let limit = limit.filter(|&limit| limit < needed)?;
    Some(format!(
        "the system allows {limit} open files, but max_clients = {max_clients} needs {needed} (raise ulimit -n, or LimitNOFILE in the service)"
    ))
}

/// Writes every event as a line until the server is over.
///
/// On a thread of its own: ten thousand departures at once are ten thousand
/// lines, and the sessions should not wait for them to be written.
fn write_lines(mut events: mpsc::Receiver<Arc<Event>>, lines: Arc<Lines>) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("events".to_owned()).spawn(move || {
        while let Some(event) = events.blocking_recv() {
            lines.event(&event);
        }
    })
}

/// Reads the configuration again and applies what can change while running.
async fn reload(sources: &Sources, before: &Config, remote: &Remote) -> Option<Config> {
    let config = match sources.resolve_again(before) {
        Ok(config) => config,
        Err(error) => {
            for problem in error.problems {
                let words = format!("the configuration stays as it was: {problem}");
                remote.note(EventKind::Trouble(words)).await;
            }
            return None;
        }
    };
    for warning in &config.warnings {
        remote.note(EventKind::Trouble(warning.clone())).await;
    }
    remote.note(EventKind::Notice(format!("read again: {}", config.file_line()))).await;
    let fixed = |config: &Config| (config.server.host, config.server.port, config.log.clone());
    if fixed(&config) != fixed(before) {
        let words = "server.host, server.port and log.* take effect at the next start";
        remote.note(EventKind::Notice(words.to_owned())).await;
    }
    remote.reload(config.server.settings, limits(&config), config.server.register_timeout).await;
    Some(config)
}

fn last_words(summary: Summary, began: Instant) -> String {
    let Summary { sessions, timed_out, lateness_p99, lateness_max, events_dropped, left_behind } = summary;
    let mut words =
        vec![format!("served {sessions} sessions for {}, {timed_out} timed out", brief(began.elapsed()))];
    if timed_out > 0 {
        words.push(format!(
            "99 % of those at most {} late, the latest {}",
            brief(lateness_p99),
            brief(lateness_max)
        ));
    }
    if events_dropped > 0 {
        words.push(format!("{events_dropped} events were not written"));
    }
    if left_behind > 0 {
        words.push(format!("{left_behind} connections were cut off"));
    }
    words.join(", ")
}
