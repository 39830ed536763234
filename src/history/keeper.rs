//! What is done when: changes are gathered and written together, a file in trouble is tried again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::flip::Flip;
use super::ring::Ring;
use super::store::{Run, Store, set_aside};
use super::timeline::{Span, Timeline};
use super::{Answer, Clock, Moment, Plan, Shared, Tell, Trouble};
use crate::presence::{Event, EventKind};

/// How many changes are written in one step at most.
const BATCH: usize = 1_000;
/// How long a change may wait for others.
const GATHER: Duration = Duration::from_millis(250);
/// How many changes are kept while they cannot be written.
const KEPT_MAX: usize = 20_000;
/// How often a file in trouble is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// How often it is written down that the server is there, while anybody is here.
const ALIVE: Duration = Duration::from_secs(10);
/// How often while nobody is.
const ALIVE_ALONE: Duration = Duration::from_mins(1);
/// How often what is too old is looked for.
const PRUNE: Duration = Duration::from_mins(10);
/// How many changes are written before it is looked for earlier.
const PRUNE_AFTER: usize = 5_000;

/// Owner of the file, and of what is not in it yet.
pub(super) struct Keeper {
    plan: Plan,
    clock: Clock,
    tell: Tell,
    shared: Arc<Shared>,
    run: Run,
    store: Option<Store>,
    ring: Ring,
    /// Since when the oldest change waits.
    waits_since: Option<Instant>,
    /// When it is tried again; set while the file is in trouble.
    retry_at: Option<Instant>,
    alive_at: Instant,
    prune_at: Instant,
    since_prune: usize,
    in_trouble: bool,
    told_dropped: bool,
    /// When the server began to ask its clients to leave: what they do from then on says nothing about them.
    closing_ms: Option<u64>,
}

impl Keeper {
    pub(super) fn new(plan: Plan, clock: Clock, tell: Tell, shared: Arc<Shared>) -> Self {
        let now = clock();
        Self {
            run: Run { began_ms: now.wall_ms, number: None },
            store: None,
            ring: Ring::new(KEPT_MAX),
            waits_since: None,
            retry_at: plan.path.is_some().then_some(now.mono),
            alive_at: now.mono + ALIVE,
            prune_at: now.mono,
            since_prune: 0,
            in_trouble: false,
            told_dropped: false,
            closing_ms: None,
            plan,
            clock,
            tell,
            shared,
        }
    }

    /// Takes in what happened.
    pub(super) fn take(&mut self, event: &Event) {
        let now = (self.clock)();
        if let EventKind::Draining { .. } = event.kind {
            self.closing_ms = Some(now.wall_of(event.at));
        }
        if let Some(flip) = Flip::of(event, now) {
            self.ring.push(flip);
            self.waits_since.get_or_insert(now.mono);
        }
    }

    /// Returns how long there is nothing to do by itself.
    pub(super) fn wait(&self) -> Duration {
        let gathered = self.waits_since.map(|since| since + GATHER);
        let due = match (&self.store, self.retry_at) {
            (_, Some(at)) => Some(at),
            (Some(_), None) => {
                [gathered, Some(self.alive_at), Some(self.prune_at)].into_iter().flatten().min()
            }
            (None, None) => None,
        };
        let now = (self.clock)().mono;
        due.map_or(ALIVE_ALONE, |at| at.saturating_duration_since(now))
    }

    /// Does what is due.
    pub(super) fn tick(&mut self) {
        let now = (self.clock)();
        self.tell_dropped();
        if self.retry_at.is_some_and(|at| at > now.mono) {
            return;
        }
        let again = self.retry_at.take().is_some();
        if self.store.is_none() && !self.open(now) {
            return;
        }
        let waited =
            self.waits_since.is_some_and(|since| now.mono.saturating_duration_since(since) >= GATHER);
        if (again || waited || self.ring.len() >= BATCH) && !self.flush(now) {
            return;
        }
        if std::mem::take(&mut self.in_trouble) {
            self.say(|path| EventKind::Notice(format!("the history is written to {path} again")));
        }
        if now.mono >= self.alive_at {
            self.alive_at = now.mono + if self.ring.anybody() { ALIVE } else { ALIVE_ALONE };
            if !self.put(now, 0) {
                return;
            }
        }
        if now.mono >= self.prune_at || self.since_prune >= PRUNE_AFTER {
            self.prune(now);
        }
    }

    /// Opens the file; a damaged one is put aside for a new one.
    fn open(&mut self, now: Moment) -> bool {
        let Some(path) = self.plan.path.clone() else { return false };
        let mut opened = Store::open(&path, &self.plan, self.run, now.wall_ms);
        if opened.as_ref().is_err_and(Trouble::is_damage) && self.put_aside(&path) {
            opened = Store::open(&path, &self.plan, self.run, now.wall_ms);
        }
        let opened = opened.and_then(|(mut store, fresh)| {
            // A new file in the middle of a life has to be told who is here.
            let here = if fresh { self.ring.here() } else { Vec::new() };
            store.write(&here, now.wall_ms).map(|()| store)
        });
        match opened {
            Ok(store) => {
                self.run.number = Some(store.run());
                self.store = Some(store);
                true
            }
            Err(trouble) => self.fail(now, &trouble),
        }
    }

