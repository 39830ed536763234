//! One direction of a connection: late, lossy, cut at will, and it remembers when what arrived.
//!
//! TCP loses nothing while a connection lives, so a lost segment is a late
//! one: it is sent again after 200 ms and a round trip, then after twice that,
//! and so on, and everything behind it waits (head-of-line blocking). A buffer
//! never fills: nobody here sends much.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use fastrand::Rng;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// The shortest time after which a segment is sent again, besides the round trip.
const RTO_MIN: Duration = Duration::from_millis(200);
/// Of so many writes one travels in two segments.
const SPLIT_ONE_IN: u32 = 20;

/// How far away a client is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    /// One way.
    pub(crate) latency: Duration,
    /// The share of segments that are lost and sent again.
    pub(crate) loss: f64,
}

/// What a pipe carries.
pub(crate) enum Cargo {
    Bytes(Bytes),
    /// The other side closed.
    End,
    /// The connection was reset.
    Reset,
}

pub(crate) struct Segment {
    /// When it arrives; `None` while the way is cut.
    pub(crate) due: Option<Instant>,
    pub(crate) cargo: Cargo,
}

/// What one segment told the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    /// When it arrived.
    pub(crate) at: Instant,
    /// How many pings were in it, and the revision of each.
    pub(crate) pings: Vec<Option<u32>>,
    /// Whether it said goodbye.
    pub(crate) leave: bool,
}

/// One direction of a connection.
pub(crate) struct Pipe {
    way: Way,
    rng: Rng,
    pub(crate) flight: VecDeque<Segment>,
    last_due: Instant,
    cut: bool,
    /// Nothing gets through any more, and nobody is told.
    dead: bool,
    /// The end has been sent.
    closed: bool,
    /// The end has arrived.
    pub(crate) over: Option<Instant>,
    reader: Option<Waker>,
    /// What arrived, for pipes towards the server.
    pub(crate) heard: Option<Vec<Heard>>,
    /// Half a line is no sign of life.
    half: Vec<u8>,
}

impl Pipe {
    pub(crate) fn new(way: Way, rng: Rng, records: bool) -> Self {
        Self {
            way,
            rng,
            flight: VecDeque::new(),
            last_due: Instant::now(),
            cut: false,
            dead: false,
            closed: false,
            over: None,
            reader: None,
            heard: records.then(Vec::new),
            half: Vec::new(),
        }
    }

    fn rto(&self) -> Duration {
        RTO_MIN + self.way.latency * 2
    }

    /// Returns when a segment sent now arrives.
    fn arrival(&mut self, now: Instant) -> Instant {
        let (mut delay, mut again) = (self.way.latency, self.rto());
        while self.rng.f64() < self.way.loss {
            delay += again;
            again *= 2;
        }
        self.last_due = self.last_due.max(now + delay);
        self.last_due
    }

    pub(crate) fn send(&mut self, cargo: Cargo) {
        if self.dead || self.closed {
            return;
        }
        self.closed = !matches!(cargo, Cargo::Bytes(_));
        let due = if self.cut { None } else { Some(self.arrival(Instant::now())) };
        self.flight.push_back(Segment { due, cargo });
        self.wake();
    }

    fn write(&mut self, bytes: &[u8]) {
        let cut = if bytes.len() > 1 && self.rng.u32(..SPLIT_ONE_IN) == 0 {
            self.rng.usize(1..bytes.len())
        } else {
            bytes.len()
        };
        let (first, rest) = bytes.split_at(cut);
        for part in [first, rest].into_iter().filter(|part| !part.is_empty()) {
            self.send(Cargo::Bytes(Bytes::copy_from_slice(part)));
        }
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// Stops everything that has not arrived.
    pub(crate) fn cut(&mut self) {
        self.cut = true;
        let now = Instant::now();
        for segment in &mut self.flight {
            segment.due = segment.due.filter(|due| *due <= now);
        }
    }

    /// Lets it go on: it is sent again when its sender next tries.
    pub(crate) fn heal(&mut self) {
        if !std::mem::take(&mut self.cut) {
            return;
        }
        let next_try = Instant::now() + self.rto().mul_f64(self.rng.f64());
        for at in 0..self.flight.len() {
            if self.flight[at].due.is_none() {
                self.flight[at].due = Some(self.arrival(next_try));
            }
        }
        self.wake();
    }

    /// Loses everything that has not arrived, and all that is ever sent after it.
    pub(crate) fn kill_silently(&mut self) {
        let now = Instant::now();
        self.flight.retain(|segment| segment.due.is_some_and(|due| due <= now));
        self.dead = true;
    }

    /// Ends at once, with the machine it leads to.
    pub(crate) fn vanish(&mut self) {
        self.flight.clear();
        self.flight.push_back(Segment { due: Some(Instant::now()), cargo: Cargo::Reset });
        self.closed = true;
        self.wake();
    }

    /// Notes what arrived.
    pub(crate) fn note(&mut self, at: Instant, bytes: &[u8]) {
        let Some(heard) = &mut self.heard else { return };
        self.half.extend_from_slice(bytes);
        let Some(end) = self.half.iter().rposition(|&b| b == b'\n') else { return };
        let whole: Vec<u8> = self.half.drain(..=end).collect();
        let text = String::from_utf8_lossy(&whole);
        let pings = text.lines().filter(|line| line.contains(r#""type":"ping""#)).map(revision).collect();
        heard.push(Heard { at, pings, leave: text.contains(r#""type":"leave""#) });
    }
}

/// Reads the revision out of a ping.
fn revision(ping: &str) -> Option<u32> {
    let (_, rest) = ping.split_once(r#""rev":"#)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

pub(crate) type Shared = Arc<Mutex<Pipe>>;

/// One end of a connection.
pub(crate) struct Stream {
    reads: Shared,
    writes: Shared,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Stream {
    pub(crate) fn new(reads: &Shared, writes: &Shared) -> Self {
        Self { reads: Arc::clone(reads), writes: Arc::clone(writes), alarm: None }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let mut pipe = lock(&this.reads);
            if pipe.over.is_some() {
                return Poll::Ready(Ok(()));
            }
            let due = pipe.flight.front().and_then(|segment| segment.due);
            match due {
                Some(at) if at <= Instant::now() => {
                    let Some(segment) = pipe.flight.front_mut() else { continue };
                    match &mut segment.cargo {
                        Cargo::Bytes(bytes) => {
                            let taken = bytes.split_to(bytes.len().min(buf.remaining()));
                            if !bytes.has_remaining() {
                                pipe.flight.pop_front();
                            }
                            pipe.note(at, &taken);
                            buf.put_slice(&taken);
                            return Poll::Ready(Ok(()));
                        }
                        Cargo::End => pipe.over = Some(at),
                        Cargo::Reset => {
                            pipe.over = Some(at);
                            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                        }
                    }
                }
                due => {
                    pipe.reader = Some(cx.waker().clone());
                    drop(pipe);
                    let Some(at) = due else { return Poll::Pending };
                    let alarm = this.alarm.get_or_insert_with(|| Box::pin(sleep_until(at)));
                    if alarm.deadline() != at {
                        alarm.as_mut().reset(at);
                    }
                    ready!(alarm.as_mut().poll(cx));
                    this.alarm = None;
                }
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        lock(&self.writes).write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.writes).send(Cargo::End);
        Poll::Ready(Ok(()))
    }
}

/// A socket whose process drops it is closed by the kernel.
impl Drop for Stream {
    fn drop(&mut self) {
        lock(&self.writes).send(Cargo::End);
    }
}

pub(crate) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().expect("no test panics with this lock held")
}
