//! A fleet of simulated clients: real ones, over real sockets, with made-up lives.
//!
//! `script` says what happens to a client, `cast` what it is called, and
//! `far` keeps some of them at a distance. Here they are brought to life.

mod cast;
mod far;
mod script;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::{mpsc, watch};
use tokio::time::{self, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::{Engine, Identity, JoinState, Options, ServerAddr};
use crate::presence::Settings;
use crate::presence::command::Command;
use crate::presence::view::Link;
use crate::tasks;
use cast::Member;
use far::Far;
use script::{Act, Script};

/// Over how long the fleet arrives; a larger one takes longer, at [`ARRIVALS_PER_S`].
const ARRIVAL: Duration = Duration::from_millis(400);
/// How many may arrive in a second.
const ARRIVALS_PER_S: usize = 5_000;
/// How many commands may wait for a client; its script waits when there are more.
const COMMANDS_WAITING: usize = 8;
/// How long the clients have to say goodbye.
const FAREWELL: Duration = Duration::from_millis(500);
/// For how many intervals a client stays away that was sent away for good, until "somebody" starts it again.
const BANISHED_INTERVALS: f64 = 30.0;
/// How often a server is pinged that does not say how often.
const INTERVAL: Duration = Duration::from_secs(2);

/// A running fleet; dropping it cuts every connection.
#[derive(Debug)]
pub struct Fleet {
    clients: TaskTracker,
    /// Asks everybody to leave.
    leave: CancellationToken,
    /// Ends everybody at once.
    halt: CancellationToken,
}

impl Fleet {
    /// Starts `n` clients of the server at `addr`; the same seed makes the same fleet with the same fate.
    ///
    /// Must be called from within a runtime.
    #[must_use]
    pub fn start(addr: SocketAddr, n: usize, seed: u64) -> Self {
        let fleet = Self {
            clients: TaskTracker::new(),
            leave: CancellationToken::new(),
            halt: CancellationToken::new(),
        };
        let mut rng = Rng::with_seed(seed);
        let server = ServerAddr::from(addr);
        let arrival = ARRIVAL.max(Duration::from_secs(1) * clamp(n) / clamp(ARRIVALS_PER_S));
        for (number, script) in script::scripts(n, &mut rng).into_iter().enumerate() {
            let actor = Actor {
                member: cast::member(number, &mut rng),
                server: server.clone(),
                script,
                lives: 0,
                rng: rng.fork(),
                leave: fleet.leave.clone(),
            };
            let enter = arrival.mul_f64(rng.f64());
            let halt = fleet.halt.clone();
            tasks::spawn_on(&fleet.clients, async move {
                halt.run_until_cancelled_owned(actor.play(enter)).await;
            });
        }
        fleet
    }

    /// Lets everybody say goodbye, and ends whoever has not within 500 ms; no task is left behind.
    pub async fn stop(self) {
        self.leave.cancel();
        self.clients.close();
        if time::timeout(FAREWELL, self.clients.wait()).await.is_err() {
            self.halt.cancel();
            self.clients.wait().await;
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.halt.cancel();
    }
}

fn clamp(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// One client, through all its lives.
#[derive(Debug)]
struct Actor {
    member: Member,
    server: ServerAddr,
    script: Script,
    lives: u64,
    rng: Rng,
    leave: CancellationToken,
}

/// How one life of a client ended.
enum Exit {
    /// Without a goodbye.
    Died(Duration),
    /// With one.
    Left(Duration),
}

impl Actor {
    /// Plays until the fleet is asked to leave.
    async fn play(mut self, enter: Duration) {
        let mut away = enter;
        let leave = self.leave.clone();
        while leave.run_until_cancelled(sleep(away)).await.is_some() {
            away = self.life().await;
        }
    }

    /// Starts the client as if its program were started, and returns for how long it is away afterwards.
    async fn life(&mut self) -> Duration {
        // The server knows it again by its id, and the newer life by the higher number.
        self.lives += 1;
        let identity = Identity::ephemeral(Some(&self.member.id), self.lives);
        let (commands, inbox) = mpsc::channel(COMMANDS_WAITING);
        let leave = self.leave.child_token();
        let far = Far { latency: self.member.latency };
        let (engine, windows) =
            Engine::new(self.options(), identity, far, inbox, leave.clone(), self.rng.fork());
        let mut running = Box::pin(engine.without_roster().run());
        let exit = tokio::select! {
            exit = act(&mut self.script, &commands, windows.state.clone()) => exit,
            _ = &mut running => {
                // Asked to leave with the others; or sent away, and somebody will start it again.
                return settings(&windows.state).interval().mul_f64(BANISHED_INTERVALS);
            }
        };
        match exit {
            Exit::Died(away) => away, // The connection goes with the future it lives in.
            Exit::Left(away) => {
                leave.cancel();
                let _ = running.await; // It leaves; what the server says to that does not matter.
                away
            }
        }
    }

    fn options(&self) -> Options {
        let Member { name, user, tags, .. } = self.member.clone();
        Options {
            server: self.server.clone(),
            name,
            user,
            device: None,
            tags,
            advertise: None,
            token: None,
            interval: INTERVAL,
        }
    }
}

/// Follows the script of a client that runs, until its life is over.
async fn act(
    script: &mut Script,
    commands: &mpsc::Sender<Command>,
    mut state: watch::Receiver<Arc<JoinState>>,
) -> Exit {
    for turn in script {
        online(&mut state).await;
        sleep(settings(&state).interval().mul_f64(turn.calm)).await;
        let lasts = turn.act.lasts(settings(&state));
        match turn.act {
            Act::Die(_) => return Exit::Died(lasts),
            Act::Leave(_) => return Exit::Left(lasts),
            Act::Stumble(_) | Act::Freeze(_) => {
                // Nobody to tell means that the client ends, and this with it.
                let _ = commands.send(Command::Hold(true)).await;
                sleep(lasts).await;
                let _ = commands.send(Command::Hold(false)).await; // Likewise.
            }
        }
    }
    std::future::pending().await
}

/// Waits until the client is registered.
async fn online(state: &mut watch::Receiver<Arc<JoinState>>) {
    let registered = |state: &Arc<JoinState>| matches!(state.uplink.link, Link::Online(_) | Link::Late(..));
    if state.wait_for(registered).await.is_err() {
        std::future::pending::<()>().await; // The client ends, and this with it.
    }
}

/// Returns the settings the client goes by.
fn settings(state: &watch::Receiver<Arc<JoinState>>) -> Settings {
    state.borrow().uplink.settings
}
