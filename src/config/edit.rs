//! Changes interval and timeout in the text of a file, and not a byte besides.
//!
//! The text is patched where the values stand instead of being printed anew
//! from a parsed document: that is what keeps mixed line ends, a missing last
//! newline and the remark behind a value without a rule for each of them.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::print::{exact, seconds, span};
use crate::presence::Settings;

/// The section both settings stand in.
const SECTION: &str = "server";
/// What some editors put in front of a UTF-8 text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// One of the two settings.
#[derive(Debug, Clone, Copy)]
struct Setting {
    name: &'static str,
    /// What the file says already, in whatever words.
    was: Duration,
    to: Duration,
}

/// A piece of text that goes where another one, maybe an empty one, stands.
#[derive(Debug)]
struct Patch {
    at: Range<usize>,
    text: String,
}

/// Where the section is, and how it is written.
#[derive(Debug)]
enum Shape {
    /// `[server]`; the byte behind the name.
    Header(usize),
    /// `server.port = 8080`.
    Dotted,
    /// `server = { port = 8080 }`; the byte behind the brace.
    Inline(usize),
}

/// A key of the section.
#[derive(Debug)]
struct Entry<'a> {
    name: &'a str,
    key: Range<usize>,
    value: Range<usize>,
}

/// Returns the text with `settings` in it; `None` for a text that cannot be understood.
///
/// A value that says the same already keeps its words; `was` is what the text
/// means today, interval and timeout.
pub(super) fn edited(text: &str, was: (Duration, Duration), settings: Settings) -> Option<String> {
    let body = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let document = DeTable::parse(body).ok()?;
    let wanted = [
        Setting { name: "heartbeat_interval", was: was.0, to: settings.interval() },
        Setting { name: "connection_timeout", was: was.1, to: settings.timeout() },
    ];
    let mut patches = match document.get_ref().get_key_value(SECTION) {
        Some((name, section)) => {
            patches(body, &shape(body, name.span(), section)?, &entries(section.get_ref())?, wanted)?
        }
        None => vec![new_section(body, wanted)],
    };
    // From the end of the text to its start, so that the places of those to come stay true.
    patches.sort_unstable_by_key(|patch| std::cmp::Reverse(patch.at.start));
    let mut edited = body.to_owned();
    for Patch { at, text } in patches {
        edited = [edited.get(..at.start)?, &text, edited.get(at.end..)?].concat();
    }
    let mark = text.strip_suffix(body)?;
    Some(format!("{mark}{edited}"))
}

/// Tells by what surrounds the section's name how it is written.
fn shape(body: &str, name: Range<usize>, section: &Spanned<DeValue<'_>>) -> Option<Shape> {
    let before = body.get(..name.start)?.trim_end_matches([' ', '\t']);
    if before.ends_with('[') {
        return Some(Shape::Header(name.end));
    }
    let value = section.span();
    let braced = body.get(value.start..)?.starts_with('{');
    Some(if braced { Shape::Inline(value.start + 1) } else { Shape::Dotted })
}

fn entries<'a>(section: &'a DeValue<'_>) -> Option<Vec<Entry<'a>>> {
    let pairs = section.as_table()?.iter();
    Some(
        pairs
            .map(|(name, value)| Entry { name: name.get_ref(), key: name.span(), value: value.span() })
            .collect(),
    )
}

/// Changes the values that are there, and adds the missing ones next to each other.
fn patches(body: &str, shape: &Shape, entries: &[Entry<'_>], wanted: [Setting; 2]) -> Option<Vec<Patch>> {
    let entry = |setting: &Setting| entries.iter().find(|entry| entry.name == setting.name);
    let mut patches = Vec::new();
    for setting in wanted.iter().filter(|setting| setting.was != setting.to) {
        if let Some(entry) = entry(setting) {
            let text = value(body.get(entry.value.clone())?, setting.to);
            patches.push(Patch { at: entry.value.clone(), text });
        }
    }
    let missing: Vec<_> = wanted.iter().filter(|setting| entry(setting).is_none()).collect();
    if !missing.is_empty() {
        let sibling = wanted.iter().find_map(entry);
        // Behind the last key and not below the header: comments there belong to the key below them.
        let anchor = sibling.or_else(|| entries.iter().max_by_key(|entry| entry.value.end));
        patches.push(match *shape {
            Shape::Inline(open) => new_pairs(body, open, anchor, &missing),
            Shape::Header(name) => {
                let (first, last) = anchor.map_or((name, name), |entry| (entry.key.start, entry.value.end));
                new_lines(body, first, last, "", &missing)
            }
            Shape::Dotted => {
                let anchor = anchor?;
                new_lines(body, anchor.key.start, anchor.value.end, "server.", &missing)
            }
        });
    }
    Some(patches)
}

/// Adds lines below the one that ends behind `last`, indented like the one `first` is on.
fn new_lines(body: &str, first: usize, last: usize, prefix: &str, missing: &[&Setting]) -> Patch {
    let before = body.get(..first).unwrap_or_default();
    let line = before.rfind('\n').and_then(|end| body.get(end + 1..)).unwrap_or(body);
    let indent: String = line.chars().take_while(|c| matches!(c, ' ' | '\t')).collect();
    let end = line_end(body);
    let lines: Vec<_> =
        missing.iter().map(|setting| format!("{indent}{prefix}{}", assignment(setting))).collect();
    let lines = lines.join(end);
    match body.get(last..).and_then(|rest| rest.find('\n')) {
        Some(newline) => {
            let at = last + newline + 1;
            Patch { at: at..at, text: lines + end }
        }
        // The last line has no end: neither gets the new last one.
        None => Patch { at: body.len()..body.len(), text: format!("{end}{lines}") },
    }
}

/// Adds pairs to a table in one line.
fn new_pairs(body: &str, open: usize, anchor: Option<&Entry<'_>>, missing: &[&Setting]) -> Patch {
    let pairs: Vec<_> = missing.iter().map(|setting| assignment(setting)).collect();
    let pairs = pairs.join(", ");
    if let Some(Entry { value, .. }) = anchor {
        return Patch { at: value.end..value.end, text: format!(", {pairs}") };
    }
    let closes = body.get(open..).is_some_and(|rest| rest.starts_with('}'));
    Patch { at: open..open, text: if closes { format!(" {pairs} ") } else { format!(" {pairs}") } }
}

/// Adds the whole section at the end of the file.
fn new_section(body: &str, wanted: [Setting; 2]) -> Patch {
    let end = line_end(body);
    let mut text = String::new();
    if !body.is_empty() {
        text.push_str(if body.ends_with('\n') { "" } else { end });
        text.push_str(end);
    }
    let [interval, timeout] = wanted;
    for line in [format!("[{SECTION}]"), assignment(&interval), assignment(&timeout)] {
        text.push_str(&line);
        text.push_str(end);
    }
    Patch { at: body.len()..body.len(), text }
}

fn assignment(setting: &Setting) -> String {
    format!("{} = {}", setting.name, seconds(setting.to))
}

/// Writes a duration in the manner of the value it takes the place of.
fn value(old: &str, to: Duration) -> String {
    match old.chars().next() {
        Some('"') => span(to),
        Some('\'') => format!("'{}'", exact(to)),
        _ => seconds(to),
    }
}

/// Returns how lines end in this text.
fn line_end(body: &str) -> &'static str {
    if body.contains("\r\n") { "\r\n" } else { "\n" }
}
