//! A heartbeat for a server that speaks something else, over connections of memory.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use presence_tui::client::foreign::{ForeignEngine, Plan, Wanted};
use presence_tui::client::{JoinState, Windows};
use presence_tui::presence::command::Command;
use presence_tui::presence::view::{Foreign, Link};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{self, Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use crate::hand::{Joined, Log, Net, Trouble, secs};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A raw server, a payload `ping` every 10 s, and nothing else.
fn raw() -> Wanted<'static> {
    Wanted {
        server: "tcp+raw://hq:1",
        name: "build-7",
        interval: Some("10s"),
        payload: Some("ping"),
        ..Wanted::default()
    }
}

fn ws() -> Wanted<'static> {
    Wanted { server: "ws://hq/live?key=s3cret", ..raw() }
}

fn join(wanted: &Wanted<'_>) -> Joined {
    join_into(wanted, &[])
}

fn join_into(wanted: &Wanted<'_>, trouble: &[Trouble]) -> Joined {
    let (servers_in, servers) = mpsc::channel(8);
    let log = Arc::new(Mutex::new(Log { trouble: trouble.iter().copied().collect(), ..Log::default() }));
    let (commands, commands_out) = mpsc::channel(8);
    let cancel = CancellationToken::new();
    let net = Net { servers: servers_in, log: Arc::clone(&log) };
    let plan = Plan::new(wanted).unwrap();
    let rng = fastrand::Rng::with_seed(1);
    let (engine, windows) = ForeignEngine::new(plan, net, commands_out, cancel.clone(), rng);
    let running = async {
        engine.run().await;
        Ok(())
    };
    Joined { task: tokio::spawn(running), windows, commands, cancel, servers, log }
}

/// Takes the next connection as it is.
async fn accept(client: &mut Joined) -> DuplexStream {
    timeout(secs(3_600), client.servers.recv()).await.unwrap().unwrap().1
}

/// Takes the next connection as a WebSocket.
async fn accept_ws(client: &mut Joined) -> WebSocketStream<DuplexStream> {
    tokio_tungstenite::accept_async(accept(client).await).await.unwrap()
}

/// Waits for so many bytes.
async fn bytes(stream: &mut DuplexStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    timeout(secs(7_200), stream.read_exact(&mut bytes)).await.unwrap().unwrap();
    bytes
}

/// Waits for the next message.
async fn message(socket: &mut WebSocketStream<DuplexStream>) -> Message {
    timeout(secs(7_200), socket.next()).await.unwrap().unwrap().unwrap()
}

fn foreign(state: &JoinState) -> Foreign {
    state.uplink.foreign.unwrap()
}

fn is_online(state: &Arc<JoinState>) -> bool {
    matches!(state.uplink.link, Link::Online(_))
}

