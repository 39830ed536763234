//! What can be asked over HTTP, and what it may cost.

use std::time::Duration;

use presence_tui::presence::command::Command;
use presence_tui::presence::registry::Limits;
use presence_tui::presence::{Dialect, Dialects};
use presence_tui::server::Options;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

use crate::common::{Lab, Peer, options, secs};

/// One answer: status, head, body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}\n{}", self.head, self.body))
    }
}

/// Asks on a connection that stays open.
async fn ask(peer: &mut Peer, target: &str) -> Answer {
    peer.send(format!("GET {target} HTTP/1.1\r\nHost: here\r\n\r\n").as_bytes()).await;
    answer(peer).await
}

async fn answer(peer: &mut Peer) -> Answer {
    let mut head = String::new();
    loop {
        let line = peer.line().await.expect("a whole head");
        if line.is_empty() {
            break;
        }
        head.push_str(&line);
        head.push('\n');
    }
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = String::new();
    while body.len() < length.map_or(0, |length| length.parse().unwrap()) {
        body.push_str(&peer.line().await.expect("a whole body"));
        body.push('\n');
    }
    Answer { status, head, body }
}

/// Asks once.
async fn get(lab: &mut Lab, target: &str) -> Answer {
    let mut peer = lab.call();
    ask(&mut peer, target).await
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_the_same_bytes_every_time_apart_from_its_date() {
    let mut lab = Lab::new();
    let mut peer = lab.call();
    for cut in [1, 3, 4, 15, 30] {
        let (a, b) = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".split_at(cut);
        peer.send(a).await;
        sleep(Duration::from_millis(100)).await;
        peer.send(b).await;
        let mut lines = Vec::new();
        for _ in 0..7 {
            lines.push(peer.line().await.unwrap());
        }
        lines.retain(|line| !line.starts_with("date: "));
        let expected = [
            "HTTP/1.1 200 OK",
            "content-type: text/plain; charset=utf-8",
            "cache-control: no-store",
            "content-length: 3",
            "",
            "ok",
        ];
        assert_eq!(lines, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn connections_are_counted_by_state_platform_and_dialect() {
    let mut lab = Lab::new();
    let (mut a, _) = lab.v1(r#""id":"a","platform":"linux/x86_64","#).await;
    let (_b, _) = lab.v1(r#""id":"b","platform":"linux/x86_64","#).await;
    let mut c = lab.legacy().await;
    sleep(secs(12)).await;
    a.ping().await;
    c.say(r#"{"type":"leave","reason":"quit"}"#).await;
    sleep(secs(4)).await;
    let told = get(&mut lab, "/health/connections").await.json();
    assert_eq!((&told["active"], &told["max_clients"]), (&2.into(), &100.into()));
    assert_eq!((&told["states"]["online"], &told["states"]["late"]), (&1.into(), &1.into()));
    assert_eq!(told["platforms"]["linux/x86_64"], 2);
    assert_eq!((&told["dialects"]["presence"], &told["dialects"]["websocket"]), (&2.into(), &0.into()));
    assert_eq!((&told["sessions"], &told["departures"]["left"]), (&3.into(), &1.into()));
    assert_eq!((&told["average_age_ms"], &told["average_lifetime_ms"]), (&16_000.into(), &12_000.into()));
    assert_eq!(told["http"], 1, "who asks is no client");
}

#[tokio::test(start_paused = true)]
async fn heartbeats_are_counted_and_so_are_those_that_did_not_come() {
    let mut lab = Lab::new();
    let nobody = get(&mut lab, "/health/heartbeats").await.json();
    assert_eq!((&nobody["success_rate"], &nobody["last_received_ms"]), (&1.0.into(), &Value::Null));
    let (mut peer, _) = lab.v1("").await;
    for _ in 0..5 {
        sleep(secs(9)).await;
        peer.say(r#"{"type":"ping","seq":1,"rtt_us":800}"#).await;
        peer.hear_type("pong").await;
    }
    sleep(secs(29)).await;
    peer.ping().await;
    sleep(secs(2)).await;
    let told = get(&mut lab, "/health/heartbeats").await.json();
    assert_eq!((&told["received"], &told["sent"], &told["missed"]), (&6.into(), &6.into(), &1.into()));
    assert!((told["success_rate"].as_f64().unwrap() - 6.0 / 7.0).abs() < 1e-9);
    assert_eq!((&told["last_received_ms"], &told["last_sent_ms"]), (&2_000.into(), &2_000.into()));
    assert_eq!((&told["rtt"]["count"], &told["rtt"]["max_us"]), (&1.into(), &800.into()));
    assert_eq!((&told["interval_ms"], &told["timeout_ms"]), (&10_000.into(), &30_000.into()));
    assert_eq!((&told["false_timeouts"], &told["lateness"]["count"]), (&0.into(), &0.into()));
}

#[tokio::test(start_paused = true)]
async fn the_stale_are_told_and_the_departed_keep_their_reasons() {
    let limits = Limits { retention: secs(100), ..options().limits };
    let mut lab = Lab::with(Options { limits, ..options() });
    let mut witness = lab.legacy().await;
    let (_silent, _) = lab.v1(r#""id":"silent","user":"ada","#).await;
    for _ in 0..4 {
        sleep(secs(8)).await;
        witness.ping().await;
    }
    let told = get(&mut lab, "/health/stale").await.json();
    assert_eq!((&told["late"], &told["timed_out"]), (&0.into(), &1.into()));
    assert_eq!((&told["timeouts_detected"], &told["late_detected"]), (&1.into(), &1.into()));
    assert_eq!(told["last_check_ms"], 1_000, "when the witness could have been late, had it not been heard");
    assert_eq!((&told["rows_cleaned_up"], &told["last_cleanup_ms"]), (&0.into(), &Value::Null));
    let gone = get(&mut lab, "/clients?state=timed_out").await.json();
    assert_eq!((&gone["matched"], &gone["clients"][0]["reason"]), (&1.into(), &"timeout".into()));
    for _ in 0..13 {
        sleep(secs(8)).await;
        witness.ping().await;
    }
    let told = get(&mut lab, "/health/stale").await.json();
    assert_eq!((&told["rows_cleaned_up"], &told["timed_out"]), (&1.into(), &0.into()));
    assert!(told["last_cleanup_ms"].is_u64());
    // The row is forgotten, the departure is not.
    let closed = get(&mut lab, "/clients?state=closed&user=ada").await.json();
    assert_eq!((&closed["matched"], &closed["clients"][0]["id"]), (&1.into(), &"silent".into()));
    assert_eq!(closed["clients"][0]["reason"], "timeout");
    assert_eq!(closed["clients"][0]["silent_ms"], 30_000);
    assert_eq!(get(&mut lab, "/clients?state=closed&user=bob").await.json()["matched"], 0);
}

#[tokio::test(start_paused = true)]
async fn rows_come_in_pages_without_gap_or_overlap() {
    let mut lab = Lab::new();
    let mut peers = Vec::new();
    for n in 0..23 {
        let user = if n % 2 == 0 { "even" } else { "odd" };
        peers.push(lab.v1(&format!(r#""id":"c{n:02}","name":"c{n:02}","user":"{user}","#)).await.0);
    }
    let mut ids = Vec::new();
    for offset in (0..30).step_by(5) {
        let page = get(&mut lab, &format!("/clients?sort=name&limit=5&offset={offset}")).await.json();
        assert_eq!((&page["matched"], &page["offset"]), (&23.into(), &offset.into()));
        let rows = page["clients"].as_array().unwrap();
        assert_eq!(page["count"], rows.len());
        ids.extend(rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
    }
    assert_eq!(ids, (0..23).map(|n| format!("c{n:02}")).collect::<Vec<_>>());
    let odd = get(&mut lab, "/clients?user=odd&sort=-name&limit=1").await.json();
    assert_eq!((&odd["matched"], &odd["clients"][0]["id"]), (&11.into(), &"c21".into()));
    let row = &odd["clients"][0];
    assert_eq!(
        (&row["dialect"], &row["protocol"], &row["cannot"]),
        (&"presence".into(), &1.into(), &Value::Null)
    );
    assert_eq!((&row["times_out_in_ms"], &row["timeout_ms"]), (&30_000.into(), &30_000.into()));
    let wrong = get(&mut lab, "/clients?limit=10000").await;
    assert_eq!(
        (wrong.status, &wrong.json()["error"]),
        (400, &"limit is a number, 1 to 1000, and not 10000".into())
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_or_not_allowed_is_said() {
    let mut lab = Lab::new();
    assert_eq!(get(&mut lab, "/nothing").await.status, 404);
    assert!(get(&mut lab, "/").await.body.contains("/metrics"));
    let mut peer = lab.call();
    peer.send(b"POST /clients HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await;
    let refused = answer(&mut peer).await;
    assert!(refused.status == 405 && refused.head.contains("allow: GET, HEAD"), "{}", refused.head);
    let mut peer = lab.call();
    peer.send(b"GET nonsense\r\n\r\n").await;
    assert_eq!(answer(&mut peer).await.status, 400);
    let mut peer = lab.call();
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    peer.send(long.as_bytes()).await;
    assert_eq!(answer(&mut peer).await.status, 431);
    lab.server.remote().speak(Dialects::all().iter().filter(|it| *it != Dialect::Http).collect());
    assert_eq!(get(&mut lab, "/healthz").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn who_asks_takes_no_place_of_a_client_and_there_is_a_limit_on_asking() {
    let limits = Limits { max_clients: 1, ..options().limits };
    let mut lab = Lab::with(Options { limits, ..options() });
    let mut asking = Vec::new();
    for _ in 0..64 {
        let mut peer = lab.call();
        assert_eq!(ask(&mut peer, "/healthz").await.status, 200);
        asking.push(peer);
    }
    let mut one_more = lab.call();
    assert_eq!(ask(&mut one_more, "/healthz").await.status, 503);
    assert_eq!(one_more.line().await, None);
    let _client = lab.legacy().await;
    asking.pop();
    sleep(secs(1)).await;
    assert_eq!(get(&mut lab, "/readyz").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_asks_nothing_more_is_closed_and_so_is_half_a_question() {
    let mut lab = Lab::new();
    let mut peer = lab.call();
    ask(&mut peer, "/healthz").await;
    let begun = Instant::now();
    assert_eq!(peer.line().await, None);
    assert_eq!(begun.elapsed().as_secs(), 30);
    let mut half = lab.call();
    half.send(b"GET /healthz HTTP/1.1\r\nHost:").await;
    let begun = Instant::now();
    assert_eq!(half.line().await, None);
    assert_eq!(begun.elapsed().as_secs(), 5, "the time to register");
}

#[tokio::test(start_paused = true)]
async fn a_stopping_server_is_not_ready() {
    let mut lab = Lab::new();
    let _client = lab.v1("").await;
    let mut peer = lab.call();
    assert_eq!(ask(&mut peer, "/readyz").await.body, "ready\n");
    let Lab { server, events: _events, .. } = lab;
    let stopping = tokio::spawn(server.stop());
    sleep(Duration::from_millis(100)).await;
    assert_eq!(ask(&mut peer, "/readyz").await.status, 503);
    assert_eq!(ask(&mut peer, "/healthz").await.status, 200);
    let summary = stopping.await.unwrap();
    assert_eq!(summary.left_behind, 0, "who asks does not hold the server up");
    assert_eq!(peer.line().await, None);
}

#[tokio::test(start_paused = true)]
async fn events_are_told_as_they_happen() {
    let mut lab = Lab::new();
    let mut listener = lab.call();
    let head = ask(&mut listener, "/events").await.head;
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    let (mut peer, _) = lab.v1(r#""id":"x","name":"x","#).await;
    peer.say(r#"{"type":"leave","reason":"quit"}"#).await;
    sleep(secs(40)).await;
    let mut heard = String::new();
    while !heard.contains("\"detail\":\"quit\"") {
        heard.push_str(&listener.line().await.unwrap());
        heard.push('\n');
    }
    assert!(heard.contains("\nevent: registered\ndata: {"), "{heard}");
    assert!(heard.contains("\nevent: left\ndata: {") && heard.contains("\"id\":\"x\""), "{heard}");
    assert!(heard.contains(":\n"), "it is told that it is heard: {heard}");
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_does_not_read_is_cut_and_holds_nobody_up() {
    let limits = Limits { flood_factor: 0, ..options().limits };
    let mut lab = Lab::with(Options { limits, ..options() });
    let mut deaf = lab.call_with_pipe(512);
    deaf.send(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n").await;
    sleep(secs(1)).await;
    let (mut peer, _) = lab.v1(r#""id":"x","#).await;
    for n in 0..2_000 {
        peer.say(&format!(r#"{{"type":"update","name":"n{n}"}}"#)).await;
    }
    peer.ping().await;
    let mut rest = Vec::new();
    let read = timeout(secs(60), deaf.io.read_to_end(&mut rest)).await;
    assert!(read.is_ok(), "its connection is closed");
    assert!(rest.len() < 200_000, "and what it did not read is gone");
}

#[tokio::test(start_paused = true)]
async fn metrics_have_units_and_no_label_per_client() {
    let mut lab = Lab::new();
    let mut peers = Vec::new();
    for n in 0..5 {
        let id = format!(r#""id":"unmistakable-{n}","platform":"odd-{n}","user":"someone","#);
        let mut peer = lab.v1(&id).await.0;
        peer.ping().await;
        peers.push(peer);
    }
    let page = get(&mut lab, "/metrics").await;
    assert!(page.head.contains("content-type: text/plain; version=0.0.4"), "{}", page.head);
    for line in [
        "presence_clients{state=\"online\"} 5",
        "presence_clients_live{dialect=\"presence\"} 5",
        "presence_heartbeats_received_total 5",
        "presence_interval_seconds 10",
        "# TYPE presence_verdict_lateness_seconds summary",
        "presence_departures_total{reason=\"timeout\"} 0",
    ] {
        assert!(page.body.lines().any(|told| told == line), "{line} is not in\n{}", page.body);
    }
    for secret in ["unmistakable", "odd-", "someone", "127.0.0.1"] {
        assert!(!page.body.contains(secret), "{secret}\n{}", page.body);
    }
    for line in page.body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("presence_") && value.parse::<f64>().is_ok(), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_kick_is_seen_with_its_reason_in_what_was_asked_before() {
    let mut lab = Lab::new();
    let (_peer, _) = lab.v1(r#""id":"x","#).await;
    let mut asking = lab.call();
    let row = ask(&mut asking, "/clients").await.json()["clients"][0]["row"].as_u64().unwrap();
    let key = presence_tui::presence::RowKey(row);
    lab.server.remote().command(Command::Kick(key, None)).await;
    let told = ask(&mut asking, "/clients?state=left").await.json();
    assert_eq!(told["clients"][0]["reason"], "kicked");
    assert_eq!(ask(&mut asking, "/clients?state=closed").await.json()["clients"][0]["reason"], "kicked");
    asking.io.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_path_of_the_protocol_page_answers_and_the_index_has_them_all() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/protocol.md")).unwrap();
    let (_, table) = page.split_once("| path | answer |\n").unwrap();
    let mut lab = Lab::new();
    let index = get(&mut lab, "/").await.body;
    let rows = table.lines().skip(1).take_while(|line| line.starts_with("| `/"));
    let paths: Vec<_> = rows.map(|row| row.split('`').nth(1).unwrap()).collect();
    assert_eq!(paths.len(), 11);
    for path in paths {
        assert_eq!(get(&mut lab, path).await.status, 200, "{path}");
        assert!(index.contains(path.split('?').next().unwrap()), "{path} is not in\n{index}");
    }
}
