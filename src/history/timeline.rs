//! The arithmetic of being here: stays, what is known, and what lies between. All in milliseconds since 1970.

use std::cmp::Reverse;
use std::time::Duration;

use crate::presence::Reason;
use crate::presence::past::{HOURS, OUTAGES_NAMED, Outage, Past, Share};

/// An hour in milliseconds.
const HOUR: u64 = 3_600_000;
/// A day.
pub(super) const DAY: u64 = 24 * HOUR;

/// A stretch of time; `to` is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Span {
    /// Returns a stretch; an empty one where a clock was set back in between.
    pub(super) fn new(from: u64, to: u64) -> Self {
        Self { from, to: to.max(from) }
    }

    fn len(self) -> u64 {
        self.to - self.from
    }

    /// Returns what both have in common, if anything.
    fn common(self, other: Self) -> Option<Self> {
        let (from, to) = (self.from.max(other.from), self.to.min(other.to));
        (from < to).then_some(Self { from, to })
    }
}

/// How a stay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// Not yet.
    Here,
    /// Nobody decided it.
    Failed(Reason),
    /// The server ended, so nobody knows how it would have gone on.
    Unknown,
    /// Somebody decided it.
    Decided,
}

impl Over {
    /// Reads the word in the file; `None` stands for a session that is still open.
    pub(super) fn from_word(word: Option<&str>) -> Self {
        match word {
            None => Self::Here,
            Some(word) => match Reason::ALL.into_iter().find(|reason| reason.word() == word) {
                Some(reason) if reason.is_failure() => Self::Failed(reason),
                Some(Reason::Drain) | None => Self::Unknown,
                Some(_) => Self::Decided,
            },
        }
    }
}

/// One session of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stay {
    pub(super) span: Span,
    pub(super) over: Over,
}

/// One client's stays, and of which time anything is known.
#[derive(Debug)]
pub(super) struct Timeline {
    /// In order, without overlap.
    blocks: Vec<Stay>,
    /// When the server ran and could have told; in order, without overlap.
    known: Vec<Span>,
}

impl Timeline {
    /// Puts stays in order. `known` is when a server ran, in order and without overlap, from the client's first
    /// sign of life on.
    ///
    /// Between a server that ended, or asked its clients to leave, and the client's return to the next one
    /// nothing is known: that it took a while to come back is not its fault.
    pub(super) fn new(mut stays: Vec<Stay>, known: &[Span]) -> Self {
        stays.sort_unstable_by_key(|stay| (stay.span.from, Reverse(stay.span.to)));
        let mut blocks: Vec<Stay> = Vec::with_capacity(stays.len());
        for stay in stays {
            match blocks.last_mut() {
                Some(last) if stay.span.from < last.span.to => {
                    if stay.span.to >= last.span.to {
                        (last.span.to, last.over) = (stay.span.to, stay.over);
                    }
                }
                _ => blocks.push(stay),
            }
        }
        let served = |at: u64| {
            let run = known.get(known.partition_point(|run| run.to <= at));
            run.is_some_and(|run| run.from <= at)
        };
        let mut holes = blocks
            .windows(2)
            .filter_map(|pair| match pair {
                [one, next] if one.over == Over::Unknown || !served(one.span.to) => {
                    Some(Span::new(one.span.to, next.span.from))
                }
                _ => None,
            })
            .peekable();
        let mut left = Vec::with_capacity(known.len());
        for &span in known {
            let mut from = span.from;
            while let Some(hole) = holes.peek().copied().filter(|hole| hole.from < span.to) {
                if hole.from > from {
                    left.push(Span::new(from, hole.from));
                }
                from = from.max(hole.to);
                if hole.to > span.to {
                    break;
                }
                holes.next();
            }
            if from < span.to {
                left.push(Span::new(from, span.to));
            }
        }
        Self { blocks, known: left }
    }

