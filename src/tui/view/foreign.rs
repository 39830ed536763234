//! What the client's screen says of a server that speaks something else.

use std::time::{Duration, Instant};

use ratatui::text::Line;

use super::pen::Text;
use crate::presence::span::brief;
use crate::presence::view::{Foreign, Link, Transport, Uplink};
use crate::tui::format::running;
use crate::tui::model::Model;
use crate::tui::theme::Role;

/// Says how much was received: messages, or bytes where there are no messages.
pub(super) fn received(foreign: Foreign) -> String {
    match foreign.transport {
        Transport::RawTcp => format!("received {} B", foreign.received),
        _ => format!("received {}", foreign.received),
    }
}

/// Counts what went out and what came in.
pub(super) fn tally(model: &Model, uplink: &Uplink, foreign: Foreign, wide: bool) -> Line<'static> {
    let text = Text::new(model.look);
    let rtt = uplink.rtts.iter().rev().flatten().next().filter(|_| wide && model.size.0 >= 110);
    let text = match rtt {
        Some(rtt) => text.add(format!("rtt {}   ", brief(*rtt)), Role::Text),
        None => text,
    };
    let text = text.add(format!("sent {}  {}", uplink.sent, received(foreign)), Role::Dim);
    if !wide && matches!(uplink.link, Link::Late(..)) {
        return text.done(); // How long it has been silent needs the room more.
    }
    let text = text.add(format!("  reconnects {}", uplink.reconnects), Role::Dim);
    if wide && uplink.unanswered > 0 {
        return text.add(format!("  lost {}", uplink.unanswered), Role::Warning).done();
    }
    text.done()
}

/// Returns how much is left of the patience with the oldest unanswered beat, while one is overdue.
pub(super) fn patience_left(uplink: &Uplink, now: Instant) -> Option<Duration> {
    match uplink.link {
        Link::Late(_, oldest) => Some((oldest + uplink.settings.timeout()).saturating_duration_since(now)),
        _ => None,
    }
}

/// Says what an answer, or the lack of one, would mean.
pub(super) fn answers(model: &Model, uplink: &Uplink, foreign: Foreign, names: usize) -> Line<'static> {
    let words = if foreign.expects {
        format!("each beat's is awaited for {} at most", running(uplink.settings.timeout()))
    } else {
        "none expected: only the connection can tell".to_owned()
    };
    let text = Text::new(model.look).add(format!("{:<names$}", "Answer"), Role::Dim);
    text.add(words, Role::Text).done()
}

/// Says how long a beat may stay unanswered.
pub(super) fn timeout(model: &Model, uplink: &Uplink, foreign: Foreign) -> Line<'static> {
    let text = Text::new(model.look).add(format!("{:<15}", "Timeout"), Role::Dim);
    if foreign.expects {
        let text = text.add(format!("{:>6}", running(uplink.settings.timeout())), Role::Strong);
        return text.add("    (ours, for the oldest unanswered beat)", Role::Dim).done();
    }
    let none = model.look.glyphs().none;
    text.add(format!("{none:>6}"), Role::Strong).add("    (no answer is expected)", Role::Dim).done()
}

/// Says what kind of server this is.
pub(super) fn kind(model: &Model, foreign: Foreign, names: usize) -> Line<'static> {
    let text = Text::new(model.look).add(format!("{:<names$}", "Kind"), Role::Dim);
    let words = format!("foreign server ({}), {}", foreign.transport.word(), received(foreign));
    text.add(words, Role::Text).done()
}
