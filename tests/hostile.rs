//! Strangers do their worst, all at once, and a good client does not notice.
//!
//! The large form takes about a minute:
//! `cargo test --profile quick --test hostile -- --ignored --nocapture`
#![cfg(target_os = "linux")] // Memory is read from /proc.
#![allow(missing_docs, reason = "a test is documented by its name")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests are test code"
)]

#[path = "common/process.rs"]
mod process;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use process::Home;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

/// What comes in at once.
#[derive(Debug, Clone, Copy)]
struct Attack {
    /// Connections that say random bytes.
    random: usize,
    /// Connections that say a register, byte by byte, and never to its end.
    slow: usize,
    /// Clients that register and then ping as fast as they can.
    floods: usize,
    /// The length of one line.
    line_bytes: u64,
}

/// How many random connections are open at a time: the rest of the descriptors is for the others.
const RANDOM_AT_ONCE: usize = 256;
/// How much more memory than idle the server may use.
const GROWTH_BYTES_MAX: u64 = 64 << 20;

/// What came of it.
#[derive(Debug)]
#[expect(dead_code, reason = "some of it is there to be printed")]
struct Outcome {
    /// The good client's slowest pong, and how many it got.
    slowest: Duration,
    pongs: u64,
    idle_bytes: u64,
    most_bytes: u64,
    /// How many of the attackers were told why they were cut.
    slow_told: usize,
    floods_told: usize,
    /// How much of the line the server let itself be sent.
    line_taken: u64,
    took: Duration,
}

fn rss(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
}

/// Pings three times a second, on a thread of its own, until it is told to stop; returns the slowest pong and their number.
fn good(addr: SocketAddr, stop: &AtomicBool) -> (Duration, u64) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    stream
        .write_all(
            b"{\"type\":\"register\",\"v\":1,\"id\":\"good\",\"client_ip\":\"good\",\"client_port\":1}\n",
        )
        .unwrap();
    assert!(lines.next().unwrap().unwrap().contains("welcome"));
    let (mut slowest, mut pongs) = (Duration::ZERO, 0);
    while !stop.load(Relaxed) {
        let asked = Instant::now();
        stream.write_all(b"{\"type\":\"ping\"}\n").unwrap();
        loop {
            let line = lines.next().expect("the good client stays in").unwrap();
            assert!(!line.contains("\"error\""), "{line}");
            if line.contains("\"pong\"") {
                break;
            }
        }
        slowest = slowest.max(asked.elapsed());
        pongs += 1;
        thread::sleep(Duration::from_millis(300));
    }
    (slowest, pongs)
}

/// Connects, says something random, and reads until the server closes.
async fn random(addr: SocketAddr) {
    let Ok(mut stream) = tokio::net::TcpStream::connect(addr).await else { return };
    let bytes: Vec<u8> = (0..fastrand::usize(1..2_000)).map(|_| fastrand::u8(..)).collect();
    let _ = stream.write_all(&bytes).await; // It may have been closed on already.
    let _ = stream.shutdown().await; // Likewise.
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await; // Likewise.
}

/// Says a register byte by byte; returns whether it was told that it takes too long.
async fn slow(addr: SocketAddr) -> bool {
    let Ok(mut stream) = tokio::net::TcpStream::connect(addr).await else { return false };
    let mut answer = Vec::new();
    let line = b"{\"type\":\"register\",\"client_ip\":\"h\",\"client_port\":1                    ";
    for byte in line {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        // A read that is given up loses nothing that was read.
        if let Ok(read) = timeout(Duration::from_millis(100), stream.read_buf(&mut answer)).await
            && !matches!(read, Ok(1..))
        {
            break;
        }
    }
    String::from_utf8_lossy(&answer).contains("\"register_timeout\"")
}