    /// Returns how long the client was here within a window, of how long that is known.
    pub(super) fn share(&self, window: Span) -> Share {
        let (mut online, mut known) = (0, 0);
        let mut blocks = self.blocks.iter().map(|stay| stay.span).peekable();
        for span in self.known.iter().filter_map(|span| span.common(window)) {
            known += span.len();
            while let Some(block) = blocks.peek() {
                online += block.common(span).map_or(0, Span::len);
                if block.to > span.to {
                    break;
                }
                blocks.next();
            }
        }
        Share { online: Duration::from_millis(online), known: Duration::from_millis(known) }
    }

    /// Returns the longest stretch within a window for which it is known that the client was not here.
    pub(super) fn longest_gap(&self, window: Span) -> Duration {
        let mut longest = 0;
        let mut blocks = self.blocks.iter().map(|stay| stay.span).peekable();
        for span in self.known.iter().filter_map(|span| span.common(window)) {
            let mut from = span.from;
            while let Some(block) = blocks.peek().filter(|block| block.from < span.to) {
                longest = longest.max(block.from.saturating_sub(from));
                from = from.max(block.to);
                if block.to > span.to {
                    break;
                }
                blocks.next();
            }
            longest = longest.max(span.to.saturating_sub(from));
        }
        Duration::from_millis(longest)
    }

    /// Returns the outages that touch a window, newest first.
    pub(super) fn outages(&self, window: Span) -> impl Iterator<Item = Outage> {
        let all = self.blocks.iter().enumerate();
        all.rev().filter_map(move |(at, stay)| {
            let Over::Failed(reason) = stay.over else { return None };
            let ended = self.blocks.get(at + 1).map(|next| next.span.from);
            let touches = stay.span.to < window.to && ended.is_none_or(|ended| ended >= window.from);
            touches.then(|| Outage {
                began: Duration::from_millis(stay.span.to),
                lasted: ended.map(|ended| Duration::from_millis(ended.saturating_sub(stay.span.to))),
                reason,
            })
        })
    }

    /// Sums it up for a screen.
    pub(super) fn past(&self, now: u64) -> Past {
        let back = |ms: u64| Span::new(now.saturating_sub(ms), now);
        let mut hours = [None; HOURS];
        for (hour, percent) in hours.iter_mut().rev().zip(0..) {
            let to = now.saturating_sub(hour_ms(percent));
            let share = self.share(Span::new(to.saturating_sub(HOUR), to));
            let known = share.known.as_millis();
            *hour = (known > 0).then(|| u8::try_from(share.online.as_millis() * 100 / known).unwrap_or(100));
        }
        Past {
            day: self.share(back(DAY)),
            week: self.share(back(7 * DAY)),
            hours,
            outages: self.outages(back(7 * DAY)).take(OUTAGES_NAMED).collect(),
        }
    }
}

fn hour_ms(hours: u64) -> u64 {
    hours * HOUR
}

