//! Rows as a tree: a line for each group, and its members beneath it while it is open.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::index::Entry;
use super::order::Rank;
use crate::presence::dialect::Dialect;
use crate::presence::pulse::BeatStrip;
use crate::presence::row::{Counts, RowKey, State};
use crate::presence::view::{Group, Grouping, RowView};

/// What the group of those is called that belong to none.
const NONE: &str = "(none)";
/// Keys of groups have this bit, which the key of no row ever has.
const GROUP_BIT: u64 = 1 << 63;

/// One group of a fleet.
#[derive(Debug)]
struct Bunch {
    key: RowKey,
    name: Option<Arc<str>>,
    /// Everybody in it that passes the filter, whatever states are shown.
    counts: Counts,
    last_seen: Option<Instant>,
    /// The rank of its first member, until groups are in order.
    first: Option<Rank>,
    /// Its members among the ranked rows, in the order they are shown.
    members: Range<usize>,
    /// Its line.
    line: usize,
    open: bool,
}

/// All groups of one order.
#[derive(Debug, Default)]
pub(super) struct Groups {
    bunches: Vec<Bunch>,
    lines: usize,
    folded: Vec<RowKey>,
}

/// A line of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// The group with this number.
    Group(usize),
    /// The row at this place of the order.
    Member(usize),
}

/// Sorts rows into groups while they are ranked.
pub(super) struct Sorter {
    bunches: Vec<Bunch>,
}

impl Sorter {
    /// Starts with groups of these names, each at the place that is its number.
    pub(super) fn new(by: &Grouping, names: &[Option<Arc<str>>]) -> Self {
        let bunch = |name: &Option<Arc<str>>| Bunch {
            key: key_of(by, name.as_ref()),
            name: name.clone(),
            counts: Counts::default(),
            last_seen: None,
            first: None,
            members: 0..0,
            line: 0,
            open: true,
        };
        Self { bunches: names.iter().map(bunch).collect() }
    }

    /// Counts a row in its group.
    pub(super) fn count(&mut self, entry: &Entry, last_seen: Option<Instant>) {
        if let Some(bunch) = self.bunches.get_mut(entry.group as usize) {
            bunch.counts.add(entry.state);
            bunch.last_seen = bunch.last_seen.max(last_seen);
        }
    }

    /// Takes a row of a group in that is to be shown.
    pub(super) fn admit(&mut self, rank: Rank) {
        if let Some(bunch) = self.bunches.get_mut(rank.group as usize) {
            bunch.first = Some(bunch.first.map_or(rank, |first| first.min(rank)));
            bunch.members.end += 1;
        }
    }

    /// Puts the groups in order by their first member, or by name, those of no group last, and tells each
    /// row which place its group has.
    pub(super) fn finish(self, ranks: &mut [Rank], by_name: bool, reversed: bool) -> Groups {
        let mut bunches: Vec<(u32, Bunch)> =
            (0..).zip(self.bunches).filter(|(_, bunch)| !bunch.members.is_empty()).collect();
        bunches.sort_unstable_by(|(_, a), (_, b)| {
            let first =
                |bunch: &Bunch| bunch.first.filter(|_| !by_name).map(|rank| Rank { group: 0, ..rank });
            (first(a), &a.name).cmp(&(first(b), &b.name))
        });
        if reversed {
            bunches.reverse();
        }
        if let Some(nameless) = bunches.iter().position(|(_, bunch)| bunch.name.is_none()) {
            let last = bunches.remove(nameless);
            bunches.push(last);
        }
        let count = u32::try_from(bunches.len()).unwrap_or(u32::MAX);
        let numbers = bunches.iter().map(|(number, _)| *number as usize).max().map_or(0, |most| most + 1);
        let (mut places, mut start) = (vec![0; numbers], 0);
        for (place, (number, bunch)) in (0_u32..).zip(&mut bunches) {
            if let Some(known) = places.get_mut(*number as usize) {
                // An order that is read from its end has the first group there.
                *known = if reversed { count - 1 - place } else { place };
            }
            bunch.members = start..start + bunch.members.len();
            start = bunch.members.end;
        }
        for rank in ranks {
            rank.group = places.get(rank.group as usize).copied().unwrap_or(0);
        }
        Groups { bunches: bunches.into_iter().map(|(_, bunch)| bunch).collect(), ..Groups::default() }
    }
}

