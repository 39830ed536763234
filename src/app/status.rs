//! `status`: one look at a running server.

use std::io::Write;

use anyhow::{Context, anyhow};

use super::gate::Pass;
use super::{Failure, print, visit};
use crate::cli::{Command, StatusArgs};
use crate::config::Environment;
use crate::net::addr::ServerAddr;
use crate::status::{self, Found, Proof};

/// The exit status that says that somebody is down.
const SOMEBODY_IS_DOWN: u8 = 5;

/// Asks a server, or the first that answers on this machine, and prints who is there.
pub(super) fn status(
    args: &StatusArgs,
    command: &Command,
    environment: Environment,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let server = args.server.as_deref().map(str::parse::<ServerAddr>).transpose();
    let server = server.map_err(|error| Failure::Usage(error.into()))?;
    if server.is_none() && args.show.token_file.is_some() {
        let words =
            "--token-file needs the server's address: a token is not for whatever answers on this machine";
        return Err(Failure::Usage(anyhow!(words)));
    }
    let Pass { token, dial } = visit::pass(command, environment, server.as_ref())?;
    let tls = dial.tls.as_ref().map(|(tls, _)| tls);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    let proof = Proof { token: token.as_deref(), tls };
    let found: Found =
        runtime.block_on(status::look(server.as_ref(), proof)).map_err(|error| Failure::Job(error.into()))?;
    print(out, if args.json { found.json() } else { found.text() }.as_bytes())?;
    if found.all_well() { Ok(()) } else { Err(Failure::Found(SOMEBODY_IS_DOWN)) }
}
