//! What is remembered outlives the server, however it ends: killed at any moment, again and again.
#![cfg(all(unix, feature = "history"))]
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail loudly")]

#[path = "common/process.rs"]
mod process;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use presence_tui::history::{Clock, History, Moment, Plan};
use presence_tui::presence::event::Turn;
use presence_tui::presence::{Departure, Event, EventKind, Reason, RowKey, Who};
use process::{Daemon, Home, PATIENCE};
use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::Value;

/// How many times a server is killed; all 200 with `HISTORY_KILLS=200`.
const KILLS: u64 = 12;
/// How many clients come and go on it.
const CLIENTS: u64 = 40;
/// How far it may be ahead of its disk.
const AHEAD: u64 = 4_000;
/// Names the file to the server that is to be killed, and which one of many it is.
const FILE: &str = "HISTORY_TEST_FILE";
const LIFE: &str = "HISTORY_TEST_LIFE";

fn plan(path: &Path) -> Plan {
    Plan { path: Some(path.to_owned()), retention: Duration::from_hours(720), max_bytes: 1_000_000_000 }
}

#[expect(clippy::disallowed_methods, reason = "a test plays the shell here")]
fn clock() -> Clock {
    Arc::new(|| {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Moment { wall_ms: u64::try_from(wall.as_millis()).unwrap(), mono: Instant::now() }
    })
}

fn start(path: &Path) -> History {
    History::start(
        plan(path),
        clock(),
        Box::new(|said| assert!(matches!(said, EventKind::Notice(_)), "{said}")),
    )
    .unwrap()
}

/// What happens in every life, change by change: each client comes, is late, is back, and goes.
fn change(life: u64, number: u64) -> (u64, EventKind) {
    let (client, round) = (number % CLIENTS, number / CLIENTS);
    let (silent, interval, up) =
        (Duration::from_millis(3), Duration::from_millis(2), Duration::from_millis(1));
    let kind = match (round + life) % 4 {
        _ if round == 0 => EventKind::Joined,
        0 => EventKind::Resumed { away: silent },
        1 => EventKind::Late { silent, interval },
        2 => EventKind::Back { silent, missed: 1 },
        _ => EventKind::Gone { departure: Departure::new(reason(number), "so"), silent, up, missed: 1 },
    };
    (client, kind)
}

fn reason(number: u64) -> Reason {
    Reason::ALL[usize::try_from(number).unwrap() % Reason::ALL.len()]
}

/// The server that is to be killed: it says how many changes are on the disk, and never ends by itself.
#[test]
#[ignore = "started by the test below, to be killed"]
fn a_server_to_be_killed() {
    let (Ok(file), Ok(life)) = (std::env::var(FILE), std::env::var(LIFE)) else { return };
    let (life, clock): (u64, Clock) = (life.parse().unwrap(), clock());
    let recorder = start(Path::new(&file)).recorder();
    let (mut number, mut told) = (0, 0);
    loop {
        let batch: Vec<_> = (number..told + AHEAD)
            .map(|number| {
                let (client, kind) = change(life, number);
                let name: Arc<str> = format!("{life}-{client}").into();
                let peer = ([127, 0, 0, 1], 1).into();
                let (user, device, turn) = (None, None, Turn::default());
                let (row, id) = (RowKey(client), name.clone());
                let who = Who { row, id, label: name, peer, user, device, turn };
                Arc::new(Event { seq: number, at: clock().mono, who: Some(who), kind })
            })
            .collect();
        recorder.note(&batch);
        number = number.max(told + AHEAD);
        let written = recorder.written();
        if written > told {
            // A whole line at a time: what is read of it was on the disk before.
            writeln!(std::io::stdout(), "written {written}").unwrap();
            told = written;
        }
        thread::sleep(Duration::from_micros(200));
    }
}

/// Such a server, and what it said last.
struct Victim {
    child: Child,
    written: Arc<AtomicU64>,
    reader: thread::JoinHandle<()>,
}

impl Victim {
    fn start(file: &Path, life: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_server_to_be_killed", "--ignored", "--nocapture"])
            .env(FILE, file)
            .env(LIFE, life.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let written = Arc::new(AtomicU64::new(0));
        let last = written.clone();
        let reader = thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                if let Some(count) = line.strip_prefix("written ") {
                    last.store(count.parse().unwrap(), SeqCst);
                }
            }
        });
        Self { child, written, reader }
    }

    /// Kills it; returns how many changes it had said were on the disk.
    fn kill(mut self) -> u64 {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.reader.join().unwrap();
        self.written.load(SeqCst)
    }
}

