//! One client of a swarm: small, because there may be a hundred thousand.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use fastrand::Rng;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::Shared;
use super::ear::Ear;
use super::plan::Dialect;
use super::talk::{Done, Heard, Talk};
use super::tally::{Fate, Refusal, Told};
use crate::protocol::{ErrorCode, Register};

/// How much is read at once. It lies on the stack, and only while something is read.
const READ_BYTES: usize = 16 * 1_024;
/// How long the connection itself may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long the server may take to let a client in, once it is connected.
const REGISTER_MAX: Duration = Duration::from_secs(10);
/// How long a server may take to close after a goodbye; so a swarm that is asked to stop is over within a second.
const CLOSE_MAX: Duration = Duration::from_millis(500);
/// How long it may take to let in whoever has asked when the swarm ends: gone without a goodbye it would be lost.
const LAST_WELCOME_MAX: Duration = Duration::from_millis(300);

/// Keeps one place of the swarm occupied until the swarm ends, or whoever is in it is gone for good.
pub(super) async fn occupy(shared: Arc<Shared>, place: usize) {
    let mut life = 0;
    loop {
        let entered = enter(&shared, place, life).await;
        if life == 0 {
            shared.settle();
        }
        let Some(mut client) = entered else { return };
        let fate = client.live(&shared).await;
        let goes_on = fate == Fate::Replaced;
        shared.tally().ended(&fate, client.talk.pings());
        if matches!(fate, Fate::Stayed | Fate::Replaced | Fate::Drained) {
            client.part().await;
        }
        if !goes_on {
            return;
        }
        life += 1;
    }
}

/// Waits for its turn, connects and registers; what came of that is counted here.
async fn enter(shared: &Arc<Shared>, place: usize, life: u64) -> Option<Box<Client>> {
    let leave = shared.leave.clone();
    let turn = leave.run_until_cancelled(shared.turn()).await;
    shared.tally().begun += 1;
    let Some(turn) = turn else {
        shared.tally().refused(Refusal::TooLate, None);
        return None;
    };
    // On the heap, and gone once it is in: who waits for its turn and who is in for long is small.
    let outcome = Box::pin(try_to_enter(shared, place, life)).await;
    drop(turn);
    outcome.map_err(|(refusal, words)| shared.tally().refused(refusal, words.as_deref())).ok()
}

type Refused = (Refusal, Option<String>);

async fn try_to_enter(shared: &Arc<Shared>, place: usize, life: u64) -> Result<Box<Client>, Refused> {
    let began = Instant::now();
    let connecting =
        shared.source.connect(shared.server, place.wrapping_add(usize::try_from(life).unwrap_or(0)));
    let Some(connected) = shared.leave.run_until_cancelled(timeout(CONNECT_MAX, connecting)).await else {
        return Err((Refusal::TooLate, None));
    };
    let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let stream = connected.map_err(|error| failed(&error))?;
    shared.tally().connect.record(began.elapsed());
    let register = register(shared, &stream, place, life).map_err(|error| failed(&error))?;
    let mut client = Box::new(Client {
        shared: shared.clone(),
        stream,
        ear: Ear::default(),
        talk: Talk::new(&shared.plan, shared.began, seeded(shared.plan.seed, place, life), Instant::now()),
        unsent: Vec::new(),
        refused: None,
        freezes: shared.plan.is_frozen(place),
    });
    client.talk.greet(register, Instant::now(), &mut client.unsent);
    tokio::select! {
        biased;
        registered = client.until_registered() => registered?,
        () = sleep(REGISTER_MAX) => return Err((Refusal::Failed(no_answer(shared.plan.dialect)), None)),
        () = last_welcome(shared) => return Err((Refusal::TooLate, None)),
    }
    shared.tally().registered(began.elapsed());
    if let Some(at) = shared.plan.leaves_at(place, shared.began.elapsed()) {
        client.talk.make_room_at(shared.began + at);
    }
    Ok(client)
}

/// Waits until the swarm ends, and a little longer.
async fn last_welcome(shared: &Shared) {
    shared.leave.cancelled().await;
    sleep(LAST_WELCOME_MAX).await;
}

fn no_answer(dialect: Dialect) -> String {
    match dialect {
        Dialect::Presence => "no welcome came: a base server? (try --dialect base)",
        Dialect::Base => "no answer came",
    }
    .to_owned()
}

fn failed(error: &io::Error) -> Refused {
    // The kind reads better than the error, where the system's error has one.
    let kind = error.kind().to_string();
    let words = if kind.starts_with("uncategorized") { error.to_string() } else { kind };
    (Refusal::Failed(words), None)
}

