//! What the server says, one message at a time.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use tokio::time::Instant;

use super::ending::{Ending, WAIT_MAX, is_final, millis, verdict};
use super::{Dialogue, Stage, WORDS_BYTES_MAX, words};
use crate::client::desk::Desk;
use crate::client::notice::{Letter, Notice};
use crate::client::peers::Learned;
use crate::client::roster::Batch;
use crate::presence::view::Link;
use crate::presence::{Revision, Settings};
use crate::protocol::message::{Chat, ErrorMessage, Pong};
use crate::protocol::notify::Receipt;
use crate::protocol::register::is_id;
use crate::protocol::{ClientMessage, ErrorCode, Notified, ServerMessage, Welcome, clean};

/// The longest resume secret that is worth keeping; no server accepts a longer one.
const SECRET_BYTES_MAX: usize = 256;

impl Dialogue {
    pub(super) fn message(
        &mut self,
        message: ServerMessage,
        now: Instant,
        desk: &mut Desk,
    ) -> ControlFlow<Ending> {
        let at = now.into_std();
        match message {
            ServerMessage::Welcome(welcome) => self.welcome(*welcome, now, desk),
            ServerMessage::Pong(pong) => self.pong(&pong, now, desk),
            ServerMessage::Config(it) => {
                if let Some(spread) = millis(it.spread_ms) {
                    self.spread = Some(spread);
                }
                // The rules it goes by, once more: only the spread is news, and nothing is to be acknowledged.
                let known = settings(it.interval_ms, it.timeout_ms) == Some(self.heart.settings());
                let followed = Revision(it.rev) == self.rev && known;
                if !followed && self.apply(it.rev, it.interval_ms, it.timeout_ms, now, desk) {
                    self.heart.acknowledge(now);
                }
            }
            ServerMessage::Probe => self.heart.hurry(now),
            // Whoever holds heartbeats back wants to be taken for dead, so this must not show life either.
            ServerMessage::Ping { seq } if !desk.uplink.holding => self.say(&ClientMessage::Pong { seq }),
            ServerMessage::ClientList(list) => {
                let learned = desk.peers.list(list, at);
                self.learned(&learned, desk);
            }
            ServerMessage::ClientJoined { rev, clients } => {
                let learned = desk.peers.batch(Batch::Joined { rev, clients }, at);
                self.learned(&learned, desk);
            }
            ServerMessage::ClientLeft { rev, clients } => {
                let learned = desk.peers.batch(Batch::Left { rev, clients }, at);
                self.learned(&learned, desk);
            }
            ServerMessage::Error(error) => return self.error(&error, now, desk),
            ServerMessage::Drain { reason, in_ms } => {
                let wait = millis(in_ms).unwrap_or(WAIT_MAX);
                self.leave_at = Some(now + wait);
                desk.say(Notice::Draining { reason: words(&reason), wait });
            }
            ServerMessage::Chat(chat) => hear(&chat, desk),
            ServerMessage::Notify(notified) => self.notified(*notified, desk),
            ServerMessage::Ping { .. } | ServerMessage::NotifyResult(_) | ServerMessage::Other => {}
        }
        Continue(())
    }

    /// Shows a notification, and confirms it if it could be shown.
    fn notified(&mut self, notified: Notified, desk: &mut Desk) {
        let Some(Notified { nid, title, body, from }) = notified.cleaned() else {
            return desk.bad_line("a notification without a number or without words".into());
        };
        let letter = Letter { from: from.into(), title: title.into(), body: body.into() };
        let shown = desk.tell(Notice::Notified(Box::new(letter)));
        // Whoever holds heartbeats back wants to be taken for dead, and a receipt would show life.
        if shown && !desk.uplink.holding {
            self.say(&ClientMessage::Receipt(Receipt { nid }));
        }
    }

    fn welcome(&mut self, welcome: Welcome, now: Instant, desk: &mut Desk) {
        self.spread = millis(welcome.spread_ms);
        if welcome.resume.len() <= SECRET_BYTES_MAX {
            self.secret = Some(welcome.resume);
        }
        if matches!(self.stage, Stage::Welcomed(_)) {
            self.apply(welcome.rev, welcome.interval_ms, welcome.timeout_ms, now, desk);
            return;
        }
        let settings = settings(welcome.interval_ms, welcome.timeout_ms);
        if settings.is_none() {
            desk.bad_line("welcome has an interval and a timeout that do not go together".into());
        }
        // Rules that cannot be are no reason to go: the base rules hold until better ones come.
        self.heart.agree(settings.unwrap_or_default(), now);
        self.rev = Revision(settings.map_or(0, |_| welcome.rev));
        if is_id(&welcome.id) {
            desk.uplink.id = welcome.id;
        }
        let resumed = welcome.resumed_ms.and_then(millis);
        let since = self.since().unwrap_or(now);
        self.registered(Stage::Welcomed(since), &clean::name(&welcome.server.name), resumed, now, desk);
    }

