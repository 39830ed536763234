//! Minutes of churn, freezes, retunes and restarts at two thousand clients: nothing grows, and no verdict is wrong.
//!
//! `SOAK_SECONDS=600 cargo test --profile quick --test soak -- --ignored --nocapture`
#![cfg(target_os = "linux")] // Memory and descriptors are read from /proc.
#![allow(missing_docs, reason = "a test is documented by its name")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests are test code")]

#[path = "common/process.rs"]
mod process;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Output;
use std::thread;
use std::time::Duration;

use process::{Daemon, Home};
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::Instant;

/// How many clients are there at any time.
const CLIENTS: usize = 2_000;
/// How many of them leave each second, and are replaced.
const CHURN: usize = 40;
/// How many of them hang.
const FROZEN: usize = 20;
/// How long one swarm lasts before its frozen ones are waited for.
const ROUND: Duration = Duration::from_secs(25);
/// Every so often the server is stopped in the middle of a round, and started again.
const RESTART_EVERY: usize = 4;
/// How much more than after its first round a server may hold: an allocator's mood, and no leak. At forty
/// departures a second a leak of a kilobyte each would be past this in four minutes.
const GROWTH_BYTES_MAX: u64 = 8 << 20;

/// What one server holds while nobody is there.
#[derive(Debug, Clone, Copy)]
struct Held {
    rss_bytes: u64,
    descriptors: usize,
    threads: usize,
}

/// The place where servers are started one after the other.
struct Site {
    home: Home,
    addr: SocketAddr,
}

impl Site {
    fn new() -> Self {
        // The system gave it out a moment ago, and does not give it to others soon.
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self { home: Home::new(), addr }
    }

    /// Writes settings for the next start, or the next signal.
    fn settings(&self, interval: u32, timeout: u32) {
        self.home.config(&format!(
            "[server]\nheartbeat_interval = {interval}\nconnection_timeout = {timeout}\nmax_clients = 4000\noffline_retention = \"3s\"\n"
        ));
    }

    fn serve(&self) -> Daemon {
        let line = format!("serve --headless --host 127.0.0.1 --port {}", self.addr.port());
        let mut server = Daemon::start(&mut self.home.command(&line));
        server.listening();
        server
    }

    fn swarm(&self, seed: usize) -> thread::JoinHandle<Output> {
        let line = format!(
            "swarm {} -n {CLIENTS} --churn {CHURN} --freeze {FROZEN} --duration {}s --seed {seed} --json",
            self.addr,
            ROUND.as_secs()
        );
        let mut command = self.home.command(&line);
        thread::spawn(move || command.output().unwrap())
    }

    /// Asks the server over HTTP.
    fn ask(&self, target: &str) -> Value {
        let mut stream = TcpStream::connect(self.addr).unwrap();
        stream
            .write_all(format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    /// Waits until nobody is left, and returns what the server holds then.
    fn settled(&self, server: &Daemon) -> Held {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let who = self.ask("/health/connections");
            let rows: u64 = who["states"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
            if who["active"] == 0 && who["connecting"] == 0 && rows == 0 {
                break;
            }
            assert!(Instant::now() < deadline, "somebody or something is left: {who}");
            thread::sleep(Duration::from_millis(500));
        }
        thread::sleep(Duration::from_secs(1));
        let proc = format!("/proc/{}", server.id());
        let status = fs::read_to_string(format!("{proc}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        };
        Held {
            rss_bytes: field("VmRSS:") * 1_024,
            descriptors: fs::read_dir(format!("{proc}/fd")).unwrap().count(),
            threads: usize::try_from(field("Threads:")).unwrap(),
        }
    }
}

/// Holds a swarm's report against what it was: nobody was treated wrongly, every frozen one was found.
fn check(ran: &Output, restarted: bool) {
    let report: Value = serde_json::from_slice(&ran.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&ran.stderr)));
    let clients = &report["clients"];
    println!("  {clients}");
    assert_eq!(clients["wrongly_timed_out"], 0, "{report}");
    assert_eq!(clients["cut"], serde_json::json!({}), "{report}");
    if !restarted {
        assert_eq!(clients["frozen_timed_out"], FROZEN, "{report}");
        assert_eq!(clients["lost"], 0, "{report}");
    }
}

#[test]
#[ignore = "takes as long as SOAK_SECONDS says, ten minutes if it does not"]
fn nothing_grows_and_no_verdict_is_wrong() {
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(600);
    let until = Instant::now() + Duration::from_secs(seconds);
    let site = Site::new();
    site.settings(5, 15);
    let mut server = site.serve();
    let mut first: Option<Held> = None;
    let mut round = 0;
    while Instant::now() < until {
        round += 1;
        let restart = round % RESTART_EVERY == 0;
        println!("round {round}{}", if restart { ", with a restart" } else { "" });
        let swarm = site.swarm(round);
        thread::sleep(ROUND / 3);
        // Shorter and longer in turn, under all of them.
        let (interval, timeout) = if round % 2 == 0 { (5, 15) } else { (3, 9) };
        site.settings(interval, timeout);
        server.signal(Signal::HUP);
        if restart {
            thread::sleep(ROUND / 3);
            let (code, took) = server.stop(Signal::TERM);
            assert_eq!(code, Some(0), "{}", server.transcript());
            assert!(took < Duration::from_secs(6), "it stopped after {took:?}");
            server = site.serve();
            first = None;
        }
        check(&swarm.join().unwrap(), restart);
        let held = site.settled(&server);
        let record = site.ask("/health/heartbeats");
        println!("  {held:?}, {} false timeouts", record["false_timeouts"]);
        assert_eq!(record["false_timeouts"], 0, "{record}");
        if restart {
            continue; // Its first whole round is still to come.
        }
        let before = *first.get_or_insert(held);
        assert!(held.rss_bytes < before.rss_bytes + GROWTH_BYTES_MAX, "{before:?} became {held:?}");
        assert!(held.descriptors <= before.descriptors + 2, "{before:?} became {held:?}");
        assert!(held.threads <= before.threads + 1, "{before:?} became {held:?}");
    }
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
}
