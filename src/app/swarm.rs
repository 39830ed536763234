//! `swarm`: a load on somebody's server from its first connection to its report.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::sync::mpsc;
use tokio::time::{self, Instant, MissedTickBehavior};

use super::serve::DESCRIPTORS_OF_OUR_OWN;
use super::signals::Signals;
use super::{Failure, print};
use crate::cli::{SwarmArgs, SwarmDialect};
use crate::net;
use crate::net::addr::ServerAddr;
use crate::presence::span::brief;
use crate::swarm::report::{fine, grouped};
use crate::swarm::{Asked, Dialect, Plan, Progress, Report, Swarm};

/// How often the swarm is looked at for something to tell.
const LOOK_PERIOD: Duration = Duration::from_millis(100);
/// How often the line on the terminal is written anew.
const PROGRESS_PERIOD: Duration = Duration::from_millis(500);
/// How long an address may take to show whether somebody listens there, when there are several.
const TRIAL: Duration = Duration::from_secs(3);
/// How many lines may wait for stderr; what does not fit is left out.
const LINES_WAITING: usize = 64;

/// Puts a load on a server until it is over or asked to stop; the report goes to `out`.
pub(super) fn swarm(args: &SwarmArgs, out: &mut impl Write) -> Result<(), Failure> {
    let plan = Plan::new(&asked(args)).map_err(|error| Failure::Usage(error.into()))?;
    check_open_files(net::raise_open_files(), plan.clients)?;
    // One thread: the cores belong to the server, which is often on the same machine.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    let (report, trouble) = runtime.block_on(run(plan))?;
    print(out, if args.json { report.json() } else { report.text() }.as_bytes())?;
    verdict(&report, trouble.as_deref()).map_err(Failure::Job)
}

fn asked(args: &SwarmArgs) -> Asked<'_> {
    Asked {
        server: &args.server,
        clients: args.clients,
        rate: &args.rate,
        interval: args.interval.as_deref(),
        timeout: args.timeout.as_deref(),
        freeze: args.freeze,
        churn: &args.churn,
        dialect: match args.dialect {
            SwarmDialect::Presence => Dialect::Presence,
            SwarmDialect::Base => Dialect::Base,
        },
        roster: args.roster,
        duration: args.duration.as_deref(),
        seed: args.seed,
        closed_loop: args.closed_loop,
    }
}

/// Refuses a swarm the system has no descriptors for.
fn check_open_files(limit: Option<u64>, clients: usize) -> anyhow::Result<()> {
    let needed = clients as u64 + DESCRIPTORS_OF_OUR_OWN;
    match limit.filter(|&limit| limit < needed) {
        None => Ok(()),
        Some(limit) => Err(anyhow!(
            "{clients} clients need {needed} open files, and the system allows {limit} (try fewer, or raise ulimit -Hn)"
        )),
    }
}

/// Tells whether the swarm could do what it was asked to.
fn verdict(report: &Report, trouble: Option<&str>) -> anyhow::Result<()> {
    if report.is_full() {
        return Ok(());
    }
    let (most, asked, server) = (report.clients.online_most, report.clients.asked, &report.server);
    let why = trouble.map_or_else(String::new, |trouble| format!(": {trouble}"));
    if most == 0 {
        return Err(anyhow!("no client got in at {server}{why}"));
    }
    Err(anyhow!("no more than {} of {asked} clients were online at {server}{why}", grouped(most)))
}

