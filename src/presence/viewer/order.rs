//! An order of many rows of which only the part that is looked at is worked out.

use std::ops::Range;

/// More is put in order than was asked for: the next step of whoever scrolls is then free.
const AHEAD: usize = 256;

/// What a row is ordered by: numbers alone, so that a comparison touches no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// The place of its group; 0 where there are none.
    pub(super) group: u32,
    pub(super) major: u64,
    pub(super) minor: u64,
    pub(super) third: u32,
    /// The row's place by name, which no other row has.
    pub(super) place: u32,
}

/// Ranks, of which one range is in order: all before it belong there, and so do all behind it.
#[derive(Debug, Default)]
pub(super) struct Order {
    ranks: Vec<Rank>,
    settled: Range<usize>,
}

impl Order {
    pub(super) fn len(&self) -> usize {
        self.ranks.len()
    }

    /// Takes the ranks out, to be filled anew without another allocation.
    pub(super) fn take(&mut self) -> Vec<Rank> {
        self.settled = 0..0;
        let mut ranks = std::mem::take(&mut self.ranks);
        ranks.clear();
        ranks
    }

    pub(super) fn put(&mut self, ranks: Vec<Rank>) {
        (self.ranks, self.settled) = (ranks, 0..0);
    }

    /// Returns the ranks at these places, in order.
    pub(super) fn range(&mut self, asked: Range<usize>) -> &[Rank] {
        let asked = asked.start.min(self.len())..asked.end.min(self.len());
        if !asked.is_empty() {
            self.settle(asked.clone());
        }
        self.ranks.get(asked).unwrap_or_default()
    }

    /// Returns the rank of the row at a place by name.
    pub(super) fn rank_of(&self, place: u32) -> Option<Rank> {
        self.ranks.iter().find(|rank| rank.place == place).copied()
    }

    /// Returns how many ranks are lower.
    pub(super) fn position(&self, rank: Rank) -> usize {
        self.ranks.iter().filter(|other| **other < rank).count()
    }

    fn settle(&mut self, asked: Range<usize>) {
        let Range { start, end } = self.settled.clone();
        if start == end || asked.end < start || asked.start > end {
            self.jump(asked);
            return;
        }
        if asked.end > end {
            let until = asked.end.max(end + AHEAD).min(self.len());
            if let Some(behind) = self.ranks.get_mut(end..) {
                sort_part(behind, 0..until - end);
            }
            self.settled.end = until;
        }
        if asked.start < start {
            let from = asked.start.min(start.saturating_sub(AHEAD));
            if let Some(before) = self.ranks.get_mut(..start) {
                sort_part(before, from..start);
            }
            self.settled.start = from;
        }
    }

    /// Settles a range that does not touch the settled one: what is known of that one tells where to look.
    fn jump(&mut self, asked: Range<usize>) {
        let Range { start, end } = self.settled.clone();
        let within = match () {
            () if start == end => 0..self.len(),
            () if asked.start > end => end..self.len(),
            () => 0..start,
        };
        let first = within.start;
        if let Some(part) = self.ranks.get_mut(within) {
            sort_part(part, asked.start - first..asked.end - first);
        }
        self.settled = asked;
    }
}

/// Puts into `range` what belongs there, in order; what is left of it is lower, what is right of it higher.
fn sort_part(ranks: &mut [Rank], range: Range<usize>) {
    let rest = if range.start == 0 {
        ranks
    } else if range.start < ranks.len() {
        ranks.select_nth_unstable(range.start);
        ranks.get_mut(range.start..).unwrap_or_default()
    } else {
        return;
    };
    let wanted = range.len();
    if wanted < rest.len() {
        rest.select_nth_unstable(wanted);
    }
    if let Some(part) = rest.get_mut(..wanted) {
        part.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_walk_through_an_order_shows_what_a_sort_would_have_shown() {
        let mut seed = 7_u64;
        let mut random = move |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).unwrap() % below
        };
        for rows in [0, 1, 2, 40, 1_000, 3_000] {
            let ranks: Vec<Rank> = (0..rows)
                .map(|place| Rank { group: 0, major: random(50) as u64, minor: 0, third: 0, place })
                .collect();
            let mut sorted = ranks.clone();
            sorted.sort_unstable();
            let rows = rows as usize;
            let mut order = Order::default();
            order.put(ranks);
            for _ in 0..200 {
                let start = random(rows + 2);
                let asked = start..start + random(120);
                let want = &sorted[start.min(rows)..asked.end.min(rows)];
                assert_eq!(order.range(asked.clone()), want, "{asked:?} of {rows}");
            }
            for (place, rank) in sorted.iter().enumerate() {
                assert_eq!(order.position(*rank), place);
            }
        }
    }
}
