//! The program as a person, a script and systemd meet it: arguments, signals and sockets in; lines, files and
//! an exit status out.
#![cfg(unix)]
#![allow(missing_docs, reason = "a test is documented by its name")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are test code")]

#[path = "common/process.rs"]
mod process;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use presence_tui::config::KEYS;
use process::{Daemon, Home, Nc, PATIENCE, Ran};
use rustix::process::Signal;
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tokio::time::Instant;

/// What a stopping server may take, whatever its clients do.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Takes a port and keeps it.
fn taken_port() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Keeps a port on which nobody listens, so that connections to it are refused.
fn silent_port() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, addr)
}

/// Tells whether a terminal would obey a character, or a reader be misled by it.
fn is_hostile(c: char) -> bool {
    c != '\n' && (c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'))
}

// What it says.

#[test]
fn the_first_line_says_where_it_listens_and_nothing_else() {
    let home = Home::new();
    // Without --headless: a program without a terminal is a service all the same.
    let server = home.serve("");
    assert_eq!(server.said, [format!("listening on 127.0.0.1:{}", server.addr().port())]);
    assert_ne!(server.addr().port(), 0);
    Nc::legacy(server.addr(), "by-hand");
}

#[test]
fn with_json_every_line_is_an_object_and_the_first_says_where_it_listens() {
    let home = Home::new();
    // A daring timeout and an unknown variable are worth a warning each.
    let mut command =
        home.command("serve --host 127.0.0.1 --port 0 --headless --json --interval 10s --timeout 11s");
    let mut server = Daemon::start(command.env("PRESENCE_TUI_PROT", "1"));
    let first: Value = serde_json::from_str(&server.line().unwrap()).unwrap();
    assert_eq!(first["event"], "listening");
    let addr: SocketAddr = first["addr"].as_str().unwrap().parse().unwrap();
    let mut nc = Nc::v1(addr, r#""name":"panel \"4\"","#);
    assert_eq!(server.event("registered")["name"], "panel \"4\"");
    nc.say(r#"{"type":"leave","reason":"quit"}"#);
    server.event("left");
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
    let events: Vec<Value> = server.said.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().all(|json| json["ts"].is_string() && json["event"].is_string()), "{events:?}");
    let warnings: Vec<_> = events.iter().filter(|json| json["event"] == "warning").collect();
    assert_eq!(warnings.len(), 2, "{events:?}");
}

#[test]
fn a_reader_of_the_lines_that_goes_away_does_not_take_the_server_with_it() {
    let home = Home::new();
    let mut command = home.command("serve --host 127.0.0.1 --port 0 --headless");
    let mut server = Daemon::start_and_read(&mut command, 1);
    server.listening();
    assert_eq!(server.line(), None, "nobody reads any more");
    for claim in ["one", "two", "three"] {
        Nc::legacy(server.addr(), claim);
    }
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
    assert_eq!(home.log("serve").matches("event=\"registered\"").count(), 3, "{}", home.log("serve"));
}

// A client by hand.

#[test]
fn a_client_by_hand_lives_as_long_as_enter_is_pressed() {
    let home = Home::new();
    let mut server = home.serve("--headless --json --interval 500ms --timeout 2s");
    let mut nc = Nc::connect(server.addr());
    nc.say(r#"{"type":"register","client_ip":"by-hand","client_port":1}"#);
    let list = nc.hear().unwrap();
    assert_eq!(list["clients"], serde_json::json!([{"ip": "by-hand", "port": 1}]));
    let registered = server.event("registered");
    // The pauses are what a person's finger does; they are far below the timeout, together far above it.
    let held_from = Instant::now();
    while held_from.elapsed() < Duration::from_secs(3) {
        nc.say("");
        thread::sleep(Duration::from_millis(200)); // holding the key down would be a flood
    }
    nc.say(r#"{"type":"ping"}"#);
    assert_eq!(nc.hear().unwrap(), serde_json::json!({"type": "pong"}), "nothing but the answer was sent");

    let late = server.event("late");
    let gone = server.event("timed_out");
    assert_eq!((&late["id"], &gone["id"]), (&registered["id"], &registered["id"]));
    assert_eq!(gone["reason"], "timeout");
    assert!(gone["silent_ms"].as_u64().unwrap() >= 2_000, "{gone}");
    let error = nc.hears("error");
    assert_eq!((&error["code"], &error["retry_ms"]), (&"timeout".into(), &0.into()));
    assert_eq!(nc.hear(), None, "the connection is closed");
}

#[test]
fn a_connection_that_ends_without_a_goodbye_is_lost_at_once_and_one_with_it_has_left() {
    let home = Home::new();
    let mut server = home.serve("--headless");
    let dropped = Nc::legacy(server.addr(), "by-hand");
    let mut polite = Nc::v1(server.addr(), r#""name":"polite","#);
    drop(dropped);
    // The timeout is two minutes: what is said now is said because of the connection.
    let lost = server.says(" lost ");
    assert!(lost.contains("by-hand"), "{lost}");
    polite.say(r#"{"type":"leave","reason":"quit"}"#);
    let left = server.says(" left ");
    assert!(left.contains("polite") && left.contains("quit"), "{left}");
    assert_eq!(polite.hear(), None);
}

#[test]
fn chat_is_relayed_under_the_address_its_sender_registered() {
    let home = Home::new();
    let server = home.serve("--headless");
    let mut ada = Nc::legacy(server.addr(), "ada");
    let mut bob = Nc::legacy(server.addr(), "bob");
    ada.say(r#"{"type":"chat","from_ip":"bob","from_port":9,"message":"lunch?"}"#);
    for nc in [&mut ada, &mut bob] {
        let chat = nc.hears("chat");
        assert_eq!((&chat["from_ip"], &chat["from_port"]), (&"ada".into(), &1.into()));
        assert_eq!(chat["message"], "lunch?");
    }
}

#[test]
fn one_client_too_many_is_refused_with_a_reason_and_the_place_is_free_again_afterwards() {
    let home = Home::new();
    let mut server = home.serve("--headless --json --max-clients 1");
    let first = Nc::legacy(server.addr(), "first");
    let mut second = Nc::connect(server.addr());
    second.say(r#"{"type":"register","client_ip":"second","client_port":1}"#);
    let error = second.hears("error");
    assert_eq!(error["code"], "full");
    assert!(error["retry_ms"].is_u64(), "{error}");
    assert_eq!(second.hear(), None);
    assert_eq!(server.event("refused")["code"], "full");
    drop(first);
    server.event("lost");
    Nc::legacy(server.addr(), "third");
}

#[test]
fn a_hostile_name_reaches_neither_the_lines_nor_the_log_as_it_is() {
    const NAME: &str = r"ev\u001b[31mil\r\n2031-01-01T00:00:00Z registered fake\u202e\u009b\u0007";
    let home = Home::new();
    let mut server = home.serve("--headless --log-level trace");
    let mut witness = home.join(server.addr(), "--name witness --log-level trace");
    witness.says(" registered: ");
    let mut nc =
        Nc::v1(server.addr(), &format!(r#""name":"{NAME}","user":"{NAME}","tags":{{"k":"{NAME}"}},"#));
    witness.says(" peer_joined: "); // Whoever comes and goes too fast is not mentioned.
    nc.say(&format!(r#"{{"type":"chat","message":"{NAME}"}}"#));
    nc.say(&format!(r#"{{"type":"update","name":"{NAME}","bogus":"{NAME}"}}"#));
    nc.say(&format!(r#"{{"type":"{NAME}"}}"#));
    nc.say("\u{1b}]0;owned\u{7}");
    nc.say(&format!(r#"{{"type":"leave","reason":"{NAME}"}}"#));
    server.says(" left ");
    let mut stranger = Nc::connect(server.addr());
    stranger.say(&format!(r#"{{"type":"register","client_ip":"{NAME}","client_port":1,"v":0}}"#));
    stranger.hears("error");
    witness.says(" peer_left: ");
    assert!(witness.transcript().contains(" chat: "), "{}", witness.transcript());
    assert_eq!(witness.stop(Signal::TERM).0, Some(0));
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
    for text in [server.transcript(), witness.transcript(), home.log("serve"), home.log("join")] {
        assert!(text.contains("il"), "what is harmless in it is shown: {text}");
        assert!(!text.contains(is_hostile), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("2031-")), "{text}");
    }
}

// Signals.

#[test]
fn asked_to_stop_it_tells_its_clients_and_ends_well() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = Home::new();
        let mut server = home.serve("--headless");
        let mut legacy = Nc::legacy(server.addr(), "by-hand");
        let mut polite = Nc::v1(server.addr(), r#""name":"polite","#);
        let mut stubborn = Nc::v1(server.addr(), r#""name":"stubborn","#);
        let goodbye = thread::spawn(move || {
            let drain = polite.hears("drain");
            polite.say(r#"{"type":"leave"}"#);
            drain
        });
        let (code, took) = server.stop(signal);
        assert_eq!(code, Some(0), "{}", server.transcript());
        assert!(took < STOP_MAX, "{took:?}");
        let drain = goodbye.join().unwrap();
        assert_eq!(drain["reason"], "stop", "a word the protocol page has");
        assert!(drain["in_ms"].as_u64().unwrap() <= 3_000);
        for nc in [&mut legacy, &mut stubborn] {
            assert_eq!(nc.hears("error")["code"], "draining");
            assert_eq!(nc.hear(), None);
        }
        let said = server.transcript();
        assert!(said.contains(" draining: stopping: 3 clients"), "{said}");
        assert!(said.contains(" left polite ") && said.contains(" drain stubborn "), "{said}");
        assert!(server.said.last().unwrap().contains(" note: served 3 sessions for "), "{said}");
    }
}

#[test]
fn a_server_without_clients_stops_without_waiting() {
    let home = Home::new();
    let mut server = home.serve("--headless");
    let (code, took) = server.stop(Signal::TERM);
    assert_eq!(code, Some(0));
    assert!(took < STOP_MAX, "{took:?}");
    assert!(server.said.last().unwrap().contains("served 0 sessions"), "{}", server.transcript());
}

#[test]
fn asked_twice_it_waits_for_nobody() {
    let home = Home::new();
    let mut server = home.serve("--headless");
    let _stubborn = Nc::v1(server.addr(), r#""name":"stubborn","#);
    // Both are there before the first is answered: whatever the machine is busy with, nothing is in between.
    server.signal(Signal::TERM);
    assert_eq!(server.stop(Signal::INT).0, Some(0));
    let said = server.transcript();
    assert!(
        !said.contains(" drain stubborn "),
        "it did not wait until the time of its clients was up: {said}"
    );
    assert!(!said.contains("served 0 sessions"), "it does not claim what it does not know: {said}");
}

#[test]
fn a_hang_up_reads_the_file_again_and_tells_the_clients() {
    let home = Home::new();
    home.config("[server]\nheartbeat_interval = 20\nconnection_timeout = 60 # a minute\n");
    let mut server = home.serve("--headless --json");
    assert!(server.event("note")["message"].as_str().unwrap().contains("config.toml"));
    let mut nc = Nc::v1(server.addr(), "");
    home.config("[server]\nheartbeat_interval = 10\nconnection_timeout = 60\nmax_clients = 1\n");
    server.signal(Signal::HUP);
    let settings = server.event("settings");
    assert_eq!((&settings["old_interval_ms"], &settings["interval_ms"]), (&20_000.into(), &10_000.into()));
    assert_eq!((&settings["timeout_ms"], &settings["origin"]), (&60_000.into(), &"config reload".into()));
    let config = nc.hears("config");
    assert_eq!((&config["interval_ms"], &config["timeout_ms"]), (&10_000.into(), &60_000.into()));
    assert_eq!(config["rev"], settings["rev"]);
    // What is not a setting of the heartbeat is in force as well.
    let mut second = Nc::connect(server.addr());
    second.say(r#"{"type":"register","client_ip":"second","client_port":1}"#);
    assert_eq!(second.hears("error")["code"], "full");
}

#[test]
fn a_broken_file_changes_nothing_and_is_pointed_at() {
    let home = Home::new();
    home.config("[server]\nheartbeat_interval = 20\nconnection_timeout = 60\n");
    let mut server = home.serve("--headless --json");
    let trouble = |server: &mut Daemon, text: &str| {
        home.config(text);
        server.signal(Signal::HUP);
        server.event("trouble")["message"].as_str().unwrap().to_owned()
    };
    let words = trouble(&mut server, "[server]\nheartbeat_interval = 10\nport = 70000\n");
    assert!(words.contains("config.toml:3:8: server.port"), "{words}");
    let words = trouble(&mut server, "[server]\n  heartbeat_intervall = 10\n");
    assert!(words.contains("config.toml:2:3: ") && words.contains("heartbeat_interval?"), "{words}");
    let words = trouble(&mut server, "[server\n");
    assert!(words.contains("config.toml:1:8: "), "{words}");
    fs::remove_file(home.cwd().join("config.toml")).unwrap();
    server.signal(Signal::HUP);
    let words = server.event("trouble")["message"].as_str().unwrap().to_owned();
    assert!(words.contains("no such file"), "{words}");
    // Nothing of all that came into force in between.
    home.config("[server]\nheartbeat_interval = 15\nconnection_timeout = 60\n");
    server.signal(Signal::HUP);
    let settings = server.event("settings");
    assert_eq!((&settings["old_interval_ms"], &settings["interval_ms"]), (&20_000.into(), &15_000.into()));
    assert!(!server.said.iter().any(|line| line.contains(r#""interval_ms":10000"#)));
}

#[test]
fn a_flag_still_beats_the_file_after_it_was_read_again() {
    let home = Home::new();
    home.config("[server]\nheartbeat_interval = 20\nconnection_timeout = 60\n");
    let mut server = home.serve("--headless --json --timeout 90s");
    home.config("[server]\nheartbeat_interval = 10\nconnection_timeout = 40\n");
    server.signal(Signal::HUP);
    let settings = server.event("settings");
    assert_eq!((&settings["interval_ms"], &settings["timeout_ms"]), (&10_000.into(), &90_000.into()));
}

#[test]
fn a_file_that_appears_later_is_found() {
    let home = Home::new();
    let mut server = home.serve("--headless --json");
    server.event("note");
    home.config("[server]\nheartbeat_interval = 10\n");
    server.signal(Signal::HUP);
    assert_eq!(server.event("settings")["interval_ms"], 10_000);
}

#[test]
fn nothing_changed_is_nothing_told() {
    let home = Home::new();
    home.config("[server]\nheartbeat_interval = 20\n");
    let mut server = home.serve("--headless --json");
    let mut nc = Nc::v1(server.addr(), "");
    server.signal(Signal::HUP);
    assert!(server.event("notice")["message"].as_str().unwrap().contains("read again"));
    home.config("[server]\nheartbeat_interval = 10\n");
    server.signal(Signal::HUP);
    let settings = server.event("settings");
    assert_eq!(nc.hear().unwrap()["rev"], settings["rev"], "the first word since the welcome");
    assert_eq!(server.said.iter().filter(|line| line.contains(r#""event":"settings""#)).count(), 1);
}

// The client.

#[test]
fn a_client_is_registered_on_both_sides_and_leaves_when_it_is_asked_to() {
    let home = Home::new();
    let mut server = home.serve("--headless --json --server-name front-desk");
    for signal in [Signal::TERM, Signal::INT] {
        let mut client = home.join(server.addr(), "--name panel-4 --user ada --tag hall=B");
        let line = client.says(" registered: ");
        assert!(line.contains(&server.addr().to_string()) && line.contains("front-desk"), "{line}");
        // Whoever left and comes back is resumed.
        let here = server.event(if signal == Signal::TERM { "registered" } else { "resumed" });
        assert_eq!(here["name"], "panel-4");
        client.signal(Signal::HUP); // Means nothing to a client, and must not end it.
        let (code, took) = client.stop(signal);
        assert_eq!(code, Some(0), "{}", client.transcript());
        assert!(took < STOP_MAX, "{took:?}");
        let left = server.event("left");
        assert_eq!((&left["id"], &left["detail"]), (&here["id"], &"quit".into()));
    }
}

#[test]
fn a_client_follows_the_settings_of_its_server() {
    let home = Home::new();
    home.config("[server]\nheartbeat_interval = 20\nconnection_timeout = 60\n");
    let mut server = home.serve("--headless --json");
    let other = Home::new();
    let mut client = other.join(server.addr(), "--name panel-4");
    let line = client.says(" registered: ");
    assert!(line.contains("interval 20s, timeout 1m"), "{line}");
    home.config("[server]\nheartbeat_interval = \"200ms\"\nconnection_timeout = 2\n");
    server.signal(Signal::HUP);
    server.event("settings");
    let line = client.says(" settings: ");
    assert!(line.contains("interval 20s -> 200ms, timeout 1m -> 2s"), "{line}");
    assert_eq!(client.stop(Signal::TERM).0, Some(0));
    let left = server.event("left");
    assert_eq!(left["missed"], 0, "{left}");
}

#[test]
fn a_killed_client_is_lost_at_once_and_comes_back_as_itself() {
    let home = Home::new();
    let mut server = home.serve("--headless --json");
    let mut client = home.join(server.addr(), "--name panel-4");
    let registered = server.event("registered");
    client.kill();
    // The timeout is two minutes.
    assert_eq!(server.event("lost")["id"], registered["id"]);
    let mut client = home.join(server.addr(), "--name panel-4");
    let resumed = server.event("resumed");
    assert_eq!((&resumed["id"], &resumed["name"]), (&registered["id"], &"panel-4".into()));
    assert!(client.says(" registered: ").contains("resumed after"), "{}", client.transcript());
}

#[test]
fn a_client_outlives_its_server_and_is_the_same_to_the_next_one() {
    let home = Home::new();
    let mut server = home.serve("--headless --json");
    let addr = server.addr();
    let mut client = home.join(addr, "--name panel-4");
    client.says(" registered: ");
    let before = server.event("registered");
    server.kill();
    client.says(" lost: ");
    let mut server = serve_again(&home, addr);
    client.says(" registered: ");
    let after = server.event("registered");
    assert_eq!((&after["id"], &after["name"]), (&before["id"], &before["name"]));
    assert_eq!(client.stop(Signal::TERM).0, Some(0));
    server.event("left");
}

/// Starts a server on a port that was one's own before; somebody else's connection may hold it for a moment.
fn serve_again(home: &Home, addr: SocketAddr) -> Daemon {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let line = format!("serve --host 127.0.0.1 --port {} --headless --json", addr.port());
        let mut server = Daemon::start(&mut home.command(&line));
        if server.line().is_some_and(|line| line.contains("listening")) {
            return server;
        }
        assert!(Instant::now() < deadline, "{}", server.transcript());
    }
}

#[test]
fn a_drained_client_waits_for_the_next_server() {
    let home = Home::new();
    let mut server = home.serve("--headless --json");
    let addr = server.addr();
    let mut client = home.join(addr, "--name panel-4");
    client.says(" registered: ");
    let before = server.event("registered");
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
    assert!(server.transcript().contains(r#""event":"left""#), "it left when asked: {}", server.transcript());
    client.says(" draining: ");
    let mut server = serve_again(&home, addr);
    client.says(" registered: ");
    assert_eq!(server.event("registered")["id"], before["id"]);
}

#[test]
fn two_clients_of_one_name_on_one_machine_are_two() {
    let home = Home::new();
    let mut server = home.serve("--headless --json");
    let mut clients = [(); 2].map(|()| home.join(server.addr(), "--name panel-4"));
    let rows = [(); 2].map(|()| server.event("registered"));
    assert_eq!((&rows[0]["name"], &rows[1]["name"]), (&"panel-4".into(), &"panel-4".into()));
    assert_ne!(rows[0]["id"], rows[1]["id"]);
    for client in &mut clients {
        client.says(" registered: ");
        assert!(client.runs());
    }
}

#[test]
fn a_client_sent_away_for_good_says_why_and_gives_up() {
    let home = Home::new();
    let (listener, addr) = taken_port();
    let fake = thread::spawn(move || {
        let mut nc = Nc::of(listener.accept().unwrap().0);
        let register = nc.hear().unwrap();
        nc.say(r#"{"type":"error","code":"kicked","message":"not on \u001b[31mmy watch"}"#);
        assert_eq!(register["type"], "register");
    });
    let mut client = home.join(addr, "--name panel-4");
    assert_eq!(client.exit(), Some(1), "{}", client.transcript());
    fake.join().unwrap();
    let last = client.said.last().unwrap();
    assert!(last.starts_with(&format!("error: {addr} sent this client away for good: kicked: ")), "{last}");
    assert!(last.contains("my watch") && last.contains("ask whoever runs the server"), "{last}");
    assert!(!client.transcript().contains(is_hostile), "{:?}", client.transcript());
}

#[test]
fn a_client_whose_server_is_not_there_yet_keeps_trying() {
    let home = Home::new();
    let (silence, addr) = silent_port();
    let mut client = home.join(addr, "--name early");
    let failed = client.says(" failed: ");
    assert!(failed.contains(&addr.to_string()) && failed.contains("refused"), "{failed}");
    client.says("(attempt 3)");
    assert!(client.runs());
    drop(silence);
    let mut server = serve_again(&home, addr);
    assert_eq!(server.event("registered")["name"], "early");
    assert_eq!(client.stop(Signal::TERM).0, Some(0));
}

#[test]
fn a_client_that_waits_for_its_server_can_be_stopped() {
    let home = Home::new();
    let (_silence, addr) = silent_port();
    let mut client = home.join(addr, "");
    client.says(" retrying: ");
    let (code, took) = client.stop(Signal::INT);
    assert_eq!(code, Some(0));
    assert!(took < STOP_MAX, "{took:?}");
}

#[test]
fn a_client_of_a_server_that_says_nothing_can_be_stopped() {
    let home = Home::new();
    let (listener, addr) = taken_port();
    let mut client = home.join(addr, "");
    let mut nc = Nc::of(listener.accept().unwrap().0);
    assert_eq!(nc.hear().unwrap()["type"], "register");
    let (code, took) = client.stop(Signal::TERM);
    assert_eq!(code, Some(0), "{}", client.transcript());
    assert!(took < STOP_MAX, "{took:?}");
}

// Starting, or saying why not.

#[test]
fn a_port_that_was_asked_for_is_used_or_refused() {
    let home = Home::new();
    let (_listener, addr) = taken_port();
    let ran = home.run(&format!("serve --headless --host 127.0.0.1 --port {}", addr.port()));
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.starts_with(&format!("error: could not listen on {addr}: ")), "{}", ran.stderr);
    assert!(ran.stderr.contains("try another --port"), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_starts() {
    for (text, place, words) in [
        ("[server]\nprot = 1\n", "config.toml:2:1: ", "did you mean server.port?"),
        ("[servr]\nport = 1\n", "config.toml:1:2: ", "did you mean server?"),
        ("[server]\n\nport = 70000\n", "config.toml:3:8: ", "server.port"),
        ("[server]\nport = \"many\"\n", "config.toml:2:8: ", "server.port"),
        ("[server\nport = 1\n", "config.toml:1:8: ", ""),
        ("[server]\nport = 1\nport = 2\n", "config.toml:3:1: ", "duplicate key port"),
        (
            "[server]\nheartbeat_interval = 60\nconnection_timeout = 60\n",
            "config.toml:3:22: server.connection_timeout",
            "greater than server.heartbeat_interval",
        ),
    ] {
        let home = Home::new();
        home.config(text);
        for command in ["serve --port 0 --headless", "join 127.0.0.1:1 --headless", "config"] {
            if command.starts_with("join") && text.contains("timeout") {
                continue; // A client does not go by them.
            }
            let ran = home.run(command);
            assert_eq!(ran.code, Some(2), "{command} with {text:?}: {}", ran.stderr);
            assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
            assert!(ran.stderr.contains(place) && ran.stderr.contains(words), "{text:?}: {}", ran.stderr);
            assert!(!ran.stderr.contains("listening"), "{}", ran.stderr);
            assert_eq!(ran.stdout, "");
        }
        assert!(!home.state().exists(), "nothing was started");
    }
}

#[test]
fn all_problems_are_named_at_once() {
    let home = Home::new();
    home.config("[server]\nport = 70000\nmax_clients = 0\n");
    let mut command = home.command("serve --interval never");
    let ran = Ran::of(command.env("PRESENCE_TUI_HOST", "everywhere"));
    assert_eq!(ran.code, Some(2));
    for words in ["config.toml:2:8: ", "config.toml:3:15: ", "PRESENCE_TUI_HOST: ", "--interval: "] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    assert!(ran.stderr.lines().all(|line| line.starts_with("error: ")), "{}", ran.stderr);
}

#[test]
fn a_file_that_is_named_must_exist() {
    let home = Home::new();
    for command in ["serve --port 0", "join 127.0.0.1:1", "config"] {
        let ran = home.run(&format!("{command} --config missing.toml"));
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains("missing.toml: no such file"), "{}", ran.stderr);
    }
    let mut command = home.command("config");
    let ran = Ran::of(command.env("PRESENCE_TUI_CONFIG", "missing.toml"));
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("PRESENCE_TUI_CONFIG: missing.toml"), "{}", ran.stderr);
}

#[test]
fn wrong_usage_is_told_apart_from_a_job_that_failed() {
    let home = Home::new();
    for line in [
        "",
        "dance",
        "serve --prot 1",
        "serve --port",
        "serve --port 70000",
        "serve --interval 2m --timeout 1m",
        "join",
        "join 127.0.0.1:70000",
        "join 127.0.0.1:1 --tag nonsense",
        "completions tcsh",
        "config --interval 1",
    ] {
        let ran = home.run(line);
        assert_eq!(ran.code, Some(2), "{line}: {}", ran.stderr);
        assert!(!ran.stderr.is_empty() && ran.stdout.is_empty(), "{line}: {}{}", ran.stdout, ran.stderr);
    }
}

// Commands that print.

#[test]
fn who_asks_for_help_gets_it_on_stdout() {
    let home = Home::new();
    for line in ["--version", "--help", "serve --help", "join --help", "completions bash", "completions zsh"]
    {
        let ran = home.run(line);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{line}");
        assert!(ran.stdout.contains("presence-tui"), "{line}: {}", ran.stdout);
    }
    let version = home.run("--version").stdout;
    assert_eq!(version, concat!("presence-tui ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn config_lists_every_key_with_its_source() {
    let home = Home::new();
    home.config("[server]\nport = 1111\nheartbeat_interval = 20\n\n[log]\nlevel = \"debug\"\n");
    let mut command = home.command("config");
    let ran = Ran::of(command.env("PRESENCE_TUI_PORT", "2222").env("PRESENCE_TUI_NAME", "panel-4"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let mut section = String::new();
    let mut listed = Vec::new();
    for line in ran.stdout.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if let Some((setting, source)) = line.rsplit_once("  # ").filter(|_| !section.is_empty()) {
            let (name, value) = setting.split_once(" = ").unwrap_or((setting.trim_start_matches("# "), ""));
            listed.push((
                format!("{section}.{}", name.trim()),
                value.trim().to_owned(),
                source.trim().to_owned(),
            ));
        }
    }
    for key in &KEYS {
        let of_key: Vec<_> = listed.iter().filter(|(path, ..)| *path == key.path()).collect();
        assert_eq!(of_key.len(), 1, "{}:\n{}", key.path(), ran.stdout);
    }
    for (path, value, source) in [
        ("server.port", "2222", "PRESENCE_TUI_PORT"),
        ("server.heartbeat_interval", "20", "config.toml:3:22"),
        ("server.connection_timeout", "120", "default"),
        ("client.name", "\"panel-4\"", "PRESENCE_TUI_NAME"),
        ("log.level", "\"debug\"", "config.toml:6:9"),
    ] {
        let wanted = (path.to_owned(), value.to_owned(), source.to_owned());
        assert!(listed.contains(&wanted), "{wanted:?}:\n{}", ran.stdout);
    }
}

#[test]
fn what_config_prints_can_be_used_as_a_file() {
    let home = Home::new();
    let printed = home.run("config").stdout;
    home.config(&printed);
    let again = home.run("config");
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert!(again.stdout.contains("config.toml:"), "{}", again.stdout);
}

#[test]
fn a_flag_beats_a_variable_beats_the_file() {
    // Ports that are taken make the loser visible: who listens on one of them fails.
    let home = Home::new();
    let (_in_file, file) = taken_port();
    let (_in_env, env) = taken_port();
    home.config(&format!("[server]\nhost = \"127.0.0.1\"\nport = {}\n", file.port()));
    let start = |line: &str, port: &str| Daemon::start(home.command(line).env("PRESENCE_TUI_PORT", port));
    let mut by_file = start("serve --headless", "");
    assert_eq!(by_file.exit(), Some(1));
    assert!(by_file.transcript().contains(&file.to_string()), "an empty variable is none");
    let mut by_env = start("serve --headless", &env.port().to_string());
    assert_eq!(by_env.exit(), Some(1));
    assert!(by_env.transcript().contains(&env.to_string()), "{}", by_env.transcript());
    let mut by_flag = start("serve --headless --port 0", &env.port().to_string());
    assert!(by_flag.line().unwrap().starts_with("listening on 127.0.0.1:"), "{}", by_flag.transcript());
}

#[test]
fn the_default_file_is_the_one_at_the_root() {
    let ran = Home::new().run("config --default");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), include_str!("../config.toml")));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let home = Home::new();
    for line in ["config", "config --default", "completions bash", "--help", "--version"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut daemon = Daemon::start(home.command(line).stdout(writer));
        assert_eq!((daemon.exit(), daemon.transcript().as_str()), (Some(0), ""), "{line}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_cannot_be_written_is_a_job_that_failed() {
    let home = Home::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut daemon = Daemon::start(home.command("config").stdout(full));
    assert_eq!(daemon.exit(), Some(1));
    assert!(daemon.transcript().starts_with("error: could not write to stdout: "), "{}", daemon.transcript());
}

// The log.

#[test]
fn the_log_is_kept_in_the_state_folder() {
    let home = Home::new();
    let mut server = home.serve("--headless");
    let mut client = home.join(server.addr(), "--name panel-4");
    client.says(" registered: ");
    assert_eq!(client.stop(Signal::TERM).0, Some(0));
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
    let log = home.log("serve");
    for words in
        ["event=\"listening\"", "event=\"registered\"", "name=\"panel-4\"", "event=\"left\"", "served 1"]
    {
        assert!(log.contains(words), "{words}: {log}");
    }
    assert!(home.log("join").contains("event=\"registered\""), "{}", home.log("join"));
}

#[test]
fn a_log_folder_that_cannot_be_used_costs_the_log_and_nothing_else() {
    let home = Home::new();
    fs::write(home.cwd().join("logs"), "a file where a folder should be").unwrap();
    let mut server = home.serve("--headless --log-dir logs");
    let warning = server.says(" warning: ");
    assert!(warning.contains("nothing is logged") && warning.contains("--log-dir"), "{warning}");
    let mut client = home.join(server.addr(), "--name panel-4 --log-dir logs/deeper");
    assert!(client.says(" warning: ").contains("nothing is logged"));
    client.says(" registered: ");
    server.says(" registered panel-4 ");
    assert_eq!(client.stop(Signal::TERM).0, Some(0));
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
}

#[test]
fn without_a_home_there_is_no_log_and_no_memory_but_a_server_and_a_client() {
    let home = Home::new();
    let bare = |line: &str| {
        let mut command = home.command(line);
        Daemon::start(command.env_remove("HOME").env_remove("XDG_STATE_HOME").stdout(Stdio::null()))
    };
    let mut server = bare("serve --host 127.0.0.1 --port 0 --headless");
    let addr = server.line().unwrap().strip_prefix("listening on ").unwrap().to_owned();
    server.says(" warning: nothing is logged");
    let mut client = bare(&format!("join {addr} --headless"));
    client.says("there is no home folder to keep its identity in");
    client.says(" registered: ");
}
