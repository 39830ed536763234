//! What is worth keeping of a client when the server ends, so that the next one knows whom to expect.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::dialect::Dialect;
use super::row::{Claim, Profile};

/// One client that should come back after a restart, or was missing already.
///
/// It holds no secret: a client that returns is given a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its identity; `None` for a legacy client, which is known by claim and address.
    pub id: Option<Arc<str>>,
    /// The address it claims.
    pub claim: Claim,
    /// Where its last connection came from.
    pub peer: SocketAddr,
    /// Protocol version; 0 for a legacy client.
    pub version: u8,
    /// What its last connection spoke.
    pub dialect: Dialect,
    /// What it tells about itself.
    pub profile: Profile,
    /// How many connections it has had.
    pub sessions: u32,
    /// Time since its last sign of life.
    pub silent: Duration,
    /// Whether it was gone already, without anybody having decided that.
    pub missing: bool,
}
