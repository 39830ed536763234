//! The lines at the top: who we are, how many are how, and the two settings.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::pen::{Pen, Text, first_that_fits};
use super::{card, ticks};
use crate::presence::view::Rollout;
use crate::presence::{Revision, Settings, State};
use crate::tui::format::{hour_and_minute, running, session, stopwatch, time_of_day, whole};
use crate::tui::model::{Face, Model};
use crate::tui::theme::Role;

/// Draws the header.
pub(super) fn draw(model: &Model, area: Rect, buf: &mut Buffer) {
    let mut pen = Pen::new(buf, model.look, area);
    let width = usize::from(area.width);
    match (&model.face, area.height) {
        (Face::Serve { .. }, 2..) => two_lines(model, &mut pen, width),
        (Face::Serve { .. }, _) => one_line(model, &mut pen, width),
        (Face::Join(uplink), lines) => card::header(model, uplink, &mut pen, width, lines),
    }
}

fn two_lines(model: &Model, pen: &mut Pen<'_>, width: usize) {
    let Face::Serve { bound, join_line, .. } = &model.face else { return };
    let wide = width >= 110;
    let up = model.now.mono.saturating_duration_since(model.started);
    let up = if ticks(model) { stopwatch(up) } else { session(up) };
    let title_with = |up: &str, name: &str, open: &'static str| {
        let gap = if wide { "  " } else { " " };
        let text = Text::new(model.look).add(format!(" {name}"), Role::Strong);
        let text = text.add(format!("{gap}{bound}"), Role::Text).add(open, Role::Warning);
        text.add(up.to_owned(), Role::Dim).done()
    };
    let title = |up: &str, name: &str| title_with(up, name, "");
    let up = format!("  up {up}");
    let least = title("", "serve").width();
    let right = if wide { clock(model) } else { settings(model, &["int", "timeout"], width, least) };
    let room = width.saturating_sub(right.width() + 3);
    let name = "presence-tui serve";
    let elsewhere = format!("{up}   elsewhere: {join_line}");
    let titles = [title(&elsewhere, name), title(&up, name), title("", name), title("", "serve")];
    let titles = titles.into_iter().skip(usize::from(!wide));
    let warned = [(elsewhere.as_str(), name), (&up, name), ("", name), ("", "serve")].into_iter();
    let warned = warned.skip(usize::from(!wide)).filter(|_| model.live.open);
    let titles = warned.map(|(up, name)| title_with(up, name, OPEN)).chain(titles);
    pen.line(0).spans(&first_that_fits(titles, room)).spans_right(&right, 1);
    let least = counts(model, 0).width() + 1;
    let right = if wide { settings(model, &["interval", "timeout"], width, least) } else { clock(model) };
    let room = width.saturating_sub(right.width() + 4);
    let counts = [4, 3, 2, 1, 0].map(|detail| counts(model, detail));
    let first = if wide { 0 } else { 2 };
    let line = first_that_fits(counts.into_iter().skip(first), room);
    pen.line(1).gap(1).spans(&line).spans_right(&right, 1);
}

/// What is to be known about a server that others can reach and that asks nothing of them.
const OPEN: &str = "  open: anyone can join";

fn one_line(model: &Model, pen: &mut Pen<'_>, width: usize) {
    let margin = usize::from(width >= 40);
    let right = match width {
        40.. => {
            let names = ["int", if width < 60 { "t/o" } else { "timeout" }];
            settings(model, &names, width, counts(model, 0).width())
        }
        20..40 => {
            let (wanted, asked, force) = (model.wanted(), model.live.asked, model.live.settings);
            let timeout = if wanted == asked { force } else { wanted }.timeout();
            let mark = if timeout == asked.timeout() || wanted != asked { "" } else { SCALED };
            Text::new(model.look).add(format!("t/o {}{mark}", whole(timeout)), Role::Dim).done()
        }
        _ => Line::default(),
    };
    let room = width.saturating_sub(margin);
    let fits = |line: &Line<'static>| line.width() + right.width() + 2 <= room;
    let mut line = counts(model, if width >= 20 { 0 } else { COUNTS_PROBLEMS });
    if right.width() > 0 && !fits(&line) {
        pen.line(0).gap(margin).spans(&line);
        return;
    }
    if line.width() > room {
        line = counts(model, COUNTS_WORST);
    }
    pen.line(0).gap(margin).spans(&line);
    if width >= 40 {
        pen.spans_right(&right, 1);
    } else if right.width() > 0 {
        pen.gap(2).spans(&right);
    }
}

/// Below twenty cells only who is here, late or gone.
const COUNTS_PROBLEMS: usize = 10;
/// And when not even these fit, who is gone.
const COUNTS_WORST: usize = 11;

