//! What the decisions cost, without a socket: `cargo bench --bench pure [-- FILTER]`.
#![allow(missing_docs, reason = "a bench is named by its string")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot set itself up should say so and stop")]

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use presence_tui::presence::registry::{Limits, Newcomer};
use presence_tui::presence::secret::Secret;
use presence_tui::presence::{Claim, ConnNo, Dialect, Identity, Profile, Pulse, Registry, Settings};
use presence_tui::protocol::message::Pong;
use presence_tui::protocol::{ClientMessage, LINE_BYTES_MAX, LineCodec, Parted, ServerMessage};
use presence_tui::server::lines;
use tokio_util::codec::Decoder;

/// A large installation.
const MANY: u64 = 100_000;
/// One that nobody has yet.
const VERY_MANY: u64 = 1_000_000;
/// How many run out at once.
const EXPIRING: u64 = 10_000;

const INTERVAL: Duration = Duration::from_mins(1);
const TIMEOUT: Duration = Duration::from_mins(2);

const PING: &[u8] = br#"{"type":"ping","seq":41,"t":912345678,"rev":7,"rtt_us":830}"#;
const REGISTER: &[u8] = br#"{"type":"register","client_ip":"10.0.0.7","client_port":3000,"v":1,"id":"k3v9q2m1","gen":1761000000123,"conn":2,"name":"build-7","user":"ada","platform":"linux/x86_64","tags":{"role":"ci","site":"fra"},"want":["roster"]}"#;

fn newcomer(number: u64, now: Instant) -> Newcomer {
    let [_, _, _, _, _, a, b, c] = number.to_be_bytes();
    let profile = Profile { name: Some(format!("client-{number:07}").into()), ..Profile::default() };
    Newcomer {
        claim: Claim { ip: format!("10.{a}.{b}.{c}").into(), port: 3_000 },
        peer: SocketAddr::from(([10, a, b, c], 40_000)),
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

fn empty() -> Registry {
    let max_clients = usize::try_from(VERY_MANY).unwrap();
    let limits = Limits { max_clients, ..Limits::default() };
    Registry::new(Settings::new(INTERVAL, TIMEOUT).unwrap(), limits)
}

/// Returns a registry with so many clients, all of whom spoke at `now`, and their pulses.
fn crowd(n: u64, now: Instant) -> (Registry, Vec<Arc<Pulse>>) {
    let mut registry = empty();
    let mut pulses = Vec::new();
    for number in 0..n {
        let newcomer = newcomer(number, now);
        registry.join(now, &newcomer).unwrap();
        pulses.push(newcomer.pulse);
    }
    registry.take_events();
    (registry, pulses)
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn wire(c: &mut Criterion) {
    let mut group = c.benchmark_group("wire");
    group.bench_function("decode a bare ping", |b| {
        b.iter(|| ClientMessage::decode(black_box(b"{\"type\":\"ping\"}")).unwrap());
    });
    group.bench_function("decode a ping", |b| b.iter(|| ClientMessage::decode(black_box(PING)).unwrap()));
    group.bench_function("decode a register", |b| {
        b.iter(|| ClientMessage::decode(black_box(REGISTER)).unwrap());
    });
    group.bench_function("encode a pong", |b| {
        b.iter_batched(
            || match ClientMessage::decode(PING).unwrap() {
                ClientMessage::Ping(ping) => {
                    Pong { seq: ping.seq, t: ping.t, hold_us: Some(35), ..Pong::default() }
                }
                other => unreachable!("{other:?}"),
            },
            |pong| ServerMessage::Pong(pong).encode(),
            BatchSize::SmallInput,
        );
    });
    let mut stream = BytesMut::new();
    for _ in 0..100 {
        stream.extend_from_slice(PING);
        stream.extend_from_slice(b"\n");
    }
    group.throughput(Throughput::Elements(100));
    group.bench_function("cut 100 lines", |b| {
        b.iter_batched(
            || (LineCodec::new(LINE_BYTES_MAX), stream.clone()),
            |(mut codec, mut stream)| while codec.decode(&mut stream).unwrap().is_some() {},
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn registry(c: &mut Criterion) {
    let start = now();
    let mut group = c.benchmark_group("registry");
    group.sample_size(20);
    group.throughput(Throughput::Elements(EXPIRING));
    group.bench_function("10,000 join", |b| {
        b.iter_batched(
            || (empty(), (0..EXPIRING).map(|number| newcomer(number, start)).collect::<Vec<_>>()),
            |(mut registry, newcomers)| {
                for newcomer in &newcomers {
                    registry.join(start, newcomer).unwrap();
                }
                (registry, newcomers)
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("10,000 expire at once", |b| {
        b.iter_batched(
            || crowd(EXPIRING, start),
            |(mut registry, pulses)| {
                let verdict = registry.sweep(start + TIMEOUT, |_| false);
                assert_eq!(verdict.convicted.len() as u64, EXPIRING);
                (registry.take_events(), registry, pulses, verdict)
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn sweeps(c: &mut Criterion) {
    let start = now();
    let mut group = c.benchmark_group("sweep");
    group.sample_size(20);
    for n in [1_000, MANY, VERY_MANY] {
        let (mut registry, pulses) = crowd(n, start);
        group.throughput(Throughput::Elements(n));
        let later = start + Duration::from_secs(10);
        group.bench_function(format!("{n}, nobody is late"), |b| {
            b.iter(|| registry.sweep(black_box(later), |_| false));
        });
        group.bench_function(format!("{n}, each touched before"), |b| {
            b.iter(|| {
                for pulse in &pulses {
                    black_box(pulse.touch(later));
                }
                registry.sweep(black_box(later), |_| false)
            });
        });
    }
    group.finish();
}

fn rosters(c: &mut Criterion) {
    let start = now();
    let (registry, _) = crowd(EXPIRING, start);
    let mut group = c.benchmark_group("lists of 10,000");
    group.bench_function("whole, for base clients", |b| b.iter(|| lines::base_list(&registry)));
    group.bench_function("a page of 500", |b| {
        b.iter(|| lines::page(start, &registry, lines::Cursor::default(), 1));
    });
    group.bench_function("a batch of 100 that came", |b| {
        b.iter(|| {
            let came: Vec<_> = registry
                .live_rows_after(Some(ConnNo(5_000)))
                .take(100)
                .map(|(_, live)| lines::entry(start, &live))
                .collect();
            lines::paged("client_joined", &mut 1, came)
        });
    });
    let parted: Vec<_> = (0..100)
        .map(|number| Parted { id: format!("id-{number:07}").into(), reason: "timeout".into() })
        .collect();
    group.bench_function("a batch of 100 that went", |b| {
        b.iter(|| lines::paged("client_left", &mut 1, lines::encoded(black_box(&parted))));
    });
    group.finish();
}

/// Short runs: what is looked for here is a factor, not a percent.
fn settings() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = benches;
    config = settings();
    targets = wire, registry, sweeps, rosters
}
criterion_main!(benches);
