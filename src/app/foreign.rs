//! `join` towards a server that speaks something else.

use anyhow::{Context, bail};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::join::{COMMANDS_WAITING, attend};
use super::signals::Signals;
use super::{Failure, Start};
use crate::cli::JoinArgs;
use crate::client::Tcp;
use crate::client::foreign::{ForeignEngine, Plan, Wanted};
use crate::config::Config;

/// Reads from the command line what a foreign server is to be sent; `None` if the server is none.
pub(super) fn plan(args: &JoinArgs, config: &Config) -> anyhow::Result<Option<Plan>> {
    let server = args.foreign_server();
    match (args.misplaced(), server) {
        (Some(flag), Some(server)) => {
            bail!("{flag} says nothing to {server:?}, which is not a server of presence-tui (leave it out)");
        }
        (Some(flag), None) => {
            bail!(
                "{flag} is for a server that speaks something else (write its address with a scheme: \
                 ws://HOST/PATH, wss://HOST/PATH or tcp+raw://HOST:PORT)"
            );
        }
        (None, _) => {}
    }
    let Some(server) = server else { return Ok(None) };
    let flags = &args.foreign;
    let wanted = Wanted {
        server,
        name: &config.client.name,
        interval: args.interval.as_deref(),
        payload: flags.payload.as_deref(),
        payload_json: flags.payload_json.as_deref(),
        payload_hex: flags.payload_hex.as_deref(),
        expect: flags.expect.as_deref(),
        on: &flags.on,
        reply: &flags.reply,
    };
    Ok(Some(Plan::new(&wanted)?))
}

/// Keeps the beat until it is asked to stop.
pub(super) async fn join(plan: Plan, mut start: Start) -> Result<(), Failure> {
    let signals = Signals::listen().context("cannot listen to signals")?;
    let (commands, inbox) = mpsc::channel(COMMANDS_WAITING);
    let cancel = CancellationToken::new();
    let (mut engine, windows) = ForeignEngine::new(plan, Tcp, inbox, cancel.clone(), fastrand::Rng::new());
    for remark in start.remarks.drain(..) {
        engine.warn(remark);
    }
    let running = async {
        engine.run().await;
        Ok(())
    };
    attend(running, windows, commands, cancel, signals, start).await
}
