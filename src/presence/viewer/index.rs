//! What ordering and filtering need of every row, kept beside each other and repaired by what changed.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::bunching::{Bunching, TagCounts};
use super::{Beat, Fleet, Glance};
use crate::presence::keyed::KeyMap;
use crate::presence::row::{ConnNo, RowKey, State, Tag};
use crate::presence::view::Grouping;

/// Names of so many groups that are no more are kept at least.
const DESERTED_MAX: usize = 1_024;

/// One row, as far as it does not change with every beat.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: RowKey,
    pub(super) conn: Option<ConnNo>,
    /// Its place by name among all rows.
    pub(super) place: u32,
    /// The number of its group; says nothing while rows are not grouped.
    pub(super) group: u32,
    pub(super) state: State,
    pub(super) acked: bool,
    pub(super) label: Arc<str>,
    pub(super) peer: Option<SocketAddr>,
    pub(super) user: Option<Arc<str>>,
    pub(super) tags: Box<[Tag]>,
    pub(super) last_seen: Option<Instant>,
    pub(super) up_since: Option<Instant>,
    pub(super) gone_at: Option<Instant>,
    /// What a filter looks into, in lower case, a line for each text.
    text: Option<Box<str>>,
}

impl Entry {
    fn new(glance: &Glance<'_>, text: bool) -> Self {
        Self {
            key: glance.key,
            conn: glance.conn,
            place: 0,
            group: 0,
            state: glance.state,
            acked: glance.acked,
            label: glance.label.clone(),
            peer: glance.peer,
            user: glance.user.cloned(),
            tags: glance.tags.into(),
            last_seen: glance.last_seen,
            up_since: glance.up_since,
            gone_at: glance.gone_at,
            text: text.then(|| words(glance)),
        }
    }

    /// Takes over what changes without a new name; returns whether that is all that changed.
    fn follow(&mut self, glance: &Glance<'_>) -> bool {
        if *self.label != **glance.label {
            return false;
        }
        let other_words = self.peer != glance.peer
            || self.user.as_ref() != glance.user
            || *self.tags != *glance.tags
            // Who comes back may have another identity.
            || self.conn != glance.conn;
        let text = if other_words { self.text.as_ref().map(|_| words(glance)) } else { self.text.take() };
        let place = self.place;
        *self = Self { place, text, group: self.group, ..Self::new(glance, false) };
        true
    }

    /// Tells whether one of its texts contains `needle`, which is in lower case.
    pub(super) fn contains(&self, needle: &str) -> bool {
        self.text.as_deref().is_some_and(|text| text.contains(needle))
    }
}

/// Returns what a filter looks into: name, identity, user, address, and tags as `key=value`.
pub(super) fn words(glance: &Glance<'_>) -> Box<str> {
    let mut text = String::with_capacity(96);
    text.push_str(glance.label);
    text.push('\n');
    text.push_str(glance.id);
    if let Some(user) = glance.user {
        text.extend(["\n", user]);
    }
    if let Some(peer) = glance.peer {
        let _ = write!(text, "\n{peer}"); // Writing to a string cannot fail.
    }
    for (key, value) in glance.tags {
        text.extend(["\n", key, "=", value]);
    }
    if text.is_ascii() {
        text.make_ascii_lowercase();
    } else {
        text = text.to_lowercase();
    }
    text.into()
}

/// Every row of a fleet.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Rows stay where they are until they go; `None` is free.
    slots: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_key: KeyMap<u32>,
    /// The slots by name.
    names: Vec<u32>,
    /// The slots of who is here, in the order they joined, and of some who were.
    by_conn: Vec<(ConnNo, u32)>,
    /// Up to where the fleet's changes were followed.
    version: Option<u64>,
    texts: bool,
    tags: TagCounts,
    bunching: Option<Bunching>,
}

