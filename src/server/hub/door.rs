//! Who comes in, and what they change about themselves and say to everybody.

use std::net::SocketAddr;
use std::time::Instant;

use super::Hub;
use crate::presence::registry::{Admission, Newcomer};
use crate::presence::{ConnNo, Departure, EventKind, Reason};
use crate::protocol::message::{ServerInfo, You, millis};
use crate::protocol::{Chat, ErrorCode, ServerMessage, Update, Welcome};
use crate::server::answers;
use crate::server::fanout::Audience;
use crate::server::handle::{Knock, Welcomed};
use crate::server::spread::Spread;

impl Hub {
    pub(super) fn join(&mut self, now: Instant, knock: Knock) {
        let Knock { newcomer, wants_roster, posting, deaf, link, reply } = knock;
        if self.drained_at.is_some() {
            let _ = reply.send(Err(answers::stopping())); // Gone already is as good as refused.
            return;
        }
        let admission = match self.registry.join(now, &newcomer) {
            Ok(admission) => admission,
            Err(refusal) => {
                let _ = reply.send(Err(answers::refusal(refusal))); // Likewise.
                return;
            }
        };
        self.summary.sessions += 1;
        if let Some(replaced) = admission.replaced {
            let by = Departure::new(Reason::Replaced, format!("by {}", newcomer.peer));
            self.fanout.kick(replaced, by);
        }
        self.judge_soon(now);
        let conn = admission.conn;
        let id = admission.id.clone();
        let welcomed = Welcomed { conn, id, welcome: self.welcome(&newcomer, &admission) };
        if reply.send(Ok(welcomed)).is_err() {
            return self.depart(now, conn, Departure::new(Reason::Lost, "gone before it was welcomed"));
        }
        let audience = match newcomer.version {
            _ if deaf => Audience::Deaf,
            0 => Audience::Legacy,
            _ if wants_roster => Audience::Roster,
            _ => Audience::Quiet,
        };
        self.fanout.add(now, conn, link, audience, &self.registry);
        self.admit_sender(conn, posting, newcomer.identity.is_none());
    }

    fn welcome(&self, newcomer: &Newcomer, admission: &Admission) -> Welcome {
        let settings = self.registry.settings();
        Welcome {
            v: crate::protocol::VERSION,
            id: admission.id.to_string(),
            resume: admission.secret.map(|secret| secret.to_string()).unwrap_or_default(),
            you: You { ip: newcomer.peer.ip().to_string(), port: newcomer.peer.port() },
            server: ServerInfo { name: self.name.clone(), version: env!("CARGO_PKG_VERSION").to_owned() },
            rev: self.registry.revision().0,
            interval_ms: millis(settings.interval()),
            timeout_ms: millis(settings.timeout()),
            spread_ms: millis(Spread::of(self.registry.counts().live())),
            clients: self.registry.counts().live(),
            resumed_ms: admission.away.map(millis),
        }
    }

    /// Says how many refusals were not told one by one.
    pub(super) fn count_refused(&mut self, now: Instant) {
        let untold = self.refusals.turn(now);
        if untold > 0 {
            self.registry.note(now, EventKind::Notice(format!("{untold} more were refused")));
        }
    }

    pub(super) fn refused(&mut self, now: Instant, peer: SocketAddr, code: ErrorCode, message: String) {
        self.count_refused(now);
        if self.refusals.take() {
            self.registry.note(now, EventKind::Refused { peer, code: code.word(), message });
        }
    }

    pub(super) fn update(&mut self, now: Instant, conn: ConnNo, update: Update) {
        let Some((_, row)) = self.registry.row_of(conn) else { return };
        let mut profile = row.profile.clone();
        match update.apply(&mut profile) {
            Ok(()) => self.registry.update(now, conn, None, profile),
            Err(invalid) => {
                let complaint = ServerMessage::error(ErrorCode::BadRequest, invalid.to_string(), None);
                self.fanout.tell(conn, &complaint);
            }
        }
    }

    pub(super) fn chat(&mut self, conn: ConnNo, chat: Chat) {
        let Some((_, row)) = self.registry.row_of(conn) else { return };
        let (from_ip, from_port) = (row.claim.ip.to_string(), row.claim.port);
        self.fanout.tell_all(&ServerMessage::Chat(Chat { from_ip, from_port, ..chat.cleaned(wall_clock) }));
    }
}

#[expect(clippy::disallowed_methods, reason = "a chat line that came without its time gets one")]
fn wall_clock() -> String {
    humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string()
}
