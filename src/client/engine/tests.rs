use tokio::io::AsyncWriteExt;

use super::*;
use crate::client::Tcp;
use crate::client::dialogue::Input;
use crate::client::session::{Wire, next_input};

#[tokio::test(start_paused = true)]
async fn what_was_received_is_looked_at_before_the_clock() {
    let options = Options {
        server: "hq".parse().unwrap(),
        name: "n".to_owned(),
        user: None,
        device: None,
        tags: Vec::new(),
        advertise: None,
        token: None,
        interval: Duration::from_secs(5),
    };
    let (_commands, commands) = mpsc::channel(1);
    let identity = Identity::ephemeral(None, 1);
    let (mut engine, _windows) =
        Engine::new(options, identity, Tcp, commands, CancellationToken::new(), Rng::with_seed(1));
    let opening = engine.opening(([10, 0, 0, 1], 8080).into(), None);
    let dialogue = Dialogue::open(opening, false, Instant::now());
    let (here, mut there) = tokio::io::duplex(64);
    let mut wire = Wire::new(Box::new(here));
    tokio::time::advance(Duration::from_mins(10)).await;
    assert!(dialogue.wake_at().is_some_and(|at| at < Instant::now()));
    there.write_all(b"{}\n").await.unwrap();
    let first = next_input(&mut wire, &dialogue, &mut engine.console).await;
    assert!(matches!(first, Input::Bytes), "{first:?}");
    let second = next_input(&mut wire, &dialogue, &mut engine.console).await;
    assert!(matches!(second, Input::Line(_)), "{second:?}");
    let third = next_input(&mut wire, &dialogue, &mut engine.console).await;
    assert!(matches!(third, Input::Quiet), "{third:?}");
}
