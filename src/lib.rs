//! presence-tui: keeps long-lived TCP connections honest.

pub mod cli;
pub mod config;
pub mod presence;
pub mod protocol;
pub mod telemetry;
