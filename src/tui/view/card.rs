//! The client's own connection: its header, its countdowns and its round trips.

use std::time::{Duration, Instant};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::foreign;
use super::header::{clock, counts};
use super::pen::{Pen, Text, first_that_fits};
use super::{count, ticks};
use crate::presence::State;
use crate::presence::span::brief;
use crate::presence::view::{Link, Uplink};
use crate::tui::format::{bar, running, since, spark, time_of_day};
use crate::tui::layout::{Pane, Plan};
use crate::tui::model::Model;
use crate::tui::theme::Role;

/// Draws the lines at the top of the client's screen.
pub(super) fn header(model: &Model, uplink: &Uplink, pen: &mut Pen<'_>, width: usize, lines: u16) {
    if lines < 2 {
        return tiny(model, uplink, pen, width);
    }
    if width < 60 {
        return narrow(model, uplink, pen, width);
    }
    let wide = width >= 110;
    let gap = if wide { "  " } else { " " };
    let title = |id: bool| {
        let text = Text::new(model.look).add(" presence-tui join", Role::Strong);
        let text = text
            .add(format!("{gap}{}  as ", uplink.server), Role::Text)
            .add(uplink.name.clone(), Role::Strong);
        let short = uplink.id.get(..8).unwrap_or(&uplink.id);
        let id = id && !short.is_empty(); // A foreign server knows us by none.
        text.add(if id { format!("  (id {short})") } else { String::new() }, Role::Dim).done()
    };
    let right = clock(model);
    let room = width.saturating_sub(right.width() + 3);
    let title = first_that_fits([title(wide), title(false)], room);
    pen.line(0).spans(&title).spans_right(&right, 1);
    let right = first_that_fits([tally(model, uplink, true), tally(model, uplink, false)], width / 2);
    let room = width.saturating_sub(right.width() + 3);
    let left = first_that_fits([standing(model, uplink, wide), standing(model, uplink, false)], room);
    pen.line(1).gap(1).spans(&left).spans_right(&right, 1);
}

fn narrow(model: &Model, uplink: &Uplink, pen: &mut Pen<'_>, width: usize) {
    let text = || Text::new(model.look);
    let (word, role) = state(uplink);
    let right = match &uplink.link {
        Link::Offline { .. } if uplink.holding => text().add("held back", Role::Pending).done(),
        Link::Offline { retry_at, .. } => {
            let left = retry_at.saturating_duration_since(model.now.mono);
            text().add(format!("retry in {}", running(left)), Role::Strong).done()
        }
        _ => text().add(format!("rtt {}", rtt(model, uplink)), Role::Text).done(),
    };
    let left = text()
        .add(format!("{} {word}", glyph(model, uplink)), role)
        .add(format!("  {}", uplink.name), Role::Text);
    let room = width.saturating_sub(right.width() + 3);
    let left = first_that_fits([left.done()], room);
    pen.line(0).gap(1).spans(&left).spans_right(&right, 1);
    let second = match &uplink.link {
        Link::Online(at) | Link::Late(at, _) => format!(
            "{}   {}   sent {} {}",
            uplink.server,
            since(model.now.mono.saturating_duration_since(*at)),
            uplink.sent,
            uplink.foreign.map_or_else(|| format!("lost {}", uplink.unanswered), foreign::received)
        ),
        _ => format!("{}   {}", uplink.server, cause(model, uplink)),
    };
    pen.line(1).gap(1).put(&second, Role::Dim);
}

/// One line: our own state, and how long it can last.
fn tiny(model: &Model, uplink: &Uplink, pen: &mut Pen<'_>, width: usize) {
    let (word, role) = state(uplink);
    let left = match &uplink.link {
        Link::Offline { retry_at, .. } => Some(*retry_at),
        Link::Online(_) | Link::Late(..) => uplink.last_ping.map(|at| at + uplink.settings.timeout()),
        _ => None,
    };
    let left = left.map(|at| running(at.saturating_duration_since(model.now.mono))).unwrap_or_default();
    pen.line(0).put(&format!("{} {word} ", glyph(model, uplink)), role).put(&left, Role::Text);
    let text = Text::new(model.look).add(uplink.name.clone(), Role::Dim).done();
    if width >= 28 {
        pen.spans_right(&text, 0);
    }
}

