//! What is spoken is found out from the first bytes, within the time to register, and nothing is lost by looking.

use presence_tui::presence::{Dialect, Dialects};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep};

use crate::common::{LEGACY, Lab, secs};

#[tokio::test(start_paused = true)]
async fn a_register_is_heard_whole_however_it_is_cut_and_wherever_its_type_stands() {
    let mut lab = Lab::new();
    let late_type = r#"{"client_ip":"192.168.1.100","client_port":3000,"type":"register"}"#;
    for line in [LEGACY.to_owned(), format!("\r\n{LEGACY}"), format!("  {late_type}")] {
        for cut in 1..line.len() {
            let mut peer = lab.call();
            let (a, b) = line.split_at(cut);
            peer.send(a.as_bytes()).await;
            sleep(secs(1)).await;
            peer.send(b.as_bytes()).await;
            peer.send(b"\n{\"type\":\"ping\"}\n").await;
            let list = peer.line().await.unwrap();
            if list.starts_with("{\"type\":\"client_list\"") {
                assert_eq!(peer.hear_type("pong").await["type"], "pong");
            } else {
                assert_eq!(list, "{\"type\":\"pong\"}", "cut at {cut}");
            }
            peer.say(r#"{"type":"leave"}"#).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_start_is_told_so_and_closed_at_once() {
    let mut lab = Lab::new();
    for start in [&b"SSH-2.0-x\r\n"[..], b"\x16\x03\x01\x02\x00\x01", b"hello\n", b"[1,2]", b"get / http/1.1"]
    {
        let mut peer = lab.call();
        let begun = Instant::now();
        peer.send(start).await;
        let error = peer.hear().await;
        assert_eq!(error["code"], "bad_request", "{error}");
        assert!(error["retry_ms"].is_null(), "it need not try again");
        assert_eq!(peer.line().await, None);
        assert!(begun.elapsed() < secs(1));
        let (word, text) = lab.event().await;
        assert!(word == "refused" && text.contains("nothing that is spoken on this port"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn half_a_start_waits_for_the_time_to_register_and_no_longer() {
    let mut lab = Lab::new();
    for half in [&b""[..], b"{\"Ident", b"GE", b"\n\n"] {
        let mut peer = lab.call();
        let begun = Instant::now();
        peer.send(half).await;
        let mut told = String::new();
        peer.io.read_to_string(&mut told).await.unwrap();
        assert!(told.contains("\"code\":\"register_timeout\""), "{told}");
        let waited = begun.elapsed();
        assert!(waited >= secs(5) && waited < secs(6), "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dialect_that_is_switched_off_is_unknown() {
    let mut lab = Lab::new();
    let all_but = |off: Dialect| Dialect::ALL.into_iter().filter(|one| *one != off).collect::<Dialects>();
    lab.server.remote().speak(all_but(Dialect::Presence));
    let mut peer = lab.call();
    peer.say(LEGACY).await;
    assert_eq!(peer.hear().await["code"], "bad_request");
    lab.server.remote().speak(all_but(Dialect::Netsync));
    let mut peer = lab.call();
    peer.send(b"{\"Identify\":{\"hostname\":\"a\"}}").await;
    assert_eq!(peer.hear().await["code"], "bad_request");
    lab.server.remote().speak(Dialects::none().with(Dialect::Presence));
    let mut peer = lab.call();
    peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(peer.hear().await["code"], "bad_request");
    lab.legacy().await;
}
