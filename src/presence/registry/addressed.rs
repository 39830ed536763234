//! Whom a notification is for, among the rows.

use super::{Registry, Row, Standing};
use crate::presence::dialect::Dialect;
use crate::presence::notify::{Reach, Target};
use crate::presence::row::{ConnNo, RowKey};
use crate::presence::view::Window;
use crate::presence::viewer::passes;

impl Registry {
    /// Returns the connections of those a notification is for, in the order they joined, and how many of the
    /// others it is for are gone.
    #[must_use]
    pub fn addressed(&self, to: &Target) -> (Vec<ConnNo>, usize) {
        let (mut here, mut gone) = (Vec::new(), 0);
        self.each_addressed(to, |row| match row.standing {
            Standing::Here(conn) => here.push(conn),
            Standing::Gone(_) | Standing::Awaited(_) => gone += 1,
        });
        here.sort_unstable();
        (here, gone)
    }

    /// Returns whom a notification would reach.
    #[must_use]
    pub fn reach(&self, to: &Target) -> Reach {
        let mut reach = Reach { to: to.clone(), here: 0, deaf: 0, gone: 0 };
        self.each_addressed(to, |row| match row.standing {
            Standing::Here(_) if row.version == 0 && row.dialect == Dialect::Presence => reach.deaf += 1,
            Standing::Here(_) => reach.here += 1,
            Standing::Gone(_) | Standing::Awaited(_) => reach.gone += 1,
        });
        reach
    }

    fn each_addressed(&self, to: &Target, mut visit: impl FnMut(&Row)) {
        let one = |key: Option<&RowKey>| key.and_then(|key| self.rows.get(key));
        let mut each = |fits: &dyn Fn(RowKey, &Row) -> bool| {
            self.rows.iter().filter(|(key, row)| fits(**key, row)).for_each(|(_, row)| visit(row));
        };
        match to {
            Target::All => each(&|_, _| true),
            Target::User(user) => each(&|_, row| row.profile.user.as_ref() == Some(user)),
            Target::Tags(tags) => each(&|_, row| tags.iter().all(|tag| row.profile.tags.contains(tag))),
            Target::Id(id) => match one(self.by_id.get(id)) {
                Some(row) => visit(row),
                // A legacy client's made-up name is no identity, and in no index.
                None => each(&|_, row| row.id == *id),
            },
            Target::Row(key) => one(Some(key)).into_iter().for_each(|row| visit(row)),
            Target::Shown { filter, states, user } => {
                let window = Window { states: states.clone(), user: user.clone(), ..Window::default() };
                let needle = filter.to_lowercase();
                each(&|key, row| passes(&window, &needle, &self.glimpse(key, row)));
            }
        }
    }
}
