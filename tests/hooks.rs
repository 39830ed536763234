//! Hooks with real scripts, and a webhook with a real socket: what they are told, and that nothing they do hurts.
#![cfg(unix)]
#![allow(missing_docs, reason = "a test is documented by its name")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests are test code")]

#[path = "common/process.rs"]
mod process;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use presence_tui::config::{HookCommand, HooksConfig};
use presence_tui::hooks::{Hooks, Patience};
use presence_tui::presence::event::Turn;
use presence_tui::presence::{Departure, Event, EventKind, Flip, Reason, RowKey, State, Who};
use process::{Home, Nc, PATIENCE};
use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// A test's waits: short, and long where something must not happen.
fn hurried() -> Patience {
    Patience {
        command: PATIENCE,
        group: Duration::from_millis(20),
        answer: PATIENCE,
        retry: Duration::from_millis(10),
        farewell: PATIENCE,
        complaint: PATIENCE,
    }
}

/// A folder with scripts in it.
struct Desk {
    dir: tempfile::TempDir,
    config: HooksConfig,
}

impl Desk {
    fn new() -> Self {
        let events = vec![Flip::TimedOut, Flip::Lost, Flip::Recovered, Flip::MassTimeout];
        Self { dir: tempfile::tempdir().unwrap(), config: HooksConfig { events, ..HooksConfig::default() } }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a script that is run in the folder, and adds it to the hooks.
    fn hook(mut self, name: &str, lines: &str) -> Self {
        let path = script(&self.path(name), &format!("cd '{}'\n{lines}", self.dir.path().display()));
        // By name: a file that was written a moment ago is busy while somebody else's fork has it open.
        let (program, arguments) = ("sh".to_owned(), vec![path, "a b".to_owned()]);
        self.config.commands.push(HookCommand { written: name.to_owned(), program, arguments });
        self
    }

    fn start(&self, patience: Patience) -> (Hooks, mpsc::Receiver<EventKind>) {
        Hooks::start(&self.config, "front-desk", patience).unwrap()
    }

    /// Waits until a script has written a file, and returns it.
    async fn written(&self, name: &str) -> String {
        let path = self.path(name);
        until(|| fs::read_to_string(&path).ok()).await
    }
}

fn script(path: &std::path::Path, lines: &str) -> String {
    fs::write(path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let found = timeout(PATIENCE, async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            sleep(Duration::from_millis(5)).await;
        }
    });
    found.await.expect("it never happened")
}

fn gone(row: u64, name: &str, reason: Reason) -> Arc<Event> {
    let turn = Turn { old: Some(State::Late), new: Some(State::TimedOut), acked: false };
    let who = Who {
        row: RowKey(row),
        id: format!("id-{row}").into(),
        label: name.into(),
        peer: SocketAddr::from(([192, 0, 2, 7], 51_822)),
        user: Some("ada".into()),
        device: None,
        turn,
    };
    let (silent, up) = (Duration::from_millis(15_250), Duration::from_mins(2));
    let kind = EventKind::Gone { departure: Departure::from(reason), silent, up, missed: 2 };
    Arc::new(Event { seq: row, at: Instant::now().into_std(), who: Some(who), kind })
}

