//! The real binary as a person, a script or systemd starts it: a home of its own, pipes, signals.
//!
//! Nothing here waits for a time to pass: every wait ends with a line, an end
//! of file or an exit, and fails with everything that was said when that takes
//! absurdly long.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "this is test code, though not a test itself"
)]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::Instant;

/// How long anything may take before a test gives up; far more than a machine under load needs.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A person's account: a home folder, a state folder, and a folder to start the program in.
pub struct Home(tempfile::TempDir);

impl Home {
    pub fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs::create_dir(home.cwd()).unwrap();
        home
    }

    pub fn cwd(&self) -> PathBuf {
        self.0.path().join("cwd")
    }

    pub fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    /// Writes `config.toml` into the folder the program is started in.
    pub fn config(&self, text: &str) {
        fs::write(self.cwd().join("config.toml"), text).unwrap();
    }

    /// Prepares a start with an environment of its own; `line` is split at blanks.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_presence-tui"));
        command
            .args(line.split_whitespace())
            .current_dir(self.cwd())
            .env_clear()
            .env("HOME", self.0.path())
            .env("XDG_STATE_HOME", self.state())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command that ends by itself.
    pub fn run(&self, line: &str) -> Ran {
        Ran::of(&mut self.command(line))
    }

    /// Starts a server on a port the system chooses, and waits until it listens; `flags` are further ones.
    pub fn serve(&self, flags: &str) -> Daemon {
        let mut server =
            Daemon::start(&mut self.command(&format!("serve --host 127.0.0.1 --port 0 {flags}")));
        server.listening();
        server
    }

    /// Starts a client; `flags` are further ones.
    pub fn join(&self, server: SocketAddr, flags: &str) -> Daemon {
        Daemon::start(&mut self.command(&format!("join {server} --headless {flags}")))
    }

    /// Returns all that was logged by `serve` or by `join`.
    pub fn log(&self, role: &str) -> String {
        let mut log = String::new();
        for entry in fs::read_dir(self.state().join("presence-tui/logs")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with(&format!("presence-tui-{role}.")) {
                log.push_str(&fs::read_to_string(path).unwrap());
            }
        }
        log
    }
}

/// A command that ran to its end.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(command: &mut Command) -> Self {
        let mut daemon = Daemon::start(command.stdout(Stdio::piped()));
        let stdout = daemon.child.stdout.take().map(|mut stdout| {
            thread::spawn(move || {
                let mut text = String::new();
                stdout.read_to_string(&mut text).unwrap();
                text
            })
        });
        let code = daemon.exit();
        let stdout = stdout.map_or_else(String::new, |reading| reading.join().unwrap());
        Self { code, stdout, stderr: daemon.transcript() }
    }
}

/// A running program whose stderr is read line by line; killed when dropped.
pub struct Daemon {
    child: Child,
    unread: Receiver<String>,
    /// Every line so far.
    pub said: Vec<String>,
    addr: Option<SocketAddr>,
}

impl Daemon {
    pub fn start(command: &mut Command) -> Self {
        Self::start_and_read(command, usize::MAX)
    }

