//! The other client: a heartbeat for a server that speaks something else.
//!
//! No presence protocol at all: a payload goes out at an interval, what comes
//! in is compared with what is expected, and some of it is replied to.
//! [`plan`] is what the person asked for, [`pulse`] says when to beat and when
//! the server is dead, [`rules`] what an inbound message means, and `wire`
//! carries it as bytes or as WebSocket messages. `session` is one
//! connection, [`engine`] comes back for ever.

pub mod engine;
pub mod plan;
pub mod pulse;
pub mod rules;
mod session;
mod wire;

pub use engine::ForeignEngine;
pub use plan::{Payload, Plan, PlanError, Wanted};
