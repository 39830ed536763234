//! What a server sends, as it may come.

use std::time::Duration;

use presence_tui::presence::State;
use presence_tui::presence::view::Link;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::time::{self, Instant, timeout};

use crate::hand::*;

#[tokio::test(start_paused = true)]
async fn lines_may_come_in_pieces_and_nonsense_is_ignored_and_counted() {
    let mut client = join(1);
    let (mut server, _) = client.accept().await;
    for piece in welcome(5_000, 15_000).to_string().as_bytes().chunks(7) {
        server.stream.write_all(piece).await.unwrap();
        time::sleep(Duration::from_millis(1)).await;
    }
    server.say("\r\n").await;
    for nonsense in ["hello", "[]", "{\"type\":5}", "{\"type\":\"pong\",\"seq\":-1}", "{\"type\":\"error\"}"]
    {
        server.say(&format!("{nonsense}\n")).await;
    }
    server.say("\n{\"type\":\"wave\"}\n").await;
    let state = client.state(|state| state.bad_lines == 5).await;
    assert!(matches!(state.uplink.link, Link::Online(_)));
    server.stream.write_all(b"{\"type\":\"ping\",\xff}\n").await.unwrap();
    server.ping().await;
}

#[tokio::test(start_paused = true)]
async fn peers_come_and_go_and_a_missed_change_is_asked_for() {
    let mut client = join(1);
    let mut server = client.welcomed(60_000, 120_000).await;
    let entry =
        |id: &str| json!({"ip":"10.0.0.7","port":3000,"id":id,"name":id,"state":"online","age_ms":1500});
    server.send(&json!({"type":"client_list","clients":[entry("a")],"rev":120,"page":0,"more":true})).await;
    server.send(&json!({"type":"client_left","rev":121,"clients":[{"id":"b","reason":"timeout"}]})).await;
    server.send(&json!({"type":"client_list","clients":[entry("b")],"rev":120,"page":1,"more":false})).await;
    client.notice("2 clients are here").await;
    client.notice("b is gone: timeout").await;
    server.send(&json!({"type":"client_joined","rev":122,"clients":[entry("c")]})).await;
    client.notice("c joined").await;
    server.send(&json!({"type":"client_joined","rev":125,"clients":[entry("d")]})).await;
    assert_eq!(server.line().await, json!({"type":"sync","from":122}));
    server.send(&json!({"type":"client_left","rev":123,"clients":[{"id":"a","reason":"left"}]})).await;
    client.notice("a is gone: left").await;
    let state = client.state(|state| state.peers.counts().of(State::Left) == 1).await;
    let peers: Vec<_> = state.peers.iter().map(|peer| (&*peer.label, peer.state)).collect();
    assert_eq!(peers, [("a", State::Left), ("b", State::TimedOut), ("c", State::Online)]);
    assert!(state.peers.iter().all(|peer| peer.last_seen.is_some()));
}

#[tokio::test(start_paused = true)]
async fn hostile_texts_of_a_server_are_harmless() {
    let evil = "x\u{1b}]0;owned\u{7}\r\n\u{202e}";
    let mut client = join(1);
    let (mut server, _) = client.accept().await;
    let mut greeting = welcome(60_000, 120_000);
    greeting["server"]["name"] = json!(evil);
    greeting["id"] = json!(evil);
    server.send(&greeting).await;
    server
        .send(&json!({"type":"client_list","rev":1,"clients":[{"ip":evil,"port":1,"id":evil,"name":evil,"user":evil,"tags":{evil:evil}}]}))
        .await;
    server.send(&json!({"type":"chat","from_ip":evil,"from_port":1,"message":evil})).await;
    server.send(&json!({"type":"error","code":"unknown","message":evil})).await;
    server.send(&json!({"type":evil,"type2":1})).await;
    server.say("{\"type\":\"\u{7}\n").await;
    server.send(&json!({"type":"drain","reason":evil,"in_ms":9})).await;
    client.accept().await;
    let state = client.state(|state| state.peers.counts().total() == 1).await;
    let mut shown = format!("{}{}", state.uplink.id, state.uplink.server);
    for peer in state.peers.iter() {
        shown = format!("{shown}{}{}{}{:?}{:?}", peer.label, peer.id, peer.claim, peer.user, peer.note());
    }
    while let Ok(notice) = client.windows.notices.try_recv() {
        shown += &notice.to_string();
    }
    assert!(shown.contains("owned"));
    assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}'), "{shown:?}");
}

#[tokio::test(start_paused = true)]
async fn the_state_is_published_at_most_ten_times_a_second() {
    let mut client = join(1);
    let mut server = client.welcomed(60_000, 120_000).await;
    client.state(|state| matches!(state.uplink.link, Link::Online(_))).await;
    let started = Instant::now();
    let flood = tokio::spawn(async move {
        for _ in 0..1_000 {
            server.say("{\"type\":\"wave\"}\n").await;
            time::sleep(Duration::from_millis(2)).await;
        }
    });
    let mut seen = 0;
    while timeout(secs(1), client.windows.state.changed()).await.is_ok() && !flood.is_finished() {
        seen += 1;
    }
    let tenths = started.elapsed().as_millis() / 100;
    assert!(seen > 10 && seen <= tenths + 2, "{seen} in {tenths} tenths of a second");
}
