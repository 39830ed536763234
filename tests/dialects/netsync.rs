//! What a netsync client is promised, by a client that does what the protocol page says of it.

use std::time::Duration;

use presence_tui::presence::command::Command;
use presence_tui::presence::event::Origin;
use presence_tui::presence::notify::{Notification, Target};
use presence_tui::presence::registry::Limits;
use presence_tui::presence::{RowKey, Settings};
use presence_tui::server::Options;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep, timeout};

use crate::common::{Lab, options, secs};

const IDENTIFY: &[u8] = br#"{"Identify":{"hostname":"bench-1"}}"#;
const PONG: &[u8] = br#"{"Custom":{"data":"PONG"}}"#;

/// How a conversation of [`Bench`] ended.
#[derive(Debug, PartialEq)]
enum End {
    /// The time was up, so many pings answered.
    Fine(u64),
    /// The server was silent for too long.
    Silent,
    /// Two values came in one read, which loses both.
    Glued,
    /// The server closed.
    Closed,
}

/// A netsync client as the page describes it.
struct Bench(DuplexStream);

impl Bench {
    fn call(lab: &mut Lab) -> Self {
        Self(lab.call().io)
    }

    async fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Answers pings for `span`: each read must hold one value, and the server may be silent for 10 s at most.
    async fn live(&mut self, span: Duration) -> End {
        let end = Instant::now() + span;
        let (mut pings, mut heard) = (0, Instant::now());
        loop {
            let mut chunk = [0; 1_024];
            let patience = (heard + secs(10)).min(end).saturating_duration_since(Instant::now());
            let read = match timeout(patience, self.0.read(&mut chunk)).await {
                Err(_) if Instant::now() >= end => return End::Fine(pings),
                Err(_) => return End::Silent,
                Ok(read) => read.unwrap(),
            };
            match &chunk[..read] {
                b"" => return End::Closed,
                b"\"Ping\"" => {}
                _ => return End::Glued,
            }
            assert!(pings == 0 || heard.elapsed() >= Duration::from_millis(50), "two values too close");
            (pings, heard) = (pings + 1, Instant::now());
            sleep(Duration::from_millis(3)).await;
            self.say(PONG).await;
        }
    }
}

