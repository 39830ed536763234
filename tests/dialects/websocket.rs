//! What a WebSocket client is promised.

use futures_util::{SinkExt, StreamExt};
use presence_tui::presence::command::Command;
use presence_tui::presence::registry::Limits;
use presence_tui::presence::{Dialect, Dialects, RowKey};
use presence_tui::server::Options;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::common::{LEGACY, Lab, options, secs, v1};

/// A client of a library that is not ours.
struct Socket(WebSocketStream<DuplexStream>);

impl Socket {
    async fn open(lab: &mut Lab, target: &str) -> Self {
        let peer = lab.call();
        let (socket, response) = client_async(format!("ws://here{target}"), peer.io).await.unwrap();
        assert_eq!(response.status(), 101);
        Self(socket)
    }

    async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// Returns the next text.
    async fn text(&mut self) -> String {
        loop {
            match self.0.next().await.unwrap().unwrap() {
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn hear(&mut self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// Returns the next message of a type; others are skipped.
    async fn hear_type(&mut self, kind: &str) -> Value {
        loop {
            let message = self.hear().await;
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Reads to the end; returns the code and the reason of the close frame.
    async fn closed(&mut self) -> (u16, String) {
        let mut closed = None;
        while let Some(Ok(message)) = self.0.next().await {
            if let Message::Close(Some(CloseFrame { code, reason })) = message {
                closed = Some((code.into(), reason.to_string()));
            }
        }
        closed.expect("a close frame")
    }
}

/// Asks for the first row over HTTP.
async fn row(lab: &mut Lab) -> Value {
    let mut peer = lab.call();
    peer.send(b"GET /clients HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let mut answer = String::new();
    peer.io.read_to_string(&mut answer).await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str::<Value>(body).unwrap()["clients"][0].clone()
}

#[tokio::test(start_paused = true)]
async fn the_handshake_and_the_frames_are_those_of_the_standard() {
    let mut lab = Lab::new();
    let mut peer = lab.call();
    let request =
        b"GET /bench-1 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    // `ping`, masked; its first byte comes with the request, and nothing is lost.
    let frame = [0x81, 0x84, 1, 2, 3, 4, b'p' ^ 1, b'i' ^ 2, b'n' ^ 3, b'g' ^ 4];
    peer.send(&[&request[..], &frame[..1]].concat()).await;
    let mut head = Vec::new();
    loop {
        let line = peer.line().await.unwrap();
        if line.is_empty() {
            break;
        }
        if !line.starts_with("date: ") {
            head.push(line);
        }
    }
    let expected = [
        "HTTP/1.1 101 Switching Protocols",
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    ];
    assert_eq!(head, expected);
    peer.send(&frame[1..]).await;
    let mut answer = [0; 6];
    peer.io.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"\x81\x04pong");
    // A ping of the WebSocket itself gets its pong, payload and all.
    peer.send(&[0x89, 0x81, 0, 0, 0, 0, b'x']).await;
    let mut answer = [0; 3];
    peer.io.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"\x8a\x01x");
    assert_eq!(lab.word().await, "registered");
}

#[tokio::test(start_paused = true)]
async fn a_native_client_is_a_native_client() {
    let mut lab = Lab::new();
    let mut socket = Socket::open(&mut lab, "/").await;
    socket.say(&v1(r#""id":"tab-1","name":"tab","want":["roster"],"#)).await;
    let welcome = socket.hear().await;
    assert_eq!((&welcome["type"], &welcome["id"]), (&"welcome".into(), &"tab-1".into()));
    assert_eq!(socket.hear().await["type"], "client_list");
    socket.say(r#"{"type":"ping","seq":4,"t":"x","rev":1,"rtt_us":77}"#).await;
    let pong = socket.hear_type("pong").await;
    assert_eq!((&pong["seq"], &pong["t"]), (&4.into(), &"x".into()));
    socket.say("{broken").await;
    assert_eq!(socket.hear_type("error").await["code"], "bad_request");
    let it = row(&mut lab).await;
    assert_eq!(
        (&it["dialect"], &it["protocol"], &it["cannot"]),
        (&"websocket".into(), &1.into(), &Value::Null)
    );
    let _other = lab.legacy().await;
    assert_eq!(socket.hear_type("client_joined").await["clients"][0]["port"], 3000);
    socket.say(r#"{"type":"leave","reason":"quit"}"#).await;
    assert_eq!(socket.closed().await, (1000, String::new()));
    lab.word().await;
    lab.word().await;
    assert!(lab.event().await.1.starts_with("left: quit, up "));
}

#[tokio::test(start_paused = true)]
async fn a_base_register_in_a_frame_gets_the_base_list() {
    let mut lab = Lab::new();
    let mut socket = Socket::open(&mut lab, "/").await;
    socket.say(LEGACY).await;
    let list = r#"{"type":"client_list","clients":[{"ip":"192.168.1.100","port":3000}]}"#;
    assert_eq!(socket.text().await, list);
    socket.say(r#"{"type":"ping"}"#).await;
    assert_eq!(socket.text().await, r#"{"type":"pong"}"#);
}

#[tokio::test(start_paused = true)]
async fn any_frame_makes_a_row_named_by_query_path_or_address() {
    for (target, name) in [("/agents/bench-7", "agents/bench-7"), ("/x?name=ada%20b", "ada b"), ("/", "")] {
        for first in
            [Message::text("ping"), Message::text(r#"{"event":"ping"}"#), Message::binary(vec![0, 255])]
        {
            let mut lab = Lab::new();
            let mut socket = Socket::open(&mut lab, target).await;
            socket.0.send(first).await.unwrap();
            assert_eq!(lab.word().await, "registered");
            let it = row(&mut lab).await;
            let label = if name.is_empty() { it["address"].as_str().unwrap() } else { name };
            assert_eq!((it["name"].as_str().unwrap(), &it["dialect"]), (label, &json!("websocket")));
            assert_eq!(
                (&it["cannot"], &it["claim_differs"]),
                (&"no receipts, no live interval".into(), &false.into())
            );
            for (say, answer) in
                [("PING", "PONG"), ("ping", "pong"), (r#"{"type":"ping"}"#, r#"{"type":"pong"}"#)]
            {
                socket.say(say).await;
                let mut heard = socket.text().await;
                if heard == "pong" && say == "PING" {
                    heard = socket.text().await; // The first `ping` has been answered as well.
                }
                assert_eq!(heard, answer);
            }
            // Nothing of our own protocol is forced upon it.
            let _other = lab.legacy().await;
            socket.say("PING").await;
            assert_eq!(socket.text().await, "PONG");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bare_client_is_judged_like_any_other_and_its_close_code_says_why() {
    let mut lab = Lab::new();
    let mut socket = Socket::open(&mut lab, "/quiet").await;
    socket.say("ping").await;
    assert_eq!(socket.text().await, "pong");
    for _ in 0..6 {
        sleep(secs(10)).await;
        socket.0.send(Message::Ping(vec![1].into())).await.unwrap();
    }
    let begun = Instant::now();
    let (code, reason) = socket.closed().await;
    assert_eq!((code, begun.elapsed().as_secs()), (4000, 30));
    assert!(reason.starts_with("timeout: nothing was heard from you for 30s"), "{reason}");
    for word in ["registered", "late", "timed_out"] {
        assert_eq!(lab.word().await, word);
    }
}

#[tokio::test(start_paused = true)]
async fn refused_kicked_and_drained_clients_read_why() {
    let limits = Limits { max_clients: 1, ..options().limits };
    let mut lab = Lab::with(Options { limits, ..options() });
    let mut first = Socket::open(&mut lab, "/a").await;
    first.say("ping").await;
    assert_eq!(first.text().await, "pong");
    let mut second = Socket::open(&mut lab, "/b").await;
    second.say("ping").await;
    assert_eq!(second.closed().await, (1013, "full: 1 of 1 clients".to_owned()));
    let mut native = Socket::open(&mut lab, "/").await;
    native.say(&v1("")).await;
    let error = native.hear().await;
    assert!(error["code"] == "full" && error["retry_ms"].is_u64(), "{error}");
    assert_eq!(native.closed().await.0, 1013);
    let key = RowKey(row(&mut lab).await["row"].as_u64().unwrap());
    lab.server.remote().command(Command::Kick(key, None)).await;
    assert_eq!(first.closed().await.0, 4006);
    let mut third = Socket::open(&mut lab, "/c").await;
    third.say("x").await;
    sleep(secs(1)).await;
    let Lab { server, events: _events, .. } = lab;
    let (closed, summary) = tokio::join!(third.closed(), server.stop());
    assert_eq!((closed.0, summary.left_behind), (1001, 0));
}

#[tokio::test(start_paused = true)]
async fn a_closed_tab_says_goodbye_and_a_broken_one_does_not() {
    let mut lab = Lab::new();
    let mut tab = Socket::open(&mut lab, "/").await;
    tab.say("ping").await;
    tab.0.close(None).await.unwrap();
    assert_eq!(lab.word().await, "registered");
    assert_eq!(lab.event().await.1, "left: closed, up 0ms");
    let mut broken = Socket::open(&mut lab, "/").await;
    broken.say("ping").await;
    assert_eq!(lab.word().await, "registered");
    drop(broken);
    assert_eq!(lab.event().await.1, "lost: closed without goodbye, up 0ms");
}

#[tokio::test(start_paused = true)]
async fn limits_hold_inside_frames() {
    let mut lab = Lab::new();
    let mut socket = Socket::open(&mut lab, "/").await;
    socket.say(&v1("")).await;
    assert_eq!(socket.hear().await["type"], "welcome");
    socket.say(&format!(r#"{{"type":"ping","x":"{}"}}"#, "x".repeat(9_000))).await;
    assert_eq!(socket.hear().await["code"], "too_long");
    assert_eq!(socket.closed().await.0, 1009);
    let mut mute = Socket::open(&mut lab, "/").await;
    let begun = Instant::now();
    assert_eq!(mute.hear().await["code"], "register_timeout");
    assert_eq!((mute.closed().await.0, begun.elapsed().as_secs()), (1013, 5));
    lab.server.remote().speak(Dialects::all().iter().filter(|it| *it != Dialect::WebSocket).collect());
    let peer = lab.call();
    assert!(client_async("ws://here/", peer.io).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_does_not_read_is_cut_as_slow_and_hurts_nobody() {
    let mut lab = Lab::new();
    let peer = lab.call_with_pipe(600);
    let (socket, _) = client_async("ws://here/", peer.io).await.unwrap();
    let mut slow = Socket(socket);
    slow.say(LEGACY).await;
    sleep(secs(1)).await;
    let mut talker = lab.legacy().await;
    for _ in 0..40 {
        talker.say(&format!(r#"{{"type":"chat","message":"{}"}}"#, "x".repeat(2_000))).await;
        sleep(secs(1)).await;
        talker.ping().await;
    }
    let mut words = Vec::new();
    while words.last().is_none_or(|word: &String| word != "slow") {
        words.push(lab.word().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_notification_reaches_a_bare_client_as_text_and_a_native_one_as_a_message() {
    let mut lab = Lab::new();
    let mut bare = Socket::open(&mut lab, "/bench-1").await;
    bare.say("ping").await;
    assert_eq!(bare.text().await, "pong");
    let mut native = Socket::open(&mut lab, "/").await;
    native.say(&v1(r#""id":"n","#)).await;
    assert_eq!(native.hear().await["type"], "welcome");
    let mut legacy = Socket::open(&mut lab, "/").await;
    legacy.say(LEGACY).await;
    assert_eq!(legacy.hear().await["type"], "client_list");
    let (mut ops, _) = lab.v1(r#""id":"ops","name":"ops","want":["notify"],"#).await;
    ops.say(r#"{"type":"notify","to":{"all":true},"title":"Break","body":"tea \"now\""}"#).await;
    assert_eq!(bare.text().await, "Break: tea \"now\"");
    let notify = native.hear_type("notify").await;
    assert_eq!((&notify["nid"], &notify["body"]), (&"n1".into(), &"tea \"now\"".into()));
    native.say(r#"{"type":"receipt","nid":"n1"}"#).await;
    let result = loop {
        let result = ops.hear_type("notify_result").await;
        if result["pending"] == 0 {
            break result;
        }
    };
    let counts = ["targets", "delivered", "sent", "unsupported"].map(|count| result[count].as_u64().unwrap());
    assert_eq!(counts, [3, 1, 1, 1], "who registers without v is told nothing it would not know");
    bare.say("ping").await;
    assert_eq!(bare.text().await, "pong");
}
