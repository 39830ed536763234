//! presence-tui: keeps long-lived TCP connections honest.

pub mod client;
pub mod presence;
pub mod protocol;
