//! Accepting connections: when descriptors run out, when nobody registers, and over real TCP.
#![allow(missing_docs, reason = "a test is documented by its name")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are test code")]

mod common;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use common::{LEGACY, Lab, secs};
use presence_tui::net;
use presence_tui::server::Eye;
use presence_tui::server::listener::{ACCEPTED_AT_ONCE, Accept, Accepted, UNREGISTERED_MAX};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

/// A door that yields what a test puts behind it, then nothing.
struct Script(VecDeque<io::Result<DuplexStream>>);

impl Accept for Script {
    type Stream = DuplexStream;

    async fn accept(&mut self, _: Duration) -> io::Result<Accepted<DuplexStream>> {
        match self.0.pop_front() {
            Some(next) => {
                // Each from an address of its own: those of one address have a limit of their own.
                let [high, low] = u16::try_from(self.0.len()).unwrap().to_be_bytes();
                let peer = SocketAddr::from(([10, 0, high, low], 9));
                next.map(|stream| Accepted { stream, eye: Eye::blind(), peer })
            }
            None => std::future::pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn running_out_of_descriptors_is_said_waited_for_and_survived() {
    let mut lab = Lab::new();
    let (mut ours, theirs) = tokio::io::duplex(4_096);
    let emfile = || Err(io::Error::from_raw_os_error(24));
    let mut script: VecDeque<_> = (0..30).map(|_| emfile()).collect();
    script.push_back(Err(io::ErrorKind::ConnectionAborted.into()));
    script.push_back(Ok(theirs));
    let start = Instant::now();
    lab.server.open(Script(script));
    ours.write_all(format!("{LEGACY}\n").as_bytes()).await.unwrap();

    let mut said = Vec::new();
    while said.last().is_none_or(|(word, _): &(String, String)| word != "registered") {
        said.push(lab.event().await);
    }
    assert!(start.elapsed() >= secs(3) && start.elapsed() < secs(4), "it backs off, and comes back");
    let troubles: Vec<_> = said.iter().filter(|(word, _)| word == "trouble").collect();
    assert!((3..=4).contains(&troubles.len()), "said once a second: {said:?}");
    assert!(troubles[0].1.contains("cannot accept connections: Too many open files"), "{troubles:?}");
    assert!(said.iter().any(|(word, text)| word == "notice" && text.contains("again after 3")), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn connections_that_never_register_take_no_place_of_a_client_and_have_a_cap_of_their_own() {
    let mut lab = Lab::new();
    let (mut mutes, mut script) = (Vec::new(), VecDeque::new());
    for _ in 0..=UNREGISTERED_MAX {
        let (ours, theirs) = tokio::io::duplex(4_096);
        mutes.push(ours);
        script.push_back(Ok(theirs));
    }
    lab.server.open(Script(script));
    let mut answer = String::new();
    mutes.pop().unwrap().read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains(r#""code":"full""#) && answer.contains("retry_ms"), "{answer}");
    // Their time is up, and the door is free again: the silent ones never counted as clients.
    sleep(secs(6)).await;
    let mut well = lab.legacy().await;
    well.ping().await;
}

/// A door with a herd before it, which counts how many it has let in.
struct Herd(Arc<AtomicUsize>, Vec<DuplexStream>);

impl Accept for Herd {
    type Stream = DuplexStream;

    async fn accept(&mut self, _: Duration) -> io::Result<Accepted<DuplexStream>> {
        let Some(stream) = self.1.pop() else { return std::future::pending().await };
        self.0.fetch_add(1, Relaxed);
        Ok(Accepted { stream, eye: Eye::blind(), peer: SocketAddr::from(([10, 0, 0, 9], 9)) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_herd_at_the_door_does_not_hold_up_who_is_inside() {
    let lab = Lab::new();
    let (outside, inside): (Vec<_>, Vec<_>) = (0..UNREGISTERED_MAX).map(|_| tokio::io::duplex(4_096)).unzip();
    let accepted = Arc::new(AtomicUsize::new(0));
    lab.server.open(Herd(Arc::clone(&accepted), inside));
    let (mut before, mut most) = (0, 0);
    while before < outside.len() {
        tokio::task::yield_now().await;
        let now = accepted.load(Relaxed);
        most = most.max(now - before);
        before = now;
    }
    assert!(most <= ACCEPTED_AT_ONCE, "{most} were accepted between two turns of another task");
}

/// Opens a server on loopback, on a port the system chooses.
fn open(lab: &Lab) -> SocketAddr {
    let listener = net::listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let addr = listener.local_addr().unwrap();
    lab.server.open(TcpListener::from_std(listener).unwrap());
    addr
}

async fn register(addr: SocketAddr) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(format!("{LEGACY}\n").as_bytes()).await.unwrap();
    let mut stream = BufReader::new(stream);
    let mut list = String::new();
    stream.read_line(&mut list).await.unwrap();
    assert!(list.starts_with(r#"{"type":"client_list""#), "{list}");
    stream
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_line_is_a_loss_at_once() {
    let mut lab = Lab::new();
    let addr = open(&lab);
    let mut peer = register(addr).await;
    peer.write_all(b"{\"type\":\"pi").await.unwrap();
    // Closing with a linger of zero sends a reset instead of a goodbye.
    socket2::SockRef::from(peer.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    assert_eq!(lab.word().await, "registered");
    let (word, text) = lab.event().await;
    assert!(word == "lost" && text.starts_with("lost: reset by peer"), "{text}");
}

#[tokio::test]
async fn a_refused_client_reads_why_even_when_it_never_stops_talking() {
    let mut lab = Lab::new();
    let addr = open(&lab);
    let mut stream = TcpStream::connect(addr).await.unwrap();
    // Far more than the server will read: without reading it away, a reset would overtake the answer.
    stream.write_all(b"{\"type\":").await.unwrap();
    stream.write_all(&vec![b'x'; 40_000]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains(r#""code":"too_long""#), "{answer}");
    assert_eq!(lab.word().await, "refused");
}

#[tokio::test]
async fn clients_over_real_tcp_see_each_other_come_and_go() {
    let lab = Lab::new();
    let addr = open(&lab);
    let mut a = register(addr).await;
    let b = register(addr).await;
    let mut line = String::new();
    a.read_line(&mut line).await.unwrap();
    assert_eq!(line.matches("192.168.1.100").count(), 2);
    drop(b);
    line.clear();
    a.read_line(&mut line).await.unwrap();
    assert_eq!(line.matches("192.168.1.100").count(), 1);
}

#[tokio::test]
async fn a_taken_port_is_an_error_and_not_a_second_listener() {
    let first = net::listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let again = net::listen(first.local_addr().unwrap());
    assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AddrInUse);
}
