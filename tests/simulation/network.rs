//! A network of memory: who can reach whom, and every connection there ever was.
//!
//! Every pipe draws from a generator of its own, so that the order in which
//! tasks happen to run in one instant changes nothing on the wire.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::BoxFuture;
use presence_tui::client::{Connected, Connector, ServerAddr};
use presence_tui::server::{Eye, Server};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::pipe::{Cargo, Heard, Pipe, Segment, Shared, Stream, Way, lock};

/// A connection, as the network knows it; kept after its end.
pub(crate) struct Line {
    pub(crate) client: usize,
    /// Which life of the server it leads to.
    pub(crate) life: usize,
    pub(crate) peer: SocketAddr,
    /// Since when nothing gets through for ever.
    pub(crate) doomed: Option<Instant>,
    up: Shared,
    down: Shared,
}

impl Line {
    /// Returns what arrived at the server, read or not.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        let mut pipe = lock(&self.up);
        let now = Instant::now();
        while let Some(Segment { due: Some(at), cargo: Cargo::Bytes(bytes) }) = pipe.flight.front() {
            let (at, bytes) = (*at, bytes.clone());
            if at > now {
                break;
            }
            pipe.flight.pop_front();
            pipe.note(at, &bytes);
        }
        pipe.heard.clone().unwrap_or_default()
    }

    /// Returns when its end arrived at the server.
    pub(crate) fn ended(&self) -> Option<Instant> {
        lock(&self.up).over
    }

    /// Tells whether the client has read everything that was sent to it.
    pub(crate) fn is_drained(&self) -> bool {
        lock(&self.down).flight.is_empty()
    }
}

struct Place {
    way: Way,
    cut: bool,
    healed: Arc<Notify>,
    connections: u16,
    rng: Rng,
}

/// Clients, a server, and what lies between.
#[derive(Clone)]
pub(crate) struct Net(Arc<Mutex<Inner>>);

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Net")
    }
}

struct Inner {
    server: Option<Server>,
    life: usize,
    places: Vec<Place>,
    lines: Vec<Line>,
}

impl Net {
    pub(crate) fn new(ways: &[Way], rng: &mut Rng) -> Self {
        let place =
            |&way: &Way| Place { way, cut: false, healed: Arc::default(), connections: 0, rng: rng.fork() };
        let places = ways.iter().map(place).collect();
        Self(Arc::new(Mutex::new(Inner { server: None, life: 0, places, lines: Vec::new() })))
    }

    /// Lets connections lead to this server from now on.
    pub(crate) fn serve(&self, server: Server) {
        lock(&self.0).server = Some(server);
    }

    /// Lets no connection lead anywhere any more, and returns where they led.
    pub(crate) fn take_server(&self) -> Option<Server> {
        lock(&self.0).server.take()
    }

    /// Ends the server and every connection to it; `silently` means that no client is told.
    pub(crate) fn crash_server(&self, silently: bool) {
        let mut inner = lock(&self.0);
        inner.server = None;
        let life = inner.life;
        inner.life += 1;
        for line in inner.lines.iter_mut().filter(|line| line.life == life) {
            lock(&line.up).vanish();
            let mut down = lock(&line.down);
            if silently {
                down.kill_silently();
                line.doomed.get_or_insert_with(Instant::now);
            } else {
                down.send(Cargo::Reset);
            }
        }
    }

    /// Ends a client's newest connection for both sides, as a router does that forgets it.
    pub(crate) fn kill(&self, client: usize, reset: bool) {
        let inner = lock(&self.0);
        if let Some(line) = inner.lines.iter().rfind(|line| line.client == client) {
            for pipe in [&line.up, &line.down] {
                lock(pipe).send(if reset { Cargo::Reset } else { Cargo::End });
            }
        }
    }

    /// Cuts a client off. What it has open is held up; or, when `for_ever`, dead even after the heal.
    pub(crate) fn cut(&self, client: usize, for_ever: bool) {
        let mut inner = lock(&self.0);
        inner.places[client].cut = true;
        for line in inner.lines.iter_mut().filter(|line| line.client == client) {
            for pipe in [&line.up, &line.down] {
                if for_ever { lock(pipe).kill_silently() } else { lock(pipe).cut() }
            }
            if for_ever {
                line.doomed.get_or_insert_with(Instant::now);
            }
        }
    }

    /// Connects a client again.
    pub(crate) fn heal(&self, client: usize) {
        let mut inner = lock(&self.0);
        inner.places[client].cut = false;
        inner.places[client].healed.notify_waiters();
        for line in inner.lines.iter().filter(|line| line.client == client) {
            lock(&line.up).heal();
            lock(&line.down).heal();
        }
    }

    /// Shows every connection there ever was.
    pub(crate) fn lines<T>(&self, look: impl FnOnce(&[Line]) -> T) -> T {
        look(&lock(&self.0).lines)
    }

    fn place(&self, client: usize) -> (bool, Arc<Notify>, Duration) {
        let place = &lock(&self.0).places[client];
        (place.cut, Arc::clone(&place.healed), place.way.latency * 2)
    }

    /// Connects: a round trip, if the way is free.
    pub(crate) async fn connect(&self, client: usize) -> io::Result<(Stream, SocketAddr)> {
        loop {
            let (cut, healed, round_trip) = self.place(client);
            if cut {
                healed.notified().await;
                continue;
            }
            sleep(round_trip).await;
            if !self.place(client).0 {
                return self.open(client);
            }
        }
    }

    fn open(&self, client: usize) -> io::Result<(Stream, SocketAddr)> {
        let mut inner = lock(&self.0);
        let life = inner.life;
        let place = &mut inner.places[client];
        place.connections += 1;
        let [high, low] = u16::try_from(client).expect("few clients").to_be_bytes();
        let peer = SocketAddr::from(([10, 1, high, low], 10_000 + place.connections));
        let up = Arc::new(Mutex::new(Pipe::new(place.way, place.rng.fork(), true)));
        let down = Arc::new(Mutex::new(Pipe::new(place.way, place.rng.fork(), false)));
        let Some(server) = &inner.server else { return Err(io::ErrorKind::ConnectionRefused.into()) };
        let theirs = Stream::new(&up, &down);
        server.attend(theirs, Eye::blind(), peer);
        let ours = Stream::new(&down, &up);
        inner.lines.push(Line { client, life, peer, doomed: None, up, down });
        Ok((ours, peer))
    }
}

/// One client's way to the server, for the client engine.
#[derive(Debug)]
pub(crate) struct Dial {
    pub(crate) net: Net,
    pub(crate) client: usize,
}

impl Connector for Dial {
    fn resolve<'a>(&'a self, _: &'a ServerAddr) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async { Ok(vec![([10, 0, 0, 1], 8080).into()]) })
    }

    fn connect(&self, _: SocketAddr) -> BoxFuture<'_, io::Result<Connected>> {
        Box::pin(async {
            let (stream, local) = self.net.connect(self.client).await?;
            Ok((Box::new(stream) as _, Some(local)))
        })
    }
}
