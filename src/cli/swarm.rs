//! The flags of `swarm`. They are no settings: a load test is asked for each time, in full.

use clap::{Args, ValueEnum};

/// The flags of `swarm`.
#[derive(Debug, Clone, Args)]
pub struct SwarmArgs {
    /// The server
    #[arg(value_name = "ADDR[:PORT]")]
    pub server: String,
    /// How many clients, 1 to 1000000
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1_000)]
    pub clients: usize,
    /// How many may connect in a second, at first and whenever one is replaced
    #[arg(long, value_name = "PER_SECOND", default_value = "1000")]
    pub rate: String,
    /// How often each pings, 0.1 s to 1 h [default: what the server asks for, or 60s for --dialect base]
    #[arg(long, value_name = "DURATION")]
    pub interval: Option<String>,
    /// How many fall silent with their connection open, once all have connected
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub freeze: usize,
    /// How many leave in a second, each replaced by a new one
    #[arg(long, value_name = "PER_SECOND", default_value = "0")]
    pub churn: String,
    /// What they speak: presence protocol v1, or its base alone
    #[arg(long, value_enum, default_value_t = SwarmDialect::Presence)]
    pub dialect: SwarmDialect,
    /// Ask for the roster, as `join` does: the server then tells everybody who comes and goes
    #[arg(long)]
    pub roster: bool,
    /// The server's timeout, for --dialect base with --freeze: a base server does not tell it
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// When to stop, counted from the start [default: at Ctrl-C]
    #[arg(long, value_name = "DURATION")]
    pub duration: Option<String>,
    /// The same number makes the same clients with the same rhythm [default: another one every time]
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u32>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// Ping again as soon as the pong is there: measures what a server can do, and not how it fares
    #[arg(long, hide = true, conflicts_with_all = ["interval", "freeze"])]
    pub closed_loop: bool,
}

/// What the clients of a swarm speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SwarmDialect {
    /// Presence protocol v1.
    Presence,
    /// The base protocol: a claim, bare pings, no goodbye.
    Base,
}
