//! What the `join` screen sees: this client, its peers through a window, and what happened.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::desk::JoinState;
use super::notice::{Letter, Notice};
use super::peers::{Peer, Peers};
use crate::presence::command::Command;
use crate::presence::pulse::BeatStrip;
use crate::presence::row::Counts;
use crate::presence::trust::TrackRecord;
use crate::presence::view::{Alert, Alerts, Rollout, RowView, Uplink, View};
use crate::presence::viewer::{Fleet, Glance, Viewer};
use crate::presence::{Event, EventKind, Revision, RowKey, State};

/// The least time between two views.
const VIEW_PERIOD: Duration = Duration::from_millis(100);
/// How many events are kept to be scrolled through.
const EVENTS_KEPT: usize = 500;
/// How many notifications are kept until they are read; beyond that the oldest goes, and stays in the events.
pub const LETTERS_MAX: usize = 32;
/// How many alerts are shown by name.
const ALERTS_NAMED: usize = 8;
/// How many commands of the screen may wait.
const COMMANDS_WAITING: usize = 64;

/// What a screen is handed.
#[derive(Debug)]
pub struct Panes {
    /// This client's own connection.
    pub uplink: watch::Receiver<Arc<Uplink>>,
    /// The others.
    pub peers: watch::Receiver<Arc<View>>,
    /// Where the screen's wishes go.
    pub commands: mpsc::Sender<Command>,
}

/// Stands between an engine and a screen: answers the screen's window, and passes on the rest.
#[derive(Debug)]
pub struct Window {
    states: watch::Receiver<Arc<JoinState>>,
    notices: mpsc::Receiver<Notice>,
    wishes: mpsc::Receiver<Command>,
    engine: mpsc::Sender<Command>,
    uplink: watch::Sender<Arc<Uplink>>,
    peers: watch::Sender<Arc<View>>,
    viewer: Viewer,
    /// Departures this person has acknowledged; nobody else is told.
    acked: HashSet<RowKey>,
    events: VecDeque<Arc<Event>>,
    /// Notifications nobody has read yet.
    letters: VecDeque<(std::time::Instant, Arc<Letter>)>,
    last_seq: u64,
}

enum News {
    State,
    Notice(Option<Notice>),
    Wish(Option<Command>),
    Reorder,
}

impl Window {
    /// Opens a window on an engine; its other end goes to the screen.
    #[must_use]
    pub fn open(
        states: watch::Receiver<Arc<JoinState>>,
        notices: mpsc::Receiver<Notice>,
        engine: mpsc::Sender<Command>,
    ) -> (Self, Panes) {
        let state = Arc::clone(&states.borrow());
        let mut viewer = Viewer::default();
        let first = view(&state, &mut viewer, &HashSet::new(), &VecDeque::new(), Instant::now());
        let (uplink, uplink_seen) = watch::channel(Arc::new(state.uplink.clone()));
        let (peers, peers_seen) = watch::channel(Arc::new(first));
        let (commands, wishes) = mpsc::channel(COMMANDS_WAITING);
        let window = Self {
            states,
            notices,
            wishes,
            engine,
            uplink,
            peers,
            viewer,
            acked: HashSet::new(),
            events: VecDeque::new(),
            letters: VecDeque::new(),
            last_seq: 0,
        };
        (window, Panes { uplink: uplink_seen, peers: peers_seen, commands })
    }