/// Counts the states: 4 with all words and how many fit, 3 with all words, 2 with short words, 1 with wide symbols, 0 with symbols alone.
pub(super) fn counts(model: &Model, detail: usize) -> Line<'static> {
    let view = &model.live;
    let mut text = Text::new(model.look);
    let states: &[State] = match detail {
        COUNTS_PROBLEMS => &[State::Online, State::Late, State::TimedOut],
        COUNTS_WORST => &[State::TimedOut, State::Late, State::Online],
        _ => &State::ALL,
    };
    for (at, state) in states.iter().copied().enumerate() {
        let number = view.counts.of(state);
        let role = if number == 0 { Role::Dim } else { Role::State(state) };
        let glyph = model.look.glyphs().state(state);
        let gap = match (at, detail) {
            (0, _) => "",
            (_, 3 | 4) => "   ",
            (_, 1 | 2) => "  ",
            _ => " ",
        };
        let words = match detail {
            2 if state == State::Offline => format!("{glyph} {number} off"),
            2..=4 => format!("{glyph} {number} {}", word(state)),
            1 => format!("{glyph} {number}"),
            _ => format!("{glyph}{number}"),
        };
        text = text.add(gap, Role::Text).add(words, role);
    }
    if detail >= 3 {
        let (live, most) = (view.counts.live(), view.max_clients);
        if most > 0 && live.saturating_mul(10) >= most.saturating_mul(9) {
            text = text.add(format!("  {live} of {most} places taken"), Role::Warning);
        } else if detail == 4 {
            text = text.add(format!("   ({live} of {most})"), Role::Dim);
        }
        if view.connecting > 0 {
            text = text.add(format!("  {} connecting", view.connecting), Role::Dim);
        }
    }
    text.done()
}

/// Returns the word people read for a state.
pub(super) fn word(state: State) -> &'static str {
    match state {
        State::Online => "online",
        State::Late => "late",
        State::TimedOut => "timed out",
        State::Left => "left",
        State::Offline => "offline",
    }
}

/// Writes the settings: bold with an ellipsis while a change is under way, then who has followed it.
///
/// While the fleet is too large for what was asked, those in force are shown, and what was asked
/// beside them where that leaves `least` cells of the line.
fn settings(model: &Model, names: &[&str; 2], width: usize, least: usize) -> Line<'static> {
    let (asked, force) = (model.live.asked, model.live.settings);
    let under_way = model.wanted() != asked;
    let scaled = force != asked;
    let rollout = model.live.rollout;
    let keys = width >= 110
        && rollout.applied >= rollout.of
        && !under_way
        && model.change.sent.is_none()
        && !scaled
        && !read_only(model);
    let [interval, timeout] = names;
    let line = |mark: &str, load: &str, progress: &str| {
        let name = |text: Text, name: &str| text.add(format!("{name} "), Role::Dim);
        let text = name(Text::new(model.look), interval);
        let text = number(model, text, Settings::interval, mark);
        let text = text.add(if keys { " [-/+]   " } else { "  " }, Role::Key);
        let text = number(model, name(text, timeout), Settings::timeout, mark);
        let text = text.add(if keys { " [ [ / ] ]" } else { "" }, Role::Key);
        text.add(load.to_owned(), Role::Warning).add(progress.to_owned(), Role::Pending).done()
    };
    let told = !under_way && model.change.sent.is_none() && width >= PLAIN_ACKED;
    let progress = |wide| if told { progress(model.live.rev, rollout, wide) } else { String::new() };
    let (progress, brief) = (progress(width >= 110), progress(false));
    if !scaled || under_way {
        return line(SCALED, "", &progress);
    }
    let load = format!(" (asked {}/{}: load)", running(asked.interval()), running(asked.timeout()));
    let lines = [("", load.as_str(), &progress), ("", &load, &brief), ("", &load, &String::new())];
    let marks = [(SCALED, "", &progress), (SCALED, "", &brief)];
    let lines = lines.into_iter().chain(marks).map(|(mark, load, progress)| line(mark, load, progress));
    first_that_fits(lines.chain([line(SCALED, "", "")]), width.saturating_sub(least + 3))
}

/// Behind a number that is longer than was asked for.
const SCALED: &str = "*";

/// Writes one of the two settings: as wanted while it is being changed, else as it is in force.
fn number(model: &Model, text: Text, part: fn(Settings) -> Duration, mark: &str) -> Text {
    let (wanted, asked, force) = (part(model.wanted()), part(model.live.asked), part(model.live.settings));
    if wanted != asked {
        return text.add(format!("{}{}", running(wanted), model.look.glyphs().ellipsis), Role::Pending);
    }
    let mark = if force == asked { "" } else { mark };
    text.add(running(force), Role::Strong).add(mark.to_owned(), Role::Warning)
}

/// Says how far a change has come, until everybody follows it who can; and who cannot.
fn progress(rev: Revision, rollout: Rollout, wide: bool) -> String {
    let Rollout { applied, of, lagging, pinned } = rollout;
    let mut words = Vec::new();
    if applied < of {
        let rev = if wide { format!("rev {}: ", rev.0) } else { String::new() };
        words.push(format!("{rev}{applied}/{of} applied"));
    }
    if wide && lagging > 0 {
        words.push(format!("{lagging} lagging"));
    }
    if wide && pinned > 0 {
        words.push(format!("{pinned} legacy pinned"));
    }
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
}

/// From this width on there is room to say who follows a change.
const PLAIN_ACKED: usize = 72;

fn read_only(model: &Model) -> bool {
    matches!(model.face, Face::Serve { read_only: true, .. })
}

/// Writes the time of day.
pub(super) fn clock(model: &Model) -> Line<'static> {
    let wall = model.now.wall;
    let time = if ticks(model) { time_of_day(wall) } else { hour_and_minute(wall) };
    Text::new(model.look).add(format!("{time} UTC"), Role::Dim).done()
}
