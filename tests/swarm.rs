//! The load generator against the real server: what it counts is what happened there.
#![cfg(unix)]
#![allow(missing_docs, reason = "a test is documented by its name")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are test code")]

#[path = "common/process.rs"]
mod process;

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use process::{Daemon, Home, Ran};
use rustix::process::Signal;
use serde_json::Value;
use socket2::{Domain, Socket, Type};

/// Beats and verdicts fast enough for a test; three beats fit into a timeout.
const FAST: &str = "--headless --json --interval 300ms --timeout 1s";

/// Runs a swarm to its end and returns its report.
fn swarm(home: &Home, server: SocketAddr, flags: &str) -> (Value, Ran) {
    let ran = home.run(&format!("swarm {server} --json --seed 7 {flags}"));
    let report = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}{}", ran.stdout, ran.stderr));
    (report, ran)
}

fn count(value: &Value) -> u64 {
    match value {
        Value::Object(counts) => counts.values().map(count).sum(),
        number => number.as_u64().unwrap_or_else(|| panic!("{number} is no number")),
    }
}

/// Holds the report against itself: everybody who began has one fate.
fn assert_adds_up(report: &Value) {
    let clients = &report["clients"];
    let sum = |words: &[&str]| words.iter().map(|word| count(&clients[word])).sum::<u64>();
    assert_eq!(sum(&["begun"]), sum(&["registered", "refused", "failed", "too_late"]), "{report}");
    let fates = [
        "stayed",
        "replaced",
        "drained",
        "frozen_timed_out",
        "wrongly_timed_out",
        "late_and_timed_out",
        "cut",
        "lost",
    ];
    assert_eq!(sum(&["registered"]), sum(&fates), "{report}");
    let traffic = &report["traffic"];
    assert!(count(&traffic["pongs"]) <= count(&traffic["pings"]), "{report}");
    assert_eq!(report["pong_us"]["count"], traffic["pongs"], "every pong has its round trip: {report}");
    assert_eq!(report["register_us"]["count"], clients["registered"], "{report}");
}

/// Stops the server and returns how many of its events were of each of these kinds.
fn happened<const N: usize>(mut server: Daemon, words: [&str; N]) -> [u64; N] {
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
    words.map(|word| {
        let is_it = |line: &&String| serde_json::from_str::<Value>(line).unwrap()["event"] == word;
        server.said.iter().filter(is_it).count() as u64
    })
}

#[test]
fn everybody_pings_stays_and_says_goodbye_and_the_server_saw_the_same() {
    let home = Home::new();
    let server = home.serve(FAST);
    let (report, ran) = swarm(&home, server.addr(), "-n 20 --duration 1s");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_adds_up(&report);
    assert_eq!((count(&report["clients"]["registered"]), count(&report["clients"]["stayed"])), (20, 20));
    assert_eq!((&report["told"]["interval_ms"], &report["told"]["timeout_ms"]), (&300.into(), &1_000.into()));
    assert!(count(&report["traffic"]["pongs"]) >= 20, "{report}");
    assert!(ran.stderr.contains("all 20 are in after "), "{}", ran.stderr);
    assert_eq!(happened(server, ["registered", "left", "lost", "timed_out"]), [20, 20, 0, 0]);
}

#[test]
fn how_late_the_frozen_ones_are_timed_out_is_measured_and_it_ends_with_the_last_of_them() {
    let home = Home::new();
    let server = home.serve(FAST);
    let (report, ran) = swarm(&home, server.addr(), "-n 20 --freeze 20");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_adds_up(&report);
    assert_eq!(report["clients"]["frozen_timed_out"], 20);
    let late = &report["timeout_late_us"];
    assert_eq!(late["count"], 20);
    assert!(count(&late["min"]) > 0 && count(&late["max"]) < 5_000_000, "{late}");
    assert_eq!(happened(server, ["timed_out", "lost"]), [20, 0]);
}

#[test]
fn those_who_leave_are_replaced_at_the_rate_that_was_asked_for() {
    let home = Home::new();
    let server = home.serve(&format!("{FAST} --max-clients 10"));
    let (report, ran) = swarm(&home, server.addr(), "-n 10 --rate 100 --churn 20 --duration 1.5s");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_adds_up(&report);
    // 20 a second for 1.4 s after the ramp; a server without a free place shows that each waits for its turn.
    let replaced = count(&report["clients"]["replaced"]);
    assert!((14..=28).contains(&replaced), "{report}");
    assert_eq!(count(&report["clients"]["refused"]), 0, "{report}");
    let registered = count(&report["clients"]["registered"]);
    assert_eq!(happened(server, ["registered", "left", "refused"]), [registered, registered, 0]);
}

#[test]
fn who_is_refused_is_counted_under_the_servers_word_and_the_swarm_has_failed() {
    let home = Home::new();
    let server = home.serve(&format!("{FAST} --max-clients 5"));
    let (report, ran) = swarm(&home, server.addr(), "-n 20 --duration 500ms");
    assert_eq!(ran.code, Some(1));
    assert_adds_up(&report);
    assert_eq!(report["clients"]["refused"], serde_json::json!({"full": 15}));
    assert!(ran.stderr.contains("error: no more than 5 of 20 clients were online"), "{}", ran.stderr);
    assert!(ran.stderr.contains("full: 5 of 5 clients"), "{}", ran.stderr);
}

