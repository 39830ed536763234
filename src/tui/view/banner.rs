//! The line below the header: alerts, and what the screen itself is up to.

use std::time::Instant;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::pen::{Pen, Text, first_that_fits};
use super::{count, writing};
use crate::presence::view::Alert;
use crate::presence::view::Link;
use crate::presence::{Reason, State};
use crate::tui::format::{running, since, time_of_day};
use crate::tui::model::{Banner, Model, Paused};
use crate::tui::theme::Role;

/// How many names one alert lists.
const NAMES_MAX: usize = 5;

/// Draws the banner.
pub(super) fn draw(model: &Model, area: Rect, buf: &mut Buffer) {
    let Some(banner) = model.banner() else { return };
    let width = usize::from(area.width);
    if banner == Banner::Letter {
        return writing::toast(model, &mut Pen::new(buf, model.look, area), width);
    }
    let (left, right) = match banner {
        Banner::Stopping => (stopping(model), Vec::new()),
        Banner::Paused => (paused(model), vec![hints(model, &[("p", "go on")])]),
        Banner::Holding => (holding(model), vec![hints(model, &[("H", "let go")])]),
        Banner::Letter | Banner::Withheld => (withheld(model), Vec::new()),
        Banner::Mass => (mass(model), vec![hints(model, &[("A", "ack all")])]),
        Banner::Alert => (alerts(model), alert_keys(model, width)),
    };
    let right = first_that_fits(right, width / 2);
    let room = width.saturating_sub(right.width() + 3);
    let mut pen = Pen::new(buf, model.look, area);
    pen.line(0).spans(&first_that_fits(left, room)).spans_right(&right, 1);
}

pub(super) fn hints(model: &Model, keys: &[(&str, &str)]) -> Line<'static> {
    let mut text = Text::new(model.look);
    for (at, (key, words)) in keys.iter().enumerate() {
        text = text.add(if at > 0 { "  " } else { "" }, Role::Text).hint(key, words);
    }
    text.done()
}

fn alert_keys(model: &Model, width: usize) -> Vec<Line<'static>> {
    let mute = if model.bell.muted { "unmute" } else { "mute" };
    let mut lines = Vec::new();
    if width >= 110 {
        lines.push(hints(model, &[("a", "ack"), ("n", "next problem"), ("m", mute)]));
    }
    if width >= 60 {
        lines.push(hints(model, &[("a", "ack"), ("n", "next"), ("m", mute)]));
    }
    lines.push(hints(model, &[("a", "ack")]));
    lines
}

fn stopping(model: &Model) -> Vec<Line<'static>> {
    let live = model.live.counts.live();
    let words = if model.is_join() {
        "  saying goodbye".to_owned()
    } else {
        format!("  {} asked to leave; q again closes this screen at once", count(live, "client"))
    };
    let banner = || Text::new(model.look).add(" STOPPING ", Role::Banner);
    vec![banner().add(words, Role::Text).done(), banner().done()]
}

fn paused(model: &Model) -> Vec<Line<'static>> {
    let Some(Paused { since, view }) = &model.paused else { return Vec::new() };
    let seq = |events: &[std::sync::Arc<crate::presence::Event>]| events.last().map_or(0, |event| event.seq);
    let behind = usize::try_from(seq(&model.live.events).saturating_sub(seq(&view.events))).unwrap_or(0);
    let gone = model.live.counts.of(State::TimedOut).saturating_sub(view.counts.of(State::TimedOut));
    let what = if model.is_join() { "the heartbeat goes on" } else { "the server is still live" };
    let more = if gone > 0 { format!(", {}", count(gone, "new timeout")) } else { String::new() };
    let tail = format!("{} behind{more}", count(behind, "change"));
    let at = time_of_day(since.wall);
    let banner = || Text::new(model.look).add(" PAUSED ", Role::Banner);
    vec![
        banner().add(format!(" view frozen at {at}; {what}: {tail}"), Role::Text).done(),
        banner().add(format!(" at {at}: {tail}"), Role::Text).done(),
        banner().add(format!(" {behind} behind"), Role::Text).done(),
    ]
}

fn holding(model: &Model) -> Vec<Line<'static>> {
    let banner = || Text::new(model.look).add(" HOLDING ", Role::Banner);
    let Some(uplink) = model.uplink() else { return Vec::new() };
    let drops = uplink.last_ping.map(|at| {
        let left = (at + uplink.settings.timeout()).saturating_duration_since(model.now.mono);
        format!(" server drops us in {}", running(left))
    });
    let words = match (&uplink.link, drops) {
        (Link::Online(_) | Link::Late(..), Some(drops)) => drops,
        (Link::Offline { .. }, _) => " the server has given us up".to_owned(),
        _ => " no heartbeats are sent".to_owned(),
    };
    vec![banner().add(words, Role::Text).done(), banner().done()]
}

