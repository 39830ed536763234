//! What a look at a fleet costs, and what its judge: `cargo bench --bench views [-- ROWS ...]`.
//!
//! In process, without a socket: the registry and the read model a screen gets, on one thread. Each figure is
//! the median of several looks, with the longest beside it.
#![allow(missing_docs, clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot set itself up should say so and stop")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use presence_tui::presence::registry::{Limits, Newcomer};
use presence_tui::presence::secret::Secret;
use presence_tui::presence::view::{Grouping, Sort, Window};
use presence_tui::presence::viewer::Viewer;
use presence_tui::presence::{Claim, Dialect, Identity, Profile, Pulse, Registry, Settings};

/// How many rows a screen asks for: a page, and one more on either side.
const HEIGHT: usize = 120;
/// How often each thing is measured.
const RUNS: u32 = 15;
/// How many join between two looks of the busy fleet: 1,000 a second.
const JOINS: u64 = 1_000;

/// How many rows the hub counts in one turn.
const ROWS_A_TURN: usize = 2_000;

const INTERVAL: Duration = Duration::from_mins(1);
const TIMEOUT: Duration = Duration::from_mins(2);

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Spreads numbers, so that neither names nor addresses come in the order of the rows.
fn shuffled(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
}

fn newcomer(number: u64, now: Instant) -> Newcomer {
    let [a, b, c, d, ..] = shuffled(number).to_be_bytes();
    let profile = Profile {
        name: Some(format!("worker-{:08x}-{}", shuffled(number) >> 32, number % 10).into()),
        user: number.is_multiple_of(4).then(|| format!("user-{}", number % 1_000).into()),
        ..Profile::default()
    };
    Newcomer {
        claim: Claim { ip: format!("10.{a}.{b}.{c}").into(), port: 3_000 },
        peer: SocketAddr::from(([10, a, b, c], 10_000 + u16::from(d))),
        version: 1,
        dialect: Dialect::Presence,
        identity: Some(Identity { id: format!("id-{number:07}").into(), generation: 1, attempt: 1 }),
        profile,
        resume: None,
        fresh_id: "fresh".into(),
        fresh_secret: Secret::new([7; 15]),
        pulse: Arc::new(Pulse::new(now)),
    }
}

/// A registry with so many clients, each last heard at some moment of the last 45 s.
fn crowd(n: u64, start: Instant) -> (Registry, Vec<Arc<Pulse>>) {
    let limits = Limits { max_clients: usize::MAX, max_pings_per_second: 0, ..Limits::default() };
    let mut registry = Registry::new(Settings::new(INTERVAL, TIMEOUT).unwrap(), limits);
    registry.watch();
    let mut pulses = Vec::new();
    for number in 0..n {
        let newcomer = newcomer(number, start);
        registry.join(start, &newcomer).unwrap();
        let _ = newcomer.pulse.touch(start + Duration::from_micros(shuffled(number) % 45_000_000));
        newcomer.pulse.set_rtt(Duration::from_micros(shuffled(number) % 100_000));
        pulses.push(newcomer.pulse);
        registry.take_events();
    }
    (registry, pulses)
}

fn timed<T>(run: impl FnOnce() -> T) -> (Duration, T) {
    let from = now();
    let out = std::hint::black_box(run());
    (from.elapsed(), out)
}

fn line(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    println!(
        "{what:36} {:9.3} ms   longest {:9.3} ms",
        ms(times[times.len() / 2]),
        ms(times[times.len() - 1])
    );
}

/// Looks at one window, each time with the order made anew, as once a second and with every other sort or filter.
fn look(what: &str, viewer: &mut Viewer, registry: &Registry, at: Instant, window: &Window) {
    let mut times = Vec::new();
    for _ in 0..RUNS {
        viewer.show(Window { reversed: !window.reversed, ..window.clone() });
        viewer.show(window.clone());
        times.push(timed(|| viewer.look(at, registry)).0);
    }
    line(what, times);
}