/// Runs the swarm; returns its report, and the first thing that went wrong.
async fn run(plan: Plan) -> anyhow::Result<(Report, Option<String>)> {
    let mut signals = Signals::listen().context("cannot listen to signals")?;
    let addr = tokio::select! {
        addr = resolve(&plan.server) => addr?,
        () = signals.stop() => return Err(anyhow!("stopped before {} was found", plan.server)),
    };
    let ends = plan.duration.map(|duration| Instant::now() + duration);
    let (clients, interval) = (plan.clients, plan.interval);
    let swarm = Swarm::start(plan, addr).context("there is no memory to count in")?;
    let teller = Teller::start();
    teller.tell(&format!("{} clients are sent to {addr}", grouped(clients as u64)));
    let mut story = Story { clients, interval, settled: false, troubled: false, warned: false };
    let mut look = time::interval(LOOK_PERIOD);
    let mut progress = time::interval(PROGRESS_PERIOD);
    for ticks in [&mut look, &mut progress] {
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            () = signals.stop() => break,
            () = swarm.over() => break,
            () = until(ends) => break,
            _ = look.tick() => story.continues(&swarm.progress()).iter().for_each(|line| teller.tell(line)),
            _ = progress.tick(), if teller.live => teller.progress(&progress_line(&swarm.progress(), clients)),
        }
    }
    let last = swarm.progress();
    story.continues(&last).iter().for_each(|line| teller.tell(line));
    if last.online > 0 {
        teller.tell(&format!("{} clients say goodbye", grouped(last.online)));
    }
    let report = swarm.stop().await;
    teller.finish();
    Ok((report, last.trouble))
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// Looks the server up; of several addresses the first one that takes a connection is it.
async fn resolve(server: &ServerAddr) -> anyhow::Result<SocketAddr> {
    let found = tokio::net::lookup_host((server.host(), server.port())).await;
    let addrs: Vec<SocketAddr> = found.with_context(|| format!("cannot look up {server}"))?.collect();
    if addrs.len() > 1 {
        for &addr in &addrs {
            if let Ok(Ok(_)) = time::timeout(TRIAL, tokio::net::TcpStream::connect(addr)).await {
                return Ok(addr);
            }
        }
    }
    addrs.first().copied().with_context(|| format!("{server} has no address"))
}

/// What has been told already.
struct Story {
    clients: usize,
    interval: Option<Duration>,
    settled: bool,
    troubled: bool,
    warned: bool,
}

impl Story {
    /// Returns what is new.
    fn continues(&mut self, now: &Progress) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(trouble) = now.trouble.as_ref().filter(|_| !self.troubled) {
            self.troubled = true;
            lines.push(format!("warning: one was not let in: {trouble}"));
        }
        if let (Some(own), Some((_, timeout))) = (self.interval, now.told)
            && own >= timeout
            && !self.warned
        {
            self.warned = true;
            let (own, timeout) = (brief(own), brief(timeout));
            lines.push(format!(
                "warning: with --interval {own} clients will be timed out: the server's timeout is {timeout}"
            ));
        }
        if let Some(at) = now.settled.filter(|_| !self.settled) {
            self.settled = true;
            let (online, after) = (grouped(now.online), brief(at));
            lines.push(match now.not_let_in {
                0 => format!("all {} are in after {after}", grouped(self.clients as u64)),
                not => format!("{online} are in after {after}, {} are not", grouped(not)),
            });
        }
        lines
    }
}

/// Writes to stderr from a thread of its own: a terminal that stops reading must not stop a heartbeat.
struct Teller {
    words: mpsc::Sender<String>,
    thread: Option<JoinHandle<()>>,
    /// Whether there is a terminal, on which a line can be written anew.
    live: bool,
}

impl Teller {
    /// Starts it; without the thread nothing is told, and the swarm runs all the same.
    fn start() -> Self {
        let (words, mut waiting) = mpsc::channel::<String>(LINES_WAITING);
        let mut stderr = std::io::stderr();
        let live = stderr.is_terminal();
        let thread = std::thread::Builder::new().name("stderr".to_owned()).spawn(move || {
            while let Some(words) = waiting.blocking_recv() {
                let _ = stderr.write_all(words.as_bytes()); // With stderr gone there is nobody to tell.
            }
        });
        Self { words, thread: thread.ok(), live }
    }

    fn clear(&self) -> &'static str {
        if self.live { "\r\x1b[K" } else { "" }
    }

    fn tell(&self, line: &str) {
        let _ = self.words.try_send(format!("{}{line}\n", self.clear())); // Who reads so slowly misses some.
    }

    /// Writes the line anew that tells how it goes.
    fn progress(&self, line: &str) {
        let _ = self.words.try_send(format!("{}{line}", self.clear())); // Likewise.
    }

    /// Waits until everything is written.
    fn finish(self) {
        self.progress("");
        drop(self.words);
        let _ = self.thread.map(JoinHandle::join); // If it broke, there is nothing to wait for.
    }
}

fn progress_line(now: &Progress, clients: usize) -> String {
    let (online, clients) = (grouped(now.online), grouped(clients as u64));
    let mut parts = vec![format!("{}  {online} of {clients} online", brief(now.elapsed))];
    if now.not_let_in > 0 {
        parts.push(format!("{} not let in", grouped(now.not_let_in)));
    }
    if now.lost > 0 {
        parts.push(format!("{} lost", grouped(now.lost)));
    }
    if now.pongs > 0 {
        let (p50, p99) = now.pong_us;
        parts.push(format!("{} pongs: p50 {}, p99 {}", grouped(now.pongs), fine(p50), fine(p99)));
    }
    parts.join(", ")
}
