//! The flags of `history`.

use std::path::PathBuf;

use clap::Args;

/// How many clients, sessions or outages are told unless asked otherwise.
const LIMIT: u32 = 50;

/// The flags of `history`.
#[derive(Debug, Clone, Args)]
pub struct HistoryArgs {
    /// Only this client, with its sessions and outages: a name, an identity, a user, or a part of a name
    #[arg(long, value_name = "CLIENT")]
    pub client: Option<String>,
    /// How far to look back
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    pub since: String,
    /// How many clients, and how many sessions and outages of one
    #[arg(long, value_name = "N", default_value_t = LIMIT)]
    pub limit: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The file [default: that of the server on the configured port]
    #[arg(long, value_name = "FILE", conflicts_with = "port")]
    pub path: Option<PathBuf>,
    /// The port of the server whose file it is
    #[arg(long)]
    pub port: Option<u16>,
    /// Config file to read; it must exist [default: ./config.toml, else the user's own]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}