/// Registers, pings without end and reads; returns whether it was told why it is closed on: a flood, or a full door.
async fn flood(addr: SocketAddr, number: usize) -> bool {
    let Ok(stream) = tokio::net::TcpStream::connect(addr).await else { return false };
    let (mut read, mut write) = stream.into_split();
    let writing = tokio::spawn(async move {
        let register = format!(
            "{{\"type\":\"register\",\"v\":1,\"id\":\"f{number}\",\"client_ip\":\"f\",\"client_port\":1}}\n"
        );
        let pings = "{\"type\":\"ping\"}\n".repeat(20);
        if write.write_all(register.as_bytes()).await.is_err() {
            return;
        }
        while write.write_all(pings.as_bytes()).await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    let (mut tail, mut told) = (Vec::new(), false);
    let mut chunk = [0; 4_096];
    while let Ok(Ok(n @ 1..)) = timeout(Duration::from_secs(30), read.read(&mut chunk)).await {
        tail.extend_from_slice(&chunk[..n]);
        told |= memchr::memmem::find(&tail, b"\"code\":").is_some();
        tail.drain(..tail.len().saturating_sub(16));
    }
    writing.abort();
    told
}

/// Says one line that does not end; returns how much of it was taken.
async fn endless(addr: SocketAddr, bytes: u64) -> u64 {
    let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    let mut sent = 0;
    let chunk = vec![b'x'; 64 * 1_024];
    let _ = stream.write_all(b"{\"type\":\"chat\",\"message\":\"").await; // What is sent is counted below.
    while sent < bytes {
        match stream.write(&chunk).await {
            Ok(n @ 1..) => sent += n as u64,
            _ => break,
        }
    }
    sent
}

/// Lets them all loose on a server of its own.
fn attack(size: Attack) -> Outcome {
    let home = Home::new();
    let server =
        home.serve("--headless --json --max-clients 3000 --register-timeout 2s --interval 1s --timeout 30s");
    let (addr, pid) = (server.addr(), server.id());
    let stop = Arc::new(AtomicBool::new(false));
    let good = thread::spawn({
        let stop = stop.clone();
        move || good(addr, &stop)
    });
    thread::sleep(Duration::from_millis(500));
    let idle_bytes = rss(pid);
    let most = Arc::new(AtomicU64::new(0));
    let watching = thread::spawn({
        let (stop, most) = (stop.clone(), most.clone());
        move || {
            while !stop.load(Relaxed) {
                most.fetch_max(rss(pid), Relaxed);
                thread::sleep(Duration::from_millis(20));
            }
        }
    });
    let began = Instant::now();
    let (slow_told, floods_told, line_taken) = besiege(addr, size);
    let took = began.elapsed();
    stop.store(true, Relaxed);
    watching.join().unwrap();
    let (slowest, pongs) = good.join().unwrap();
    let mut server = server;
    assert_eq!(server.stop(Signal::TERM).0, Some(0), "and it stops as if nothing had been");
    let most_bytes = most.load(Relaxed);
    Outcome { slowest, pongs, idle_bytes, most_bytes, slow_told, floods_told, line_taken, took }
}

/// Returns how many of the slow and of the floods were told why they were cut, and how much of the line was taken.
fn besiege(addr: SocketAddr, size: Attack) -> (usize, usize, u64) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    // Strangers do not run on our processor: here at least they do not come first.
    let yielding = || _ = rustix::process::nice(19);
    let runtime = runtime.worker_threads(2).on_thread_start(yielding).enable_all().build().unwrap();
    runtime.block_on(async {
        let (slow_told, floods_told) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let turns = Arc::new(Semaphore::new(RANDOM_AT_ONCE));
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..size.slow {
            let told = slow_told.clone();
            all.spawn(async move { _ = told.fetch_add(usize::from(slow(addr).await), Relaxed) });
        }
        for number in 0..size.floods {
            let told = floods_told.clone();
            all.spawn(async move { _ = told.fetch_add(usize::from(flood(addr, number).await), Relaxed) });
        }
        for _ in 0..size.random {
            let turns = turns.clone();
            all.spawn(async move {
                let _turn = turns.acquire().await.unwrap();
                random(addr).await;
            });
        }
        let line_taken = endless(addr, size.line_bytes).await;
        while let Some(ended) = all.join_next().await {
            ended.unwrap();
        }
        (slow_told.load(Relaxed), floods_told.load(Relaxed), line_taken)
    })
}

/// Holds what is true at any size.
fn check(size: Attack, outcome: &Outcome) {
    println!("{size:?}\n{outcome:?}");
    let growth = outcome.most_bytes.saturating_sub(outcome.idle_bytes);
    println!("{} MiB above idle", growth >> 20);
    assert!(growth < GROWTH_BYTES_MAX, "{outcome:?}");
    // To some the end of the connection comes before its last words: who never stops talking hears badly.
    assert!(outcome.floods_told * 2 >= size.floods, "the floods were told that they are: {outcome:?}");
    assert!(outcome.slow_told * 10 >= size.slow * 9, "the slow were told that they are: {outcome:?}");
    assert!(outcome.line_taken < 16 << 20, "what socket buffers hold, and no more: {outcome:?}");
}

#[test]
fn a_good_client_does_not_notice_what_strangers_do() {
    let size = Attack { random: 500, slow: 40, floods: 60, line_bytes: 64 << 20 };
    let outcome = attack(size);
    check(size, &outcome);
    // A machine that runs all the other tests meanwhile is slow by itself.
    assert!(outcome.slowest < Duration::from_secs(2), "{outcome:?}");
}

#[test]
#[ignore = "takes a minute, and a machine that does nothing else"]
fn a_good_client_does_not_notice_what_thousands_of_strangers_do() {
    let size = Attack { random: 20_000, slow: 500, floods: 1_000, line_bytes: 1 << 30 };
    let outcome = attack(size);
    check(size, &outcome);
    assert!(outcome.slowest < Duration::from_millis(100), "{outcome:?}");
}
