//! Messages to people: who gets them, and that every count is exact, on a paused clock.

#![allow(missing_docs, reason = "a test is documented by its name")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are test code")]

mod common;

use common::{LEGACY, Lab, Peer, options, secs, v1};
use presence_tui::presence::command::Command;
use presence_tui::presence::deliveries::{IN_FLIGHT_MAX, RECEIPT_WITHIN};
use presence_tui::presence::notify::{Notification, Target};
use presence_tui::presence::view::Window;
use presence_tui::presence::{EventKind, RowKey, Settings};
use presence_tui::server::{Options, WRITE_DEADLINE};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep};

/// A fleet that may be silent for longer than a receipt may take.
fn patient() -> Lab {
    Lab::with(Options { settings: Settings::new(secs(60), secs(120)).unwrap(), ..options() })
}

/// A client that may send, and will be back.
async fn sender(lab: &mut Lab) -> Peer {
    lab.v1(r#""id":"ops","name":"ops","want":["notify"],"#).await.0
}

async fn device(lab: &mut Lab, user: &str, device: &str) -> Peer {
    let extra =
        format!(r#""id":"{user}-{device}","name":"{user}-{device}","user":"{user}","device":"{device}","#);
    lab.v1(&extra).await.0
}

/// Waits for the last result.
async fn result(sender: &mut Peer) -> Value {
    loop {
        let result = sender.hear_type("notify_result").await;
        if result["pending"] == 0 {
            return result;
        }
    }
}

/// Reads a notification and confirms it.
async fn confirm(peer: &mut Peer) -> Value {
    let notify = peer.hear_type("notify").await;
    peer.say(&json!({"type": "receipt", "nid": notify["nid"]}).to_string()).await;
    notify
}

fn to_all(body: &str) -> Command {
    Command::Notify(Notification { to: Target::All, title: "".into(), body: body.into() })
}

/// Waits for the event that says what became of a notification.
async fn decided(lab: &mut Lab) -> String {
    loop {
        let (word, text) = lab.event().await;
        if word == "notified" {
            return text;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn both_devices_of_a_person_get_it_and_when_one_closes_the_next_reaches_the_other() {
    let mut lab = Lab::new();
    let mut ops = sender(&mut lab).await;
    let (mut phone, mut laptop) =
        (device(&mut lab, "ada", "phone").await, device(&mut lab, "ada", "laptop").await);
    let mut other = device(&mut lab, "bob", "phone").await;
    let start = Instant::now();
    ops.say(r#"{"type":"notify","to":{"user":"ada"},"title":"Break","body":"tea at five"}"#).await;
    let exact = r#"{"type":"notify","nid":"n1","title":"Break","body":"tea at five","from":"ops"}"#;
    assert_eq!(phone.line().await.unwrap(), exact);
    assert_eq!(laptop.line().await.unwrap(), exact);
    let first = r#"{"type":"notify_result","nid":"n1","targets":2,"delivered":0,"failed":0,"unsupported":0,"offline":0,"sent":0,"expired":0,"pending":2}"#;
    assert_eq!(ops.line().await.unwrap(), first, "at once, so that the sender knows its number");
    for peer in [&mut phone, &mut laptop] {
        peer.say(r#"{"type":"receipt","nid":"n1"}"#).await;
        peer.say(r#"{"type":"receipt","nid":"n1"}"#).await;
    }
    let last = r#"{"type":"notify_result","nid":"n1","targets":2,"delivered":2,"failed":0,"unsupported":0,"offline":0,"sent":0,"expired":0,"pending":0}"#;
    assert_eq!(ops.line().await.unwrap(), last);
    assert_eq!(decided(&mut lab).await, "n1 \"Break\": 2/2 delivered (from ops)");
    assert_eq!(start.elapsed(), secs(0));

    laptop.say(r#"{"type":"leave","reason":"quit"}"#).await;
    assert_eq!(laptop.line().await, None);
    ops.say(r#"{"type":"notify","to":{"user":"ada"},"body":"now"}"#).await;
    assert_eq!(confirm(&mut phone).await["nid"], "n2");
    let result = result(&mut ops).await;
    assert_eq!(
        (&result["targets"], &result["delivered"], &result["offline"]),
        (&2.into(), &1.into(), &1.into())
    );
    assert!(other.is_quiet_for(secs(5)).await && phone.is_quiet_for(secs(1)).await);
}

#[tokio::test(start_paused = true)]
async fn counts_are_exact_whatever_becomes_of_the_clients() {
    let mut lab = patient();
    let mut ops = sender(&mut lab).await;
    let mut fine = device(&mut lab, "a", "fine").await;
    let mut killed = device(&mut lab, "a", "killed").await;
    let _frozen = device(&mut lab, "a", "frozen").await;
    let mut slow = lab.call_with_pipe(32);
    slow.say(&v1(r#""id":"slow","user":"a","#)).await;
    assert_eq!(slow.hear().await["type"], "welcome");
    let mut legacy = lab.legacy().await;
    let mut bench = lab.call();
    bench.send(br#"{"Identify":{"hostname":"bench-1"}}"#).await;
    let mut ping = [0; 6];
    bench.io.read_exact(&mut ping).await.unwrap();
    drop(device(&mut lab, "a", "gone").await);
    let mut late_leaver = device(&mut lab, "a", "leaver").await;
    while lab.word().await != "lost" {}

    let start = Instant::now();
    ops.say(r#"{"type":"notify","to":{"all":true},"body":"reboot at 5"}"#).await;
    confirm(&mut fine).await;
    killed.hear_type("notify").await;
    drop(killed);
    late_leaver.hear_type("notify").await;
    late_leaver.say(r#"{"type":"leave"}"#).await;
    let mut custom = vec![0; 33];
    bench.io.read_exact(&mut custom).await.unwrap();
    assert_eq!(custom, br#"{"Custom":{"data":"reboot at 5"}}"#);
    assert!(legacy.ping().await["type"] == "pong", "and nothing it would not know before it");

    // The number at once, then how far it has come after one and ten seconds, then the end.
    let mut told = Vec::new();
    loop {
        let result = ops.hear_type("notify_result").await;
        told.push((
            start.elapsed().as_secs(),
            result["pending"].as_u64().unwrap(),
            result["failed"].as_u64().unwrap(),
        ));
        if result["pending"] == 0 {
            let counts = ["targets", "delivered", "sent", "failed", "unsupported", "offline", "expired"];
            assert_eq!(
                counts.map(|count| result[count].as_u64().unwrap()),
                [8, 1, 1, 3, 1, 1, 1],
                "{result}"
            );
            break;
        }
    }
    assert_eq!(
        told,
        [(0, 5, 0), (1, 2, 2), (10, 1, 3), (30, 0, 3)],
        "the slow one was cut after {WRITE_DEADLINE:?}"
    );
    let words =
        "n1 \"reboot at 5\": 1/8 delivered, 1 sent, 3 failed, 1 unsupported, 1 offline, 1 expired (from ops)";
    assert_eq!(decided(&mut lab).await, words);
    assert_eq!(start.elapsed(), RECEIPT_WITHIN);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_from_somebody_else_or_from_a_later_connection_confirms_nothing() {
    let mut lab = patient();
    let mut ops = sender(&mut lab).await;
    let (mut old, welcome) = lab.v1(r#""id":"me","gen":1,"conn":1,"#).await;
    let mut other = device(&mut lab, "bob", "phone").await;
    ops.say(r#"{"type":"notify","to":{"id":"me"},"body":"hello"}"#).await;
    assert_eq!(old.hear_type("notify").await["nid"], "n1");
    other.say(r#"{"type":"receipt","nid":"n1"}"#).await;
    let newer = format!(r#""id":"me","gen":1,"conn":2,"resume":{},"#, welcome["resume"]);
    let (mut new, _) = lab.v1(&newer).await;
    new.say(r#"{"type":"receipt","nid":"n1"}"#).await;
    let result = result(&mut ops).await;
    assert_eq!(
        (&result["targets"], &result["delivered"], &result["failed"]),
        (&1.into(), &0.into(), &1.into())
    );
    // Receipts for what never was are no trouble.
    for nid in ["n99", "n0", "x", ""] {
        new.say(&format!(r#"{{"type":"receipt","nid":"{nid}"}}"#)).await;
    }
    assert_eq!(new.ping().await["type"], "pong");
}

#[tokio::test(start_paused = true)]
async fn only_who_asked_for_it_may_send_and_not_too_much_and_nothing_senseless() {
    let mut lab = Lab::new();
    let mut witness = device(&mut lab, "ada", "phone").await;
    let notify = r#"{"type":"notify","to":{"user":"ada"},"body":"x"}"#;
    let (mut plain, _) = lab.v1(r#""want":["roster"],"#).await;
    let mut base = lab.call();
    base.say(&LEGACY.replace('}', r#","want":["notify"]}"#)).await;
    for peer in [&mut plain, &mut base] {
        peer.say(notify).await;
        assert_eq!(peer.hear_type("error").await["code"], "forbidden");
        assert_eq!(peer.ping().await["type"], "pong", "the connection goes on");
    }
    assert!(witness.is_quiet_for(secs(3)).await);

    let mut ops = sender(&mut lab).await;
    for wrong in [
        r#"{"type":"notify","to":{},"body":"x"}"#.to_owned(),
        r#"{"type":"notify","to":{"user":"ada","all":true},"body":"x"}"#.to_owned(),
        r#"{"type":"notify","to":{"user":"ada"},"body":" "}"#.to_owned(),
        format!(r#"{{"type":"notify","to":{{"user":"ada"}},"body":"{}"}}"#, "x".repeat(1_025)),
    ] {
        ops.say(&wrong).await;
        let error = ops.hear_type("error").await;
        assert_eq!((&error["code"], &error["retry_ms"]), (&"bad_request".into(), &Value::Null), "{error}");
    }
    sleep(secs(10)).await;
    for _ in 0..9 {
        ops.say(notify).await;
    }
    let flood = ops.hear_type("error").await;
    assert_eq!((&flood["code"], &flood["retry_ms"]), (&"flood".into(), &500.into()));
    for nth in 1..=8 {
        assert_eq!(witness.hear_type("notify").await["nid"], format!("n{nth}"));
    }
    assert!(witness.is_quiet_for(secs(1)).await, "the ninth went nowhere");
}

#[tokio::test(start_paused = true)]
async fn labels_identities_and_nobody_are_found() {
    let mut lab = Lab::new();
    let mut ops = sender(&mut lab).await;
    let (mut both, _) = lab.v1(r#""id":"b","tags":{"role":"ci","rack":"3"},"#).await;
    let (mut one, _) = lab.v1(r#""id":"o","tags":{"role":"ci"},"#).await;
    let mut notify = async |to: &str| {
        ops.say(&format!(r#"{{"type":"notify","to":{to},"body":"x"}}"#)).await;
        ops.hear_type("notify_result").await
    };
    assert_eq!(notify(r#"{"tag":{"role":"ci"}}"#).await["targets"], 2);
    assert_eq!(notify(r#"{"tag":{"role":"ci","rack":"3"}}"#).await["targets"], 1);
    assert_eq!(notify(r#"{"tag":{"role":"c"}}"#).await["targets"], 0);
    assert_eq!(notify(r#"{"id":"o"}"#).await["targets"], 1);
    assert_eq!(notify(r#"{"all":true}"#).await["targets"], 2, "everybody but the sender");
    let nobody = notify(r#"{"user":"nobody"}"#).await;
    assert_eq!((&nobody["targets"], &nobody["pending"]), (&0.into(), &0.into()), "decided at once");
    for nid in ["n1", "n2", "n5"] {
        assert_eq!(both.hear_type("notify").await["nid"], nid);
    }
    for nid in ["n1", "n4", "n5"] {
        assert_eq!(one.hear_type("notify").await["nid"], nid);
    }
}

#[tokio::test(start_paused = true)]
async fn a_messenger_is_nobodys_target_and_its_row_goes_with_it() {
    let mut lab = Lab::new();
    let mut ops = sender(&mut lab).await;
    let (mut messenger, _) = lab.v1(r#""name":"cron","want":["notify"],"#).await;
    ops.say(r#"{"type":"notify","to":{"all":true},"body":"x"}"#).await;
    assert_eq!(result(&mut ops).await["targets"], 0);
    messenger.say(r#"{"type":"leave"}"#).await;
    assert_eq!(messenger.line().await, None);
    drop(lab.v1(r#""want":["notify"],"#).await); // It is killed.
    ops.say(r#"{"type":"notify","to":{"all":true},"body":"x"}"#).await;
    assert_eq!(result(&mut ops).await["targets"], 0, "and nobody is offline");
    let mut views = lab.server.views();
    lab.server.remote().command(Command::Show(Window { height: 10, ..Window::default() })).await;
    sleep(secs(1)).await;
    let view = views.borrow_and_update().clone();
    assert_eq!((view.rows.len(), view.alerts.unacked), (1, 0), "{:?}", view.rows);
    // What a messenger says is an event; that it came and went is none.
    let mut words = Vec::new();
    while let Ok(event) = lab.events.try_recv() {
        words.push(event.kind.word());
    }
    assert_eq!(words, ["registered", "notified", "notified"]);
}

#[tokio::test(start_paused = true)]
async fn an_operator_writes_to_one_row_to_the_rows_shown_and_sees_the_counts_move() {
    let mut lab = patient();
    let mut views = lab.server.views();
    let (mut ada, mut bob) = (device(&mut lab, "ada", "a").await, device(&mut lab, "bob", "b").await);
    let shown = |filter: &str| Target::Shown { filter: filter.into(), states: vec![], user: None };
    let remote = lab.server.remote();
    let look = Window { height: 10, writing_to: Some(Box::new(shown("BOB"))), ..Window::default() };
    remote.command(Command::Show(look)).await;
    sleep(secs(1)).await;
    let reach = views.borrow_and_update().reach.clone().unwrap();
    assert_eq!((reach.to, reach.here, reach.deaf, reach.gone), (shown("BOB"), 1, 0, 0));
    let write = async |to: Target| {
        remote
            .command(Command::Notify(Notification { to, title: "".into(), body: "a\u{1b}\nb".into() }))
            .await;
    };
    write(shown("BOB")).await;
    let heard = bob.hear_type("notify").await;
    assert_eq!(
        (&heard["body"], &heard["from"], &heard["title"]),
        (&"a\u{fffd} b".into(), &"lab".into(), &Value::Null)
    );
    sleep(secs(1)).await;
    let posted = views.borrow_and_update().posted.clone();
    assert_eq!(posted[0].to_string(), "n1 \"a\u{fffd} b\": 0/1 delivered, 1 pending");
    bob.say(r#"{"type":"receipt","nid":"n1"}"#).await;
    sleep(secs(1)).await;
    assert_eq!(views.borrow_and_update().posted[0].tally.delivered, 1);
    sleep(secs(6)).await;
    assert!(views.borrow_and_update().posted.is_empty(), "what is decided is shown for a moment");
    write(Target::Row(RowKey(1))).await;
    assert_eq!(confirm(&mut ada).await["nid"], "n2");
    write(Target::User("bob".into())).await;
    assert_eq!(confirm(&mut bob).await["nid"], "n3");
    write(Target::Row(RowKey(77))).await;
    for words in [
        "n1 \"a\u{fffd} b\": 1/1",
        "n2 \"a\u{fffd} b\": 1/1",
        "n3 \"a\u{fffd} b\": 1/1",
        "n4 \"a\u{fffd} b\": nobody",
    ] {
        let told = decided(&mut lab).await;
        assert!(told.starts_with(words), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn how_many_are_on_their_way_is_bounded_and_said() {
    let mut lab = patient();
    let mut ops = sender(&mut lab).await;
    let mut frozen = device(&mut lab, "ada", "phone").await;
    for _ in 0..=IN_FLIGHT_MAX {
        lab.server.remote().command(to_all("x")).await;
    }
    loop {
        let event = lab.events.recv().await.unwrap();
        if let EventKind::Trouble(words) = &event.kind {
            assert!(words.starts_with("not sent: more than 64"), "{words}");
            break;
        }
    }
    ops.say(r#"{"type":"notify","to":{"all":true},"body":"x"}"#).await;
    let error = ops.hear_type("error").await;
    assert_eq!((&error["code"], &error["retry_ms"]), (&"flood".into(), &5_000.into()));
    // One is decided, and there is room again.
    confirm(&mut frozen).await;
    ops.say(r#"{"type":"receipt","nid":"n1"}"#).await;
    frozen.ping().await;
    ops.ping().await;
    ops.say(r#"{"type":"notify","to":{"user":"ada"},"body":"x"}"#).await;
    assert_eq!(ops.hear_type("notify_result").await["pending"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_the_server_expires_nothing() {
    let mut lab = patient();
    let mut ops = sender(&mut lab).await;
    let mut ada = device(&mut lab, "ada", "phone").await;
    ops.say(r#"{"type":"notify","to":{"user":"ada"},"body":"x"}"#).await;
    let notify = ada.hear_type("notify").await;
    assert_eq!(notify["nid"], "n1");
    ada.send(br#"{"type":"receipt","nid":"n1"}"#).await;
    // The clock jumps as it does for a process that was stopped.
    tokio::time::advance(secs(100)).await;
    ada.say("").await;
    assert_eq!(result(&mut ops).await["delivered"], 1);
}
