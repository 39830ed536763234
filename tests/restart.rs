//! What a server knows of its clients outlives it: killed, stopped, and started again on the same port.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail loudly")]

#[path = "common/process.rs"]
mod process;

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use process::{Daemon, Home, PATIENCE};
use rustix::process::Signal;
use tokio::time::Instant;

/// A server that is started again and again on one port.
struct Site {
    home: Home,
    port: u16,
}

impl Site {
    fn new() -> Self {
        // The system gave it out a moment ago, and does not give it to others soon.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { home: Home::new(), port }
    }

    fn serve(&self) -> Daemon {
        let line =
            format!("serve --headless --host 127.0.0.1 --port {} --interval 0.3 --timeout 1", self.port);
        let mut server = Daemon::start(&mut self.home.command(&line));
        server.listening();
        server
    }

    fn join(&self, server: &mut Daemon, name: &str) -> Daemon {
        let client = self.home.join(server.addr(), &format!("--name {name}"));
        server.says(&format!("registered {name}"));
        client
    }

    fn file(&self) -> PathBuf {
        self.home.state().join(format!("presence-tui/server-{}-127.0.0.1.json", self.port))
    }

    /// Waits until the file names all of these.
    fn keeps(&self, names: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(self.file()).unwrap_or_default();
            if names.iter().all(|name| text.contains(&format!("\"name\":\"{name}\""))) {
                return;
            }
            assert!(Instant::now() < deadline, "{names:?} are not all in {text}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn after_a_kill_those_who_return_resume_and_the_one_who_does_not_is_named_once() {
    let site = Site::new();
    let mut server = site.serve();
    let clients = ["ada", "bob", "cyd"].map(|name| site.join(&mut server, name));
    site.keeps(&["ada", "bob", "cyd"]);
    server.kill();
    let [ada, bob, mut cyd] = clients;
    cyd.kill();

    let mut server = site.serve();
    let words = server.says("not_back");
    assert!(words.ends_with("not_back: 1 client did not come back after the restart: cyd"), "{words}");
    let said = server.transcript();
    for name in ["ada", "bob"] {
        assert!(said.contains(&format!("resumed {name} from 127.0.0.1:")), "{said}");
    }
    for word in ["registered", "lost", "timed_out", "late", "warning", "trouble"] {
        assert!(!said.contains(&format!("Z {word}")), "{word}: {said}");
    }
    drop((ada, bob));
}

#[test]
fn a_planned_stop_expects_whom_it_sends_away_and_forgets_who_left_before() {
    let site = Site::new();
    let mut server = site.serve();
    let (ada, mut bob) = (site.join(&mut server, "ada"), site.join(&mut server, "bob"));
    bob.stop(Signal::TERM);
    server.says("left bob");
    assert_eq!(server.stop(Signal::TERM).0, Some(0), "{}", server.transcript());
    let kept = fs::read_to_string(site.file()).unwrap();
    assert!(kept.contains("ada") && !kept.contains("bob"), "{kept}");

    let mut server = site.serve();
    server.says("resumed ada");
    drop(ada);
}

#[test]
fn a_damaged_file_is_set_aside_and_one_that_cannot_be_written_is_said_once_and_when_it_can_again() {
    let site = Site::new();
    fs::create_dir_all(site.file().parent().unwrap()).unwrap();
    fs::write(site.file(), "{\"version\":1,").unwrap();
    let mut server = site.serve();
    let words = server.says("is damaged");
    assert!(words.contains(".damaged") && words.contains("nobody is expected back"), "{words}");
    assert!(site.file().with_extension("damaged").exists());
    fs::create_dir(site.file()).unwrap();
    let first = site.join(&mut server, "ada");
    let words = server.says("trouble");
    assert!(words.contains("cannot be written") && words.contains("remember = false"), "{words}");
    fs::remove_dir(site.file()).unwrap();
    let second = site.join(&mut server, "bob");
    server.says("is written to");
    site.keeps(&["ada", "bob"]);
    drop((first, second));
}

#[test]
fn a_listed_client_is_missed_until_the_list_says_otherwise() {
    let site = Site::new();
    site.home.config("[server]\nremember = false\n[[expect]]\nname = \"nas\"\n[[expect]]\nname = \"tape\"\n");
    let mut server = site.serve();
    let nas = site.join(&mut server, "nas");
    let words = server.says("not_back");
    assert!(words.ends_with("1 listed client has not been seen since the start: tape"), "{words}");
    server.stop(Signal::TERM);
    assert!(!site.file().exists(), "nothing is to be remembered");
    drop(nas);
}

#[test]
fn a_port_the_system_chose_is_nobody_s_to_come_back_to() {
    let home = Home::new();
    let mut server = home.serve("--headless");
    let client = home.join(server.addr(), "--name ada");
    server.says("registered ada");
    server.stop(Signal::TERM);
    let kept = fs::read_dir(home.state().join("presence-tui")).unwrap();
    let names: Vec<_> = kept.map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().starts_with("server")), "{names:?}");
    drop(client);
}
