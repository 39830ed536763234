//! Whatever a peer writes, wherever it writes it: nothing that a terminal obeys, and nothing that a reader
//! cannot see, comes out at the other end.
#![allow(missing_docs, reason = "a test is documented by its name")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are test code")]

mod common;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{LEGACY, Lab, Peer, options, secs};
use futures_util::SinkExt;
use presence_tui::presence::command::Command;
use presence_tui::presence::registry::Limits;
use presence_tui::presence::view::{View, Window};
use presence_tui::protocol::clean::NAME_CELLS_MAX;
use presence_tui::server::Options;
use presence_tui::telemetry::{LineFormat, Lines};
use presence_tui::tui::model::{Face, Model, Now};
use presence_tui::tui::snapshot;
use presence_tui::tui::theme::{Look, Theme};
use presence_tui::tui::view::draw;
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use unicode_width::UnicodeWidthStr;

/// What must never come out. Written down here again, and not taken from the code it is to judge.
fn is_harmful(c: char) -> bool {
    let invisible = ['\u{ad}', '\u{61c}', '\u{180e}', '\u{3164}', '\u{feff}'];
    c.is_control()
        || invisible.contains(&c)
        || ('\u{200b}'..='\u{200f}').contains(&c)
        || ('\u{2028}'..='\u{202e}').contains(&c)
        || ('\u{2060}'..='\u{206f}').contains(&c)
        || ('\u{e0000}'..='\u{e007f}').contains(&c)
}

/// A text of the kind a hostile peer sends.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\x1b[2J".to_owned()),
        Just("\x1b]0;owned\x07".to_owned()),
        Just("\x1b]52;c;aGk=\x1b\\".to_owned()),
        Just("\u{9b}31m".to_owned()),
        Just("\r\n".to_owned()),
        Just("\0\x08\x7f".to_owned()),
        Just("\u{202e}\u{2066}".to_owned()),
        Just("\u{200b}\u{feff}\u{ad}".to_owned()),
        Just("\u{2028}\u{e0041}".to_owned()),
        Just("e\u{301}\u{301}\u{301}\u{301}".to_owned()),
        Just("日本語日本語".to_owned()),
        "[ -~]{1,12}",
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 1..12).prop_map(|pieces| pieces.concat())
}

/// All that left the server, by way of leaving.
#[derive(Default)]
struct Out(Vec<(&'static str, String)>);

impl Out {
    fn put(&mut self, way: &'static str, text: impl Into<String>) {
        self.0.push((way, text.into()));
    }

    /// Takes every text of a JSON value, keys included, as a reader of it sees them.
    fn json(&mut self, way: &'static str, value: &Value) {
        match value {
            Value::String(text) => self.put(way, text.clone()),
            Value::Array(values) => values.iter().for_each(|value| self.json(way, value)),
            Value::Object(fields) => {
                for (key, value) in fields {
                    self.put(way, key.clone());
                    if ["name", "user", "device", "platform"].contains(&key.as_str()) {
                        let cells = value.as_str().unwrap_or_default().width();
                        assert!(cells <= NAME_CELLS_MAX, "{way}: {key} of {cells} cells");
                    }
                    self.json(way, value);
                }
            }
            _ => {}
        }
    }

    fn check(&self) {
        for way in ["event", "line", "log", "http", "told", "frame", "snapshot"] {
            assert!(self.0.iter().any(|(known, _)| *known == way), "nothing came out by way of {way}");
        }
        for (way, text) in &self.0 {
            assert!(!text.chars().any(is_harmful), "{way}: {text:?}");
        }
    }
}

/// What a client puts everywhere it can.
async fn attack(lab: &mut Lab, evil: &[String]) -> Vec<Peer> {
    let text = |at: usize| evil[at % evil.len()].as_str();
    let mut peers = Vec::new();
    let mut full = lab.call();
    let tags = json!({ text(0): text(1), "k": text(2) });
    let register = json!({
        "type": "register", "client_ip": "h", "client_port": 1, "v": 1, "id": "full",
        "name": text(0), "user": text(1), "device": text(2), "platform": text(3), "tags": tags,
    });
    full.say(&register.to_string()).await;
    full.say(&json!({"type": "update", "name": text(1), "tags": {text(3): text(0)}}).to_string()).await;
    full.say(&json!({"type": "chat", "message": "m", "channel": text(2), "timestamp": text(3)}).to_string())
        .await;
    full.say(&format!("{} is no message", text(0).replace(['\n', '\r'], " "))).await;
    peers.push(full);

    let mut leaver = lab.call();
    let register = json!({"type": "register", "client_ip": "h", "client_port": 2, "name": text(2)});
    leaver.say(&register.to_string()).await;
    leaver.say(&json!({"type": "leave", "reason": text(3)}).to_string()).await;
    peers.push(leaver);

    // What is refused is told as well: a claim, an id.
    for (ip, id) in [(text(0), "ok"), ("h", text(1))] {
        let mut refused = lab.call();
        let register = json!({"type": "register", "client_ip": ip, "client_port": 3, "v": 1, "id": id});
        refused.say(&format!("{register}\n").repeat(16)).await;
        peers.push(refused);
    }

    let mut bench = lab.call();
    bench.send(json!({"Identify": {"hostname": text(3)}}).to_string().as_bytes()).await;
    peers.push(bench);
    let mut broken = lab.call();
    broken.send(format!("\"{}", text(2)).as_bytes()).await;
    peers.push(broken);

    for target in [format!("/{}", escaped(text(0))), format!("/x?name={}", escaped(text(1)))] {
        let peer = lab.call();
        let (mut socket, _) = client_async(format!("ws://here{target}"), peer.io).await.unwrap();
        socket.send(Message::text(text(2))).await.unwrap();
        socket.close(None).await.unwrap();
        peers.push(Peer::of(socket.into_inner()));
    }
    peers
}

/// Writes any text so that it fits a request.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        let _ = write!(escaped, "%{byte:02x}"); // a String takes everything
    }
    escaped
}

