//! `notify`: a message from a script, and an exit status that says what became of it.

use std::io::Write;

use anyhow::{Context, anyhow};

use super::gate::Pass;
use super::{Failure, host_name, print, visit};
use crate::cli::{Command, NotifyArgs};
use crate::client::ServerAddr;
use crate::client::messenger::{self, Errand};
use crate::config::Environment;
use crate::protocol::NotifyResult;
use crate::protocol::notify::To;

/// Sends one message and prints what became of it to `out`.
pub(super) fn notify(
    args: &NotifyArgs,
    command: &Command,
    environment: Environment,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let server: ServerAddr = args
        .server
        .parse()
        .map_err(|error| Failure::Usage(anyhow!("--server {:?}: {error}", args.server)))?;
    let name = args.name.clone().unwrap_or_else(|| format!("notify@{}", host_name()));
    let errand = Errand::new(name, &args.to, args.title.clone(), args.text.clone())
        .map_err(|error| Failure::Usage(error.into()))?;
    let Pass { token, dial } = visit::pass(command, environment, Some(&server))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    let told = runtime.block_on(messenger::run(&dial, &server, token.as_deref(), &errand));
    let result = told.map_err(|error| Failure::Job(error.into()))?;
    print(out, line(&result, args.json).as_bytes())?;
    verdict(&result, &errand.notify.to, &args.to.join(" ")).map_err(Failure::Short)
}

fn line(result: &NotifyResult, json: bool) -> String {
    if json {
        // Numbers and one short text: nothing in them can fail to be written.
        return serde_json::to_string(result).unwrap_or_default() + "\n";
    }
    format!("{}: {}\n", crate::protocol::clean::name(&result.nid), result.tally())
}

/// Tells whether everybody was told.
///
/// Who names a person or a client means just them: a device of theirs that is gone was not told. A label or
/// everybody means whoever is here: the server remembers for a day who is not, and a script could do nothing about it.
fn verdict(result: &NotifyResult, to: &To, words: &str) -> anyhow::Result<()> {
    let tally = result.tally();
    let excused = if to.all || !to.tag.is_empty() { tally.offline } else { 0 };
    let meant = tally.targets.saturating_sub(excused);
    let missed = meant.saturating_sub(tally.delivered + tally.sent);
    match (tally.targets, meant, missed) {
        (0, _, _) => Err(anyhow!("nobody was told: the server knows no client that is {words}")),
        (known, 0, _) => {
            Err(anyhow!("nobody was told: none of the {known} clients that are {words} is here"))
        }
        (_, _, 0) => Ok(()),
        (_, meant, missed) => Err(anyhow!("{missed} of {meant} were not told")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presence::notify::{Posted, Tally};
    use crate::protocol::register::Tags;

    #[test]
    fn who_is_not_here_is_missed_only_where_somebody_was_named() {
        let told = |to: &To, tally: Tally| {
            let posted = Posted { number: 1, from: "x".into(), subject: "x".into(), tally };
            verdict(&NotifyResult::from(&posted), to, "those").map_err(|error| error.to_string())
        };
        let all = To { all: true, ..To::default() };
        let tag = To { tag: Tags(vec![("role".to_owned(), "ci".to_owned())]), ..To::default() };
        let user = To { user: Some("ada".to_owned()), ..To::default() };
        let id = To { id: Some("k3".to_owned()), ..To::default() };
        let some_gone = Tally { targets: 5, delivered: 2, sent: 1, offline: 2, ..Tally::default() };
        let one_failed = Tally { delivered: 1, failed: 1, ..some_gone };
        let none_here = Tally { targets: 2, offline: 2, ..Tally::default() };
        for to in [&all, &tag] {
            assert_eq!(told(to, some_gone), Ok(()));
            assert_eq!(told(to, one_failed), Err("1 of 3 were not told".to_owned()));
            assert!(told(to, none_here).unwrap_err().contains("none of the 2 clients that are those"));
        }
        for to in [&user, &id] {
            assert_eq!(told(to, some_gone), Err("2 of 5 were not told".to_owned()));
            assert_eq!(told(to, none_here), Err("2 of 2 were not told".to_owned()));
        }
        for to in [&all, &tag, &user, &id] {
            assert!(told(to, Tally::default()).unwrap_err().contains("knows no client that is those"));
        }
    }
}
