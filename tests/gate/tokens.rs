//! Tokens, on a paused clock.

use futures_util::{SinkExt, StreamExt};
use presence_tui::presence::command::Command;
use presence_tui::presence::view::Window;
use presence_tui::security::Tokens;
use presence_tui::security::tries::{SHUT_OUT, WRONG_MAX};
use presence_tui::server::Guard;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::common::{LEGACY, Lab, secs, v1};

const FILE: &str =
    "machines:join:token-of-a-machine\nwall:watch:token-of-a-wall\nada:admin:token-of-an-admin\n";

fn guard(file: &str) -> Guard {
    Guard { tokens: Some(Tokens::parse(file.as_bytes()).unwrap()), ..Guard::default() }
}

fn guarded() -> Lab {
    let lab = Lab::new();
    lab.server.remote().guard(guard(FILE));
    lab
}

fn with_token(token: &str) -> String {
    v1(&format!(r#""token":"{token}","want":["roster"],"#))
}

/// Registers; returns the first answer, and the line after it where the first one was a refusal.
async fn register(lab: &mut Lab, line: &str) -> (Value, Option<String>) {
    let mut peer = lab.call();
    peer.say(line).await;
    let answer = peer.hear().await;
    let after = if answer["type"] == "error" { peer.line().await } else { None };
    (answer, after)
}

/// Asks over HTTP with more headers; returns status, head and body.
async fn ask(lab: &mut Lab, target: &str, headers: &str) -> (u16, String) {
    let mut peer = lab.call();
    let request = format!("GET {target} HTTP/1.1\r\nHost: here\r\n{headers}Connection: close\r\n\r\n");
    peer.send(request.as_bytes()).await;
    let mut answer = String::new();
    peer.io.read_to_string(&mut answer).await.unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

#[tokio::test(start_paused = true)]
async fn the_right_token_lets_in_and_a_wrong_or_missing_one_is_told_for_good() {
    let mut lab = guarded();
    let (welcome, _) = register(&mut lab, &with_token("token-of-a-machine")).await;
    assert_eq!(welcome["type"], "welcome", "{welcome}");
    assert_eq!(lab.word().await, "registered");
    assert_eq!(lab.word().await, "lost");
    for (line, words) in [
        (with_token("token-of-a-machinE"), "none of the server's tokens"),
        (with_token(""), "none of the server's tokens"),
        (v1(""), "asks for a token"),
        (LEGACY.to_owned(), "asks for a token"),
    ] {
        let (error, after) = register(&mut lab, &line).await;
        assert_eq!((&error["type"], &error["code"]), (&"error".into(), &"auth".into()), "{line}");
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
        assert_eq!((&error["retry_ms"], after), (&Value::Null, None), "it is final, and closed");
        let (word, text) = lab.event().await;
        assert!(word == "refused" && text.contains("auth") && text.contains(words), "{text}");
        assert!(!text.contains("machinE"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_tokens_everybody_may_come_in_whatever_is_presented() {
    let mut lab = Lab::new();
    assert_eq!(register(&mut lab, &with_token("whatever")).await.0["type"], "welcome");
    assert_eq!(ask(&mut lab, "/clients", "Authorization: Bearer whatever\r\n").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn who_may_only_join_is_a_row_and_does_not_see_the_others() {
    let mut lab = guarded();
    let mut machine = lab.call();
    machine.say(&with_token("token-of-a-machine")).await;
    assert_eq!(machine.hear().await["type"], "welcome");
    let mut base = lab.call();
    base.say(&LEGACY.replace('}', r#","token":"token-of-a-machine"}"#)).await;
    base.ping().await;
    let mut wall = lab.call();
    wall.say(&with_token("token-of-a-wall")).await;
    assert_eq!(wall.hear().await["type"], "welcome");
    assert_eq!(wall.hear().await["clients"].as_array().unwrap().len(), 3);
    machine.say(r#"{"type":"sync","from":0}"#).await;
    assert!(machine.is_quiet_for(secs(5)).await && base.is_quiet_for(secs(1)).await);
    machine.ping().await;
}

#[tokio::test(start_paused = true)]
async fn ten_wrong_tokens_a_minute_shut_an_address_out_and_nobody_who_is_in() {
    let mut lab = guarded();
    let mut inside = lab.call();
    inside.say(&with_token("token-of-an-admin")).await;
    assert_eq!(inside.hear().await["type"], "welcome");
    for n in 0..WRONG_MAX {
        let (error, _) = register(&mut lab, &with_token(&format!("guess-{n}"))).await;
        assert_eq!((&error["code"], &error["retry_ms"]), (&"auth".into(), &Value::Null));
    }
    let shut = Instant::now();
    let (error, after) = register(&mut lab, &with_token("token-of-an-admin")).await;
    assert_eq!((&error["code"], after), (&"auth".into(), None), "not even a right one is looked at");
    let retry_ms = error["retry_ms"].as_u64().unwrap();
    assert!((50_000..66_000).contains(&retry_ms), "who has a right one comes back by itself: {retry_ms}");
    let (status, answer) = ask(&mut lab, "/clients", "Authorization: Bearer token-of-a-wall\r\n").await;
    assert!(status == 429 && answer.to_lowercase().contains("retry-after: "), "{answer}");
    // Who shares the address and has no token is told what is wrong with that, and harms nobody.
    assert_eq!(register(&mut lab, LEGACY).await.0["retry_ms"], Value::Null);

    let mut elsewhere = lab.call_from("10.1.2.3:4".parse().unwrap(), 1 << 16);
    elsewhere.say(&with_token("token-of-an-admin")).await;
    assert_eq!(elsewhere.hear().await["type"], "welcome", "other addresses are");
    inside.ping().await;
    while shut.elapsed() < SHUT_OUT {
        sleep(secs(5)).await;
        inside.ping().await;
        elsewhere.ping().await;
    }
    assert_eq!(register(&mut lab, &with_token("token-of-an-admin")).await.0["type"], "welcome");
}

#[tokio::test(start_paused = true)]
async fn missing_tokens_are_no_guesses_however_many_there_are() {
    let mut lab = guarded();
    for _ in 0..3 * WRONG_MAX {
        assert_eq!(register(&mut lab, LEGACY).await.0["code"], "auth");
        assert_eq!(ask(&mut lab, "/clients", "").await.0, 401);
    }
    assert_eq!(register(&mut lab, &with_token("token-of-a-wall")).await.0["type"], "welcome");
}

#[tokio::test(start_paused = true)]
async fn questions_need_a_token_that_may_watch_and_only_health_checks_do_not() {
    let mut lab = guarded();
    for target in ["/", "/clients", "/metrics", "/events", "/browser", "/health/stale", "/nowhere"] {
        let (status, answer) = ask(&mut lab, target, "").await;
        assert_eq!(status, 401, "{target}");
        assert!(answer.to_lowercase().contains("www-authenticate: bearer"), "{answer}");
        assert!(!answer.contains("clients\":["), "{answer}");
    }
    for (header, wanted) in [
        ("Authorization: Bearer token-of-a-wall\r\n", 200),
        ("authorization: bearer token-of-an-admin\r\n", 200),
        ("Authorization: Bearer token-of-a-machine\r\n", 403),
        ("Authorization: Bearer token-of-a-wal\r\n", 401),
        ("Authorization: Basic token-of-a-wall\r\n", 401),
        ("Authorization: token-of-a-wall\r\n", 401),
    ] {
        assert_eq!(ask(&mut lab, "/clients", header).await.0, wanted, "{header}");
    }
    assert_eq!(ask(&mut lab, "/clients?token=token-of-a-wall", "").await.0, 401, "addresses end up in logs");
    for target in ["/healthz", "/readyz"] {
        assert_eq!(ask(&mut lab, target, "").await.0, 200, "{target}");
    }
    let sneaky = "Upgrade: websocket\r\n";
    let (status, answer) = ask(&mut lab, "/clients", sneaky).await;
    assert!(status == 400 && !answer.contains("\"clients\""), "{answer}");
}

type Socket = WebSocketStream<tokio::io::DuplexStream>;

async fn open(lab: &mut Lab, target: &str) -> Result<Socket, u16> {
    let peer = lab.call();
    match client_async(format!("ws://here{target}"), peer.io).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

/// Says something, and returns the first text that comes, or the code of the close frame.
async fn say(mut socket: Socket, text: &str) -> Result<String, u16> {
    socket.send(Message::text(text)).await.unwrap();
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
            Some(Ok(Message::Close(Some(frame)))) => return Err(frame.code.into()),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_websocket_brings_its_token_in_its_address_or_its_register() {
    let mut lab = guarded();
    let bare = open(&mut lab, "/tab?token=token-of%2Da-machine").await.unwrap();
    assert_eq!(say(bare, "ping").await, Ok("pong".to_owned()));
    let native = open(&mut lab, "/?token=token-of-a-machine").await.unwrap();
    assert!(say(native, &v1("")).await.unwrap().contains("welcome"));
    let own = open(&mut lab, "/").await.unwrap();
    assert!(say(own, &with_token("token-of-a-machine")).await.unwrap().contains("welcome"));

    assert_eq!(open(&mut lab, "/?token=token-of-nobody").await.err(), Some(401));
    let bare = open(&mut lab, "/tab").await.unwrap();
    assert_eq!(say(bare, "ping").await, Err(1008));
    let native = open(&mut lab, "/").await.unwrap();
    assert!(say(native, &v1("")).await.unwrap().contains("\"auth\""));
    // A right one in the address does not make up for a wrong one in the register.
    let both = open(&mut lab, "/?token=token-of-a-machine").await.unwrap();
    assert!(say(both, &with_token("wrong-one")).await.unwrap().contains("\"auth\""));
}

#[tokio::test(start_paused = true)]
async fn a_netsync_client_cannot_bring_one_and_is_held_in_silence() {
    let mut lab = guarded();
    let mut peer = lab.call();
    let start = Instant::now();
    peer.send(br#"{"Identify":{"hostname":"bench-1"}}"#).await;
    let mut heard = Vec::new();
    peer.io.read_to_end(&mut heard).await.unwrap();
    assert!(heard.is_empty() && start.elapsed() >= secs(10), "{:?}", start.elapsed());
    assert!(lab.event().await.1.contains("auth"));
}

#[tokio::test(start_paused = true)]
async fn other_tokens_hold_from_then_on_and_whoever_is_in_stays() {
    let mut lab = guarded();
    let mut inside = lab.call();
    inside.say(&with_token("token-of-a-machine")).await;
    assert_eq!(inside.hear().await["type"], "welcome");
    lab.server.remote().guard(guard("machines:join:the-new-token\n"));
    inside.ping().await;
    assert_eq!(register(&mut lab, &with_token("token-of-a-machine")).await.0["code"], "auth");
    assert_eq!(register(&mut lab, &with_token("the-new-token")).await.0["type"], "welcome");
}

#[tokio::test(start_paused = true)]
async fn a_screen_is_told_when_anyone_can_join() {
    let lab = Lab::new();
    let remote = lab.server.remote();
    let mut views = lab.server.views();
    remote.guard(Guard { open: true, ..Guard::default() });
    remote.command(Command::Show(Window::default())).await;
    sleep(secs(1)).await;
    assert!(views.borrow_and_update().open);
    remote.guard(guard(FILE));
    remote.command(Command::Show(Window::default())).await;
    sleep(secs(1)).await;
    assert!(!views.borrow_and_update().open);
}

#[tokio::test(start_paused = true)]
async fn who_may_not_send_is_told_so_whatever_it_wants_and_can_still_chat() {
    let mut lab = Lab::new();
    lab.server.remote().guard(guard(
        "machines:join:token-of-a-machine\nwall:watch:token-of-a-wall\nops:notify:token-of-ops\n",
    ));
    let enter = async |lab: &mut Lab, token: &str, extra: &str| {
        let mut peer = lab.call();
        peer.say(&v1(&format!(r#""token":"{token}","want":["notify"],{extra}"#))).await;
        assert_eq!(peer.hear().await["type"], "welcome", "{token}");
        peer
    };
    let mut ops = enter(&mut lab, "token-of-ops", r#""id":"ops","#).await;
    for (token, id) in [("token-of-a-machine", "m"), ("token-of-a-wall", "w")] {
        let mut peer = enter(&mut lab, token, &format!(r#""id":"{id}","#)).await;
        peer.say(r#"{"type":"notify","to":{"all":true},"body":"x"}"#).await;
        let error = peer.hear_type("error").await;
        assert_eq!((&error["code"], &error["retry_ms"]), (&"forbidden".into(), &Value::Null));
        assert!(error["message"].as_str().unwrap().contains("role notify"), "{error}");
        peer.say(r#"{"type":"chat","message":"hello"}"#).await;
        assert_eq!(peer.hear_type("chat").await["message"], "hello");
        assert_eq!(ops.hear().await["message"], "hello", "and no notification before it");
        peer.ping().await;
        sleep(secs(9)).await; // So much at once would be a flood.
        ops.ping().await;
        // With a right one on the same connection it stays what it was when it came in.
        peer.say(&v1(&format!(r#""token":"token-of-ops","want":["notify"],"id":"{id}","#))).await;
        peer.say(r#"{"type":"notify","to":{"all":true},"body":"x"}"#).await;
        assert_eq!(peer.hear_type("error").await["code"], "forbidden");
        peer.say(r#"{"type":"leave"}"#).await;
    }
    // A messenger with too small a role is one nevertheless: nobody writes to it, and it leaves no row.
    let mut messenger = enter(&mut lab, "token-of-a-machine", "").await;
    ops.say(r#"{"type":"notify","to":{"all":true},"body":"x"}"#).await;
    assert_eq!(ops.hear_type("notify_result").await["targets"], 2, "the two that have left");
    messenger.say(r#"{"type":"leave"}"#).await;
    assert_eq!(messenger.line().await, None);
    ops.say(r#"{"type":"notify","to":{"all":true},"body":"x"}"#).await;
    assert_eq!(ops.hear_type("notify_result").await["targets"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_wrong_tokens_is_told_ten_times_a_second_and_counted() {
    const GUESSES: usize = 120;
    let mut lab = guarded();
    let mut peers = Vec::new();
    for n in 0..GUESSES {
        // Each from an address of its own, so that none is shut out; half of them ask over HTTP.
        let mut peer = lab.call_from(format!("10.1.{n}.1:4").parse().unwrap(), 1 << 16);
        if n % 2 == 0 {
            peer.say(&with_token("guess-guess")).await;
        } else {
            let head = "Host: here\r\nAuthorization: Bearer guess-guess\r\n";
            peer.send(format!("GET /clients HTTP/1.1\r\n{head}\r\n").as_bytes()).await;
        }
        peers.push(peer);
    }
    for peer in &mut peers {
        let mut answer = [0; 16];
        peer.io.read_exact(&mut answer).await.unwrap();
    }
    let (mut told, mut counted) = (0, 0);
    while told + counted < GUESSES {
        let (word, text) = lab.event().await;
        match word.as_str() {
            "refused" => told += 1,
            _ => counted += text.split(' ').next().and_then(|n| n.parse::<usize>().ok()).unwrap_or(0),
        }
    }
    assert_eq!((told, counted), (10, GUESSES - 10), "ten, and within a second a number for the rest");
}
