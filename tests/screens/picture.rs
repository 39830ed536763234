//! The picture in the README: a frame of the real screen as SVG.
//!
//! Lines, blocks and the symbols of states are drawn as shapes and the rest as
//! text. So the picture looks the same whichever monospace font the reader has.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use presence_tui::presence::pulse::missed_beats;
use presence_tui::presence::view::View;
use presence_tui::presence::{EventKind, State};
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

use super::fleet::{DARK, ago, mixed, press, serve, view_of};
use super::frames::frame;

/// Room for all rows of the fleet, and no more.
const SIZE: (u16, u16) = (120, 32);
/// A cell: as wide as a letter of 14 pixels in most monospace fonts.
const CELL: (f64, f64) = (8.4, 19.0);
/// How far below its cell's top a letter stands.
const BASELINE: f64 = 14.0;
/// What is left free around the screen.
const MARGIN: f64 = 18.0;

const BACKGROUND: &str = "#10141b";
const FOREGROUND: &str = "#d6dae0";
/// For colours nobody has chosen yet.
const UNKNOWN: &str = "#ff00ff";
const FONTS: &str = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace";

#[test]
fn the_picture_in_the_readme_is_what_the_screen_draws() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/dashboard.svg");
    let mut model = serve(fleet(), SIZE, DARK);
    press(&mut model, "j j j j j");
    model.flash = None;
    let drawn = svg(&frame(&model));
    assert!(!drawn.contains(UNKNOWN), "the palette of the picture lacks a colour");
    if std::env::var_os("PICTURE_UPDATE").is_some() {
        fs::write(&file, &drawn).unwrap();
    }
    let shipped = fs::read_to_string(&file).unwrap_or_default();
    // Not assert_eq: nobody wants to read two pictures in a terminal.
    assert!(
        shipped == drawn,
        "assets/dashboard.svg is out of date: look at the new one after \
         `PICTURE_UPDATE=1 cargo test --test screens picture`"
    );
}

/// The fleet of the other frames, a moment after it has settled, as a server of today shows it.
fn fleet() -> View {
    let mut rows = mixed().rows;
    rows.retain(|row| row.state != State::Offline);
    for row in &mut rows {
        row.changed = ago(10.0);
        row.up_since = row.up_since.filter(|_| row.state.is_live());
    }
    let mut view = view_of(rows);
    for event in &mut view.events {
        if let EventKind::Gone { silent, missed, .. } = &mut Arc::make_mut(event).kind {
            *missed = missed_beats(*silent, view.settings.interval());
        }
    }
    view
}

#[test]
fn text_in_the_picture_cannot_become_markup() {
    let mut buf = Buffer::empty(ratatui::layout::Rect::new(0, 0, 20, 1));
    buf.set_string(0, 0, "<a href='x'>&\"", ratatui::style::Style::new());
    let drawn = svg(&buf);
    assert!(drawn.contains("&lt;a href='x'&gt;&amp;\"") && !drawn.contains("<a"));
}

/// Writes a frame as SVG.
fn svg(buf: &Buffer) -> String {
    let (columns, rows) = (f64::from(buf.area.width), f64::from(buf.area.height));
    let (width, height) = (columns * CELL.0 + 2.0 * MARGIN, rows * CELL.1 + 2.0 * MARGIN);
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" \
         font-family=\"{FONTS}\" font-size=\"14\">\n\
         <title>The dashboard of presence-tui serve</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"10\" fill=\"{BACKGROUND}\"/>\n\
         <g transform=\"translate({MARGIN} {MARGIN})\">"
    );
    let lines: Vec<&[Cell]> = buf.content.chunks(usize::from(buf.area.width).max(1)).collect();
    // Backgrounds first: a row's may not lie over the letters of the row above.
    for (y, line) in lines.iter().enumerate() {
        runs(line, |cell| paint(cell).1, |x, cells| background(&mut out, x, y, cells));
    }
    for (y, line) in lines.iter().enumerate() {
        let alike = |cell: &Cell| {
            let kind = match shape(cell.symbol()) {
                None => "text",
                Some(Shape::Left(_)) => "bar", // Its last cell is of one piece with the others.
                Some(_) => cell.symbol(),
            };
            (paint(cell).0, cell.modifier, kind.to_owned())
        };
        runs(line, alike, |x, cells| foreground(&mut out, x, y, cells));
    }
    out.push_str("</g>\n</svg>\n");
    out
}

