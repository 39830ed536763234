//! The real binary, and a fleet of raw connections to it.
#![allow(dead_code, unreachable_pub, reason = "each bench uses its own part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench that cannot set itself up should say so and stop"
)]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How many connections are opened at a time: a fleet, not a flood.
const AT_ONCE: usize = 200;

/// A server in a process of its own; it ends with this.
pub struct Served {
    child: Child,
    last_line: Option<JoinHandle<Option<String>>>,
    pub addr: SocketAddr,
}

impl Served {
    pub fn start(args: &[&str]) -> Self {
        let state = std::env::temp_dir().join("presence-tui-bench");
        Self::of(&mut headless(args, "0", &state))
    }

    /// Starts one on a port that was asked for: such a server writes down who is here, in `state`.
    pub fn remembering(args: &[&str], state: &Path) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self::of(&mut headless(args, &free.port().to_string(), state))
    }

    /// Starts any server whose first line says where it listens.
    pub fn of(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let addr = first.strip_prefix("listening on ").expect("the first line says where").parse().unwrap();
        let last_line = std::thread::spawn(move || lines.map_while(Result::ok).last());
        Self { child, last_line: Some(last_line), addr }
    }

    /// Asks the server to stop, and returns its last line.
    pub fn stop(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.last_line.take().unwrap().join().unwrap().unwrap_or_default()
    }

    /// Returns the server's resident memory in bytes.
    pub fn rss(&self) -> u64 {
        rss(self.child.id())
    }

    /// Returns the processor time the server has used, in milliseconds.
    pub fn cpu_ms(&self) -> u64 {
        cpu_ms(self.child.id())
    }

    /// Returns the number of the server's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// Returns the resident memory of a process, in bytes.
pub fn rss(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Returns the processor time a process has used, in milliseconds.
pub fn cpu_ms(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the command that starts a server without a screen.
pub fn headless(args: &[&str], port: &str, state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_presence-tui"));
    command.args(["serve", "--headless", "--host", "127.0.0.1", "--port", port, "--max-clients", "100000"]);
    command
        .args(args)
        .env("PRESENCE_TUI_FLOOD_FACTOR", "0") // A bench may talk as fast as it can.
        .env("XDG_STATE_HOME", state);
    command
}

/// Opens `n` connections and registers each as a v1 client that asks for nothing.
pub async fn fleet(addr: SocketAddr, n: usize) -> Vec<TcpStream> {
    let mut clients = Vec::with_capacity(n);
    while clients.len() < n {
        let batch: Vec<_> = (clients.len()..n.min(clients.len() + AT_ONCE))
            .map(|number| tokio::spawn(register(addr, number)))
            .collect();
        for client in batch {
            clients.push(client.await.unwrap());
        }
    }
    clients
}

async fn register(addr: SocketAddr, number: usize) -> TcpStream {
    welcomed(addr, number).await.0
}

/// Opens a connection and registers; returns it and how many bytes the welcome had.
pub async fn welcomed(addr: SocketAddr, number: usize) -> (TcpStream, usize) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(register_line(number).as_bytes()).await.unwrap();
    let welcome = read_line(&mut stream).await;
    (stream, welcome.len())
}

/// What a client says first.
pub fn register_line(number: usize) -> String {
    format!(
        "{{\"type\":\"register\",\"client_ip\":\"127.0.0.1\",\"client_port\":{},\"v\":1,\"id\":\"client-{number}\",\"name\":\"client-{number}\"}}\n",
        number % 65_536
    )
}

/// Reads one line; what comes after it in the same segment is not expected.
pub async fn read_line(stream: &mut TcpStream) -> Vec<u8> {
    let mut line = Vec::new();
    let mut chunk = [0; 512];
    while line.last() != Some(&b'\n') {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(read) => line.extend_from_slice(&chunk[..read]),
        }
    }
    line
}

/// Returns the value below which `percent` of the sorted values lie.
pub fn percentile<T: Copy>(sorted: &[T], percent: usize) -> T {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// Returns the number given on the command line, or the default.
pub fn asked(default: usize) -> usize {
    std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(default)
}
