//! How times, bars and texts become cells.

use std::borrow::Cow;
use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::theme::Glyphs;
use crate::presence::past::Past;
use crate::presence::pulse::{Beat, BeatStrip};
use crate::presence::span::brief;

/// Returns how many terminal cells a text takes.
#[must_use]
pub fn cells(text: &str) -> usize {
    text.width()
}

/// Cuts a text to `width` cells, ending it in an ellipsis when something is lost.
#[must_use]
pub fn fit<'a>(text: &'a str, width: usize, ellipsis: &str) -> Cow<'a, str> {
    if cells(text) <= width {
        return Cow::Borrowed(text);
    }
    let Some(room) = width.checked_sub(cells(ellipsis)) else {
        return Cow::Borrowed("");
    };
    Cow::Owned(format!("{}{ellipsis}", head(text, room)))
}

/// Cuts a text in its middle, so that two names with one long prefix stay apart.
#[must_use]
pub fn fit_middle<'a>(text: &'a str, width: usize, ellipsis: &str) -> Cow<'a, str> {
    if cells(text) <= width {
        return Cow::Borrowed(text);
    }
    let Some(room) = width.checked_sub(cells(ellipsis)) else {
        return Cow::Borrowed("");
    };
    Cow::Owned(format!("{}{ellipsis}{}", head(text, room - room / 2), tail(text, room / 2)))
}

/// Breaks a text into lines between words; those after the first begin with `hang` blanks.
///
/// A word that is wider than a whole line has one to itself.
#[must_use]
pub fn wrap(text: &str, width: usize, hang: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if cells(line) + 1 + cells(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("{}{word}", " ".repeat(hang))),
        }
    }
    lines
}

/// Returns the longest beginning that fits `width` cells.
fn head(text: &str, width: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > width {
            return text.get(..at).unwrap_or("");
        }
    }
    text
}

/// Returns the longest end that fits `width` cells.
fn tail(text: &str, width: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices().rev() {
        used += c.width().unwrap_or(0);
        if used > width {
            return text.get(at + c.len_utf8()..).unwrap_or("");
        }
    }
    text
}

/// Writes a running time: tenths below a minute (`6.8s`), two units above (`1m59s`).
#[must_use]
pub fn running(span: Duration) -> String {
    if span < Duration::from_mins(1) {
        format!("{}.{}s", span.as_secs(), span.subsec_millis() / 100)
    } else {
        brief(span)
    }
}

/// Writes an age for a column that ticks once a second: tenths below ten seconds, whole units above.
#[must_use]
pub fn age(span: Duration) -> String {
    if span < Duration::from_secs(10) { running(span) } else { brief(span) }
}

/// Writes a time in whole seconds and rounded, for the narrow layouts: `7s`, `14s`, `2m11s`.
#[must_use]
pub fn whole(span: Duration) -> String {
    brief(Duration::from_secs((span + Duration::from_millis(500)).as_secs())).replace("0ms", "0s")
}

/// Writes how long something has been, for a past that needs no seconds after an hour: `down 14s`.
#[must_use]
pub fn since(span: Duration) -> String {
    whole(Duration::from_secs(span.as_secs()))
}

/// Writes the length of a session, which needs no seconds: `<1m`, `19m`.
#[must_use]
pub fn session(span: Duration) -> String {
    let minutes = Duration::from_secs(span.as_secs() / 60 * 60);
    if minutes.is_zero() { "<1m".to_owned() } else { since(minutes) }
}

/// Writes `02:14:33`, or `3d 02:14:33`.
#[must_use]
pub fn stopwatch(span: Duration) -> String {
    let secs = span.as_secs();
    let clock = format!("{:02}:{:02}:{:02}", secs / 3_600 % 24, secs / 60 % 60, secs % 60);
    match secs / 86_400 {
        0 => clock,
        days => format!("{days}d {clock}"),
    }
}

/// Writes the time of day of a moment counted from the epoch, in UTC.
#[must_use]
pub fn time_of_day(wall: Duration) -> String {
    let secs = wall.as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}", secs / 3_600, secs / 60 % 60, secs % 60)
}

