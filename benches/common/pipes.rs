//! Clients as small as can be, at the other end of pipes in memory.
#![allow(
    unreachable_pub,
    clippy::cast_precision_loss,
    reason = "a part of one bench, which needs no exact figure"
)]

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use presence_tui::server::{Eye, Server};
use tokio::io::{AsyncRead, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until};

/// One of so many falls silent.
pub const FROZEN_OF: usize = 10;
/// What a pipe holds each way.
const PIPE_BYTES: usize = 512;
/// Nobody waits longer than this for the others.
const PATIENCE: Duration = Duration::from_mins(2);
const PING: &[u8] = b"{\"type\":\"ping\",\"rev\":1}\n";
const FOLLOWING: &[u8] = b"{\"type\":\"ping\",\"rev\":2}\n";
const LEAVE: &[u8] = b"{\"type\":\"leave\"}\n";

/// How one client ended.
pub enum End {
    /// It was silent, and was told that it timed out.
    Convicted,
    /// It was asked to leave, with a slot, and left.
    Drained { slot: Duration },
    /// Anything else, which no client here should see.
    Wrong(String),
}

/// What all clients go by, and what they tell.
pub struct Shared {
    pub start: Instant,
    /// Who has a place may come in.
    pub door: Semaphore,
    /// When new settings were asked for, and when every tenth says its last word; in microseconds since the start.
    pub asked_at: AtomicU64,
    pub freeze_at: AtomicU64,
    pub joined: AtomicUsize,
    pub followed: AtomicUsize,
    pub convicted: AtomicUsize,
    pub wrong: AtomicUsize,
    pub pongs: AtomicUsize,
    /// How long it took until each read the new settings, and until each had an answer in which they were agreed.
    pub told_us: Mutex<Vec<i64>>,
    pub followed_us: Mutex<Vec<i64>>,
    /// How long after its timeout each silent one read that it was over; below zero that would be a lie.
    pub late_us: Mutex<Vec<i64>>,
}

impl Shared {
    pub fn new(n: usize) -> Self {
        let room = |n| Mutex::new(Vec::with_capacity(n));
        let [joined, followed, convicted, wrong, pongs] = std::array::from_fn(|_| AtomicUsize::new(0));
        Self {
            start: Instant::now(),
            door: Semaphore::new(0),
            asked_at: AtomicU64::new(u64::MAX),
            freeze_at: AtomicU64::new(u64::MAX),
            joined,
            followed,
            convicted,
            wrong,
            pongs,
            told_us: room(n),
            followed_us: room(n),
            late_us: room(n / FROZEN_OF + 1),
        }
    }

    pub fn since_start_us(&self) -> u64 {
        self.start.elapsed().as_micros().try_into().unwrap()
    }

    /// Waits until so many have done something.
    pub async fn all(&self, what: &str, done: &AtomicUsize, n: usize) {
        let from = Instant::now();
        while done.load(Relaxed) < n {
            sleep(Duration::from_millis(1)).await;
            let wrong = self.wrong.load(Relaxed);
            assert_eq!(
                wrong, 0,
                "{wrong} clients were told something else while waiting for all to be {what}"
            );
            assert!(from.elapsed() < PATIENCE, "{} of {n} are {what}", done.load(Relaxed));
        }
    }

    fn note(&self, values: &Mutex<Vec<i64>>) {
        let took = self.since_start_us() - self.asked_at.load(Relaxed);
        values.lock().unwrap().push(i64::try_from(took).unwrap());
    }
}

/// One client that beats.
pub struct Client {
    number: usize,
    stream: DuplexStream,
    shared: Arc<Shared>,
    heard: Vec<u8>,
    interval: Duration,
    /// What it says when it beats.
    ping: &'static [u8],
    timeout: Duration,
    beats: usize,
    said_at: Instant,
    silent: bool,
    followed: bool,
}

impl Client {
    /// Comes in when there is a place at the door, and stays until the server ends it.
    pub async fn run(number: usize, server: Arc<Server>, shared: Arc<Shared>, interval: Duration) -> End {
        let end = match Self::enter(number, server, shared.clone(), interval).await {
            Ok(client) => client.live().await,
            Err(words) => End::Wrong(words),
        };
        match &end {
            End::Convicted => shared.convicted.fetch_add(1, Relaxed),
            End::Drained { .. } => 0,
            End::Wrong(_) => shared.wrong.fetch_add(1, Relaxed),
        };
        end
    }

    async fn enter(
        number: usize,
        server: Arc<Server>,
        shared: Arc<Shared>,
        interval: Duration,
    ) -> Result<Self, String> {
        let of_the_door = shared.clone();
        let _place = of_the_door.door.acquire().await.unwrap();
        let (stream, theirs) = tokio::io::duplex(PIPE_BYTES);
        let port = 1_024 + u16::try_from(number % 60_000).unwrap();
        server.attend(theirs, Eye::blind(), SocketAddr::from(([127, 0, 0, 1], port)));
        drop(server);
        let mut client = Self {
            number,
            stream,
            shared,
            heard: Vec::new(),
            interval,
            ping: PING,
            timeout: Duration::MAX,
            beats: 0,
            said_at: Instant::now(),
            silent: false,
            followed: false,
        };
        client.stream.write_all(super::common::register_line(number).as_bytes()).await.unwrap();
        let welcome = poll_fn(|cx| client.poll_line(cx)).await.unwrap_or_default();
        if !welcome.starts_with("{\"type\":\"welcome\"") {
            return Err(format!("{welcome:?} instead of a welcome"));
        }
        client.shared.joined.fetch_add(1, Relaxed);
        Ok(client)
    }

