//! `demo`: a server and a fleet that plays its clients, in one process.

use anyhow::{Context, bail};

use super::running::{Kept, Running};
use super::serve::{DESCRIPTORS_OF_OUR_OWN, bind};
use super::signals::Signals;
use super::{Start, history};
use crate::config::{Config, Sources};
use crate::demo::Fleet;
use crate::history::Plan;
use crate::net;
use crate::presence::span::brief;

/// Serves a fleet of simulated clients until it is asked to stop; returns what is to be said afterwards.
pub(super) async fn demo(
    config: &Config,
    sources: &Sources,
    clients: usize,
    seed: Option<u64>,
    start: Start,
) -> anyhow::Result<String> {
    let mut signals = Signals::listen().context("cannot listen to signals")?;
    check_open_files(net::raise_open_files(), config.server.max_clients)?;
    let (listener, addr) = bind(config)?;
    let seed = seed.unwrap_or_else(|| fastrand::u64(..SEEDS));
    let introduction = introduction(config, clients, seed);
    // In memory alone: what simulated clients did is nothing to look back at.
    let plan = history::plan(config, addr, None).map(|plan| Plan { path: None, ..plan });
    let kept = Kept { history: plan, ..Kept::default() };
    let mut running = Running::start(config, listener, addr, start, &introduction, kept).await?;
    let fleet = Fleet::start(addr, clients, seed);
    let ended = running.attend(&mut signals, config, sources).await;
    let last_words = running.stop(&mut signals, fleet.stop()).await;
    ended?;
    Ok(last_words?)
}

/// Seeds that are drawn are below this: short enough to be typed again.
const SEEDS: u64 = 10_000;

fn introduction(config: &Config, clients: usize, seed: u64) -> String {
    let settings = config.server.settings;
    let (interval, timeout) = (brief(settings.interval()), brief(settings.timeout()));
    format!("a demo: {clients} simulated clients (seed {seed}), interval {interval}, timeout {timeout}")
}

/// Refuses a fleet the system has no descriptors for: here both ends of every connection are ours.
fn check_open_files(limit: Option<u64>, max_clients: usize) -> anyhow::Result<()> {
    let needed = 2 * max_clients as u64 + DESCRIPTORS_OF_OUR_OWN;
    if let Some(limit) = limit.filter(|&limit| limit < needed) {
        bail!(
            "this many clients need {needed} open files, and the system allows {limit} (try fewer, or raise ulimit -n)"
        );
    }
    Ok(())
}
