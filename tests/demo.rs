//! The demo: a whole fleet over real sockets, and the command a newcomer types first.
#![cfg(unix)]
#![allow(missing_docs, reason = "a test is documented by its name")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are test code")]

#[path = "common/process.rs"]
mod process;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use presence_tui::demo::Fleet;
use presence_tui::presence::registry::Limits;
use presence_tui::presence::{Event, EventKind, Settings};
use presence_tui::server::{HubHost, Options, Server};
use process::{Daemon, Home, PATIENCE};
use rustix::process::Signal;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

async fn next(events: &mut mpsc::Receiver<Arc<Event>>) -> Arc<Event> {
    timeout(PATIENCE, events.recv()).await.unwrap().unwrap()
}

#[tokio::test]
async fn whoever_goes_comes_back_in_its_own_row_and_in_the_end_all_say_goodbye() {
    let ms = Duration::from_millis;
    let limits =
        Limits { max_clients: 40, max_per_ip: 0, retention: Duration::from_hours(1), ..Limits::default() };
    let settings = Settings::new(ms(200), ms(600)).unwrap();
    let options = Options {
        name: "demo".to_owned(),
        settings,
        limits,
        register_timeout: PATIENCE,
        expected: Vec::new(),
        expect_names: Vec::new(),
    };
    let mut server = Server::start(options, HubHost::Thread).unwrap();
    let mut events = server.events().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    server.open(listener);
    let fleet = Fleet::start(addr, 24, 1);

    let mut here = HashSet::new();
    let mut gone = HashMap::new();
    let mut returned = HashSet::new();
    while here.len() < 24 || returned.len() < 3 {
        let event = next(&mut events).await;
        let who = event.who.as_ref().unwrap().id.clone();
        match &event.kind {
            EventKind::Joined => assert!(here.insert(who), "a second row for {event:?}"),
            EventKind::Gone { departure, .. } => {
                gone.insert(who, departure.reason.word());
            }
            EventKind::Resumed { .. } => returned.extend(gone.remove(&who)),
            _ => {}
        }
    }
    assert_eq!(returned, HashSet::from(["lost", "timeout", "left"]));

    fleet.stop().await;
    let summary = server.stop().await;
    assert_eq!(summary.left_behind, 0);
    let mut left = 0;
    while let Some(event) = events.recv().await {
        let Some(who) = event.who.as_ref().map(|who| who.id.clone()) else { continue };
        match &event.kind {
            EventKind::Gone { departure, .. } => {
                left += u32::from(departure.reason.word() == "left");
                gone.insert(who, departure.reason.word());
            }
            EventKind::Resumed { .. } => drop(gone.remove(&who)),
            _ => {}
        }
    }
    assert_eq!(gone.len(), 24, "somebody is still there");
    assert!(left >= 16, "most were online and said goodbye, but only {left} did");
}

#[test]
fn a_demo_fills_the_house_and_leaves_it_tidy() {
    let home = Home::new();
    home.config("this file is not read, for it would not be understood");
    let mut demo = Daemon::start(&mut home.command("demo 8 --headless --json --seed 3"));
    demo.listening();
    assert!(demo.addr().ip().is_loopback());
    let names: HashSet<_> = (0..8).map(|_| demo.event("registered")["name"].to_string()).collect();
    assert_eq!(names.len(), 8);
    demo.event("late");
    assert_eq!(demo.stop(Signal::TERM).0, Some(0), "{}", demo.transcript());
    let last = demo.said.last().unwrap();
    assert!(last.contains("served ") && !demo.transcript().contains("cut off"), "{}", demo.transcript());
}

#[test]
fn asked_twice_a_demo_stops_at_once() {
    let home = Home::new();
    let mut demo = Daemon::start(&mut home.command("demo 8 --headless"));
    demo.listening();
    demo.signal(Signal::TERM);
    assert_eq!(demo.stop(Signal::INT).0, Some(0), "{}", demo.transcript());
}

#[test]
fn a_fleet_of_no_size_is_refused_in_words_that_help() {
    let ran = Home::new().run("demo 0");
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("a whole number from 1 to 5000"), "{}", ran.stderr);
}
