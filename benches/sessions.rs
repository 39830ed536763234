//! Do the promises hold with 100,000 clients, and at what cost: `cargo bench --bench sessions [-- CLIENTS ...]`.
//!
//! A whole server, its hub on a thread of its own, in real time. Only sockets are left out, for no process may open
//! so many: connections are pipes in memory. The clients are in this process as well, each as small as can be. One
//! fleet after the other, in a process of its own so that its memory is its own: all join, follow new settings, a
//! tenth of them falls silent in one instant while the others go on, and the rest are asked to leave. It fails when
//! anybody is told anything untrue.
#![allow(missing_docs, clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(clippy::cast_precision_loss, reason = "no figure is that exact")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot set itself up should say so and stop")]

mod common;
#[path = "common/pipes.rs"]
mod pipes;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use pipes::{Client, End, Shared};
use presence_tui::presence::command::Command;
use presence_tui::presence::event::Origin;
use presence_tui::presence::registry::Limits;
use presence_tui::presence::{Event, EventKind, Reason, Settings};
use presence_tui::server::{HubHost, KnownList, Options, Server};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

/// Interval and timeout asked for at first, and after the change.
const BEFORE: (Duration, Duration) = (Duration::from_mins(1), Duration::from_mins(2));
const AFTER: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(20));
/// How many are on their way in at a time.
const AT_ONCE: usize = 512;
/// A step that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_mins(2);
/// Everybody must be gone so soon after the server was asked to stop.
const STOP_MAX: Duration = Duration::from_secs(5);

fn main() {
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    if let [n] = asked[..] {
        tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(measure(n));
        return;
    }
    let sizes = if asked.is_empty() { vec![1_000, 10_000, 100_000] } else { asked };
    for n in sizes {
        let itself = std::env::current_exe().unwrap();
        let ended = std::process::Command::new(itself).arg(n.to_string()).status().unwrap();
        assert!(ended.success(), "with {n} clients a promise was broken");
    }
}

async fn measure(n: usize) {
    println!("-- {n} clients");
    let empty = common::rss(std::process::id());
    let mut server = Server::start(options(n), HubHost::Thread).unwrap();
    let events = server.events().unwrap();
    let account = std::thread::spawn(move || keep_account(events));
    let remembered = tokio::spawn(remember(server.known()));
    let (server, shared) = (Arc::new(server), Arc::new(Shared::new(n)));
    let clients = join(n, empty, &server, &shared).await;
    retune(n, &server, &shared).await;
    freeze(n, &shared).await;
    drain(n, server, &shared, clients, account).await;
    remembered.await.unwrap();
}

/// Takes the lists of who is known, as the program does to write them to its file.
async fn remember(mut known: watch::Receiver<KnownList>) {
    while known.changed().await.is_ok() {
        let list = known.borrow_and_update().clone();
        tokio::task::spawn_blocking(move || drop(list.take())).await.unwrap();
    }
}

fn options(n: usize) -> Options {
    Options {
        name: "bench".to_owned(),
        settings: Settings::new(BEFORE.0, BEFORE.1).unwrap(),
        limits: Limits { max_clients: n, max_per_ip: 0, max_pings_per_second: 0, ..Limits::default() },
        register_timeout: PATIENCE,
        expected: Vec::new(),
        expect_names: Vec::new(),
    }
}

/// Everybody joins, as fast as they are let in.
async fn join(
    n: usize,
    empty: u64,
    server: &Arc<Server>,
    shared: &Arc<Shared>,
) -> Vec<tokio::task::JoinHandle<End>> {
    let clients = (0..n).map(|number| {
        let (server, shared) = (server.clone(), shared.clone());
        tokio::spawn(Client::run(number, server, shared, BEFORE.0))
    });
    let clients: Vec<_> = clients.collect();
    let own = common::rss(std::process::id());
    let step = Step::begin();
    shared.door.add_permits(AT_ONCE);
    shared.all("in", &shared.joined, n).await;
    step.end("join", n, "");
    sleep(Duration::from_secs(1)).await;
    let each = |bytes: u64| bytes / n as u64;
    let all = common::rss(std::process::id());
    println!(
        "memory: {} B for each, {} of them for the client's task before it had a pipe",
        each(all.saturating_sub(empty)),
        each(own.saturating_sub(empty))
    );
    clients
}

/// A shorter interval and timeout, acknowledged by all.
async fn retune(n: usize, server: &Server, shared: &Shared) {
    let step = Step::begin();
    shared.asked_at.store(shared.since_start_us(), Relaxed);
    let settings = Settings::new(AFTER.0, AFTER.1).unwrap();
    server.remote().command(Command::Set(settings, Origin::Key)).await;
    shared.all("following", &shared.followed, n).await;
    let told = spread(&shared.told_us, 1_000.0, "ms");
    step.end("retune", n, &format!("told after {told}"));
    println!("        known to follow after {}", spread(&shared.followed_us, 1_000.0, "ms"));
}

