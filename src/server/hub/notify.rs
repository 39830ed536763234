//! Notifications: who may send one, how it goes out, and what its sender is told.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use super::Hub;
use crate::presence::deliveries::{Deliveries, IN_FLIGHT_MAX};
use crate::presence::notify::Notification;
use crate::presence::{ConnNo, Event, EventKind, Reason, RowKey};
use crate::protocol::notify::notification;
use crate::protocol::{ErrorCode, Notified, NotifyResult, Registration, ServerMessage};
use crate::security::Rights;

/// How long a sender is asked to wait when too many notifications are on their way.
const BUSY_RETRY_MS: u64 = 5_000;

/// What the hub knows of notifications. Whoever never sends one costs nothing here.
#[derive(Debug, Default)]
pub(super) struct Post {
    pub(super) deliveries: Deliveries,
    /// Who asked to send: whether it may, and the row of whoever came for nothing else.
    senders: HashMap<ConnNo, (bool, Option<RowKey>)>,
    /// Rows of messengers, until all that happened to them was told.
    messengers: HashSet<RowKey>,
    /// Those that are gone, and those that were forgotten since.
    left: Vec<RowKey>,
    forgotten: Vec<RowKey>,
}

impl Post {
    /// Tells whether an event is no more than that a messenger came or went. What it had to say is an event of its
    /// own, and a hook that sends a notification must not lead to the next one.
    pub(super) fn is_errand(&self, event: &Event) -> bool {
        let comes_or_goes = match &event.kind {
            EventKind::Joined => true,
            EventKind::Gone { departure, .. } => matches!(departure.reason, Reason::Left | Reason::Lost),
            _ => false,
        };
        comes_or_goes && event.who.as_ref().is_some_and(|who| self.messengers.contains(&who.row))
    }

    /// Takes note that every event so far was told.
    pub(super) fn told(&mut self) {
        for row in self.forgotten.drain(..) {
            self.messengers.remove(&row);
        }
    }
}

/// Whether a client sends notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Posting {
    /// It never asked to.
    Unasked,
    /// It asked, and its token is not for that.
    Denied,
    /// It may.
    Allowed,
}

impl Posting {
    /// Puts together what a client wants and what it may.
    pub(crate) fn of(registration: &Registration, rights: Option<Rights>) -> Self {
        if registration.version == 0 || !registration.wants_notify {
            return Self::Unasked;
        }
        if rights.is_none_or(Rights::may_notify) { Self::Allowed } else { Self::Denied }
    }
}

impl Hub {
    /// Takes note that a client asked to send notifications; `brief` when it came without an identity of its own,
    /// and so will never be back: a messenger, whether it may send or not.
    pub(super) fn admit_sender(&mut self, conn: ConnNo, posting: Posting, brief: bool) {
        if posting != Posting::Unasked {
            let row = self.registry.row_of(conn).map(|(key, _)| key).filter(|_| brief);
            self.post.messengers.extend(row);
            self.post.senders.insert(conn, (posting == Posting::Allowed, row));
        }
    }

    /// Sends what a client wants to tell others, if it may.
    pub(super) fn notify_for(&mut self, now: Instant, conn: ConnNo, notification: &Notification) {
        let Some((_, row)) = self.registry.row_of(conn) else { return };
        let from = row.label.clone();
        let may = self.post.senders.get(&conn).map(|&(may, _)| may);
        let refusal = match may {
            None => {
                let words = "register with want [\"notify\"] to send notifications";
                Some((ErrorCode::Forbidden, words.to_owned(), None))
            }
            Some(false) => {
                let words = "your token is not for notifications: one of the role notify may send them";
                Some((ErrorCode::Forbidden, words.to_owned(), None))
            }
            Some(true) if !self.post.deliveries.has_room() => {
                let words =
                    format!("more than {IN_FLIGHT_MAX} notifications are on their way; this one was dropped");
                Some((ErrorCode::Flood, words, Some(BUSY_RETRY_MS)))
            }
            Some(true) => None,
        };
        match refusal {
            Some((code, words, retry_ms)) => {
                self.fanout.tell(conn, &ServerMessage::error(code, words, retry_ms));
            }
            None => self.post(now, Some(conn), from, notification),
        }
    }

    /// Sends what the operator wants to tell.
    pub(super) fn notify(&mut self, now: Instant, wish: &Notification) {
        if !self.post.deliveries.has_room() {
            let words = format!("not sent: more than {IN_FLIGHT_MAX} notifications are on their way");
            return self.registry.note(now, EventKind::Trouble(words));
        }
        match notification(wish.to.clone(), &wish.title, &wish.body) {
            Ok(clean) => self.post(now, None, self.name.as_str().into(), &clean),
            Err(error) => self.registry.note(now, EventKind::Trouble(format!("not sent: {error}"))),
        }
    }

    /// Hands a notification to everybody it is for. Its sender is never among them, nor is any other messenger.
    fn post(&mut self, now: Instant, sender: Option<ConnNo>, from: Arc<str>, notification: &Notification) {
        // A messenger that has just gone is nobody to be counted as offline.
        self.note_ended();
        self.forget_messengers();
        let (here, offline) = self.registry.addressed(&notification.to);
        let Post { deliveries, senders, .. } = &mut self.post;
        let message = Notified::new(deliveries.next_number(), &from, notification);
        let line = ServerMessage::Notify(Box::new(message)).encode().into();
        let fanout = &self.fanout;
        let messenger = |conn: &ConnNo| senders.get(conn).is_some_and(|(_, row)| row.is_some());
        let handed = here
            .into_iter()
            .filter(|conn| sender != Some(*conn) && !messenger(conn))
            .map(|conn| (conn, fanout.hand(conn, &line)));
        let subject = notification.subject().clone();
        deliveries.send(now, sender, [from, subject], handed, offline);
    }

    /// Counts a receipt.
    pub(super) fn receipt(&mut self, conn: ConnNo, number: u64) {
        self.post.deliveries.receipt(conn, number);
    }

    /// Counts whoever has gone.
    fn note_ended(&mut self) {
        for conn in self.fanout.take_ended() {
            self.post.deliveries.gone(conn);
            self.post.left.extend(self.post.senders.remove(&conn).and_then(|(_, row)| row));
        }
    }

    /// Counts whoever has gone, does what is due, and tells senders and screen.
    pub(super) fn settle_notifications(&mut self, now: Instant) {
        self.note_ended();
        let reports = self.post.deliveries.advance(now);
        for report in reports {
            let posted = report.posted;
            if let Some(conn) = report.to {
                self.fanout.tell(conn, &ServerMessage::NotifyResult(NotifyResult::from(&posted)));
            }
            if posted.tally.pending() == 0 {
                self.registry.note(now, EventKind::Notified(Box::new(posted)));
            }
        }
        self.screen.post(self.post.deliveries.shown());
    }

    /// Forgets the rows of messengers that are gone: a script that runs every minute is no fleet.
    pub(super) fn forget_messengers(&mut self) {
        for row in std::mem::take(&mut self.post.left) {
            self.post.forgotten.push(row);
            self.registry.discard(row);
            self.screen.touch();
        }
    }
}