#[tokio::test(start_paused = true)]
async fn the_first_beat_comes_after_one_interval_and_each_other_one_interval_later() {
    let mut client = join(&raw());
    let mut server = accept(&mut client).await;
    let connected = Instant::now();
    for nth in 1..=50 {
        assert_eq!(bytes(&mut server, 4).await, b"ping");
        let (at, due) = (connected.elapsed(), secs(10 * nth));
        assert!(at >= due && at <= due + ms(1), "beat {nth} at {at:?}");
    }
    let state = client.state(|state| state.uplink.sent == 50).await;
    assert_eq!((state.uplink.unanswered, state.uplink.reconnects), (0, 0));
    assert_eq!(state.uplink.server, "tcp+raw://hq:1");
    assert!(is_online(&state) && state.uplink.last_ping.is_none() && foreign(&state).received == 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_every_ten_milliseconds_moves_no_beat() {
    let mut client = join(&ws());
    let socket = accept_ws(&mut client).await;
    let connected = Instant::now();
    let (mut talk, mut listen) = socket.split();
    let flood: JoinHandle<u64> = tokio::spawn(async move {
        let mut sent = 0;
        while connected.elapsed() < secs(605) {
            talk.send(Message::text(format!("news {sent}"))).await.unwrap();
            sent += 1;
            time::sleep(ms(10)).await;
        }
        time::sleep(secs(1)).await;
        sent
    });
    for nth in 1..=60 {
        let beat = timeout(secs(20), listen.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(beat, Message::text("ping"));
        let (at, due) = (connected.elapsed(), secs(10 * nth));
        assert!(at >= due && at <= due + ms(1), "beat {nth} at {at:?}");
    }
    let sent = timeout(secs(60), flood).await.unwrap().unwrap();
    assert!(sent > 50_000, "{sent}");
    let state = client.state(|state| foreign(state).received == sent).await;
    assert_eq!((state.uplink.sent, state.uplink.reconnects), (60, 0));
}

#[tokio::test(start_paused = true)]
async fn a_raw_stream_without_end_moves_no_beat_either() {
    let mut client = join(&raw());
    let (mut listen, mut talk) = tokio::io::split(accept(&mut client).await);
    let connected = Instant::now();
    let flood = tokio::spawn(async move {
        while talk.write_all(&[b'x'; 16_000]).await.is_ok() {
            time::sleep(ms(1)).await;
        }
    });
    for nth in 1..=6 {
        let mut beat = [0; 4];
        listen.read_exact(&mut beat).await.unwrap();
        let (at, due) = (connected.elapsed(), secs(10 * nth));
        assert!(&beat == b"ping" && at >= due && at <= due + ms(1), "beat {nth} at {at:?}");
    }
    flood.abort();
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_ten_intervals_is_followed_by_one_beat() {
    let mut client = join(&raw());
    let mut server = accept(&mut client).await;
    assert_eq!(bytes(&mut server, 4).await, b"ping");
    time::advance(secs(109)).await;
    assert_eq!(bytes(&mut server, 4).await, b"ping");
    let woken = Instant::now();
    assert_eq!(bytes(&mut server, 4).await, b"ping");
    let gap = woken.elapsed();
    assert!(gap >= ms(9_990) && gap <= ms(10_001), "{gap:?}");
    client.state(|state| state.uplink.sent == 3).await;
}

#[tokio::test(start_paused = true)]
async fn bytes_go_out_as_they_are_and_json_as_a_text_message() {
    let hex = Wanted { payload: None, payload_hex: Some("c000"), ..raw() };
    let mut client = join(&hex);
    assert_eq!(bytes(&mut accept(&mut client).await, 2).await, [0xc0, 0]);
    let mut client = join(&Wanted { server: "ws://hq", ..hex });
    assert_eq!(message(&mut accept_ws(&mut client).await).await, Message::binary(vec![0xc0, 0]));
    let json = Wanted { payload: None, payload_json: Some("{\"op\": 1}"), ..ws() };
    let mut client = join(&json);
    assert_eq!(message(&mut accept_ws(&mut client).await).await, Message::text("{\"op\": 1}"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_measures_the_round_trip() {
    let mut client = join(&Wanted { expect: Some("PONG"), ..ws() });
    let mut server = accept_ws(&mut client).await;
    for nth in 1..=5 {
        assert_eq!(message(&mut server).await, Message::text("ping"));
        server.send(Message::text("something else")).await.unwrap();
        time::sleep(ms(80)).await;
        server.send(Message::text("PONG")).await.unwrap();
        let state = client.state(|state| state.uplink.answered == nth).await;
        let rtt = state.uplink.rtts.last().copied().flatten().unwrap();
        assert!(rtt >= ms(80) && rtt <= ms(82), "{rtt:?}");
    }
    // One that answers nothing changes nothing.
    server.send(Message::text("PONG")).await.unwrap();
    let state = client.state(|state| foreign(state).received == 11).await;
    assert_eq!((state.uplink.answered, state.uplink.unanswered, state.uplink.sent), (5, 0, 5));
}

#[tokio::test(start_paused = true)]
async fn an_answer_on_a_raw_stream_may_come_in_pieces() {
    let mut client = join(&Wanted { expect: Some("PONG"), ..raw() });
    let mut server = accept(&mut client).await;
    bytes(&mut server, 4).await;
    for piece in ["noise PO", "N", "G noise"] {
        assert_eq!(client.state(|_| true).await.uplink.answered, 0);
        server.write_all(piece.as_bytes()).await.unwrap();
        time::sleep(ms(200)).await;
    }
    let state = client.state(|state| state.uplink.answered == 1).await;
    let rtt = state.uplink.rtts[0].unwrap();
    assert!(rtt >= ms(400) && rtt <= ms(403), "{rtt:?}");
    assert_eq!(foreign(&state).received, 16);
}

#[tokio::test(start_paused = true)]
async fn the_oldest_unanswered_beat_declares_a_server_dead_however_much_it_talks() {
    for talks in [false, true] {
        let mut client = join(&Wanted { expect: Some("PONG"), ..ws() });
        let mut server = accept_ws(&mut client).await;
        message(&mut server).await;
        server.send(Message::text("PONG")).await.unwrap();
        message(&mut server).await;
        let unanswered = Instant::now();
        let (mut talk, mut listen) = server.split();
        let talking = tokio::spawn(async move {
            while talks && talk.send(Message::text("news")).await.is_ok() {
                time::sleep(ms(10)).await;
            }
            talk // kept open
        });
        let state = client.state(|state| matches!(state.uplink.link, Link::Late(..))).await;
        assert!(unanswered.elapsed() >= ms(999) && unanswered.elapsed() <= ms(1_101));
        assert_eq!(state.uplink.answered, 1);
        // Beats go on until the verdict, and then there is a close frame.
        for _ in 0..2 {
            assert_eq!(listen.next().await.unwrap().unwrap(), Message::text("ping"));
        }
        let close = listen.next().await.unwrap();
        assert!(matches!(close, Ok(Message::Close(_))), "{close:?}");
        // Two intervals and 2 s.
        let after = unanswered.elapsed();
        assert!(after >= secs(22) && after <= ms(22_010), "{after:?}, talks: {talks}");
        client.notice("connection lost: the server has not answered a beat for 22s").await;
        talking.abort();
        accept_ws(&mut client).await;
        let state = client.state(|state| state.uplink.reconnects == 1).await;
        assert_eq!((state.uplink.answered, state.uplink.unanswered), (1, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn our_own_pause_is_not_blamed_on_the_server() {
    let mut client = join(&Wanted { expect: Some("PONG"), ..ws() });
    let mut server = accept_ws(&mut client).await;
    for nth in 1..=5 {
        message(&mut server).await;
        // The answer is there before the pause ends, but was not read.
        server.send(Message::text("PONG")).await.unwrap();
        time::advance(secs(600)).await;
        client.state(|state| state.uplink.answered >= nth).await;
    }
    assert!(client.state(is_online).await.uplink.last_loss.is_none());
}

#[tokio::test(start_paused = true)]
async fn pings_of_the_server_are_replied_to_at_once() {
    let on = ["PING".to_owned(), "type=ping".to_owned(), "op=9".to_owned()];
    let reply = ["PONG".to_owned(), "{\"type\":\"pong\"}".to_owned(), "ten".to_owned()];
    let mut client = join(&Wanted { on: &on, reply: &reply, ..ws() });
    let mut server = accept_ws(&mut client).await;
    let asked = Instant::now();
    for (question, answer) in
        [("PING", "PONG"), ("{\"n\":1,\"type\":\"ping\"}", "{\"type\":\"pong\"}"), ("{\"op\":9}", "ten")]
    {
        server.send(Message::text("PINGED")).await.unwrap();
        server.send(Message::text(question)).await.unwrap();
        assert_eq!(message(&mut server).await, Message::text(answer));
    }
    server.send(Message::Ping("are you there".into())).await.unwrap();
    assert_eq!(message(&mut server).await, Message::Pong("are you there".into()));
    assert!(asked.elapsed() <= ms(1), "{:?}", asked.elapsed());
    let state = client.state(|state| foreign(state).received == 6).await;
    assert_eq!(state.uplink.sent, 0, "a reply is no beat");

    let mut client = join(&Wanted { on: &on, reply: &reply, ..raw() });
    let mut server = accept(&mut client).await;
    server.write_all(b"hello PING\nPING\r\n{\"op\":9}\nPI").await.unwrap();
    server.write_all(b"NG\n").await.unwrap();
    assert_eq!(bytes(&mut server, 11).await, b"PONGtenPONG");
}

#[tokio::test(start_paused = true)]
async fn a_lost_server_is_come_back_to_with_growing_waits_for_ever() {
    let mut client = join_into(&raw(), &[Trouble::Unknown, Trouble::Refused]);
    let server = accept(&mut client).await;
    client.notice("attempt 3").await;
    client.notice("connected to").await;
    drop(server);
    client.notice("connection lost: the server closed the connection").await;
    client.log.lock().unwrap().trouble.extend([Trouble::Refused; 20]);
    let dropped = Instant::now();
    let mut server = accept(&mut client).await;
    assert!(dropped.elapsed() > secs(30), "{:?}", dropped.elapsed());
    let state = client.state(|state| state.uplink.reconnects == 1).await;
    assert!(is_online(&state) && state.uplink.last_loss.as_ref().unwrap().2.is_some());
    let connected = Instant::now();
    bytes(&mut server, 4).await;
    assert!(connected.elapsed() >= secs(10), "the first beat comes after one interval, also then");
    // It was stable for an interval: the next return is quick.
    let dropped = Instant::now();
    drop(server);
    accept(&mut client).await;
    assert!(dropped.elapsed() <= ms(510), "{:?}", dropped.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_a_hostile_server_does_ends_its_connection_in_clean_words() {
    let mut client = join(&ws());
    let mut server = accept_ws(&mut client).await;
    server.send(Message::text("x".repeat(64 * 1_024))).await.unwrap();
    client.state(|state| foreign(state).received == 1).await;
    let _ = server.send(Message::text("x".repeat(64 * 1_024 + 1))).await; // It may be left before it is done.
    client.notice("connection lost: the server sent a message of more than 64 KiB").await;

    let mut server = accept_ws(&mut client).await;
    let reason = "\u{1b}]0;owned\u{7}".into();
    let frame = tokio_tungstenite::tungstenite::protocol::CloseFrame { code: 4_000.into(), reason };
    server.send(Message::Close(Some(frame))).await.unwrap();
    let notice = client.notice("connection lost: the server closed the connection (code 4000").await;
    assert!(!notice.to_string().chars().any(char::is_control), "{notice}");

    for (answer, words) in [
        ("HTTP/1.1 404 Not Found\r\n\r\n", "HTTP 404"),
        ("SSH-2.0-\u{1b}[2J\r\n\r\n", "does not speak WebSocket"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "does not speak WebSocket"),
    ] {
        let mut server = accept(&mut client).await;
        server.write_all(answer.as_bytes()).await.unwrap();
        let notice = client.notice(words).await;
        assert!(!notice.to_string().chars().any(char::is_control), "{notice}");
    }
    // One that never answers the handshake.
    let _server = accept(&mut client).await;
    client.notice("did not answer within 10s").await;
    // One that answers it without end.
    let mut server = accept(&mut client).await;
    let flood = tokio::spawn(async move { while server.write_all(&[b'x'; 4_096]).await.is_ok() {} });
    client.notice("could not connect").await;
    timeout(secs(60), flood).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_nothing_in_is_left_and_meanwhile_no_beats_pile_up() {
    let quick = Wanted { interval: Some("1s"), payload: Some("0123456789abcdef"), ..raw() };
    let mut client = join(&quick);
    client.log.lock().unwrap().room_bytes = 24;
    let mut server = accept(&mut client).await;
    client.notice("the server takes nothing in: nothing could be sent for 5s").await;
    let state = client.state(|state| state.uplink.last_loss.is_some()).await;
    assert_eq!(state.uplink.sent, 2, "one went through, one got stuck");
    let mut rest = Vec::new();
    server.read_to_end(&mut rest).await.unwrap();
    assert!(rest.len() <= 32, "{}", rest.len());
}

#[tokio::test(start_paused = true)]
async fn held_heartbeats_stop_and_start_again_at_once() {
    let on = ["PING".to_owned()];
    let mut client = join(&Wanted { on: &on, reply: &on, ..ws() });
    let mut server = accept_ws(&mut client).await;
    message(&mut server).await;
    client.commands.send(Command::Hold(true)).await.unwrap();
    client.state(|state| state.uplink.holding).await;
    server.send(Message::text("PING")).await.unwrap();
    assert!(timeout(secs(300), server.next()).await.is_err(), "neither a beat nor a reply");
    let asked = Instant::now();
    client.commands.send(Command::Hold(false)).await.unwrap();
    assert_eq!(message(&mut server).await, Message::text("ping"));
    client.commands.send(Command::BeatNow).await.unwrap();
    assert_eq!(message(&mut server).await, Message::text("ping"));
    assert!(asked.elapsed() <= ms(2));
    // A server that had enough of the silence is not come back to before beats go out again.
    client.commands.send(Command::Hold(true)).await.unwrap();
    client.state(|state| state.uplink.holding).await;
    drop(server);
    client.notice("not coming back before heartbeats are sent again").await;
    assert!(timeout(secs(600), client.servers.recv()).await.is_err());
    client.commands.send(Command::Hold(false)).await.unwrap();
    accept_ws(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn it_reconnects_and_leaves_when_told_with_a_close_frame() {
    let mut client = join(&ws());
    let mut server = accept_ws(&mut client).await;
    client.state(is_online).await;
    client.commands.send(Command::Reconnect).await.unwrap();
    assert!(matches!(message(&mut server).await, Message::Close(_)));
    drop(server);
    let mut server = accept_ws(&mut client).await;
    assert_eq!(client.state(|state| state.uplink.reconnects == 1).await.uplink.server, "ws://hq/live?...");
    client.cancel.cancel();
    assert!(matches!(message(&mut server).await, Message::Close(_)));
    drop(server);
    timeout(secs(5), client.task).await.unwrap().unwrap().unwrap();
    let Windows { state, mut notices } = client.windows;
    assert!(matches!(&state.borrow().uplink.link, Link::Ended(words) if words == "left"));
    while let Some(notice) = notices.recv().await {
        let all = format!("{notice:?} {notice}");
        assert!(!all.contains("s3cret"), "{all}");
    }
}