fn views(n: u64, registry: &Registry, start: Instant) -> Viewer {
    let rows = usize::try_from(n).unwrap();
    let mut viewer = Viewer::default();
    let plain = Window { height: HEIGHT, selected: None, ..Window::default() };
    viewer.show(plain.clone());
    line("first look of a screen", vec![timed(|| viewer.look(start, registry)).0]);
    let start = start + Duration::from_secs(45);
    for sort in [Sort::State, Sort::Name, Sort::Address, Sort::LastPing, Sort::TimesOut, Sort::Rtt, Sort::Up]
    {
        for (where_, offset) in [("top", 0), ("middle", rows / 2), ("end", rows)] {
            let window = Window { sort, offset, ..plain.clone() };
            look(&format!("by {sort:?}, {where_}"), &mut viewer, registry, start, &window);
        }
    }
    for (filter, sort) in
        [("-7", Sort::State), ("worker-00", Sort::LastPing), ("10.1.", Sort::Name), ("nobody", Sort::Up)]
    {
        let window = Window { sort, filter: filter.to_owned(), offset: rows, ..plain.clone() };
        look(&format!("{filter:?} by {sort:?}, end"), &mut viewer, registry, start, &window);
    }
    for (what, sort) in
        [("by State in groups, end", Sort::State), ("by LastPing in groups, end", Sort::LastPing)]
    {
        let window = Window { sort, group: Some(Grouping::User), offset: rows, ..plain.clone() };
        look(what, &mut viewer, registry, start, &window);
    }
    let mut times = Vec::new();
    viewer.show(plain.clone());
    let at = start + Duration::from_secs(90);
    viewer.look(at, registry);
    for page in 0..200.min(rows / HEIGHT) {
        viewer.show(Window { offset: page * HEIGHT * 7 % rows, hold_order: true, ..plain.clone() });
        times.push(timed(|| viewer.look(at, registry)).0);
    }
    line("a page of an order that stands still", times);
    viewer.show(plain);
    viewer
}

/// Counts who is known, for the state file, as the hub does: some rows in each turn.
fn count(registry: &Registry, at: Instant) {
    let (begin, mut census) = timed(|| registry.census());
    line("who is known: to begin", vec![begin]);
    let (mut turns, mut is_over) = (Vec::new(), false);
    while !is_over {
        let (time, over) = timed(|| registry.count(at, &mut census, ROWS_A_TURN));
        turns.push(time);
        is_over = over;
    }
    line("who is known: 2,000 rows of it", turns);
    line("who is known, all at once", (0..RUNS).map(|_| timed(|| registry.known(at)).0).collect());
}

fn measure(n: u64) {
    println!("-- {n} rows");
    let start = now();
    let (mut registry, pulses) = crowd(n, start);
    let mut viewer = views(n, &registry, start);
    let mut times = (Vec::new(), Vec::new());
    for second in 0..u64::from(RUNS) {
        let at = start + Duration::from_secs(50 + second);
        let newcomers: Vec<_> = (0..JOINS).map(|more| newcomer(n + second * JOINS + more, at)).collect();
        let joins = timed(|| {
            for newcomer in &newcomers {
                registry.join(at, newcomer).unwrap();
            }
            registry.take_events().len()
        });
        times.0.push(joins.0);
        viewer.forget_order();
        times.1.push(timed(|| viewer.look(at, &registry)).0);
    }
    line("1,000 join", times.0);
    line("the look after 1,000 joined", times.1);
    // Everybody is heard every 45 s, for three minutes.
    let (mut each, mut looked) = (Vec::new(), 0_u64);
    let from = start + Duration::from_mins(1);
    for second in 0..180_u64 {
        let at = from + Duration::from_secs(second);
        for pulse in pulses.iter().skip(usize::try_from(second % 45).unwrap()).step_by(45) {
            let _ = pulse.touch(at);
        }
        let (time, verdict) = timed(|| registry.sweep(at, |_| false));
        looked += verdict.convicted.len() as u64;
        each.push(time);
    }
    println!("{looked} convicted of those who joined and fell silent");
    let total: Duration = each.iter().sum();
    println!("{:36} {:9.3} ms a second", "judging, all in all", total.as_secs_f64() * 1_000.0 / 180.0);
    line("a sweep a second", each);
    let at = from + Duration::from_mins(3);
    line(
        "a sweep with nothing to decide",
        (0..RUNS).map(|_| timed(|| registry.sweep(at, |_| false)).0).collect(),
    );
    count(&registry, at);
    let last = at + TIMEOUT + INTERVAL * 2;
    let (time, verdict) = timed(|| registry.sweep(last, |_| false));
    line(&format!("{} due at once, held back", verdict.probes.len()), vec![time]);
    let last = last + INTERVAL * 2;
    let (time, verdict) = timed(|| registry.sweep(last, |_| false));
    line(&format!("{} expire at once", verdict.convicted.len()), vec![time]);
}

fn main() {
    let asked: Vec<u64> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let sizes = if asked.is_empty() { vec![1_000, 10_000, 100_000, 1_000_000] } else { asked };
    for n in sizes {
        measure(n);
    }
}