/// Asks over HTTP, and takes in the answer, whether it is JSON or a complaint.
async fn ask(lab: &mut Lab, target: &str, out: &mut Out) {
    let mut peer = lab.call();
    peer.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes()).await;
    let mut answer = Vec::new();
    let _ = timeout(secs(5), peer.io.read_to_end(&mut answer)).await; // a stream of events has no end
    let answer = String::from_utf8(answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    match serde_json::from_str(body) {
        Ok(value) => out.json("http", &value),
        Err(_) => body.lines().for_each(|line| out.put("http", line)),
    }
}

/// A file in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Memory {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Takes in what is written of events: for people, for programs, into the log.
fn written(lab: &mut Lab, out: &mut Out) {
    let (people, programs, log) = (Memory::default(), Memory::default(), Memory::default());
    let to_log = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || to_log.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let lines = [(&people, LineFormat::Text), (&programs, LineFormat::Json)]
            .map(|(to, format)| Lines::to(to.clone(), format));
        while let Ok(event) = lab.events.try_recv() {
            out.put("event", event.kind.to_string());
            if let Some(who) = &event.who {
                out.put("event", &*who.label);
                out.put("event", &*who.id);
            }
            for lines in &lines {
                lines.event(&event);
            }
        }
    });
    people.text().lines().for_each(|line| out.put("line", line));
    log.text().lines().for_each(|line| out.put("log", line));
    for line in programs.text().lines() {
        out.put("line", line);
        out.json("line", &serde_json::from_str(line).unwrap());
    }
}

/// Takes in what the operator sees: frames of several sizes, the details of every row, the snapshot.
fn drawn(view: &Arc<View>, out: &mut Out) {
    let now = Now { mono: view.at, wall: secs(1_795_270_927) };
    out.json("snapshot", &serde_json::from_str(&snapshot::file(view, now)).unwrap());
    for (width, height) in [(160, 50), (80, 24), (40, 10)] {
        let face = Face::Serve {
            bound: "0.0.0.0:8080".parse().unwrap(),
            join_line: "presence-tui join 10.0.0.5:8080".to_owned(),
            read_only: false,
        };
        let look = Look { theme: Theme::Dark, ascii: false, colourless: false };
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let mut model = Model::new(face, look, (width, height), view.clone(), now);
        for row in &view.rows {
            model.table.selected = Some(row.key);
            terminal.draw(|frame| draw(&model, frame)).unwrap();
            for cell in terminal.backend().buffer().content() {
                out.put("frame", cell.symbol());
            }
        }
    }
}

async fn all_that_comes_out_of(evil: &[String]) -> Out {
    let limits = Limits { flood_factor: 0, ..options().limits };
    let mut lab = Lab::with(Options { limits, ..options() });
    let mut out = Out::default();
    let mut watcher = lab.v1(r#""id":"watcher","want":["roster"],"#).await.0;
    let mut base = lab.call();
    base.say(LEGACY).await;
    let mut peers = attack(&mut lab, evil).await;
    sleep(secs(1)).await;
    let window = Window { height: 50, events: 50, ..Window::default() };
    lab.server.remote().command(Command::Show(window)).await;
    let views = lab.server.views();
    sleep(secs(1)).await;
    for peer in peers.iter_mut().chain([&mut watcher, &mut base]) {
        while let Ok(Some(line)) = timeout(Duration::from_millis(10), peer.line()).await {
            match serde_json::from_str(&line) {
                Ok(value) => out.json("told", &value),
                Err(_) => out.put("told", line),
            }
        }
    }
    for target in ["/clients", "/clients?state=closed", "/events", "/metrics", "/health/connections"] {
        ask(&mut lab, target, &mut out).await;
    }
    for query in ["state", "sort", "limit", "nonsense"] {
        ask(&mut lab, &format!("/clients?{query}={}", escaped(&evil[0])), &mut out).await;
        ask(&mut lab, &format!("/{}", escaped(&evil[0])), &mut out).await;
    }
    drawn(&views.borrow().clone(), &mut out);
    written(&mut lab, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn nothing_a_terminal_obeys_or_a_reader_cannot_see_comes_out(
        evil in proptest::collection::vec(hostile(), 4),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(all_that_comes_out_of(&evil)).check();
    }
}
