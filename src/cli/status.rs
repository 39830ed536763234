//! The flags of `status`. Those of its own are no settings: a question is asked in full.

use clap::Args;

use super::ShowArgs;

/// The flags of `status`.
#[derive(Debug, Clone, Default, Args)]
pub struct StatusArgs {
    /// The server; with tls:// in front, over TLS [default: this machine, the first port from 8080 to 8085 that answers]
    #[arg(value_name = "ADDR[:PORT]")]
    pub server: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// What it shows to a server that asks; last, for its heading covers what follows.
    #[command(flatten)]
    pub show: ShowArgs,
}
