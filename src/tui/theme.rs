//! Colours and glyphs: dark, light and mono, each in Unicode or in ASCII.
//!
//! Colour is never the only signal: every state has a glyph, a word and a
//! texture of its own, and the mono theme marks by bold, dim and reverse.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

use crate::presence::State;

/// Which colours to draw with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    /// For dark backgrounds: the terminal's own sixteen colours.
    #[default]
    Dark,
    /// For light backgrounds: darker shades that can be read on white.
    Light,
    /// No colour at all.
    Mono,
}

/// What a piece of the screen means; the theme decides how that looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Ordinary text.
    Text,
    /// Less important text.
    Dim,
    /// What must be seen.
    Strong,
    /// The name of a key.
    Key,
    /// The name of a panel.
    Title,
    /// Lines around panels.
    Border,
    /// Lines around the panel that has the focus.
    Focus,
    /// The heads of columns.
    Head,
    /// A row in this state, or its word.
    State(State),
    /// The empty part of a bar.
    Empty,
    /// An unacknowledged departure.
    Alert,
    /// A banner: paused, holding, stopping.
    Banner,
    /// A warning.
    Warning,
    /// A number that is being changed.
    Pending,
    /// The letter under the cursor of an input.
    Cursor,
    /// Laid over the selected row.
    Selected,
    /// Laid over a row that just changed its state.
    Pulse,
}

impl Theme {
    /// Every theme, in the order the key goes through them.
    pub const ALL: [Self; 3] = [Self::Dark, Self::Light, Self::Mono];

    /// Returns its name, as the configuration writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
            Self::Mono => "mono",
        }
    }

    /// Reads the name back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.word() == word)
    }

    /// Returns the theme that follows this one; without colour there is only mono.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Dark => Self::Light,
            Self::Light => Self::Mono,
            Self::Mono => Self::Dark,
        }
    }

    /// Returns how a role looks.
    #[must_use]
    pub fn style(self, role: Role) -> Style {
        match self {
            Self::Mono => mono(role),
            Self::Dark => coloured(role, &DARK),
            Self::Light => coloured(role, &LIGHT),
        }
    }
}

/// The few colours a theme is made of.
struct Palette {
    green: Color,
    yellow: Color,
    red: Color,
    accent: Color,
    dim: Color,
    border: Color,
    selected: Color,
}

const DARK: Palette = Palette {
    green: Color::Green,
    yellow: Color::Yellow,
    red: Color::LightRed,
    accent: Color::Cyan,
    dim: Color::Indexed(245),
    border: Color::Indexed(240),
    selected: Color::Indexed(237),
};

const LIGHT: Palette = Palette {
    green: Color::Indexed(28),
    yellow: Color::Indexed(130),
    red: Color::Indexed(160),
    accent: Color::Indexed(25),
    dim: Color::Indexed(242),
    border: Color::Indexed(249),
    selected: Color::Indexed(254),
};

fn coloured(role: Role, palette: &Palette) -> Style {
    let plain = Style::new();
    match role {
        Role::Text => plain,
        Role::Dim | Role::State(State::Left | State::Offline) => plain.fg(palette.dim),
        Role::Strong | Role::Title => plain.add_modifier(Modifier::BOLD),
        Role::Key | Role::Focus => plain.fg(palette.accent),
        Role::Head => plain.fg(palette.dim).add_modifier(Modifier::BOLD),
        Role::Border | Role::Empty => plain.fg(palette.border),
        Role::State(State::Online) => plain.fg(palette.green),
        Role::State(State::Late) | Role::Warning => plain.fg(palette.yellow),
        Role::State(State::TimedOut) => plain.fg(palette.red).add_modifier(Modifier::BOLD),
        Role::Alert => plain.fg(palette.red).add_modifier(Modifier::BOLD | Modifier::REVERSED),
        Role::Banner => plain.fg(palette.yellow).add_modifier(Modifier::BOLD | Modifier::REVERSED),
        Role::Pending => plain.fg(palette.yellow).add_modifier(Modifier::BOLD),
        Role::Selected => plain.bg(palette.selected),
        Role::Pulse | Role::Cursor => plain.add_modifier(Modifier::REVERSED),
    }
}

