//! Machines that break: a full disk, no descriptors left, a session that panics. `docs/reliability.md` lists the rest.
#![cfg(target_os = "linux")] // Of /dev/full, /proc and limits that can be set from outside.
#![allow(missing_docs, reason = "a test is documented by its name")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are test code")]

mod common;
#[path = "common/process.rs"]
mod process;

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use common::{Lab, secs, v1};
use presence_tui::server::Eye;
use process::{Daemon, Home, Nc, PATIENCE};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::time::Instant;

#[test]
#[expect(clippy::disallowed_methods, reason = "log files are named for the day")]
fn a_log_on_a_full_disk_costs_the_log_and_nothing_else() {
    let home = Home::new();
    let logs = home.cwd().join("logs");
    fs::create_dir(&logs).unwrap();
    let day = Duration::from_hours(24);
    for ahead in [Duration::ZERO, day] {
        let date = humantime::format_rfc3339_seconds(std::time::SystemTime::now() + ahead).to_string();
        symlink("/dev/full", logs.join(format!("presence-tui-serve.{}.log", &date[..10]))).unwrap();
    }
    let mut server = home.serve("--headless --log-dir logs --log-level debug");
    for n in 0..50 {
        let mut nc = Nc::legacy(server.addr(), &format!("10.0.0.{n}"));
        nc.say(r#"{"type":"ping"}"#);
        nc.hears("pong");
    }
    server.says("lost ");
    server.signal(Signal::TERM);
    server.says("lines were dropped because nobody took them in time, or no disk");
    assert_eq!(server.exit(), Some(0));
}

#[test]
fn lines_that_nobody_can_take_stop_no_server() {
    let home = Home::new();
    // The system gave it out a moment ago, and does not give it to others soon.
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let line = format!("serve --headless --host 127.0.0.1 --port {}", addr.port());
    let mut server = home.command(&line).stderr(full).stdout(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(addr).is_err() {
        assert!(Instant::now() < deadline && server.try_wait().unwrap().is_none(), "it never listened");
        thread::sleep(Duration::from_millis(5));
    }
    for n in 0..50 {
        let mut nc = Nc::legacy(addr, &format!("10.0.0.{n}"));
        nc.say(r#"{"type":"ping"}"#);
        nc.hears("pong");
    }
    assert_eq!(server.try_wait().unwrap(), None);
    server.kill().unwrap();
    server.wait().unwrap();
}

/// Returns how many descriptors a process has open.
fn descriptors(pid: u32) -> u64 {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64
}

#[test]
fn without_descriptors_who_is_in_stays_in_and_newcomers_get_in_later() {
    let home = Home::new();
    let mut server = home.serve("--headless --interval 1s --timeout 60s");
    let mut inside = Nc::v1(server.addr(), r#""id":"in","#);
    let most = Some(descriptors(server.id()) + 8);
    let pid = Pid::from_raw(i32::try_from(server.id()).unwrap());
    prlimit(pid, Resource::Nofile, Rlimit { current: most, maximum: most }).unwrap();
    let crowd: Vec<_> = (0..40).map(|_| TcpStream::connect(server.addr()).unwrap()).collect();
    server.says("cannot accept connections: Too many open files");
    inside.say(r#"{"type":"ping"}"#);
    inside.hears("pong");
    drop(crowd);
    server.says("accepting connections again");
    Nc::v1(server.addr(), r#""id":"late","#);
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
}

/// A connection that brings down whoever reads it, once it has said something.
struct Cursed {
    io: DuplexStream,
    reads: usize,
}

impl AsyncRead for Cursed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_ready() {
            assert!(self.reads > 0, "a panic on purpose");
            self.reads -= 1;
        }
        read
    }
}

impl AsyncWrite for Cursed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Connects with a session that will panic at its `reads`th read.
async fn cursed(lab: &Lab, reads: usize, first: &str) -> DuplexStream {
    let (mut ours, io) = tokio::io::duplex(4_096);
    lab.server.attend(Cursed { io, reads }, Eye::blind(), SocketAddr::from(([127, 0, 0, 1], 1)));
    ours.write_all(format!("{first}\n").as_bytes()).await.unwrap();
    ours
}

#[tokio::test(start_paused = true)]
async fn a_panic_inside_one_session_is_said_and_counted_and_costs_that_session() {
    let mut lab = Lab::new();
    let mut well = lab.legacy().await;
    assert_eq!(lab.word().await, "registered");
    let mut before = cursed(&lab, 0, &v1("")).await;
    assert_eq!(before.read(&mut [0; 64]).await.unwrap(), 0, "before it is in, nobody is lost");
    let mut inside = cursed(&lab, 1, &v1(r#""id":"cursed","#)).await;
    let (word, text) = lab.event().await;
    assert_eq!(word, "registered", "{text}");
    inside.write_all(b"{\"type\":\"ping\"}\n").await.unwrap();
    let (word, text) = lab.event().await;
    assert_eq!(word, "protocol", "{text}");
    assert!(text.contains("internal error, see the log"), "{text}");
    well.ping().await;
    let mut asking = lab.call();
    asking.send(b"GET /health/connections HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let mut answer = String::new();
    asking.io.read_to_string(&mut answer).await.unwrap();
    let facts: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!((&facts["active"], &facts["departures"]["protocol"]), (&1.into(), &1.into()), "{facts}");
    let stopped = tokio::time::timeout(secs(10), lab.server.stop()).await.unwrap();
    assert_eq!(stopped.left_behind, 0);
}

#[test]
fn a_file_that_is_half_written_when_it_is_read_again_changes_nothing() {
    let home = Home::new();
    let whole = "[server]\nheartbeat_interval = 20\nconnection_timeout = 60\n";
    home.config(whole);
    let mut server: Daemon = home.serve("--headless");
    home.config(&whole[..whole.len() - 30]);
    server.signal(Signal::HUP);
    server.says("the configuration stays as it was");
    home.config("");
    server.signal(Signal::HUP);
    server.says("nothing is in it");
    let mut client = Nc::connect(server.addr());
    client.say(&v1(""));
    assert_eq!(client.hears("welcome")["timeout_ms"], 60_000);
}