    /// Puts a damaged file aside, and says so; returns whether there may be a new one.
    fn put_aside(&mut self, path: &Path) -> bool {
        let aside = set_aside(path);
        let words = match &aside {
            Ok(aside) => format!(
                "the history in {} is damaged: it is kept as {}, and a new one begins",
                path.display(),
                aside.display()
            ),
            Err(error) => {
                format!("the history in {} is damaged and cannot be put aside: {error}", path.display())
            }
        };
        (self.tell)(EventKind::Trouble(words));
        aside.is_ok()
    }

    /// Writes everything that waits; returns whether that worked.
    fn flush(&mut self, now: Moment) -> bool {
        while self.ring.len() > 0 {
            let count = self.ring.len().min(BATCH);
            if !self.put(now, count) {
                return false;
            }
            self.ring.written(count);
            self.since_prune += count;
            self.shared.written.fetch_add(count as u64, Relaxed);
        }
        self.waits_since = None;
        // Each write says as well that the server is there.
        self.alive_at = now.mono + if self.ring.anybody() { ALIVE } else { ALIVE_ALONE };
        true
    }

    /// Writes the oldest `count` changes, and that the server is there; returns whether that worked.
    fn put(&mut self, now: Moment, count: usize) -> bool {
        let Some(store) = &mut self.store else { return false };
        match store.write(self.ring.oldest(count), now.wall_ms) {
            Ok(()) => true,
            Err(trouble) => self.fail(now, &trouble),
        }
    }

    fn prune(&mut self, now: Moment) {
        (self.prune_at, self.since_prune) = (now.mono + PRUNE, 0);
        let Some(store) = &mut self.store else { return };
        match store.prune(now.wall_ms, false) {
            // A piece at a time: what comes in is written in between.
            Ok(true) => self.prune_at = now.mono + GATHER,
            Ok(false) => {}
            Err(trouble) => {
                self.fail(now, &trouble);
            }
        }
    }

    /// Gives the file up for a while, and says so once.
    fn fail(&mut self, now: Moment, trouble: &Trouble) -> bool {
        if trouble.is_damage() && self.store.is_some() {
            // Closed before it is moved.
            self.store = None;
            self.retry_at = Some(now.mono);
            if self.plan.path.clone().is_some_and(|path| self.put_aside(&path)) {
                return false;
            }
        }
        if !trouble.is_passing() {
            self.store = None;
        }
        self.retry_at = Some(now.mono + RETRY);
        if !self.in_trouble {
            self.in_trouble = true;
            let (trouble, remedy) = (trouble.to_string(), trouble.remedy());
            self.say(|path| {
                EventKind::Trouble(format!(
                    "the history cannot be written to {path}: {trouble}; it is kept in memory meanwhile ({remedy})"
                ))
            });
        }
        false
    }

    fn say(&mut self, words: impl FnOnce(String) -> EventKind) {
        if let Some(path) = &self.plan.path {
            (self.tell)(words(path.display().to_string()));
        }
    }

    /// Says once that somebody was too fast for the disk.
    fn tell_dropped(&mut self) {
        let dropped = self.shared.dropped.load(Relaxed);
        if dropped > 0 && !self.told_dropped {
            self.told_dropped = true;
            let words =
                format!("the history has gaps: {dropped} changes came faster than they could be written");
            (self.tell)(EventKind::Trouble(words));
        }
    }

    /// Returns what is remembered of each of these clients.
    pub(super) fn recall(&mut self, keys: &[Arc<str>]) -> Answer {
        let now = (self.clock)();
        if self.retry_at.is_none() && self.store.is_some() {
            self.flush(now);
        }
        match self.store.as_ref().map(|store| store.past(keys, now.wall_ms)) {
            Some(Ok(answer)) => return answer,
            Some(Err(trouble)) => {
                self.fail(now, &trouble);
            }
            None => {}
        }
        let known = [Span::new(self.run.began_ms, now.wall_ms)];
        let past = |key: &Arc<str>| {
            let stays = self.ring.stays(key, now.wall_ms);
            let from = stays.iter().map(|stay| stay.span.from).min()?;
            let known = known.map(|span| Span::new(span.from.max(from), span.to));
            Some(Arc::new(Timeline::new(stays, &known).past(now.wall_ms)))
        };
        keys.iter().map(past).collect()
    }

    #[cfg(all(test, feature = "history"))]
    pub(super) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// Writes the last of it and closes the file; returns what could not be written.
    pub(super) fn end(mut self) -> Option<String> {
        let now = (self.clock)();
        let path = self.plan.path.clone()?;
        let written = (self.store.is_some() || self.open(now)) && self.flush(now);
        let ended = match self.store.take() {
            Some(store) if written => {
                store.end(self.closing_ms.unwrap_or(now.wall_ms)).map_err(|trouble| trouble.to_string())
            }
            _ => Err(format!("{} changes are not in it", self.ring.len())),
        };
        ended.err().map(|words| format!("the history in {} is incomplete: {words}", path.display()))
    }
}
