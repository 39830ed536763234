//! After a sleep: one ping, one look, and back at once if nobody is there.

use std::time::Duration;

use presence_tui::presence::command::Command;
use presence_tui::presence::view::Link;
use serde_json::json;
use tokio::time::{self, Instant};

use crate::hand::*;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A machine that was suspended: its monotonic clock stood still.
fn suspended(span: Duration) -> Command {
    Command::Awake { slept: span, suspended: span }
}

/// A process that was stopped: its clock went on.
fn stopped(span: Duration) -> Command {
    Command::Awake { slept: span, suspended: Duration::ZERO }
}

#[tokio::test(start_paused = true)]
async fn whoever_wakes_pings_at_once_and_once_and_stays_when_it_is_answered() {
    for jump in [Duration::ZERO, secs(50)] {
        let mut client = join(1);
        let mut server = client.welcomed(5_000, 3_600_000).await;
        let ping = server.ping().await;
        server.pong(&ping).await;
        client.state(|state| state.uplink.answered == 1).await;
        time::sleep(secs(1)).await;
        // After a jump the regular ping is due as well, ten times over.
        time::advance(jump).await;
        let woke = Instant::now();
        client.commands.send(stopped(jump.max(secs(1)))).await.unwrap();
        let ping = server.ping().await;
        assert!(woke.elapsed() < ms(5), "{:?}", woke.elapsed());
        assert_eq!(ping["seq"], 2);
        server.pong(&ping).await;
        assert!(server.is_quiet_for(ms(3_700)).await, "one is enough");
        let ping = server.ping().await;
        assert!(woke.elapsed() <= secs(5) + ms(5), "and then it goes on as agreed");
        server.pong(&ping).await;
        let state = client.state(|state| state.uplink.answered == 3).await;
        assert_eq!((state.uplink.unanswered, state.uplink.last_loss.is_none()), (0, true));
        client.notice("checking the connection").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_did_not_survive_the_sleep_is_replaced_after_two_seconds_under_the_same_identity() {
    let mut client = join(1);
    let mut server = client.welcomed(60_000, 120_000).await;
    client.state(|state| matches!(state.uplink.link, Link::Online(_))).await;
    client.commands.send(suspended(secs(8 * 3_600))).await.unwrap();
    let woke = Instant::now();
    server.ping().await;
    let (mut server, register) = client.accept().await;
    assert!(woke.elapsed() >= secs(2) && woke.elapsed() < ms(2_010), "{:?}", woke.elapsed());
    assert_eq!((&register["id"], &register["conn"]), (&json!("k3v9q2m1"), &json!(2)));
    assert_eq!(register["resume"], "s3cret");
    let mut greeting = welcome(60_000, 120_000);
    greeting["resumed_ms"] = json!(8 * 3_600_000);
    server.send(&greeting).await;
    client.notice("woke after 8h of sleep: checking the connection").await;
    client.notice("connection lost: no answer within 2s after a sleep of 8h").await;
    client.notice("resumed after 8h").await;
}

#[tokio::test(start_paused = true)]
async fn whatever_is_received_after_the_ping_is_an_answer_and_what_came_before_is_none() {
    let mut client = join(1);
    let mut server = client.welcomed(60_000, 3_600_000).await;
    client.state(|state| matches!(state.uplink.link, Link::Online(_))).await;
    client.commands.send(suspended(secs(60))).await.unwrap();
    server.ping().await;
    time::sleep(ms(1_900)).await;
    server.say(" ").await;
    assert!(time::timeout(secs(30), client.servers.recv()).await.is_err(), "half a line is a sign of life");

    server.say("\n{\"type\":\"wave\"}\n").await;
    client.commands.send(suspended(secs(60))).await.unwrap();
    let woke = Instant::now();
    client.accept().await;
    assert!(woke.elapsed() >= secs(2) && woke.elapsed() < ms(2_010), "{:?}", woke.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_the_server_said_meanwhile_is_read_before_anything_is_asked() {
    let mut client = join(1);
    let mut server = client.welcomed(60_000, 120_000).await;
    client.state(|state| matches!(state.uplink.link, Link::Online(_))).await;
    server.send(&json!({"type":"error","code":"timeout","message":"nothing for 2m","retry_ms":0})).await;
    client.commands.send(stopped(secs(143))).await.unwrap();
    let woke = Instant::now();
    let (mut again, _) = client.accept().await;
    assert!(woke.elapsed() < ms(5));
    assert_eq!(server.raw().await, "", "there is nothing to ask a server that has said goodbye");
    let mut greeting = welcome(60_000, 120_000);
    greeting["resumed_ms"] = json!(23_000);
    again.send(&greeting).await;
    client.notice("the server says timeout: nothing for 2m").await;
    client.notice("resumed after 23s").await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_found_closed_after_a_sleep_is_replaced_without_a_wait() {
    for seed in 0..10 {
        let mut client = join(seed);
        let server = client.welcomed(60_000, 120_000).await;
        client.state(|state| matches!(state.uplink.link, Link::Online(_))).await;
        drop(server);
        client.commands.send(suspended(secs(60))).await.unwrap();
        let woke = Instant::now();
        client.accept().await;
        assert!(woke.elapsed() < ms(5), "{:?}", woke.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_waits_to_be_read_is_no_silence() {
    let mut client = join(1);
    let mut server = client.welcomed(5_000, 3_600_000).await;
    let ping = server.ping().await;
    server.pong(&ping).await;
    time::advance(secs(50)).await;
    client.commands.send(stopped(secs(50))).await.unwrap();
    let ping = server.ping().await;
    server.pong(&ping).await;
    client.state(|state| state.uplink.answered == 2).await;
    while let Ok(notice) = client.windows.notices.try_recv() {
        assert!(!["silent", "answering"].contains(&notice.word()), "{notice}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_while_heartbeats_are_held_back_or_before_the_welcome() {
    let mut client = join(1);
    let (mut server, _) = client.accept().await;
    client.commands.send(suspended(secs(60))).await.unwrap();
    assert!(server.is_quiet_for(ms(1_900)).await);
    server.send(&welcome(60_000, 3_600_000)).await;
    client.commands.send(Command::Hold(true)).await.unwrap();
    client.state(|state| state.uplink.holding).await;
    client.commands.send(suspended(secs(60))).await.unwrap();
    assert!(server.is_quiet_for(secs(600)).await);
    assert!(client.servers.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_its_own_ends_with_the_sleep() {
    for seed in 0..10 {
        let mut client = join_into(seed, &[Trouble::Refused; 8]);
        for _ in 0..8 {
            client.notice("retrying").await;
        }
        client.commands.send(suspended(secs(60))).await.unwrap();
        let woke = Instant::now();
        client.accept().await;
        assert!(woke.elapsed() < ms(5), "{:?}", woke.elapsed());
        client.notice("woke after 1m of sleep").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_the_server_asked_for_is_kept_by_the_servers_clock() {
    let full = json!({"type":"error","code":"full","message":"full","retry_ms":60_000});
    // Awake 10 s after it was told: how long it slept, by which clock, and what is left of the minute.
    for (awake, left) in [
        (stopped(secs(9)), 50),
        (suspended(secs(20)), 30),
        (suspended(secs(50)), 0),
        (suspended(secs(999)), 0),
    ] {
        let mut client = join(1);
        let (mut server, _) = client.accept().await;
        server.send(&full).await;
        client.notice("retrying in 1m").await;
        time::sleep(secs(10)).await;
        client.commands.send(awake).await.unwrap();
        let woke = Instant::now();
        client.accept().await;
        let waited = woke.elapsed();
        assert!(waited + ms(5) >= secs(left) && waited < secs(left) + ms(5), "{waited:?} of {left} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_of_a_draining_server_is_kept_by_the_servers_clock() {
    for (slept, left) in [(secs(20), 30), (secs(999), 0)] {
        let mut client = join(1);
        let mut server = client.welcomed(3_600_000, 7_200_000).await;
        server.send(&json!({"type":"drain","reason":"restart","in_ms":60_000})).await;
        time::sleep(secs(10)).await;
        client.commands.send(suspended(slept)).await.unwrap();
        let woke = Instant::now();
        let mut last = server.line().await;
        while last["type"] == "ping" {
            server.pong(&last).await;
            last = server.line().await;
        }
        assert_eq!(last["type"], "leave");
        let waited = woke.elapsed();
        assert!(waited + ms(5) >= secs(left) && waited < secs(left) + ms(5), "{waited:?} of {left} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sleep_without_a_connection_counts_into_how_long_it_was_gone() {
    let mut client = join(1);
    let mut server = client.welcomed(5_000, 15_000).await;
    server.ping().await;
    client.log.lock().unwrap().trouble = [Trouble::Refused; 5].into();
    drop(server);
    client.notice("connection lost").await;
    client.notice("retrying").await;
    client.commands.send(suspended(secs(3_600))).await.unwrap();
    let _server = client.welcomed(5_000, 15_000).await;
    let state = client.state(|state| state.uplink.reconnects == 1).await;
    let (_, _, back) = state.uplink.last_loss.clone().unwrap();
    assert!(back.is_some_and(|back| back >= secs(3_600)), "{back:?}");
}

#[tokio::test(start_paused = true)]
async fn a_config_with_known_rules_brings_a_new_spread_and_nothing_else() {
    let mut longest = Duration::ZERO;
    for seed in 0..20 {
        let mut client = join(seed);
        let mut server = client.welcomed(5_000, 3_600_000).await;
        let ping = server.ping().await;
        server.pong(&ping).await;
        server
            .send(&json!({"type":"config","rev":7,"interval_ms":5000,"timeout_ms":3_600_000,"spread_ms":20_000}))
            .await;
        assert!(server.is_quiet_for(ms(3_700)).await, "there is nothing to acknowledge");
        server.ping().await;
        drop(server);
        let lost = Instant::now();
        client.accept().await;
        assert!(lost.elapsed() <= secs(20));
        longest = longest.max(lost.elapsed());
        while let Ok(notice) = client.windows.notices.try_recv() {
            assert_ne!(notice.word(), "settings");
        }
    }
    assert!(longest > secs(10), "{longest:?}");
}
