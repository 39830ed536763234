//! Entries of client lists and roster batches.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::register::Tags;

/// One client in a list. A base client reads `ip` and `port` and nothing else, so those two come first and always.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The claimed address.
    pub ip: Arc<str>,
    /// The claimed port.
    pub port: u16,
    /// Identity, or the server's own name for a legacy client, which starts with `~`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Arc<str>>,
    /// What to call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// `online` or `late`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Arc<str>>,
    /// The person it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Arc<str>>,
    /// Which of the person's devices it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Arc<str>>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// Milliseconds since it was last heard, when this was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
    /// Milliseconds its session has lasted, when this was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_ms: Option<u64>,
}

impl Entry {
    /// Returns the entry of a base client's list: address and port alone.
    #[must_use]
    pub fn base(ip: Arc<str>, port: u16) -> Self {
        Self {
            ip,
            port,
            id: None,
            name: None,
            state: None,
            user: None,
            device: None,
            tags: Tags::default(),
            age_ms: None,
            up_ms: None,
        }
    }
}

/// One client that is gone, in a roster batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parted {
    /// Which one.
    pub id: Arc<str>,
    /// The one word that says why.
    pub reason: Arc<str>,
}
