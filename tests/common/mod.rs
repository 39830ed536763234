//! A server in memory and clients made of raw bytes, on a clock that only moves when a test says so.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this is test code, though not a test itself")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use presence_tui::presence::registry::Limits;
use presence_tui::presence::{Event, Settings};
use presence_tui::server::{Eye, HubHost, Options, Server};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

pub const LEGACY: &str = r#"{"type":"register","client_ip":"192.168.1.100","client_port":3000}"#;

pub fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn options() -> Options {
    Options {
        name: "lab".to_owned(),
        settings: Settings::new(secs(10), secs(30)).unwrap(),
        limits: Limits { max_clients: 100, max_per_ip: 0, retention: secs(3_600), ..Limits::default() },
        register_timeout: secs(5),
        expected: Vec::new(),
        expect_names: Vec::new(),
    }
}

/// A server whose connections are pipes.
pub struct Lab {
    pub server: Server,
    pub events: mpsc::Receiver<Arc<Event>>,
    callers: u16,
}

impl Lab {
    pub fn new() -> Self {
        Self::with(options())
    }

    pub fn with(options: Options) -> Self {
        let mut server = Server::start(options, HubHost::Task).unwrap();
        let events = server.events().unwrap();
        Self { server, events, callers: 0 }
    }

    /// Connects, without a word.
    pub fn call(&mut self) -> Peer {
        self.call_with_pipe(1 << 20)
    }

    /// Connects through a pipe that takes only so many bytes ahead of the reader.
    pub fn call_with_pipe(&mut self, bytes: usize) -> Peer {
        self.callers += 1;
        let from = SocketAddr::from(([127, 0, 0, 1], 40_000 + self.callers));
        self.call_from(from, bytes)
    }

    pub fn call_from(&mut self, from: SocketAddr, bytes: usize) -> Peer {
        let (ours, theirs) = tokio::io::duplex(bytes);
        self.server.attend(theirs, Eye::blind(), from);
        Peer { io: ours, unread: Vec::new() }
    }

    /// Connects and registers as a base client; its first list is read.
    pub async fn legacy(&mut self) -> Peer {
        let mut peer = self.call();
        peer.say(LEGACY).await;
        assert_eq!(peer.hear().await["type"], "client_list");
        peer
    }

    /// Connects and registers as a v1 client; returns its welcome.
    pub async fn v1(&mut self, extra: &str) -> (Peer, Value) {
        let mut peer = self.call();
        peer.say(&v1(extra)).await;
        let welcome = peer.hear().await;
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        (peer, welcome)
    }

    /// Returns the next event's word and text.
    pub async fn event(&mut self) -> (String, String) {
        let event = tokio::time::timeout(secs(86_400), self.events.recv()).await.expect("an event").unwrap();
        (event.kind.word().to_owned(), event.kind.to_string())
    }

    /// Returns the next event's word.
    pub async fn word(&mut self) -> String {
        self.event().await.0
    }
}

/// Writes a v1 register line; `extra` is more fields, each followed by a comma.
pub fn v1(extra: &str) -> String {
    format!(r#"{{"type":"register",{extra}"v":1,"client_ip":"10.0.0.7","client_port":3000}}"#)
}

/// The client's end of a pipe: raw bytes, nothing of the program's own types.
pub struct Peer {
    pub io: DuplexStream,
    unread: Vec<u8>,
}

impl Peer {
    /// Reads and writes a pipe that something else has used before.
    pub fn of(io: DuplexStream) -> Self {
        Self { io, unread: Vec::new() }
    }

    /// Sends one line.
    pub async fn say(&mut self, line: &str) {
        self.send(format!("{line}\n").as_bytes()).await;
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    /// Returns the next line, or `None` when the server has closed.
    pub async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.iter().position(|&b| b == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Some(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            let mut chunk = [0; 4096];
            let read = tokio::time::timeout(secs(86_400), self.io.read(&mut chunk)).await;
            match read.expect("the server says something").unwrap_or(0) {
                0 => return None,
                n => self.unread.extend_from_slice(&chunk[..n]),
            }
        }
    }

    /// Returns the next message.
    pub async fn hear(&mut self) -> Value {
        serde_json::from_str(&self.line().await.expect("a line, not the end")).unwrap()
    }

    /// Returns the next message of a type; others are skipped.
    pub async fn hear_type(&mut self, kind: &str) -> Value {
        loop {
            let message = self.hear().await;
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Pings and waits for the pong, so that everything said before has been heard.
    pub async fn ping(&mut self) -> Value {
        self.say(r#"{"type":"ping"}"#).await;
        self.hear_type("pong").await
    }

    /// Tells whether the server says nothing for this long.
    pub async fn is_quiet_for(&mut self, span: Duration) -> bool {
        self.unread.is_empty() && tokio::time::timeout(span, self.line()).await.is_err()
    }
}
