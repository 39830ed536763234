//! What makes the screen draw: nothing but what can be seen to change.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use presence_tui::presence::command::Command;
use presence_tui::presence::trust::Hold;
use presence_tui::presence::view::View;
use presence_tui::tui::Outcome;
use presence_tui::tui::engine::{Wires, show};
use presence_tui::tui::model::{Model, Now};
use presence_tui::tui::terminal::Stage;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::fleet::{DARK, healthy, nobody, now, press, secs, serve};

/// A stage that counts.
struct Counting {
    terminal: Terminal<TestBackend>,
    frames: usize,
    bells: usize,
}

impl Stage for Counting {
    type Backend = TestBackend;

    fn terminal(&mut self) -> &mut Terminal<TestBackend> {
        &mut self.terminal
    }

    fn end(&mut self) -> io::Result<()> {
        self.frames += 1;
        Ok(())
    }

    fn bell(&mut self) -> io::Result<()> {
        self.bells += 1;
        Ok(())
    }
}

/// A clock that runs with tokio's, from the moment of the fleet on.
fn clock() -> impl Fn() -> Now {
    let start = tokio::time::Instant::now();
    let base = now();
    move || {
        let run = start.elapsed();
        Now { mono: base.mono + run, wall: base.wall + run }
    }
}

/// Shifts a view in time, as if everybody had gone on beating.
fn later(view: &View, by: Duration) -> View {
    let mut view = view.clone();
    for row in &mut view.rows {
        row.last_seen = row.last_seen.map(|at| at + by);
        row.deadline = row.deadline.map(|at| at + by);
        row.strip = row.strip.with(presence_tui::presence::pulse::Beat::OnTime);
        row.beats += 1;
    }
    view
}

/// Runs a screen for ten virtual seconds while `feed` makes ten views a second of the time gone by.
async fn ten_seconds(mut model: Model, feed: impl Fn(Duration) -> View) -> Counting {
    let terminal = Terminal::new(TestBackend::new(model.size.0, model.size.1)).unwrap();
    let mut stage = Counting { terminal, frames: 0, bells: 0 };
    let (views, views_rx) = watch::channel(Arc::new(feed(Duration::ZERO)));
    let (commands, mut asked) = mpsc::channel::<Command>(64);
    let cancel = CancellationToken::new();
    let wires =
        Wires { views: views_rx, uplink: None, commands, cancel: cancel.clone(), save_dir: ".".into() };
    let clock = clock();
    let screen = show(&mut stage, &mut model, wires, stream::pending(), clock);
    let world = async {
        for tenth in 1..=100 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            views.send_replace(Arc::new(feed(Duration::from_millis(100 * tenth))));
            while asked.try_recv().is_ok() {}
        }
        cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(screen, world);
    assert_eq!(outcome.unwrap(), Outcome::Closed);
    stage
}

#[tokio::test(start_paused = true)]
async fn with_no_clients_nothing_is_drawn_after_the_first_frame() {
    let stage = ten_seconds(serve(nobody(), (120, 36), DARK), |_| nobody()).await;
    assert_eq!(stage.frames, 1);
}

#[tokio::test(start_paused = true)]
async fn twenty_healthy_clients_cost_at_most_one_frame_a_second() {
    let fleet = healthy(20);
    let feed = |run: Duration| later(&fleet, run);
    let stage = ten_seconds(serve(healthy(20), (120, 36), DARK), feed).await;
    assert!((10..=12).contains(&stage.frames), "{} frames", stage.frames);
}

#[tokio::test(start_paused = true)]
async fn a_paused_view_is_not_drawn_again() {
    let fleet = healthy(20);
    let mut model = serve(healthy(20), (120, 36), DARK);
    press(&mut model, "p");
    let stage = ten_seconds(model, |run| later(&fleet, run)).await;
    assert_eq!(stage.frames, 1);
}

#[tokio::test(start_paused = true)]
async fn a_countdown_close_to_its_end_is_drawn_four_times_a_second() {
    let fleet = healthy(1);
    // Never heard again: the countdown runs out at 15 s of silence; the last fifth is drawn finely.
    let stage = ten_seconds(serve(healthy(1), (80, 24), DARK), |_| {
        let mut view = fleet.clone();
        let row = &mut view.rows[0];
        (row.last_seen, row.deadline) = (Some(now().mono - secs(7.0)), Some(now().mono + secs(8.0)));
        view
    })
    .await;
    // Five seconds at one frame, three at four, two more until the test ends.
    assert!((20..=28).contains(&stage.frames), "{} frames", stage.frames);
}

#[tokio::test(start_paused = true)]
async fn a_hold_counts_down_four_times_a_second_and_then_the_screen_rests() {
    let hold = Hold { clients: 11, of: 12, until: now().mono + secs(4.0) };
    let held = move |run: Duration| View { hold: (run < secs(4.0)).then_some(hold), ..nobody() };
    let stage = ten_seconds(serve(held(Duration::ZERO), (80, 24), DARK), held).await;
    // Four seconds at four frames, one without the banner, and nothing after that.
    assert!((15..=18).contains(&stage.frames), "{} frames", stage.frames);
}

#[tokio::test(start_paused = true)]
async fn a_long_hold_counts_down_once_a_second() {
    let hold = Hold { clients: 11, of: 12, until: now().mono + secs(40.0) };
    let held = move |_| View { hold: Some(hold), ..nobody() };
    let stage = ten_seconds(serve(held(Duration::ZERO), (80, 24), DARK), held).await;
    assert!((10..=12).contains(&stage.frames), "{} frames", stage.frames);
}

#[tokio::test(start_paused = true)]
async fn the_record_is_drawn_when_a_number_changes_and_not_otherwise() {
    let stage = ten_seconds(serve(nobody(), (120, 36), DARK), |run| {
        let mut view = nobody();
        view.record.verdicts += run.as_secs() / 4;
        view
    })
    .await;
    assert_eq!(stage.frames, 3, "the first, and one for each of two verdicts");
}

#[tokio::test(start_paused = true)]
async fn many_departures_at_once_ring_once() {
    let fleet = super::fleet::mixed();
    let mut model = serve(healthy(3), (80, 24), DARK);
    model.bell.enabled = true;
    let stage = ten_seconds(model, |run| {
        let mut view = if run.is_zero() { healthy(3) } else { fleet.clone() };
        if run > Duration::from_millis(900) {
            let mut alert = view.alerts.newest[0].clone();
            alert.since = now().mono + secs(0.9);
            view.alerts.newest.insert(0, alert);
        }
        view
    })
    .await;
    assert_eq!(stage.bells, 1, "two within two seconds are one ring");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_no_commands_does_not_stop_the_screen() {
    let mut model = serve(healthy(3), (80, 24), DARK);
    let mut stage =
        Counting { terminal: Terminal::new(TestBackend::new(80, 24)).unwrap(), frames: 0, bells: 0 };
    let (_views, views) = watch::channel(Arc::new(healthy(3)));
    let (commands, _full) = mpsc::channel(1);
    commands.try_send(Command::Quit).unwrap();
    let cancel = CancellationToken::new();
    let wires = Wires { views, uplink: None, commands, cancel: cancel.clone(), save_dir: ".".into() };
    let stop = async {
        tokio::time::sleep(secs(5.5)).await;
        cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(show(&mut stage, &mut model, wires, stream::pending(), clock()), stop);
    assert_eq!(outcome.unwrap(), Outcome::Closed);
    assert!(stage.frames >= 5, "{} frames", stage.frames);
}
