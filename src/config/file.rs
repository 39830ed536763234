//! Reads the file: every value with its place, and every problem at once.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{KEYS, Key, SECTIONS};
use super::value::{self, Written, nearest, shown};

/// The largest file that is read; more is not a config file but a mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The list of clients that ought to be there: one table each.
pub(super) const EXPECT: &str = "expect";

/// A value found in the file.
#[derive(Debug)]
pub(super) struct Found {
    /// Its place in [`KEYS`].
    pub(super) key: usize,
    /// Where it stands.
    pub(super) place: Place,
    /// What is written there.
    pub(super) written: Written,
}

/// A line and a column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The line.
    pub(super) line: usize,
    /// The character in the line.
    pub(super) column: usize,
}

/// What a file says, and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The values under known keys.
    pub(super) found: Vec<Found>,
    /// The names under `[[expect]]`.
    pub(super) expected: Vec<(Place, String)>,
    /// The problems, in the order of the file.
    pub(super) problems: Vec<(Place, String)>,
}

/// Reads the bytes of a file, up to the limit.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
    }
    Ok(bytes)
}

/// Understands the bytes of a file.
pub(super) fn understand(bytes: &[u8]) -> Contents {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let valid = String::from_utf8_lossy(valid);
            let problem = (place(&valid, valid.len()), "not UTF-8 text (save the file as UTF-8)".to_owned());
            return Contents { problems: vec![problem], ..Contents::default() };
        }
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut contents = Contents::default();
    if errors.is_empty() {
        for (section, value) in table.get_ref() {
            contents.section(text, section, value);
        }
    }
    for error in errors {
        let span = error.span().unwrap_or(text.len()..text.len());
        let what = text.get(span.clone()).filter(|_| error.message() == "duplicate key").unwrap_or_default();
        let message = format!("{} {}", error.message(), shown(what)).trim_end().to_owned();
        contents.problems.push((place(text, span.start), message));
    }
    contents.problems.sort_unstable();
    contents
}

impl Contents {
    /// Takes over one section.
    fn section(
        &mut self,
        text: &str,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let section = name.get_ref().as_ref();
        let at = place(text, name.span().start);
        if section == EXPECT {
            return self.expect(text, at, value);
        }
        if !SECTIONS.iter().any(|(known, _)| *known == section) {
            self.problems.push((at, unknown_section(section, value.get_ref().is_table())));
            return;
        }
        let DeValue::Table(table) = value.get_ref() else {
            self.problems
                .push((at, format!("{section} is a section (write [{section}] on a line of its own)")));
            return;
        };
        for (name, value) in table {
            let known = |key: &Key| key.section == section && key.name == name.get_ref().as_ref();
            let Some(key) = KEYS.iter().position(known) else {
                let at = place(text, name.span().start);
                self.problems.push((at, unknown_key(section, name.get_ref())));
                continue;
            };
            let at = place(text, value.span().start);
            self.found.push(Found { key, place: at, written: written(value.get_ref()) });
        }
    }
}

impl Contents {
    /// Takes over the clients that ought to be there.
    fn expect(&mut self, text: &str, at: Place, list: &Spanned<DeValue<'_>>) {
        let DeValue::Array(items) = list.get_ref() else {
            self.problems.push((at, "expect is a list (write [[expect]] on a line of its own)".to_owned()));
            return;
        };
        for item in items {
            let at = place(text, item.span().start);
            let DeValue::Table(table) = item.get_ref() else {
                let not = written(item.get_ref());
                self.problems
                    .push((at, format!("expect: {not} is not a table (such as {{ name = \"nas\" }})")));
                continue;
            };
            let mut named = false;
            for (key, value) in table {
                if key.get_ref() == "name" {
                    named = true;
                    let at = place(text, value.span().start);
                    match value::name(&written(value.get_ref()), "a name") {
                        Ok(name) => self.expect_one(at, name),
                        Err(error) => self.problems.push((at, format!("expect.name: {error}"))),
                    }
                } else {
                    let at = place(text, key.span().start);
                    let near = nearest(key.get_ref(), ["name"]).is_some();
                    let hint = if near { "did you mean expect.name?" } else { "expect has name" };
                    self.problems
                        .push((at, format!("expect.{} is not a setting ({hint})", shown(key.get_ref()))));
                }
            }
            if !named {
                self.problems.push((at, "expect: whom? (add name = \"...\")".to_owned()));
            }
        }
    }

    fn expect_one(&mut self, at: Place, name: String) {
        if let Some((first, _)) = self.expected.iter().find(|(_, known)| *known == name) {
            let line = first.line;
            self.problems
                .push((at, format!("expect.name: {} is listed already, in line {line}", shown(&name))));
        } else {
            self.expected.push((at, name));
        }
    }
}

fn unknown_section(name: &str, is_table: bool) -> String {
    let sections: Vec<_> = SECTIONS.iter().map(|(known, _)| *known).chain([EXPECT]).collect();
    if !is_table && let Some(key) = nearest_key(name, |_| true) {
        return format!("{} stands outside every section (did you mean {}?)", shown(name), key.path());
    }
    match nearest(name, sections.iter().copied()) {
        Some(near) => format!("{} is not a section (did you mean {near}?)", shown(name)),
        None => format!("{} is not a section (there are {})", shown(name), sections.join(", ")),
    }
}

fn unknown_key(section: &str, name: &str) -> String {
    let near = nearest_key(name, |key| key.section == section).or_else(|| nearest_key(name, |_| true));
    if let Some(key) = near {
        return format!("{section}.{} is not a setting (did you mean {}?)", shown(name), key.path());
    }
    let known: Vec<_> = KEYS.iter().filter(|key| key.section == section).map(|key| key.name).collect();
    format!("{section}.{} is not a setting ({section} has {})", shown(name), known.join(", "))
}

/// Returns the key whose name, or whose flag, is nearest.
fn nearest_key(name: &str, among: impl Fn(&Key) -> bool) -> Option<&'static Key> {
    let keys = || KEYS.iter().filter(|key| among(key));
    let near = nearest(name, keys().flat_map(|key| [key.name, key.word]))?;
    keys().find(|key| key.name == near || key.word == near)
}

/// Turns a TOML value into what the table of keys reads.
pub(super) fn written(value: &DeValue<'_>) -> Written {
    match value {
        DeValue::String(text) => Written::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Written::Other(number.to_string()), Written::Integer),
        DeValue::Float(number) => {
            number.as_str().parse().map_or_else(|_| Written::Other(number.to_string()), Written::Float)
        }
        DeValue::Boolean(yes) => Written::Bool(*yes),
        DeValue::Datetime(date) => Written::Other(date.to_string()),
        DeValue::Array(items) => Written::List(items.iter().map(|item| written(item.get_ref())).collect()),
        DeValue::Table(table) => Written::Table(
            table.iter().map(|(key, value)| (key.get_ref().to_string(), written(value.get_ref()))).collect(),
        ),
    }
}

/// Finds line and column of a byte.
fn place(text: &str, at: usize) -> Place {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let in_line = before.get(line_start..).unwrap_or_default();
    Place { line: before.matches('\n').count() + 1, column: in_line.chars().count() + 1 }
}