/// Returns the symbol of this client's state.
fn glyph(model: &Model, uplink: &Uplink) -> &'static str {
    model.look.glyphs().state(as_state(uplink))
}

fn as_state(uplink: &Uplink) -> State {
    match &uplink.link {
        Link::Online(_) => State::Online,
        Link::Late(..) => State::Late,
        Link::Ended(_) => State::Left,
        Link::Connecting(_) | Link::Offline { .. } => State::Offline,
    }
}

fn state(uplink: &Uplink) -> (&'static str, Role) {
    match &uplink.link {
        Link::Online(_) => ("ONLINE", Role::State(State::Online)),
        Link::Late(..) => ("LATE", Role::State(State::Late)),
        Link::Ended(_) => ("ENDED", Role::State(State::TimedOut)),
        Link::Connecting(_) => ("CONNECTING", Role::Pending),
        Link::Offline { .. } => ("OFFLINE", Role::State(State::TimedOut)),
    }
}

/// Says why there is no connection.
fn cause(model: &Model, uplink: &Uplink) -> String {
    match &uplink.link {
        Link::Offline { since: at, cause, .. } => {
            format!("{cause} {} ago", since(model.now.mono.saturating_duration_since(*at)))
        }
        Link::Ended(words) => words.clone(),
        Link::Connecting(attempt) => format!("attempt {attempt}"),
        Link::Online(_) | Link::Late(..) => String::new(),
    }
}

/// Says how the connection stands, with the two countdowns when there is room.
fn standing(model: &Model, uplink: &Uplink, wide: bool) -> Line<'static> {
    let (word, role) = state(uplink);
    let text = Text::new(model.look).add(format!("{} {word}", glyph(model, uplink)), role);
    let span = |at: Instant| model.now.mono.saturating_duration_since(at);
    let (connected, silent) = match &uplink.link {
        Link::Online(at) => (*at, None),
        Link::Late(at, unanswered) => (*at, Some(*unanswered)),
        _ => return text.add(format!("  {}", cause(model, uplink)), Role::Text).done(),
    };
    let mut text = text.add(format!("  connected {}", since(span(connected))), Role::Text);
    if let Some(at) = silent {
        text = text.add(format!("   no answer for {}", running(span(at))), Role::Warning);
    }
    if wide {
        if let Some(at) = uplink.next_ping.filter(|_| !uplink.holding) {
            text = text.add(format!("   next ping in {}", running(until(model, at))), Role::Dim);
        }
        if let Some(at) = uplink.last_ping {
            let left = until(model, at + uplink.settings.timeout());
            text = text.add(format!("   server drops us in {}", running(left)), Role::Dim);
        }
    }
    text.done()
}

fn until(model: &Model, at: Instant) -> Duration {
    at.saturating_duration_since(model.now.mono)
}

fn rtt(model: &Model, uplink: &Uplink) -> String {
    let last = uplink.rtts.iter().rev().flatten().next().copied();
    last.map_or_else(|| model.look.glyphs().none.to_owned(), brief)
}

/// Counts pings, or says when the next attempt is made.
fn tally(model: &Model, uplink: &Uplink, wide: bool) -> Line<'static> {
    let text = Text::new(model.look);
    match &uplink.link {
        Link::Offline { .. } if uplink.holding => {
            text.add("staying away  ", Role::Pending).hint("H", "lets go").done()
        }
        Link::Offline { retry_at, attempt, .. } => text
            .add(format!("attempt {attempt}  retry in {}  ", running(until(model, *retry_at))), Role::Text)
            .hint("r", "now")
            .done(),
        Link::Connecting(_) | Link::Ended(_) => Line::default(),
        Link::Online(_) | Link::Late(..) if let Some(it) = uplink.foreign => {
            foreign::tally(model, uplink, it, wide)
        }
        Link::Online(_) | Link::Late(..) => {
            let role = if uplink.unanswered > 0 { Role::Warning } else { Role::Dim };
            let wide = wide && model.size.0 >= 110;
            let gap = if wide { "   " } else { "  " };
            let acked = if wide { format!("  acked {}", uplink.answered) } else { String::new() };
            text.add(format!("rtt {}{gap}", rtt(model, uplink)), Role::Text)
                .add(format!("sent {}{acked}", uplink.sent), Role::Dim)
                .add(format!("  lost {}", uplink.unanswered), role)
                .done()
        }
    }
}

