//! Registering, and beating as agreed.

use std::time::Duration;

use presence_tui::presence::command::Command;
use presence_tui::presence::view::Link;
use serde_json::json;
use tokio::time::{self, Instant};

use crate::hand::*;

#[tokio::test(start_paused = true)]
async fn the_first_line_says_who_is_there() {
    let mut client = join(1);
    let (_server, register) = client.accept().await;
    assert_eq!(register["client_ip"], "192.168.0.7");
    assert_eq!(register["client_port"], 50_000);
    assert_eq!((&register["v"], &register["gen"], &register["conn"]), (&json!(1), &json!(1_000), &json!(1)));
    assert_eq!((&register["id"], &register["name"]), (&json!("k3v9q2m1"), &json!("build-7")));
    assert_eq!(register["platform"], format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH));
    assert_eq!((&register["tags"], &register["want"]), (&json!({"role": "ci"}), &json!(["roster"])));
}

#[tokio::test(start_paused = true)]
async fn the_interval_comes_from_the_server_and_no_beat_is_late() {
    for seed in 0..20 {
        let mut client = join(seed);
        let mut server = client.welcomed(5_000, 15_000).await;
        let mut last = Instant::now();
        for nth in 0..6 {
            let ping = server.ping().await;
            let gap = last.elapsed();
            assert!(gap <= secs(5) + Duration::from_millis(2), "{gap:?}");
            assert!(nth == 0 || gap >= Duration::from_millis(3_749), "{gap:?}");
            assert_eq!((&ping["seq"], &ping["rev"]), (&json!(nth + 1), &json!(7)));
            assert_eq!(ping["rtt_us"].is_null(), nth == 0);
            last = Instant::now();
            server.pong(&ping).await;
        }
        let state = client.state(|state| state.uplink.answered >= 5).await;
        assert_eq!(state.uplink.settings.interval(), secs(5));
        assert!(matches!(state.uplink.link, Link::Online(_)) && !state.uplink.legacy);
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_stall_there_is_one_ping_and_not_ten() {
    let mut client = join(1);
    let mut server = client.welcomed(5_000, 3_600_000).await;
    let ping = server.ping().await;
    server.pong(&ping).await;
    client.state(|state| state.uplink.answered == 1).await;
    time::advance(secs(50)).await;
    let ping = server.ping().await;
    assert_eq!(ping["seq"], 2);
    server.pong(&ping).await;
    assert!(server.is_quiet_for(Duration::from_millis(3_700)).await);
}

#[tokio::test(start_paused = true)]
async fn new_settings_are_used_and_acknowledged_at_once() {
    let mut client = join(1);
    let mut server = client.welcomed(60_000, 120_000).await;
    client.state(|state| matches!(state.uplink.link, Link::Online(_))).await;
    let started = Instant::now();
    server.send(&json!({"type":"config","rev":8,"interval_ms":5000,"timeout_ms":15000,"spread_ms":1})).await;
    assert_eq!(server.ping().await["rev"], 8);
    assert!(started.elapsed() < Duration::from_millis(10));
    client.notice("interval 1m -> 5s, timeout 2m -> 15s").await;
    let ping = server.ping().await;
    assert!(started.elapsed() <= secs(5) + Duration::from_millis(5));
    server.send(&json!({"type":"pong","seq":ping["seq"],"rev":9,"interval_ms":2000,"timeout_ms":9000})).await;
    let told = Instant::now();
    assert_eq!(server.ping().await["rev"], 9);
    assert!(told.elapsed() < Duration::from_millis(10));
    server.send(&json!({"type":"config","rev":10,"interval_ms":2000,"timeout_ms":1,"spread_ms":1})).await;
    assert_eq!(server.ping().await["rev"], 9, "settings that cannot be are not acknowledged");
}

#[tokio::test(start_paused = true)]
async fn a_probe_and_a_ping_of_the_server_are_answered_at_once() {
    let mut client = join(1);
    let mut server = client.welcomed(60_000, 120_000).await;
    let asked = Instant::now();
    server.send(&json!({"type":"probe"})).await;
    server.ping().await;
    server.send(&json!({"type":"ping","seq":9})).await;
    assert_eq!(server.line().await, json!({"type":"pong","seq":9}));
    assert!(asked.elapsed() < Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_no_welcome_gets_the_bare_pings_of_the_base() {
    let mut client = join(1);
    let (mut server, _) = client.accept().await;
    let registered = Instant::now();
    assert_eq!(server.raw().await, "{\"type\":\"ping\"}\n");
    assert!(registered.elapsed() >= secs(2) && registered.elapsed() < Duration::from_millis(2_010));
    let mut last = Instant::now();
    for _ in 0..5 {
        server.say("{\"type\":\"pong\"}\n").await;
        assert_eq!(server.raw().await, "{\"type\":\"ping\"}\n");
        let gap = last.elapsed();
        assert!(gap >= Duration::from_millis(22_400) && gap <= Duration::from_millis(30_005), "{gap:?}");
        last = Instant::now();
    }
    assert!(client.state(|state| state.uplink.answered == 5).await.uplink.legacy);
    client.notice("a legacy server").await;
}

#[tokio::test(start_paused = true)]
async fn a_late_welcome_is_still_a_welcome() {
    let mut client = join(1);
    let (mut server, _) = client.accept().await;
    server.ping().await;
    server.send(&welcome(5_000, 15_000)).await;
    assert_eq!(server.ping().await["rev"], 7);
    assert!(!client.state(|state| !state.uplink.legacy).await.uplink.legacy);
}

#[tokio::test(start_paused = true)]
async fn a_dead_server_is_noticed_at_the_right_instant_and_only_then() {
    let mut client = join(3);
    let mut server = client.welcomed(5_000, 15_000).await;
    let ping = server.ping().await;
    server.pong(&ping).await;
    let heard = Instant::now();
    let sent = {
        server.ping().await;
        Instant::now()
    };
    let state = client.state(|state| matches!(state.uplink.link, Link::Late(..))).await;
    let late = sent.elapsed();
    assert!(late >= Duration::from_millis(999) && late <= Duration::from_millis(1_110), "{late:?}");
    assert_eq!(state.uplink.answered, 1);
    server.ping().await;
    server.closed().await;
    // min(2/3 x 15 s, 2 x 5 s + 2 s)
    let dead = heard.elapsed();
    assert!(dead >= Duration::from_millis(9_999) && dead <= Duration::from_millis(10_010), "{dead:?}");
    client.notice("has not answered").await;
    client.notice("nothing was heard from the server for 10s").await;
}

#[tokio::test(start_paused = true)]
async fn half_a_line_is_a_sign_of_life() {
    let mut client = join(3);
    let mut server = client.welcomed(5_000, 15_000).await;
    for _ in 0..20 {
        time::sleep(secs(4)).await;
        server.say(" ").await;
    }
    assert!(!client.task.is_finished());
    let state = client.state(|_| true).await;
    assert!(matches!(state.uplink.link, Link::Late(..)), "alive, and yet it answers nothing");
    assert_eq!(state.uplink.reconnects, 0);
    assert!(client.servers.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_healthy_server_with_an_interval_close_to_its_timeout_is_never_declared_dead() {
    let mut client = join(5);
    let mut server = client.welcomed(60_000, 61_000).await;
    for _ in 0..50 {
        let ping = server.ping().await;
        time::sleep(Duration::from_millis(900)).await;
        server.pong(&ping).await;
    }
    let state = client.state(|state| state.uplink.answered == 50).await;
    assert_eq!((state.uplink.unanswered, state.uplink.last_loss.is_none()), (0, true));
}

#[tokio::test(start_paused = true)]
async fn held_heartbeats_stop_and_start_again_at_once() {
    let mut client = join(1);
    let mut server = client.welcomed(5_000, 3_600_000).await;
    server.ping().await;
    client.commands.send(Command::Hold(true)).await.unwrap();
    client.state(|state| state.uplink.holding).await;
    server.send(&json!({"type":"probe"})).await;
    server.send(&json!({"type":"ping","seq":1})).await;
    assert!(server.is_quiet_for(secs(5)).await);
    let asked = Instant::now();
    client.commands.send(Command::Hold(false)).await.unwrap();
    server.ping().await;
    client.commands.send(Command::BeatNow).await.unwrap();
    server.ping().await;
    assert!(asked.elapsed() < Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn our_own_pause_is_not_blamed_on_the_server() {
    let mut client = join(3);
    let mut server = client.welcomed(5_000, 15_000).await;
    for _ in 0..20 {
        let ping = server.ping().await;
        // The answer is there before the pause ends, but was not read.
        server.pong(&ping).await;
        time::advance(secs(600)).await;
    }
    let state = client.state(|state| state.uplink.answered == 20).await;
    assert!(state.uplink.last_loss.is_none() && matches!(state.uplink.link, Link::Online(_)));
}
