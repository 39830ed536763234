//! `serve`: the server from its first line to its last.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};

use super::gate;
use super::memory::Memory;
use super::running::{Kept, Running};
use super::signals::Signals;
use super::{Start, history};
use crate::config::{Config, PORT_DEFAULT, PORT_FALLBACK_LAST, Sources};
use crate::net;
use crate::presence::EventKind;
use crate::presence::known::Known;
use crate::presence::registry::Limits;
use crate::server::{Options, Remote, Terms};

/// Descriptors the process needs besides its clients': log, signals, newcomers.
pub(super) const DESCRIPTORS_OF_OUR_OWN: u64 = 64;

/// Serves until it is asked to stop; returns what is to be said when the terminal is free again.
pub(super) async fn serve(
    config: &Config,
    sources: &Sources,
    state_dir: Option<PathBuf>,
    mut start: Start,
) -> anyhow::Result<String> {
    let mut signals = Signals::listen().context("cannot listen to signals")?;
    let open_files = net::raise_open_files();
    let (listener, addr) = bind(config)?;
    start.remarks.extend(remarks(config, addr, open_files));
    let history = history::plan(config, addr, state_dir.as_deref());
    let memory = state_dir
        .filter(|_| config.server.remember && config.server.port != 0)
        .map(|dir| Memory::open(&dir, addr, &mut start.remarks));
    let kept = Kept { memory, history };
    let mut running = Running::start(config, listener, addr, start, &config.file_line(), kept).await?;
    let ended = running.attend(&mut signals, config, sources).await;
    let last_words = running.stop(&mut signals, std::future::ready(())).await;
    ended?;
    Ok(last_words?)
}

/// Returns what should be known about how this server starts.
fn remarks(config: &Config, addr: SocketAddr, open_files: Option<u64>) -> Vec<String> {
    let wanted = config.server.port;
    let elsewhere = (addr.port() != wanted && wanted != 0)
        .then(|| format!("port {wanted} is taken: listening on {} instead", addr.port()));
    elsewhere.into_iter().chain(too_few_files(open_files, config.server.max_clients)).collect()
}

/// Returns what the server is started with; `expected` is who was known before.
pub(super) fn options(config: &Config, expected: Vec<Known>) -> Options {
    Options {
        name: config.server.name.clone(),
        settings: config.server.settings,
        limits: limits(config),
        register_timeout: config.server.register_timeout,
        expected,
        expect_names: expect_names(config),
    }
}

fn expect_names(config: &Config) -> Vec<String> {
    config.expect.iter().map(|expected| expected.name.clone()).collect()
}

fn limits(config: &Config) -> Limits {
    Limits {
        max_clients: config.server.max_clients,
        max_per_ip: config.server.max_per_ip.unwrap_or(0),
        retention: config.server.offline_retention,
        pin_legacy: config.server.pin_legacy,
        max_pings_per_second: config.server.max_pings_per_second,
        flood_factor: config.server.flood_factor,
    }
}

/// Listens on the configured port; the default one may give way to the next that is free, up to 8085.
pub(super) fn bind(config: &Config) -> anyhow::Result<(std::net::TcpListener, SocketAddr)> {
    let (host, port) = (config.server.host, config.server.port);
    let last = last_candidate(port, config.port_is_explicit);
    let may_give_way = last > port;
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

/// Returns the last port to try: a port that somebody asked for is used or refused, never replaced.
fn last_candidate(port: u16, is_explicit: bool) -> u16 {
    let may_give_way = !is_explicit && (PORT_DEFAULT..=PORT_FALLBACK_LAST).contains(&port);
    if may_give_way { PORT_FALLBACK_LAST } else { port }
}

/// Compares the open-file limit with what a full house needs.
fn too_few_files(limit: Option<u64>, max_clients: usize) -> Option<String> {
    let needed = max_clients as u64 + DESCRIPTORS_OF_OUR_OWN;
    let limit = limit.filter(|&limit| limit < needed)?;
    Some(format!(
        "the system allows {limit} open files, but max_clients = {max_clients} needs {needed} (raise ulimit -n, or LimitNOFILE in the service)"
    ))
}

/// Reads the configuration again and applies what can change while running.
pub(super) async fn reload(sources: &Sources, before: &Config, remote: &Remote) -> Option<Config> {
    let config = match sources.resolve_again(before) {
        Ok(config) => config,
        Err(error) => {
            for problem in error.problems {
                let words = format!("the configuration stays as it was: {problem}");
                remote.note(EventKind::Trouble(words)).await;
            }
            gate::reload(before, before, remote).await;
            return None;
        }
    };
    for warning in &config.warnings {
        remote.note(EventKind::Trouble(warning.clone())).await;
    }
    remote.note(EventKind::Notice(format!("read again: {}", config.file_line()))).await;
    let fixed = |config: &Config| {
        let server = (config.server.host, config.server.port, config.server.remember);
        (server, config.log.clone(), config.hooks.clone(), config.history.clone())
    };
    if fixed(&config) != fixed(before) {
        let words = "server.host, server.port, server.remember, hooks.*, log.* and history.* take effect at \
                     the next start";
        remote.note(EventKind::Notice(words.to_owned())).await;
    }
    remote.speak(config.server.dialects);
    gate::reload(&config, before, remote).await;
    let terms = Terms {
        settings: config.server.settings,
        limits: limits(&config),
        register_timeout: config.server.register_timeout,
        expect_names: expect_names(&config),
    };
    remote.reload(terms).await;
    Some(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_port_gives_way_up_to_8085_and_a_port_asked_for_never_does() {
        assert_eq!(last_candidate(8080, false), 8085);
        assert_eq!(last_candidate(8083, false), 8085);
        for (port, is_explicit) in [(8080, true), (9000, false), (8086, false), (0, false), (80, false)] {
            assert_eq!(last_candidate(port, is_explicit), port);
        }
    }

    #[test]
    fn a_full_house_that_does_not_fit_the_open_file_limit_is_warned_about() {
        assert_eq!(too_few_files(Some(1_024), 100), None);
        assert_eq!(too_few_files(None, 1_000_000), None);
        let warning = too_few_files(Some(1_024), 5_000).unwrap();
        assert!(warning.contains("1024") && warning.contains("5064") && warning.contains("ulimit -n"));
    }
}
