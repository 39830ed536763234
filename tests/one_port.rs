//! The real binary, one port, and every kind of client on it: sockets, curl, a WebSocket library, a browser.
#![cfg(unix)]
#![allow(missing_docs, reason = "a test is documented by its name")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests are test code")]
#![allow(clippy::print_stdout, reason = "what is measured is said")]

#[path = "common/process.rs"]
mod process;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use process::{Home, Nc, PATIENCE};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};
use tokio_util::sync::CancellationToken;

/// Says that something was not tested, where a passing test's own words are not kept back.
fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "\nSKIPPED: {why}"); // Nobody may be there to read it.
}

/// Asks once, with the request a person's tools would send.
async fn get(addr: SocketAddr, target: &str) -> (String, String) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    // Not every server closes because it is asked to: the length tells the end.
    let mut answer = Vec::new();
    while stream.read_buf(&mut answer).await.unwrap() > 0 {
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
        });
        if Some(body.len()) == length {
            return (head.to_owned(), body.to_owned());
        }
    }
    panic!("half an answer: {}", String::from_utf8_lossy(&answer))
}

async fn json(addr: SocketAddr, target: &str) -> Value {
    serde_json::from_str(&get(addr, target).await.1).unwrap()
}

async fn web_socket(addr: SocketAddr, target: &str) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(addr).await.unwrap();
    client_async(format!("ws://{addr}{target}"), stream).await.unwrap().0
}

/// Asks for something until it is as it should be.
async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = timeout(PATIENCE, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    found.await.expect("it never happened")
}