/// Writes the time of day without its seconds.
#[must_use]
pub fn hour_and_minute(wall: Duration) -> String {
    let secs = wall.as_secs() % 86_400;
    format!("{:02}:{:02}", secs / 3_600, secs / 60 % 60)
}

/// Returns year, month and day (UTC) of a moment counted from the epoch.
#[must_use]
pub fn date(wall: Duration) -> (u64, u64, u64) {
    // Years counted from March make February the last month, so leap days need no case of their own.
    let days = wall.as_secs() / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

/// Returns `part / whole` as eighths of a cell in a bar of `width` cells, never more than the bar has.
fn eighths(part: Duration, whole: Duration, width: usize) -> usize {
    let all = width * 8;
    let Some(fine) = part.as_micros().checked_mul(all as u128) else { return all };
    match fine.checked_div(whole.as_micros()) {
        Some(eighths) => usize::try_from(eighths).unwrap_or(all).min(all),
        None => 0,
    }
}

/// Draws what is left of a whole as a bar of `width` cells: its full and its empty part.
#[must_use]
pub fn bar(left: Duration, whole: Duration, width: usize, glyphs: &Glyphs) -> (String, String) {
    let eighths = eighths(left, whole, width);
    let (full, rest) = (eighths / 8, eighths % 8);
    let mut filled = glyphs.full.repeat(full);
    let mut used = full;
    if let Some(part) = rest.checked_sub(1).and_then(|at| glyphs.eighths.get(at)) {
        filled.push_str(part);
        used += 1;
    }
    (filled, glyphs.empty.repeat(width - used))
}

/// Draws the bar of a late client: whole cells of another texture, so that it differs without colour.
#[must_use]
pub fn late_bar(left: Duration, whole: Duration, width: usize, glyphs: &Glyphs) -> (String, String) {
    let used = (eighths(left, whole, width) + 4) / 8;
    (glyphs.late_bar.repeat(used), glyphs.empty.repeat(width - used))
}

/// Draws the last beats, newest at the right, at most `width` cells.
#[must_use]
pub fn beats(strip: BeatStrip, width: usize, glyphs: &Glyphs) -> String {
    let all: Vec<Beat> = strip.iter().collect();
    let newest = all.iter().skip(all.len().saturating_sub(width));
    newest
        .map(|beat| match beat {
            Beat::OnTime => glyphs.beat_on_time,
            Beat::Late => glyphs.beat_late,
            Beat::Missed => glyphs.beat_missed,
        })
        .collect()
}

/// Draws how much of each of the last `width` hours a client was here, the running one at the right.
///
/// A full block is a whole hour; an hour without it is a dot, and one that nobody knows of stays empty.
#[must_use]
pub fn hours(past: Option<&Past>, width: usize, glyphs: &Glyphs) -> String {
    let all = past.map_or(&[][..], |past| &past.hours[..]);
    let newest = all.get(all.len().saturating_sub(width)..).unwrap_or_default();
    let top = glyphs.spark.len().saturating_sub(1);
    let block = |percent: &Option<u8>| match percent {
        None => " ",
        Some(0) => glyphs.beat_missed,
        Some(percent) => glyphs.spark.get(usize::from(*percent) * top / 100).copied().unwrap_or(glyphs.full),
    };
    newest.iter().map(block).collect()
}

/// Draws round trips as a strip of rising blocks, newest at the right; an unanswered beat is a gap.
///
/// The best one lies at the bottom, and only twice as long reaches the top:
/// the noise of a quiet line must not look like trouble.
#[must_use]
pub fn spark(values: &[Option<Duration>], width: usize, glyphs: &Glyphs) -> String {
    let newest = values.get(values.len().saturating_sub(width)..).unwrap_or_default();
    let least = newest.iter().flatten().min().copied().unwrap_or_default();
    let most = newest.iter().flatten().max().copied().unwrap_or_default();
    let reach = most.saturating_sub(least).max(least).as_micros().max(1);
    let steps = glyphs.spark.len().saturating_sub(1) as u128;
    let block = |rtt: &Duration| {
        let step = rtt.saturating_sub(least).as_micros() * steps / reach;
        let step = usize::try_from(step).unwrap_or(0);
        glyphs.spark.get(step).copied().unwrap_or(glyphs.gap)
    };
    newest.iter().map(|value| value.as_ref().map_or(glyphs.gap, block)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::theme::{ASCII, UNICODE};
    use super::*;

    fn secs(s: f64) -> Duration {
        Duration::from_secs_f64(s)
    }

    fn joined((full, empty): (String, String)) -> String {
        full + &empty
    }

    #[test]
    fn a_bar_shows_eighths_of_a_cell() {
        for (left, text) in [
            (13.9, "█████████████▉·"),
            (12.0, "████████████···"),
            (14.8, "██████████████▊"),
            (10.3, "██████████▎····"),
            (0.0, "···············"),
            (99.0, "███████████████"),
        ] {
            assert_eq!(joined(bar(secs(left), secs(15.0), 15, &UNICODE)), text);
        }
        assert_eq!(joined(bar(secs(13.9), secs(15.0), 14, &ASCII)), "############..");
        assert_eq!(joined(bar(secs(1.0), Duration::ZERO, 3, &UNICODE)), "···");
    }

    #[test]
    fn a_late_bar_has_whole_cells() {
        assert_eq!(joined(late_bar(secs(6.8), secs(15.0), 15, &UNICODE)), "▒▒▒▒▒▒▒········");
        assert_eq!(joined(late_bar(secs(6.8), secs(15.0), 14, &UNICODE)), "▒▒▒▒▒▒········");
        assert_eq!(joined(late_bar(secs(6.8), secs(15.0), 10, &UNICODE)), "▒▒▒▒▒·····");
    }

    #[test]
    fn texts_are_cut_by_cells_and_say_so() {
        assert_eq!(fit("agent-alpha", 11, "…"), "agent-alpha");
        assert_eq!(fit("agent-alpha", 8, "…"), "agent-a…");
        assert_eq!(fit("日本語", 5, "…"), "日本…");
        assert_eq!(fit("日本語", 4, "…"), "日…");
        assert_eq!(fit("abc", 0, "…"), "");
        assert_eq!(fit_middle("worker-eu-west-17", 9, "…"), "work…t-17");
    }

    #[test]
    fn sentences_break_between_words() {
        let lines = wrap("nobody is cut in the middle", 12, 2);
        assert_eq!(lines, ["nobody is", "  cut in the", "  middle"]);
        assert_eq!(wrap("a verylongword b", 4, 1), ["a", " verylongword", " b"]);
        assert_eq!(wrap("", 4, 2), [""]);
    }

    #[test]
    fn running_times_show_tenths_only_where_they_matter() {
        assert_eq!(running(secs(6.89)), "6.8s");
        assert_eq!(running(secs(119.3)), "1m59s");
        assert_eq!(age(secs(29.9)), "29s");
        assert_eq!(whole(secs(6.8)), "7s");
        assert_eq!(whole(secs(0.2)), "0s");
        assert_eq!(since(secs(131.9)), "2m11s");
        assert_eq!(stopwatch(secs(8_073.0)), "02:14:33");
    }

    #[test]
    fn dates_are_gregorian() {
        for (secs, date_of) in [
            (0, (1970, 1, 1)),
            (951_782_400, (2000, 2, 29)),
            (1_709_164_800, (2024, 2, 29)),
            (1_795_260_000, (2026, 11, 21)),
        ] {
            assert_eq!(date(Duration::from_secs(secs)), date_of);
        }
    }

    #[test]
    fn a_strip_keeps_its_newest_beats_at_the_right() {
        let strip = BeatStrip::default().with(Beat::Missed).with(Beat::Late).with(Beat::OnTime);
        assert_eq!(beats(strip, 8, &UNICODE), "·▃▇");
        assert_eq!(beats(strip, 2, &UNICODE), "▃▇");
        assert_eq!(spark(&[Some(secs(0.1)), None, Some(secs(0.8))], 9, &UNICODE), "▁ █");
    }
}
