//! The program as a client of servers that speak something else: real sockets, real TLS, real mistakes.
#![cfg(unix)]
#![allow(missing_docs, reason = "a test is documented by its name")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are test code")]

#[path = "common/process.rs"]
mod process;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use futures_util::{SinkExt, StreamExt};
use process::{Daemon, Home, PATIENCE};
use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::Message;

/// Runs a server on a thread of its own; what it returns is what it heard.
fn serve<T: Send + 'static>(
    talk: impl AsyncFnOnce(tokio::net::TcpListener) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let server = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            tokio::time::timeout(PATIENCE, talk(listener)).await.unwrap()
        })
    });
    (addr, server)
}

/// Answers three beats, asks once, says when that was replied to, and returns all it heard until the client left.
async fn answer_three(stream: impl AsyncRead + AsyncWrite + Unpin, replied: Sender<()>) -> Vec<Message> {
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    let mut heard = Vec::new();
    for _ in 0..3 {
        heard.push(socket.next().await.unwrap().unwrap());
        socket.send(Message::text("PONG")).await.unwrap();
    }
    socket.send(Message::text(r#"{"op":9}"#)).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        if message == Message::text("op 10") {
            replied.send(()).unwrap();
        }
        heard.push(message);
    }
    heard
}

/// Starts `join`; its arguments may contain blanks.
fn join(home: &Home, server: &str, flags: &[&str]) -> Command {
    let mut command = home.command("join");
    command.args([server, "--headless"]).args(flags);
    command
}

const LIVE: [&str; 10] =
    ["--interval", "100ms", "--payload", "ping", "--expect", "PONG", "--on", "op=9", "--reply", "op 10"];

/// Checks what a server heard that answered three beats.
fn check(heard: &[Message]) {
    assert_eq!(heard[..3], [Message::text("ping"), Message::text("ping"), Message::text("ping")]);
    assert!(heard.contains(&Message::text("op 10")), "{heard:?}");
    assert!(matches!(heard.last(), Some(Message::Close(_))), "{heard:?}");
}

#[test]
fn a_websocket_is_beaten_at_answered_and_left_politely() {
    let (replied, reply) = mpsc::channel();
    let (addr, server) = serve(async |listener| {
        let (stream, _) = listener.accept().await.unwrap();
        answer_three(stream, replied).await
    });
    let home = Home::new();
    let mut client = Daemon::start(&mut join(&home, &format!("ws://{addr}/live?key=s3cret"), &LIVE));
    client.says(" connecting: connecting to ws://127.0.0.1");
    client.says("(websocket): a beat every 100ms, the first after one interval");
    reply.recv_timeout(PATIENCE).unwrap();
    assert_eq!(client.stop(Signal::TERM).0, Some(0), "{}", client.transcript());
    check(&server.join().unwrap());
    assert!(!client.transcript().contains("s3cret") && !home.log("join").contains("s3cret"));
}

#[test]
fn raw_bytes_go_out_as_written_and_a_server_that_closes_is_come_back_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let home = Home::new();
    let flags = ["--json", "--interval", "100ms", "--payload-hex", "c000"];
    let mut client = Daemon::start(&mut join(&home, &format!("tcp+raw://{addr}"), &flags));
    for _ in 0..2 {
        let (mut server, _) = listener.accept().unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut beats = [0; 6];
        server.read_exact(&mut beats).unwrap();
        assert_eq!(beats, [0xc0, 0, 0xc0, 0, 0xc0, 0]);
        server.write_all(b"\x1b[2J goodbye").unwrap();
        drop(server);
        client.event("connected");
        let lost = client.event("lost");
        assert!(lost["message"].as_str().unwrap().contains("connection lost"), "{lost}");
    }
    assert_eq!(client.stop(Signal::TERM).0, Some(0));
    assert!(client.said.iter().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
}

#[cfg(feature = "tls")]
mod tls {
    use std::fs;
    use std::sync::Arc;

    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;

    use super::*;

