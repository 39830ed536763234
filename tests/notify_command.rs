//! `notify` as a script meets it: a real server, real clients, an exit status.
#![cfg(unix)]
#![allow(missing_docs, reason = "a test is documented by its name")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are test code")]

#[path = "common/process.rs"]
mod process;

use std::net::SocketAddr;

use process::{Daemon, Home, Nc, Ran};
use serde_json::Value;

fn notify(home: &Home, server: SocketAddr, flags: &str, text: &str) -> Ran {
    let mut command = home.command(&format!("notify --server {server} {flags}"));
    Ran::of(command.arg(text))
}

/// A headless client that writes NDJSON, once it is in.
fn join(home: &Home, server: SocketAddr, flags: &str) -> Daemon {
    let mut client = home.join(server, &format!("--json {flags}"));
    client.event("registered");
    client
}

#[test]
fn both_devices_of_a_person_get_it_as_a_line_and_one_that_closed_is_missed() {
    let home = Home::new();
    let mut server = home.serve("--headless --json");
    let addr = server.addr();
    let mut phone = join(&home, addr, "--id p --name phone --user ada --device phone --tag role=mobile");
    let mut laptop = join(&home, addr, "--id l --name laptop --user ada");
    let ran = notify(&home, addr, "--to user=ada --title Break --name cron", "tea \"now\"");
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "n1: 2/2 delivered\n", ""));
    for client in [&mut phone, &mut laptop] {
        let line = client.event("notified");
        assert_eq!(
            (&line["from"], &line["title"], &line["body"]),
            (&"cron".into(), &"Break".into(), &"tea \"now\"".into())
        );
    }
    let told = server.event("notified");
    assert_eq!((&told["nid"], &told["delivered"], &told["from"]), (&"n1".into(), &2.into(), &"cron".into()));

    laptop.stop(rustix::process::Signal::TERM);
    let ran = notify(&home, addr, "--to user=ada --json", "again");
    let counts: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (ran.code, &counts["delivered"], &counts["offline"]),
        (Some(5), &1.into(), &1.into()),
        "{counts}"
    );
    assert_eq!(phone.event("notified")["body"], "again");
    let ran = notify(&home, addr, "--to tag=role:mobile", "tag");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "n3: 1/1 delivered\n"));
    assert_eq!(phone.event("notified")["body"], "tag");
    // The messengers have left no rows: everybody is the two clients. Who is not here is counted, and missed
    // only by who meant just them.
    let ran = notify(&home, addr, "--to all", "all");
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(0), "n4: 1/2 delivered, 1 offline\n"),
        "{}",
        ran.stderr
    );
    let ran = notify(&home, addr, "--to id=l", "gone");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(5), "n5: 0/1 delivered, 1 offline\n"));
    assert!(ran.stderr.contains("1 of 1 were not told"), "{}", ran.stderr);
    let ran = notify(&home, addr, "--to user=nobody", "x");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(5), "n6: nobody to tell\n"));
    assert!(ran.stderr.contains("no client that is user=nobody"), "{}", ran.stderr);
    phone.stop(rustix::process::Signal::TERM);
    let ran = notify(&home, addr, "--to tag=role=mobile", "gone");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(5), "n7: 0/1 delivered, 1 offline\n"));
    assert!(ran.stderr.contains("none of the 1 clients that are tag=role=mobile is here"), "{}", ran.stderr);
}

#[test]
fn a_client_by_hand_confirms_by_hand_and_one_that_ends_is_failed() {
    let home = Home::new();
    let server = home.serve("--headless");
    let addr = server.addr();
    let mut nc = Nc::v1(addr, r#""id":"nc","user":"ada","#);
    let mut gone = Nc::v1(addr, r#""id":"gone","user":"ada","#);
    Nc::legacy(addr, "base");
    let sender = std::thread::spawn(move || notify(&Home::new(), addr, "--to user=ada", "hello"));
    assert_eq!(nc.hears("notify")["body"], "hello");
    nc.say(r#"{"type":"receipt","nid":"n1"}"#);
    gone.hears("notify");
    drop(gone);
    let ran = sender.join().unwrap();
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(5), "n1: 1/2 delivered, 1 failed\n"));
}

#[test]
fn what_makes_no_sense_ends_with_2_and_what_cannot_be_sent_with_1() {
    let home = Home::new();
    let server = home.serve("--headless");
    let addr = server.addr();
    for (flags, text) in [
        ("--to ada", "x"),
        ("--to all", " "),
        ("--to user=a --to user=b", "x"),
        ("--to all --server :x", "x"),
    ] {
        let ran = notify(&home, addr, flags, text);
        assert_eq!(ran.code, Some(2), "{flags}: {}", ran.stderr);
    }
    let ran = notify(&home, addr, "--to all", &"x".repeat(1_025));
    assert!(ran.code == Some(2) && ran.stderr.contains("1024"), "{}", ran.stderr);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = notify(&home, nobody, "--to all", "x");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("is the server running there?"), "{}", ran.stderr);
    let full = home.serve("--headless --max-clients 1");
    let _there = Nc::legacy(full.addr(), "one");
    let ran = notify(&home, full.addr(), "--to all", "x");
    assert!(ran.code == Some(1) && ran.stderr.contains("full: 1 of 1 clients"), "{}", ran.stderr);
}
