//! Who may come in: tokens and what they allow, wrong attempts, and whose certificates are trusted.
//!
//! [`tokens`], [`tries`] and [`pin`] are plain data and plain functions: time
//! and the bytes of files are handed in. [`tls`] makes connections secret.

pub mod duplex;
pub mod pin;
pub mod rights;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
pub mod tls;
pub mod tokens;
pub mod tries;

pub use pin::Pin;
pub use rights::{Rights, Role};
pub use tokens::{Tokens, TokensError};
pub use tries::Tries;
