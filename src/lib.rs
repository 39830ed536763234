//! presence-tui: keeps long-lived TCP connections honest.

pub mod presence;
pub mod protocol;
pub mod tui;
