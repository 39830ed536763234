//! Answers a window: which rows, in which order.

mod bunching;
mod groups;
mod index;
mod order;
mod rank;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use groups::{Groups, Line, Sorter};
use index::{Entry, Index};
use order::{Order, Rank};
use rank::rank;

use super::row::{ConnNo, Counts, RowKey, State, Tag};
use super::view::{Grouped, RowView, Selected, Sort, Window};

/// A fresh order is made at most this often: rows that jump about cannot be read.
const RESORT_PERIOD: Duration = Duration::from_secs(1);
/// Of so many who are here one must be late, before it is worth while to walk through all of them for that.
const LATE_SHARE: usize = 16;

/// Something that has rows: a server's registry, or the roster a client keeps.
pub trait Fleet {
    /// Returns how many rows are in each state.
    fn counts(&self) -> Counts;

    /// Shows every row to `visit`.
    fn each(&self, visit: &mut dyn FnMut(Glance<'_>));

    /// Returns the keys of all rows, in no particular order.
    fn keys(&self) -> Vec<RowKey> {
        let mut keys = Vec::new();
        self.each(&mut |glance| keys.push(glance.key));
        keys
    }

    /// Returns one row, without what changes with every beat.
    fn glance(&self, key: RowKey) -> Option<Glance<'_>>;

    /// Returns one row as it is at `now`, ready to draw.
    fn row(&self, now: Instant, key: RowKey) -> Option<RowView>;

    /// Shows the latest beat of everybody who has a connection to `visit`, in the order they joined.
    fn beats(&self, _visit: &mut dyn FnMut(Beat)) {}

    /// Returns the latest beat of one connection.
    fn beat(&self, _conn: ConnNo) -> Option<Beat> {
        None
    }

    /// Returns how often its rows have changed; `None` if nobody counts.
    fn version(&self) -> Option<u64> {
        None
    }

    /// Returns the rows that changed since that many changes, beats apart; `None` if that is not known.
    fn changed_since(&self, _version: u64) -> Option<Vec<RowKey>> {
        None
    }
}

/// What ordering and filtering need of a row, apart from its beats; cheap to make for a hundred thousand.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "most are the field of the same name in `RowView`")]
pub struct Glance<'a> {
    pub key: RowKey,
    /// Its connection, if its beats are to be asked for by that.
    pub conn: Option<ConnNo>,
    pub state: State,
    pub acked: bool,
    pub label: &'a Arc<str>,
    pub id: &'a str,
    pub peer: Option<SocketAddr>,
    pub user: Option<&'a Arc<str>>,
    pub tags: &'a [Tag],
    /// When it was last heard; not asked for while it has a connection.
    pub last_seen: Option<Instant>,
    pub up_since: Option<Instant>,
    pub gone_at: Option<Instant>,
}

/// What changes with every beat of a connection.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "each field is the field of the same name in `RowView`")]
pub struct Beat {
    pub conn: ConnNo,
    pub last_seen: Instant,
    pub deadline: Instant,
    pub rtt: Option<Duration>,
}

/// The rows of a window.
#[derive(Debug, Default)]
pub struct Page {
    /// How many rows pass the filter.
    pub matched: usize,
    /// How many of them were skipped.
    pub offset: usize,
    /// The rows, in order.
    pub rows: Vec<RowView>,
    /// How they are grouped, if they are.
    pub grouped: Option<Grouped>,
    /// The selected row, wherever it is.
    pub selected: Option<Selected>,
}

/// Keeps one screen's window and the order of its rows between looks.
///
/// What a look costs: the rows that are shown, and when the order is made
/// anew, one walk through numbers that lie beside each other. Only the part of
/// the order that is shown is worked out.
#[derive(Debug, Default)]
pub struct Viewer {
    window: Window,
    index: Index,
    order: Order,
    groups: Option<Groups>,
    grouped: Option<Grouped>,
    /// Rows that came since the order was made, where there is room to show them.
    late_comers: Vec<RowKey>,
    /// Where the selected row is in this order, once somebody has asked.
    place: Option<(RowKey, Option<usize>)>,
    ordered_at: Option<Instant>,
}

impl Viewer {
    /// Returns the window in use.
    #[must_use]
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Shows another window from now on.
    pub fn show(&mut self, window: Window) {
        let same_rows = (self.window.sort, self.window.reversed) == (window.sort, window.reversed)
            && self.window.filter == window.filter
            && (&self.window.states, &self.window.user) == (&window.states, &window.user)
            && self.window.group == window.group;
        if !same_rows {
            self.ordered_at = None;
        }
        self.window = window;
    }

