//! What the help says: the key table, what the marks mean, and what the server knows of its own mistakes.

use super::format::{since, wrap};
use super::keymap::{Section, keys, section};
use super::model::Model;
use crate::presence::span::brief;

/// How wide the help is where there is room, with its frame.
pub const WIDTH: u16 = 76;
/// From this width on the keys have room around them.
const ROOMY: u16 = 44;

/// Returns how far the keys stand from the frame, and how wide they are.
#[must_use]
pub fn left(model: &Model) -> (usize, usize) {
    if model.size.0 < ROOMY { (1, 10) } else { (3, 14) }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A heading.
    Title(&'static str),
    /// A key or a mark, or nothing, and words that belong to it.
    Entry(String, String),
    /// The server's record in one line, where no panel has room for it.
    Record,
}

/// A heading, and what stands under it.
type Chapter = (&'static str, Vec<(String, String)>);

/// Returns the lines that contain what is searched for, under their headings, broken to this screen's width.
#[must_use]
pub fn lines(model: &Model, search: &str) -> Vec<Line> {
    let wanted = search.to_lowercase();
    let (margin, keys) = left(model);
    let width = usize::from(WIDTH.min(model.size.0)).saturating_sub(2 + margin + keys);
    let mut out = Vec::new();
    if wanted.is_empty() && !model.is_join() && model.plan().events.height == 0 && model.size.0 >= ROOMY {
        out.push(Line::Record);
    }
    for (title, mut entries) in chapters(model) {
        entries.retain(|(key, words)| {
            wanted.is_empty() || format!("{title} {key} {words}").to_lowercase().contains(&wanted)
        });
        if entries.is_empty() {
            continue;
        }
        out.push(Line::Title(title));
        for (key, words) in entries {
            let first = std::iter::once(key).chain(std::iter::repeat(String::new()));
            out.extend(first.zip(wrap(&words, width, 0)).map(|(key, words)| Line::Entry(key, words)));
        }
    }
    out
}

/// Returns how many of so many lines are seen at once.
#[must_use]
pub fn room(model: &Model, lines: usize) -> usize {
    let height = usize::from(model.size.1);
    let margin = if height < 12 { 0 } else { 2 };
    lines.min(height.saturating_sub(margin + 2)).max(1)
}

/// Returns how far the help can be scrolled.
#[must_use]
pub fn last(model: &Model, search: &str) -> usize {
    let lines = lines(model, search).len();
    lines.saturating_sub(room(model, lines))
}

fn chapters(model: &Model) -> Vec<Chapter> {
    let list = |part: Section| section(part, model.is_join()).map(|key| (keys(key), key.words.to_owned()));
    let mut out: Vec<Chapter> =
        Section::ALL.into_iter().map(|part| (part.title(), list(part).collect())).collect();
    if model.is_join() {
        return out;
    }
    out.extend([("Marks", marks(model)), ("Verdicts of this server", record(model))]);
    out
}

fn marks(model: &Model) -> Vec<(String, String)> {
    let glyphs = model.look.glyphs();
    let mark = |mark: String, words: &str| (mark, words.to_owned());
    vec![
        mark(format!("{}{}", glyphs.up, glyphs.down), "flapping: its state changes too often to be trusted"),
        mark(format!("5.0s{}", glyphs.ellipsis), "this setting is being changed"),
        mark("10.0s*".to_owned(), "longer than asked for: too many are here for less"),
    ]
}

/// Returns every number of the server's record with its meaning.
fn record(model: &Model) -> Vec<(String, String)> {
    let record = model.shown().record;
    let (p99, max) = (brief(record.lateness_p99), brief(record.lateness_max));
    let late = match record.verdicts {
        0 => String::new(),
        _ => format!("; 99% at most {p99} late, all at most {max}"),
    };
    let story = [
        ("timed out", format!("{}{late}", record.verdicts)),
        ("false", format!("{} (soon back, so it had been alive)", record.false_timeouts)),
        ("spared", format!("{} (something had come and was not read yet)", record.spared)),
        ("held back", format!("{} (too many fell silent together)", record.holds)),
        ("paused", format!("{} (this process could not look)", paused(record.paused))),
    ];
    story.into_iter().map(|(name, words)| (name.to_owned(), words)).collect()
}

/// Writes how long a pause was; none at all is `0s`.
#[must_use]
pub fn paused(span: std::time::Duration) -> String {
    if span.is_zero() { since(span) } else { brief(span) }
}
