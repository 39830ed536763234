//! What `notify` and `status` show to a server, and how they reach it: as `join` does, but without a config file.

use std::path::PathBuf;

use super::{Failure, gate};
use crate::cli::Command;
use crate::client::ServerAddr;
use crate::config::Environment;
use crate::telemetry::{LineFormat, Lines};

/// Reads what flags and variables say of it, and says on stderr what should be known about that.
///
/// # Errors
/// They make no sense, or a file cannot be read.
pub(super) fn pass(
    command: &Command,
    environment: Environment,
    server: Option<&ServerAddr>,
) -> Result<gate::Pass, Failure> {
    let sources = command.sources(environment, PathBuf::new(), String::new());
    let config = sources.resolve().map_err(|error| Failure::Usage(error.into()))?;
    let mut remarks = Vec::new();
    let pass = gate::pass(&config, &sources.environment, server, &mut remarks).map_err(Failure::Usage)?;
    if !remarks.is_empty() {
        let lines = Lines::stderr(LineFormat::Text);
        for remark in &remarks {
            lines.warn(remark);
        }
    }
    Ok(pass)
}
