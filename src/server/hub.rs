//! The one task that owns the registry: it hears, judges and publishes.

mod door;
mod drain;
mod notify;
mod terms;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::fanout::Fanout;
use super::handle::{HubHandle, ToHub};
use super::ledger::{Ledger, Question};
use super::record::RecordBook;
use super::roll::{KnownList, Roll, names};
use super::rules::Rules;
use super::screen::Screen;
use super::spread::Spread;
use super::throttle::Throttle;
use crate::clock::Watch;
use crate::presence::command::Command;
use crate::presence::event::Origin;
use crate::presence::known::Known;
use crate::presence::registry::{Limits, Registry};
use crate::presence::span::brief;
use crate::presence::trust::TrackRecord;
use crate::presence::view::View;
use crate::presence::{ConnNo, Departure, Event, EventKind, Reason, Settings};
use crate::protocol::{Registration, ServerMessage};
use notify::Post;
pub(crate) use notify::Posting;

/// How many messages are heard before it looks at the clock again.
const HEARD_AT_ONCE: usize = 256;
/// The hub looks at the clock this often while anybody is here, so that it knows when it could not.
const TICK: Duration = Duration::from_millis(500);
/// Waking up this much too late is a pause of our own: a stopped process, a machine that stands still.
const HELD_UP: Duration = Duration::from_millis(100);
/// A pause this long is worth a line.
const WORTH_SAYING: Duration = Duration::from_secs(1);
/// How long the sessions then have to read what came meanwhile, before anybody is judged.
const READ_FIRST: Duration = Duration::from_millis(20);
/// The least time between two sweeps.
const SWEEP_PERIOD: Duration = Duration::from_millis(5);
/// Clients asked to leave, or to come back, per second: a herd is let through a gate.
pub const HERD_PER_S: u32 = 500;

/// What a server is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// What `welcome` calls this server.
    pub name: String,
    /// Interval and timeout.
    pub settings: Settings,
    /// How many may be here.
    pub limits: Limits,
    /// How long a connection may take to register.
    pub register_timeout: Duration,
    /// Who was known before a restart.
    pub expected: Vec<Known>,
    /// What the clients are called that ought to be here.
    pub expect_names: Vec<String>,
}

/// What a server did in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Sessions that registered.
    pub sessions: u64,
    /// What it knows of its own mistakes.
    pub record: TrackRecord,
    /// Events that a subscriber was too slow to take.
    pub events_dropped: u64,
    /// Connections that did not end in time.
    pub left_behind: usize,
}

/// The owner of the registry.
#[derive(Debug)]
pub(crate) struct Hub {
    registry: Registry,
    fanout: Fanout,
    handle: HubHandle,
    inbox: mpsc::Receiver<ToHub>,
    subscribers: Vec<mpsc::Sender<Arc<Event>>>,
    screen: Screen,
    roll: Roll,
    ledger: Ledger,
    /// When somebody's silence may be over the line; `None` while nobody is here or was.
    judge_at: Option<Instant>,
    /// When it last looked at the clock.
    looked_at: Instant,
    /// Tells of suspends, which the clock it looks at knows nothing of.
    watch: Watch,
    spread: Spread,
    /// The interval everybody was told last, and until when no flood is held against anybody.
    agreed: Duration,
    calm_until: Instant,
    /// When the drain ends, once it has begun.
    drained_at: Option<Instant>,
    refusals: Throttle,
    record: RecordBook,
    post: Post,
    name: String,
    summary: Summary,
}

impl Hub {
    /// Makes a hub, and the handle for its sessions.
    pub(crate) fn new(options: Options) -> (Self, HubHandle) {
        let Options { name, settings, limits, register_timeout, expected, expect_names } = options;
        let mut registry = Registry::new(settings, limits);
        let spread = Spread::of(expected.len());
        registry.expect(now(), expected, &names(expect_names), spread);
        let rules = Rules::new(registry.revision(), settings, register_timeout);
        rules.set_flood_factor(limits.flood_factor);
        let (handle, inbox) = HubHandle::new(rules);
        // Rows that are expected may grow old enough to be forgotten.
        let judge_at = (registry.counts().total() > 0).then(|| now() + TICK);
        let screen = Screen::new(now(), &registry, handle.rules());
        let hub = Self {
            registry,
            fanout: Fanout::default(),
            handle: handle.clone(),
            inbox,
            subscribers: Vec::new(),
            screen,
            roll: Roll::default(),
            ledger: Ledger::default(),
            judge_at,
            looked_at: now(),
            watch: Watch::start(),
            spread: Spread::new(now()),
            agreed: settings.interval(),
            calm_until: now(),
            drained_at: None,
            refusals: Throttle::default(),
            record: RecordBook::new(now()),
            post: Post::default(),
            name,
            summary: Summary::default(),
        };
        (hub, handle)
    }