    async fn live(mut self) -> End {
        let mut beat = pin!(sleep_until(Instant::now() + self.gap()));
        loop {
            let line = tokio::select! {
                biased;
                line = poll_fn(|cx| self.poll_line(cx)) => Some(line),
                () = &mut beat, if !self.silent => None,
            };
            let Some(line) = line else {
                self.beat().await;
                beat.as_mut().reset(self.next_beat());
                continue;
            };
            let line = line.unwrap_or_default();
            if line.starts_with("{\"type\":\"pong\"") {
                self.answered(&line);
            } else if line.starts_with("{\"type\":\"config\"") && line.contains("\"rev\":2") {
                self.follow().await;
                beat.as_mut().reset(self.next_beat());
            } else if line.starts_with("{\"type\":\"drain\"") {
                return self.leave(&line).await;
            } else if line.starts_with("{\"type\":\"probe\"") && self.silent {
                // It is to be found dead.
            } else if line.starts_with("{\"type\":\"error\",\"code\":\"timeout\"") && self.silent {
                let us = |span: Duration| i64::try_from(span.as_micros()).unwrap();
                self.shared.late_us.lock().unwrap().push(us(self.said_at.elapsed()) - us(self.timeout));
                return End::Convicted;
            } else if !line.starts_with("{\"type\":\"config\"") {
                return End::Wrong(format!("client {} was told {line:?}", self.number));
            }
        }
    }

    async fn say(&mut self, line: &[u8]) {
        self.said_at = Instant::now();
        let _ = self.stream.write_all(line).await; // Should it be closed, that is read next.
    }

    async fn beat(&mut self) {
        self.silent = self.freezes_at().is_some_and(|at| at <= Instant::now());
        self.beats += 1;
        self.say(self.ping).await;
    }

    /// Takes over the new settings, and says so.
    async fn follow(&mut self) {
        self.shared.note(&self.shared.told_us);
        (self.interval, self.timeout) = super::AFTER;
        self.ping = FOLLOWING;
        self.beats = 0;
        self.say(FOLLOWING).await;
    }

    fn answered(&mut self, pong: &str) {
        self.shared.pongs.fetch_add(1, Relaxed);
        // Settings are in a pong to a client that does not follow them yet.
        if self.ping == FOLLOWING && !self.followed && !pong.contains("\"rev\"") {
            self.followed = true;
            self.shared.note(&self.shared.followed_us);
            self.shared.followed.fetch_add(1, Relaxed);
        }
    }

    async fn leave(mut self, line: &str) -> End {
        let in_ms = line.split("\"in_ms\":").nth(1).and_then(|rest| rest.trim_end_matches('}').parse().ok());
        let Some(slot) = in_ms.map(Duration::from_millis) else { return End::Wrong(line.to_owned()) };
        sleep(slot).await;
        self.say(LEAVE).await;
        End::Drained { slot }
    }

    fn freezes_at(&self) -> Option<Instant> {
        let at = self.shared.freeze_at.load(Relaxed);
        let chosen = self.number.is_multiple_of(FROZEN_OF) && at != u64::MAX;
        chosen.then(|| self.shared.start + Duration::from_micros(at))
    }

    fn next_beat(&self) -> Instant {
        let next = Instant::now() + self.gap();
        self.freezes_at().map_or(next, |at| next.min(at))
    }

    /// Returns how long it waits before it beats: 0.75 to 1.0 intervals, the first time any part of one.
    fn gap(&self) -> Duration {
        let mixed = (self.number * 7_919 + self.beats) as u64;
        let part = (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / f64::from(1 << 24);
        self.interval.mul_f64(if self.beats == 0 { part } else { 0.75 + part / 4.0 })
    }

    /// Reads a line; `None` at the end. Between lines it holds no more than what was read of the next.
    fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<Option<String>> {
        loop {
            if let Some(end) = self.heard.iter().position(|&byte| byte == b'\n') {
                let line = String::from_utf8_lossy(&self.heard[..end]).into_owned();
                self.heard.drain(..=end);
                if self.heard.is_empty() {
                    self.heard = Vec::new();
                }
                return Poll::Ready(Some(line));
            }
            let mut chunk = [0; PIPE_BYTES];
            let mut chunk = ReadBuf::new(&mut chunk);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut chunk));
            if read.is_err() || chunk.filled().is_empty() {
                return Poll::Ready(None);
            }
            self.heard.extend_from_slice(chunk.filled());
        }
    }
}
