//! The flags of `status`. They are no settings: a question is asked in full.

use clap::Args;

/// The flags of `status`.
#[derive(Debug, Clone, Default, Args)]
pub struct StatusArgs {
    /// The server [default: this machine, the first port from 8080 to 8085 that answers]
    #[arg(value_name = "ADDR[:PORT]")]
    pub server: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
