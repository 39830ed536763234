//! `join`: the client from its first line to its last.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::face::{Face, Wish};
use super::gate::Pass;
use super::signals::Signals;
use super::{Failure, Start, awake};
use crate::client::{Engine, Identity, JoinError, Notice, Options, Window, Windows};
use crate::config::Config;
use crate::presence::command::Command;
use crate::presence::row::Claim;
use crate::tasks;
use crate::telemetry::Lines;
use crate::tui::{Screen, TuiError};

/// How many commands may wait for the client.
pub(super) const COMMANDS_WAITING: usize = 64;

/// Stays connected until it is asked to leave, or the server does not want it back.
pub(super) async fn join(
    config: &Config,
    Pass { token, dial }: Pass,
    state_dir: Option<PathBuf>,
    mut start: Start,
) -> Result<(), Failure> {
    let signals = Signals::listen().context("cannot listen to signals")?;
    let options = Options { token, ..options(config)? };
    let id = config.client.id.as_deref();
    let (server, name) = (options.server.written().to_owned(), options.name.clone());
    let (identity, warnings) = if let Some(dir) = &state_dir {
        Identity::open(dir, &server, &name, id, wall_ms())
    } else {
        let why = "this client is a new one at every start: there is no home folder to keep its identity in";
        (Identity::ephemeral(id, wall_ms()), vec![why.to_owned()])
    };
    let (commands, inbox) = mpsc::channel(COMMANDS_WAITING);
    let cancel = CancellationToken::new();
    let (mut engine, windows) =
        Engine::new(options, identity, dial, inbox, cancel.clone(), fastrand::Rng::new());
    for warning in start.remarks.drain(..).chain(warnings) {
        engine.warn(warning);
    }
    let _awake = AbortOnDropHandle::new(tasks::spawn(awake::tell(commands.clone())));
    attend(engine.run(), windows, commands, cancel, signals, start).await
}

/// Runs a client with its screen or its lines, until it ends or somebody asks it to.
pub(super) async fn attend(
    client: impl Future<Output = Result<(), JoinError>> + Send + 'static,
    windows: Windows,
    commands: mpsc::Sender<Command>,
    cancel: CancellationToken,
    mut signals: Signals,
    mut start: Start,
) -> Result<(), Failure> {
    let lines = Arc::new(start.lines);
    let (mut face, pump) = match start.screen.take() {
        Some(look) => {
            let (window, panes) = Window::open(windows.state, windows.notices, commands);
            let screen = Screen::Join { uplink: panes.uplink, peers: panes.peers };
            (Face::show_with(screen, look, panes.commands), tasks::spawn(window.run()))
        }
        None => (Face::none(), tasks::spawn(write_lines(windows.notices, lines.clone()))),
    };
    let mut running = tasks::spawn(client);

    let mut screen_ended = Ok(());
    let ended = tokio::select! {
        ended = &mut running => ended,
        wish = stop(&mut signals, &mut face) => {
            screen_ended = wish;
            cancel.cancel();
            tokio::select! {
                ended = &mut running => ended,
                () = signals.stop() => Ok(Ok(())), // Asked twice: at once.
            }
        }
    };
    running.abort();
    let closed = face.close().await;
    let _ = pump.await; // It ends with the engine.
    if let Some(lines) = Arc::into_inner(lines) {
        Start { lines, ..start }.finish();
    }
    ended
        .context("the client stopped by accident; the log has the details")?
        .map_err(|error| Failure::Job(error.into()))?;
    Ok(screen_ended.and(closed).map_err(anyhow::Error::new)?)
}

/// Waits until the system asks to stop, or the screen is closed.
async fn stop(signals: &mut Signals, face: &mut Face) -> Result<(), TuiError> {
    tokio::select! {
        () = signals.stop() => Ok(()),
        wish = face.next() => match wish {
            Wish::Ended(ended) => ended.map(drop),
            Wish::Command(_) => Ok(()), // They go to the engine directly, so there are none here.
        },
    }
}

fn options(config: &Config) -> Result<Options, Failure> {
    let client = &config.client;
    let Some(server) = &client.server else {
        let words =
            "no server to join (write presence-tui join HOST[:PORT], or set client.server in the config)";
        return Err(Failure::Usage(anyhow::anyhow!(words)));
    };
    Ok(Options {
        server: server.clone(),
        name: client.name.clone(),
        user: client.user.clone(),
        device: client.device.clone(),
        tags: client.tags.clone(),
        advertise: client.advertise.map(|addr| Claim { ip: addr.ip().to_string().into(), port: addr.port() }),
        token: None,
        interval: client.interval,
    })
}

async fn write_lines(mut notices: mpsc::Receiver<Notice>, lines: Arc<Lines>) {
    while let Some(notice) = notices.recv().await {
        match &notice {
            Notice::Notified(letter) => lines.letter(notice.word(), letter),
            _ => lines.say(notice.word(), &notice.to_string(), notice.is_trouble()),
        }
    }
}

/// Returns the milliseconds since 1970: the generation of an identity grows with them, and so do ages across a restart.
#[expect(
    clippy::disallowed_methods,
    reason = "a new process must be newer than the last, even after a reboot"
)]
pub(super) fn wall_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
