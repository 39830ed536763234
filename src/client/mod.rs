//! The client room: one connection to a server, kept up for ever.

pub mod addr;
pub mod backoff;
pub mod identity;

pub use addr::{AddrError, ServerAddr};
pub use identity::Identity;