impl Index {
    /// Follows the fleet; `texts` are wanted to filter by.
    pub(super) fn refresh(&mut self, fleet: &dyn Fleet, texts: bool) {
        // Whoever tells what changed will be looked at again: a filter must not wait for all texts then.
        let texts = texts || fleet.version().is_some();
        let known = self.version.filter(|_| self.texts >= texts);
        match known.and_then(|version| fleet.changed_since(version)) {
            Some(changed) => self.repair(fleet, changed),
            None => self.rebuild(fleet, texts),
        }
        self.version = fleet.version();
    }

    fn rebuild(&mut self, fleet: &dyn Fleet, texts: bool) {
        *self = Self { texts, ..Self::default() };
        let mut keys = fleet.keys();
        // Rows that came after each other then lie behind each other, as their beats do.
        keys.sort_unstable();
        let mut fresh = Vec::with_capacity(keys.len());
        fresh.extend(keys.into_iter().filter_map(|key| Some(Entry::new(&fleet.glance(key)?, texts))));
        self.by_key.reserve(fresh.len());
        self.slots.reserve(fresh.len());
        self.insert(fresh);
    }

    fn repair(&mut self, fleet: &dyn Fleet, mut changed: Vec<RowKey>) {
        changed.sort_unstable();
        changed.dedup();
        let (mut fresh, mut gone, mut came) = (Vec::new(), Vec::new(), Vec::new());
        for key in changed {
            let slot = self.by_key.get(&key).copied();
            let entry = slot.and_then(|slot| self.slots.get_mut(slot as usize)?.as_mut());
            let glance = fleet.glance(key);
            match (slot, entry, glance) {
                (Some(slot), Some(entry), Some(glance)) => {
                    let before = entry.conn;
                    let other_group = entry.user.as_ref() != glance.user || *entry.tags != *glance.tags;
                    if *entry.tags != *glance.tags && *entry.label == **glance.label {
                        self.tags.remove(&entry.tags);
                        self.tags.add(glance.tags);
                    }
                    if !entry.follow(&glance) {
                        gone.push(slot);
                        fresh.push(Entry::new(&glance, self.texts));
                        continue;
                    }
                    if let Some(bunching) = self.bunching.as_mut().filter(|_| other_group) {
                        bunching.assign(entry);
                    }
                    if before != glance.conn {
                        came.extend(glance.conn.map(|conn| (conn, slot)));
                    }
                }
                (Some(slot), ..) => gone.push(slot),
                (None, _, Some(glance)) => fresh.push(Entry::new(&glance, self.texts)),
                (None, _, None) => {}
            }
        }
        self.remove(gone);
        self.join(came);
        self.insert(fresh);
    }

    fn remove(&mut self, gone: Vec<u32>) {
        if gone.is_empty() {
            return;
        }
        for &slot in &gone {
            if let Some(entry) = self.slots.get_mut(slot as usize).and_then(Option::take) {
                self.by_key.remove(&entry.key);
                self.tags.remove(&entry.tags);
            }
        }
        let slots = &self.slots;
        self.names.retain(|slot| slots.get(*slot as usize).is_some_and(Option::is_some));
        self.by_conn.retain(|(_, slot)| slots.get(*slot as usize).is_some_and(Option::is_some));
        self.free.extend(gone);
        self.number();
    }

    fn insert(&mut self, fresh: Vec<Entry>) {
        if fresh.is_empty() {
            return;
        }
        let (mut came, mut slots) = (Vec::new(), Vec::with_capacity(fresh.len()));
        for mut entry in fresh {
            self.tags.add(&entry.tags);
            if let Some(bunching) = &mut self.bunching {
                bunching.assign(&mut entry);
            }
            let slot = self.free.pop().unwrap_or_else(|| {
                self.slots.push(None);
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            });
            slots.push((prefix(&entry.label), slot));
            self.by_key.insert(entry.key, slot);
            came.extend(entry.conn.map(|conn| (conn, slot)));
            if let Some(free) = self.slots.get_mut(slot as usize) {
                *free = Some(entry);
            }
        }
        slots.sort_unstable_by(|(a, slot), (b, other)| {
            a.cmp(b).then_with(|| self.name(*slot).cmp(&self.name(*other)))
        });
        let mut names = Vec::with_capacity(self.names.len() + slots.len());
        let mut rest = self.names.as_slice();
        for (_, slot) in slots {
            let name = self.name(slot);
            let (before, after) = rest.split_at(rest.partition_point(|other| self.name(*other) < name));
            names.extend_from_slice(before);
            names.push(slot);
            rest = after;
        }
        names.extend_from_slice(rest);
        self.names = names;
        self.number();
        self.join(came);
    }

