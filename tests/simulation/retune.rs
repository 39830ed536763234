//! Settings change under a large fleet, and nobody who is well is lost.

use std::time::Duration;

use fastrand::Rng;
use presence_tui::presence::view::Rollout;
use presence_tui::presence::{EventKind, Settings};
use tokio::time::{Instant, sleep, sleep_until};

use crate::clients::Kind;
use crate::pipe::Way;
use crate::world::{Member, World};

const MINUTE: Duration = Duration::from_mins(1);

/// A fleet whose every client is 100 ms away (200 ms there and back) and loses every hundredth segment.
fn fleet(v1: usize, legacy: usize) -> Vec<Member> {
    let way = Way { latency: Duration::from_millis(100), loss: 0.01 };
    let kinds = [(v1, Kind::Quiet), (legacy, Kind::Legacy(MINUTE))];
    kinds.iter().flat_map(|&(n, kind)| vec![Member { kind, way }; n]).collect()
}

fn settings(interval: u64, timeout: u64) -> Settings {
    Settings::new(Duration::from_secs(interval), Duration::from_secs(timeout)).unwrap()
}

/// Lets the fleet in, makes 60 s and 120 s into 5 s and 15 s, and looks on; returns how far it came in 120 s.
async fn shorten(members: &[Member], look_on: Duration) -> Rollout {
    let mut rng = Rng::with_seed(7);
    fastrand::seed(7);
    let mut world = World::new(members, settings(60, 120), rng.fork());
    for number in 0..members.len() {
        world.start(number);
        sleep(Duration::from_millis(rng.u64(0..40))).await;
    }
    // Everybody has pinged at least twice, and is anywhere between two pings.
    sleep(MINUTE * 3).await;
    let start = Instant::now();
    world.retune(settings(5, 15)).await;
    // Two old intervals, less what the view itself takes to be drawn.
    sleep_until(start + MINUTE * 2 - Duration::from_secs(1)).await;
    let view = world.view().await;
    sleep(look_on).await;
    let book = world.lives[0].book.lock().unwrap();
    for event in &book.events {
        assert!(!matches!(event.kind, EventKind::Gone { .. }), "{event:?}");
        assert!(!matches!(event.kind, EventKind::Trouble(_) | EventKind::Refused { .. }), "{event:?}");
    }
    assert_eq!(book.here.len(), members.len());
    view.rollout
}

#[tokio::test(start_paused = true)]
async fn a_thousand_clients_follow_a_shorter_timeout_and_none_is_lost() {
    let rollout = shorten(&fleet(1_000, 0), Duration::ZERO).await;
    assert_eq!(rollout, Rollout { applied: 1_000, of: 1_000, lagging: 0, pinned: 0 });
}

#[tokio::test(start_paused = true)]
async fn base_clients_among_them_keep_their_timeout_and_none_is_lost() {
    let rollout = shorten(&fleet(270, 30), MINUTE * 10).await;
    assert_eq!(rollout, Rollout { applied: 270, of: 270, lagging: 0, pinned: 30 });
}
