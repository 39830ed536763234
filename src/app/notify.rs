//! `notify`: a message from a script, and an exit status that says what became of it.

use std::io::Write;

use anyhow::{Context, anyhow};

use super::{Failure, host_name, print};
use crate::cli::NotifyArgs;
use crate::client::messenger::{self, Errand};
use crate::client::{ServerAddr, Tcp};
use crate::protocol::NotifyResult;

/// Sends one message and prints what became of it to `out`.
pub(super) fn notify(args: &NotifyArgs, out: &mut impl Write) -> Result<(), Failure> {
    let server: ServerAddr = args
        .server
        .parse()
        .map_err(|error| Failure::Usage(anyhow!("--server {:?}: {error}", args.server)))?;
    let name = args.name.clone().unwrap_or_else(|| format!("notify@{}", host_name()));
    let errand = Errand::new(name, &args.to, args.title.clone(), args.text.clone())
        .map_err(|error| Failure::Usage(error.into()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    let told = runtime.block_on(messenger::run(&Tcp, &server, &errand));
    let result = told.map_err(|error| Failure::Job(error.into()))?;
    print(out, line(&result, args.json).as_bytes())?;
    verdict(&result, &args.to.join(" ")).map_err(Failure::Short)
}

fn line(result: &NotifyResult, json: bool) -> String {
    if json {
        // Numbers and one short text: nothing in them can fail to be written.
        return serde_json::to_string(result).unwrap_or_default() + "\n";
    }
    format!("{}: {}\n", crate::protocol::clean::name(&result.nid), result.tally())
}

/// Tells whether everybody was told.
fn verdict(result: &NotifyResult, to: &str) -> anyhow::Result<()> {
    let tally = result.tally();
    let missed = tally.targets.saturating_sub(tally.delivered + tally.sent);
    match (tally.targets, missed) {
        (0, _) => Err(anyhow!("nobody was told: the server knows no client that is {to}")),
        (_, 0) => Ok(()),
        (targets, missed) => Err(anyhow!("{missed} of {targets} were not told")),
    }
}
