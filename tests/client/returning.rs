//! Ends, and new beginnings.

use std::time::Duration;

use presence_tui::client::{Identity, JoinError};
use presence_tui::presence::command::Command;
use presence_tui::presence::view::Link;
use presence_tui::protocol::ErrorCode;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::time::{self, Instant, timeout};

use crate::hand::*;

#[tokio::test(start_paused = true)]
async fn the_wait_a_server_asks_for_is_kept_exactly() {
    let mut client = join(1);
    let (mut server, _) = client.accept().await;
    server.send(&json!({"type":"error","code":"full","message":"100 of 100 clients","retry_ms":4000})).await;
    let told = Instant::now();
    let (_server, register) = client.accept().await;
    let waited = told.elapsed();
    assert!(waited >= secs(4) && waited < Duration::from_millis(4_010), "{waited:?}");
    assert_eq!(register["conn"], 2);
    client.notice("retrying in 4s (attempt 2)").await;
}

#[tokio::test(start_paused = true)]
async fn a_final_error_ends_the_client_with_words_that_help() {
    for code in ["auth", "forbidden", "bad_request", "version", "replaced", "id_conflict", "kicked"] {
        let mut client = join(1);
        let (mut server, _) = client.accept().await;
        server.send(&json!({"type":"error","code":code,"message":"no\u{1b}[2J"})).await;
        let error = client.task.await.unwrap().unwrap_err();
        let text = error.to_string();
        assert!(text.contains("hq:8080") && text.contains(code), "{text}");
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_complaint_about_one_line_is_final_only_if_the_connection_ends_with_it() {
    let complaint = json!({"type":"error","code":"bad_request","message":"what?"});
    let mut client = join(1);
    let mut server = client.welcomed(60_000, 120_000).await;
    server.send(&complaint).await;
    time::sleep(secs(3)).await;
    drop(server);
    let mut server = client.welcomed(60_000, 120_000).await;
    server.send(&complaint).await;
    drop(server);
    let JoinError::Refused { code, .. } = client.task.await.unwrap().unwrap_err();
    assert_eq!(code, ErrorCode::BadRequest);
}

#[tokio::test(start_paused = true)]
async fn a_timed_out_client_comes_back_at_once_and_never_spins() {
    let mut client = join(1);
    let mut server = client.welcomed(5_000, 15_000).await;
    let told = Instant::now();
    server.send(&json!({"type":"error","code":"timeout","message":"silent for 15s","retry_ms":0})).await;
    let (mut server, register) = client.accept().await;
    assert!(told.elapsed() < Duration::from_millis(5));
    assert_eq!(register["resume"], "s3cret");
    for _ in 0..50 {
        server.send(&json!({"type":"error","code":"full","message":"full","retry_ms":0})).await;
        server = client.accept().await.0;
    }
    assert!(told.elapsed() > secs(4));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_holds_its_heartbeats_back_stays_away_once_it_is_timed_out() {
    let timeout = json!({"type":"error","code":"timeout","message":"silent for 15s","retry_ms":0});
    let mut client = join(1);
    let mut server = client.welcomed(5_000, 15_000).await;
    client.commands.send(Command::Hold(true)).await.unwrap();
    client.notice("holding").await;
    server.send(&timeout).await;
    client.notice("not coming back before heartbeats are sent again").await;
    let state = client.state(|state| matches!(state.uplink.link, Link::Offline { .. })).await;
    assert!(state.uplink.holding);
    assert!(time::timeout(secs(3_600), client.servers.recv()).await.is_err(), "it came back by itself");

    // Asked to, it comes back and still does not beat; and is timed out again.
    client.commands.send(Command::Reconnect).await.unwrap();
    let mut server = client.welcomed(5_000, 15_000).await;
    assert!(server.is_quiet_for(secs(60)).await);
    server.send(&timeout).await;
    client.notice("not coming back").await;

    // Let go, it is back at once, as the one it was.
    let released = Instant::now();
    client.commands.send(Command::Hold(false)).await.unwrap();
    let (mut server, register) = client.accept().await;
    assert!(released.elapsed() < Duration::from_millis(5));
    assert_eq!((&register["resume"], &register["conn"]), (&json!("s3cret"), &json!(3)));
    server.send(&welcome(5_000, 15_000)).await;
    server.ping().await;

    // Quitting ends the wait as well.
    client.commands.send(Command::Hold(true)).await.unwrap();
    server.send(&timeout).await;
    client.notice("not coming back").await;
    client.commands.send(Command::Quit).await.unwrap();
    assert_eq!(client.task.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_connection_lost_for_another_reason_is_replaced_even_while_heartbeats_are_held_back() {
    let mut client = join(1);
    let server = client.welcomed(5_000, 15_000).await;
    client.commands.send(Command::Hold(true)).await.unwrap();
    client.notice("holding").await;
    drop(server);
    client.accept().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_retried_with_spread_and_then_jitter_and_a_fresh_lookup_each_time() {
    for seed in 0..30 {
        let mut client = join(seed);
        let mut server = client.welcomed(5_000, 15_000).await;
        server.ping().await;
        let trouble =
            [Trouble::Refused, Trouble::Unknown, Trouble::Refused, Trouble::Unknown, Trouble::Refused];
        client.log.lock().unwrap().trouble = trouble.into_iter().collect();
        drop(server);
        let lost = Instant::now();
        client.accept().await;
        let lookups = client.log.lock().unwrap().lookups.clone();
        assert_eq!(lookups.len(), 7);
        let bounds_ms = [400, 500, 1_000, 2_000, 4_000, 8_000];
        let mut before = lost;
        for (at, bound_ms) in lookups[1..].iter().zip(bounds_ms) {
            let waited = at.saturating_duration_since(before);
            assert!(waited <= Duration::from_millis(bound_ms + 5), "{waited:?} > {bound_ms}");
            before = *at;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stable_interval_starts_the_waits_over_and_a_shorter_one_does_not() {
    for (lasts, bound_ms) in [(secs(6), 400), (secs(1), 16_000)] {
        let mut longest = Duration::ZERO;
        for seed in 0..20 {
            let mut client = join_into(seed, &[Trouble::Refused; 6]);
            let mut server = client.welcomed(5_000, 3_600_000).await;
            timeout(lasts, async { while server.stream.read_u8().await.is_ok() {} }).await.unwrap_err();
            drop(server);
            let lost = Instant::now();
            client.accept().await;
            longest = longest.max(lost.elapsed());
        }
        assert!(longest <= Duration::from_millis(bound_ms + 5), "{longest:?}");
        assert!(longest > Duration::from_millis(bound_ms / 2), "{longest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_does_not_answer_is_given_up_after_five_seconds() {
    let mut client = join_into(1, &[Trouble::Stuck]);
    let started = Instant::now();
    client.accept().await;
    assert!(started.elapsed() >= secs(5) && started.elapsed() < secs(6));
    client.notice("did not answer within 5s").await;
}

#[tokio::test(start_paused = true)]
async fn whoever_quits_says_goodbye() {
    for by_command in [true, false] {
        let mut client = join(1);
        let mut server = client.welcomed(60_000, 120_000).await;
        client.state(|state| matches!(state.uplink.link, Link::Online(_))).await;
        if by_command {
            client.commands.send(Command::Quit).await.unwrap();
        } else {
            client.cancel.cancel();
        }
        assert_eq!(server.raw().await, "{\"type\":\"leave\",\"reason\":\"quit\"}\n");
        server.closed().await;
        assert_eq!(client.task.await.unwrap(), Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn quitting_does_not_wait_for_a_server_that_reads_nothing_or_is_not_there() {
    let mut client = join_into(1, &[Trouble::Refused; 1_000]);
    client.notice("retrying").await;
    client.commands.send(Command::Quit).await.unwrap();
    assert_eq!(client.task.await.unwrap(), Ok(()));
    let stuck = join_into(1, &[Trouble::Stuck]);
    let asked = Instant::now();
    stuck.cancel.cancel();
    assert_eq!(stuck.task.await.unwrap(), Ok(()));
    assert!(asked.elapsed() < Duration::from_millis(600));
}

#[tokio::test(start_paused = true)]
async fn a_draining_server_is_left_in_this_clients_own_slot() {
    let mut client = join(1);
    let mut server = client.welcomed(60_000, 120_000).await;
    server.send(&json!({"type":"drain","reason":"restart","in_ms":1730})).await;
    let told = Instant::now();
    let mut last = server.line().await;
    while last["type"] == "ping" {
        last = server.line().await;
    }
    assert_eq!(last, json!({"type":"leave","reason":"restart"}));
    assert!(told.elapsed() >= Duration::from_millis(1_729) && told.elapsed() < Duration::from_millis(1_740));
    server.closed().await;
    client.accept().await;
}

#[tokio::test(start_paused = true)]
async fn a_note_is_told_to_the_others_and_remembered_for_the_next_connection() {
    let mut client = join(1);
    let mut server = client.welcomed(60_000, 120_000).await;
    client.commands.send(Command::Note("draining\u{7}".to_owned())).await.unwrap();
    assert_eq!(server.line().await, json!({"type":"update","tags":{"role":"ci","note":"draining\u{fffd}"}}));
    client.commands.send(Command::Reconnect).await.unwrap();
    server.closed().await;
    let (_server, register) = client.accept().await;
    assert_eq!(register["tags"]["note"], "draining\u{fffd}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_nothing_in_is_given_up_after_five_seconds() {
    let mut client = join(1);
    client.log.lock().unwrap().room_bytes = 16;
    let (_, mut server) = client.servers.recv().await.unwrap();
    let started = Instant::now();
    client.notice("nothing could be sent for 5s").await;
    assert!(started.elapsed() >= secs(5) && started.elapsed() < secs(6), "{:?}", started.elapsed());
    let asked = Instant::now();
    client.cancel.cancel();
    assert_eq!(client.task.await.unwrap(), Ok(()));
    assert!(asked.elapsed() < secs(1));
    let _ = server.read_u8().await; // It was open until here.
}

#[tokio::test(start_paused = true)]
async fn quitting_is_prompt_even_while_nothing_can_be_sent() {
    let mut client = join(1);
    client.log.lock().unwrap().room_bytes = 16;
    let _server = client.servers.recv().await.unwrap();
    time::sleep(secs(1)).await;
    let asked = Instant::now();
    client.cancel.cancel();
    assert_eq!(client.task.await.unwrap(), Ok(()));
    assert!(asked.elapsed() < secs(1), "{:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_last_words_of_a_server_count_even_if_they_were_not_read_in_time() {
    let mut client = join(1);
    let mut server = client.welcomed(5_000, 15_000).await;
    server.ping().await;
    server.send(&json!({"type":"error","code":"kicked","message":"by the operator"})).await;
    drop(server);
    client.commands.send(Command::BeatNow).await.unwrap();
    let error = client.task.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("by the operator"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_person_can_cut_a_wait_short() {
    let mut client = join_into(2, &[Trouble::Refused; 9]);
    for _ in 0..9 {
        client.notice("retrying").await;
        client.commands.send(Command::Reconnect).await.unwrap();
    }
    let started = Instant::now();
    client.accept().await;
    assert!(started.elapsed() < Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn identity_and_secret_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut ids = Vec::new();
    for (secret, wall_ms) in [(json!(null), 5_000), (json!("s3cret"), 4_000)] {
        let (identity, warnings) = Identity::open(dir.path(), "hq", "build-7", None, wall_ms);
        assert_eq!(warnings, Vec::<String>::new());
        let mut client = join_as(identity, 1, &[]);
        let (mut server, register) = client.accept().await;
        assert_eq!(register["resume"], secret);
        ids.push((register["id"].clone(), register["gen"].clone()));
        server.send(&welcome(5_000, 15_000)).await;
        server.ping().await;
        client.cancel.cancel();
        assert_eq!(client.task.await.unwrap(), Ok(()));
    }
    assert_eq!(ids[0].0, ids[1].0);
    assert_eq!((&ids[0].1, &ids[1].1), (&json!(5_000), &json!(5_001)), "the wall clock stepped back");
}
