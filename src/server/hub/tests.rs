//! What the hub makes of its own pauses.

use std::cell::Cell;
use std::net::SocketAddr;

use super::*;
use crate::presence::registry::Newcomer;
use crate::presence::secret::Secret;
use crate::presence::{Claim, Dialect, Profile, Pulse};

thread_local! {
    /// How long this machine has been suspended, for all the hub can tell.
    static ASLEEP: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Returns a hub with one client (interval 10 s, timeout 30 s) that was heard at `now`.
fn hub(now: Instant) -> Hub {
    ASLEEP.set(secs(1_000));
    let (mut hub, _) = Hub::new(Options {
        expected: Vec::new(),
        expect_names: Vec::new(),
        name: "lab".to_owned(),
        settings: Settings::new(secs(10), secs(30)).unwrap(),
        limits: Limits { retention: secs(3_600), ..Limits::default() },
        register_timeout: secs(5),
    });
    hub.watch = Watch::reading(|| Some(ASLEEP.get()));
    let newcomer = Newcomer {
        claim: Claim { ip: "10.0.0.1".into(), port: 3_000 },
        peer: SocketAddr::from(([127, 0, 0, 1], 4_000)),
        version: 1,
        dialect: Dialect::Presence,
        identity: None,
        profile: Profile::default(),
        resume: None,
        fresh_id: "fresh".into(),
        fresh_secret: Secret::new([7; 15]),
        pulse: Arc::new(Pulse::new(now)),
    };
    hub.registry.join(now, &newcomer).unwrap();
    hub
}

/// Returns what was said, and whether the client is gone when the hub judges at `now`.
fn verdict(hub: &mut Hub, now: Instant) -> (Vec<String>, bool) {
    let convicted = hub.registry.sweep(now, |_| false).convicted;
    let said = hub.registry.take_events().into_iter().filter_map(|event| match event.kind {
        EventKind::Trouble(words) => Some(words),
        _ => None,
    });
    (said.collect(), !convicted.is_empty())
}

#[tokio::test]
async fn a_suspend_is_a_pause_although_the_monotonic_clock_stood_still() {
    let start = now();
    let mut hub = hub(start);
    ASLEEP.set(secs(1_000 + 8 * 3_600));
    let woke = start + secs(29);
    hub.notice_pause(woke, Some(woke));
    assert_eq!(hub.registry.record().paused, secs(8 * 3_600));
    let (said, gone) = verdict(&mut hub, start + secs(31));
    assert_eq!(said, ["I was paused for 8h; nobody is blamed for that time"]);
    assert!(!gone, "what it sent meanwhile may still be on its way");
    assert!(verdict(&mut hub, woke + secs(30)).1, "and it has one whole timeout, not more");
}

#[tokio::test]
async fn a_stop_and_a_suspend_add_up() {
    let start = now();
    let mut hub = hub(start);
    ASLEEP.set(secs(1_010));
    hub.notice_pause(start + secs(5), Some(start + secs(1)));
    assert_eq!(hub.registry.record().paused, secs(14));
    assert_eq!(
        verdict(&mut hub, start + secs(5)).0,
        ["I was paused for 14s; nobody is blamed for that time"]
    );
}

#[tokio::test]
async fn a_lap_on_time_is_no_pause() {
    let start = now();
    let mut hub = hub(start);
    hub.notice_pause(start + secs(5), Some(start + secs(5)));
    hub.notice_pause(start + secs(6), None);
    assert_eq!(hub.registry.record().paused, Duration::ZERO);
    assert!(verdict(&mut hub, start + secs(30)).1);
}