    /// Serves the screen until the engine has ended.
    pub async fn run(mut self) {
        let mut shown_at = Instant::now();
        let mut stale = true;
        loop {
            if stale && shown_at.elapsed() >= VIEW_PERIOD {
                (stale, shown_at) = (false, Instant::now());
                self.show(shown_at);
            }
            let due = shown_at + VIEW_PERIOD;
            let news = tokio::select! {
                biased;
                wish = self.wishes.recv() => News::Wish(wish),
                notice = self.notices.recv() => News::Notice(notice),
                changed = self.states.changed() => if changed.is_ok() { News::State } else { return },
                () = tokio::time::sleep_until(due), if stale => News::Reorder,
            };
            stale = true;
            match news {
                News::State => {
                    self.states.mark_unchanged();
                    self.show_uplink();
                }
                News::Notice(Some(notice)) => self.note(&notice),
                // The engine has ended, or the screen: the last state stays up until somebody closes it.
                News::Notice(None) | News::Wish(None) => return self.show(Instant::now()),
                News::Wish(Some(wish)) => self.obey(wish).await,
                News::Reorder => {}
            }
        }
    }

    fn show_uplink(&self) {
        let uplink = self.states.borrow().uplink.clone();
        let letters = self.letters.iter().cloned().collect();
        self.uplink.send_replace(Arc::new(Uplink { letters, ..uplink }));
    }

    async fn obey(&mut self, wish: Command) {
        match wish {
            Command::Show(window) => self.viewer.show(window),
            Command::Acknowledge(Some(row)) => {
                self.acked.insert(row);
            }
            Command::Acknowledge(None) => {
                let state = Arc::clone(&self.states.borrow());
                let fresh: Vec<_> = failures(&state.peers, &self.acked).map(|peer| peer.key).collect();
                self.acked.extend(fresh);
            }
            Command::Read { all } => {
                let read = if all { self.letters.len() } else { self.letters.len().min(1) };
                self.letters.drain(..read);
                self.show_uplink();
            }
            other => {
                let _ = self.engine.send(other).await; // An engine that has ended has nothing more to do.
            }
        }
    }

    /// Keeps what happened, for the events pane and for the log.
    fn note(&mut self, notice: &Notice) {
        if let Notice::Notified(letter) = notice {
            if self.letters.len() == LETTERS_MAX {
                self.letters.pop_front();
            }
            self.letters.push_back((Instant::now().into_std(), Arc::new((**letter).clone())));
            self.show_uplink();
        }
        let words = notice.to_string();
        let kind = if notice.is_trouble() {
            tracing::warn!(event = notice.word(), message = ?words);
            EventKind::Trouble(words)
        } else {
            tracing::info!(event = notice.word(), message = ?words);
            EventKind::Notice(words)
        };
        self.last_seq += 1;
        if self.events.len() == EVENTS_KEPT {
            self.events.pop_front();
        }
        let at = Instant::now().into_std();
        self.events.push_back(Arc::new(Event { seq: self.last_seq, at, who: None, kind }));
    }

    fn show(&mut self, now: Instant) {
        let state = Arc::clone(&self.states.borrow());
        // Who is back may fail again, and be news again.
        self.acked.retain(|key| state.peers.get(*key).is_some_and(|peer| peer.gone.is_some()));
        let view = view(&state, &mut self.viewer, &self.acked, &self.events, now);
        self.peers.send_if_modified(|last| {
            let differs = !last.looks_like(&view);
            if differs {
                *last = Arc::new(view);
            }
            differs
        });
    }
}

/// Yields the peers that failed and were not acknowledged.
fn failures<'a>(peers: &'a Peers, acked: &'a HashSet<RowKey>) -> impl Iterator<Item = &'a Arc<Peer>> {
    peers.iter().filter(|peer| peer.state == State::TimedOut && !acked.contains(&peer.key))
}

fn view(
    state: &JoinState,
    viewer: &mut Viewer,
    acked: &HashSet<RowKey>,
    events: &VecDeque<Arc<Event>>,
    now: Instant,
) -> View {
    let roster = Roster { peers: &state.peers, acked, timeout: state.uplink.settings.timeout() };
    let page = viewer.look(now.into_std(), &roster);
    let skipped = events.len().saturating_sub(viewer.window().events);
    View {
        at: now.into_std(),
        counts: state.peers.counts(),
        connecting: 0,
        open: false,
        max_clients: 0,
        settings: state.uplink.settings,
        asked: state.uplink.settings,
        rev: Revision(0),
        rollout: Rollout::default(),
        matched: page.matched,
        offset: page.offset,
        rows: page.rows,
        grouped: page.grouped,
        selected: page.selected,
        alerts: alerts(&state.peers, acked),
        hold: None,
        outlook: None,
        posted: Vec::new(),
        reach: None,
        record: TrackRecord::default(),
        events: events.iter().skip(skipped).cloned().collect(),
    }
}