async fn trouble(news: &mut mpsc::Receiver<EventKind>) -> String {
    match timeout(PATIENCE, news.recv()).await.expect("something is said") {
        Some(EventKind::Trouble(words) | EventKind::Notice(words)) => words,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_hook_is_told_in_its_environment_and_on_stdin() {
    let told = "env | grep '^PRESENCE_' | sort >env; printf '%s' \"$1\" >argument; cat >stdin; mv stdin said";
    let desk = Desk::new().hook("tell.sh", told);
    let (hooks, mut news) = desk.start(hurried());
    hooks.ear().hear(&gone(1, "bench \"7\" $(x)", Reason::Timeout));
    let said: Value = serde_json::from_str(&desk.written("said").await).unwrap();
    let ts = said["ts"].as_str().unwrap().to_owned();
    assert_eq!(
        said,
        json!({
            "ts": ts, "event": "timed_out", "server": "front-desk", "count": 1, "id": "id-1",
            "name": "bench \"7\" $(x)", "user": "ada", "address": "192.0.2.7:51822", "old": "late",
            "new": "timed_out", "reason": "timeout", "gap_ms": 15_250, "up_ms": 120_000, "missed": 2,
        })
    );
    let expected = format!(
        "PRESENCE_ADDRESS=192.0.2.7:51822\nPRESENCE_COUNT=1\nPRESENCE_DETAIL=\nPRESENCE_DEVICE=\n\
         PRESENCE_EVENT=timed_out\nPRESENCE_GAP_MS=15250\nPRESENCE_ID=id-1\nPRESENCE_NAME=bench \"7\" $(x)\n\
         PRESENCE_NAMES=bench \"7\" $(x)\nPRESENCE_REASON=timeout\nPRESENCE_SERVER=front-desk\n\
         PRESENCE_TIME={ts}\nPRESENCE_USER=ada\n"
    );
    assert_eq!(desk.written("env").await, expected);
    assert_eq!(desk.written("argument").await, "a b", "one argument, whatever is in it");
    hooks.finish().await;
    assert_eq!(news.recv().await, None, "nothing to complain about");
}

#[tokio::test]
async fn a_mass_is_one_call_with_the_first_names() {
    let desk = Desk::new().hook(
        "tell.sh",
        "echo \"$PRESENCE_EVENT $PRESENCE_COUNT [$PRESENCE_ID] $PRESENCE_NAMES\" >>env; cat >>said",
    );
    let (hooks, _news) = desk.start(hurried());
    for row in 0..100 {
        hooks.ear().hear(&gone(row, &format!("c{row}"), Reason::Lost));
    }
    hooks.finish().await;
    assert_eq!(desk.written("env").await, "mass_timeout 100 [] c0, c1, c2, c3, c4 and 95 more\n");
    let said: Value = serde_json::from_str(&desk.written("said").await).unwrap();
    assert_eq!((&said["event"], &said["count"]), (&json!("mass_timeout"), &json!(100)));
    assert_eq!(said["clients"].as_array().unwrap().len(), 50);
    assert_eq!((&said["clients"][49]["name"], &said["names"][0]), (&json!("c49"), &json!("c0")));
}

#[tokio::test]
async fn a_hook_that_hangs_is_killed_with_all_it_started() {
    let desk = Desk::new().hook("hang.sh", "sleep 1000 & echo \"$$ $!\" >pids.new; mv pids.new pids; wait");
    let patience = Patience { command: Duration::from_millis(300), ..hurried() };
    let (hooks, mut news) = desk.start(patience);
    let asked = Instant::now();
    hooks.ear().hear(&gone(1, "a", Reason::Lost));
    let words = trouble(&mut news).await;
    assert!(words.starts_with("hook hang.sh: killed after 300ms"), "{words}");
    assert!(asked.elapsed() >= patience.command);
    for pid in desk.written("pids").await.split_whitespace() {
        let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
        until(|| is_over(pid).then_some(())).await;
    }
}

/// Tells whether a process has ended; a dead one that nobody has waited for yet counts.
fn is_over(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let is_zombie = stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'));
    is_zombie || test_kill_process(pid).is_err()
}

#[tokio::test]
async fn hooks_that_still_run_when_the_server_stops_are_killed() {
    let desk = Desk::new().hook("hang.sh", "echo $$ >pid.new; mv pid.new pid; exec sleep 1000");
    let (hooks, _news) = desk.start(Patience { farewell: Duration::from_millis(50), ..hurried() });
    hooks.ear().hear(&gone(1, "a", Reason::Lost));
    let pid = desk.written("pid").await.trim().parse().unwrap();
    hooks.finish().await;
    until(|| is_over(Pid::from_raw(pid).unwrap()).then_some(())).await;
}

#[tokio::test]
async fn a_hook_that_fails_is_said_now_and_then_with_what_it_said() {
    let desk = Desk::new().hook("fail.sh", "printf 'no \\033[31mpager\\n' >&2; exit 3");
    let (hooks, mut news) = desk.start(hurried());
    for row in 0..5 {
        hooks.ear().hear(&gone(row, "a", Reason::Lost));
    }
    hooks.finish().await;
    assert_eq!(trouble(&mut news).await, "hook fail.sh: exit status 3: no \u{fffd}[31mpager");
    assert_eq!(news.recv().await, None, "five times the same is said once");
}

#[tokio::test]
async fn a_hook_that_floods_is_read_to_its_end_and_hardly_anything_is_kept() {
    let flood = "cat >/dev/null; head -c 1000000 /dev/zero | tr '\\0' x; head -c 1000000 /dev/zero | tr '\\0' y >&2; \
                 touch done; exit 1";
    let desk = Desk::new().hook("flood.sh", flood);
    let (hooks, mut news) = desk.start(hurried());
    hooks.ear().hear(&gone(1, "a", Reason::Lost));
    let words = trouble(&mut news).await;
    assert!(words.starts_with("hook flood.sh: exit status 1: yyy") && words.len() < 300, "{}", words.len());
    desk.written("done").await;
    hooks.finish().await;
}

#[tokio::test]
async fn a_hook_that_does_not_exist_or_does_not_listen_hurts_nobody() {
    let mut desk = Desk::new().hook("deaf.sh", "exec <&-; touch done");
    let nowhere = desk.path("nowhere.sh").to_str().unwrap().to_owned();
    let command = HookCommand { written: "nowhere.sh".to_owned(), program: nowhere, arguments: Vec::new() };
    desk.config.commands.insert(0, command);
    let (hooks, mut news) = desk.start(hurried());
    hooks.ear().hear(&gone(1, "a", Reason::Lost));
    let words = trouble(&mut news).await;
    assert!(words.starts_with("hook nowhere.sh: cannot be run: "), "{words}");
    desk.written("done").await;
    hooks.finish().await;
    assert_eq!(news.recv().await, None);
}

#[tokio::test]
async fn what_a_hook_leaves_behind_is_not_waited_for() {
    let desk = Desk::new().hook("daemon.sh", "sleep 1000 & echo $! >pid.new; mv pid.new pid");
    let (hooks, mut news) = desk.start(hurried());
    hooks.ear().hear(&gone(1, "a", Reason::Lost));
    timeout(PATIENCE / 2, hooks.finish()).await.expect("it ended when its script did");
    assert_eq!(news.recv().await, None);
    let pid: i32 = desk.written("pid").await.trim().parse().unwrap();
    rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

#[tokio::test]
async fn at_most_four_run_at_once_and_two_about_one_client_never_do() {
    let count = "touch run.$$; ls run.* | wc -l >>most; [ -e \"on.$PRESENCE_ID\" ] && touch twice; \
                 touch \"on.$PRESENCE_ID\"; sleep 0.1; rm \"on.$PRESENCE_ID\" run.$$; echo . >>over";
    let desk = Desk::new().hook("count.sh", count);
    let (hooks, _news) = desk.start(hurried());
    for row in [1, 1, 1, 2, 3, 4, 5, 6] {
        hooks.ear().hear(&gone(row, "a", Reason::Lost));
    }
    until(|| (fs::read_to_string(desk.path("over")).ok()?.lines().count() == 8).then_some(())).await;
    let most = desk.written("most").await.lines().map(|n| n.trim().parse::<usize>().unwrap()).max();
    assert!((2..=4).contains(&most.unwrap()), "{most:?}");
    assert!(!desk.path("twice").exists());
    hooks.finish().await;
}

#[tokio::test]
async fn what_does_not_fit_the_queue_is_dropped_counted_and_said_once() {
    let mut desk = Desk::new();
    for name in ["1.sh", "2.sh", "3.sh", "4.sh", "5.sh", "6.sh", "7.sh", "8.sh"] {
        desk = desk.hook(name, "while [ ! -e go ]; do sleep 0.01; done; echo . >>ran");
    }
    desk.config.events = vec![Flip::TimedOut, Flip::Lost, Flip::Left, Flip::Joined];
    let (hooks, mut news) = desk.start(Patience { group: Duration::from_millis(100), ..hurried() });
    for row in 0..40 {
        let reasons = [Reason::Timeout, Reason::Lost, Reason::Left];
        if let Some(reason) = reasons.get(row / 10) {
            hooks.ear().hear(&gone(row as u64, "a", *reason));
        } else {
            let joined = Event { kind: EventKind::Joined, ..(*gone(row as u64, "a", Reason::Left)).clone() };
            hooks.ear().hear(&Arc::new(joined));
        }
    }
    assert_eq!(trouble(&mut news).await, "hooks cannot keep up: calls are dropped while 256 wait");
    fs::write(desk.path("go"), "").unwrap();
    assert_eq!(trouble(&mut news).await, "hooks have caught up: 64 calls were dropped");
    hooks.finish().await;
    assert_eq!(desk.written("ran").await.lines().count(), 40 * 8 - 64);
}

// The webhook.

/// Answers so many requests with these statuses, one connection each, and returns what was posted.
async fn answer(listener: TcpListener, statuses: &[u16]) -> Vec<(String, String)> {
    let mut heard = Vec::new();
    for status in statuses {
        let (stream, _) = timeout(PATIENCE, listener.accept()).await.expect("a try").unwrap();
        let mut stream = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let mut line = String::new();
            assert_ne!(stream.read_line(&mut line).await.unwrap(), 0, "half a request: {head}");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let reply = format!("HTTP/1.1 {status} So\r\nContent-Length: 3\r\n\r\nok\n");
        stream.write_all(reply.as_bytes()).await.unwrap();
        heard.push((head, String::from_utf8(body).unwrap()));
    }
    heard
}

async fn webhook() -> (Desk, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut desk = Desk::new();
    let url = format!("http://{}/hooks/s3cret?x=1", listener.local_addr().unwrap());
    desk.config.webhook = Some(url.parse().unwrap());
    (desk, listener)
}

#[tokio::test]
async fn a_webhook_is_posted_the_same_json_until_it_takes_it() {
    let (desk, listener) = webhook().await;
    let (hooks, mut news) = desk.start(hurried());
    hooks.ear().hear(&gone(1, "a", Reason::Lost));
    let heard = answer(listener, &[500, 404, 204]).await;
    hooks.finish().await;
    assert_eq!(news.recv().await, None, "the third try was taken");
    let (head, body) = &heard[0];
    assert!(head.starts_with("POST /hooks/s3cret?x=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/json\r\n"), "{head}");
    assert!(heard.iter().all(|(_, again)| again == body), "{heard:?}");
    let said: Value = serde_json::from_str(body).unwrap();
    let expected = json!({
        "ts": said["ts"], "event": "lost", "server": "front-desk", "count": 1, "id": "id-1", "name": "a",
        "user": "ada", "address": "192.0.2.7:51822", "old": "late", "new": "timed_out", "reason": "lost",
        "gap_ms": 15_250, "up_ms": 120_000, "missed": 2,
    });
    assert_eq!(said, expected);
}

#[tokio::test]
async fn a_webhook_that_never_takes_it_is_given_up_after_three_tries_and_its_secret_is_kept() {
    let (desk, listener) = webhook().await;
    let addr = listener.local_addr().unwrap();
    let (hooks, mut news) = desk.start(hurried());
    hooks.ear().hear(&gone(1, "a", Reason::Lost));
    answer(listener, &[500, 302, 503]).await;
    let words = trouble(&mut news).await;
    assert_eq!(
        words,
        format!("webhook http://{addr}/...: answered with status 503 (given up after 3 tries)")
    );
    hooks.ear().hear(&gone(2, "b", Reason::Lost)); // Nobody listens any more.
    hooks.finish().await;
    assert_eq!(news.recv().await, None, "said once in a while");
}

#[tokio::test]
async fn a_webhook_that_hangs_is_not_waited_for() {
    let (desk, listener) = webhook().await;
    let (hooks, mut news) = desk.start(Patience { answer: Duration::from_millis(50), ..hurried() });
    hooks.ear().hear(&gone(1, "a", Reason::Lost));
    let words = trouble(&mut news).await;
    assert!(words.contains("no answer within 50ms"), "{words}");
    drop(listener);
}

// A server with all of them.

#[test]
fn a_server_with_hooks_that_misbehave_keeps_its_promises() {
    let home = Home::new();
    let hang = script(&home.cwd().join("hang.sh"), "touch hangs; sleep 1000");
    let flood = script(&home.cwd().join("flood.sh"), "touch floods; exec yes");
    let fail = script(&home.cwd().join("fail.sh"), "exit 3");
    let tell = script(&home.cwd().join("tell.sh"), "cat >told.new; mv told.new told");
    home.config(&format!(
        "[hooks]\non_event = [\"{hang} now\", \"{flood}\", \"'{fail}'\", \"nowhere.sh\", \"{tell}\"]\n\
         webhook = \"http://127.0.0.1:9/x\"\nmuted = [\"quiet\"]\n"
    ));
    let mut server = home.serve("--headless --json --interval 500ms --timeout 1s --events events.ndjson");
    let mut alive = Nc::v1(server.addr(), r#""name":"alive","#);
    drop(Nc::v1(server.addr(), r#""name":"quiet","#));
    drop(Nc::v1(server.addr(), r#""name":"build-7","user":"ada","#));
    let lost = server.event("lost");
    let ping = || r#"{"type":"ping"}"#;
    let deadline = Instant::now() + PATIENCE;
    while !home.cwd().join("told").exists() || !home.cwd().join("floods").exists() {
        assert!(Instant::now() < deadline, "no hook ran:\n{}", server.transcript());
        alive.say(ping());
        alive.hears("pong");
        std::thread::sleep(Duration::from_millis(200));
    }
    let told: Value = serde_json::from_str(&fs::read_to_string(home.cwd().join("told")).unwrap()).unwrap();
    assert_eq!(
        (&told["event"], &told["name"], &told["user"]),
        (&json!("lost"), &json!("build-7"), &json!("ada"))
    );
    assert_eq!(told["server"], server_name(&home));
    let mut missing = vec!["exit status 3", "nowhere.sh: cannot be run"];
    while !missing.is_empty() {
        let words = server.event("trouble")["message"].to_string();
        missing.retain(|wanted| !words.contains(wanted));
    }
    // While two of them are still at it: a verdict is as prompt as ever.
    let late = server.event("late");
    let out = server.event("timed_out");
    assert_eq!(
        (&out["name"], &out["old"], &out["new"]),
        (&json!("alive"), &json!("late"), &json!("timed_out"))
    );
    assert!(out["silent_ms"].as_u64().unwrap() < 1_500, "{out}");
    let (code, took) = server.stop(Signal::TERM);
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
    // The file for machines has the same lines as stderr, to the letter.
    let file = fs::read_to_string(home.cwd().join("events.ndjson")).unwrap();
    assert_eq!(file.lines().collect::<Vec<_>>(), server.said, "{file}");
    assert!(file.contains(&late["seq"].to_string()) && file.contains(&lost["seq"].to_string()));
}

/// Returns what a server calls itself here.
fn server_name(home: &Home) -> Value {
    let settings = home.run("config").stdout;
    let section = settings.split("[server]").nth(1).unwrap();
    let line = section.lines().find(|line| line.starts_with("name = ")).unwrap();
    json!(line.split('"').nth(1).unwrap())
}

#[test]
fn an_event_file_that_cannot_be_written_is_said_once_and_the_server_serves() {
    let home = Home::new();
    let mut server = home.serve("--headless --json --events no/such/folder/events.ndjson");
    let words = server.event("trouble")["message"].to_string();
    assert!(words.contains("events.ndjson cannot be written: "), "{words}");
    Nc::v1(server.addr(), r#""name":"a","#);
    server.event("registered");
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
    let said = server.said.iter().filter(|line| line.contains("cannot be written")).count();
    assert_eq!(said, 1, "{}", server.transcript());
}

#[cfg(feature = "tls")]
mod tls {
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;
    use tokio_rustls::rustls::{ServerConfig, crypto::ring};

    use super::*;
    use process::Daemon;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_webhook_over_https_goes_to_whom_this_system_trusts() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let home = Home::new();
        let trusted = home.cwd().join("server.pem");
        fs::write(&trusted, made.cert.pem()).unwrap();
        home.config(&format!("[hooks]\nwebhook = \"https://localhost:{port}/x\"\n"));
        let posted = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap();
            let mut lines = BufReader::new(stream);
            let mut line = String::new();
            while !line.ends_with("}\n") {
                assert_ne!(lines.read_line(&mut line).await.unwrap(), 0, "{line}");
            }
            lines.write_all(b"HTTP/1.1 204 So\r\n\r\n").await.unwrap();
            line
        });
        let mut command = home.command("serve --headless --json --host 127.0.0.1 --port 0");
        let mut server = Daemon::start(command.env("SSL_CERT_FILE", trusted));
        server.listening();
        drop(Nc::v1(server.addr(), r#""name":"build-7","#));
        let posted = timeout(PATIENCE, posted).await.expect("a post").unwrap();
        assert!(posted.starts_with("POST /x HTTP/1.1\r\n"), "{posted}");
        assert!(posted.contains("\"event\":\"lost\"") && posted.contains("\"build-7\""), "{posted}");
    }
}

#[test]
fn hooks_that_cannot_be_are_refused_at_the_start() {
    let home = Home::new();
    home.config(
        "[hooks]\non_event = [\"say 'it\"]\nevents = [\"timedout\"]\nwebhook = \"file:///etc/passwd\"\n",
    );
    let ran = home.run("serve --headless --port 0");
    assert_eq!(ran.code, Some(2));
    for words in ["config.toml:2:12: hooks.on_event: ", "did you mean timed_out?", "http:// or https://"] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}