#[test]
fn base_clients_are_what_the_server_takes_for_legacy_ones() {
    let home = Home::new();
    let mut server = home.serve(FAST);
    let flags = "-n 20 --dialect base --interval 250ms --freeze 5 --timeout 1s --duration 2s";
    let (report, ran) = swarm(&home, server.addr(), flags);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_adds_up(&report);
    assert_eq!(
        (&report["clients"]["stayed"], &report["clients"]["frozen_timed_out"]),
        (&15.into(), &5.into())
    );
    assert_eq!(report["timeout_late_us"]["count"], 5, "it goes by the timeout it was given");
    assert_eq!(report["told"], Value::Null);
    let registered = server.event("registered");
    assert!(registered["id"].as_str().unwrap().starts_with('~'), "{registered}");
    // Base clients just close.
    assert_eq!(happened(server, ["timed_out", "left", "lost"]), [5, 0, 15]);
}

#[test]
fn it_can_be_stopped_at_any_time_and_nobody_is_lost_by_that() {
    let home = Home::new();
    let server = home.serve(FAST);
    let mut swarm = home.command(&format!("swarm {} -n 20", server.addr()));
    let mut swarm = Daemon::start(swarm.stdout(Stdio::null()));
    swarm.says("all 20 are in");
    let (code, took) = swarm.stop(Signal::INT);
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(3), "{took:?}");
    // At a client a second, most of these are still waiting for their turn.
    let mut slow = home.command(&format!("swarm {} -n 20 --rate 1 --duration 10m", server.addr()));
    let mut slow = Daemon::start(slow.stdout(Stdio::null()));
    slow.says("20 clients are sent to");
    assert_eq!(slow.stop(Signal::TERM).0, Some(1), "they were never all in");
    let [registered, left, lost] = happened(server, ["registered", "left", "lost"]);
    assert_eq!((registered, lost), (left, 0));
}

#[test]
fn settings_that_change_meanwhile_are_followed_at_once() {
    let home = Home::new();
    let settings = |interval, timeout| {
        home.config(&format!("[server]\nheartbeat_interval = {interval}\nconnection_timeout = {timeout}\n"));
    };
    settings("60", "120");
    let mut server = home.serve("--headless --json");
    let mut swarm = home.command(&format!("swarm {} -n 10 --duration 2500ms --json", server.addr()));
    let swarm = std::thread::spawn(move || Ran::of(&mut swarm));
    for _ in 0..10 {
        server.event("registered");
    }
    settings("0.2", "1");
    server.signal(Signal::HUP);
    let ran = swarm.join().unwrap();
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_adds_up(&report);
    // At a ping a minute hardly any of them would have pinged yet, and none would have lived to the end.
    assert_eq!((ran.code, &report["clients"]["stayed"]), (Some(0), &10.into()), "{report}");
    assert!(count(&report["traffic"]["pongs"]) >= 20, "{report}");
}

#[test]
fn a_server_that_stops_asks_the_swarm_to_leave_and_it_does() {
    let home = Home::new();
    let mut server = home.serve(FAST);
    let mut swarm = home.command(&format!("swarm {} -n 20 --json", server.addr()));
    let swarm = std::thread::spawn(move || Ran::of(&mut swarm));
    for _ in 0..20 {
        server.event("registered");
    }
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
    let ran = swarm.join().unwrap();
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_adds_up(&report);
    assert_eq!(report["clients"]["drained"], 20, "{report}");
}

#[test]
fn where_nobody_listens_it_says_so_and_fails() {
    let home = Home::new();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    let (report, ran) = swarm(&home, addr, "-n 3");
    assert_eq!(ran.code, Some(1));
    assert_adds_up(&report);
    assert!(
        ran.stderr.contains(&format!("no client got in at {addr}: connection refused")),
        "{}",
        ran.stderr
    );
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_sent() {
    let home = Home::new();
    for (flags, words) in [
        ("-n 0", "1 to 1000000"),
        ("-n 10 --freeze 11", "--freeze 11"),
        ("--rate 0", "--rate"),
        ("--interval 1ms", "100ms to 1h"),
        ("--dialect base --roster", "--dialect presence"),
    ] {
        let ran = home.run(&format!("swarm 127.0.0.1:1 {flags}"));
        assert_eq!(ran.code, Some(2), "{flags}: {}", ran.stderr);
        assert!(ran.stderr.contains(words) && ran.stdout.is_empty(), "{flags}: {}", ran.stderr);
    }
    let ran = home.run("swarm 127.0.0.1:1 -n 1000000");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("need 1000064 open files, and the system allows"), "{}", ran.stderr);
}

#[test]
fn the_report_for_people_is_on_stdout_alone() {
    let home = Home::new();
    let server = home.serve(FAST);
    let ran = home.run(&format!("swarm {} -n 3 --duration 300ms", server.addr()));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.starts_with(&format!("3 clients at {} for ", server.addr())), "{}", ran.stdout);
    assert!(ran.stdout.contains("stayed to the end               3\n"), "{}", ran.stdout);
    assert!(!(ran.stdout + &ran.stderr).contains(['\u{1b}', '\r']), "nobody watches, so nothing moves");
}