    /// Makes a server's half of TLS for `localhost`, and its certificate as a file would have it.
    fn acceptor() -> (TlsAcceptor, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        (TlsAcceptor::from(Arc::new(config)), made.cert.pem())
    }

    #[test]
    fn wss_is_trusted_by_its_certificate_and_by_nothing_less() {
        let (replied, reply) = mpsc::channel();
        let (acceptor, pem) = acceptor();
        let (addr, server) = serve(async move |listener| {
            // Two clients that do not trust it come first.
            for _ in 0..2 {
                let (stream, _) = listener.accept().await.unwrap();
                assert!(acceptor.accept(stream).await.is_err());
            }
            let (stream, _) = listener.accept().await.unwrap();
            answer_three(acceptor.accept(stream).await.unwrap(), replied).await
        });
        let home = Home::new();
        let (file, other) = (home.cwd().join("server.pem"), home.cwd().join("other.pem"));
        fs::write(&file, pem).unwrap();
        fs::write(&other, self::acceptor().1).unwrap();
        for (host, trusted) in [("localhost", &other), ("127.0.0.1", &file)] {
            let mut command = join(&home, &format!("wss://{host}:{}/", addr.port()), &LIVE);
            let mut client = Daemon::start(command.env("SSL_CERT_FILE", trusted));
            let failed = client.says(" failed: ");
            assert!(failed.contains("no TLS with") && failed.contains("certificate"), "{failed}");
            client.kill();
        }
        let mut command = join(&home, &format!("wss://localhost:{}/", addr.port()), &LIVE);
        let mut client = Daemon::start(command.env("SSL_CERT_FILE", &file));
        client.says("(websocket over TLS): a beat every 100ms");
        reply.recv_timeout(PATIENCE).unwrap();
        assert_eq!(client.stop(Signal::TERM).0, Some(0), "{}", client.transcript());
        check(&server.join().unwrap());
    }

    #[test]
    fn a_system_without_certificates_is_told_what_to_do() {
        let (addr, _server) = serve(async |listener| {
            let _ = listener.accept().await;
        });
        let home = Home::new();
        fs::write(home.cwd().join("none.pem"), "").unwrap();
        let mut command = join(&home, &format!("wss://localhost:{}/", addr.port()), &LIVE);
        let mut client = Daemon::start(command.env("SSL_CERT_FILE", home.cwd().join("none.pem")));
        client.says("SSL_CERT_FILE");
    }
}

#[test]
fn a_mistake_on_the_command_line_says_what_to_do_and_starts_nothing() {
    let home = Home::new();
    for (server, flags, hint) in [
        ("ws//hq", &["--interval", "1s", "--payload", "x"][..], "write ws://HOST"),
        ("ws://", &["--interval", "1s", "--payload", "x"], "names no host"),
        ("ws://hq", &["--payload", "x"], "--interval 30s"),
        ("ws://hq", &["--interval", "1s"], "--payload-hex HEX"),
        ("ws://hq", &["--interval", "1s", "--payload", "x", "--payload-json", "1"], "only one of"),
        ("ws://hq", &["--interval", "1s", "--payload-json", "{"], "not JSON"),
        ("ws://hq", &["--interval", "1s", "--payload", "x", "--on", "y"], "needs its --reply"),
        ("ws://hq", &["--interval", "1s", "--payload", "x", "--tag", "a=b"], "--tag says nothing"),
        ("tcp+raw://hq", &["--interval", "1s", "--payload", "x"], "names no port"),
        ("hq", &["--payload", "x"], "tcp+raw://HOST:PORT"),
        ("hq", &["--expect", "x"], "ws://HOST/PATH"),
        ("http://hq", &[], "is a URL"),
    ] {
        let ran = process::Ran::of(&mut join(&home, server, flags));
        assert_eq!(ran.code, Some(2), "{server} {flags:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(hint) && ran.stdout.is_empty(), "{server} {flags:?}: {}", ran.stderr);
    }
}
