//! A client against a server of the base protocol, written with nothing but bytes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use presence_tui::client::{Connected, Connector, Engine, Identity, Notice, Options, ServerAddr, Windows};
use presence_tui::presence::command::Command;
use presence_tui::presence::view::Link;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long anything here may take, on a clock that only moves while everybody waits.
const PATIENCE: Duration = Duration::from_secs(20);

/// The way to the server: each connection is a pipe whose other end it is handed.
#[derive(Debug, Clone)]
struct Way(mpsc::Sender<DuplexStream>);

impl Way {
    async fn open(&self) -> DuplexStream {
        let (here, there) = tokio::io::duplex(64 * 1024);
        self.0.send(there).await.unwrap();
        here
    }
}

impl Connector for Way {
    fn resolve<'a>(&'a self, _: &'a ServerAddr) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async { Ok(vec![([10, 0, 0, 1], 8080).into()]) })
    }

    fn connect(&self, _: SocketAddr) -> BoxFuture<'_, io::Result<Connected>> {
        Box::pin(async { Ok((Box::new(self.open().await) as _, Some(([127, 0, 0, 1], 50_000).into()))) })
    }
}

/// What the base server sees: a connection's number and a line of it, or its end.
type Seen = (usize, Option<String>);

enum Happened {
    Came(WriteHalf<DuplexStream>),
    Line(usize, String),
    Went(usize),
    CutAll,
}

