//! Every connection, by its number.

use super::Live;
use crate::presence::row::ConnNo;

/// So many empty places are left alone, however few connections there are.
const SPARE: usize = 64;

/// Connections in the order they joined, side by side, as each of them is looked at often and all of them at once.
///
/// Numbers only grow, so a newcomer stands at the end. Whoever goes leaves an empty place, until there are
/// as many of those as connections.
#[derive(Debug, Default)]
pub(super) struct Lives {
    places: Vec<(ConnNo, Option<Box<Live>>)>,
    len: usize,
}

impl Lives {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a connection whose number is higher than all before.
    pub(super) fn push(&mut self, conn: ConnNo, live: Live) {
        debug_assert!(self.places.last().is_none_or(|(last, _)| *last < conn));
        self.places.push((conn, Some(Box::new(live))));
        self.len += 1;
    }

    pub(super) fn remove(&mut self, conn: ConnNo) -> Option<Box<Live>> {
        let place = self.place(conn)?;
        let (_, place) = self.places.get_mut(place)?;
        let live = place.take()?;
        self.len -= 1;
        if self.places.len() > self.len * 2 + SPARE {
            self.places.retain(|(_, live)| live.is_some());
            self.places.shrink_to(self.len * 2 + SPARE);
        }
        Some(live)
    }

    pub(super) fn get(&self, conn: &ConnNo) -> Option<&Live> {
        self.places.get(self.place(*conn)?)?.1.as_deref()
    }

    pub(super) fn get_mut(&mut self, conn: &ConnNo) -> Option<&mut Live> {
        let place = self.place(*conn)?;
        self.places.get_mut(place)?.1.as_deref_mut()
    }

    /// Returns the place of a number that is or was given.
    fn place(&self, conn: ConnNo) -> Option<usize> {
        let (first, _) = self.places.first()?;
        // Never further than this, and exactly there as long as nobody before it was taken out.
        let most = usize::try_from(conn.0.checked_sub(first.0)?).ok()?;
        if self.places.get(most).is_some_and(|(known, _)| *known == conn) {
            return Some(most);
        }
        let within = self.places.get(..most.min(self.places.len()))?;
        within.binary_search_by_key(&conn, |(known, _)| *known).ok()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnNo, &Live)> {
        self.places.iter().filter_map(|(conn, live)| Some((*conn, live.as_deref()?)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (ConnNo, &mut Live)> {
        self.places.iter_mut().filter_map(|(conn, live)| Some((*conn, live.as_deref_mut()?)))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Live> {
        self.iter().map(|(_, live)| live)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Live> {
        self.iter_mut().map(|(_, live)| live)
    }

    /// Yields who joined after the connection `after`.
    pub(super) fn after(&self, after: Option<ConnNo>) -> impl Iterator<Item = (ConnNo, &Live)> {
        let from = after.map_or(0, |after| self.places.partition_point(|(conn, _)| *conn <= after));
        let rest = self.places.get(from..).unwrap_or_default();
        rest.iter().filter_map(|(conn, live)| Some((*conn, live.as_deref()?)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::presence::row::RowKey;
    use crate::presence::{Pulse, Settings};

    #[test]
    fn whoever_comes_and_goes_it_holds_what_a_tree_would_hold() {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let now = Instant::now();
        let terms = Settings::new(Duration::from_secs(5), Duration::from_secs(10)).unwrap();
        let mut rng = fastrand::Rng::with_seed(3);
        let (mut lives, mut tree) = (Lives::default(), BTreeMap::new());
        let mut next = 1;
        for step in 0..6_000 {
            // It grows, shrinks to nothing and grows again.
            if rng.u8(0..10) < if step / 1_000 % 2 == 0 { 7 } else { 2 } {
                let live = Live::new(now, RowKey(next * 3), Arc::new(Pulse::new(now)), terms, true);
                lives.push(ConnNo(next), live);
                tree.insert(ConnNo(next), RowKey(next * 3));
                next += rng.u64(1..3);
            }
            let conn = ConnNo(rng.u64(0..next + 2));
            assert_eq!(lives.get(&conn).map(|live| live.row), tree.get(&conn).copied());
            assert_eq!(lives.get_mut(&conn).is_some(), tree.contains_key(&conn));
            if rng.bool() {
                assert_eq!(lives.remove(conn).map(|live| live.row), tree.remove(&conn));
            }
            assert_eq!(lives.len(), tree.len());
            if step % 50 == 0 {
                assert!(lives.iter().map(|(conn, live)| (conn, live.row)).eq(tree.clone()));
                assert!(
                    lives
                        .after(Some(conn))
                        .map(|(conn, _)| conn)
                        .eq(tree.keys().copied().filter(|known| *known > conn))
                );
                assert!(lives.places.len() <= lives.len() * 2 + SPARE + 1);
            }
        }
    }
}
