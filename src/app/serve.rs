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
use super::face::{Face, Wish};
use super::signals::{Asked, Signals};
use crate::config::{Config, PORT_DEFAULT, PORT_FALLBACK_LAST, Sources};
use crate::net;
use crate::presence::command::Command;
use crate::presence::registry::Limits;
use crate::presence::span::brief;
use crate::presence::{Event, EventKind};
use crate::server::{HubHost, Options, Remote, Server, Summary};
use crate::telemetry::Lines;
use crate::tui::{self, Screen, TuiError};

/// Descriptors the process needs besides its clients': log, signals, newcomers.
const DESCRIPTORS_OF_OUR_OWN: u64 = 64;

/// Serves until it is asked to stop; returns what is to be said when the terminal is free again.
pub(super) async fn serve(config: &Config, sources: &Sources, mut start: Start) -> anyhow::Result<String> {
    let mut signals = Signals::listen().context("cannot listen to signals")?;
    let open_files = net::raise_open_files();
    let (listener, addr) = bind(config)?;
    start.lines.listening(addr);
    start.remarks.extend(remarks(config, addr, open_files));

    let began = Instant::now();
    let mut server =
        Server::start(options(config), HubHost::Thread).context("cannot start the hub's thread")?;
    let remote = server.remote();
    for remark in std::mem::take(&mut start.remarks) {
        remote.note(EventKind::Trouble(remark)).await;
    }
    remote.note(EventKind::Notice(config.file_line())).await;
    server.open(TcpListener::from_std(listener).context("cannot listen")?);
    let events = server.events().context("nobody else takes the events")?;
    let lines = Arc::new(start.lines);
    let pump = write_lines(events, lines.clone()).context("cannot start the thread that writes events")?;
    let drawn = start.screen.is_some();
    let mut face = start.screen.take().map_or_else(Face::none, |look| screen(&server, addr, look));

    let ended = attend(&mut face, &mut signals, &remote, config, sources).await;
    let summary = tokio::select! {
        summary = server.stop() => Some(summary),
        () = signals.stop() => None,
        () = face.closed() => None,
    };
    let closed = face.close().await;
    // The hub has ended, or ends now that nobody waits for it; whatever happened is on its way out.
    let _ = tokio::task::spawn_blocking(|| pump.join()).await;
    let last_words =
        summary.map_or_else(|| "stopped at once: asked twice".to_owned(), |it| last_words(it, began));
    lines.note(&last_words);
    if let Some(lines) = Arc::into_inner(lines) {
        Start { lines, ..start }.finish();
    }
    ended.and(closed)?;
    Ok(if drawn { format!("{last_words}\n") } else { String::new() })
}

/// Does what the operator and the system ask for, until one of them asks to stop.
async fn attend(
    face: &mut Face,
    signals: &mut Signals,
    remote: &Remote,
    config: &Config,
    sources: &Sources,
) -> Result<(), TuiError> {
    let mut current = config.clone();
    loop {
        tokio::select! {
            asked = signals.next() => match asked {
                Asked::Stop => return Ok(()),
                Asked::Reload => {
                    if let Some(reloaded) = reload(sources, &current, remote).await {
                        current = reloaded;
                    }
                }
            },
            wish = face.next() => match wish {
                Wish::Command(Command::Quit) => return Ok(()),
                Wish::Command(command) => remote.command(command).await,
                Wish::Ended(ended) => return ended.map(drop),
            },
        }
    }
}

/// Shows the dashboard.
fn screen(server: &Server, bound: SocketAddr, look: tui::Options) -> Face {
    let join_line = format!("presence-tui join {}", net::reachable(bound));
    let screen = Screen::Serve { bound, join_line, read_only: false, views: server.views() };
    Face::show(screen, look)
}

/// Returns what should be known about how this server starts.
fn remarks(config: &Config, addr: SocketAddr, open_files: Option<u64>) -> Vec<String> {
    let wanted = config.server.port;
    let elsewhere = (addr.port() != wanted && wanted != 0)
        .then(|| format!("port {wanted} is taken: listening on {} instead", addr.port()));
    elsewhere.into_iter().chain(too_few_files(open_files, config.server.max_clients)).collect()
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
fn bind(config: &Config) -> anyhow::Result<(std::net::TcpListener, SocketAddr)> {
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
