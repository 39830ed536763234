//! Where a client's state is kept for others to see: published at most 10 times a second.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::notice::Notice;
use super::peers::{Learned, PeerChange, Peers};
use crate::presence::view::{Link, Uplink};
use crate::protocol::clean;

/// The shortest time between two states, unless the link itself changed.
pub const PUBLISH_GAP: Duration = Duration::from_millis(100);
/// How many round trips are remembered.
const RTTS_MAX: usize = 120;
/// How many notices wait for a reader before further ones are dropped and counted.
pub const NOTICES_MAX: usize = 1_024;

/// Everything a screen needs to know of a client.
#[derive(Debug, Clone)]
pub struct JoinState {
    /// When it was taken.
    pub at: std::time::Instant,
    /// This client's own connection.
    pub uplink: Uplink,
    /// The others.
    pub peers: Arc<Peers>,
    /// How many lines of the server were no messages.
    pub bad_lines: u64,
    /// How many notices nobody had room for.
    pub notices_dropped: u64,
}

/// The one place that writes a client's state; the session and the engine both report here.
#[derive(Debug)]
pub struct Desk {
    /// This client's own connection.
    pub uplink: Uplink,
    /// The others, as they are now.
    pub peers: Peers,
    /// The others, as last published.
    shown: Arc<Peers>,
    peers_changed: bool,
    changed: bool,
    bad_lines: u64,
    notices_dropped: u64,
    published: Instant,
    state: watch::Sender<Arc<JoinState>>,
    notices: mpsc::Sender<Notice>,
}

impl Desk {
    /// Opens a desk; the other ends see the state and the notices.
    #[must_use]
    pub fn open(
        uplink: Uplink,
        now: Instant,
    ) -> (Self, watch::Receiver<Arc<JoinState>>, mpsc::Receiver<Notice>) {
        let shown = Arc::new(Peers::default());
        let first = JoinState {
            at: now.into_std(),
            uplink: uplink.clone(),
            peers: Arc::clone(&shown),
            bad_lines: 0,
            notices_dropped: 0,
        };
        let (state, states) = watch::channel(Arc::new(first));
        let (notices, heard) = mpsc::channel(NOTICES_MAX);
        let desk = Self {
            uplink,
            peers: Peers::default(),
            shown,
            peers_changed: false,
            changed: false,
            bad_lines: 0,
            notices_dropped: 0,
            published: now,
            state,
            notices,
        };
        (desk, states, heard)
    }

    /// Says when the server falls silent and when it answers again.
    ///
    /// `late` is the oldest beat whose answer is overdue, and `silent` the one
    /// of the last time. Returns what is `silent` the next time.
    pub fn answering(
        &mut self,
        late: Option<Instant>,
        silent: Option<Instant>,
        now: Instant,
    ) -> Option<Instant> {
        match (late, silent) {
            (Some(oldest), None) => {
                self.say(Notice::Silent { unanswered: now - oldest });
                Some(oldest)
            }
            (None, Some(oldest)) => {
                self.say(Notice::Answering { after: now - oldest });
                None
            }
            _ => silent,
        }
    }

    /// Says what happened; a reader that is too slow misses it, and the miss is counted.
    pub fn say(&mut self, notice: Notice) {
        self.tell(notice);
    }

    /// As [`Self::say`]; returns whether a reader will have it.
    pub fn tell(&mut self, notice: Notice) -> bool {
        tracing::debug!(notice = ?notice);
        let told = self.notices.try_send(notice).is_ok();
        if !told {
            self.notices_dropped = self.notices_dropped.saturating_add(1);
        }
        self.changed = true;
        told
    }

    /// Takes note that the uplink changed.
    pub fn touch(&mut self) {
        self.changed = true;
    }

    /// Changes how the connection stands, and shows it without waiting.
    pub fn link(&mut self, link: Link, now: Instant) {
        if self.uplink.link != link {
            self.uplink.link = link;
            self.publish(now);
        }
    }

    /// Counts one beat that was answered, or never will be.
    pub fn beat(&mut self, rtt: Option<Duration>) {
        match rtt {
            Some(_) => self.uplink.answered += 1,
            None => self.uplink.unanswered += 1,
        }
        if self.uplink.rtts.len() >= RTTS_MAX {
            self.uplink.rtts.remove(0);
        }
        self.uplink.rtts.push(rtt);
        self.changed = true;
    }

    /// Counts a line that is no message; of many only some are told, for the server chooses how many there are.
    pub fn bad_line(&mut self, why: Arc<str>) {
        self.bad_lines = self.bad_lines.saturating_add(1);
        self.changed = true;
        if self.bad_lines.is_power_of_two() {
            self.say(Notice::BadLine { why, count: self.bad_lines });
        }
    }

    /// Tells what was learned of the peers.
    pub fn learned(&mut self, learned: &Learned) {
        self.peers_changed = true;
        self.changed = true;
        for change in &learned.changes {
            self.say(match change {
                PeerChange::Joined(peer) => Notice::PeerJoined { label: Arc::clone(&peer.label) },
                PeerChange::Late(peer) => Notice::PeerLate { label: Arc::clone(&peer.label) },
                PeerChange::Back(peer) => Notice::PeerBack { label: Arc::clone(&peer.label) },
                PeerChange::Listed(peers) => Notice::Roster { peers: *peers },
                PeerChange::Left(peer) => {
                    let Some((_, departure)) = &peer.gone else { continue };
                    Notice::PeerLeft { label: Arc::clone(&peer.label), departure: departure.clone() }
                }
            });
        }
    }

    /// Takes note that heartbeats are held back, or go out again.
    pub fn hold(&mut self, holding: bool) {
        if self.uplink.holding != holding {
            self.uplink.holding = holding;
            self.say(Notice::Holding(holding));
        }
    }

    /// Takes note of a suspend: what lasts has lasted longer than the monotonic clock says.
    pub fn suspended(&mut self, span: Duration) {
        if let Some((lost, _, None)) = &mut self.uplink.last_loss {
            *lost = lost.checked_sub(span).unwrap_or(*lost);
            self.changed = true;
        }
    }

    /// Takes this client's note, as others will see it.
    pub fn note(&mut self, note: &str) {
        self.uplink.note = clean::name(note);
        self.changed = true;
    }

    /// Forgets departed peers.
    pub fn dismiss(&mut self, key: Option<crate::presence::RowKey>) {
        self.peers.dismiss(key);
        self.peers_changed = true;
        self.changed = true;
    }

    /// Returns when there is something to publish and it may be.
    #[must_use]
    pub fn publish_at(&self) -> Option<Instant> {
        self.changed.then(|| self.published + PUBLISH_GAP)
    }

    /// Publishes what changed, unless that was done a moment ago.
    pub fn publish_due(&mut self, now: Instant) {
        if self.publish_at().is_some_and(|at| at <= now) {
            self.publish(now);
        }
    }

    /// Publishes at once.
    pub fn publish(&mut self, now: Instant) {
        if self.peers_changed {
            self.shown = Arc::new(self.peers.clone());
        }
        (self.changed, self.peers_changed, self.published) = (false, false, now);
        self.state.send_replace(Arc::new(JoinState {
            at: now.into_std(),
            uplink: self.uplink.clone(),
            peers: Arc::clone(&self.shown),
            bad_lines: self.bad_lines,
            notices_dropped: self.notices_dropped,
        }));
    }
}
