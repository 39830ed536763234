//! What rows are ordered by, as numbers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Beat;
use super::index::Entry;
use super::order::Rank;
use crate::presence::row::State;
use crate::presence::view::Sort;

/// Returns what a row is ordered by: two numbers, a third for ports, then its place by name.
pub(super) fn rank(sort: Sort, now: Instant, row: &Entry, beat: Option<Beat>) -> Rank {
    let age = |at: Option<Instant>| at.map_or(u64::MAX, |at| micros(now.saturating_duration_since(at)));
    let left = || beat.map_or(u64::MAX, |beat| micros(beat.deadline.saturating_duration_since(now)));
    let (major, minor, third) = match sort {
        Sort::State => match row.state {
            State::TimedOut if !row.acked => (0, age(row.gone_at), 0),
            State::TimedOut => (1, age(row.gone_at), 0),
            State::Late => (2, left(), 0),
            State::Online => (3, 0, 0),
            State::Left => (4, age(row.gone_at), 0),
            State::Offline => (5, 0, 0),
        },
        Sort::Name => (0, 0, 0),
        Sort::Address => address(row.peer),
        Sort::LastPing => (age(beat.map(|beat| beat.last_seen).or(row.last_seen)), 0, 0),
        Sort::TimesOut => (left(), 0, 0),
        Sort::Rtt => (beat.and_then(|beat| beat.rtt).map_or(u64::MAX, micros), 0, 0),
        Sort::Up => (u64::MAX - row.up_since.map_or(0, |at| age(Some(at))), 0, 0),
    };
    Rank { group: 0, major, minor, third, place: row.place }
}

/// Turns an address into numbers that order as addresses do: IPv4, then IPv6, then none.
fn address(peer: Option<SocketAddr>) -> (u64, u64, u32) {
    match peer {
        Some(SocketAddr::V4(v4)) => (0, v4.ip().to_bits().into(), v4.port().into()),
        Some(SocketAddr::V6(v6)) => {
            let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(u64::MAX);
            let bits = v6.ip().to_bits();
            (half(bits >> 64).saturating_add(1), half(bits), v6.port().into())
        }
        None => (u64::MAX, u64::MAX, 0),
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