    /// Makes the order anew with the next look.
    pub fn forget_order(&mut self) {
        self.ordered_at = None;
    }

    /// Returns the rows of the window as they are at `now`.
    pub fn look(&mut self, now: Instant, fleet: &dyn Fleet) -> Page {
        let Window { height, selected, .. } = self.window;
        if height == 0 && selected.is_none() && self.window.filter.is_empty() {
            return Page { matched: self.count(fleet), ..Page::default() };
        }
        let due = match self.ordered_at {
            None => true,
            Some(at) => !self.window.hold_order && now.saturating_duration_since(at) >= RESORT_PERIOD,
        };
        if due {
            self.reorder(now, fleet);
        } else if self.order.len() < height && self.shows_all() && self.groups.is_none() {
            self.append(fleet);
        }
        if let Some(groups) = &mut self.groups
            && !groups.is_laid_out(&self.window.folded)
        {
            groups.lay_out(&self.window.folded);
        }
        let matched = self.groups.as_ref().map_or(self.order.len() + self.late_comers.len(), Groups::lines);
        let offset = self.window.offset.min(matched.saturating_sub(height));
        let rows = self.rows(now, fleet, offset);
        // The order stands still for a while, and some of it may have gone from under it.
        let matched = matched - height.min(matched - offset).saturating_sub(rows.len());
        let selected = selected.and_then(|key| {
            if let Some(groups) = &self.groups
                && let Some(number) = groups.find(key)
            {
                return Some(Selected { position: groups.line(number), row: groups.row(now, number)? });
            }
            let position = self.position(key);
            Some(Selected { position, row: fleet.row(now, key)? })
        });
        Page { matched, offset, rows, grouped: self.grouped.clone(), selected }
    }

    /// Returns the lines from `offset` on, as many as fit.
    fn rows(&mut self, now: Instant, fleet: &dyn Fleet, offset: usize) -> Vec<RowView> {
        let height = self.window.height;
        let Some(groups) = &self.groups else {
            return self.keys(offset, height).into_iter().filter_map(|key| fleet.row(now, key)).collect();
        };
        let lines: Vec<Line> = groups.range(offset..offset.saturating_add(height)).collect();
        let member = |line: &Line| if let Line::Member(place) = line { Some(*place) } else { None };
        let mut rows = Vec::with_capacity(lines.len());
        for stretch in lines.chunk_by(|a, b| member(a).is_some() && member(b).is_some()) {
            match stretch.first() {
                Some(Line::Member(from)) => {
                    let keys = self.keys(*from, stretch.len());
                    rows.extend(keys.into_iter().filter_map(|key| fleet.row(now, key)));
                }
                Some(Line::Group(number)) => {
                    rows.extend(self.groups.as_ref().and_then(|groups| groups.row(now, *number)));
                }
                None => {}
            }
        }
        rows
    }

    /// Returns how many rows pass a filter without text.
    fn count(&self, fleet: &dyn Fleet) -> usize {
        if self.shows_all() {
            return fleet.counts().total();
        }
        let mut count = 0;
        fleet.each(&mut |glance| count += usize::from(self.admits(glance.state, glance.user)));
        count
    }

