//! A client from its first line to its last, against a server played by hand, on a clock that only tests move.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop there")]

mod errands;
mod foreign;
mod hand;
mod heartbeat;
mod notified;
mod returning;
mod texts;
mod waking;