fn mono(role: Role) -> Style {
    // Reset and not "no colour set": nothing a frame left behind may shine through.
    let plain = Style::new().fg(Color::Reset).bg(Color::Reset);
    match role {
        Role::Text | Role::State(State::Online) | Role::Border => plain,
        Role::Dim | Role::Empty | Role::State(State::Left | State::Offline) => {
            plain.add_modifier(Modifier::DIM)
        }
        Role::Strong
        | Role::Key
        | Role::Title
        | Role::Focus
        | Role::Head
        | Role::Warning
        | Role::Pending
        | Role::State(State::Late | State::TimedOut) => plain.add_modifier(Modifier::BOLD),
        Role::Alert | Role::Banner => plain.add_modifier(Modifier::BOLD | Modifier::REVERSED),
        Role::Selected | Role::Pulse | Role::Cursor => plain.add_modifier(Modifier::REVERSED),
    }
}

/// Every symbol the screen draws that is not a letter.
#[derive(Debug, PartialEq, Eq)]
pub struct Glyphs {
    states: [&'static str; 5],
    /// A full cell of a bar.
    pub full: &'static str,
    /// A bar's last cell, from one eighth to seven; empty when whole cells must do.
    pub eighths: &'static [&'static str],
    /// An empty cell of a bar.
    pub empty: &'static str,
    /// A full cell of a late client's bar.
    pub late_bar: &'static str,
    /// A beat that came on time.
    pub beat_on_time: &'static str,
    /// A beat that came late.
    pub beat_late: &'static str,
    /// A beat that never came.
    pub beat_missed: &'static str,
    /// Blocks of rising height.
    pub spark: &'static [&'static str],
    /// Nothing where a block could be.
    pub gap: &'static str,
    /// Before the selected row.
    pub marker: &'static str,
    /// Before an alert.
    pub alert: &'static str,
    /// A column ordered as usual.
    pub down: &'static str,
    /// A column ordered the other way round.
    pub up: &'static str,
    /// More rows below.
    pub more: &'static str,
    /// Before a group whose members are shown, and before one whose members are not.
    pub folds: [&'static str; 2],
    /// Something was cut.
    pub ellipsis: &'static str,
    /// No value.
    pub none: &'static str,
    /// From one thing to another.
    pub to: &'static str,
    /// Between items.
    pub dot: &'static str,
    /// Before how much a value varies.
    pub spread: &'static str,
    /// A horizontal line.
    pub line: &'static str,
    /// The cursor of an input.
    pub cursor: &'static str,
    /// Lines around panels.
    pub border: border::Set<'static>,
}

impl Glyphs {
    /// Returns the symbol of a state.
    #[must_use]
    pub fn state(&self, state: State) -> &'static str {
        self.states[state as usize]
    }
}

/// The symbols where the terminal has them: all one cell wide, none of them an emoji.
pub const UNICODE: Glyphs = Glyphs {
    states: ["●", "◐", "✕", "○", "◇"],
    full: "█",
    eighths: &["▏", "▎", "▍", "▌", "▋", "▊", "▉"],
    empty: "·",
    late_bar: "▒",
    beat_on_time: "▇",
    beat_late: "▃",
    beat_missed: "·",
    spark: &["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    gap: " ",
    marker: "▶",
    alert: "▲",
    down: "↓",
    up: "↑",
    more: "▼",
    folds: ["▾", "▸"],
    ellipsis: "…",
    none: "—",
    to: "→",
    dot: "·",
    spread: "±",
    line: "─",
    cursor: "_",
    border: border::PLAIN,
};

/// The symbols for terminals that have nothing but ASCII.
pub const ASCII: Glyphs = Glyphs {
    states: ["+", "~", "x", "-", "."],
    full: "#",
    eighths: &[],
    empty: ".",
    late_bar: "=",
    beat_on_time: "|",
    beat_late: ":",
    beat_missed: "_",
    spark: &["_", ".", "-", "=", "+", "*", "%", "#"],
    gap: " ",
    marker: ">",
    alert: "!",
    down: "v",
    up: "^",
    more: "v",
    folds: ["-", "+"],
    ellipsis: "~",
    none: "-",
    to: "->",
    dot: ".",
    spread: "+-",
    line: "-",
    cursor: "_",
    border: border::Set {
        top_left: "+",
        top_right: "+",
        bottom_left: "+",
        bottom_right: "+",
        vertical_left: "|",
        vertical_right: "|",
        horizontal_top: "-",
        horizontal_bottom: "-",
    },
};

/// How this terminal is drawn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The colours.
    pub theme: Theme,
    /// Whether only ASCII may be sent.
    pub ascii: bool,
    /// Whether colour is forbidden, so that the theme stays mono.
    pub colourless: bool,
}

