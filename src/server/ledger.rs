//! What the hub keeps for those who ask: totals, the last departures, and who wants to hear of events.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::rules::Rules;
use super::screen;
use super::traffic::Passed;
use crate::presence::lateness::Lateness;
use crate::presence::registry::Registry;
use crate::presence::view::{View, Window};
use crate::presence::viewer::{Fleet, Viewer};
use crate::presence::{Departure, Dialect, Event, EventKind, Reason, RowKey};

/// How many departures are remembered.
const DEPARTED_MAX: usize = 10_000;
/// How old the answer to a question about the whole fleet may be: counting a large one takes milliseconds.
const FACTS_KEPT: Duration = Duration::from_millis(250);
/// How long an index of the rows is kept for the next question about them.
const INDEX_KEPT: Duration = Duration::from_mins(1);
/// How many platforms are told apart; a hostile fleet could name one for each client.
const PLATFORMS_MAX: usize = 64;
/// What the platforms beyond that are counted under, and those of clients that named none.
const OTHER_PLATFORMS: &str = "other";
const NO_PLATFORM: &str = "unknown";

/// What the hub can be asked.
#[derive(Debug)]
pub(crate) enum Question {
    /// How the whole fleet is.
    Facts(oneshot::Sender<Arc<Facts>>),
    /// These rows.
    Rows(Box<Window>, oneshot::Sender<View>),
    /// The last departures.
    Departed(Shelf, oneshot::Sender<Departures>),
    /// Every event from now on.
    Events(Subscriber),
}

/// Somebody who wants to hear of events, and is cut off when it does not keep up.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) events: mpsc::Sender<Arc<Event>>,
    pub(crate) cut: CancellationToken,
}

/// Which departures are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shelf {
    pub(crate) user: Option<String>,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

/// A page of departures, the newest first.
#[derive(Debug)]
pub(crate) struct Departures {
    pub(crate) matched: usize,
    pub(crate) rows: Vec<Departed>,
}

/// One departure, as it was.
#[derive(Debug, Clone)]
pub(crate) struct Departed {
    pub(crate) at: Instant,
    pub(crate) row: RowKey,
    pub(crate) id: Arc<str>,
    pub(crate) label: Arc<str>,
    pub(crate) peer: SocketAddr,
    pub(crate) user: Option<Arc<str>>,
    pub(crate) dialect: Dialect,
    pub(crate) departure: Departure,
    pub(crate) silent: Duration,
    pub(crate) up: Duration,
    pub(crate) missed: u32,
}

/// How the whole fleet is, and what became of it so far.
#[derive(Debug)]
pub(crate) struct Facts {
    /// Counts, settings, limits and the record of the verdicts; no rows.
    pub(crate) view: View,
    pub(crate) uptime: Duration,
    /// Clients by platform, the most common first.
    pub(crate) platforms: Vec<(Arc<str>, usize)>,
    /// Live clients by dialect, in the order of [`Dialect::ALL`].
    pub(crate) dialects: [usize; 4],
    /// How long the sessions of those who are here have lasted, on average.
    pub(crate) age: Duration,
    /// Round trips of those who are here.
    pub(crate) rtt: Lateness,
    pub(crate) received: Passed,
    pub(crate) sent: Passed,
    pub(crate) missed: u64,
    pub(crate) lateness: Lateness,
    pub(crate) totals: Totals,
    /// How long ago silences were last judged.
    pub(crate) judged: Option<Duration>,
    /// How long ago a departed row was last forgotten.
    pub(crate) cleaned: Option<Duration>,
}

/// What is counted from the first event on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    /// Sessions that began.
    pub(crate) sessions: u64,
    /// Sessions that ended, by reason in the order of [`Reason::ALL`].
    pub(crate) departures: [u64; Reason::ALL.len()],
    /// How long all of those lasted together.
    pub(crate) lived: Duration,
    /// Times a client was late.
    pub(crate) late: u64,
    /// Newcomers that were turned away and told of.
    pub(crate) refused: u64,
    /// Heartbeats the departed still owed.
    pub(crate) owed: u64,
    /// Departed rows that were forgotten.
    pub(crate) cleaned: u64,
}

impl Totals {
    /// Returns how many sessions ended.
    pub(crate) fn ended(&self) -> u64 {
        self.departures.iter().sum()
    }

    /// Returns how long a session lasted on average.
    pub(crate) fn lifetime(&self) -> Duration {
        self.lived / u32::try_from(self.ended()).unwrap_or(u32::MAX).max(1)
    }
}

/// The hub's memory for questions. Costs nothing while nobody asks, apart from the departures it keeps.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    totals: Totals,
    departed: VecDeque<Departed>,
    subscribers: Vec<Subscriber>,
    judged: Option<Instant>,
    cleaned: Option<Instant>,
    facts: Option<(Instant, Arc<Facts>)>,
    /// When rows were last asked for, and what need not be looked up again should more be.
    asked: Option<(Instant, Viewer)>,
}

impl Ledger {
    /// Takes an event down and passes it on.
    pub(crate) fn note(&mut self, event: &Arc<Event>, registry: &Registry) {
        match &event.kind {
            EventKind::Joined | EventKind::Resumed { .. } => self.totals.sessions += 1,
            EventKind::Late { .. } => self.totals.late += 1,
            EventKind::Refused { .. } => self.totals.refused += 1,
            EventKind::Gone { departure, silent, up, missed } => {
                if let Some(count) = self.totals.departures.get_mut(departure.reason as usize) {
                    *count += 1;
                }
                self.totals.lived += *up;
                if departure.reason.is_failure() {
                    self.totals.owed += u64::from(*missed);
                }
                self.shelve(event, departure, [*silent, *up], *missed, registry);
            }
            _ => {}
        }
        self.subscribers.retain(|subscriber| {
            let keeps_up = subscriber.events.try_send(event.clone()).is_ok();
            if !keeps_up {
                subscriber.cut.cancel();
            }
            keeps_up
        });
    }