/// Registers, answers `ping`, sends the whole list to everybody on every change, ignores the rest.
async fn base_server(
    mut door: mpsc::Receiver<DuplexStream>,
    seen: mpsc::Sender<Seen>,
    mut cuts: mpsc::Receiver<()>,
) {
    let (events_in, mut events) = mpsc::channel(64);
    let accepted = events_in.clone();
    tokio::spawn(async move {
        for nth in 0.. {
            let Some(stream) = door.recv().await else { return };
            let (reader, writer) = tokio::io::split(stream);
            accepted.send(Happened::Came(writer)).await.unwrap();
            let events = accepted.clone();
            tokio::spawn(async move {
                let mut lines = BufReader::new(reader).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    events.send(Happened::Line(nth, line)).await.unwrap();
                }
                events.send(Happened::Went(nth)).await.unwrap();
            });
        }
    });
    tokio::spawn(async move {
        while cuts.recv().await.is_some() {
            events_in.send(Happened::CutAll).await.unwrap();
        }
    });
    // Connections in the order they came: where to write, and the list entry once registered.
    let mut clients: Vec<(Option<WriteHalf<DuplexStream>>, Option<String>)> = Vec::new();
    while let Some(event) = events.recv().await {
        match event {
            Happened::Came(writer) => clients.push((Some(writer), None)),
            Happened::Line(nth, line) => {
                if line == r#"{"type":"ping"}"# {
                    write(&mut clients[nth].0, "{\"type\":\"pong\"}\n").await;
                } else if let Some(rest) = line.strip_prefix(r#"{"type":"register","client_ip":""#) {
                    let (ip, rest) = rest.split_once(r#"","client_port":"#).unwrap();
                    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
                    clients[nth].1 = Some(format!(r#"{{"ip":"{ip}","port":{port}}}"#));
                    tell_all(&mut clients).await;
                }
                seen.send((nth, Some(line))).await.unwrap();
            }
            Happened::Went(nth) => {
                clients[nth] = (None, None);
                tell_all(&mut clients).await;
                seen.send((nth, None)).await.unwrap();
            }
            Happened::CutAll => {
                for client in &mut clients {
                    if let (Some(mut writer), _) = std::mem::take(client) {
                        writer.shutdown().await.unwrap();
                    }
                }
            }
        }
    }
}

async fn tell_all(clients: &mut [(Option<WriteHalf<DuplexStream>>, Option<String>)]) {
    let entries: Vec<&str> = clients.iter().filter_map(|(_, entry)| entry.as_deref()).collect();
    let list = format!("{{\"type\":\"client_list\",\"clients\":[{}]}}\n", entries.join(","));
    for (writer, _) in clients.iter_mut() {
        write(writer, &list).await;
    }
}

async fn write(writer: &mut Option<WriteHalf<DuplexStream>>, text: &str) {
    if let Some(writer) = writer {
        let _ = writer.write_all(text.as_bytes()).await; // It may be gone; then its reader says so.
    }
}

/// Another client, by hand.
async fn other(way: &Way, port: u16) -> DuplexStream {
    let mut stream = way.open().await;
    let first = format!(
        "{{\"type\":\"register\",\"client_ip\":\"192.168.1.100\",\"client_port\":{port}}}\n{{\"type\":\"ping\"}}\n"
    );
    stream.write_all(first.as_bytes()).await.unwrap();
    stream
}

async fn notice(windows: &mut Windows, words: &str) -> Notice {
    loop {
        let notice = timeout(PATIENCE, windows.notices.recv()).await.unwrap().unwrap();
        if notice.to_string().contains(words) {
            return notice;
        }
    }
}

/// Waits for a line of connection `nth`; `None` for its end.
async fn line(seen: &mut mpsc::Receiver<Seen>, nth: usize) -> Option<String> {
    loop {
        let (from, line) = timeout(PATIENCE, seen.recv()).await.unwrap().unwrap();
        if from == nth {
            return line;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn join_works_against_a_base_server() {
    let (way, door) = mpsc::channel(4);
    let way = Way(way);
    let (seen_in, mut seen) = mpsc::channel(1_024);
    let (cut, cuts) = mpsc::channel(1);
    tokio::spawn(base_server(door, seen_in, cuts));
    let first = other(&way, 3_000).await;
    assert!(line(&mut seen, 0).await.unwrap().starts_with("{\"type\":\"register\""));

    let (commands, commands_out) = mpsc::channel(4);
    let options = Options {
        server: "base.example".parse().unwrap(),
        name: "new".to_owned(),
        user: None,
        device: None,
        tags: Vec::new(),
        advertise: None,
        token: None,
        interval: Duration::from_millis(200),
    };
    let (engine, mut windows) = Engine::new(
        options,
        Identity::ephemeral(None, 1),
        way.clone(),
        commands_out,
        CancellationToken::new(),
        fastrand::Rng::with_seed(1),
    );
    let task = tokio::spawn(engine.run());

    let register = line(&mut seen, 1).await.unwrap();
    assert!(
        register.starts_with(r#"{"type":"register","client_ip":"127.0.0.1","client_port":"#),
        "the base server reads these two: {register}"
    );
    notice(&mut windows, "2 clients are here").await;
    notice(&mut windows, "a legacy server").await;
    for _ in 0..3 {
        assert_eq!(line(&mut seen, 1).await.unwrap(), r#"{"type":"ping"}"#);
    }
    let at = Duration::from_secs(1_795_270_927);
    commands.send(Command::Say { words: "lunch?".into(), at }).await.unwrap();
    let chat = loop {
        let line = line(&mut seen, 1).await.unwrap();
        if line.contains("chat") {
            break line;
        }
    };
    let exact = r#"{"type":"chat","from_ip":"127.0.0.1","from_port":50000,"message":"lunch?","timestamp":"2026-11-21T14:22:07Z","channel":"general"}"#;
    assert_eq!(chat, exact);
    let _second = other(&way, 3_001).await;
    notice(&mut windows, "192.168.1.100:3001 joined").await;
    drop(first);
    notice(&mut windows, "192.168.1.100:3000 is gone").await;
    let state = windows.state.wait_for(|state| state.uplink.answered >= 2).await.unwrap().clone();
    assert!(state.uplink.legacy && matches!(state.uplink.link, Link::Online(_)));
    assert_eq!(state.peers.counts().live(), 2);
    assert!(state.uplink.rtts.iter().flatten().all(|rtt| *rtt < PATIENCE));

    cut.send(()).await.unwrap();
    notice(&mut windows, "the server closed the connection").await;
    let again = line(&mut seen, 3).await.unwrap();
    assert!(again.starts_with(r#"{"type":"register","client_ip":"127.0.0.1""#), "{again}");

    commands.send(Command::Quit).await.unwrap();
    assert_eq!(timeout(PATIENCE, task).await.unwrap().unwrap(), Ok(()));
    assert_eq!(line(&mut seen, 3).await.unwrap(), r#"{"type":"leave","reason":"quit"}"#);
    assert_eq!(line(&mut seen, 3).await, None);
}