/// Calls `with` for each run of neighbours that are alike, and where it begins.
fn runs<T: PartialEq>(line: &[Cell], alike: impl Fn(&Cell) -> T, mut with: impl FnMut(usize, &[Cell])) {
    let mut x = 0;
    for cells in line.chunk_by(|a, b| alike(a) == alike(b)) {
        with(x, cells);
        x += cells.len();
    }
}

fn background(out: &mut String, x: usize, y: usize, cells: &[Cell]) {
    let Some(colour) = cells.first().and_then(|cell| paint(cell).1) else { return };
    rect(out, colour, at(x, CELL.0), at(y, CELL.1), at(cells.len(), CELL.0), CELL.1);
}

fn foreground(out: &mut String, x: usize, y: usize, cells: &[Cell]) {
    let Some(first) = cells.first() else { return };
    let ink = paint(first).0;
    let (left, top) = (at(x, CELL.0), at(y, CELL.1));
    if let Some(drawn) = shape(first.symbol()) {
        let eighths = cells.iter().filter_map(|cell| match shape(cell.symbol())? {
            Shape::Left(eighths) => Some(eighths),
            _ => None,
        });
        let drawn = if matches!(drawn, Shape::Left(_)) { Shape::Left(eighths.sum()) } else { drawn };
        return draw(out, drawn, ink, left, top, cells.len());
    }
    // Two blanks in a row end a piece, so that no font's blank can push what follows.
    let text: String = cells.iter().map(Cell::symbol).collect();
    let mut begin = 0;
    for piece in text.split("  ") {
        let letters = piece.trim_start_matches(' ');
        let length = letters.trim_end_matches(' ').chars().count();
        if length > 0 {
            let skipped = piece.chars().count() - letters.chars().count();
            write_text(
                out,
                first.modifier,
                ink,
                at(x + begin + skipped, CELL.0),
                top,
                letters.trim_end_matches(' '),
            );
        }
        begin += piece.chars().count() + 2;
    }
}

fn write_text(out: &mut String, modifier: Modifier, ink: &str, left: f64, top: f64, text: &str) {
    let bold = if modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
    let faint = if modifier.contains(Modifier::DIM) { " opacity=\"0.6\"" } else { "" };
    let (base, length) = (top + BASELINE, at(text.chars().count(), CELL.0));
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        out,
        "<text x=\"{left:.1}\" y=\"{base:.1}\" textLength=\"{length:.1}\" fill=\"{ink}\"{bold}{faint}>{escaped}</text>"
    );
}