#[tokio::test]
async fn every_kind_of_client_at_once() {
    let home = Home::new();
    let server = home.serve("--interval 1s --timeout 5s");
    let addr = server.addr();
    let mut nc = Nc::legacy(addr, "10.0.0.1");
    let mut bench = TcpStream::connect(addr).await.unwrap();
    bench.write_all(br#"{"Identify":{"hostname":"bench-1"}}"#).await.unwrap();
    let mut ping = [0; 6];
    bench.read_exact(&mut ping).await.unwrap();
    assert_eq!(&ping, b"\"Ping\"");
    bench.write_all(br#"{"Custom":{"data":"PONG"}}"#).await.unwrap();
    let mut socket = web_socket(addr, "/device-7").await;
    socket.send(Message::text("ping")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("pong"));
    nc.say(r#"{"type":"ping"}"#);
    nc.hears("pong");
    let rows = until(async || {
        let rows = json(addr, "/clients?sort=name&state=online").await;
        (rows["clients"][1]["beats"] == 1).then_some(rows)
    });
    let rows = rows.await;
    let told: Vec<_> =
        (0..3).map(|at| (&rows["clients"][at]["name"], &rows["clients"][at]["dialect"])).collect();
    let expected = [("10.0.0.1:1", "presence"), ("bench-1", "netsync"), ("device-7", "websocket")];
    assert_eq!(
        told,
        expected.map(|(name, dialect)| (json!(name), json!(dialect))).each_ref().map(|(a, b)| (a, b))
    );
    assert!(get(addr, "/metrics").await.1.contains("presence_clients{state=\"online\"} 3"));
}

#[test]
fn curl_works() {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        return skipped("there is no curl on this machine");
    }
    let home = Home::new();
    let server = home.serve("");
    let _nc = Nc::legacy(server.addr(), "10.0.0.1");
    let curl = |target: &str, flags: &[&str]| {
        let url = format!("http://{}{target}", server.addr());
        let out =
            Command::new("curl").args(["-sS", "--max-time", "5"]).args(flags).arg(url).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    assert_eq!(curl("/healthz", &[]), "ok\n");
    assert_eq!(curl("/readyz", &[]), "ready\n");
    let clients: Value = serde_json::from_str(&curl("/clients?limit=1", &[])).unwrap();
    assert_eq!(clients["clients"][0]["claim"], "10.0.0.1:1");
    assert!(curl("/healthz", &["-I"]).starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(curl("/clients", &["-X", "DELETE", "-i"]).starts_with("HTTP/1.1 405 "));
    assert!(curl("/browser", &[]).starts_with("<!doctype html>"));
    assert!(curl("/events", &["-N", "--max-time", "1"]).starts_with(':'));
}

#[test]
fn a_dialect_can_be_switched_off_in_the_file() {
    let home = Home::new();
    home.config("[server]\ndialects = [\"presence\"]\n");
    let server = home.serve("");
    let mut nc = Nc::connect(server.addr());
    nc.say("GET /healthz HTTP/1.1\r\n\r");
    assert_eq!(nc.hears("error")["code"], "bad_request");
    Nc::legacy(server.addr(), "10.0.0.1");
}

/// A v1 client that pings every 0.8 s until it is told to stop; returns the longest it waited for a pong.
async fn beat(addr: SocketAddr, number: usize, stop: CancellationToken) -> Duration {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let register = format!(
        "{{\"type\":\"register\",\"client_ip\":\"h\",\"client_port\":1,\"v\":1,\"id\":\"c{number}\"}}\n"
    );
    stream.write_all(register.as_bytes()).await.unwrap();
    let mut chunk = [0; 4_096];
    let welcomed = stream.read(&mut chunk).await.unwrap();
    assert!(chunk[..welcomed].starts_with(b"{\"type\":\"welcome\""));
    sleep(Duration::from_millis(fastrand::u64(0..800))).await;
    let mut longest = Duration::ZERO;
    while !stop.is_cancelled() {
        let asked = Instant::now();
        stream.write_all(b"{\"type\":\"ping\"}\n").await.unwrap();
        let read = stream.read(&mut chunk).await.unwrap();
        assert_eq!(&chunk[..read], b"{\"type\":\"pong\"}\n");
        longest = longest.max(asked.elapsed());
        sleep(Duration::from_millis(800).saturating_sub(asked.elapsed())).await;
    }
    longest
}

/// Asks so many times on one connection.
async fn ask(addr: SocketAddr, times: usize) {
    const TARGETS: [&str; 5] =
        ["/healthz", "/health/connections", "/health/heartbeats", "/clients?limit=50&sort=rtt", "/metrics"];
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let mut chunk = vec![0; 64 * 1024];
    for at in 0..times {
        let target = TARGETS[at % TARGETS.len()];
        stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        loop {
            let read = stream.read(&mut chunk).await.unwrap();
            assert!(read > 0, "it closed after {at} answers");
            answer.extend_from_slice(&chunk[..read]);
            let Some(head) = answer.windows(4).position(|it| it == b"\r\n\r\n") else { continue };
            let text = String::from_utf8_lossy(&answer[..head]);
            assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if answer.len() >= head + 4 + length.parse::<usize>().unwrap() {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_questions_make_nobody_late() {
    const CLIENTS: usize = 1_000;
    let home = Home::new();
    // Late is whoever is not heard for 3 s; everybody beats every 0.8 s. That is room for a busy machine.
    let server = home.serve("--interval 2s --timeout 6s --max-clients 2000");
    let addr = server.addr();
    let round = async |questions: usize| {
        let (mut fleet, stop) = (JoinSet::new(), CancellationToken::new());
        for number in 0..CLIENTS {
            fleet.spawn(beat(addr, number, stop.clone()));
        }
        until(async || (json(addr, "/health/connections").await["active"] == CLIENTS).then_some(())).await;
        let before = json(addr, "/health/stale").await["late_detected"].as_u64().unwrap();
        let asking: JoinSet<()> = (0..16).map(|_| ask(addr, questions / 16)).collect();
        let begun = Instant::now();
        asking.join_all().await;
        let asked_for = begun.elapsed();
        // Everybody beats a few times, however fast the answers were.
        sleep(Duration::from_secs(3).saturating_sub(asked_for)).await;
        stop.cancel();
        let mut waits = fleet.join_all().await;
        waits.sort_unstable();
        let after = json(addr, "/health/stale").await["late_detected"].as_u64().unwrap();
        (after - before, waits[CLIENTS * 99 / 100], asked_for)
    };
    let (late_without, wait_without, _) = round(0).await;
    until(async || (json(addr, "/health/connections").await["active"] == 0).then_some(())).await;
    let (late_with, wait_with, asked_for) = round(10_000).await;
    println!(
        "99 of 100 clients waited at most {wait_without:?} for a pong without questions, \
         {wait_with:?} while 10000 were asked in {asked_for:?}"
    );
    let record = json(addr, "/health/heartbeats").await;
    assert_eq!((late_without, late_with), (0, 0), "{record}");
    assert_eq!(record["lateness"]["count"], 0, "nobody was timed out: {record}");
}

/// A browser without a window, and a line to its page.
struct Browser {
    child: Child,
    page: WebSocketStream<TcpStream>,
    asked: u64,
}

impl Browser {
    /// Opens a page; `None` where there is no browser.
    async fn open(folder: &Path, url: &str) -> Option<Self> {
        let mut spawned = None;
        for program in ["chromium", "chromium-browser", "google-chrome"] {
            let mut command = Command::new(program);
            command
                .args([
                    "--headless=new",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--no-first-run",
                    "--disable-dev-shm-usage",
                ])
                .args(["--remote-debugging-port=0", "--disable-background-networking"])
                .arg(format!("--user-data-dir={}", folder.display()))
                .arg(url);
            let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            spawned = spawned.or_else(|| quiet.spawn().ok());
        }
        let child = spawned?;
        let port = until(async || {
            let told = std::fs::read_to_string(folder.join("DevToolsActivePort")).ok()?;
            told.lines().next()?.parse::<u16>().ok()
        });
        let addr = SocketAddr::from(([127, 0, 0, 1], port.await));
        let path = until(async || {
            let pages = json(addr, "/json/list").await;
            let page = pages.as_array()?.iter().find(|page| page["type"] == "page")?;
            let (_, path) = page["webSocketDebuggerUrl"].as_str()?.split_once("/devtools/")?;
            Some(format!("/devtools/{path}"))
        });
        let page = web_socket(addr, &path.await).await;
        Some(Self { child, page, asked: 0 })
    }

    /// Returns what an expression in the page is worth.
    async fn eval(&mut self, expression: &str) -> Value {
        self.asked += 1;
        let ask = json!({
            "id": self.asked,
            "method": "Runtime.evaluate",
            "params": { "expression": expression },
        });
        self.page.send(Message::text(ask.to_string())).await.unwrap();
        loop {
            let Message::Text(text) = self.page.next().await.unwrap().unwrap() else { continue };
            let answer: Value = serde_json::from_str(&text).unwrap();
            if answer["id"] == self.asked {
                return answer["result"]["result"]["value"].clone();
            }
        }
    }

    /// Returns the text of an element.
    async fn text(&mut self, id: &str) -> String {
        let text = self.eval(&format!("document.getElementById('{id}').textContent")).await;
        text.as_str().unwrap_or_default().to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill(); // It may be over already.
        let _ = self.child.wait(); // Likewise.
    }
}

#[tokio::test]
async fn a_browser_tab_joins_counts_down_and_comes_back() {
    let home = Home::new();
    let mut server = home.serve("--interval 1s --timeout 5s");
    let addr = server.addr();
    let folder = home.cwd().join("browser");
    let url = format!("http://{addr}/browser?name=tab");
    let Some(mut tab) = Browser::open(&folder, &url).await else {
        return skipped("there is no chromium on this machine (apt-get install chromium)");
    };
    let row = until(async || {
        let row = json(addr, "/clients?state=online").await["clients"][0].clone();
        (row["beats"].as_u64() >= Some(2) && row["rtt_us"].is_u64()).then_some(row)
    });
    let row = row.await;
    assert_eq!(
        (&row["name"], &row["dialect"], &row["protocol"]),
        (&"tab".into(), &"websocket".into(), &1.into())
    );
    until(async || (tab.text("state").await == "online").then_some(())).await;
    let countdown = tab.text("countdown").await;
    assert!(countdown.starts_with("gone in ") && countdown.ends_with(" s, unless it beats"), "{countdown}");
    assert!(tab.text("settings").await.contains("every 1 s, gone after 5 s"));
    let told = home.run(&format!("notify --server {addr} --to all --name ops tea"));
    assert_eq!((told.code, told.stdout.as_str()), (Some(0), "n1: 1/1 delivered\n"), "{}", told.stderr);
    assert_eq!(tab.text("messages").await, "ops: tea");

    // The server dies and another one takes its place: the tab is back by itself, as who it was.
    server.kill();
    until(async || (tab.text("state").await == "offline").then_some(())).await;
    let port = addr.port();
    let mut command =
        home.command(&format!("serve --host 127.0.0.1 --port {port} --interval 2s --timeout 6s"));
    let mut server = process::Daemon::start(&mut command);
    server.listening();
    let again = until(async || {
        let row = json(addr, "/clients?state=online").await["clients"][0].clone();
        row["beats"].as_u64().filter(|beats| *beats > 0).map(|_| row)
    });
    assert_eq!(again.await["id"], row["id"]);
    until(async || tab.text("settings").await.contains("every 2 s").then_some(())).await;
    drop(tab);
    until(async || {
        let gone = json(addr, "/clients?state=closed").await;
        (gone["matched"] == 1).then_some(())
    })
    .await;
}