    /// Tells whether every row passes the filter.
    fn shows_all(&self) -> bool {
        self.window.filter.is_empty() && self.window.states.is_empty() && self.window.user.is_none()
    }

    fn admits(&self, state: State, user: Option<&Arc<str>>) -> bool {
        let Window { states, user: only, .. } = &self.window;
        (states.is_empty() || states.contains(&state))
            && (only.is_none() || only.as_deref() == user.map(|user| &**user))
    }

    /// Returns the rows at these places.
    fn keys(&mut self, offset: usize, height: usize) -> Vec<RowKey> {
        let ranked = self.order.len();
        let end = offset.saturating_add(height).min(ranked);
        let start = offset.min(end);
        let reversed = self.window.reversed;
        let range = if reversed { ranked - end..ranked - start } else { start..end };
        let index = &self.index;
        let key = |rank: &Rank| index.at(rank.place).map(|entry| entry.key);
        let mut keys: Vec<RowKey> = self.order.range(range).iter().filter_map(key).collect();
        if reversed {
            keys.reverse();
        }
        let late = self.late_comers.iter().skip(offset.saturating_sub(ranked));
        keys.extend(late.take(height - keys.len().min(height)));
        keys
    }

    /// Returns where a row is in this order; `None` if it is not among those that match.
    fn position(&mut self, key: RowKey) -> Option<usize> {
        let late = self.late_comers.iter().position(|&late| late == key);
        if let Some(at) = late {
            return Some(self.order.len() + at);
        }
        if let Some((known, place)) = self.place
            && known == key
        {
            return self.line(place);
        }
        let rank = self.index.get(key).and_then(|entry| self.order.rank_of(entry.place));
        let place = rank.map(|rank| self.order.position(rank));
        let place = place.map(|at| if self.window.reversed { self.order.len() - 1 - at } else { at });
        self.place = Some((key, place));
        self.line(place)
    }

    /// Returns the line of the row at a place of the order.
    fn line(&self, place: Option<usize>) -> Option<usize> {
        match &self.groups {
            Some(groups) => groups.line_of(place?),
            None => place,
        }
    }

    /// Puts newcomers below the others until the next order: where there is room, nobody need wait to be seen.
    fn append(&mut self, fleet: &dyn Fleet) {
        let late: HashSet<RowKey> = self.late_comers.iter().copied().collect();
        let (index, late_comers) = (&self.index, &mut self.late_comers);
        fleet.each(&mut |glance| {
            if index.get(glance.key).is_none() && !late.contains(&glance.key) {
                late_comers.push(glance.key);
            }
        });
    }

    fn reorder(&mut self, now: Instant, fleet: &dyn Fleet) {
        let needle = self.window.filter.to_lowercase();
        self.index.refresh(fleet, !needle.is_empty());
        let Window { sort, reversed, group, .. } = &self.window;
        let (sort, reversed) = (*sort, *reversed);
        let mut ranks = self.order.take();
        self.index.group_by(group.as_ref());
        let mut sorter = group.as_ref().map(|by| Sorter::new(by, self.index.group_names()));
        // A group shows the newest sign of life of its members.
        let walks = sorter.is_some() || self.walks(fleet.counts());
        let mut take = |entry, beat: Option<Beat>| {
            if let Some(rank) = self.admit(now, &needle, entry, beat, &mut sorter) {
                ranks.push(rank);
            }
        };
        for entry in self.index.entries().filter(|entry| !walks || entry.conn.is_none()) {
            let asks = sort == Sort::State && entry.state == State::Late;
            take(entry, entry.conn.filter(|_| asks).and_then(|conn| fleet.beat(conn)));
        }
        if walks {
            self.index.walk(fleet, |entry, beat| take(entry, Some(beat)));
        }
        let groups = sorter.map(|sorter| sorter.finish(&mut ranks, sort == Sort::Name, reversed));
        let grouped = group.clone().map(|by| Grouped { by, tags: self.index.common_tags() });
        self.order.put(ranks);
        (self.groups, self.grouped) = (groups, grouped);
        if let Some(groups) = &mut self.groups {
            groups.lay_out(&self.window.folded);
        }
        self.late_comers.clear();
        self.place = None;
        self.ordered_at = Some(now);
    }

