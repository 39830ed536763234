//! Who may come in, and how everybody else is told.
#![allow(missing_docs, reason = "a test is documented by its name")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests are test code")]

#[path = "../common/mod.rs"]
mod common;
#[cfg(unix)]
#[path = "../common/process.rs"]
mod process_common;

#[cfg(unix)]
mod process;
#[cfg(feature = "tls")]
mod tls;
mod tokens;
#[cfg(unix)]
mod visits;
