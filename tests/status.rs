//! `status` against the real server, and against others.
#![cfg(unix)]
#![allow(missing_docs, reason = "a test is documented by its name")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are test code")]

#[path = "common/process.rs"]
mod process;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use process::{Home, Nc, Ran};
use rustix::process::Signal;
use serde_json::{Value, json};

fn status(home: &Home, addr: SocketAddr, flags: &str) -> Ran {
    home.run(&format!("status {addr} {flags}"))
}

#[test]
fn the_exit_status_says_whether_somebody_is_down() {
    let home = Home::new();
    let mut server = home.serve("--headless --json --interval 5s --timeout 15s --max-clients 7");
    let ran = status(&home, server.addr(), "");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let mut lines = ran.stdout.lines();
    let first = lines.next().unwrap();
    assert!(first.starts_with(&format!("{}: 0 of 7 clients, up ", server.addr())), "{first}");
    assert!(first.ends_with(", interval 5s, timeout 15s"), "{first}");
    assert_eq!(lines.collect::<Vec<_>>(), ["0 online, 0 late, 0 timed out, 0 left, 0 offline"]);

    let mut leaver = Nc::v1(server.addr(), r#""name":"leaver","#);
    leaver.say(r#"{"type":"leave","reason":"quit"}"#);
    server.event("left");
    // Counts are kept for a moment by the server: only the rows are what they are now.
    let _here = Nc::v1(server.addr(), r#""name":"here","#);
    assert_eq!(status(&home, server.addr(), "--json").code, Some(0), "who left meant to");

    drop(Nc::v1(server.addr(), r#""name":"ev\u001b[31mil\r\n","#));
    server.event("lost");
    let ran = status(&home, server.addr(), "");
    assert_eq!(ran.code, Some(5));
    let row = ran.stdout.lines().last().unwrap();
    assert!(
        row.starts_with("timed out  ev\u{fffd}[31mil") && row.ends_with("lost: closed without goodbye"),
        "{row}"
    );
    assert!(!ran.stdout.contains(|c: char| c != '\n' && c.is_control()), "{:?}", ran.stdout);
    let ran = status(&home, server.addr(), "--json");
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(5), 1));
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&told["all_well"], &told["matched"]), (&json!(false), &json!(1)));
    assert_eq!((&told["interval_ms"], &told["max_clients"]), (&json!(5_000), &json!(7)));
    assert!(told["states"]["left"].is_u64() && told["uptime_ms"].is_u64(), "{told}");
    assert_eq!(told["clients"][0]["reason"], "lost");

    let addr = server.addr();
    server.stop(Signal::TERM);
    let ran = status(&home, addr, "");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.contains(&format!("{addr}: could not reach")), "{}", ran.stderr);
}

#[test]
fn what_is_no_server_of_ours_is_said_to_be_none() {
    let home = Home::new();
    for (reply, words) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "is no presence-tui server"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "is no presence-tui server"),
        (
            "HTTP/1.1 401 No\r\nContent-Length: 24\r\n\r\n{\"error\":\"no \\u001b[2J\"} \n",
            "refused with status 401: no \u{fffd}[2J",
        ),
        ("SSH-2.0-x\r\n", "no answer over HTTP"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let answering = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1_024];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(reply.as_bytes()).unwrap();
        });
        let ran = status(&home, addr, "");
        answering.join().unwrap();
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{reply}");
        assert!(ran.stderr.contains(words), "{reply}: {}", ran.stderr);
    }
}

#[test]
fn a_server_that_answers_no_http_is_told_apart() {
    let home = Home::new();
    home.config("[server]\ndialects = [\"presence\"]\n");
    let server = home.serve("--headless");
    let ran = status(&home, server.addr(), "");
    assert_eq!(ran.code, Some(1));
    assert!(!ran.stderr.is_empty());
    assert_eq!(home.run("status http://hq/").code, Some(2), "an address, and no URL");
}