/// What is drawn instead of written.
#[derive(Clone, Copy)]
enum Shape {
    /// From the left, this many eighths of a cell.
    Left(f64),
    /// From below, this many eighths of the cell.
    Below(f64),
    /// A whole cell, half as bright.
    Shade,
    /// A small dot in the middle.
    Dot,
    /// A line's arms: to the left, the right, up, down.
    Line([bool; 4]),
    /// Anything else, on a canvas of 10 by 10: with `{c}` for its colour.
    Figure(&'static str),
}

fn shape(symbol: &str) -> Option<Shape> {
    use Shape::{Below, Dot, Figure, Left, Line, Shade};
    let eighths = |of: &str| of.chars().position(|c| symbol.starts_with(c)).map(at_eighth);
    Some(match symbol {
        "█" | "▏" | "▎" | "▍" | "▌" | "▋" | "▊" | "▉" => Left(eighths("▏▎▍▌▋▊▉█")?),
        "▁" | "▂" | "▃" | "▄" | "▅" | "▆" | "▇" => Below(eighths("▁▂▃▄▅▆▇")?),
        "▒" => Shade,
        "·" => Dot,
        "─" => Line([true, true, false, false]),
        "│" => Line([false, false, true, true]),
        "┌" => Line([false, true, false, true]),
        "┐" => Line([true, false, false, true]),
        "└" => Line([false, true, true, false]),
        "┘" => Line([true, false, true, false]),
        "●" => Figure("<circle cx=\"5\" cy=\"5\" r=\"4.2\" fill=\"{c}\"/>"),
        "○" => {
            Figure("<circle cx=\"5\" cy=\"5\" r=\"3.6\" fill=\"none\" stroke=\"{c}\" stroke-width=\"1.3\"/>")
        }
        "◐" => Figure(
            "<circle cx=\"5\" cy=\"5\" r=\"3.6\" fill=\"none\" stroke=\"{c}\" stroke-width=\"1.3\"/>\
             <path d=\"M5 1.4a3.6 3.6 0 0 0 0 7.2z\" fill=\"{c}\"/>",
        ),
        "✕" => Figure("<path d=\"M1.6 1.6l6.8 6.8m0-6.8l-6.8 6.8\" stroke=\"{c}\" stroke-width=\"1.9\"/>"),
        "◇" => {
            Figure("<path d=\"M5 .8L9.2 5 5 9.2 .8 5z\" fill=\"none\" stroke=\"{c}\" stroke-width=\"1.2\"/>")
        }
        "▶" => Figure("<path d=\"M1.4 .8L9 5 1.4 9.2z\" fill=\"{c}\"/>"),
        "▲" => Figure("<path d=\"M5 .8L9.4 8.8H.6z\" fill=\"{c}\"/>"),
        "▼" => Figure("<path d=\"M5 9.2L9.4 1.2H.6z\" fill=\"{c}\"/>"),
        _ => return None,
    })
}

/// Draws a shape as often as it stands side by side.
fn draw(out: &mut String, shape: Shape, ink: &str, left: f64, top: f64, times: usize) {
    let (width, height) = CELL;
    let (middle, centre, all) = (top + height / 2.0, left + width / 2.0, at(times, width));
    // A bar keeps clear of the rows above and below it.
    let (bar_top, bar_height) = (top + 3.0, height - 5.0);
    match shape {
        Shape::Left(eighths) => rect(out, ink, left, bar_top, width * eighths / 8.0, bar_height),
        Shape::Shade => {
            let _ = writeln!(
                out,
                "<rect x=\"{left:.1}\" y=\"{bar_top:.1}\" width=\"{all:.1}\" height=\"{bar_height:.1}\" \
                 fill=\"{ink}\" opacity=\"0.6\"/>"
            );
        }
        Shape::Below(eighths) => {
            let high = bar_height * eighths / 8.0;
            for n in 0..times {
                rect(out, ink, left + at(n, width) + 0.6, bar_top + bar_height - high, width - 1.2, high);
            }
        }
        Shape::Dot => {
            for n in 0..times {
                rect(out, ink, centre + at(n, width) - 0.8, middle - 0.8, 1.6, 1.6);
            }
        }
        Shape::Line([to_left, to_right, up, down]) => {
            if to_left || to_right {
                let from = if to_left { left } else { centre - 0.5 };
                let to = if to_right { left + all } else { centre + 0.5 };
                rect(out, ink, from, middle - 0.5, to - from, 1.0);
            }
            if up || down {
                let from = if up { top } else { middle - 0.5 };
                let to = if down { top + height } else { middle + 0.5 };
                rect(out, ink, centre - 0.5, from, 1.0, to - from);
            }
        }
        Shape::Figure(figure) => {
            let figure = figure.replace("{c}", ink);
            for n in 0..times {
                let (x, y) = (centre + at(n, width) - 5.0, middle - 5.0);
                let _ = writeln!(out, "<g transform=\"translate({x:.1} {y:.1})\">{figure}</g>");
            }
        }
    }
}

fn rect(out: &mut String, ink: &str, x: f64, y: f64, width: f64, height: f64) {
    let _ = writeln!(
        out,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{ink}\"/>"
    );
}

/// Returns a cell's ink, and its background if it has one.
fn paint(cell: &Cell) -> (&'static str, Option<&'static str>) {
    let (ink, ground) = (colour(cell.fg), colour(cell.bg));
    if cell.modifier.contains(Modifier::REVERSED) {
        (ground.unwrap_or(BACKGROUND), Some(ink.unwrap_or(FOREGROUND)))
    } else {
        (ink.unwrap_or(FOREGROUND), ground)
    }
}

/// The dark theme's colours, as a well-kept terminal shows them.
fn colour(colour: Color) -> Option<&'static str> {
    match colour {
        Color::Reset => None,
        Color::Green => Some("#7ccf8f"),
        Color::Yellow => Some("#e5c07b"),
        Color::LightRed => Some("#f47067"),
        Color::Cyan => Some("#6cc7d9"),
        Color::Indexed(237) => Some("#262d38"),
        Color::Indexed(240) => Some("#4b5462"),
        Color::Indexed(245) => Some("#8b94a1"),
        _ => Some(UNKNOWN),
    }
}

/// Returns where the nth of something begins.
fn at(n: usize, size: f64) -> f64 {
    f64::from(u16::try_from(n).unwrap_or(u16::MAX)) * size
}

fn at_eighth(n: usize) -> f64 {
    at(n + 1, 1.0)
}