/// Asks for the rows over HTTP.
async fn rows(lab: &mut Lab) -> Vec<Value> {
    let mut peer = lab.call();
    peer.send(b"GET /clients HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let mut answer = String::new();
    peer.io.read_to_string(&mut answer).await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str::<Value>(body).unwrap()["clients"].as_array().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_keeps_to_the_table_stays_on_one_connection() {
    for (interval, timeout) in
        [(secs(60), secs(120)), (secs(5), secs(6)), (Duration::from_millis(100), secs(1))]
    {
        let settings = Settings::new(interval, timeout).unwrap();
        let mut lab = Lab::with(Options { settings, ..options() });
        let mut bench = Bench::call(&mut lab);
        bench.say(IDENTIFY).await;
        let End::Fine(pings) = bench.live(secs(60)).await else { panic!("with {interval:?}") };
        let expected = Duration::from_mins(1).as_millis() / secs(5).min(interval * 3 / 4).as_millis();
        assert!(
            u64::try_from(expected).unwrap().abs_diff(pings) <= 2 + pings / 20,
            "{pings} pings with {interval:?}"
        );
        let row = &rows(&mut lab).await[0];
        assert_eq!(
            (&row["name"], &row["dialect"], &row["state"]),
            (&"bench-1".into(), &"netsync".into(), &"online".into())
        );
        assert_eq!((&row["cannot"], &row["claim"]), (&"no receipts, no live interval".into(), &Value::Null));
        assert_eq!((&row["rtt_us"], &row["sessions"]), (&3_000.into(), &1.into()));
        assert!(row["beats"].as_u64().unwrap() >= pings - 1);
        assert_eq!(lab.word().await, "registered");
        assert!(lab.events.try_recv().is_err(), "never late, never gone");
    }
}

#[tokio::test(start_paused = true)]
async fn values_may_be_glued_split_or_ended_by_a_newline() {
    let mut lab = Lab::new();
    let everything = [IDENTIFY, b"\n", PONG, PONG, b"\"Hello\"", b"[1,{}]", PONG, b"\n"].concat();
    let mut whole = Bench::call(&mut lab);
    whole.say(&everything).await;
    let mut pieces = Bench::call(&mut lab);
    for byte in &everything {
        pieces.say(&[*byte]).await;
        sleep(Duration::from_millis(1)).await;
    }
    sleep(secs(1)).await;
    let rows = rows(&mut lab).await;
    assert_eq!(rows.len(), 2, "the same claim from two connections is two rows");
    for row in rows {
        assert_eq!((&row["name"], &row["beats"]), (&"bench-1".into(), &3.into()), "{row}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_string_before_its_name_is_fine_and_the_bytes_are_exact() {
    let mut lab = Lab::new();
    let mut bench = Bench::call(&mut lab);
    bench.say(b"\"Hello\"").await;
    sleep(secs(2)).await;
    bench.say(IDENTIFY).await;
    let mut said = [0; 6];
    bench.0.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"\"Ping\"");
    // Others come and go, and talk: none of it reaches who would not understand it.
    let mut other = lab.legacy().await;
    other.say(r#"{"type":"chat","message":"hello"}"#).await;
    let mut rest = vec![0; 100];
    let read = timeout(Duration::from_millis(4_900), bench.0.read(&mut rest)).await;
    assert!(read.is_err(), "{:?}", String::from_utf8_lossy(&rest));
    bench.0.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"\"Ping\"");
}

#[tokio::test(start_paused = true)]
async fn one_that_answers_nothing_is_late_and_timed_out_like_any_other() {
    let mut lab = Lab::new();
    let mut bench = Bench::call(&mut lab);
    let begun = Instant::now();
    bench.say(IDENTIFY).await;
    let mut pings = Vec::new();
    bench.0.read_to_end(&mut pings).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 30, "the deadline of the settings");
    let exact = [6, 7].map(|times| b"\"Ping\"".repeat(times));
    assert!(exact.contains(&pings), "and not one word it would not understand");
    for word in ["registered", "late", "timed_out"] {
        assert_eq!(lab.word().await, word);
    }
    // It comes back to its old row.
    let mut again = Bench::call(&mut lab);
    again.say(IDENTIFY).await;
    assert_eq!(lab.word().await, "resumed");
}

#[tokio::test(start_paused = true)]
async fn a_refused_one_is_held_in_silence_and_then_closed() {
    let limits = Limits { max_clients: 1, ..options().limits };
    let mut lab = Lab::with(Options { limits, ..options() });
    let mut first = Bench::call(&mut lab);
    first.say(IDENTIFY).await;
    sleep(secs(1)).await;
    let mut second = Bench::call(&mut lab);
    second.say(IDENTIFY).await;
    let begun = Instant::now();
    second.say(PONG).await;
    let mut said = Vec::new();
    second.0.read_to_end(&mut said).await.unwrap();
    let held = begun.elapsed();
    assert!(held >= secs(10) && held < secs(12), "{held:?}");
    assert!(said.is_empty(), "{:?}", String::from_utf8_lossy(&said));
    let mut words = Vec::new();
    while let Ok(event) = lab.events.try_recv() {
        words.push(event.kind.to_string());
    }
    assert!(words.iter().any(|words| words.contains("full (1 of 1 clients)")), "{words:?}");
    // Being held takes no longer than the client itself wants.
    let mut third = Bench::call(&mut lab);
    third.say(IDENTIFY).await;
    drop(third);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_stream_of_values_ends_with_the_reason_protocol() {
    let mut lab = Lab::new();
    for wrong in [&b"}"[..], &[b'['; 40], &[b'"'; 1]] {
        let mut bench = Bench::call(&mut lab);
        bench.say(IDENTIFY).await;
        bench.say(wrong).await;
        if wrong == b"\"" {
            bench.say(&vec![b'x'; 9_000]).await;
        }
        assert!(["registered", "resumed"].contains(&lab.word().await.as_str()));
        assert_eq!(lab.word().await, "protocol");
        let mut bench = Bench::call(&mut lab);
        bench.say(IDENTIFY).await;
        assert_eq!(lab.word().await, "resumed");
        drop(bench);
        assert_eq!(lab.word().await, "lost");
    }
}

#[tokio::test(start_paused = true)]
async fn new_settings_and_a_kick_work_on_it_as_far_as_it_can_follow() {
    let mut lab = Lab::new();
    let mut bench = Bench::call(&mut lab);
    bench.say(IDENTIFY).await;
    assert_eq!(bench.live(secs(21)).await, End::Fine(5));
    let settings = Settings::new(secs(2), secs(4)).unwrap();
    lab.server.remote().command(Command::Set(settings, Origin::Key)).await;
    // It is pinged more often from now on, and so it fits the shorter timeout.
    let End::Fine(pings) = bench.live(secs(20)).await else { panic!("it is dropped") };
    assert!(pings >= 10, "{pings}");
    let key = RowKey(rows(&mut lab).await[0]["row"].as_u64().unwrap());
    lab.server.remote().command(Command::Kick(key, Some(secs(60)))).await;
    assert_eq!(bench.live(secs(5)).await, End::Closed);
    let mut again = Bench::call(&mut lab);
    again.say(IDENTIFY).await;
    let begun = Instant::now();
    assert_ne!(again.live(secs(20)).await, End::Fine(0));
    assert!(begun.elapsed() >= secs(9), "it is kept out, and held");
}

#[tokio::test(start_paused = true)]
async fn a_notification_is_a_value_of_its_own_and_never_too_close_to_another() {
    let settings = Settings::new(Duration::from_millis(100), secs(1)).unwrap();
    let mut lab = Lab::with(Options { settings, ..options() });
    let mut bench = Bench::call(&mut lab);
    bench.say(IDENTIFY).await;
    assert_eq!(lab.word().await, "registered");
    let to = Target::All;
    for nth in 0..20 {
        let body = format!("line {nth}: \"x\"");
        let notification = Notification { to: to.clone(), title: "".into(), body: body.into() };
        lab.server.remote().command(Command::Notify(notification)).await;
    }
    let (mut heard, mut texts, mut pings) = (Instant::now(), Vec::new(), 0);
    let begun = Instant::now();
    while begun.elapsed() < secs(5) {
        let mut chunk = [0; 1_024];
        let Ok(read) = timeout(secs(1), bench.0.read(&mut chunk)).await else { panic!("silent") };
        let value: Value = serde_json::from_slice(&chunk[..read.unwrap()]).expect("one value in each read");
        assert!(pings == 0 || heard.elapsed() >= Duration::from_millis(50), "two values too close");
        heard = Instant::now();
        if value == "Ping" {
            pings += 1;
            bench.say(PONG).await;
        } else {
            texts.push(value["Custom"]["data"].as_str().unwrap().to_owned());
        }
    }
    let all: Vec<_> = (0..20).map(|nth| format!("line {nth}: \"x\"")).collect();
    assert_eq!(texts, all);
    assert!(pings > 30, "{pings}: its heartbeat goes on");
    while let Ok(event) = lab.events.try_recv() {
        let told = event.kind.to_string();
        assert!(!told.contains("delivered") || told.ends_with("0/1 delivered, 1 sent (from lab)"), "{told}");
    }
}