/// Returns a generator that is the same for the same life of the same place in the same swarm.
fn seeded(seed: u32, place: usize, life: u64) -> Rng {
    let place = u64::try_from(place).unwrap_or(u64::MAX);
    Rng::with_seed(u64::from(seed) << 32 ^ place.rotate_left(20) ^ life.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Returns the first line of a client; whoever replaces another is somebody else.
fn register(shared: &Shared, stream: &TcpStream, place: usize, life: u64) -> io::Result<Register> {
    let local = stream.local_addr()?;
    let claim =
        Register { client_ip: local.ip().to_string(), client_port: local.port(), ..Register::default() };
    if shared.plan.dialect == Dialect::Base {
        return Ok(claim);
    }
    let seed = shared.plan.seed;
    let name = if life == 0 { format!("swarm-{place}") } else { format!("swarm-{place}.{life}") };
    Ok(Register {
        v: Some(crate::protocol::VERSION.into()),
        id: Some(format!("swarm-{seed:x}-{place}.{life}")),
        generation: Some(1),
        conn: Some(1),
        name: Some(name),
        want: if shared.plan.roster { vec!["roster".to_owned()] } else { Vec::new() },
        ..claim
    })
}

/// A connection and what is said on it.
#[derive(Debug)]
struct Client {
    shared: Arc<Shared>,
    stream: TcpStream,
    ear: Ear,
    talk: Talk,
    /// What the server has not taken yet; nearly always empty, and then it takes no memory.
    unsent: Vec<u8>,
    /// What the server said when it did not let it in.
    refused: Option<(ErrorCode, String)>,
    freezes: bool,
}

/// What interrupts a client's listening.
enum Turn {
    /// The swarm ends.
    Leave,
    /// Something is due.
    Act,
    /// The server has said something that changes what is due next.
    Heard,
    /// The connection is over.
    Over,
}

impl Client {
    /// Converses until it is in.
    async fn until_registered(&mut self) -> Result<(), Refused> {
        while !self.talk.is_registered() {
            if let Err(error) = poll_fn(|cx| self.poll(cx)).await {
                return Err(match self.refused.take() {
                    Some((code, words)) => (Refusal::Told(code), Some(words)),
                    None => failed(&error),
                });
            }
        }
        Ok(())
    }

    /// Converses until it is over, one way or the other; the goodbye is written then, though maybe not taken yet.
    async fn live(&mut self, shared: &Shared) -> Fate {
        let mut leave = pin!(shared.leave.cancelled());
        let mut alarm = pin!(sleep_until(self.talk.next_act()));
        loop {
            let turn = tokio::select! {
                biased;
                () = &mut leave => Turn::Leave,
                heard = poll_fn(|cx| self.poll(cx)) => heard.map_or(Turn::Over, |()| Turn::Heard),
                () = &mut alarm => Turn::Act,
            };
            match turn {
                Turn::Leave => {
                    self.talk.say_goodbye(&mut self.unsent);
                    return Fate::Stayed;
                }
                Turn::Over => return self.talk.fate(Instant::now()),
                Turn::Heard => {}
                Turn::Act => {
                    let freeze = self.freezes && shared.is_settled();
                    match self.talk.act(Instant::now(), freeze, &mut self.unsent) {
                        Done::Pinged(lag) => shared.tally().own_lag.record(lag),
                        Done::HeldBack => shared.tally().held_back += 1,
                        Done::Left(fate) => return fate,
                        Done::Nothing => {}
                    }
                }
            }
            if alarm.deadline() != self.talk.next_act() {
                alarm.as_mut().reset(self.talk.next_act());
            }
        }
    }

    /// Has its goodbye taken and waits until the server has closed, so that its place there is free.
    async fn part(mut self: Box<Self>) {
        let patience = Instant::now() + CLOSE_MAX;
        if self.shared.plan.dialect == Dialect::Presence {
            while let Ok(Ok(())) = timeout_at(patience, poll_fn(|cx| self.poll(cx))).await {}
        }
    }

    /// Writes and reads for as long as there is something to; ready when what is due next has changed.
    ///
    /// # Errors
    /// The connection is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [const { MaybeUninit::uninit() }; READ_BYTES];
        let (due, registered) = (self.talk.next_act(), self.talk.is_registered());
        loop {
            self.send(cx)?;
            let mut read = ReadBuf::uninit(&mut scratch);
            std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.take(read.filled());
            if due != self.talk.next_act() || registered != self.talk.is_registered() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Takes what was read.
    fn take(&mut self, bytes: &[u8]) {
        let Self { shared, ear, talk, unsent, refused, .. } = self;
        let now = Instant::now();
        let mut tally = shared.tally();
        tally.bytes_in += bytes.len() as u64;
        ear.take(bytes, |line| match talk.hear(line, now, unsent) {
            Heard::Pong(rtt) => {
                tally.pongs += 1;
                if let Some(rtt) = rtt {
                    tally.pong.record(rtt);
                }
            }
            Heard::Welcome(welcome) if tally.told.is_none() => {
                tally.told = Some(Told {
                    name: welcome.server.name,
                    version: welcome.server.version,
                    interval: Duration::from_millis(welcome.interval_ms),
                    timeout: Duration::from_millis(welcome.timeout_ms),
                });
            }
            Heard::Nothing | Heard::Welcome(_) => {}
            Heard::Error(error) => *refused = Some((error.code, error.message)),
            Heard::Unreadable => tally.unreadable += 1,
        });
    }

    /// Writes what is unsent, as far as the connection takes it.
    fn send(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.unsent.is_empty() {
            let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(cx, &self.unsent) else { break };
            let written = written?;
            self.shared.tally().bytes_out += written as u64;
            if written == self.unsent.len() {
                self.unsent = Vec::new();
            } else {
                self.unsent.drain(..written);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::ASKED;
    use super::super::{Plan, Swarm};
    use super::*;

    #[tokio::test]
    async fn a_client_is_small() {
        let plan = Plan::new(&ASKED).unwrap();
        let swarm = Swarm::start(plan, "127.0.0.1:1".parse().unwrap()).unwrap();
        let client = size_of_val(&occupy(swarm.shared.clone(), 0)) + size_of::<Client>();
        assert!(client <= 1_024, "{client} B: what is rare belongs on the heap");
    }
}