/// Draws the card and the round trips.
pub(super) fn draw(model: &Model, plan: &Plan, buf: &mut Buffer) {
    let Some(uplink) = model.uplink().filter(|_| plan.card.height > 0) else { return };
    let area = plan.card;
    if !plan.borders {
        return plain(model, uplink, area, buf);
    }
    let mut pen = Pen::new(buf, model.look, area);
    pen.panel("This client", &Line::default(), model.focus == Pane::Card);
    let inner =
        Rect::new(area.x + 1, area.y + 1, area.width.saturating_sub(2), area.height.saturating_sub(2));
    let lines = if inner.height >= 9 { full(model, uplink, inner) } else { three(model, uplink, inner) };
    let mut pen = Pen::new(buf, model.look, inner);
    for (at, line) in lines.iter().enumerate() {
        pen.line(at).gap(1).spans(line);
    }
    if plan.trips.height > 0 {
        trips(model, uplink, plan.trips, buf);
    }
}

/// Two countdowns without a frame, and a rule that begins the peers.
fn plain(model: &Model, uplink: &Uplink, area: Rect, buf: &mut Buffer) {
    let width = usize::from(area.width);
    let [next, timeout] = gauges(model, uplink, width, if width < 60 { 8 } else { 11 });
    let mut pen = Pen::new(buf, model.look, area);
    pen.line(0).gap(1).spans(&next);
    pen.line(1).gap(1).spans(&timeout);
    let line = model.look.glyphs().line;
    if area.height > 2 {
        let rule = Text::new(model.look).add(format!("{line} Peers "), Role::Border).done();
        pen.line(2).spans(&rule).spans(&counts(model, 0)).put(" ", Role::Border);
        let rest = line.repeat(pen.left());
        pen.put(&rest, Role::Border);
    }
}

/// Draws a name, a bar and the time left of a whole.
fn gauge(model: &Model, name: &str, left: Duration, whole: Duration, width: usize, role: Role) -> Text {
    let (full, empty) = bar(left, whole, width, model.look.glyphs());
    Text::new(model.look)
        .add(name.to_owned(), Role::Dim)
        .add(full, role)
        .add(empty, Role::Empty)
        .add(format!("  {:>6}", running(left)), Role::Text)
}

/// Draws the two countdowns, or the wait for the next attempt.
fn gauges(model: &Model, uplink: &Uplink, width: usize, names: usize) -> [Line<'static>; 2] {
    let settings = uplink.settings;
    let narrow = width < 60;
    let tail = if narrow { 9 } else { 21 };
    let bars = width.saturating_sub(names + tail + 2).min(48);
    let name = |long: &str| if narrow { long.to_lowercase() } else { long.to_owned() };
    let of = |text: Text, whole: Duration| {
        if narrow { text.done() } else { text.add(format!(" of {}", running(whole)), Role::Dim).done() }
    };
    if let Link::Offline { .. } = &uplink.link
        && uplink.holding
    {
        // Coming back by itself would hide what holding was meant to show.
        let words = "Heartbeats are held back, so it stays away until they are let go";
        let text = Text::new(model.look).add(words, Role::Pending).done();
        return [text, server_will(model, uplink)];
    }
    if let Link::Offline { retry_at, wait, .. } = &uplink.link {
        let left = until(model, *retry_at);
        let name = format!("{:<names$}", name("Retry"));
        let retry = gauge(model, &name, left, *wait, bars, Role::Pending);
        return [of(retry, *wait), server_will(model, uplink)];
    }
    if let Link::Ended(words) = &uplink.link {
        let text = Text::new(model.look).add(words.clone(), Role::Strong).done();
        return [text, Line::default()];
    }
    let next = uplink.next_ping.map_or(Duration::ZERO, |at| until(model, at));
    let drops = uplink.last_ping.map_or(settings.timeout(), |at| until(model, at + settings.timeout()));
    let drops = foreign::patience_left(uplink, model.now.mono).unwrap_or(drops);
    let ping = format!("{:<names$}", if narrow { "ping".to_owned() } else { name("Next ping") });
    let next = if uplink.holding {
        Text::new(model.look).add(ping, Role::Dim).add("held back (H lets go)", Role::Pending).done()
    } else {
        of(gauge(model, &ping, next, settings.interval(), bars, Role::Key), settings.interval())
    };
    if let Some(it) = uplink.foreign.filter(|_| !matches!(uplink.link, Link::Late(..))) {
        return [next, foreign::answers(model, uplink, it, names)];
    }
    let role = if drops < settings.timeout() / 5 { State::Late } else { State::Online };
    let timeout = format!("{:<names$}", name("Timeout"));
    [next, of(gauge(model, &timeout, drops, settings.timeout(), bars, Role::State(role)), settings.timeout())]
}

