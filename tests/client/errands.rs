//! A client that comes to say one thing, and the servers it may meet.

use std::sync::Arc;

use presence_tui::client::messenger::{self, Errand, MessengerError};
use presence_tui::protocol::NotifyResult;
use serde_json::{Value, json};
use tokio::io::{BufReader, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::hand::*;

type Told = JoinHandle<Result<NotifyResult, MessengerError>>;

/// Sends a messenger off; returns the server's end of its connection, once it has registered.
async fn send(trouble: &[Trouble]) -> (Told, Option<Server>) {
    let (servers, mut arriving) = mpsc::channel::<(_, DuplexStream)>(1);
    let log =
        Arc::new(std::sync::Mutex::new(Log { trouble: trouble.iter().copied().collect(), ..Log::default() }));
    let net = Net { servers, log };
    let errand = Errand::new("cron".into(), &["user=ada".to_owned()], None, "tea".into()).unwrap();
    let server = "hq".parse().unwrap();
    let told = tokio::spawn(async move { messenger::run(&net, &server, None, &errand).await });
    let Some((_, stream)) = arriving.recv().await else { return (told, None) };
    let mut server = Server { stream: BufReader::new(stream) };
    let register = server.raw().await;
    let exact = r#"{"type":"register","client_ip":"192.168.0.7","client_port":50000,"v":1,"name":"cron","want":["notify"]}"#;
    assert_eq!(register.trim_end(), exact, "no id: it will not be back");
    (told, Some(server))
}

async fn welcomed(interval_ms: u64) -> (Told, Server) {
    let (told, server) = send(&[]).await;
    let mut server = server.unwrap();
    server.send(&welcome(interval_ms, interval_ms * 3)).await;
    assert_eq!(server.raw().await, "{\"type\":\"notify\",\"to\":{\"user\":\"ada\"},\"body\":\"tea\"}\n");
    (told, server)
}

fn result(delivered: u64, pending: u64) -> Value {
    json!({"type":"notify_result","nid":"n17","targets":2,"delivered":delivered,"failed":0,"unsupported":0,
           "offline":0,"sent":0,"expired":0,"pending":pending})
}

#[tokio::test(start_paused = true)]
async fn it_stays_alive_until_all_is_decided_then_leaves() {
    let (told, mut server) = welcomed(1_000).await;
    server.send(&result(1, 1)).await;
    let begun = Instant::now();
    for _ in 0..10 {
        assert_eq!(server.raw().await, "{\"type\":\"ping\"}\n");
    }
    assert_eq!(begun.elapsed().as_millis(), 7_500, "a ping every three quarters of the interval");
    server.send(&json!({"type":"probe"})).await;
    assert_eq!(server.raw().await, "{\"type\":\"ping\"}\n");
    server.send(&json!({"type":"chat","message":"?"})).await;
    server.send(&result(2, 0)).await;
    assert_eq!(server.raw().await, "{\"type\":\"leave\",\"reason\":\"quit\"}\n");
    server.closed().await;
    drop(server);
    assert_eq!(told.await.unwrap().unwrap().tally().delivered, 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_decides_is_not_waited_for_for_ever() {
    let begun = Instant::now();
    let (told, mut server) = welcomed(60_000).await;
    server.send(&result(1, 1)).await;
    let result = told.await.unwrap().unwrap();
    assert_eq!((result.delivered, result.pending), (1, 1), "what is known is told");
    assert!((35..=36).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    let (told, _server) = welcomed(60_000).await;
    assert!(matches!(told.await.unwrap(), Err(MessengerError::Lost(_, why)) if why.contains("35s")));
    let (told, server) = welcomed(60_000).await;
    drop(server);
    assert!(matches!(told.await.unwrap(), Err(MessengerError::Lost(..))));
}

#[tokio::test(start_paused = true)]
async fn servers_that_cannot_or_will_not_pass_it_on_are_told_apart() {
    let (told, mut base) = send(&[]).await;
    // A base server answers with its list and knows no more.
    let base = base.as_mut().unwrap();
    base.say("{\"type\":\"client_list\",\"clients\":[]}\n").await;
    let ended = timeout(secs(6), told).await.unwrap().unwrap();
    assert!(matches!(ended, Err(MessengerError::Unwelcome(_))), "{ended:?}");
    let (told, mut server) = welcomed(60_000).await;
    server.send(&json!({"type":"error","code":"forbidden","message":"no\u{1b}"})).await;
    let words = told.await.unwrap().unwrap_err().to_string();
    assert_eq!(words, "hq:8080 refused it: forbidden: no\u{fffd}");
    for (trouble, why) in
        [(Trouble::Unknown, "no such name"), (Trouble::Refused, "refused"), (Trouble::Stuck, "within 5s")]
    {
        let (told, server) = send(&[trouble]).await;
        assert!(server.is_none());
        let words = told.await.unwrap().unwrap_err().to_string();
        assert!(words.contains(why) && words.contains("hq:8080"), "{words}");
    }
}
