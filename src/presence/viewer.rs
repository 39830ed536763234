//! Answers a window: which rows, in which order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::row::{RowKey, State, Tag};
use super::view::{RowView, Selected, Sort, Window};

/// A fresh order is made at most this often: rows that jump about cannot be read.
const RESORT_PERIOD: Duration = Duration::from_secs(1);

/// Something that has rows: a server's registry, or the roster a client keeps.
pub trait Fleet {
    /// Shows every row to `visit`.
    fn each(&self, visit: &mut dyn FnMut(Glance<'_>));

    /// Returns one row as it is at `now`, ready to draw.
    fn row(&self, now: Instant, key: RowKey) -> Option<RowView>;
}

/// What ordering and filtering need of a row; cheap to make for a hundred thousand.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "each field is the field of the same name in `RowView`")]
pub struct Glance<'a> {
    pub key: RowKey,
    pub state: State,
    pub acked: bool,
    pub label: &'a Arc<str>,
    pub id: &'a str,
    pub peer: Option<SocketAddr>,
    pub user: Option<&'a str>,
    pub tags: &'a [Tag],
    pub last_seen: Option<Instant>,
    pub deadline: Option<Instant>,
    pub rtt: Option<Duration>,
    pub up_since: Option<Instant>,
    pub gone_at: Option<Instant>,
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
    /// The selected row, wherever it is.
    pub selected: Option<Selected>,
}

/// Keeps one screen's window and the order of its rows between looks.
#[derive(Debug, Default)]
pub struct Viewer {
    window: Window,
    order: Vec<RowKey>,
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
            && (&self.window.states, &self.window.user) == (&window.states, &window.user);
        if !same_rows {
            self.ordered_at = None;
        }
        self.window = window;
    }

    /// Returns the rows of the window as they are at `now`.
    pub fn look(&mut self, now: Instant, fleet: &dyn Fleet) -> Page {
        let due = match self.ordered_at {
            None => true,
            Some(at) => !self.window.hold_order && now.saturating_duration_since(at) >= RESORT_PERIOD,
        };
        if due {
            self.reorder(now, fleet);
        } else if self.order.len() < self.window.height && self.shows_all() {
            self.append(fleet);
        }
        let matched = self.order.len();
        let offset = self.window.offset.min(matched.saturating_sub(self.window.height));
        let shown = self.order.iter().skip(offset).take(self.window.height);
        let rows = shown.filter_map(|&key| fleet.row(now, key)).collect();
        let selected = self.window.selected.and_then(|key| {
            let position = self.order.iter().position(|&at| at == key);
            Some(Selected { position, row: fleet.row(now, key)? })
        });
        Page { matched, offset, rows, selected }
    }

    /// Tells whether every row passes the filter.
    fn shows_all(&self) -> bool {
        self.window.filter.is_empty() && self.window.states.is_empty() && self.window.user.is_none()
    }

    /// Puts newcomers below the others until the next order: where there is room, nobody need wait to be seen.
    fn append(&mut self, fleet: &dyn Fleet) {
        let known = self.order.len();
        let order = &mut self.order;
        fleet.each(&mut |glance| {
            if !order.iter().take(known).any(|&key| key == glance.key) {
                order.push(glance.key);
            }
        });
    }

    fn reorder(&mut self, now: Instant, fleet: &dyn Fleet) {
        let Window { sort, reversed, .. } = &self.window;
        let needle = self.window.filter.to_lowercase();
        let mut keyed: Vec<(Rank, RowKey)> = Vec::new();
        fleet.each(&mut |glance| {
            if passes(&self.window, &needle, &glance) {
                keyed.push((rank(*sort, now, &glance), glance.key));
            }
        });
        keyed.sort_unstable();
        if *reversed {
            keyed.reverse();
        }
        self.order = keyed.into_iter().map(|(_, key)| key).collect();
        self.ordered_at = Some(now);
    }
}

/// What rows are ordered by: a group, a number inside it, then the name.
type Rank = (u8, u64, Arc<str>);

fn rank(sort: Sort, now: Instant, row: &Glance<'_>) -> Rank {
    let age = |at: Option<Instant>| at.map_or(u64::MAX, |at| micros(now.saturating_duration_since(at)));
    let left = |at: Option<Instant>| at.map_or(u64::MAX, |at| micros(at.saturating_duration_since(now)));
    let number = match sort {
        Sort::State => {
            return match row.state {
                State::TimedOut if !row.acked => (0, age(row.gone_at), row.label.clone()),
                State::TimedOut => (1, age(row.gone_at), row.label.clone()),
                State::Late => (2, left(row.deadline), row.label.clone()),
                State::Online => (3, 0, row.label.clone()),
                State::Left => (4, age(row.gone_at), row.label.clone()),
                State::Offline => (5, 0, row.label.clone()),
            };
        }
        Sort::Name => 0,
        Sort::Address => return (0, 0, row.peer.map_or_else(|| "~".into(), |peer| sortable(peer).into())),
        Sort::LastPing => age(row.last_seen),
        Sort::TimesOut => left(row.deadline),
        Sort::Rtt => row.rtt.map_or(u64::MAX, micros),
        Sort::Up => u64::MAX - row.up_since.map_or(0, |at| age(Some(at))),
    };
    (0, number, row.label.clone())
}

/// Writes an address so that texts order as numbers do: `10.0.0.9` before `10.0.0.10`.
fn sortable(peer: SocketAddr) -> String {
    match peer {
        SocketAddr::V4(v4) => {
            let [a, b, c, d] = v4.ip().octets();
            format!("4{a:03}{b:03}{c:03}{d:03}{:05}", v4.port())
        }
        SocketAddr::V6(v6) => format!("6{:032x}{:05}", v6.ip().to_bits(), v6.port()),
    }
}

/// Tells whether a window shows a row; `needle` is its filter in lower case.
pub(super) fn passes(window: &Window, needle: &str, row: &Glance<'_>) -> bool {
    let Window { states, user, .. } = window;
    (user.is_none() || user.as_deref() == row.user)
        && (states.is_empty() || states.contains(&row.state))
        && contains(row, needle)
}

fn contains(row: &Glance<'_>, needle: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(needle);
    needle.is_empty()
        || has(row.label)
        || has(row.id)
        || row.user.is_some_and(has)
        || row.peer.is_some_and(|peer| has(&peer.to_string()))
        || row.tags.iter().any(|(key, value)| has(&format!("{key}={value}")))
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of these names, whose keys are their places.
    struct Names(Vec<Arc<str>>);

    impl Fleet for Names {
        fn each(&self, visit: &mut dyn FnMut(Glance<'_>)) {
            for (place, label) in self.0.iter().enumerate() {
                visit(Glance {
                    key: RowKey(place as u64),
                    state: State::Online,
                    acked: false,
                    label,
                    id: "",
                    peer: None,
                    user: None,
                    tags: &[],
                    last_seen: None,
                    deadline: None,
                    rtt: None,
                    up_since: None,
                    gone_at: None,
                });
            }
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
        assert_eq!(viewer.order, [RowKey(0), RowKey(1)]);
        viewer.look(now + Duration::from_millis(200), &names);
        assert_eq!(viewer.order, [RowKey(0), RowKey(1)], "once");
        viewer.look(now + RESORT_PERIOD, &names);
        assert_eq!(viewer.order, [RowKey(1), RowKey(0)]);
    }
}
