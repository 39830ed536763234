//! Tells the client when it has slept: its machine was suspended, or its process stopped.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::clock::Watch;
use crate::presence::command::Command;

/// How often the clocks are looked at; a suspend is noticed within this.
const PERIOD: Duration = Duration::from_secs(1);
/// A pause this long is a sleep; below it no connection comes to harm.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// Looks at the clocks once a second until nobody wants to be told any more.
pub(super) async fn tell(commands: mpsc::Sender<Command>) {
    let mut watch = Watch::start();
    loop {
        let due = Instant::now() + PERIOD;
        sleep_until(due).await;
        let pause = watch.lap(due.elapsed());
        let awake = Command::Awake { slept: pause.total(), suspended: pause.suspended };
        // What a full inbox costs here is no pause: the next lap begins after it.
        if pause.total() >= WORTH_TELLING && commands.send(awake).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, sleep, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_told_once_and_ordinary_seconds_are_not() {
        let (commands, mut told) = mpsc::channel(4);
        let telling = tokio::spawn(tell(commands));
        assert!(timeout(Duration::from_mins(10), told.recv()).await.is_err());
        // The clock jumps as it does for a process that was stopped: nothing ran meanwhile.
        advance(Duration::from_secs(30)).await;
        let Some(Command::Awake { slept, suspended }) = told.recv().await else { panic!("nothing was told") };
        assert!((29..=30).contains(&slept.as_secs()) && suspended.is_zero(), "{slept:?}, {suspended:?}");
        assert!(timeout(Duration::from_mins(10), told.recv()).await.is_err());
        drop(told);
        advance(Duration::from_secs(30)).await;
        sleep(PERIOD * 2).await;
        assert!(telling.is_finished());
    }
}