/// Says what the server makes of our silence.
fn server_will(model: &Model, uplink: &Uplink) -> Line<'static> {
    let text = Text::new(model.look);
    let Some(at) = uplink.last_ping else { return Line::default() };
    match (at + uplink.settings.timeout()).checked_duration_since(model.now.mono) {
        Some(left) => {
            let words = format!("The server will mark us timed out in about {}", running(left));
            text.add(words, Role::Text).done()
        }
        None => text.add("The server has marked us as gone by now", Role::Text).done(),
    }
}

fn three(model: &Model, uplink: &Uplink, area: Rect) -> Vec<Line<'static>> {
    let width = usize::from(area.width);
    let [next, timeout] = gauges(model, uplink, width, 11);
    let third = match (model.stale_since(), uplink.foreign) {
        (_, Some(it)) if !it.expects => foreign::kind(model, it, 11),
        (None, _) | (_, Some(_)) => strip(model, uplink, width),
        (Some(at), None) => stale(model, at),
    };
    vec![next, timeout, third]
}

/// Draws the round trips and what they come to in one line.
fn strip(model: &Model, uplink: &Uplink, width: usize) -> Line<'static> {
    let stats = stats(model, uplink, false);
    let room = width.saturating_sub(13 + stats.width() + 3);
    let strip = spark(&uplink.rtts, room.min(48), model.look.glyphs());
    let line = Text::new(model.look).add(format!("{:<11}", "RTT"), Role::Dim).add(strip, Role::Key);
    let mut line = line.add("  ", Role::Text).done();
    line.spans.extend(stats.spans);
    line
}

/// Says how old the peers below are.
fn stale(model: &Model, at: Instant) -> Line<'static> {
    let old = since(model.now.mono.saturating_duration_since(at));
    let from = time_of_day(model.now.wall_of(at));
    let words = format!("Peers below are a snapshot from {from} ({old} old) and may be wrong");
    Text::new(model.look).add(words, Role::Warning).done()
}

