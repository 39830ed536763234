//! Writes settings as TOML: the listing of `config`, and the commented default file.

use std::fmt::Write as _;
use std::time::Duration;

use super::file::EXPECT;
use super::keys::{KEYS, Key, OnCommandLine, Preset, SECTIONS};
use super::{Config, Source};

/// How the default file ends: an example of what is a list and has no default.
const EXPECTED: &str = "
# The clients that ought to be there, one [[expect]] each, by the name they register with. Whoever is
# listed has a row from the start, and is named when it has not come in time.
#
# [[expect]]
# name = \"nas-backup\"
";
/// How wide a comment in the default file gets.
const COMMENT_CELLS: usize = 100;
/// The farthest column a trailing comment is aligned to; longer values push theirs out.
const ALIGN_MAX: usize = 44;

impl Config {
    /// Lists every setting in force with where it came from, as a valid config file.
    #[must_use]
    pub fn print(&self) -> String {
        let lines: Vec<_> = KEYS.iter().map(|key| self.assignment(key)).collect();
        let width = lines.iter().map(|line| line.chars().count()).filter(|width| *width <= ALIGN_MAX).max();
        let width = width.unwrap_or(0);
        let mut out = format!("# {}\n", self.file_line());
        for (section, _) in SECTIONS {
            let _ = writeln!(out, "\n[{section}]"); // a String takes everything
            for ((key, line), source) in KEYS.iter().zip(&lines).zip(&self.sources) {
                if key.section == section {
                    let _ = writeln!(out, "{line:width$}  # {}", self.remark(key, source));
                }
            }
        }
        for expected in &self.expect {
            let line = format!("name = {}", quoted(&expected.name));
            let _ = writeln!(out, "\n[[{EXPECT}]]\n{line:width$}  # {}", expected.source); // likewise
        }
        out
    }

    /// Returns `key = value`, or the key alone as a comment when there is no value.
    fn assignment(&self, key: &Key) -> String {
        match (key.show)(self) {
            Some(value) => format!("{} = {value}", key.name),
            None => format!("# {}", key.name),
        }
    }

    fn remark(&self, key: &Key, source: &Source) -> String {
        match (source, (key.show)(self)) {
            (Source::Default, None) => "not set".to_owned(),
            _ => source.to_string(),
        }
    }
}

/// Returns the commented default file, the one that is shipped.
#[must_use]
pub fn default_file() -> String {
    let mut out = String::from(
        "\
# The settings of presence-tui, each with its default.
#
# This file is looked for as ./config.toml, then as presence-tui/config.toml in the user's config
# folder ($XDG_CONFIG_HOME, or ~/.config). `--config FILE` or PRESENCE_TUI_CONFIG names another one,
# which must exist. A flag beats an environment variable beats this file beats the default.
# `presence-tui config` shows what is in force and where each value came from.
#
# A duration is a number of seconds (60, 0.5) or a text (\"500ms\", \"90s\", \"2m30s\", \"1h\").
",
    );
    for (section, about) in SECTIONS {
        let _ = write!(out, "\n# {about}\n[{section}]\n"); // a String takes everything
        for key in KEYS.iter().filter(|key| key.section == section) {
            out.push('\n');
            comment(&mut out, key.doc);
            let variable = key.variable();
            let _ = match key.on_command_line {
                OnCommandLine::No => writeln!(out, "# {variable}"),
                _ => writeln!(out, "# {}, {variable}", key.flag()),
            };
            let _ = match key.preset {
                Preset::Value(value) => writeln!(out, "{} = {value}", key.name),
                Preset::Example(example) => writeln!(out, "# {} = {example}", key.name),
            };
        }
    }
    out.push_str(EXPECTED);
    out
}

/// Writes a comment, broken between words.
fn comment(out: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > COMMENT_CELLS {
            out.push_str(&line);
            out.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}

/// Writes a TOML string.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // What a terminal would obey stays visible as an escape.
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c)); // a String takes everything
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Writes a duration as a number of seconds.
pub(super) fn seconds(span: Duration) -> String {
    if span.subsec_nanos() == 0 { span.as_secs().to_string() } else { span.as_secs_f64().to_string() }
}

/// Writes a duration as a text, exactly.
pub(super) fn span(span: Duration) -> String {
    quoted(&exact(span))
}

/// Writes a duration in the largest unit that loses nothing.
pub(super) fn exact(span: Duration) -> String {
    match (span.as_secs(), span.subsec_nanos()) {
        (secs, 0) if secs > 0 && secs.is_multiple_of(3_600) => format!("{}h", secs / 3_600),
        (secs, 0) if secs > 0 && secs.is_multiple_of(60) => format!("{}m", secs / 60),
        (secs, 0) => format!("{secs}s"),
        (0, nanos) if nanos.is_multiple_of(1_000_000) => format!("{}ms", nanos / 1_000_000),
        _ => format!("{}s", span.as_secs_f64()),
    }
}

/// Writes a list of texts.
pub(super) fn words(words: &[String]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", quoted.join(", "))
}

/// Writes labels as a table in one line.
pub(super) fn table(pairs: &[(String, String)]) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let key = |key: &str| if key.bytes().all(bare) { key.to_owned() } else { quoted(key) };
    let pairs: Vec<_> =
        pairs.iter().map(|(name, value)| format!("{} = {}", key(name), quoted(value))).collect();
    if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
}