/// Puts the lives of servers in order and into one another, from `first` on.
pub(super) fn known_since(first: u64, mut runs: Vec<Span>) -> Vec<Span> {
    runs.sort_unstable_by_key(|run| run.from);
    let mut known: Vec<Span> = Vec::with_capacity(runs.len());
    for run in runs {
        let run = Span::new(run.from.max(first), run.to);
        match known.last_mut() {
            Some(last) if run.from <= last.to => last.to = last.to.max(run.to),
            _ if run.to > run.from => known.push(run),
            _ => {}
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Span = Span { from: 0, to: 1_000 };

    fn stay(from: u64, to: u64, over: Over) -> Stay {
        Stay { span: Span::new(from, to), over }
    }

    fn ms(share: Share) -> (u128, u128) {
        (share.online.as_millis(), share.known.as_millis())
    }

    #[test]
    fn time_online_is_counted_once_and_only_where_anything_is_known() {
        let lost = Over::Failed(Reason::Lost);
        // Two overlapping sessions, as of two tabs of one browser, and one while no server was there to tell.
        let stays = vec![stay(300, 500, lost), stay(100, 400, Over::Decided), stay(600, 1_000, Over::Here)];
        let line = Timeline::new(stays, &[Span::new(0, 200), Span::new(300, 900)]);
        assert_eq!(ms(line.share(WINDOW)), (100 + 200 + 300, 200 + 600));
        assert_eq!(ms(line.share(Span::new(0, 50))), (0, 50));
        assert_eq!(ms(line.share(Span::new(950, 1_000))), (0, 0));
        assert_eq!(line.longest_gap(WINDOW).as_millis(), 100);
        assert_eq!(line.longest_gap(Span::new(450, 560)).as_millis(), 60);
        let outages: Vec<_> = line.outages(WINDOW).collect();
        let outage = Outage {
            began: Duration::from_millis(500),
            lasted: Some(Duration::from_millis(100)),
            reason: Reason::Lost,
        };
        assert_eq!(outages, [outage]);
    }

    #[test]
    fn the_time_until_a_client_finds_the_next_server_is_not_held_against_it() {
        let stays = vec![stay(0, 400, Over::Unknown), stay(520, 1_000, Over::Here)];
        let line = Timeline::new(stays, &[Span::new(0, 400), Span::new(500, 1_000)]);
        assert_eq!(ms(line.share(WINDOW)), (880, 880));
        assert_eq!(line.longest_gap(WINDOW), Duration::ZERO);
        assert_eq!(line.outages(WINDOW).count(), 0);
        // So it is for whoever was asked to leave, a moment after the server began to.
        let stays = vec![stay(0, 405, Over::Decided), stay(520, 1_000, Over::Here)];
        let line = Timeline::new(stays, &[Span::new(0, 400), Span::new(500, 1_000)]);
        assert_eq!(ms(line.share(WINDOW)), (880, 880));
        // Who never came back was away.
        let line =
            Timeline::new(vec![stay(0, 400, Over::Unknown)], &[Span::new(0, 400), Span::new(500, 1_000)]);
        assert_eq!(ms(line.share(WINDOW)), (400, 900));
        assert_eq!(line.longest_gap(WINDOW).as_millis(), 500);
    }

    #[test]
    fn an_outage_that_goes_on_has_no_end_and_one_before_the_window_is_not_in_it() {
        let timeout = Over::Failed(Reason::Timeout);
        let line =
            Timeline::new(vec![stay(0, 100, timeout), stay(200, 300, timeout)], &[Span::new(0, 1_000)]);
        let began = |window| -> Vec<_> {
            line.outages(window)
                .map(|it| (it.began.as_millis(), it.lasted.map(|it| it.as_millis())))
                .collect()
        };
        assert_eq!(began(WINDOW), [(300, None), (100, Some(100))]);
        assert_eq!(began(Span::new(250, 1_000)), [(300, None)]);
        assert_eq!(line.longest_gap(WINDOW).as_millis(), 700);
    }

    #[test]
    fn hours_are_told_oldest_first_and_what_nobody_knows_stays_empty() {
        let now = 1_000 * HOUR;
        let half = now - HOUR - HOUR / 2;
        let line = Timeline::new(
            vec![stay(now - 3 * HOUR, half, Over::Failed(Reason::Lost))],
            &known_since(now - 3 * HOUR, vec![Span::new(0, now)]),
        );
        let past = line.past(now);
        assert_eq!(past.hours[HOURS - 4..], [None, Some(100), Some(50), Some(0)]);
        assert_eq!(ms(past.day), (u128::from(half - (now - 3 * HOUR)), u128::from(3 * HOUR)));
        assert_eq!(past.outages.len(), 1);
    }

    #[test]
    fn a_clock_that_was_set_back_makes_an_empty_stay() {
        let line = Timeline::new(vec![stay(500, 100, Over::Decided)], &[Span::new(0, 1_000)]);
        assert_eq!(ms(line.share(WINDOW)), (0, 1_000));
    }

    #[test]
    fn lives_of_servers_are_put_in_order() {
        let runs = vec![Span::new(500, 900), Span::new(0, 100), Span::new(50, 300), Span::new(400, 400)];
        assert_eq!(known_since(80, runs), [Span::new(80, 300), Span::new(500, 900)]);
    }
}