impl Look {
    /// Decides from what was asked for and from what the environment says of the terminal.
    ///
    /// `var` reads an environment variable; it is an argument so that a test can say.
    pub fn decide(theme: Option<Theme>, ascii: Option<bool>, var: impl Fn(&str) -> Option<String>) -> Self {
        let colourless =
            var("NO_COLOR").is_some_and(|value| !value.is_empty()) || var("TERM").as_deref() == Some("dumb");
        let theme = if colourless { Theme::Mono } else { theme.unwrap_or_else(|| by_background(&var)) };
        Self { theme, ascii: ascii.unwrap_or_else(|| !shows_unicode(&var)), colourless }
    }

    /// Returns the symbols to draw with.
    #[must_use]
    pub fn glyphs(self) -> &'static Glyphs {
        if self.ascii { &ASCII } else { &UNICODE }
    }

    /// Returns how a role looks.
    #[must_use]
    pub fn style(self, role: Role) -> Style {
        self.theme.style(role)
    }
}

/// Reads `COLORFGBG`, which some terminals set to `foreground;background`.
fn by_background(var: impl Fn(&str) -> Option<String>) -> Theme {
    let background = var("COLORFGBG").and_then(|pair| pair.rsplit(';').next()?.parse::<u8>().ok());
    if matches!(background, Some(7 | 9..=15)) { Theme::Light } else { Theme::Dark }
}

/// Tells whether the terminal has our symbols: not the bare Linux console, and a UTF-8 locale.
fn shows_unicode(var: impl Fn(&str) -> Option<String>) -> bool {
    if matches!(var("TERM").as_deref(), Some("linux" | "dumb")) {
        return false;
    }
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(var).find(|value| !value.is_empty());
    // No locale at all is usual in containers, whose terminals are UTF-8.
    locale.is_none_or(|name| {
        let name = name.to_ascii_lowercase();
        name.contains("utf-8") || name.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(vars: &[(&str, &str)]) -> Look {
        Look::decide(None, None, |name| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn no_color_makes_it_mono_whatever_was_asked_for() {
        assert_eq!(look(&[("NO_COLOR", "1")]).theme, Theme::Mono);
        assert_eq!(look(&[("NO_COLOR", "")]).theme, Theme::Dark);
        assert_eq!(Look::decide(Some(Theme::Light), None, |_| Some("1".into())).theme, Theme::Mono);
    }

    #[test]
    fn a_terminal_without_unicode_gets_ascii() {
        assert!(look(&[("TERM", "linux"), ("LANG", "en_US.UTF-8")]).ascii);
        assert!(look(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]).ascii);
        assert!(!look(&[("LANG", "de_DE.utf8")]).ascii);
        assert!(!look(&[]).ascii);
    }

    #[test]
    fn the_mono_theme_has_no_colour_at_all() {
        let roles = [Role::Text, Role::Alert, Role::Key, Role::Border, Role::Banner, Role::Warning];
        for role in State::ALL.map(Role::State).into_iter().chain(roles) {
            let style = Theme::Mono.style(role);
            assert_eq!((style.fg, style.bg), (Some(Color::Reset), Some(Color::Reset)), "{role:?}");
        }
    }

    #[test]
    fn every_glyph_of_a_row_takes_one_cell() {
        for glyphs in [&UNICODE, &ASCII] {
            for state in State::ALL {
                assert_eq!(super::super::format::cells(glyphs.state(state)), 1);
            }
            for glyph in glyphs.eighths.iter().chain(glyphs.spark).chain([&glyphs.marker, &glyphs.alert]) {
                assert_eq!(super::super::format::cells(glyph), 1);
            }
        }
    }
}
