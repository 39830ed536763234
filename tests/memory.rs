//! What the hub tells of who is known, and what it makes of it at the next start; on a paused clock.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test's helpers may fail loudly")]

mod common;

use std::time::Duration;

use common::{Lab, options, secs};
use presence_tui::presence::known::Known;
use presence_tui::presence::registry::Limits;
use presence_tui::server::{KnownList, Options, Terms};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

type Told = watch::Receiver<KnownList>;

/// Waits for the next list; returns it, and how many milliseconds it took.
async fn list(told: &mut Told) -> (Vec<Known>, u128) {
    let asked = Instant::now();
    timeout(secs(86_400), told.changed()).await.expect("a list").unwrap();
    (told.borrow_and_update().take(), asked.elapsed().as_millis())
}

/// Waits for the next list; returns names, and how many milliseconds it took.
async fn next(told: &mut Told) -> (Vec<String>, u128) {
    let (list, ms) = list(told).await;
    let names = list.iter().map(|known| known.profile.name.as_deref().unwrap().to_owned());
    (names.collect(), ms)
}

fn called(name: &str) -> String {
    format!(r#""id":"id-{name}","name":"{name}","#)
}

#[tokio::test(start_paused = true)]
async fn a_change_is_told_at_once_and_further_ones_together_a_second_later() {
    let mut lab = Lab::new();
    let mut told = lab.server.known();
    let _ada = lab.v1(&called("ada")).await;
    assert_eq!(next(&mut told).await, (vec!["ada".to_owned()], 0));
    let _bob = lab.v1(&called("bob")).await;
    let _cyd = lab.v1(&called("cyd")).await;
    let (names, ms) = next(&mut told).await;
    assert_eq!((names, ms), (["ada", "bob", "cyd"].map(str::to_owned).to_vec(), 1_000));
}

#[tokio::test(start_paused = true)]
async fn ages_are_told_anew_once_a_minute_and_not_while_nobody_is_here() {
    let mut lab = Lab::new();
    let mut told = lab.server.known();
    let (mut ada, _) = lab.v1(&called("ada")).await;
    next(&mut told).await;
    for _ in 0..6 {
        ada.ping().await;
        tokio::time::sleep(secs(9)).await;
    }
    let (known, ms) = list(&mut told).await;
    assert_eq!(ms, 6_000);
    assert_eq!(known.first().unwrap().silent, secs(15));
    assert!(told.borrow().take().is_empty(), "a list is not kept when it was taken");
    ada.say(r#"{"type":"leave"}"#).await;
    assert_eq!(next(&mut told).await.0, Vec::<String>::new());
    assert!(timeout(secs(3_000), told.changed()).await.is_err(), "there is nothing to tell");
}

#[tokio::test(start_paused = true)]
async fn a_large_fleet_is_counted_in_turns_and_others_are_served_between_them() {
    let mut small = Lab::new();
    let mut told = small.server.known();
    let _ada = small.v1(&called("ada")).await;
    let first = list(&mut told).await.0.remove(0);
    let known = |number| Known { id: Some(format!("id-{number}").into()), ..first.clone() };
    let limits = Limits { max_clients: 10_000, ..options().limits };
    let expected = (0..9_000).map(known).collect();
    let mut lab = Lab::with(Options { limits, expected, ..options() });
    let mut told = lab.server.known();
    let (_bob, _) = lab.v1(&called("bob")).await;
    let asked = Instant::now();
    let (mut cyd, _) = lab.v1(&called("cyd")).await;
    cyd.ping().await;
    assert!(!told.has_changed().unwrap() && asked.elapsed() < Duration::from_millis(10), "served at once");
    let (everybody, _) = list(&mut told).await;
    assert_eq!(asked.elapsed().as_millis(), 40, "five turns");
    assert_eq!(everybody.len(), 9_001, "and cyd, who came meanwhile, is in the next");
    assert_eq!(everybody.first().unwrap().profile.name.as_deref(), Some("bob"), "who is here comes first");
    let (everybody, ms) = list(&mut told).await;
    assert_eq!((everybody.len(), ms), (9_002, 1_000));
}

#[tokio::test(start_paused = true)]
async fn a_stop_amid_a_count_still_tells_of_everybody() {
    let mut lab =
        Lab::with(Options { limits: Limits { max_clients: 10_000, ..options().limits }, ..options() });
    let mut told = lab.server.known();
    let mut peers = Vec::new();
    for number in 0..2_100 {
        peers.push(lab.v1(&called(&number.to_string())).await.0);
    }
    while told.has_changed().unwrap() {
        list(&mut told).await;
    }
    // The next count begins a second after the last and takes two turns.
    tokio::time::sleep(Duration::from_millis(1_005)).await;
    let Lab { server, .. } = lab;
    let stopping = tokio::spawn(server.stop());
    assert_eq!(list(&mut told).await.0.len(), 2_100);
    drop(peers);
    stopping.await.unwrap();
    assert!(told.changed().await.is_err(), "and nothing more until the end");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_asked_to_leave_by_a_stop_stays_known() {
    let mut lab = Lab::new();
    let mut told = lab.server.known();
    let (mut ada, _) = lab.v1(&called("ada")).await;
    next(&mut told).await;
    let (mut bob, _) = lab.v1(&called("bob")).await;
    let Lab { server, .. } = lab;
    let stopping = tokio::spawn(server.stop());
    assert_eq!(next(&mut told).await, (vec!["ada".to_owned(), "bob".to_owned()], 0), "at once, and fresh");
    for peer in [&mut ada, &mut bob] {
        peer.hear_type("drain").await;
        peer.say(r#"{"type":"leave"}"#).await;
    }
    stopping.await.unwrap();
    assert!(told.changed().await.is_err(), "and nothing more until the end");
}

#[tokio::test(start_paused = true)]
async fn who_returns_resumes_and_the_list_can_be_changed_meanwhile() {
    let mut lab = Lab::new();
    let mut told = lab.server.known();
    let _ada = lab.v1(&called("ada")).await;
    let _bob = lab.v1(&called("bob")).await;
    next(&mut told).await;
    let (expected, _) = list(&mut told).await;
    drop(lab);

    let expect_names = vec!["nas".to_owned()];
    let mut lab = Lab::with(Options { expected, expect_names, ..options() });
    let (_ada, welcome) = lab.v1(&called("ada")).await;
    assert_eq!(welcome["resumed_ms"], 1_000);
    assert_eq!(welcome["clients"], 1, "who is expected is not here");
    assert_eq!(lab.word().await, "resumed");
    let Options { settings, limits, register_timeout, .. } = options();
    let expect_names = vec!["tape".to_owned(), "\u{1b}[2J".to_owned()];
    lab.server.remote().reload(Terms { settings, limits, register_timeout, expect_names }).await;
    let silent = timeout(Duration::from_millis(33_499), lab.event()).await;
    assert_eq!(silent.unwrap().0, "late", "ada, who does not ping");
    let words = lab.event().await;
    assert_eq!(words.0, "timed_out");
    assert_eq!(
        lab.event().await.1,
        "1 client did not come back after the restart: bob; \
         2 listed clients have not been seen since the start: tape, \u{fffd}[2J"
    );
}
