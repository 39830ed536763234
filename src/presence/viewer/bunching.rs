//! Which group each row belongs to, as a number that is looked up once and not with every order.

use std::collections::HashMap;
use std::sync::Arc;

use super::index::Entry;
use crate::presence::row::Tag;
use crate::presence::view::Grouping;

/// A tag that is a text for people, and different for each of them.
const NOTE: &str = "note";
/// By so many tags a screen is offered to group, the most common first.
const TAGS_OFFERED: usize = 5;

/// The groups that rows belong to, by the number they have here.
#[derive(Debug)]
pub(super) struct Bunching {
    by: Grouping,
    numbers: HashMap<Option<Arc<str>>, u32>,
    names: Vec<Option<Arc<str>>>,
}

impl Bunching {
    pub(super) fn new(by: &Grouping) -> Self {
        Self { by: by.clone(), numbers: HashMap::new(), names: Vec::new() }
    }

    pub(super) fn by(&self) -> &Grouping {
        &self.by
    }

    /// Returns the names of the groups there are, and of some there were.
    pub(super) fn names(&self) -> &[Option<Arc<str>>] {
        &self.names
    }

    /// Tells a row the number of its group.
    pub(super) fn assign(&mut self, entry: &mut Entry) {
        let name = match &self.by {
            Grouping::User => entry.user.as_ref(),
            Grouping::Tag(key) => entry.tags.iter().find(|(known, _)| known == key).map(|(_, value)| value),
        };
        let name = name.cloned();
        let next = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        entry.group = *self.numbers.entry(name.clone()).or_insert(next);
        if entry.group == next {
            self.names.push(name);
        }
    }
}

/// How many rows have each tag.
#[derive(Debug, Default)]
pub(super) struct TagCounts(HashMap<Arc<str>, usize>);

impl TagCounts {
    pub(super) fn add(&mut self, tags: &[Tag]) {
        for (key, _) in tags {
            *self.0.entry(key.clone()).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, tags: &[Tag]) {
        for (key, _) in tags {
            if let Some(count) = self.0.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(key);
                }
            }
        }
    }

    /// Returns the tags that most rows have, by which somebody may want to group.
    pub(super) fn common(&self) -> Vec<Arc<str>> {
        let mut common: Vec<_> =
            self.0.iter().filter(|(key, count)| **count > 1 && ***key != *NOTE).collect();
        common.sort_unstable_by(|(a, more), (b, less)| (less, a).cmp(&(more, b)));
        common.into_iter().take(TAGS_OFFERED).map(|(key, _)| key.clone()).collect()
    }
}