impl Groups {
    /// Gives every group its line, with those folded that are.
    pub(super) fn lay_out(&mut self, folded: &[RowKey]) {
        let mut line = 0;
        for bunch in &mut self.bunches {
            bunch.open = !folded.contains(&bunch.key);
            bunch.line = line;
            line += 1 + if bunch.open { bunch.members.len() } else { 0 };
        }
        self.lines = line;
        folded.clone_into(&mut self.folded);
    }

    pub(super) fn is_laid_out(&self, folded: &[RowKey]) -> bool {
        self.folded == folded
    }

    pub(super) fn lines(&self) -> usize {
        self.lines
    }

    /// Yields what stands on these lines.
    pub(super) fn range(&self, lines: Range<usize>) -> impl Iterator<Item = Line> {
        let first = self.bunches.partition_point(|bunch| bunch.line <= lines.start).saturating_sub(1);
        let skipped = self.bunches.get(first).map_or(0, |bunch| lines.start - bunch.line);
        let bunches = self.bunches.iter().enumerate().skip(first);
        let all = bunches.flat_map(|(number, bunch)| {
            let members = if bunch.open { bunch.members.clone() } else { 0..0 };
            std::iter::once(Line::Group(number)).chain(members.map(Line::Member))
        });
        all.skip(skipped).take(lines.len())
    }

    /// Returns the line of the row at a place of the order; that of its group while that is folded.
    pub(super) fn line_of(&self, place: usize) -> Option<usize> {
        let number = self.bunches.partition_point(|bunch| bunch.members.end <= place);
        let bunch = self.bunches.get(number)?;
        Some(bunch.line + if bunch.open { 1 + place - bunch.members.start } else { 0 })
    }

    /// Returns the number of a group by its key.
    pub(super) fn find(&self, key: RowKey) -> Option<usize> {
        self.bunches.iter().position(|bunch| bunch.key == key)
    }

    pub(super) fn line(&self, number: usize) -> Option<usize> {
        Some(self.bunches.get(number)?.line)
    }

    /// Returns the line of a group, ready to draw.
    pub(super) fn row(&self, now: Instant, number: usize) -> Option<RowView> {
        let bunch = self.bunches.get(number)?;
        let of = |states: &[State]| states.iter().copied().find(|state| bunch.counts.of(*state) > 0);
        // A person is there while one device is; what is worst about the devices is a mark before the name.
        let best = of(&[State::Online, State::Late, State::TimedOut, State::Left]);
        let worst = of(&[State::TimedOut, State::Late, State::Online, State::Left]);
        let group = Group { counts: bunch.counts, worst: worst.unwrap_or(State::Offline), open: bunch.open };
        Some(RowView {
            key: bunch.key,
            state: best.unwrap_or(State::Offline),
            label: bunch.name.clone().unwrap_or_else(|| NONE.into()),
            id: "".into(),
            peer: None,
            claim: None,
            claim_differs: false,
            user: None,
            device: None,
            platform: None,
            tags: Vec::new(),
            version: 0,
            dialect: Dialect::default(),
            last_seen: bunch.last_seen,
            deadline: None,
            timeout: Duration::ZERO,
            rtt: None,
            jitter: None,
            gap: None,
            up_since: None,
            strip: BeatStrip::default(),
            beats: 0,
            sessions: 0,
            gone: None,
            acked: true,
            flapping: false,
            past: None,
            changed: bunch.last_seen.map_or(now, |seen| seen.min(now)),
            group: Some(Box::new(group)),
        })
    }
}

/// Returns a key that a group of this name has each time it is made.
fn key_of(by: &Grouping, name: Option<&Arc<str>>) -> RowKey {
    let mut hasher = DefaultHasher::new();
    (by, name).hash(&mut hasher);
    RowKey(hasher.finish() | GROUP_BIT)
}
