//! Two hundred lives of small fleets, each made of one number.

use std::fmt::Write;
use std::time::Duration;

use fastrand::Rng;
use presence_tui::presence::Settings;
use presence_tui::protocol::ErrorCode;
use tokio::time::{Instant, sleep, sleep_until};

use crate::clients::{Kind, id};
use crate::pipe::Way;
use crate::truth::judge;
use crate::world::{Member, World};

/// How long the fleet has at the end to become whole again.
const SETTLING: Duration = Duration::from_mins(6);

/// Something that is done to the fleet; numbers are clients.
#[derive(Debug, Clone)]
enum Act {
    Join(usize),
    Leave(usize),
    Crash(usize),
    Kill(usize, bool),
    Freeze(Vec<usize>),
    Thaw(Vec<usize>),
    /// `true`: what is open now is dead even after the heal.
    Cut(Vec<usize>, bool),
    Heal(Vec<usize>),
    Retune(u64, u64),
    /// `true`: nobody is told, as in a power cut.
    ServerDown(bool),
    ServerUp,
}

/// A fleet, and what is done to it, when.
struct Schedule {
    members: Vec<Member>,
    settings: Settings,
    acts: Vec<(Duration, Act)>,
}

/// What came of a schedule.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) wrong: Vec<String>,
    /// What happened, line by line, for comparing two runs.
    pub(crate) story: String,
    pub(crate) timeouts: usize,
    pub(crate) lists: usize,
    pub(crate) virtual_time: Duration,
    pub(crate) schedule: String,
}

fn millis(rng: &mut Rng, from: u64, to: u64) -> Duration {
    Duration::from_millis(rng.u64(from..=to))
}

/// Writes settings, in milliseconds, that leave a healthy client room for a retransmission or two.
fn settings(rng: &mut Rng) -> (u64, u64) {
    let interval = rng.choice([5_000, 10_000, 15_000, 20_000, 30_000, 60_000]).unwrap_or(60_000);
    let timeout = interval * rng.u64(20..=40) / 10;
    (interval, timeout.max(interval + 5_000))
}

fn checked((interval, timeout): (u64, u64)) -> Settings {
    Settings::new(Duration::from_millis(interval), Duration::from_millis(timeout)).expect("chosen to fit")
}

impl Schedule {
    fn new(rng: &mut Rng) -> Self {
        let n = rng.usize(8..=12);
        let members = (0..n).map(|_| member(rng)).collect();
        let first = checked(settings(rng));
        let mut acts: Vec<_> = (0..n).map(|client| (millis(rng, 0, 4_000), Act::Join(client))).collect();
        let end = Duration::from_secs(rng.u64(6 * 60..12 * 60));
        let mut at = Duration::from_secs(10);
        while at < end {
            for (later, act) in Self::act(n, rng) {
                acts.push((at + later, act));
            }
            at += if rng.u8(..6) == 0 { millis(rng, 0, 300) } else { millis(rng, 1_000, 30_000) };
        }
        acts.sort_by_key(|(at, _)| *at);
        Self { members, settings: first, acts }
    }

    /// Writes one thing that happens, and what ends it.
    fn act(n: usize, rng: &mut Rng) -> Vec<(Duration, Act)> {
        let now = Duration::ZERO;
        let one = rng.usize(..n);
        let some = |rng: &mut Rng| {
            let most = if rng.u8(..4) == 0 { n } else { 3 };
            let mut some: Vec<_> = (0..n).collect();
            rng.shuffle(&mut some);
            some.truncate(rng.usize(1..=most));
            some
        };
        match rng.u8(..100) {
            0..10 => vec![(now, Act::Leave(one)), (millis(rng, 20, 60_000), Act::Join(one))],
            10..20 => vec![(now, Act::Crash(one)), (millis(rng, 2_000, 60_000), Act::Join(one))],
            20..38 => vec![(now, Act::Kill(one, rng.bool()))],
            38..58 => {
                let some = some(rng);
                vec![(now, Act::Freeze(some.clone())), (millis(rng, 3_000, 120_000), Act::Thaw(some))]
            }
            58..76 => {
                let (some, dead) = (some(rng), rng.u8(..3) == 0);
                vec![(now, Act::Cut(some.clone(), dead)), (millis(rng, 1_000, 120_000), Act::Heal(some))]
            }
            76..90 => {
                let (interval, timeout) = settings(rng);
                vec![(now, Act::Retune(interval, timeout))]
            }
            90..94 => {
                // All come back within half a second, and some are gone before all are back.
                let mut acts: Vec<_> = (0..n).map(|client| (now, Act::Kill(client, false))).collect();
                for client in some(rng) {
                    acts.push((millis(rng, 150, 900), Act::Crash(client)));
                    acts.push((millis(rng, 10_000, 60_000), Act::Join(client)));
                }
                acts
            }
            _ => {
                let silently = rng.u8(..3) == 0;
                vec![(now, Act::ServerDown(silently)), (millis(rng, 50, 40_000), Act::ServerUp)]
            }
        }
    }

    fn written(&self) -> String {
        let mut text = format!("  first {:?}\n", self.settings);
        for (number, member) in self.members.iter().enumerate() {
            let _ = writeln!(text, "  {} {member:?}", id(number));
        }
        for (at, act) in &self.acts {
            let _ = writeln!(text, "  {at:>12.3?} {act:?}");
        }
        text
    }
}

