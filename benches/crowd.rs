//! What a crowd costs the server, and what it costs everybody else: `cargo bench --bench crowd [-- PART]`.
//!
//! The parts are `idle`, `churn` and `legacy`; all of them without one. The
//! crowd is `presence-tui swarm`, in a process of its own beside the server.
#![allow(missing_docs, clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot set itself up should say so and stop")]

mod common;

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::Instant;

fn main() {
    let _ = presence_tui::net::raise_open_files();
    let parts: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|it| it == part);
    if wanted("idle") {
        idle(19_000, Duration::from_mins(1));
    }
    if wanted("churn") {
        churn(10_000, 1_000);
    }
    if wanted("legacy") {
        legacy(10_000, 200);
    }
}

/// A crowd in a process of its own; it ends with this.
struct Crowd(Child);

impl Crowd {
    fn of(addr: SocketAddr, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_presence-tui"));
        command.args(["swarm", &addr.to_string(), "--json", "--seed", "1"]).args(args);
        Self(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Waits for its end, and returns what it has to report.
    fn report(mut self) -> Value {
        let mut text = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How much of a core a fleet that only pings takes, without a screen and with one.
fn idle(n: usize, span: Duration) {
    let count = n.to_string();
    let server = common::Served::start(&["--interval", "60s", "--timeout", "120s"]);
    let crowd = Crowd::of(server.addr, &["-n", &count, "--rate", "5000"]);
    std::thread::sleep(Duration::from_secs(15));
    let headless = share(span, || server.cpu_ms());
    drop((crowd, server));

    let (mut screen, addr) = Screen::open();
    let crowd = Crowd::of(addr, &["-n", &count, "--rate", "5000"]);
    std::thread::sleep(Duration::from_secs(15));
    let drawn = share(span, || screen.cpu_ms());
    drop(crowd);
    screen.close();
    println!(
        "idle: {n} clients at 60s: {headless:.1} % of a core headless, {drawn:.1} % with the dashboard open"
    );
}

/// Returns how much of a core is used, in percent.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of minutes")]
fn share(span: Duration, cpu_ms: impl Fn() -> u64) -> f64 {
    let before = cpu_ms();
    std::thread::sleep(span);
    (cpu_ms() - before) as f64 * 100.0 / span.as_millis() as f64
}

/// The dashboard in a terminal that reads everything and shows nothing.
struct Screen {
    child: Box<dyn portable_pty::Child + Send + Sync>,
    _master: Box<dyn portable_pty::MasterPty + Send>,
}

impl Screen {
    /// Opens it; returns where the server listens.
    fn open() -> (Self, SocketAddr) {
        // A port that was free a moment ago: the address on the screen would have to be found among the rows.
        let addr = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let pty = native_pty_system()
            .openpty(PtySize { rows: 36, cols: 120, pixel_width: 0, pixel_height: 0 })
            .unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_presence-tui"));
        command.args(["serve", "--host", "127.0.0.1", "--port", &addr.port().to_string()]);
        command.args(["--max-clients", "100000", "--interval", "60s", "--timeout", "120s"]);
        command.env("XDG_STATE_HOME", std::env::temp_dir().join("presence-tui-bench"));
        command.env("TERM", "xterm-256color");
        let child = pty.slave.spawn_command(command).unwrap();
        let mut reader = pty.master.try_clone_reader().unwrap();
        std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(addr).is_err() {
            assert!(Instant::now() < deadline, "the server does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        (Self { child, _master: pty.master }, addr)
    }

    fn cpu_ms(&self) -> u64 {
        common::cpu_ms(self.child.process_id().unwrap())
    }

    fn close(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What it costs when many come and go, and how soon those who follow the roster know.
fn churn(n: usize, rate: usize) {
    let server = common::Served::start(&["--interval", "60s", "--timeout", "120s"]);
    let (count, per_second) = (n.to_string(), rate.to_string());
    let span = Duration::from_secs(20);
    let crowd = Crowd::of(
        server.addr,
        &["-n", &count, "--rate", "4000", "--churn", &per_second, "--duration", "40s"],
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let heard = Arc::new(Mutex::new(BTreeMap::<u64, Vec<Duration>>::new()));
    let said = Arc::new(Mutex::new(BTreeMap::<u64, Instant>::new()));
    runtime.block_on(async {
        tokio::time::sleep(Duration::from_secs(8)).await;
        for _ in 0..10 {
            tokio::spawn(follow(server.addr, said.clone(), heard.clone()));
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    });
    let cpu = runtime.block_on(async {
        let probes = tokio::spawn(probe(server.addr, said.clone()));
        let used = tokio::task::spawn_blocking({
            let pid = server.pid();
            move || share(span, || common::cpu_ms(pid))
        });
        let used = used.await.unwrap();
        probes.abort();
        tokio::time::sleep(Duration::from_secs(2)).await;
        used
    });
    let heard = heard.lock().unwrap();
    let told = said.lock().unwrap().len();
    let mut delays: Vec<Duration> = heard.values().flatten().copied().collect();
    delays.sort_unstable();
    let missing = (told * 10).saturating_sub(delays.len());
    let report = crowd.report();
    println!(
        "churn: {n} clients, {rate} joining and {rate} leaving a second, 10 following: {cpu:.1} % of a core; \
         {told} probes known to the followers after p50 {:.0?}, p99 {:.0?}, at most {:.0?} ({missing} unheard, as who goes within a batch is in none); \
         pong p99 {} us",
        common::percentile(&delays, 50),
        common::percentile(&delays, 99),
        delays.last().unwrap(),
        report["pong_us"]["p99"],
    );
}

/// Joins again and again under numbers of its own, and notes when each was let in.
async fn probe(addr: SocketAddr, said: Arc<Mutex<BTreeMap<u64, Instant>>>) {
    for number in 0.. {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let line = register(&format!("probe-{number}"), "");
        stream.write_all(line.as_bytes()).await.unwrap();
        common::read_line(&mut stream).await;
        said.lock().unwrap().insert(number, Instant::now());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Follows the roster, and notes how long after it was let in each probe is heard of.
async fn follow(
    addr: SocketAddr,
    said: Arc<Mutex<BTreeMap<u64, Instant>>>,
    heard: Arc<Mutex<BTreeMap<u64, Vec<Duration>>>>,
) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let line = register("", r#""want":["roster"],"#);
    stream.write_all(line.as_bytes()).await.unwrap();
    let mut lines = BufReader::with_capacity(256 * 1024, stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let now = Instant::now();
        if !line.starts_with(r#"{"type":"client_joined""#) {
            continue;
        }
        for (at, _) in line.match_indices(r#""id":"probe-"#) {
            let digits = line[at + 12..].split('"').next().unwrap();
            let number: u64 = digits.parse().unwrap();
            // Told before the probe itself has read its welcome counts as at once.
            let since = said.lock().unwrap().get(&number).copied().unwrap_or(now);
            heard.lock().unwrap().entry(number).or_default().push(now.saturating_duration_since(since));
        }
    }
}

fn register(id: &str, want: &str) -> String {
    let id = if id.is_empty() { String::new() } else { format!(r#""id":"{id}","gen":1,"conn":1,"#) };
    format!(r#"{{"type":"register","client_ip":"127.0.0.1","client_port":1,"v":1,{id}{want}"name":"bench"}}"#)
        + "\n"
}

/// What clients of the base protocol, who get whole lists, cost those who do not.
fn legacy(n: usize, old: usize) {
    let span = Duration::from_secs(20);
    for with in [false, true] {
        // So few pings that the server does not stretch the interval: ten thousand acknowledgements take a while.
        let server = common::Served::start(&["--interval", "8s", "--timeout", "60s"]);
        let count = n.to_string();
        let crowd =
            Crowd::of(server.addr, &["-n", &count, "--rate", "1000", "--churn", "10", "--duration", "50s"]);
        std::thread::sleep(Duration::from_secs(12));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let bytes = Arc::new(AtomicU64::new(0));
        let (cpu, lists) = runtime.block_on(async {
            for _ in 0..if with { old } else { 0 } {
                tokio::spawn(read_lists(server.addr, bytes.clone()));
            }
            tokio::time::sleep(Duration::from_secs(8)).await; // Each has had its first list by then.
            let before = bytes.load(Relaxed);
            let pid = server.pid();
            let used =
                tokio::task::spawn_blocking(move || share(span, || common::cpu_ms(pid))).await.unwrap();
            (used, bytes.load(Relaxed) - before)
        });
        let lists = lists / u64::try_from(span.as_millis()).unwrap();
        let report = crowd.report();
        let pong = &report["pong_us"];
        let among =
            if with { format!("with {old} base clients ({lists} KB/s of lists)") } else { "alone".into() };
        println!(
            "legacy: {n} clients {among}: {cpu:.1} % of a core, pong p50 {} us, p99 {} us, at most {} us",
            pong["p50"], pong["p99"], pong["max"]
        );
    }
}

/// A base client that reads all its lists, and counts their bytes.
async fn read_lists(addr: SocketAddr, bytes: Arc<AtomicU64>) {
    let (mut reader, mut writer) = TcpStream::connect(addr).await.unwrap().into_split();
    let port = reader.local_addr().unwrap().port();
    let line = format!("{{\"type\":\"register\",\"client_ip\":\"127.0.0.1\",\"client_port\":{port}}}\n");
    writer.write_all(line.as_bytes()).await.unwrap();
    let mut ping = tokio::time::interval(Duration::from_secs(5));
    let mut sink = vec![0; 64 * 1024];
    loop {
        tokio::select! {
            _ = ping.tick() => writer.write_all(b"{\"type\":\"ping\"}\n").await.unwrap(),
            read = reader.read(&mut sink) => match read.unwrap() {
                0 => return,
                read => _ = bytes.fetch_add(read as u64, Relaxed),
            },
        }
    }
}
