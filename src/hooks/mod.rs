//! What is run or told outside when clients come and go.
//!
//! One task owns everything here. It takes events from a bounded queue, waits
//! a moment to see whether many are one, and hands the result to commands and
//! to the webhook, each behind a bounded queue of its own. Whatever they do,
//! nobody waits for them: what does not fit is dropped and counted.

mod call;
mod collect;
mod complaints;
mod process;
mod webhook;

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::config::{HookCommand, HooksConfig};
use crate::presence::{Event, EventKind, RowKey};
use crate::tasks;
use call::Call;
use collect::Collector;
use complaints::Complaints;
use webhook::Webhook;

/// How many events may wait to be looked at.
const EVENTS_WAITING: usize = 16 * 1024;
/// How many calls may wait to be run, and as many to be posted.
const CALLS_WAITING: usize = 256;
/// How many commands run at once.
const RUNNING_MAX: usize = 4;
/// How many remarks may wait to be said.
const NEWS_WAITING: usize = 16;

/// How long things may take. The default is what the documents promise; tests are in a hurry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long a command may run before it and all it started are killed.
    pub command: Duration,
    /// How long a flip waits for others to be told with.
    pub group: Duration,
    /// How long a webhook may take to answer.
    pub answer: Duration,
    /// About how long it is left alone after it did not; after the second time, four times as long.
    pub retry: Duration,
    /// How long running commands and posts have when the server stops.
    pub farewell: Duration,
    /// The least time between two complaints about the same thing.
    pub complaint: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            command: Duration::from_secs(10),
            group: Duration::from_secs(5),
            answer: Duration::from_secs(10),
            retry: Duration::from_secs(2),
            farewell: Duration::from_secs(1),
            complaint: Duration::from_mins(1),
        }
    }
}

/// Hooks at work.
#[derive(Debug)]
pub struct Hooks {
    ear: Ear,
    task: AbortOnDropHandle<()>,
}

/// Where events are told to hooks; never waits.
#[derive(Debug, Clone)]
pub struct Ear {
    events: mpsc::Sender<Arc<Event>>,
    missed: Arc<AtomicU64>,
}

