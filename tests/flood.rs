//! Who says far more than was agreed is cut, told why, and nobody else is.
#![allow(missing_docs, reason = "a test is documented by its name")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are test code")]

mod common;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use common::{LEGACY, Lab, Peer, options, secs};
use presence_tui::presence::Settings;
use presence_tui::presence::command::Command;
use presence_tui::presence::event::Origin;
use presence_tui::presence::registry::Limits;
use presence_tui::server::flood::BURST;
use presence_tui::server::listener::{Accept, Accepted, UNREGISTERED_PER_IP_MAX};
use presence_tui::server::{Eye, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{advance, sleep};

const PING: &str = r#"{"type":"ping"}"#;

/// Says a line so many times at once.
async fn burst(peer: &mut Peer, line: &str, times: usize) {
    peer.send(format!("{line}\n").repeat(times).as_bytes()).await;
}

/// Waits for the error that ends it, and for the end.
async fn cut(peer: &mut Peer) -> serde_json::Value {
    let error = peer.hear_type("error").await;
    assert_eq!(peer.line().await, None);
    error
}

async fn set(lab: &Lab, interval: Duration, timeout: Duration) {
    let settings = Settings::new(interval, timeout).unwrap();
    lab.server.remote().command(Command::Set(settings, Origin::Key)).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_far_more_than_agreed_is_cut_with_words_and_a_time_to_come_back() {
    for line in [PING, "", r#"{"type":"wave"}"#, r#"{"type":"sync","from":1}"#] {
        let mut lab = Lab::new();
        let mut witness = lab.legacy().await;
        let mut flooder = lab.legacy().await;
        burst(&mut flooder, line, BURST as usize + 3).await;
        let told = loop {
            let error = flooder.hear_type("error").await;
            if error["code"] != "bad_request" {
                break error;
            }
        };
        assert_eq!(told["code"], "flood", "{line:?}");
        assert!(told["retry_ms"].as_u64().is_some_and(|ms| ms >= 1_000), "{told}");
        assert_eq!(told["message"], "more than two lines a second; one every 10s is agreed");
        assert_eq!(flooder.line().await, None, "and then it is closed");
        witness.ping().await;
        let gone = loop {
            let (word, text) = lab.event().await;
            if word != "registered" {
                break (word, text);
            }
        };
        assert!(gone.1.starts_with("flood: more than two lines a second"), "{gone:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_v1_client_is_cut_like_any_other() {
    let mut lab = Lab::new();
    let (mut peer, _) = lab.v1("").await;
    burst(&mut peer, r#"{"type":"ping","seq":1,"rev":1}"#, 50).await;
    assert_eq!(cut(&mut peer).await["code"], "flood");
}

#[tokio::test(start_paused = true)]
async fn a_base_clients_double_line_at_connect_and_a_person_at_a_keyboard_are_no_flood() {
    let mut lab = Lab::new();
    let mut peer = lab.call();
    peer.send(format!("{LEGACY}\n{PING}\n").as_bytes()).await;
    assert_eq!(peer.hear_type("pong").await["type"], "pong");
    burst(&mut peer, PING, BURST as usize - 1).await;
    for _ in 0..500 {
        sleep(Duration::from_millis(500)).await;
        peer.ping().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_base_client_may_keep_its_minute_however_long_the_interval_is() {
    let settings = Settings::new(secs(3_600), secs(7_200)).unwrap();
    let mut lab = Lab::with(Options { settings, ..options() });
    let mut peer = lab.legacy().await;
    for _ in 0..300 {
        sleep(secs(60)).await;
        peer.ping().await;
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_cut_within_two_intervals_of_a_change_and_afterwards_they_are() {
    let mut lab = Lab::with(Options {
        settings: Settings::new(Duration::from_millis(500), secs(30)).unwrap(),
        ..options()
    });
    let (mut told, _) = lab.v1("").await;
    set(&lab, secs(10), secs(30)).await;
    assert_eq!(told.hear_type("config").await["rev"], 2);
    // Twenty intervals' worth of the old rhythm, four times as fast, is forty times the new one.
    for _ in 0..150 {
        sleep(Duration::from_millis(125)).await;
        told.ping().await;
    }
    sleep(secs(2)).await;
    burst(&mut told, PING, 200).await;
    assert_eq!(cut(&mut told).await["code"], "flood");
}

#[tokio::test(start_paused = true)]
async fn a_legacy_client_keeps_the_rhythm_it_came_under_when_the_interval_grows() {
    let settings = Settings::new(Duration::from_millis(200), secs(2)).unwrap();
    let mut lab = Lab::with(Options { settings, ..options() });
    let mut deaf = lab.legacy().await;
    set(&lab, secs(60), secs(120)).await;
    for _ in 0..2_000 {
        sleep(Duration::from_millis(200)).await;
        deaf.ping().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_arrives_together_after_a_pause_of_our_own_or_a_stalled_network_is_no_flood() {
    let settings = Settings::new(secs(1), secs(120)).unwrap();
    let mut lab = Lab::with(Options { settings, ..options() });
    let mut peer = lab.legacy().await;
    for _ in 0..30 {
        sleep(secs(1)).await;
        peer.ping().await;
    }
    // A network that stalls for 100 s, and delivers a hundred pings at once.
    sleep(secs(100)).await;
    burst(&mut peer, PING, 100).await;
    for _ in 0..100 {
        assert_eq!(peer.hear_type("pong").await["type"], "pong");
    }
    // A server that stood still for an hour.
    advance(secs(3_600)).await;
    burst(&mut peer, PING, 3_600).await;
    for _ in 0..3_600 {
        assert_eq!(peer.hear_type("pong").await["type"], "pong");
    }
}

#[tokio::test(start_paused = true)]
async fn chat_within_its_ration_is_no_flood_and_chat_beyond_it_is() {
    let mut lab = Lab::new();
    let mut talker = lab.legacy().await;
    let chat = r#"{"type":"chat","message":"x"}"#;
    for _ in 0..200 {
        sleep(Duration::from_millis(500)).await;
        talker.say(chat).await;
        assert_eq!(talker.hear_type("chat").await["message"], "x");
    }
    burst(&mut talker, chat, 100).await;
    let mut told = Vec::new();
    while let Some(line) = talker.line().await {
        let message: serde_json::Value = serde_json::from_str(&line).unwrap();
        if message["type"] == "error" {
            assert_eq!(message["code"], "flood");
            told.push(message["message"].as_str().unwrap().to_owned());
        }
    }
    assert!(told.last().unwrap().contains("is agreed"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_factor_of_nothing_lets_everybody_talk() {
    let limits = Limits { flood_factor: 0, ..options().limits };
    let mut lab = Lab::with(Options { limits, ..options() });
    let mut peer = lab.legacy().await;
    burst(&mut peer, PING, 5_000).await;
    for _ in 0..5_000 {
        assert_eq!(peer.hear_type("pong").await["type"], "pong");
    }
}

#[tokio::test(start_paused = true)]
async fn lines_that_lead_to_no_register_have_an_end() {
    let mut lab = Lab::new();
    let mut peer = lab.call();
    peer.send(format!("{{\"type\":\"wave\"}}\n{}", "\n".repeat(200)).as_bytes()).await;
    let error = cut(&mut peer).await;
    assert_eq!((&error["code"], error["retry_ms"].is_u64()), (&"flood".into(), true));
    assert!(error["message"].as_str().unwrap().contains("no register"), "{error}");
}

/// A door that yields callers from where a test says.
struct Script(VecDeque<(SocketAddr, DuplexStream)>);

impl Accept for Script {
    type Stream = DuplexStream;

    async fn accept(&mut self, _: Duration) -> io::Result<Accepted<DuplexStream>> {
        let Some((peer, stream)) = self.0.pop_front() else { return std::future::pending().await };
        Ok(Accepted { stream, eye: Eye::blind(), peer })
    }
}

#[tokio::test(start_paused = true)]
async fn one_address_cannot_hold_the_door_shut() {
    let lab = Lab::new();
    let (mut mutes, mut script) = (Vec::new(), VecDeque::new());
    for _ in 0..=UNREGISTERED_PER_IP_MAX {
        let (ours, theirs) = tokio::io::duplex(4_096);
        mutes.push(ours);
        script.push_back((SocketAddr::from(([10, 0, 0, 9], 9)), theirs));
    }
    let (mut other, theirs) = tokio::io::duplex(4_096);
    script.push_back((SocketAddr::from(([10, 0, 0, 10], 9)), theirs));
    lab.server.open(Script(script));
    let mut answer = String::new();
    mutes.pop().unwrap().read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains(r#""code":"per_ip""#) && answer.contains("retry_ms"), "{answer}");
    other.write_all(format!("{LEGACY}\n").as_bytes()).await.unwrap();
    let mut list = [0; 16];
    other.read_exact(&mut list).await.unwrap();
    assert!(list.starts_with(b"{\"type\":\"client_"), "somebody else is let in at once");
}
