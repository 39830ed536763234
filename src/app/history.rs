//! `history`: what is remembered, for whoever asks; and where a server keeps it.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::sync::mpsc;

use super::join::wall_ms;
use super::running::pass_on_news;
use super::{Failure, print};
use crate::cli::HistoryArgs;
use crate::config::{Config, HistoryFile, PORT_DEFAULT};
use crate::history::{Clock, History, Moment, Plan};
use crate::presence::{EventKind, span};
use crate::server::Remote;
use crate::tasks;

/// How many remarks may wait for the hub; there is one when something breaks, and one when it works again.
const REMARKS_WAITING: usize = 16;

/// Returns where a server keeps its history and how much of it; `None` where it keeps none.
///
/// A server on a port that the system chose has nothing to find again, and keeps it in memory.
pub(super) fn plan(config: &Config, addr: SocketAddr, state_dir: Option<&Path>) -> Option<Plan> {
    let path = match &config.history.file {
        HistoryFile::Off => return None,
        HistoryFile::At(path) => Some(path.clone()),
        HistoryFile::InStateFolder if config.server.port == 0 => None,
        HistoryFile::InStateFolder => state_dir.map(|dir| dir.join(file_name(addr))),
    };
    Some(Plan {
        path: path.filter(|_| cfg!(feature = "history")),
        retention: config.history.retention,
        max_bytes: config.history.max_mb as u64 * 1_000_000,
    })
}

/// Returns what the file of a server on this address is called; one on one address alone is another one.
fn file_name(addr: SocketAddr) -> String {
    let host = match addr.ip() {
        ip if ip.is_unspecified() => String::new(),
        ip => format!("-{}", ip.to_string().replace(':', "_")),
    };
    format!("history-{}{host}.db", addr.port())
}

/// Starts to remember. What goes wrong with that is an event, and passes through `remote`.
pub(super) fn start(plan: Plan, remote: Remote) -> std::io::Result<History> {
    let (tell, told) = mpsc::channel::<EventKind>(REMARKS_WAITING);
    // It ends with the thread that tells.
    tasks::spawn(pass_on_news(told, remote));
    let clock: Clock =
        Arc::new(|| Moment { wall_ms: wall_ms(), mono: tokio::time::Instant::now().into_std() });
    History::start(
        plan,
        clock,
        Box::new(move |remark| {
            let _ = tell.try_send(remark); // Sixteen are waiting: a hub this busy has other news.
        }),
    )
}

/// Prints what is remembered.
pub(super) fn history(
    args: &HistoryArgs,
    config: &Config,
    state_dir: Option<&Path>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let since = span::parse(&args.since)
        .map_err(|error| Failure::Usage(anyhow!("--since: {:?} is {error}", args.since)))?;
    let path = match &args.path {
        Some(path) => path.clone(),
        None => find(args.port, config, state_dir)?,
    };
    if !path.exists() {
        return Err(Failure::Job(anyhow!(
            "there is no history in {} yet: `presence-tui serve` writes it (--path FILE or --port PORT names another one)",
            path.display()
        )));
    }
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let text = tell(&path, args, since, limit)?;
    Ok(print(out, text.as_bytes())?)
}

#[cfg(feature = "history")]
fn tell(path: &Path, args: &HistoryArgs, since: Duration, limit: usize) -> anyhow::Result<String> {
    use crate::history::report::{Question, read};
    let client = args.client.clone();
    let report = read(&Question { path: path.to_owned(), client, since, limit, now_ms: wall_ms() })
        .map_err(|trouble| anyhow!("the history in {} cannot be read: {trouble}", path.display()))?;
    if let (Some(client), true) = (&args.client, report.clients.is_empty()) {
        return Err(anyhow!("{} knows nobody by the name {client:?}", path.display()));
    }
    Ok(if args.json { report.json() } else { report.text() })
}

#[cfg(not(feature = "history"))]
fn tell(_: &Path, _: &HistoryArgs, _: Duration, _: usize) -> anyhow::Result<String> {
    Err(anyhow!("this build keeps no history (it was made without the feature `history`)"))
}

/// Finds the file of the server on a port, or on the configured one; without any wish, the newest there is.
fn find(port: Option<u16>, config: &Config, state_dir: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let (None, HistoryFile::At(path)) = (port, &config.history.file) {
        return Ok(path.clone());
    }
    let dir = state_dir.context("there is no home folder to look in (name the file with --path FILE)")?;
    let wanted = port.unwrap_or(config.server.port);
    // What stands between `history-` and `.db`: a port, and the address of a server on that one alone.
    let server = |name: &str| Some(name.strip_prefix("history-")?.strip_suffix(".db")?.to_owned());
    let is_wanted = |name: &str| {
        let server = server(name);
        server.is_some_and(|server| server.split('-').next() == Some(&wanted.to_string()))
    };
    let any = port.is_none() && wanted == PORT_DEFAULT;
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    let named = files.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry)));
    let history = named.filter(|(name, _)| is_wanted(name) || any && server(name).is_some());
    // Its own port's file comes before any other, then the one that was written to last.
    let newest = history
        .max_by_key(|(name, entry)| (is_wanted(name), entry.metadata().and_then(|it| it.modified()).ok()));
    Ok(newest.map_or_else(|| dir.join(format!("history-{wanted}.db")), |(_, entry)| entry.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_has_its_file_and_so_has_a_server_on_one_address_alone() {
        let name = |addr: &str| file_name(addr.parse().unwrap());
        assert_eq!(name("0.0.0.0:8080"), "history-8080.db");
        assert_eq!(name("[::]:8081"), "history-8081.db");
        assert_eq!(name("127.0.0.1:8080"), "history-8080-127.0.0.1.db");
    }
}