    fn shelve(
        &mut self,
        event: &Event,
        departure: &Departure,
        [silent, up]: [Duration; 2],
        missed: u32,
        registry: &Registry,
    ) {
        let Some(who) = &event.who else { return };
        let row = registry.row(event.at, who.row);
        if self.departed.len() == DEPARTED_MAX {
            self.departed.pop_front();
        }
        self.departed.push_back(Departed {
            at: event.at,
            row: who.row,
            id: who.id.clone(),
            label: who.label.clone(),
            peer: who.peer,
            user: row.as_ref().and_then(|row| row.user.clone()),
            dialect: row.map_or(Dialect::Presence, |row| row.dialect),
            departure: departure.clone(),
            silent,
            up,
            missed,
        });
    }

    /// Notes that silences were judged, and how many departed rows were forgotten with that.
    pub(crate) fn swept(&mut self, now: Instant, forgotten: usize) {
        self.judged = Some(now);
        self.asked.take_if(|(at, _)| now.saturating_duration_since(*at) > INDEX_KEPT);
        if forgotten > 0 {
            self.totals.cleaned += forgotten as u64;
            self.cleaned = Some(now);
        }
    }

    /// Answers. Who has stopped waiting is not looked for.
    pub(crate) fn answer(&mut self, now: Instant, question: Question, registry: &Registry, rules: &Rules) {
        match question {
            Question::Facts(reply) => {
                let _ = reply.send(self.facts(now, registry, rules));
            }
            Question::Rows(window, reply) => {
                let (_, viewer) = self.asked.get_or_insert_with(|| (now, Viewer::default()));
                let _ = reply.send(look(now, *window, registry, rules, viewer));
                self.asked = self.asked.take().map(|(_, viewer)| (now, viewer));
            }
            Question::Departed(shelf, reply) => {
                let _ = reply.send(self.departures(&shelf));
            }
            Question::Events(subscriber) => {
                self.subscribers.retain(|known| !known.events.is_closed());
                self.subscribers.push(subscriber);
            }
        }
    }

    fn departures(&self, shelf: &Shelf) -> Departures {
        let wanted = |it: &&Departed| shelf.user.is_none() || shelf.user.as_deref() == it.user.as_deref();
        let mut newest = self.departed.iter().rev().filter(wanted);
        let matched = newest.clone().count();
        let rows = newest.by_ref().skip(shelf.offset).take(shelf.limit).cloned().collect();
        Departures { matched, rows }
    }

    fn facts(&mut self, now: Instant, registry: &Registry, rules: &Rules) -> Arc<Facts> {
        if let Some((at, facts)) = &self.facts
            && now.saturating_duration_since(*at) < FACTS_KEPT
        {
            return facts.clone();
        }
        let facts = Arc::new(self.count(now, registry, rules));
        self.facts = Some((now, facts.clone()));
        facts
    }

    /// Walks the fleet.
    fn count(&self, now: Instant, registry: &Registry, rules: &Rules) -> Facts {
        let (mut platforms, mut dialects, mut age) = (BTreeMap::new(), [0; 4], Duration::ZERO);
        let unknown: Arc<str> = NO_PLATFORM.into();
        for live in registry.live_rows() {
            let platform = live.row.profile.platform.clone().unwrap_or_else(|| unknown.clone());
            *platforms.entry(platform).or_insert(0) += 1;
            if let Some(count) = dialects.get_mut(live.row.dialect as usize) {
                *count += 1;
            }
            age += now.saturating_duration_since(live.since);
        }
        let mut rtt = Lateness::default();
        registry.beats(&mut |beat| {
            if let Some(span) = beat.rtt {
                rtt.record(span);
            }
        });
        let live = u32::try_from(registry.counts().live()).unwrap_or(u32::MAX).max(1);
        let traffic = &rules.traffic;
        let ago = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        // A window of no height: everything but rows, and nothing to be put in order.
        let nobody = Window::default();
        Facts {
            view: look(now, nobody, registry, rules, &mut Viewer::default()),
            uptime: traffic.uptime(now),
            platforms: most_common(platforms),
            dialects,
            age: age / live,
            rtt,
            received: traffic.received(now),
            sent: traffic.sent(now),
            missed: traffic.missed(),
            lateness: registry.lateness().clone(),
            totals: self.totals,
            judged: ago(self.judged),
            cleaned: ago(self.cleaned),
        }
    }
}

/// Answers a window without events.
fn look(now: Instant, window: Window, registry: &Registry, rules: &Rules, viewer: &mut Viewer) -> View {
    // What was in order for the last question is of no use to this one.
    viewer.forget_order();
    viewer.show(window);
    screen::view(now, registry, rules, viewer, &VecDeque::new())
}

fn most_common(platforms: BTreeMap<Arc<str>, usize>) -> Vec<(Arc<str>, usize)> {
    let mut sorted: Vec<_> = platforms.into_iter().collect();
    sorted.sort_unstable_by(|(a, few), (b, many)| (many, a).cmp(&(few, b)));
    let rest: usize = sorted.iter().skip(PLATFORMS_MAX).map(|(_, count)| count).sum();
    sorted.truncate(PLATFORMS_MAX);
    if rest > 0 {
        sorted.push((OTHER_PLATFORMS.into(), rest));
    }
    sorted
}
