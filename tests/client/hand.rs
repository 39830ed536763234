//! The server played by hand, and the network between.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use presence_tui::client::{
    Connected, Connector, Engine, Identity, JoinError, JoinState, Notice, Options, ServerAddr, Windows,
};
use presence_tui::presence::command::Command;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A network of memory: every lookup finds another address, and connections come out of a channel.
#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) servers: mpsc::Sender<(SocketAddr, DuplexStream)>,
    pub(crate) log: Arc<Mutex<Log>>,
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) lookups: Vec<Instant>,
    /// What the next attempts meet; an empty list means success.
    pub(crate) trouble: VecDeque<Trouble>,
    /// How much the next connections take in before somebody reads; 0 for plenty.
    pub(crate) room_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Trouble {
    Unknown,
    Refused,
    Stuck,
}

impl Connector for Net {
    fn resolve<'a>(&'a self, _: &'a ServerAddr) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async {
            let mut log = self.log.lock().unwrap();
            log.lookups.push(Instant::now());
            if log.trouble.front() == Some(&Trouble::Unknown) {
                log.trouble.pop_front();
                return Err(io::Error::other("no such name"));
            }
            let nth = u8::try_from(log.lookups.len() % 250).unwrap();
            Ok(vec![([10, 0, 0, nth], 8080).into()])
        })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Connected>> {
        Box::pin(self.pipe(address))
    }
}

impl Net {
    async fn pipe(&self, address: SocketAddr) -> io::Result<Connected> {
        let trouble = self.log.lock().unwrap().trouble.pop_front();
        match trouble {
            Some(Trouble::Stuck) => std::future::pending().await,
            Some(_) => return Err(io::ErrorKind::ConnectionRefused.into()),
            None => {}
        }
        let room_bytes = match self.log.lock().unwrap().room_bytes {
            0 => 64 * 1024,
            few => few,
        };
        let (here, there) = tokio::io::duplex(room_bytes);
        self.servers.send((address, there)).await.unwrap();
        Ok((Box::new(here), Some(([192, 168, 0, 7], 50_000).into())))
    }
}

/// A running client and what surrounds it.
pub(crate) struct Joined {
    pub(crate) task: JoinHandle<Result<(), JoinError>>,
    pub(crate) windows: Windows,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) cancel: CancellationToken,
    pub(crate) servers: mpsc::Receiver<(SocketAddr, DuplexStream)>,
    pub(crate) log: Arc<Mutex<Log>>,
}

pub(crate) fn join(seed: u64) -> Joined {
    join_into(seed, &[])
}

pub(crate) fn join_into(seed: u64, trouble: &[Trouble]) -> Joined {
    join_as(Identity::ephemeral(Some("k3v9q2m1"), 1_000), seed, trouble)
}

pub(crate) fn join_as(identity: Identity, seed: u64, trouble: &[Trouble]) -> Joined {
    let (servers_in, servers) = mpsc::channel(8);
    let log = Arc::new(Mutex::new(Log { trouble: trouble.iter().copied().collect(), ..Log::default() }));
    let (commands, commands_out) = mpsc::channel(8);
    let cancel = CancellationToken::new();
    let options = Options {
        server: "hq".parse().unwrap(),
        name: "build-7".to_owned(),
        user: Some("ada".to_owned()),
        device: None,
        tags: vec![("role".to_owned(), "ci".to_owned())],
        advertise: None,
        token: None,
        interval: secs(30),
    };
    let net = Net { servers: servers_in, log: Arc::clone(&log) };
    let (engine, windows) =
        Engine::new(options, identity, net, commands_out, cancel.clone(), fastrand::Rng::with_seed(seed));
    Joined { task: tokio::spawn(engine.run()), windows, commands, cancel, servers, log }
}

impl Joined {
    /// Takes the next connection, and reads its first line.
    pub(crate) async fn accept(&mut self) -> (Server, Value) {
        let (_, stream) = timeout(secs(3_600), self.servers.recv()).await.unwrap().unwrap();
        let mut server = Server { stream: BufReader::new(stream) };
        let register = server.line().await;
        assert_eq!(register["type"], "register");
        (server, register)
    }

    pub(crate) async fn welcomed(&mut self, interval_ms: u64, timeout_ms: u64) -> Server {
        let (mut server, _) = self.accept().await;
        server.send(&welcome(interval_ms, timeout_ms)).await;
        server
    }

    /// Waits for the state to become so.
    pub(crate) async fn state(&mut self, so: impl FnMut(&Arc<JoinState>) -> bool) -> Arc<JoinState> {
        let state = timeout(secs(3_600), self.windows.state.wait_for(so)).await.unwrap().unwrap();
        Arc::clone(&state)
    }

    /// Waits for a notice whose words contain these.
    pub(crate) async fn notice(&mut self, words: &str) -> Notice {
        loop {
            let notice = timeout(secs(3_600), self.windows.notices.recv())
                .await
                .unwrap()
                .unwrap_or_else(|| panic!("{words}"));
            if notice.to_string().contains(words) {
                return notice;
            }
        }
    }
}

/// The other end of a connection.
pub(crate) struct Server {
    pub(crate) stream: BufReader<DuplexStream>,
}

impl Server {
    pub(crate) async fn raw(&mut self) -> String {
        let mut line = String::new();
        timeout(secs(7_200), self.stream.read_line(&mut line)).await.unwrap().unwrap();
        line
    }

    pub(crate) async fn line(&mut self) -> Value {
        let line = self.raw().await;
        serde_json::from_str(&line).unwrap_or(Value::Null)
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.say(&format!("{message}\n")).await;
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    pub(crate) async fn ping(&mut self) -> Value {
        let ping = self.line().await;
        assert_eq!(ping["type"], "ping", "{ping}");
        ping
    }

    pub(crate) async fn pong(&mut self, ping: &Value) {
        self.send(&json!({"type": "pong", "seq": ping["seq"], "t": ping["t"], "hold_us": 0})).await;
    }

    /// Waits until the client has closed the connection.
    pub(crate) async fn closed(&mut self) {
        let mut rest = Vec::new();
        timeout(secs(7_200), self.stream.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8(rest).unwrap(), "");
    }

    pub(crate) async fn is_quiet_for(&mut self, span: Duration) -> bool {
        timeout(span, self.raw()).await.is_err()
    }
}

pub(crate) fn welcome(interval_ms: u64, timeout_ms: u64) -> Value {
    json!({
        "type": "welcome", "v": 1, "id": "k3v9q2m1", "resume": "s3cret",
        "you": {"ip": "203.0.113.9", "port": 50122},
        "server": {"name": "hq", "version": "0.1.0"}, "rev": 7,
        "interval_ms": interval_ms, "timeout_ms": timeout_ms, "spread_ms": 400, "clients": 1
    })
}
