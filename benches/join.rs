//! How fast clients are let in: `cargo bench --bench join [-- CLIENTS]`.
//!
//! Every client registers as fast as it is accepted, and asks for nothing. The
//! clients have one thread, as the cores are the server's. A moment after the
//! last one is in, each must have been sent its welcome and not a byte more.
#![allow(missing_docs, clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot set itself up should say so and stop")]

mod common;

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const ROUNDS: usize = 5;
/// How many are on their way in at a time.
const AT_ONCE: usize = 256;

fn main() {
    let n = common::asked(10_000);
    let _ = presence_tui::net::raise_open_files();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    println!("{n} clients, {AT_ONCE} on their way in at a time");
    println!("{:>16}{:>16}{:>16}", "registrations/s", "CPU us of each", "bytes to each");
    let mut rates: Vec<usize> = (0..ROUNDS).map(|_| runtime.block_on(round(n))).collect();
    rates.sort_unstable();
    println!("median {} registrations/s", common::percentile(&rates, 50));
}

/// Starts a server and fills it; returns how many registered in a second.
async fn round(n: usize) -> usize {
    let server = common::Served::start(&["--interval", "1h", "--timeout", "2h"]);
    let before = server.cpu_ms();
    let started = tokio::time::Instant::now();
    let lanes: Vec<_> = (0..AT_ONCE)
        .map(|lane| {
            let addr = server.addr;
            tokio::spawn(async move {
                let mut joined = Vec::new();
                for number in (lane..n).step_by(AT_ONCE) {
                    joined.push(common::welcomed(addr, number).await);
                }
                joined
            })
        })
        .collect();
    let mut fleet: Vec<(TcpStream, usize)> = Vec::with_capacity(n);
    for lane in lanes {
        fleet.extend(lane.await.unwrap());
    }
    let took = started.elapsed();
    let cpu_us = (server.cpu_ms() - before) * 1_000 / n as u64;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut bytes: usize = fleet.iter().map(|(_, welcome)| welcome).sum();
    let mut more = [0; 4096];
    for (client, _) in &mut fleet {
        while let Ok(read @ 1..) = client.try_read(&mut more) {
            bytes += read;
        }
        client.write_all(b"{\"type\":\"leave\"}\n").await.unwrap();
    }
    let rate = n * 1_000_000 / usize::try_from(took.as_micros()).unwrap();
    println!("{rate:>16}{cpu_us:>16}{:>16}", bytes / n);
    rate
}
