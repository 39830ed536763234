//! After a sleep: what is still to be waited for, and whether anybody is still there.
//!
//! A connection that was slept through looks as it did before, and may have
//! been given up by the server long ago. Waiting for the silence to add up
//! would take as long as it takes for any other; here one question is asked.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use tokio::time::Instant;

use super::Dialogue;
use super::ending::Ending;
use crate::client::desk::Desk;
use crate::client::notice::Notice;
use crate::presence::span::brief;

/// How long the server may take to say anything after the question.
const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// A ping that went out so shortly before is as good as another.
const JUST_SENT: Duration = Duration::from_millis(100);

/// A question whether the server is still there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Check {
    slept: Duration,
    woke: Instant,
    /// When it was put. What had come by then was read before, and proves nothing.
    asked: Option<Instant>,
}

impl Check {
    /// Returns when it is to be put, or must be answered.
    pub(super) fn due(&self) -> Instant {
        self.asked.map_or(self.woke, |asked| asked + ANSWER_WAIT)
    }
}

impl Dialogue {
    /// Takes note of a sleep that is over.
    pub(super) fn woke(&mut self, slept: Duration, suspended: Duration, now: Instant, desk: &mut Desk) {
        // A slot goes by the server's time, and that went on.
        self.leave_at = self.leave_at.map(|at| at.checked_sub(suspended).unwrap_or(now));
        // Whoever holds heartbeats back wants to be taken for dead, so nothing is asked.
        if self.is_registered() && !desk.uplink.holding {
            desk.say(Notice::Woke { slept, online: true });
            self.check = Some(Check { slept, woke: now, asked: None });
        }
    }

    /// Takes note that something was received.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heart.heard(now);
        self.check = self.check.filter(|check| check.asked.is_none());
    }

    /// Asks after a sleep, or gives the server up that did not answer: nothing was there to be read when this is called.
    pub(super) fn check(&mut self, now: Instant, desk: &mut Desk) -> ControlFlow<Ending> {
        let Some(Check { slept, asked, .. }) = self.check else { return Continue(()) };
        let Some(asked) = asked else {
            let just_sent = self.heart.last_sent().is_some_and(|sent| now - sent < JUST_SENT);
            if !just_sent && self.broken.is_none() {
                self.ping(now, desk);
            }
            self.check = Some(Check { slept, woke: now, asked: Some(now) });
            return Continue(());
        };
        if now < asked + ANSWER_WAIT {
            return Continue(());
        }
        let (wait, slept) = (brief(ANSWER_WAIT), brief(slept));
        Break(Ending::Retry(Duration::ZERO, format!("no answer within {wait} after a sleep of {slept}")))
    }
}