/// A tenth of them falls silent in one instant, after a while in which everybody beats.
async fn freeze(n: usize, shared: &Shared) {
    let (frozen, pings) = (n.div_ceil(pipes::FROZEN_OF), shared.pongs.load(Relaxed));
    let step = Step::begin();
    let at = shared.start + Duration::from_micros(shared.since_start_us()) + AFTER.0 + Duration::from_secs(1);
    shared.freeze_at.store(at.duration_since(shared.start).as_micros().try_into().unwrap(), Relaxed);
    tokio::time::sleep_until(at).await;
    let rate = (shared.pongs.load(Relaxed) - pings) as f64 / step.from.elapsed().as_secs_f64();
    step.end("beating", n, &format!("{rate:.0} pings a second"));
    let step = Step::begin();
    shared.all("convicted", &shared.convicted, frozen).await;
    step.end(
        "freeze",
        n,
        &format!("{frozen} convicted, each read it {} after its timeout", {
            spread(&shared.late_us, 1_000.0, "ms")
        }),
    );
}

/// The rest are asked to leave.
async fn drain(
    n: usize,
    server: Arc<Server>,
    shared: &Shared,
    clients: Vec<tokio::task::JoinHandle<End>>,
    account: JoinHandle<Account>,
) {
    assert_eq!(shared.wrong.load(Relaxed), 0, "nobody but the silent was cut");
    let server = Arc::into_inner(server).unwrap();
    let step = Step::begin();
    let summary = server.stop().await;
    let took = step.from.elapsed();
    let (mut convicted, mut slots) = (0, Vec::with_capacity(n));
    for client in clients {
        match client.await.unwrap() {
            End::Convicted => convicted += 1,
            End::Drained { slot } => slots.push(slot),
            End::Wrong(words) => println!("WRONG: {words}"),
        }
    }
    let longest = slots.iter().max().copied().unwrap_or_default();
    step.end("drain", n, &format!("{} left, the last slot was {longest:.1?}", slots.len()));
    let Account { timeouts, others, said, back_late } = account.join().unwrap();
    let record = summary.record;
    println!(
        "the server: {} verdicts, late by {:.1?} (p99), {:.1?} (max); {} holds; paused {:.1?}; {} events not told",
        record.verdicts,
        record.lateness_p99,
        record.lateness_max,
        record.holds,
        record.paused,
        summary.events_dropped
    );
    for words in said {
        println!("it said: {words}");
    }
    println!("{back_late} were late and heard again");
    let frozen = n.div_ceil(pipes::FROZEN_OF);
    assert_eq!(shared.wrong.load(Relaxed), 0, "nobody was told anything else");
    assert_eq!((convicted, slots.len()), (frozen, n - frozen), "the silent are gone, the others were asked");
    assert_eq!((timeouts, others), (frozen, Vec::<String>::new()), "and that is the server's account, too");
    assert!(shared.late_us.lock().unwrap().iter().all(|late| *late >= 0), "nobody was convicted early");
    assert_eq!(summary.left_behind, 0, "everybody is gone");
    assert!(took < STOP_MAX, "the stop took {took:?}");
}

/// What the server told of itself.
#[derive(Default)]
struct Account {
    timeouts: usize,
    /// Departures for reasons that nobody gave.
    others: Vec<String>,
    /// Troubles and notices.
    said: Vec<String>,
    back_late: usize,
}

fn keep_account(mut events: mpsc::Receiver<Arc<Event>>) -> Account {
    let mut account = Account::default();
    while let Some(event) = events.blocking_recv() {
        match &event.kind {
            EventKind::Gone { departure, .. } => match departure.reason {
                Reason::Timeout => account.timeouts += 1,
                Reason::Left | Reason::Drain => {}
                _ => account.others.push(event.kind.to_string()),
            },
            EventKind::Back { .. } => account.back_late += 1,
            EventKind::Trouble(words) | EventKind::Notice(words) => account.said.push(words.clone()),
            _ => {}
        }
    }
    account
}

/// One step: its time, its processor time, both also for each client.
struct Step {
    from: Instant,
    cpu_ms: u64,
}

impl Step {
    fn begin() -> Self {
        Self { from: Instant::now(), cpu_ms: common::cpu_ms(std::process::id()) }
    }

    fn end(&self, what: &str, n: usize, more: &str) {
        let (took, cpu) = (self.from.elapsed(), common::cpu_ms(std::process::id()) - self.cpu_ms);
        let each = |seconds: f64| seconds * 1e6 / n as f64;
        println!(
            "{what:8}{:8.3} s, {:7.1} us each; {:8.3} s of processor time, {:7.1} us each   {more}",
            took.as_secs_f64(),
            each(took.as_secs_f64()),
            cpu as f64 / 1e3,
            each(cpu as f64 / 1e3),
        );
    }
}

fn spread(values: &std::sync::Mutex<Vec<i64>>, unit: f64, name: &str) -> String {
    let mut values = values.lock().unwrap().clone();
    values.sort_unstable();
    let at = |percent| common::percentile(&values, percent) as f64 / unit;
    format!("{:.1} {name} (p50), {:.1} (p99), {:.1} (the last)", at(50), at(99), at(100))
}
