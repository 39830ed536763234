//! One port, every client: what each dialect is promised, byte for byte.
#![allow(missing_docs, reason = "a test is documented by its name")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests are test code")]

#[path = "../common/mod.rs"]
mod common;

mod http;
mod netsync;
mod sniffing;
mod websocket;
