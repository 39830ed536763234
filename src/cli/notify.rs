//! The flags of `notify`. Those of its own are no settings: a message is for one occasion.

use clap::Args;

use super::ShowArgs;

/// The flags of `notify`.
#[derive(Debug, Clone, Args)]
pub struct NotifyArgs {
    /// What to say, up to 1024 bytes
    #[arg(value_name = "TEXT")]
    pub text: String,
    /// The server; with tls:// in front, over TLS
    #[arg(long, value_name = "ADDR[:PORT]")]
    pub server: String,
    /// Whom to tell: user=NAME, id=ID, tag=KEY=VALUE or all; tags may be given several times, to narrow it down
    #[arg(long, value_name = "WHOM", required = true)]
    pub to: Vec<String>,
    /// What it is about
    #[arg(long)]
    pub title: Option<String>,
    /// Who says it (notify@ and the host name, unless said otherwise)
    #[arg(long)]
    pub name: Option<String>,
    /// Print the counts as JSON
    #[arg(long)]
    pub json: bool,
    /// What it shows to a server that asks; last, for its heading covers what follows.
    #[command(flatten)]
    pub show: ShowArgs,
}