fn ask<T: rusqlite::types::FromSql>(file: &Path, sql: &str) -> T {
    Connection::open(file).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Holds one life against what must have happened in it.
fn judge(file: &Path, life: u64, acknowledged: u64) {
    let of = |what: &str| format!("{what} JOIN clients USING (client) WHERE id GLOB '{life}-*'");
    let flips: i64 = ask(file, &of("SELECT count(*) FROM flips"));
    let flips = u64::try_from(flips).unwrap();
    assert!(
        flips >= acknowledged,
        "life {life}: {flips} changes of {acknowledged} that were said to be written"
    );
    let (mut began, mut open) = (0, std::collections::HashSet::new());
    for number in 0..flips {
        match change(life, number) {
            (client, EventKind::Joined | EventKind::Resumed { .. }) => {
                began += 1;
                open.insert(client);
            }
            (client, EventKind::Gone { .. }) => {
                // In some lives a client goes before it has come: that session is written as a whole.
                began += i64::from(!open.remove(&client));
            }
            _ => {}
        }
    }
    let sessions: i64 = ask(file, &of("SELECT count(*) FROM sessions"));
    let left: i64 = ask(file, &(of("SELECT count(*) FROM sessions") + " AND detail = 'server ended'"));
    assert_eq!(
        (sessions, usize::try_from(left).unwrap()),
        (began, open.len()),
        "life {life}, {flips} changes"
    );
}

#[test]
fn a_server_that_is_killed_at_any_moment_leaves_what_it_wrote_and_nothing_open() {
    let kills = std::env::var("HISTORY_KILLS").ok().map_or(KILLS, |kills| kills.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let file: PathBuf = dir.path().join("history.db");
    let mut random = fastrand::Rng::with_seed(7);
    let mut acknowledged = Vec::new();
    for life in 0..kills {
        let victim = Victim::start(&file, life);
        // Every fourth one may not even get to open its file; the others have begun to write.
        while life % 4 > 0 && victim.written.load(SeqCst) == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_micros(random.u64(..60_000)));
        acknowledged.push(victim.kill());
        if life % 10 == 9 && file.exists() {
            assert_eq!(ask::<String>(&file, "PRAGMA integrity_check"), "ok");
        }
    }
    // The last server of all ends as it should.
    let history = start(&file);
    history.recorder().end();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    assert_eq!(runtime.block_on(history.finish(Duration::from_secs(20))), None);
    assert_eq!(ask::<String>(&file, "PRAGMA integrity_check"), "ok");
    assert_eq!(ask::<i64>(&file, "SELECT count(*) FROM sessions WHERE end_ms IS NULL OR reason IS NULL"), 0);
    assert_eq!(ask::<i64>(&file, "SELECT count(*) FROM runs WHERE ended_ms IS NULL"), 0);
    assert_eq!(ask::<i64>(&file, "SELECT count(*) FROM sessions WHERE end_ms < start_ms"), 0);
    for (life, acknowledged) in (0..).zip(&acknowledged) {
        judge(&file, life, *acknowledged);
    }
    let (flips, total) = (ask::<i64>(&file, "SELECT count(*) FROM flips"), acknowledged.iter().sum::<u64>());
    println!("{kills} kills: {total} changes were said to be written, {flips} are");
}

/// Asks the real program, until it is content.
fn tells(home: &Home, flags: &str, what: impl Fn(&Value) -> bool) -> Value {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let ran = home.run(&format!("history --json {flags}"));
        let told = serde_json::from_str(&ran.stdout).unwrap_or(Value::Null);
        if what(&told) {
            return told;
        }
        assert!(tokio::time::Instant::now() < deadline, "{} {}", ran.stdout, ran.stderr);
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_program_remembers_across_a_kill_and_tells_while_it_serves() {
    let home = Home::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let line = format!("serve --headless --host 127.0.0.1 --port {port} --interval 0.3 --timeout 1");
    let serve = || {
        let mut server = Daemon::start(&mut home.command(&line));
        server.listening();
        server
    };
    let none = home.run(&format!("history --port {port}"));
    assert_eq!((none.code, none.stdout.as_str()), (Some(1), ""));
    assert!(
        none.stderr.contains("there is no history in") && none.stderr.contains("serve"),
        "{}",
        none.stderr
    );

    let mut server = serve();
    let _ada = home.join(server.addr(), "--name ada --user lovelace");
    server.says("registered ada");
    let here = |told: &Value| told["clients"][0]["state"] == "online";
    let told = tells(&home, &format!("--port {port}"), here);
    assert_eq!((&told["server_running"], &told["clients"][0]["user"]), (&true.into(), &"lovelace".into()));
    server.kill();

    let mut server = serve();
    server.says("resumed ada");
    assert_eq!(server.stop(Signal::TERM).0, Some(0), "{}", server.transcript());
    let told = tells(&home, "--client lovelace --since 1h", |told| told["server_running"] == false);
    let sessions = told["clients"][0]["last_sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2, "{told}");
    assert_eq!((&sessions[1]["reason"], &sessions[1]["detail"]), (&"unknown".into(), &"server ended".into()));
    assert!(sessions.iter().all(|session| session["end"].is_string()), "{told}");
    assert_eq!(told["clients"][0]["uptime"], 1.0, "a server that ends is not its clients' fault: {told}");
    let text = home.run("history").stdout;
    assert!(text.contains("ada") && text.contains("100%"), "{text}");
    assert!(home.run("history --client nobody").stderr.contains("knows nobody"));
    assert!(home.run("history --since soon").stderr.contains("--since"));
}
