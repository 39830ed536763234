//! presence-tui: keeps long-lived TCP connections honest, and shows who is
//! alive, who is late and who is gone.
//!
//! The house, from the inside out:
//!
//! - [`presence`]: the core. Who is here, and the verdict on the silent. Pure:
//!   no runtime, no socket, no screen, no clock.
//! - [`security`]: who may come in: tokens, certificates.
//! - [`protocol`]: bytes to messages and back; what a peer writes is made harmless here.
//! - [`server`]: a listener, a session per connection, one hub that owns the truth.
//! - [`client`]: one connection, kept up for ever.
//! - [`swarm`]: many small clients that put a server to the test.
//! - [`tui`]: the screen. It reads views, sends commands, and never touches a socket.
//! - [`history`]: who was here when, in a file; what is asked of it later.
//! - [`clock`]: notices that this process did not run.
//! - [`hooks`]: what is run or told outside when clients come and go.
//! - [`status`]: asks a running server who is there, once.
//! - [`config`], [`cli`], [`telemetry`], [`net`], [`files`], [`tasks`]: what the program is told, tells, keeps and
//!   does beside.
//! - [`app`]: the wiring, and the order of starting and stopping.
//!
//! Imports point inward: `app` may use everything, the middle rooms know
//! `protocol` and `presence` but not each other, and `presence` knows nobody.
//! `tests/architecture.rs` holds this as a table and fails when it is broken.

pub mod app;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod demo;
pub mod files;
pub mod history;
pub mod hooks;
pub mod net;
pub mod presence;
pub mod protocol;
pub mod security;
pub mod server;
pub mod status;
pub mod swarm;
pub mod tasks;
pub mod telemetry;
pub mod tui;