/// Says that nobody is timed out for a moment, and why: many fell silent together.
fn withheld(model: &Model) -> Vec<Line<'static>> {
    let Some(hold) = model.live.hold else { return Vec::new() };
    let glyph = model.look.glyphs().state(State::Late);
    let left = running(hold.until.saturating_duration_since(model.now.mono));
    let (silent, of) = (hold.clients, hold.of);
    let line = |name: &str, words: String| {
        Text::new(model.look).add(format!(" {glyph} {name} "), Role::Banner).add(words, Role::Text).done()
    };
    let long = "HOLDING VERDICTS";
    let together = format!("  {silent} of {of} clients fell silent together: suspect this host's network");
    vec![
        line(long, format!("{together}; nobody is convicted for another {left}")),
        line(long, format!("{together}; no verdict for {left}")),
        line(long, format!("  {silent} of {of} silent together: check this network, {left} left")),
        line("HOLDING", format!(" {silent} of {of} silent together, {left} left")),
        line("HOLDING", format!(" {silent} of {of} silent, {left} left")),
        line("HOLDING", format!(" {silent} of {of}, {left}")),
    ]
}

fn mass(model: &Model) -> Vec<Line<'static>> {
    let Some(mass) = model.shown().alerts.mass else { return Vec::new() };
    let glyph = model.look.glyphs().alert;
    let banner = || Text::new(model.look).add(format!(" {glyph} MASS TIMEOUT "), Role::Alert);
    let (went, of, within) = (mass.clients, mass.of, crate::presence::span::brief(mass.within));
    vec![
        banner()
            .add(format!("  {went} of {of} clients timed out within {within}"), Role::Strong)
            .add(": check this host's network first", Role::Text)
            .done(),
        banner().add(format!(" {went} of {of} in {within}: check this network"), Role::Text).done(),
        banner().add(format!(" {went} of {of}"), Role::Text).done(),
    ]
}

fn alerts(model: &Model) -> Vec<Line<'static>> {
    let alerts = &model.shown().alerts;
    let glyph = model.look.glyphs().alert;
    let head = || Text::new(model.look).add(format!(" {glyph} {} UNACKED ", alerts.unacked), Role::Alert);
    let Some(newest) = alerts.newest.first() else { return vec![head().done()] };
    let what = format!("{} {}", newest.label, went(model, newest));
    let short = Text::new(model.look).add(format!(" {glyph} "), Role::State(State::TimedOut));
    let short = short.add(what.clone(), Role::Text).done();
    if alerts.unacked == 1 {
        let more = last_ping(model, newest);
        let line = |tail: &str| head().add(format!(" {what}"), Role::Strong).add(tail, Role::Dim).done();
        return vec![line(&more), line(""), short];
    }
    let list = |most: usize| {
        let names: Vec<&str> = alerts.newest.iter().take(most).map(|alert| &*alert.label).collect();
        let more = alerts.unacked.saturating_sub(names.len());
        let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
        head().add(format!(" {}", names.join(", ")), Role::Strong).add(tail, Role::Dim).done()
    };
    (1..=NAMES_MAX).rev().map(list).chain([short]).collect()
}

/// Writes `timed out 14s ago`, or how else it went.
fn went(model: &Model, alert: &Alert) -> String {
    let ago = since(model.clock().saturating_duration_since(alert.since));
    let how = match alert.departure.reason {
        Reason::Timeout => "timed out",
        Reason::Lost => "lost",
        other => other.word(),
    };
    format!("{how} {ago} ago")
}

fn last_ping(model: &Model, alert: &Alert) -> String {
    let row = model.shown().rows.iter().find(|row| row.key == alert.row);
    let seen: Option<Instant> = row.and_then(|row| row.last_seen);
    let ping = seen.map(|at| format!("last ping {}", time_of_day(model.now.wall_of(at))));
    let peer = alert.peer.map(|peer| peer.ip().to_string());
    match (ping, peer) {
        (Some(ping), Some(peer)) => format!(" ({ping}, {peer})"),
        (Some(one), None) | (None, Some(one)) => format!(" ({one})"),
        (None, None) => String::new(),
    }
}