    /// Returns every event from now on. A subscriber that does not keep up loses events, and the loss is counted.
    pub(crate) fn subscribe(&mut self, capacity: usize) -> mpsc::Receiver<Arc<Event>> {
        let (tx, rx) = mpsc::channel(capacity);
        self.subscribers.push(tx);
        rx
    }

    /// Returns the view a screen asks for with [`Command::Show`].
    pub(crate) fn views(&self) -> watch::Receiver<Arc<View>> {
        self.screen.views()
    }

    /// Returns where it tells who is known, to be kept across a restart.
    pub(crate) fn known(&self) -> watch::Sender<KnownList> {
        self.roll.sender()
    }

    /// Runs until it is asked to drain and everybody has left, or has been given the time to; or until it is halted.
    pub(crate) async fn run(mut self, drain: CancellationToken, halt: CancellationToken) -> Summary {
        let mut heard = Vec::with_capacity(HEARD_AT_ONCE);
        loop {
            let wake = self.next_wake();
            tokio::select! {
                biased;
                () = halt.cancelled() => return self.sum_up(),
                () = drain.cancelled(), if self.drained_at.is_none() => self.begin_drain(now()),
                _ = self.inbox.recv_many(&mut heard, HEARD_AT_ONCE) => {}
                () = sleep_until(wake) => {}
            }
            let now = now();
            self.notice_pause(now, wake);
            for message in heard.drain(..) {
                self.hear(now, message);
            }
            if self.registry.balance(now) {
                self.announce(now);
            }
            if self.refusals.due().is_some_and(|at| at <= now) {
                self.count_refused(now);
            }
            self.judge(now);
            self.refresh_spread(now);
            if self.publish(now) {
                return self.sum_up();
            }
        }
    }

    /// Returns when there is something to do without being told.
    fn next_wake(&self) -> Option<Instant> {
        let called = self.registry.roll_due();
        let stretched = self.registry.settings() != self.registry.asked();
        let watched = self.registry.counts().live() > 0 || called.is_some() || stretched;
        let tick = watched.then(|| self.looked_at + TICK);
        let (screen, roll) = (self.screen.due(&self.registry), self.roll.due(self.looked_at, &self.registry));
        let (posted, refused) = (self.post.deliveries.due(), self.refusals.due());
        [tick, called, self.judge_at, self.fanout.due(), self.drained_at, screen, roll, posted, refused]
            .into_iter()
            .flatten()
            .min()
    }

    fn hear(&mut self, now: Instant, message: ToHub) {
        match message {
            ToHub::Join(knock) => self.join(now, *knock),
            ToHub::Refused { peer, code, message } => self.refused(now, peer, code, message),
            ToHub::Reclaim { conn, again, certified } => {
                let Registration { claim, mut profile, .. } = *again;
                let row = self.registry.row_of(conn).filter(|_| certified);
                profile.user = row.map_or(profile.user, |(_, row)| row.profile.user.clone());
                self.registry.update(now, conn, Some(claim), profile);
            }
            ToHub::Update(conn, update) => self.update(now, conn, *update),
            ToHub::Woke(conn) => {
                self.registry.woke(now, conn);
                // It can be late again long before it could have timed out.
                self.judge_soon(now);
            }
            ToHub::Flooding(conn) => self.flooding(now, conn),
            ToHub::Followed(conn) => {
                self.registry.followed(now, conn);
                // Its deadline may be nearer now than anybody has reckoned with.
                self.judge_soon(now);
                self.screen.touch();
            }
            ToHub::Closed(conn, departure) => {
                self.fanout.remove(conn);
                self.depart(now, conn, departure);
            }
            ToHub::Chat(conn, chat) => self.chat(conn, *chat),
            ToHub::Notify(conn, notification) => self.notify_for(now, conn, &notification),
            ToHub::Receipt(conn, number) => self.receipt(conn, number),
            ToHub::Sync(conn, from) => self.fanout.sync(now, conn, from, &self.registry),
            ToHub::NextPage(conn) => self.fanout.next_page(now, conn, &self.registry),
            ToHub::Command(command) => self.obey(now, *command),
            ToHub::Reload(terms) => {
                self.registry.set_limits(terms.limits);
                self.registry.list(now, &names(terms.expect_names));
                self.handle.rules().set_register_timeout(terms.register_timeout);
                self.handle.rules().set_flood_factor(terms.limits.flood_factor);
                self.set(now, terms.settings, Origin::Reload);
                self.judge_by(now);
                self.screen.touch();
            }
            ToHub::Note(kind) => self.registry.note(now, kind),
            ToHub::Ask(question) => {
                if matches!(*question, Question::Rows(..)) {
                    self.registry.watch();
                }
                self.ledger.answer(now, *question, &self.registry, self.handle.rules());
            }
        }
    }

