//! Lists and batches as lines: written once, shared by everybody who gets them.

use std::time::Instant;

use bytes::Bytes;
use serde::Serialize;

use crate::presence::registry::{LiveRow, Registry};
use crate::presence::{ConnNo, State};
use crate::protocol::codec::PAGE_BYTES_MAX;
use crate::protocol::message::millis;
use crate::protocol::register::Tags;
use crate::protocol::{Entry, Parted};

/// How many entries a page has at most.
const PAGE_ENTRIES_MAX: usize = 500;
/// What a page's own fields weigh at most.
const PAGE_FRAME_BYTES: usize = 128;

/// Writes the whole list for base clients: everybody who is here, in the order they joined.
#[must_use]
pub fn base_list(registry: &Registry) -> Bytes {
    let mut line = b"{\"type\":\"client_list\",\"clients\":[".to_vec();
    for (at, live) in registry.live_rows().enumerate() {
        if at > 0 {
            line.push(b',');
        }
        write(&mut line, &Entry::base(live.row.claim.ip.clone(), live.row.claim.port));
    }
    line.extend_from_slice(b"]}\n");
    line.into()
}

/// Writes a roster entry.
#[must_use]
pub fn entry(now: Instant, live: &LiveRow<'_>) -> Vec<u8> {
    let profile = &live.row.profile;
    let tags = profile.tags.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    let entry = Entry {
        id: Some(live.row.id.clone()),
        name: profile.name.clone(),
        state: Some(if live.state == State::Late { "late".into() } else { "online".into() }),
        user: profile.user.clone(),
        device: profile.device.clone(),
        tags: Tags(tags),
        age_ms: Some(millis(now.saturating_duration_since(live.last_seen))),
        up_ms: Some(millis(now.saturating_duration_since(live.since))),
        ..Entry::base(live.row.claim.ip.clone(), live.row.claim.port)
    };
    let mut out = Vec::with_capacity(128);
    write(&mut out, &entry);
    out
}

/// Writes departures, one by one.
#[must_use]
pub fn encoded(parted: &[Parted]) -> Vec<Vec<u8>> {
    let one = |parted| {
        let mut out = Vec::with_capacity(64);
        write(&mut out, parted);
        out
    };
    parted.iter().map(one).collect()
}

/// Joins entries into as many lines as their size asks for, each a revision of its own.
pub fn paged(kind: &str, rev: &mut u64, entries: Vec<Vec<u8>>) -> Vec<(u64, Bytes)> {
    let mut lines = Vec::new();
    let mut entries = entries.into_iter().peekable();
    while entries.peek().is_some() {
        *rev += 1;
        let mut line = format!("{{\"type\":\"{kind}\",\"rev\":{rev},\"clients\":[").into_bytes();
        let mut taken = 0;
        while let Some(entry) = entries.next_if(|entry| fits(taken, line.len(), entry)) {
            push(&mut line, taken, &entry);
            taken += 1;
        }
        line.extend_from_slice(b"]}\n");
        lines.push((*rev, line.into()));
    }
    lines
}

/// Where the next page of a snapshot begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// The page's number.
    page: u32,
    /// The revision all pages of this snapshot go by; later batches apply on top of the last one.
    rev: u64,
    /// The connection after which it begins.
    after: Option<ConnNo>,
}

/// Writes a page of the roster; returns where the next one begins, if there is more.
#[must_use]
pub fn page(now: Instant, registry: &Registry, cursor: Cursor, rev: u64) -> (Bytes, Option<Cursor>) {
    let mut line = b"{\"type\":\"client_list\",\"clients\":[".to_vec();
    let (mut taken, mut last, mut more) = (0, cursor.after, false);
    for (conn, live) in registry.live_rows_after(cursor.after) {
        let entry = entry(now, &live);
        if !fits(taken, line.len(), &entry) {
            more = true;
            break;
        }
        push(&mut line, taken, &entry);
        taken += 1;
        last = Some(conn);
    }
    let number = cursor.page;
    let rev = if number == 0 { rev } else { cursor.rev };
    line.extend_from_slice(format!("],\"rev\":{rev},\"page\":{number},\"more\":{more}}}\n").as_bytes());
    (line.into(), more.then_some(Cursor { page: number + 1, rev, after: last }))
}

fn fits(taken: usize, bytes: usize, entry: &[u8]) -> bool {
    taken == 0 || (taken < PAGE_ENTRIES_MAX && bytes + entry.len() + PAGE_FRAME_BYTES <= PAGE_BYTES_MAX)
}

fn push(line: &mut Vec<u8>, taken: usize, entry: &[u8]) {
    if taken > 0 {
        line.push(b',');
    }
    line.extend_from_slice(entry);
}

fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    // Texts, numbers and vectors cannot fail to be written into memory.
    let _ = serde_json::to_writer(out, value);
}
