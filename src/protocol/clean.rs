//! Makes what a peer wrote harmless for a terminal, a log and a table.
//!
//! Done once, where text enters the program. Bad characters are replaced and
//! not dropped: dropping would make two names look the same, replacing shows
//! the trick.

use unicode_width::UnicodeWidthChar;

/// The most bytes a name, user, device, platform or tag keeps.
pub const NAME_BYTES_MAX: usize = 64;
/// The most terminal cells it keeps.
pub const NAME_CELLS_MAX: usize = 32;
/// The most bytes a title keeps.
const TITLE_BYTES_MAX: usize = 256;
/// How many combining marks one character may carry; more pile up into neighbouring lines.
const MARKS_MAX: usize = 2;

/// Returns a one-line text without control, direction and invisible characters, at most 64 bytes and 32 cells.
#[must_use]
pub fn name(text: &str) -> String {
    bounded(text.trim(), NAME_BYTES_MAX, NAME_CELLS_MAX)
}

/// Returns such a text of at most 256 bytes and so many cells.
#[must_use]
pub fn title(text: &str, cells_max: usize) -> String {
    bounded(text.trim(), TITLE_BYTES_MAX, cells_max)
}

/// Returns such a text of any width, at most `bytes_max` bytes.
#[must_use]
pub fn line(text: &str, bytes_max: usize) -> String {
    bounded(text, bytes_max, usize::MAX)
}

/// Returns a text that may have line breaks and tabs, and is otherwise as clean as a [`line()`].
#[must_use]
pub fn paragraph(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '\n' | '\t') { c } else { harmless(c) }).collect()
}

fn bounded(text: &str, bytes_max: usize, cells_max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(bytes_max));
    let (mut cells, mut marks) = (0, 0);
    for c in text.chars().map(harmless) {
        let width = c.width().unwrap_or(0);
        marks = if width == 0 { marks + 1 } else { 0 };
        if marks > MARKS_MAX {
            continue;
        }
        if cells + width > cells_max || out.len() + c.len_utf8() > bytes_max {
            break;
        }
        cells += width;
        out.push(c);
    }
    out
}

/// Replaces what a terminal would obey, or what a reader cannot see.
fn harmless(c: char) -> char {
    match c {
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        '\u{AD}'
        | '\u{61C}'
        | '\u{115F}'
        | '\u{1160}'
        | '\u{180E}'
        | '\u{200B}'..='\u{200F}'
        | '\u{2028}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}'
        | '\u{3164}'
        | '\u{FEFF}'
        | '\u{FFA0}'
        | '\u{FFF9}'..='\u{FFFB}'
        | '\u{E0000}'..='\u{E0FFF}' => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_replaced() {
        for hostile in [
            "a\x1bc",
            "a\x1b[31mb",
            "a\x1b]52;c;aGk=\x07",
            "\u{9b}31m",
            "a\r\nb",
            "a\u{202e}b",
            "a\u{200b}b",
            "a\u{2066}b",
            "a\0b",
            "\u{feff}a",
            "a\u{e0041}b",
            "a\x7fb",
            "a\u{ad}b",
        ] {
            let clean = name(hostile);
            assert!(clean.contains(char::REPLACEMENT_CHARACTER), "{hostile:?} -> {clean:?}");
            assert!(!clean.chars().any(char::is_control), "{hostile:?} -> {clean:?}");
        }
    }

    #[test]
    fn what_people_write_stays() {
        for fine in ["build-7", "grüße", "日本語", "e\u{301}tude", "名前 2", "a_b.c/d"] {
            assert_eq!(name(fine), fine);
        }
    }

    #[test]
    fn names_are_bounded_in_bytes_cells_and_marks() {
        assert_eq!(name(&"x".repeat(100)).len(), NAME_CELLS_MAX);
        assert_eq!(name(&"日".repeat(100)).chars().count(), NAME_CELLS_MAX / 2);
        assert_eq!(name(&format!("e{}x", "\u{301}".repeat(1_000))), "e\u{301}\u{301}x");
        assert!(line(&"é".repeat(100), 9).len() <= 9);
    }

    #[test]
    fn a_paragraph_keeps_its_breaks() {
        assert_eq!(paragraph("a\n\tb\x1b"), "a\n\tb\u{fffd}");
    }
}