fn member(rng: &mut Rng) -> Member {
    let kind = match rng.u8(..10) {
        0..4 => Kind::Roster,
        4..7 => Kind::Quiet,
        7..9 => Kind::Legacy(Duration::from_mins(1)),
        // Not the base client, but as deaf: a script of somebody's own.
        _ => Kind::Legacy(Duration::from_secs(rng.u64(4..30))),
    };
    let way = Way { latency: millis(rng, 1, 250), loss: rng.f64() * 0.02 };
    Member { kind, way }
}

/// Plays the schedule of a seed, from the first connection to the last look.
pub(crate) async fn play(seed: u64) -> Outcome {
    // The server draws from the thread's generator when it says when to come back.
    fastrand::seed(seed);
    let mut rng = Rng::with_seed(seed);
    let schedule = Schedule::new(&mut rng);
    let mut world = World::new(&schedule.members, schedule.settings, rng.fork());
    let (start, mut wrong, mut lists) = (Instant::now(), Vec::new(), 0);
    for (at, act) in &schedule.acts {
        sleep_until(start + *at).await;
        lists += world.check_lists(&mut wrong);
        perform(&mut world, act).await;
    }
    settle(&mut world).await;
    sleep(SETTLING).await;
    lists += world.check_lists(&mut wrong);
    check_whole(&mut world, &mut wrong).await;
    world.close();
    let (found, timeouts) = judge(&world);
    wrong.extend(found);
    let (story, virtual_time) = (story(&world, start), start.elapsed());
    let summary = world.stop().await;
    if !summary.record.paused.is_zero() || summary.events_dropped > 0 {
        wrong.push(format!("on a clock that only jumps to the next timer: {summary:?}"));
    }
    Outcome { wrong, story, timeouts, lists, virtual_time, schedule: schedule.written() }
}

async fn perform(world: &mut World, act: &Act) {
    match act {
        Act::Join(client) => world.start(*client),
        Act::Leave(client) => world.leave(*client),
        Act::Crash(client) => world.crash(*client),
        Act::Kill(client, reset) => world.net.kill(*client, *reset),
        Act::Freeze(clients) => clients.iter().for_each(|&client| world.freeze(client)),
        Act::Thaw(clients) => clients.iter().for_each(|&client| world.thaw(client)),
        Act::Cut(clients, dead) => clients.iter().for_each(|&client| world.cut(client, *dead)),
        Act::Heal(clients) => clients.iter().for_each(|&client| world.heal(client)),
        Act::Retune(interval, timeout) => world.retune(checked((*interval, *timeout))).await,
        Act::ServerDown(silently) => world.crash_server(*silently),
        Act::ServerUp => world.start_server(),
    }
}

/// Ends all trouble, under settings that even a base client can live with.
async fn settle(world: &mut World) {
    world.start_server();
    for client in 0..world.clients.len() {
        world.thaw(client);
        world.heal(client);
    }
    world.retune(checked((60_000, 150_000))).await;
}

/// Checks that everybody who runs is here once, and that the screen shows just those.
async fn check_whole(world: &mut World, wrong: &mut Vec<String>) {
    let view = world.view().await;
    let mut shown: Vec<_> =
        view.rows.iter().filter(|row| row.state.is_live()).map(|row| row.id.clone()).collect();
    let (mut here, mut numbers) = (Vec::new(), Vec::new());
    if let Some(life) = world.lives.last() {
        for present in life.book.lock().expect("not poisoned").in_order() {
            let [.., high, low] = match present.peer.ip() {
                std::net::IpAddr::V4(ip) => ip.octets(),
                std::net::IpAddr::V6(_) => panic!("only IPv4 here"),
            };
            numbers.push(usize::from(u16::from_be_bytes([high, low])));
            here.push(present.id);
        }
    }
    shown.sort();
    here.sort();
    if shown != here {
        wrong.push(format!("at the end the screen shows {shown:?}, and here are {here:?}"));
    }
    numbers.sort_unstable();
    if numbers != world.running() {
        wrong.push(format!("at the end {:?} run, and here are {numbers:?}", world.running()));
    }
    if view.rollout.applied != view.rollout.of {
        wrong.push(format!("at the end not all follow: {:?}", view.rollout));
    }
    for (number, client) in world.clients.iter().enumerate() {
        let shown = client.shown.lock().expect("not poisoned");
        // A client that never heard its welcome has no secret, and cannot prove that it is itself.
        if shown.banished.iter().any(|code| *code != ErrorCode::IdConflict) {
            wrong.push(format!("client {number} was sent away for good: {:?}", shown.banished));
        }
    }
}

/// Writes what happened, in an order that does not depend on which task ran first in one instant.
fn story(world: &World, start: Instant) -> String {
    let mut lines = Vec::new();
    for (nth, life) in world.lives.iter().enumerate() {
        for event in &life.book.lock().expect("not poisoned").events {
            let at = Instant::from_std(event.at).duration_since(start);
            let who = event.who.as_ref().map_or_else(String::new, |who| who.peer.to_string());
            lines.push(format!("{nth} {at:>14.6?} {who} {}", event.kind));
        }
    }
    lines.sort();
    lines.join("\n")
}