    /// Takes note that the server let this client in, one way or the other.
    pub(super) fn registered(
        &mut self,
        stage: Stage,
        server: &str,
        resumed: Option<Duration>,
        now: Instant,
        desk: &mut Desk,
    ) {
        let first = !self.is_registered();
        self.stage = stage;
        let (settings, legacy) = (self.heart.settings(), matches!(stage, Stage::Legacy(_)));
        let uplink = &mut desk.uplink;
        (uplink.legacy, uplink.settings) = (legacy, settings);
        if let Some((when, _, back @ None)) = &mut uplink.last_loss {
            *back = Some(now.into_std().saturating_duration_since(*when));
            uplink.reconnects = uplink.reconnects.saturating_add(u32::from(first));
        }
        desk.say(Notice::Registered {
            address: self.opening.address,
            server: server.into(),
            settings,
            legacy,
            resumed,
        });
        desk.link(Link::Online(now.into_std()), now);
    }

    fn pong(&mut self, pong: &Pong, now: Instant, desk: &mut Desk) {
        let hold = Duration::from_micros(pong.hold_us.unwrap_or(0));
        if let Some(answer) = self.heart.answered(pong.seq, hold, now) {
            (0..answer.skipped).for_each(|_| desk.beat(None));
            desk.beat(Some(answer.rtt));
        }
        if let (Some(rev), Some(interval_ms), Some(timeout_ms)) =
            (pong.rev, pong.interval_ms, pong.timeout_ms)
            && Revision(rev) != self.rev
            && self.apply(rev, interval_ms, timeout_ms, now, desk)
        {
            self.heart.acknowledge(now);
        }
    }

    /// Puts new settings in force; `false` if they cannot be, or mean nothing yet.
    fn apply(&mut self, rev: u32, interval_ms: u64, timeout_ms: u64, now: Instant, desk: &mut Desk) -> bool {
        if !matches!(self.stage, Stage::Welcomed(_)) {
            return false;
        }
        let Some(new) = settings(interval_ms, timeout_ms) else {
            desk.bad_line("an interval and a timeout that do not go together".into());
            return false;
        };
        let old = self.heart.settings();
        self.rev = Revision(rev);
        if new != old {
            self.heart.agree(new, now);
            desk.uplink.settings = new;
            desk.uplink.changed = Some((old, now.into_std()));
            desk.say(Notice::Settings { rev: self.rev, old, new });
        }
        true
    }

    fn learned(&mut self, learned: &Learned, desk: &mut Desk) {
        desk.learned(learned);
        if let Some(from) = learned.sync_from {
            self.say(&ClientMessage::Sync { from });
        }
    }

    fn error(&mut self, error: &ErrorMessage, now: Instant, desk: &mut Desk) -> ControlFlow<Ending> {
        let message = clean::line(&error.message, WORDS_BYTES_MAX);
        let error = ErrorMessage { code: error.code, message, retry_ms: error.retry_ms };
        desk.say(Notice::Refused { code: error.code.word(), message: error.message.as_str().into() });
        let greeting = matches!(self.stage, Stage::Greeting(_));
        // These are said of one line, and the conversation goes on.
        let of_a_line =
            matches!(error.code, ErrorCode::BadRequest | ErrorCode::Forbidden | ErrorCode::Unknown);
        let decided = error.retry_ms.is_some() || is_final(error.code);
        if greeting || (decided && !of_a_line) {
            return Break(verdict(error));
        }
        self.noted = Some((error, now));
        Continue(())
    }
}

fn hear(chat: &Chat, desk: &mut Desk) {
    let from = format!("{}:{}", chat.from_ip, chat.from_port);
    desk.say(Notice::Chat { from: words(&from), message: words(&chat.message) });
}

fn settings(interval_ms: u64, timeout_ms: u64) -> Option<Settings> {
    Settings::new(Duration::from_millis(interval_ms), Duration::from_millis(timeout_ms)).ok()
}
