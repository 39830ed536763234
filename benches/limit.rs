//! How far from a bare echo is the server: `cargo bench --bench limit [-- CLIENTS]`.
//!
//! Both are put under the same closed loop by the same swarm, one after the
//! other, three times: each client sends its next ping when the pong is there.
//! The echo has a task for each connection and buffers like the server's, and
//! knows nothing: no rows, no clock, no JSON. Nothing that answers lines over
//! tokio does much better, so the ratio says what presence costs.
//!
//! `cargo bench --bench limit -- echo` runs the echo alone, to point a swarm at.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its figures")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot set itself up should say so and stop")]

mod common;

use std::io;
use std::process::Command;

use bytes::BytesMut;
use presence_tui::protocol::{LINE_BYTES_MAX, LineCodec};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::Decoder;

const ROUNDS: usize = 3;
/// How long each run takes, and how fast the clients come: they should be there for nearly all of it.
const DURATION: &str = "8s";
const RATE: &str = "10000";
/// How much is read at once, as in the server.
const READ_BYTES: usize = 2 * 1024;

const WELCOME: &str = r#"{"type":"welcome","v":1,"id":"echo","resume":"","you":{"ip":"127.0.0.1","port":1},"server":{"name":"echo","version":"0"},"rev":1,"interval_ms":60000,"timeout_ms":120000,"spread_ms":0,"clients":0}"#;

fn main() {
    let _ = presence_tui::net::raise_open_files();
    if std::env::args().any(|arg| arg == "echo") {
        return echo();
    }
    let n = common::asked(1_000);
    println!(
        "{n} clients in a closed loop, {DURATION} each; the swarm has one thread, the servers all cores"
    );
    println!("{:<10}{:>14}{:>16}{:>12}{:>12}", "server", "pongs/s", "CPU us a pong", "p50", "p99");
    let mut totals = [[0.0; 2]; 2];
    for _ in 0..ROUNDS {
        for (kind, total) in totals.iter_mut().enumerate() {
            let server = if kind == 0 {
                common::Served::start(&["--interval", "60s", "--timeout", "120s"])
            } else {
                common::Served::of(Command::new(std::env::current_exe().unwrap()).arg("echo"))
            };
            let name = ["presence", "echo"][kind];
            let (rate, cost) = measure(name, n, &server);
            total[0] += rate;
            total[1] += cost;
        }
    }
    let [presence, echo] = totals;
    println!(
        "presence answers {:.2} times as many pings as the echo, at {:.2} times the CPU for each",
        presence[0] / echo[0],
        presence[1] / echo[1]
    );
}

/// Puts a swarm on `server`; returns the pongs a second, and the server's CPU time for each in microseconds.
fn measure(name: &str, n: usize, server: &common::Served) -> (f64, f64) {
    let cpu_before = server.cpu_ms();
    let out = Command::new(env!("CARGO_BIN_EXE_presence-tui"))
        .args(["swarm", &server.addr.to_string(), "-n", &n.to_string()])
        .args(["--rate", RATE, "--duration", DURATION, "--closed-loop", "--json", "--seed", "1"])
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    let pongs = report["traffic"]["pongs"].as_f64().unwrap();
    let rate = report["traffic"]["pongs_per_s"].as_f64().unwrap();
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of seconds")]
    let cost = (server.cpu_ms() - cpu_before) as f64 * 1_000.0 / pongs;
    let us = |point: &str| format!("{} us", report["pong_us"][point]);
    println!("{name:<10}{rate:>14.0}{cost:>16.2}{:>12}{:>12}", us("p50"), us("p99"));
    (rate, cost)
}

/// Serves until it is killed: a welcome for a `register`, a `ping` back as a `pong`.
fn echo() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = presence_tui::net::listen(([127, 0, 0, 1], 0).into()).unwrap();
        eprintln!("listening on {}", listener.local_addr().unwrap());
        let listener = TcpListener::from_std(listener).unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream));
        }
    });
}

async fn converse(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut codec = LineCodec::new(LINE_BYTES_MAX);
    let (mut input, mut output) = (BytesMut::with_capacity(READ_BYTES), Vec::new());
    while stream.read_buf(&mut input).await? > 0 {
        while let Ok(Some(line)) = codec.decode(&mut input) {
            if let Some(rest) = line.strip_prefix(b"{\"type\":\"ping\"") {
                // The number and the time, but not the revision, which a pong has only with news.
                let end = memchr::memmem::find(rest, b",\"rev\"").unwrap_or(rest.len() - 1);
                output.extend_from_slice(b"{\"type\":\"pong\"");
                output.extend_from_slice(&rest[..end]);
                output.push(b'}');
            } else if line.starts_with(b"{\"type\":\"leave\"") {
                return Ok(());
            } else {
                output.extend_from_slice(WELCOME.as_bytes());
            }
            output.push(b'\n');
        }
        stream.write_all(&output).await?;
        output.clear();
    }
    Ok(())
}
