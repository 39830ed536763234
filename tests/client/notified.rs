//! What somebody has to tell this client, and what its person says to others.

use presence_tui::client::window::LETTERS_MAX;
use presence_tui::client::{Notice, Window};
use presence_tui::presence::command::Command;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::hand::*;

fn notify(nid: &str, body: &str) -> Value {
    json!({"type":"notify","nid":nid,"title":"Break","body":body,"from":"ops"})
}

#[tokio::test(start_paused = true)]
async fn a_notification_is_shown_and_confirmed_and_a_hostile_one_is_harmless() {
    let mut client = join(1);
    let mut server = client.welcomed(60_000, 120_000).await;
    server.send(&notify("n17", "tea at five")).await;
    assert_eq!(server.raw().await, "{\"type\":\"receipt\",\"nid\":\"n17\"}\n");
    let shown = client.notice("tea").await;
    assert_eq!((shown.word(), shown.to_string().as_str()), ("notified", "ops: Break: tea at five"));
    server.send(&notify("n18", "\u{1b}]0;owned\u{7}\n\u{202e}x")).await;
    assert_eq!(server.line().await["nid"], "n18");
    let words = client.notice("owned").await.to_string();
    assert!(!words.chars().any(char::is_control) && !words.contains('\u{202e}'), "{words}");
    // What cannot be confirmed is not shown either, and is counted.
    for wrong in [notify("", "x"), notify("n 1", "x"), notify("n1", " "), notify("n1", "\n")] {
        server.send(&wrong).await;
    }
    let state = client.state(|state| state.bad_lines == 4).await;
    assert_eq!(state.notices_dropped, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_wants_to_be_taken_for_dead_confirms_nothing() {
    let mut client = join(1);
    let mut server = client.welcomed(60_000, 120_000).await;
    client.commands.send(Command::Hold(true)).await.unwrap();
    client.notice("holding").await;
    server.send(&notify("n1", "tea")).await;
    client.notice("tea").await;
    client.commands.send(Command::Say { words: "hello".into(), at: secs(0) }).await.unwrap();
    client.notice("nothing was said").await;
    assert!(server.is_quiet_for(secs(30)).await);
}

#[tokio::test(start_paused = true)]
async fn who_has_no_room_for_a_notification_does_not_confirm_it() {
    let mut client = join(1);
    let mut server = client.welcomed(60_000, 120_000).await;
    for nth in 0..2_000 {
        server.send(&notify(&format!("n{nth}"), "x")).await;
    }
    let state = client.state(|state| state.notices_dropped > 0).await;
    assert!(state.notices_dropped > 0);
    let mut confirmed = 0;
    while let Ok(line) = timeout(secs(5), server.raw()).await {
        confirmed += usize::from(line.contains("receipt"));
    }
    let mut shown = 0;
    while let Ok(notice) = client.windows.notices.try_recv() {
        shown += usize::from(matches!(notice, Notice::Notified(_)));
    }
    assert_eq!(confirmed, shown);
    assert!(shown < 2_000);
}

#[tokio::test(start_paused = true)]
async fn toasts_wait_to_be_read_in_order_and_are_bounded() {
    let mut client = join(1);
    let mut server = client.welcomed(60_000, 120_000).await;
    let Joined { windows, commands, .. } = client;
    let (window, mut panes) = Window::open(windows.state, windows.notices, commands);
    tokio::spawn(window.run());
    for nth in 0..LETTERS_MAX + 2 {
        server.send(&notify(&format!("n{nth}"), &format!("line {nth}"))).await;
        assert_eq!(server.line().await["type"], "receipt");
    }
    let full = panes
        .uplink
        .wait_for(|uplink| uplink.letters.len() == LETTERS_MAX && *uplink.letters[0].1.body == *"line 2");
    assert_eq!(&*timeout(secs(60), full).await.unwrap().unwrap().letters[LETTERS_MAX - 1].1.body, "line 33");
    panes.commands.send(Command::Read { all: false }).await.unwrap();
    let rest = panes.uplink.wait_for(|uplink| uplink.letters.len() < LETTERS_MAX);
    assert_eq!(&*timeout(secs(60), rest).await.unwrap().unwrap().letters[0].1.body, "line 3");
    panes.commands.send(Command::Read { all: true }).await.unwrap();
    timeout(secs(60), panes.uplink.wait_for(|uplink| uplink.letters.is_empty())).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn chat_is_the_base_message_to_the_byte() {
    let mut client = join(1);
    let mut server = client.welcomed(60_000, 120_000).await;
    client.notice("registered").await;
    client
        .commands
        .send(Command::Say { words: "lunch?\u{7}".into(), at: secs(1_795_270_927) })
        .await
        .unwrap();
    let exact = "{\"type\":\"chat\",\"from_ip\":\"192.168.0.7\",\"from_port\":50000,\"message\":\"lunch?\u{fffd}\",\
                 \"timestamp\":\"2026-11-21T14:22:07Z\",\"channel\":\"general\"}\n";
    assert_eq!(server.raw().await, exact);
    server.say(exact).await;
    client.notice("192.168.0.7:50000 says: lunch?").await;
}