    /// Starts it and closes its stderr after so many lines.
    pub fn start_and_read(command: &mut Command, lines_max: usize) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let (lines, unread) = mpsc::channel();
        thread::spawn(move || {
            let mut line = Vec::new();
            for _ in 0..lines_max {
                if stderr.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
                    break;
                }
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                line.clear();
                if lines.send(text).is_err() {
                    break; // The test is over, and nobody reads stderr any more.
                }
            }
            drop(stderr); // Before the channel, whose end tells that this is done.
        });
        Self { child, unread, said: Vec::new(), addr: None }
    }

    /// Takes the first line, which says where the server listens.
    pub fn listening(&mut self) {
        let line = self.line().unwrap_or_else(|| panic!("it never listened:\n{}", self.transcript()));
        let addr = match serde_json::from_str::<Value>(&line) {
            Ok(json) => json["addr"].as_str().map(str::to_owned),
            Err(_) => line.strip_prefix("listening on ").map(str::to_owned),
        };
        self.addr = Some(addr.and_then(|addr| addr.parse().ok()).unwrap_or_else(|| panic!("{line}")));
    }

    /// Returns where the server listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr.expect("a server that listens")
    }

    /// Returns the next line, or `None` when the program is over.
    pub fn line(&mut self) -> Option<String> {
        self.line_before(Instant::now() + PATIENCE)
    }

    fn line_before(&mut self, deadline: Instant) -> Option<String> {
        match self.unread.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                self.said.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("it said nothing more after\n{}", self.transcript()),
        }
    }

    /// Waits for a line that contains `words`; what comes before it is passed over.
    pub fn says(&mut self, words: &str) -> String {
        self.find(words, |line| line.contains(words).then(|| line.to_owned()))
    }

    /// Waits for a JSON line with this event; what comes before it is passed over.
    pub fn event(&mut self, word: &str) -> Value {
        self.find(word, |line| {
            let json: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            (json["event"] == word).then_some(json)
        })
    }

    fn find<T>(&mut self, what: &str, is_it: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        while let Some(line) = self.line_before(deadline) {
            if let Some(found) = is_it(&line) {
                return found;
            }
        }
        panic!("it ended without {what:?}:\n{}", self.transcript())
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until the program is over and returns its exit status; `None` when a signal ended it.
    pub fn exit(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while self.line_before(deadline).is_some() {}
        // With its stderr closed it is as good as over, unless it was closed at this end.
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.transcript());
            thread::sleep(Duration::from_millis(1));
        };
        assert_ne!(status.signal(), Some(Signal::ABORT.as_raw()), "it aborted:\n{}", self.transcript());
        status.code()
    }

    /// Asks it to stop, waits, and returns its exit status and how long that took.
    pub fn stop(&mut self, signal: Signal) -> (Option<i32>, Duration) {
        let asked = Instant::now();
        self.signal(signal);
        let code = self.exit();
        (code, asked.elapsed())
    }

    /// Ends it as a power cut would, and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Tells whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Returns everything it said so far.
    pub fn transcript(&self) -> String {
        self.said.iter().fold(String::new(), |mut all, line| {
            let _ = writeln!(all, "{line}"); // a String takes everything
            all
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill(); // It may be over already.
        let _ = self.child.wait(); // Likewise.
    }
}

/// A client made of a bare socket: what `nc` is in a terminal.
pub struct Nc {
    stream: BufReader<TcpStream>,
}

impl Nc {
    pub fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        Self::of(stream)
    }

    pub fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Connects and registers as a base client; its first list is read.
    pub fn legacy(addr: SocketAddr, claim: &str) -> Self {
        let mut nc = Self::connect(addr);
        nc.say(&format!(r#"{{"type":"register","client_ip":"{claim}","client_port":1}}"#));
        nc.hears("client_list");
        nc
    }

    /// Connects and registers as a v1 client; `extra` is more fields, each followed by a comma.
    pub fn v1(addr: SocketAddr, extra: &str) -> Self {
        let mut nc = Self::connect(addr);
        nc.say(&format!(r#"{{"type":"register",{extra}"v":1,"client_ip":"10.0.0.7","client_port":1}}"#));
        nc.hears("welcome");
        nc
    }

    /// Returns another hold on the connection, for somebody who writes while this one reads.
    pub fn stream(&self) -> TcpStream {
        self.stream.get_ref().try_clone().unwrap()
    }

    /// Sends a line.
    pub fn say(&mut self, line: &str) {
        self.stream.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Returns the next message, or `None` when the server has closed.
    pub fn hear(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line or the end");
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
    }

    /// Returns the next message of a type; others are skipped.
    pub fn hears(&mut self, kind: &str) -> Value {
        loop {
            let message = self.hear().unwrap_or_else(|| panic!("the server closed without {kind:?}"));
            if message["type"] == kind {
                return message;
            }
        }
    }
}
