//! TLS on the same port, on a paused clock.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use presence_tui::security::duplex::Stream;
use presence_tui::security::tls::{ClientTls, Made, ServerTls, Trust, make};
use presence_tui::security::{Pin, Tokens};
use presence_tui::server::{Eye, Guard, WRITE_DEADLINE};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::common::{LEGACY, Lab, secs, v1};

/// A pair for `localhost`, made as `presence-tui cert` makes it.
fn pair() -> Made {
    make(&["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap()
}

fn server_tls(pair: &Made, client_ca: Option<&str>) -> ServerTls {
    let ca = client_ca.map(str::as_bytes);
    ServerTls::new(pair.certificate.as_bytes(), pair.key.as_bytes(), ca).unwrap()
}

fn guard(pair: &Made) -> Guard {
    Guard { tls: Some(server_tls(pair, None)), ..Guard::default() }
}

/// A server that speaks TLS, and the pin of its certificate.
fn secure() -> (Lab, Pin) {
    let (lab, pair) = (Lab::new(), pair());
    lab.server.remote().guard(guard(&pair));
    (lab, pair.pin)
}

fn pinned(pin: Pin) -> ClientTls {
    ClientTls::new(Trust::Pin(pin), None).unwrap()
}

/// Who vouches for clients, and a certificate of one of them with its key.
fn clients(user: &str) -> (String, String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, user);
    let key = KeyPair::generate().unwrap();
    let own = params.signed_by(&key, &ca).unwrap();
    (ca.pem(), own.pem(), key.serialize_pem())
}

/// A client's end of a secret connection.
struct Secret {
    io: Stream,
    unread: Vec<u8>,
}

impl Secret {
    async fn open(lab: &mut Lab, tls: &ClientTls) -> Result<Self, String> {
        Self::over(lab.call().io, tls).await
    }

    async fn over(pipe: DuplexStream, tls: &ClientTls) -> Result<Self, String> {
        let io = tls.connect("localhost", pipe).await?;
        Ok(Self { io, unread: Vec::new() })
    }

    async fn say(&mut self, line: &str) {
        self.io.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        self.io.flush().await.unwrap();
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.iter().position(|&b| b == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Some(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            let mut chunk = [0; 4096];
            match timeout(secs(86_400), self.io.read(&mut chunk)).await.unwrap().unwrap_or(0) {
                0 => return None,
                n => self.unread.extend_from_slice(&chunk[..n]),
            }
        }
    }

    async fn hear(&mut self) -> Value {
        serde_json::from_str(&self.line().await.expect("a line, not the end")).unwrap()
    }

    async fn hear_type(&mut self, kind: &str) -> Value {
        loop {
            let message = self.hear().await;
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Sends a request, and returns all that is answered.
    async fn ask(mut self, target: &str, headers: &str) -> String {
        let request = format!("GET {target} HTTP/1.1\r\nHost: here\r\n{headers}Connection: close\r\n\r\n");
        self.io.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        self.io.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_joins_over_tls_that_knows_the_pin_or_who_vouches_for_the_server() {
    let (mut lab, made) = (Lab::new(), pair());
    lab.server.remote().guard(guard(&made));
    for trust in [Trust::Pin(made.pin), Trust::Ca(made.certificate.as_bytes())] {
        let mut peer = Secret::open(&mut lab, &ClientTls::new(trust, None).unwrap()).await.unwrap();
        peer.say(&v1(r#""want":["roster"],"#)).await;
        assert_eq!(peer.hear().await["type"], "welcome");
        for _ in 0..20 {
            sleep(secs(9)).await;
            peer.say(r#"{"type":"ping"}"#).await;
            peer.hear_type("pong").await;
        }
        peer.say(r#"{"type":"leave","reason":"quit"}"#).await;
        assert_eq!(lab.word().await, "registered");
        let (word, text) = lab.event().await;
        assert_eq!((word.as_str(), text.starts_with("left: quit")), ("left", true));
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_over_tls_is_told_and_closed_at_its_deadline_like_any_other() {
    let (mut lab, pin) = secure();
    let mut peer = Secret::open(&mut lab, &pinned(pin)).await.unwrap();
    peer.say(LEGACY).await;
    assert_eq!(peer.hear().await["type"], "client_list");
    let start = Instant::now();
    assert_eq!(peer.hear().await["code"], "timeout");
    assert!((30_000..=30_005).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert_eq!(peer.line().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_the_one_meant_is_not_spoken_to() {
    let (mut lab, _) = secure();
    let other = pair();
    for (trust, words) in [
        (Trust::Pin(other.pin), "not the pinned one: it has the pin sha256/"),
        (Trust::Ca(other.certificate.as_bytes()), "nobody who is trusted here vouches"),
    ] {
        let error = Secret::open(&mut lab, &ClientTls::new(trust, None).unwrap()).await.err().unwrap();
        assert!(error.contains(words) && error.contains("localhost"), "{error}");
        let (word, text) = lab.event().await;
        assert!(word == "refused" && text.contains("no TLS"), "{text}");
    }
    let (mut lab, made) = (Lab::new(), make(&["elsewhere".to_owned()]).unwrap());
    lab.server.remote().guard(guard(&made));
    let tls = ClientTls::new(Trust::Ca(made.certificate.as_bytes()), None).unwrap();
    let error = Secret::open(&mut lab, &tls).await.err().unwrap();
    assert!(error.contains("for another host"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_name_in_a_client_s_certificate_is_its_user_whatever_it_claims() {
    let (ca, cert, key) = clients("ada\u{202e}");
    let (mut lab, made) = (Lab::new(), pair());
    let tls = Some(server_tls(&made, Some(&ca)));
    lab.server.remote().guard(Guard { tls, require_tls: true, ..Guard::default() });
    let own = Some((cert.as_bytes(), key.as_bytes()));
    let tls = ClientTls::new(Trust::Pin(made.pin), own).unwrap();
    let mut peer = Secret::open(&mut lab, &tls).await.unwrap();
    let claim = v1(r#""id":"me","user":"bob","want":["roster"],"#);
    peer.say(&claim).await;
    peer.hear_type("welcome").await;
    let user = |list: Value| list["clients"][0]["user"].as_str().unwrap_or_default().to_owned();
    assert_eq!(user(peer.hear_type("client_list").await), "ada\u{fffd}", "and it is cleaned");
    peer.say(&claim.replace("bob", "eve")).await;
    peer.say(r#"{"type":"update","name":"x"}"#).await;
    peer.say(r#"{"type":"ping"}"#).await;
    peer.hear_type("pong").await;
    let answer = Secret::open(&mut lab, &tls).await.unwrap().ask("/clients", "").await;
    assert!(answer.contains("\"user\":\"ada\u{fffd}\"") && !answer.contains("eve"), "{answer}");

    // Without a certificate, with one nobody vouches for, or without TLS, nobody comes in.
    let stranger = pair();
    let own = Some((stranger.certificate.as_bytes(), stranger.key.as_bytes()));
    for tls in [pinned(made.pin), ClientTls::new(Trust::Pin(made.pin), own).unwrap()] {
        let opened = Secret::open(&mut lab, &tls).await;
        // With TLS 1.3 a client hears only afterwards what the server thinks of its certificate.
        let heard = match opened {
            Ok(mut peer) => {
                let _ = peer.io.write_all(LEGACY.as_bytes()).await;
                peer.line().await
            }
            Err(_) => None,
        };
        assert_eq!(heard, None);
    }
    let mut plain = lab.call();
    plain.say(LEGACY).await;
    assert_eq!(plain.hear().await["code"], "forbidden");
}

#[tokio::test(start_paused = true)]
async fn plain_connections_come_in_beside_it_unless_tls_is_required() {
    let (mut lab, pin) = secure();
    let mut secret = Secret::open(&mut lab, &pinned(pin)).await.unwrap();
    secret.say(LEGACY).await;
    assert_eq!(secret.hear().await["clients"].as_array().unwrap().len(), 1);
    let mut plain = lab.legacy().await;
    assert_eq!(secret.hear().await["clients"].as_array().unwrap().len(), 2);

    let made = pair();
    lab.server.remote().guard(Guard { require_tls: true, ..guard(&made) });
    plain.ping().await;
    let mut late = lab.call();
    late.say(&v1("")).await;
    let error = late.hear().await;
    assert_eq!((&error["code"], &error["retry_ms"]), (&"forbidden".into(), &Value::Null));
    assert!(error["message"].as_str().unwrap().contains("tls://"), "{error}");
    for (target, status) in [("/clients", " 403 "), ("/healthz", " 200 ")] {
        let mut peer = lab.call();
        peer.send(format!("GET {target} HTTP/1.1\r\nConnection: close\r\n\r\n").as_bytes()).await;
        let mut answer = String::new();
        peer.io.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains(status), "{answer}");
    }
    let start = Instant::now();
    let mut bench = lab.call();
    bench.send(br#"{"Identify":{"hostname":"bench-1"}}"#).await;
    assert_eq!(bench.line().await, None);
    assert!(start.elapsed() >= secs(10), "held, as ever");
    let mut secret = Secret::open(&mut lab, &pinned(made.pin)).await.unwrap();
    secret.say(&v1("")).await;
    assert_eq!(secret.hear().await["type"], "welcome", "with the new certificate");
}

#[tokio::test(start_paused = true)]
async fn questions_websockets_and_netsync_work_inside_it_and_tokens_do_too() {
    let (mut lab, made) = (Lab::new(), pair());
    let tokens = Tokens::parse(b"m:join:token-of-a-machine\nw:watch:token-of-a-wall\n").unwrap();
    lab.server.remote().guard(Guard { tokens: Some(tokens), ..guard(&made) });
    let tls = pinned(made.pin);
    let open = async |lab: &mut Lab| Secret::open(lab, &tls).await.unwrap();
    assert!(open(&mut lab).await.ask("/clients", "").await.starts_with("HTTP/1.1 401"));
    let bearer = "Authorization: Bearer token-of-a-wall\r\n";
    assert!(open(&mut lab).await.ask("/clients", bearer).await.starts_with("HTTP/1.1 200"));
    assert!(open(&mut lab).await.ask("/healthz", "").await.starts_with("HTTP/1.1 200"));

    let stream = open(&mut lab).await.io;
    let target = "ws://here/tab?token=token-of-a-machine";
    let (mut socket, _) = tokio_tungstenite::client_async(target, stream).await.unwrap();
    socket.send(Message::text("ping")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("pong"));

    let mut peer = open(&mut lab).await;
    peer.say(&v1(r#""token":"token-of-a-machine","#)).await;
    assert_eq!(peer.hear().await["type"], "welcome");

    lab.server.remote().guard(guard(&made));
    let mut bench = open(&mut lab).await;
    bench.io.write_all(br#"{"Identify":{"hostname":"bench-1"}}"#).await.unwrap();
    let mut ping = [0; 6];
    bench.io.read_exact(&mut ping).await.unwrap();
    assert_eq!(&ping, b"\"Ping\"");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_stalls_ends_with_the_time_to_register_and_garbage_at_once() {
    let (mut lab, pin) = secure();
    let start = Instant::now();
    for (bytes, ends) in [
        (&b"\x16"[..], secs(5)),
        (b"\x16\x03\x01\x02\x00\x01\x00", secs(5)),
        (b"\x16\x03\x01\x00\x05hello and what else there is", secs(0)),
        (b"\x16GET / HTTP/1.1\r\n\r\n", secs(0)),
        (&[0x16; 7_000], secs(0)),
    ] {
        let mut peer = lab.call();
        let start = Instant::now();
        peer.send(bytes).await;
        let mut heard = Vec::new();
        let _ = peer.io.read_to_end(&mut heard).await;
        assert_eq!(start.elapsed(), ends, "{:?}", &bytes[..bytes.len().min(20)]);
        assert!(heard.len() < 10, "an alert at most: {heard:?}");
        assert_eq!(lab.word().await, "refused");
    }
    assert!(start.elapsed() < secs(11));
    // A handshake as such is no registration.
    let mut mute = Secret::open(&mut lab, &pinned(pin)).await.unwrap();
    let start = Instant::now();
    assert_eq!(mute.hear().await["code"], "register_timeout");
    assert!(start.elapsed() <= secs(5) && mute.line().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_handshake_inside_another_and_one_that_nobody_asked_for_are_unknown() {
    let (mut lab, pin) = secure();
    let outer = Secret::open(&mut lab, &pinned(pin)).await.unwrap();
    let inner = pinned(pin).connect("localhost", outer.io).await;
    assert!(inner.is_err());
    lab.server.remote().guard(Guard::default());
    let mut peer = lab.call();
    peer.send(b"\x16\x03\x01\x02\x00").await;
    assert_eq!(peer.hear().await["code"], "bad_request");
}

#[tokio::test(start_paused = true)]
async fn a_client_over_tls_that_does_not_read_is_cut_as_slow_and_hurts_nobody() {
    let (mut lab, pin) = secure();
    let mut good = lab.legacy().await;
    let from = SocketAddr::from(([127, 0, 0, 1], 5));
    let (ours, theirs) = tokio::io::duplex(4_096);
    lab.server.attend(theirs, Eye::blind(), from);
    let mut deaf = Secret::over(ours, &pinned(pin)).await.unwrap();
    deaf.say(LEGACY).await;
    let chat = format!(
        r#"{{"type":"chat","from_ip":"h","from_port":1,"message":"{}","timestamp":"","channel":"general"}}"#,
        "x".repeat(4_000)
    );
    let start = Instant::now();
    let mut reasons = Vec::new();
    while start.elapsed() < secs(25) && !reasons.iter().any(|word| word == "slow") {
        good.say(&chat).await;
        sleep(secs(1) / 2).await;
        good.ping().await;
        while let Ok(event) = lab.events.try_recv() {
            reasons.push(event.kind.word().to_owned());
        }
    }
    assert!(reasons.iter().any(|word| word == "slow"), "{reasons:?}");
    assert!(start.elapsed() > WRITE_DEADLINE);
}