fn full(model: &Model, uplink: &Uplink, area: Rect) -> Vec<Line<'static>> {
    let text = || Text::new(model.look);
    let name = |name: &str| text().add(format!("{name:<15}"), Role::Dim);
    let to = model.look.glyphs().to;
    let address = uplink.address.map(|address| format!("  {to}  {address}")).unwrap_or_default();
    let (before, at) = match uplink.changed {
        Some((before, at)) => (Some(before), Some(time_of_day(model.now.wall_of(at)))),
        None => (None, None),
    };
    let set = |was: Option<Duration>| match (&at, was) {
        (Some(at), Some(was)) => format!("    (set by server {at}; was {})", running(was)),
        _ if uplink.foreign.is_some() => "    (ours)".to_owned(),
        _ if uplink.legacy => "    (ours: this server sets nothing)".to_owned(),
        _ => "    (set by server)".to_owned(),
    };
    let value = |span: Duration| format!("{:>6}", running(span));
    let (interval, timeout) = (uplink.settings.interval(), uplink.settings.timeout());
    let [next, drops] = gauges(model, uplink, usize::from(area.width), 15);
    let loss = match &uplink.last_loss {
        None => String::new(),
        Some((at, cause, back)) => {
            let at = time_of_day(model.now.wall_of(*at));
            let back =
                back.map_or_else(|| "not back yet".to_owned(), |span| format!("back in {}", brief(span)));
            format!("  (last {at}: {cause}, {back})")
        }
    };
    let peers = match (model.stale_since(), uplink.foreign) {
        (_, Some(it)) => foreign::kind(model, it, 15),
        (stale_since, None) => stale_since.map_or_else(Line::default, |at| stale(model, at)),
    };
    let limit = match uplink.foreign {
        Some(it) => foreign::timeout(model, uplink, it),
        None => name("Timeout")
            .add(value(timeout), Role::Strong)
            .add(set(before.map(crate::presence::Settings::timeout)), Role::Dim)
            .done(),
    };
    vec![
        peers,
        name("Server").add(uplink.server.clone(), Role::Text).add(address, Role::Dim).done(),
        name("Interval")
            .add(value(interval), Role::Strong)
            .add(set(before.map(crate::presence::Settings::interval)), Role::Dim)
            .done(),
        limit,
        Line::default(),
        next,
        drops,
        Line::default(),
        name("Reconnects").add(uplink.reconnects.to_string(), Role::Text).add(loss, Role::Dim).done(),
    ]
}

/// Returns least, mean, 95th percentile and most of the round trips.
fn stats(model: &Model, uplink: &Uplink, all: bool) -> Line<'static> {
    let mut known: Vec<Duration> = uplink.rtts.iter().flatten().copied().collect();
    known.sort_unstable();
    let text = Text::new(model.look);
    let (Some(min), Some(max)) = (known.first(), known.last()) else {
        return text.add("no round trip yet", Role::Dim).done();
    };
    let number = u32::try_from(known.len()).unwrap_or(u32::MAX);
    let mean = known.iter().sum::<Duration>() / number;
    let p95 = known.get(known.len() * 95 / 100).unwrap_or(max);
    let ms = |span: &Duration| brief(*span).trim_end_matches("ms").to_owned();
    let (min, mean, p95, max) = (ms(min), ms(&mean), ms(p95), ms(max));
    let words = if all {
        format!("min {min}  avg {mean}  p95 {p95}  max {max}")
    } else {
        format!("min {min} avg {mean} p95 {p95}")
    };
    text.add(words, Role::Dim).done()
}

fn trips(model: &Model, uplink: &Uplink, area: Rect, buf: &mut Buffer) {
    let mut pen = Pen::new(buf, model.look, area);
    pen.panel("Round trip", &Line::default(), false);
    let inner =
        Rect::new(area.x + 1, area.y + 1, area.width.saturating_sub(2), area.height.saturating_sub(2));
    let width = usize::from(inner.width).saturating_sub(2);
    let strip = spark(&uplink.rtts, width, model.look.glyphs());
    let shown = uplink.rtts.len().min(width);
    let answered = uplink.rtts.iter().rev().take(shown).flatten().count();
    let reach = uplink.settings.interval() * u32::try_from(shown).unwrap_or(u32::MAX);
    let text = || Text::new(model.look);
    let mut pen = Pen::new(buf, model.look, inner);
    pen.line(1).gap(1).put(&format!("now {}   ", rtt(model, uplink)), Role::Strong);
    pen.spans(&stats(model, uplink, true));
    pen.line(3).gap(1).put(&strip, Role::Key);
    if shown > 12 && ticks(model) {
        let ago = format!("{} ago", since(reach));
        let gap = shown.saturating_sub(ago.len() + 3);
        let line = text().add(ago, Role::Dim).add(" ".repeat(gap), Role::Text).add("now", Role::Dim).done();
        pen.line(4).gap(1).spans(&line);
    }
    let missed = shown - answered;
    let line = text().add(format!("last {}   ", count(shown, "beat")), Role::Dim);
    let line = line.add(format!("{answered} answered"), Role::Text);
    let role = if missed > 0 { Role::Warning } else { Role::Dim };
    pen.line(6).gap(1).spans(&line.add(format!("  {missed} not"), role).done());
}