    /// Returns what rows are ordered by: the name, and for rows of one name which came first.
    fn name(&self, slot: u32) -> Option<(&str, RowKey)> {
        let entry = self.slots.get(slot as usize)?.as_ref()?;
        Some((&entry.label, entry.key))
    }

    /// Tells every row its place by name.
    fn number(&mut self) {
        for (place, &slot) in (0_u32..).zip(&self.names) {
            if let Some(Some(entry)) = self.slots.get_mut(slot as usize) {
                entry.place = place;
            }
        }
    }

    /// Notes new connections.
    fn join(&mut self, came: Vec<(ConnNo, u32)>) {
        if came.is_empty() {
            return;
        }
        self.by_conn.extend(came);
        if self.by_conn.len() > self.by_key.len() * 2 {
            let slots = &self.slots;
            self.by_conn.retain(|(conn, slot)| {
                let entry = slots.get(*slot as usize).and_then(Option::as_ref);
                entry.is_some_and(|entry| entry.conn == Some(*conn))
            });
        }
        // Nearly in order already: connections are numbered as they come.
        self.by_conn.sort();
    }

    pub(super) fn get(&self, key: RowKey) -> Option<&Entry> {
        self.slots.get(*self.by_key.get(&key)? as usize)?.as_ref()
    }

    /// Returns the row at a place by name.
    pub(super) fn at(&self, place: u32) -> Option<&Entry> {
        self.slots.get(*self.names.get(place as usize)? as usize)?.as_ref()
    }

    /// Tells every row the number of its group, from now on with every change.
    pub(super) fn group_by(&mut self, by: Option<&Grouping>) {
        let kept = self.bunching.as_ref().is_some_and(|bunching| {
            by == Some(bunching.by()) && bunching.names().len() <= self.by_key.len() * 2 + DESERTED_MAX
        });
        if kept {
            return;
        }
        self.bunching = by.map(Bunching::new);
        if let Some(bunching) = &mut self.bunching {
            self.slots.iter_mut().flatten().for_each(|entry| bunching.assign(entry));
        }
    }

    /// Returns the names of the groups by their numbers, some of which may have no rows left.
    pub(super) fn group_names(&self) -> &[Option<Arc<str>>] {
        self.bunching.as_ref().map_or(&[], Bunching::names)
    }

    /// Returns the tags by which somebody may want to group.
    pub(super) fn common_tags(&self) -> Vec<Arc<str>> {
        self.tags.common()
    }

    /// Yields every row, in no particular order.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.slots.iter().flatten()
    }

    /// Shows everybody who is here with the latest beat.
    pub(super) fn walk<'a>(&'a self, fleet: &dyn Fleet, mut visit: impl FnMut(&'a Entry, Beat)) {
        let mut known = self.by_conn.iter().peekable();
        fleet.beats(&mut |beat| {
            while known.next_if(|(conn, _)| *conn < beat.conn).is_some() {}
            if let Some((_, slot)) = known.next_if(|(conn, _)| *conn == beat.conn)
                && let Some(Some(entry)) = self.slots.get(*slot as usize)
            {
                visit(entry, beat);
            }
        });
    }
}

/// Returns the first letters of a name as a number that orders as they do: most names differ there already.
fn prefix(name: &str) -> u128 {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    u128::from_be_bytes(bytes)
}
