//! From the start of the program to its first client: `cargo bench --bench start [-- ROUNDS]`.
//!
//! The clock starts before the process does, and stops when a client that
//! knocks every 50 us has read its welcome.
#![allow(missing_docs, clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot set itself up should say so and stop")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

const KNOCK: Duration = Duration::from_micros(50);

fn main() {
    let rounds = common::asked(40);
    let state = tempfile::tempdir().unwrap();
    let mut took: Vec<Duration> = (0..rounds).map(|_| round(state.path())).collect();
    took.sort_unstable();
    let [median, most] = [50, 100].map(|percent| common::percentile(&took, percent));
    println!("from start to first registration, {rounds} times: p50 {median:.1?}, max {most:.1?}");
}

fn round(state: &std::path::Path) -> Duration {
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = common::headless(&[], &addr.port().to_string(), state);
    command.stderr(std::process::Stdio::null());
    let started = tokio::time::Instant::now();
    let mut child = command.spawn().unwrap();
    register(addr);
    let took = started.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    took
}

fn register(addr: SocketAddr) {
    let mut stream = loop {
        match TcpStream::connect(addr) {
            Ok(stream) => break stream,
            Err(_) => std::thread::sleep(KNOCK),
        }
    };
    stream.write_all(common::register_line(0).as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    assert!(line.contains("welcome"), "{line}");
}