impl Ear {
    /// Tells of an event.
    pub fn hear(&self, event: &Arc<Event>) {
        let matters = matches!(
            event.kind,
            EventKind::Joined
                | EventKind::Resumed { .. }
                | EventKind::Gone { .. }
                | EventKind::NotBack { .. }
                | EventKind::Acknowledged { .. }
                | EventKind::Draining { .. }
        );
        if matters && self.events.try_send(event.clone()).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Hooks {
    /// Starts what the settings ask for, and returns where it says what went wrong; `None` when they ask for nothing.
    ///
    /// `server` is what the server calls itself. To be called inside a runtime.
    #[must_use]
    pub fn start(
        config: &HooksConfig,
        server: &str,
        patience: Patience,
    ) -> Option<(Self, mpsc::Receiver<EventKind>)> {
        let HooksConfig { commands, events, webhook, muted } = config;
        if events.is_empty() || (commands.is_empty() && webhook.is_none()) {
            return None;
        }
        let (tx, heard) = mpsc::channel(EVENTS_WAITING);
        let (news, told) = mpsc::channel(NEWS_WAITING);
        let ear = Ear { events: tx, missed: Arc::new(AtomicU64::new(0)) };
        let webhook = webhook.clone().map(|url| Webhook::start(url, patience, news.clone()));
        let complaints = (commands.iter())
            .map(|command| Complaints::new(format!("hook {}", command.written), patience.complaint))
            .collect();
        let worker = Worker {
            collector: Collector::new(events, muted, patience.group),
            server: server.into(),
            commands: commands.iter().cloned().map(Arc::new).collect(),
            complaints,
            webhook,
            waiting: VecDeque::new(),
            busy: Vec::new(),
            running: JoinSet::new(),
            dropped: 0,
            missed: ear.missed.clone(),
            patience,
            news,
        };
        let task = AbortOnDropHandle::new(tasks::spawn(worker.run(heard)));
        Some((Self { ear, task }, told))
    }

    /// Returns where events are told.
    #[must_use]
    pub fn ear(&self) -> Ear {
        self.ear.clone()
    }

    /// Ends once every [`Ear`] is gone: what was heard is told, as far as that can be done in a moment.
    pub async fn finish(self) {
        let Self { ear, task } = self;
        drop(ear);
        let _ = task.await; // It limits itself.
    }
}

/// One command that is to be run for one call.
#[derive(Debug)]
struct Job {
    command: usize,
    call: Arc<Call>,
}

/// The task behind it all.
#[derive(Debug)]
struct Worker {
    collector: Collector,
    server: Arc<str>,
    commands: Vec<Arc<HookCommand>>,
    /// One for each command.
    complaints: Vec<Complaints>,
    webhook: Option<Webhook>,
    waiting: VecDeque<Job>,
    /// Which commands run for whom: two calls about one client are never run side by side.
    busy: Vec<(usize, Option<RowKey>)>,
    running: JoinSet<Done>,
    /// Calls that were dropped since the queue was last empty.
    dropped: u64,
    /// Events that were dropped since that was last said.
    missed: Arc<AtomicU64>,
    patience: Patience,
    news: mpsc::Sender<EventKind>,
}

/// A command that was run, for whom, and what became of it.
type Done = (usize, Option<RowKey>, Result<(), String>);

impl Worker {
    async fn run(mut self, mut heard: mpsc::Receiver<Arc<Event>>) {
        loop {
            let due = self.collector.due();
            tokio::select! {
                event = heard.recv() => match event {
                    Some(event) if self.collector.hear(&event) => {}
                    Some(_) => self.drop_one(),
                    None => break,
                },
                () = sleep_until(due) => self.call(now()),
                Some(done) = self.running.join_next() => self.done(done.ok()),
            }
            self.start_waiting();
            self.own_up();
        }
        self.call(now());
        self.start_waiting();
        let farewell = self.patience.farewell;
        let rest = async {
            while let Some(done) = self.running.join_next().await {
                self.done(done.ok());
                self.start_waiting();
            }
            if let Some(webhook) = self.webhook.take() {
                webhook.finish().await;
            }
        };
        // Whatever still runs then is killed as this is dropped.
        let _ = timeout(farewell, rest).await;
    }

    /// Queues what has waited long enough.
    fn call(&mut self, now: Instant) {
        for group in self.collector.take() {
            let call = Arc::new(Call::new(now, &self.server, &group));
            if self.webhook.as_ref().is_some_and(|webhook| !webhook.post(call.body.clone())) {
                self.drop_one();
            }
            for command in 0..self.commands.len() {
                if self.waiting.len() < CALLS_WAITING {
                    self.waiting.push_back(Job { command, call: call.clone() });
                } else {
                    self.drop_one();
                }
            }
        }
    }

    fn drop_one(&mut self) {
        if self.dropped == 0 {
            let words = format!("hooks cannot keep up: calls are dropped while {CALLS_WAITING} wait");
            self.say(EventKind::Trouble(words));
        }
        self.dropped += 1;
    }

    /// Runs as many as may run at once.
    fn start_waiting(&mut self) {
        while self.running.len() < RUNNING_MAX {
            let free = |job: &Job| !self.busy.contains(&(job.command, job.call.row));
            let Some(at) = self.waiting.iter().position(free) else { return };
            let Some(Job { command: index, call }) = self.waiting.remove(at) else { return };
            let Some(command) = self.commands.get(index).cloned() else { continue };
            self.busy.push((index, call.row));
            let limit = self.patience.command;
            self.running.spawn(async move {
                let done = process::run(&command, &call, limit).await;
                (index, call.row, done)
            });
        }
    }

    fn done(&mut self, done: Option<Done>) {
        let Some((index, row, result)) = done else { return };
        if let Some(at) = self.busy.iter().position(|busy| *busy == (index, row)) {
            self.busy.swap_remove(at);
        }
        if let (Err(words), Some(complaints)) = (result, self.complaints.get_mut(index))
            && let Some(words) = complaints.about(now(), &words)
        {
            self.say(EventKind::Trouble(words));
        }
    }

    /// Says what was dropped, once it is over.
    fn own_up(&mut self) {
        let is_idle = self.waiting.is_empty() && self.webhook.as_ref().is_none_or(Webhook::is_idle);
        if self.dropped > 0 && is_idle {
            let words = format!("hooks have caught up: {} calls were dropped", self.dropped);
            self.dropped = 0;
            self.say(EventKind::Notice(words));
        }
        let missed = self.missed.swap(0, Ordering::Relaxed);
        if missed > 0 {
            self.say(EventKind::Trouble(format!("hooks did not hear of {missed} events: too many at once")));
        }
    }

    fn say(&self, news: EventKind) {
        let _ = self.news.try_send(news); // What nobody takes in time is in the log.
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => pending().await,
    }
}