fn alerts(peers: &Peers, acked: &HashSet<RowKey>) -> Alerts {
    let mut failed: Vec<_> =
        failures(peers, acked).filter_map(|peer| Some((peer, peer.gone.as_ref()?))).collect();
    failed.sort_unstable_by_key(|(_, (since, _))| std::cmp::Reverse(*since));
    let named = failed.iter().take(ALERTS_NAMED).map(|(peer, (since, departure))| Alert {
        row: peer.key,
        label: Arc::clone(&peer.label),
        peer: address(peer),
        since: *since,
        departure: departure.clone(),
    });
    Alerts { unacked: failed.len(), newest: named.collect(), mass: None }
}

/// Returns a peer's claim as an address, if it is one and not a host name.
fn address(peer: &Peer) -> Option<SocketAddr> {
    Some(SocketAddr::new(peer.claim.ip.parse().ok()?, peer.claim.port))
}

/// The book of peers as a fleet to look at.
struct Roster<'a> {
    peers: &'a Peers,
    acked: &'a HashSet<RowKey>,
    timeout: Duration,
}

impl<'a> Roster<'a> {
    fn glimpse(&self, peer: &'a Peer) -> Glance<'a> {
        Glance {
            key: peer.key,
            conn: None,
            state: peer.state,
            acked: self.acked.contains(&peer.key),
            label: &peer.label,
            id: &peer.id,
            peer: address(peer),
            user: peer.user.as_ref(),
            tags: &peer.tags,
            last_seen: last_heard(peer),
            up_since: peer.up_since,
            gone_at: peer.gone.as_ref().map(|(at, _)| *at),
        }
    }
}

impl Fleet for Roster<'_> {
    fn counts(&self) -> Counts {
        self.peers.counts()
    }

    fn each(&self, visit: &mut dyn FnMut(Glance<'_>)) {
        for peer in self.peers.iter() {
            visit(self.glimpse(peer));
        }
    }

    fn glance(&self, key: RowKey) -> Option<Glance<'_>> {
        Some(self.glimpse(self.peers.get(key)?))
    }

    fn row(&self, _: std::time::Instant, key: RowKey) -> Option<RowView> {
        let peer = self.peers.get(key)?;
        Some(RowView {
            key,
            state: peer.state,
            label: Arc::clone(&peer.label),
            id: Arc::clone(&peer.id),
            peer: address(peer),
            claim: Some(peer.claim.to_string()),
            claim_differs: false,
            user: peer.user.clone(),
            device: peer.device.clone(),
            platform: None,
            tags: peer.tags.clone(),
            version: u8::from(!peer.id.starts_with('~')),
            dialect: crate::presence::Dialect::Presence,
            last_seen: last_heard(peer),
            deadline: None,
            timeout: self.timeout,
            rtt: None,
            jitter: None,
            gap: None,
            up_since: peer.up_since,
            strip: BeatStrip::default(),
            beats: 0,
            sessions: peer.sessions,
            gone: peer.gone.clone(),
            acked: self.acked.contains(&key),
            flapping: false,
            past: None,
            changed: peer.changed,
            group: None,
        })
    }
}

/// Returns when a peer was last heard, where that is known: a roster tells changes, and a beat is none.
fn last_heard(peer: &Peer) -> Option<std::time::Instant> {
    if peer.state == State::Online { None } else { peer.last_seen }
}
