//! Every connection, by its number.

use super::Live;
use crate::presence::row::ConnNo;

/// So many lie side by side in one piece of memory.
const PIECE: usize = 64;

/// One place, empty when the connection that stood there has gone.
type Place = (ConnNo, Option<Live>);

/// Connections in the order they joined, side by side, as all of them are looked at often.
///
/// Numbers only grow, so a newcomer stands at the end. Whoever goes leaves an empty place, until there are
/// as many of those as connections. All pieces but the last are full; none is ever moved to grow.
#[derive(Debug, Default)]
pub(super) struct Lives {
    pieces: Vec<Vec<Place>>,
    places: usize,
    len: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "it is asked as any map is")]
impl Lives {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a connection whose number is higher than all before.
    pub(super) fn push(&mut self, conn: ConnNo, live: Live) {
        self.put(conn, live);
        self.len += 1;
    }

    fn put(&mut self, conn: ConnNo, live: Live) {
        if self.places.is_multiple_of(PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        if let Some(piece) = self.pieces.last_mut() {
            piece.push((conn, Some(live)));
            self.places += 1;
        }
    }

    pub(super) fn remove(&mut self, conn: ConnNo) -> Option<Live> {
        let place = self.place(conn)?;
        let live = self.pieces.get_mut(place / PIECE)?.get_mut(place % PIECE)?.1.take()?;
        self.len -= 1;
        if self.places > self.len * 2 + PIECE {
            self.close_ranks();
        }
        Some(live)
    }

    /// Does away with empty places.
    fn close_ranks(&mut self) {
        self.places = 0;
        for (conn, live) in std::mem::take(&mut self.pieces).into_iter().flatten() {
            if let Some(live) = live {
                self.put(conn, live);
            }
        }
    }

    pub(super) fn get(&self, conn: &ConnNo) -> Option<&Live> {
        let place = self.place(*conn)?;
        self.at(place)?.1.as_ref()
    }

    pub(super) fn get_mut(&mut self, conn: &ConnNo) -> Option<&mut Live> {
        let place = self.place(*conn)?;
        self.pieces.get_mut(place / PIECE)?.get_mut(place % PIECE)?.1.as_mut()
    }

    fn at(&self, place: usize) -> Option<&Place> {
        self.pieces.get(place / PIECE)?.get(place % PIECE)
    }

    /// Returns the place of a number that is or was given.
    fn place(&self, conn: ConnNo) -> Option<usize> {
        let (first, _) = self.at(0)?;
        // Never further than this, and exactly there as long as nobody before it was taken out.
        let most = usize::try_from(conn.0.checked_sub(first.0)?).ok()?;
        if self.at(most).is_some_and(|(known, _)| *known == conn) {
            return Some(most);
        }
        let number = self.pieces.partition_point(|piece| starts_by(piece, conn)).checked_sub(1)?;
        let place = self.pieces.get(number)?.binary_search_by_key(&conn, |(known, _)| *known).ok()?;
        Some(number * PIECE + place)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnNo, &Live)> {
        self.pieces.iter().flatten().filter_map(|(conn, live)| Some((*conn, live.as_ref()?)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (ConnNo, &mut Live)> {
        self.pieces.iter_mut().flatten().filter_map(|(conn, live)| Some((*conn, live.as_mut()?)))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Live> {
        self.iter().map(|(_, live)| live)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Live> {
        self.iter_mut().map(|(_, live)| live)
    }

    /// Yields who joined after the connection `after`.
    pub(super) fn after(&self, after: Option<ConnNo>) -> impl Iterator<Item = (ConnNo, &Live)> {
        let before = |after: ConnNo| self.pieces.partition_point(|piece| starts_by(piece, after));
        let from = after.map_or(0, |after| before(after).saturating_sub(1));
        let rest = self.pieces.get(from..).unwrap_or_default().iter().flatten();
        let rest = rest.skip_while(move |(conn, _)| after.is_some_and(|after| *conn <= after));
        rest.filter_map(|(conn, live)| Some((*conn, live.as_ref()?)))
    }
}

/// Tells whether a piece starts with this number, or before it.
fn starts_by(piece: &[Place], conn: ConnNo) -> bool {
    piece.first().is_some_and(|(first, _)| *first <= conn)
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
                assert!(lives.places <= lives.len() * 2 + PIECE + 1);
            }
        }
    }
}
