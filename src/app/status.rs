//! `status`: one look at a running server.

use std::io::Write;

use anyhow::Context;

use super::{Failure, print};
use crate::cli::StatusArgs;
use crate::net::addr::ServerAddr;
use crate::status::{self, Found};

/// The exit status that says that somebody is down.
const SOMEBODY_IS_DOWN: u8 = 5;

/// Asks a server, or the first that answers on this machine, and prints who is there.
pub(super) fn status(args: &StatusArgs, out: &mut impl Write) -> Result<(), Failure> {
    let server = args.server.as_deref().map(str::parse::<ServerAddr>).transpose();
    let server = server.map_err(|error| Failure::Usage(error.into()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    let found: Found =
        runtime.block_on(status::look(server.as_ref(), None)).map_err(|error| Failure::Job(error.into()))?;
    print(out, if args.json { found.json() } else { found.text() }.as_bytes())?;
    if found.all_well() { Ok(()) } else { Err(Failure::Found(SOMEBODY_IS_DOWN)) }
}
