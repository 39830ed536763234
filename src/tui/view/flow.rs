//! Texts and pieces that begin a new line where the old one is full, so that no word is cut.

use ratatui::text::Line;

use super::pen::Text;
use crate::tui::format::wrap;
use crate::tui::theme::{Look, Role};

/// Breaks a sentence into lines of at most `width` cells behind a margin of two.
pub(super) fn sentence(look: Look, words: &str, role: Role, width: usize, hang: usize) -> Vec<Line<'static>> {
    let lines = wrap(words, width, hang);
    lines.into_iter().map(|line| Text::new(look).add("  ", Role::Text).add(line, role).done()).collect()
}

/// Sets pieces side by side, `gap` blanks apart, and begins a new line where the next piece does not fit.
pub(super) fn flow(pieces: Vec<Line<'static>>, gap: usize, width: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = Vec::new();
    for piece in pieces {
        match lines.last_mut() {
            Some(line) if line.width() + gap + piece.width() <= width => {
                line.push_span(" ".repeat(gap));
                line.spans.extend(piece.spans);
            }
            _ => lines.push(piece),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_stay_whole() {
        let pieces = ["one", "two", "three", "a long one"].map(Line::from).to_vec();
        let lines: Vec<String> = flow(pieces, 2, 8).iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["one  two", "three", "a long one"]);
    }
}