    /// Returns the rank of a row that passes the filter; its group counts it even where its state is not shown.
    fn admit(
        &self,
        now: Instant,
        needle: &str,
        entry: &Entry,
        beat: Option<Beat>,
        sorter: &mut Option<Sorter>,
    ) -> Option<Rank> {
        let Window { states, user, .. } = &self.window;
        if user.is_some() && user.as_deref() != entry.user.as_deref()
            || !(needle.is_empty() || entry.contains(needle))
        {
            return None;
        }
        let last_seen = beat.map(|beat| beat.last_seen).or(entry.last_seen);
        if let Some(sorter) = sorter {
            sorter.count(entry, last_seen);
        }
        if !states.is_empty() && !states.contains(&entry.state) {
            return None;
        }
        let mut rank = rank(self.window.sort, now, entry, beat);
        if let Some(sorter) = sorter {
            rank.group = entry.group;
            sorter.admit(rank);
        }
        Some(rank)
    }

    /// Tells whether the order depends on the beats of many.
    fn walks(&self, counts: Counts) -> bool {
        match self.window.sort {
            Sort::LastPing | Sort::TimesOut | Sort::Rtt => true,
            Sort::State => counts.of(State::Late) > counts.live() / LATE_SHARE,
            Sort::Name | Sort::Address | Sort::Up => false,
        }
    }
}

/// Tells whether a window shows a row; `needle` is its filter in lower case.
pub(super) fn passes(window: &Window, needle: &str, row: &Glance<'_>) -> bool {
    let Window { states, user, .. } = window;
    (user.is_none() || user.as_deref() == row.user.map(|user| &**user))
        && (states.is_empty() || states.contains(&row.state))
        && (needle.is_empty() || index::words(row).contains(needle))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of these names, whose keys are their places.
    struct Names(Vec<Arc<str>>);

    impl Fleet for Names {
        fn counts(&self) -> Counts {
            let mut counts = Counts::default();
            self.0.iter().for_each(|_| counts.add(State::Online));
            counts
        }

        fn each(&self, visit: &mut dyn FnMut(Glance<'_>)) {
            (0..self.0.len()).filter_map(|place| self.glance(RowKey(place as u64))).for_each(visit);
        }

        fn glance(&self, key: RowKey) -> Option<Glance<'_>> {
            Some(Glance {
                key,
                conn: None,
                state: State::Online,
                acked: false,
                label: self.0.get(usize::try_from(key.0).unwrap())?,
                id: "",
                peer: None,
                user: None,
                tags: &[],
                last_seen: None,
                up_since: None,
                gone_at: None,
            })
        }

        fn row(&self, _: Instant, _: RowKey) -> Option<RowView> {
            None
        }
    }

    #[test]
    fn a_newcomer_is_seen_at_once_and_takes_its_place_at_the_next_order() {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let now = Instant::now();
        let mut viewer = Viewer::default();
        viewer.show(Window { height: 10, ..Window::default() });
        let mut names = Names(vec!["mia".into()]);
        viewer.look(now, &names);
        names.0.push("jo".into());
        viewer.look(now + Duration::from_millis(100), &names);
        assert_eq!(viewer.keys(0, 10), [RowKey(0), RowKey(1)]);
        viewer.look(now + Duration::from_millis(200), &names);
        assert_eq!(viewer.keys(0, 10), [RowKey(0), RowKey(1)], "once");
        viewer.look(now + RESORT_PERIOD, &names);
        assert_eq!(viewer.keys(0, 10), [RowKey(1), RowKey(0)]);
    }
}