    fn obey(&mut self, now: Instant, command: Command) {
        match command {
            Command::Show(window) => {
                self.registry.watch();
                self.screen.show(window);
            }
            Command::Set(settings, origin) => self.set(now, settings, origin),
            Command::Kick(row, block) => {
                if let Some(span) = block {
                    self.registry.block(row, now + span);
                }
                if let Some(conn) = self.registry.conn_of(row) {
                    let detail = block.map_or_else(String::new, |span| format!("for {}", brief(span)));
                    self.fanout.kick(conn, Reason::Kicked.into());
                    self.depart(now, conn, Departure::new(Reason::Kicked, detail));
                }
            }
            Command::Acknowledge(row) => self.registry.acknowledge(now, row),
            Command::Dismiss(row) => self.registry.dismiss(now, row),
            Command::Notify(notification) => self.notify(now, &notification),
            // What only a client can do, and stopping, which the program does.
            Command::BeatNow
            | Command::Say { .. }
            | Command::Read { .. }
            | Command::Hold(_)
            | Command::Reconnect
            | Command::Awake { .. }
            | Command::Note(_)
            | Command::Quit => {}
        }
        self.screen.touch();
    }

    fn depart(&mut self, now: Instant, conn: ConnNo, departure: Departure) {
        if self.registry.depart(now, conn, departure) {
            self.judge_by(now + self.registry.limits().retention);
        }
    }

    /// Makes sure that the next look at everybody's silence is no later than this.
    fn judge_by(&mut self, at: Instant) {
        self.judge_at = Some(self.judge_at.map_or(at, |known| known.min(at)));
    }

    /// Makes sure that whoever was heard now is looked at as soon as it can be late.
    fn judge_soon(&mut self, now: Instant) {
        self.judge_by(now + self.registry.settings().interval());
    }

    /// Compares the clock with when it should have been looked at: what lies between was a pause of our own,
    /// and so was a suspend of the machine.
    fn notice_pause(&mut self, now: Instant, wake: Option<Instant>) {
        self.looked_at = now;
        let overslept = wake.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let pause = self.watch.lap(overslept).total();
        if pause < HELD_UP {
            return;
        }
        self.registry.forgive(now, pause);
        self.calm(now, self.agreed); // What was said meanwhile comes all at once.
        self.post.deliveries.forgive(pause);
        if pause >= WORTH_SAYING && self.registry.counts().live() > 0 {
            let words = format!("I was paused for {}; nobody is blamed for that time", brief(pause));
            self.registry.note(now, EventKind::Trouble(words));
        }
        // What a session has read and not noted yet is neither in the socket nor in the pulse: let them go first.
        if let Some(due) = self.judge_at {
            self.judge_at = Some(due.max(now + READ_FIRST));
        }
    }

    /// Judges, when somebody's time may be up.
    fn judge(&mut self, now: Instant) {
        if self.drained_at.is_none() {
            self.registry.call_roll(now);
        }
        if self.judge_at.is_none_or(|at| at > now) {
            return;
        }
        if let Some(news) = self.record.turn(now, || self.registry.record()) {
            self.registry.note(now, news);
        }
        let rows = self.registry.counts().total();
        let verdict = self.registry.sweep(now, |conn| self.fanout.sees_unread(conn));
        self.ledger.swept(now, rows.saturating_sub(self.registry.counts().total()));
        for conn in verdict.convicted {
            self.fanout.kick(conn, Reason::Timeout.into());
        }
        for conn in verdict.probes {
            self.fanout.tell(conn, &ServerMessage::Probe);
        }
        self.judge_at = verdict.next.map(|next| next.max(now + SWEEP_PERIOD));
    }

    /// Passes on what happened and sends what is due; returns whether all is done.
    fn publish(&mut self, now: Instant) -> bool {
        self.settle_notifications(now);
        for event in self.registry.take_events() {
            self.fanout.note(now, &event);
            if self.post.is_errand(&event) {
                continue;
            }
            let event = Arc::new(event);
            self.screen.note(&event);
            self.tell(&event);
        }
        self.forget_messengers();
        self.post.told();
        self.fanout.flush(now, &self.registry);
        self.screen.publish(now, &self.registry, self.handle.rules());
        self.roll.publish(now, &self.registry);
        self.drained_at.is_some_and(|at| self.end_drain(now, at))
    }

    /// Tells an event to whoever listens to all of them.
    fn tell(&mut self, event: &Arc<Event>) {
        self.ledger.note(event, &self.registry);
        for subscriber in &self.subscribers {
            self.summary.events_dropped += u64::from(subscriber.try_send(event.clone()).is_err());
        }
    }

    fn sum_up(&self) -> Summary {
        Summary { record: self.registry.record(), ..self.summary }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
