//! A pen that writes into an area and never beyond it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::tui::format::{cells, fit};
use crate::tui::theme::{Look, Role};

/// Writes line by line into an area of the frame.
///
/// Peer text goes through `Buffer::set_stringn` alone, which drops what a
/// terminal would obey; `Cell::set_symbol` passes everything.
pub(super) struct Pen<'a> {
    buf: &'a mut Buffer,
    /// How this terminal is drawn on.
    pub(super) look: Look,
    area: Rect,
    x: u16,
    y: u16,
}

impl<'a> Pen<'a> {
    /// Opens a pen at the area's top left.
    pub(super) fn new(buf: &'a mut Buffer, look: Look, area: Rect) -> Self {
        let area = area.intersection(buf.area);
        Self { buf, look, area, x: area.x, y: area.y }
    }

    /// Moves to the beginning of a line of the area.
    pub(super) fn line(&mut self, n: usize) -> &mut Self {
        self.x = self.area.x;
        self.y = self.area.y.saturating_add(u16::try_from(n).unwrap_or(u16::MAX));
        self
    }

    /// Returns how many cells are left on this line.
    pub(super) fn left(&self) -> usize {
        self.area.right().saturating_sub(self.x).into()
    }

    /// Writes a text.
    pub(super) fn put(&mut self, text: &str, role: Role) -> &mut Self {
        let style = self.look.style(role);
        self.styled(text, style)
    }

    /// Writes a text in a style of its own.
    pub(super) fn styled(&mut self, text: &str, style: Style) -> &mut Self {
        if self.y < self.area.bottom() && self.left() > 0 {
            let (x, _) = self.buf.set_stringn(self.x, self.y, text, self.left(), style);
            self.x = x;
        }
        self
    }

    /// Writes a text into so many cells, at the left, and moves behind them.
    pub(super) fn cell(&mut self, text: &str, width: usize, role: Role) -> &mut Self {
        let end = self.after(width);
        let text = fit(text, width.min(self.left()), self.look.glyphs().ellipsis);
        self.put(&text, role);
        self.x = end;
        self
    }

    /// Writes a text at the right end of so many cells and moves behind them.
    pub(super) fn cell_right(&mut self, text: &str, width: usize, role: Role) -> &mut Self {
        let end = self.after(width);
        let text = fit(text, width.min(self.left()), self.look.glyphs().ellipsis);
        self.gap(width.saturating_sub(cells(&text)));
        self.put(&text, role);
        self.x = end;
        self
    }

    /// Leaves cells blank.
    pub(super) fn gap(&mut self, width: usize) -> &mut Self {
        self.x = self.after(width);
        self
    }

    fn after(&self, width: usize) -> u16 {
        self.x.saturating_add(u16::try_from(width).unwrap_or(u16::MAX)).min(self.area.right())
    }

    /// Writes the pieces of a line.
    pub(super) fn spans(&mut self, line: &Line<'_>) -> &mut Self {
        for span in &line.spans {
            self.styled(&span.content, span.style);
        }
        self
    }

    /// Writes pieces that end at the right edge, leaving `margin` cells, unless they would meet what is there.
    pub(super) fn spans_right(&mut self, line: &Line<'_>, margin: usize) -> &mut Self {
        let width = line.width() + margin;
        if width < self.left() {
            self.gap(self.left() - width);
            self.spans(line);
        }
        self
    }

    /// Lays a role over a line from its beginning to the right edge.
    pub(super) fn wash(&mut self, n: usize, role: Role) {
        let Ok(n) = u16::try_from(n) else { return };
        let line = Rect { y: self.area.y.saturating_add(n), height: 1, ..self.area };
        self.buf.set_style(line.intersection(self.area), self.look.style(role));
    }

    /// Draws a border around the whole area, with a name at its left and words at its right, and clears what is inside.
    pub(super) fn panel(&mut self, title: &str, right: &Line<'_>, focused: bool) {
        let area = self.area;
        if area.width < 2 || area.height < 2 {
            return;
        }
        let set = self.look.glyphs().border;
        let role = if focused { Role::Focus } else { Role::Border };
        let inner = usize::from(area.width - 2);
        let last = usize::from(area.height - 1);
        let (horizontal, blank) = (set.horizontal_top.repeat(inner), " ".repeat(inner));
        self.line(0).put(set.top_left, role).put(&horizontal, role).put(set.top_right, role);
        for n in 1..last {
            self.line(n).put(set.vertical_left, role).put(&blank, Role::Text).put(set.vertical_right, role);
        }
        self.line(last).put(set.bottom_left, role).put(&horizontal, role).put(set.bottom_right, role);
        if !title.is_empty() {
            let title = fit(title, inner.saturating_sub(3), self.look.glyphs().ellipsis).into_owned();
            self.line(0).gap(1).put(" ", role).put(&title, Role::Title).put(" ", role);
        }
        if right.width() > 0 && right.width() + 3 < self.left() {
            let x = self.left() - right.width() - 3;
            self.gap(x).put(" ", role).spans(right).put(" ", role);
        }
    }

    /// Writes words at the right of the area's last line, into its border.
    pub(super) fn foot(&mut self, words: &Line<'_>) {
        let inner = usize::from(self.area.width).saturating_sub(4);
        if self.area.height >= 2 && words.width() < inner {
            let gap = inner - words.width();
            self.line(usize::from(self.area.height) - 1).gap(gap + 1);
            self.styled(" ", Style::new()).spans(words).styled(" ", Style::new());
        }
    }
}

/// Builds a line piece by piece.
pub(super) struct Text {
    look: Look,
    line: Line<'static>,
}

impl Text {
    /// Starts an empty line.
    pub(super) fn new(look: Look) -> Self {
        Self { look, line: Line::default() }
    }

    /// Adds a piece.
    pub(super) fn add(mut self, text: impl Into<String>, role: Role) -> Self {
        self.line.push_span(Span::styled(text.into(), self.look.style(role)));
        self
    }

    /// Adds what is typed, with the letter under the cursor marked, or a line behind the last.
    pub(super) fn input(self, input: &tui_input::Input, role: Role) -> Self {
        let (value, at) = (input.value(), input.cursor());
        let before: String = value.chars().take(at).collect();
        let under: String = value.chars().skip(at).take(1).collect();
        let after: String = value.chars().skip(at + 1).collect();
        let cursor = self.look.glyphs().cursor;
        let line = self.add(before, role);
        if under.is_empty() {
            line.add(cursor, Role::Key)
        } else {
            line.add(under, Role::Cursor).add(after, role)
        }
    }

    /// Adds the keys and words of a hint.
    pub(super) fn hint(self, keys: &str, words: &str) -> Self {
        self.add(keys, Role::Key).add(format!(" {words}"), Role::Dim)
    }

    /// Returns the line.
    pub(super) fn done(self) -> Line<'static> {
        self.line
    }
}

/// Returns the first line that fits, or the last of them.
pub(super) fn first_that_fits(lines: impl IntoIterator<Item = Line<'static>>, width: usize) -> Line<'static> {
    let mut last = Line::default();
    for line in lines {
        let fits = line.width() <= width;
        last = line;
        if fits {
            break;
        }
    }
    last
}
