//! The clients: the real engine, a base client written out by hand, and a way to freeze either.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fastrand::Rng;
use presence_tui::client::{Engine, Identity, JoinError, JoinState, Options};
use presence_tui::protocol::ErrorCode;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::network::{Dial, Net};
use crate::pipe::Stream;

/// After so long without a pong somebody starts a base client again; by itself it never notices.
const NOTICED: Duration = Duration::from_mins(3);
/// After so long somebody starts a client again that was sent away for good.
const FORGIVEN: Duration = Duration::from_mins(2);

/// What kind of client it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// The real engine, subscribed to the roster.
    Roster,
    /// The real engine, on its own.
    Quiet,
    /// A base client, which pings this often whatever anybody says.
    Legacy(Duration),
}

/// What a client shows of itself.
#[derive(Default)]
pub(crate) struct Shown {
    /// The engine's state.
    pub(crate) state: Option<watch::Receiver<Arc<JoinState>>>,
    /// The last list a base client got.
    pub(crate) list: Option<String>,
    /// Why the engine ended for good.
    pub(crate) banished: Vec<ErrorCode>,
    /// How often it was started.
    lives: u64,
}

/// Stops a process without its knowledge, as SIGSTOP does.
#[derive(Default)]
pub(crate) struct Gate(Mutex<(bool, Option<Waker>)>);

impl Gate {
    pub(crate) fn close(&self) {
        self.0.lock().expect("not poisoned").0 = true;
    }

    pub(crate) fn open(&self) {
        let mut gate = self.0.lock().expect("not poisoned");
        gate.0 = false;
        if let Some(waker) = gate.1.take() {
            waker.wake();
        }
    }
}

/// Runs only while its gate is open.
pub(crate) struct Gated<F> {
    inner: Pin<Box<F>>,
    gate: Arc<Gate>,
}

impl<F> Gated<F> {
    pub(crate) fn new(inner: F, gate: &Arc<Gate>) -> Self {
        Self { inner: Box::pin(inner), gate: Arc::clone(gate) }
    }
}

impl<F: Future> Future for Gated<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        {
            let mut gate = self.gate.0.lock().expect("not poisoned");
            if gate.0 {
                gate.1 = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        self.inner.as_mut().poll(cx)
    }
}

/// One client: its number names it and says where it is.
pub(crate) struct Actor {
    pub(crate) net: Net,
    pub(crate) number: usize,
    pub(crate) kind: Kind,
    pub(crate) leave: CancellationToken,
    pub(crate) shown: Arc<Mutex<Shown>>,
    pub(crate) rng: Rng,
}

impl Actor {
    /// Lives until it is asked to leave.
    pub(crate) async fn play(mut self) {
        let leave = self.leave.clone();
        loop {
            let pause = match self.kind {
                Kind::Legacy(every) => {
                    let Some(()) = leave.run_until_cancelled(self.base_life(every)).await else { return };
                    Duration::from_millis(self.rng.u64(200..20_000))
                }
                Kind::Roster | Kind::Quiet => match self.engine_life().await {
                    Ok(()) => return,
                    Err(JoinError::Refused { code, .. }) => {
                        self.shown.lock().expect("not poisoned").banished.push(code);
                        FORGIVEN
                    }
                },
            };
            if leave.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Runs the real engine until it ends.
    async fn engine_life(&mut self) -> Result<(), JoinError> {
        let id = id(self.number);
        let (_commands, inbox) = mpsc::channel(1);
        let dial = Dial { net: self.net.clone(), client: self.number };
        let lives = {
            let mut shown = self.shown.lock().expect("not poisoned");
            shown.lives += 1;
            shown.lives
        };
        let identity = Identity::ephemeral(Some(&id), lives);
        let options = Options {
            server: "hq".parse().expect("a name"),
            name: id.clone(),
            user: None,
            device: None,
            tags: Vec::new(),
            advertise: None,
            token: None,
            interval: Duration::from_secs(30),
        };
        let (engine, windows) =
            Engine::new(options, identity, dial, inbox, self.leave.clone(), self.rng.fork());
        self.shown.lock().expect("not poisoned").state = Some(windows.state);
        let engine = if self.kind == Kind::Roster { engine } else { engine.without_roster() };
        Box::pin(engine.run()).await
    }

    /// Connects as a base client does, and goes on until the connection is gone.
    async fn base_life(&mut self, every: Duration) {
        self.shown.lock().expect("not poisoned").list = None;
        let Ok((stream, _)) = self.net.connect(self.number).await else { return };
        let (ip, port) = claim(self.number);
        let first = format!(
            "{{\"type\":\"register\",\"client_ip\":\"{ip}\",\"client_port\":{port}}}\n{{\"type\":\"ping\"}}\n"
        );
        let _ = self.converse(stream, first, every).await; // Its end is its end, whatever the reason.
    }

    async fn converse(&mut self, stream: Stream, first: String, every: Duration) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        stream.write_all(first.as_bytes()).await?;
        let (mut next, mut answered) = (Instant::now() + every, Instant::now());
        let mut line = String::new();
        loop {
            tokio::select! {
                biased;
                read = stream.read_line(&mut line) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    if line.contains(r#""type":"client_list""#) {
                        self.shown.lock().expect("not poisoned").list = Some(line.clone());
                    }
                    answered = Instant::now();
                    line.clear();
                }
                () = sleep_until(next) => {
                    if answered.elapsed() > NOTICED.max(every * 3) {
                        return Ok(());
                    }
                    stream.write_all(b"{\"type\":\"ping\"}\n").await?;
                    next = Instant::now() + every;
                }
            }
        }
    }
}

/// Returns the identity of a client that has one.
pub(crate) fn id(number: usize) -> String {
    format!("c{number:02}")
}

/// Returns the address a base client claims.
pub(crate) fn claim(number: usize) -> (String, u16) {
    let [high, low] = u16::try_from(number).expect("few clients").to_be_bytes();
    (format!("192.168.{high}.{low}"), 3_000)
}
