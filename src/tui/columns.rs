//! The columns of the table: what they are called, how wide they are, and which go first when room is short.

use crate::presence::view::Sort;

/// One column, apart from the marker and the glyph that every row has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Column {
    /// The state, in a word.
    State,
    /// The name.
    Name,
    /// The address.
    Address,
    /// Age of the last sign of life.
    LastPing,
    /// The countdown, or why there is none.
    TimesOut,
    /// The last round trip.
    Rtt,
    /// Length of the session.
    Up,
    /// How the last beats went.
    Beats,
    /// How much of each of the last hours it was here.
    Uptime,
    /// The tag `note`.
    Note,
    /// The person.
    User,
    /// The device.
    Device,
    /// Operating system and architecture.
    Platform,
    /// The identity.
    Id,
    /// What it speaks.
    Dialect,
}

impl Column {
    /// Every column, in the usual order.
    pub const ALL: [Self; 15] = [
        Self::State,
        Self::Name,
        Self::User,
        Self::Device,
        Self::Address,
        Self::LastPing,
        Self::TimesOut,
        Self::Rtt,
        Self::Up,
        Self::Beats,
        Self::Uptime,
        Self::Note,
        Self::Platform,
        Self::Id,
        Self::Dialect,
    ];

    /// Returns its name, as the configuration writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Name => "name",
            Self::Address => "address",
            Self::LastPing => "last_ping",
            Self::TimesOut => "times_out",
            Self::Rtt => "rtt",
            Self::Up => "up",
            Self::Beats => "beats",
            Self::Uptime => "uptime",
            Self::Note => "note",
            Self::User => "user",
            Self::Device => "device",
            Self::Platform => "platform",
            Self::Id => "id",
            Self::Dialect => "dialect",
        }
    }

    /// Reads the name back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.word() == word)
    }

    /// Tells whether it is shown unless asked otherwise.
    #[must_use]
    pub fn usual(self, join: bool) -> bool {
        match self {
            Self::User | Self::Device | Self::Platform | Self::Id | Self::Dialect | Self::Uptime => false,
            Self::Note => join,
            // A peer's round trips and beats are known to the server alone.
            Self::Rtt | Self::Beats => !join,
            _ => true,
        }
    }

    /// Returns what it sorts by, if it does.
    #[must_use]
    pub fn sort(self) -> Option<Sort> {
        match self {
            Self::State => Some(Sort::State),
            Self::Name => Some(Sort::Name),
            Self::Address => Some(Sort::Address),
            Self::LastPing => Some(Sort::LastPing),
            Self::TimesOut => Some(Sort::TimesOut),
            Self::Rtt => Some(Sort::Rtt),
            Self::Up => Some(Sort::Up),
            _ => None,
        }
    }

    /// Returns its head.
    #[must_use]
    pub fn head(self) -> &'static str {
        match self {
            Self::State => "STATE",
            Self::Name => "NAME",
            Self::Address => "ADDRESS",
            Self::LastPing => "LAST PING",
            Self::TimesOut => "TIMES OUT IN",
            Self::Rtt => "RTT",
            Self::Up => "UP",
            Self::Beats => "BEATS",
            Self::Uptime => "UPTIME",
            Self::Note => "NOTE",
            Self::User => "USER",
            Self::Device => "DEVICE",
            Self::Platform => "PLATFORM",
            Self::Id => "ID",
            Self::Dialect => "DIALECT",
        }
    }

    /// Tells whether its values stand at its right edge.
    #[must_use]
    pub fn at_right(self) -> bool {
        matches!(self, Self::LastPing | Self::Rtt | Self::Up)
    }

    /// When room is short the highest goes first; the name never goes.
    ///
    /// Columns that are hidden unless asked for stay longer than the usual ones of little weight.
    fn rank(self) -> u8 {
        match self {
            Self::Name => 0,
            Self::TimesOut => 1,
            Self::LastPing => 2,
            Self::State => 3,
            Self::User => 4,
            Self::Device => 5,
            Self::Platform => 6,
            Self::Id => 7,
            Self::Dialect => 8,
            Self::Uptime => 9,
            Self::Note => 10,
            Self::Rtt => 11,
            Self::Beats => 12,
            Self::Address => 13,
            Self::Up => 14,
        }
    }

    fn width(self, room: usize) -> usize {
        match self {
            Self::State | Self::Dialect => 9,
            Self::Name => NAME_MIN,
            Self::Address => 21,
            Self::LastPing => 10,
            Self::TimesOut => bar_width(room) + countdown_width(room),
            Self::Rtt | Self::Up => 6,
            Self::Beats if room >= 110 => 13,
            Self::Beats => 8,
            Self::Uptime if room >= 140 => 24,
            Self::Note | Self::Device => 14,
            Self::User | Self::Platform | Self::Uptime => 12,
            Self::Id => 16,
        }
    }
}

/// Returns the word a sort order goes by in the configuration.
#[must_use]
pub fn sort_word(sort: Sort) -> &'static str {
    Column::ALL.into_iter().find(|column| column.sort() == Some(sort)).map_or("state", Column::word)
}

/// Reads such a word.
#[must_use]
pub fn sort_from_word(word: &str) -> Option<Sort> {
    Column::from_word(word)?.sort()
}

const NAME_MIN: usize = 8;
const NAME_MAX: usize = 40;
/// From here on a name is worth more than the next column.
const NAME_GOOD: usize = 14;
/// An IPv6 address and its port.
const ADDRESS_MAX: usize = 47;
/// Every beat that is remembered, and what became of the client.
const BEATS_MAX: usize = 33;
/// Below this width of the whole screen, rows are only glyph, name and seconds.
pub const NARROW: usize = 40;
/// Below this width there is room for a number, and none for a word before it.
pub const TIGHT: usize = 24;
/// Below this width there are no borders and no column heads.
pub const PLAIN: usize = 60;

/// Returns how wide a bar is on a screen of this width; 0 for none.
#[must_use]
pub fn bar_width(screen: usize) -> usize {
    match screen {
        110.. => 15,
        80..110 => 14,
        PLAIN..80 => 12,
        NARROW..PLAIN => 10,
        _ => 0,
    }
}

/// Returns how wide the seconds beside the bar are.
#[must_use]
pub fn countdown_width(screen: usize) -> usize {
    match screen {
        NARROW.. => 6,
        TIGHT..NARROW => 10,
        _ => 6,
    }
}

/// Returns how many blanks stand before a column that is not the first.
#[must_use]
pub fn gap(column: Column, screen: usize) -> usize {
    match column {
        Column::TimesOut if screen >= NARROW => 2,
        Column::Beats | Column::Note if screen >= 110 => 2,
        _ => 1,
    }
}

/// Chooses the columns that fit `room` cells on a screen `screen` cells wide, and their widths.
#[must_use]
pub fn choose(wanted: &[Column], screen: usize, room: usize) -> Vec<(Column, usize)> {
    let beats = wanted.contains(&Column::Beats);
    let allowed = |column: &Column| allowed(*column, screen, beats);
    let mut columns: Vec<Column> = wanted.iter().copied().filter(allowed).collect();
    if !columns.contains(&Column::Name) {
        columns.insert(0, Column::Name);
    }
    let needs = |columns: &[Column], name: usize| -> usize {
        columns.iter().map(|column| column.width(screen) + gap(*column, screen)).sum::<usize>() + name
            - NAME_MIN
    };
    let good = if screen < NARROW { NAME_MIN } else { NAME_GOOD };
    while needs(&columns, good) > room + 1 && columns.len() > 1 {
        let Some(last) = columns.iter().copied().max_by_key(|column| column.rank()) else { break };
        columns.retain(|column| *column != last);
    }
    let mut spare = (room + 1).saturating_sub(needs(&columns, NAME_MIN));
    let mut out: Vec<(Column, usize)> =
        columns.into_iter().map(|column| (column, column.width(screen))).collect();
    for (stretchy, most) in [
        (Column::Name, 28),
        (Column::Beats, BEATS_MAX),
        (Column::Name, NAME_MAX),
        (Column::Note, 40),
        (Column::Address, ADDRESS_MAX),
    ] {
        if let Some((_, width)) = out.iter_mut().find(|(column, _)| *column == stretchy) {
            let more = spare.min(most.saturating_sub(*width));
            *width += more;
            spare -= more;
        }
    }
    if let [(Column::Name, width)] = out.as_mut_slice() {
        *width = room.min(NAME_MAX);
    }
    out
}

fn allowed(column: Column, screen: usize, beats: bool) -> bool {
    match column {
        Column::Name | Column::TimesOut => screen >= 20 || column == Column::Name,
        Column::LastPing => screen >= NARROW,
        Column::State => screen >= PLAIN,
        Column::Rtt => screen >= 72,
        Column::Address => screen >= 96,
        // Without the beats there is room for it earlier.
        Column::Up => screen >= if beats { 110 } else { 80 },
        Column::Beats | Column::User | Column::Device | Column::Platform | Column::Id | Column::Dialect => {
            screen >= 80
        }
        Column::Uptime => screen >= 80,
        Column::Note => screen >= 110,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(screen: usize) -> Vec<Column> {
        let wanted: Vec<Column> = Column::ALL.into_iter().filter(|column| column.usual(false)).collect();
        let frame = if screen >= PLAIN { 5 } else { 3 };
        choose(&wanted, screen, screen.saturating_sub(frame)).into_iter().map(|(column, _)| column).collect()
    }

    #[test]
    fn columns_go_in_their_order_as_the_screen_shrinks() {
        use Column::{Address, Beats, LastPing, Name, Rtt, State, TimesOut, Up};
        assert_eq!(serve(120), [State, Name, Address, LastPing, TimesOut, Rtt, Up, Beats]);
        assert_eq!(serve(100), [State, Name, Address, LastPing, TimesOut, Rtt, Beats]);
        assert_eq!(serve(80), [State, Name, LastPing, TimesOut, Rtt, Beats]);
        assert_eq!(serve(64), [State, Name, LastPing, TimesOut]);
        assert_eq!(serve(50), [Name, LastPing, TimesOut]);
        assert_eq!(serve(28), [Name, TimesOut]);
        assert_eq!(serve(16), [Name]);
    }

    #[test]
    fn no_choice_is_wider_than_its_room() {
        for wanted in [&Column::ALL[..], &[Column::Name], &[], &[Column::Beats, Column::Id]] {
            for screen in 0..220 {
                let room = screen - screen.min(5);
                let chosen = choose(wanted, screen, room);
                let used: usize = chosen.iter().map(|(column, width)| width + gap(*column, screen)).sum();
                assert!(used <= room + gap(chosen[0].0, screen), "{screen}: {chosen:?}");
            }
        }
    }

    #[test]
    fn words_lead_back_to_columns_and_orders() {
        for column in Column::ALL {
            assert_eq!(Column::from_word(column.word()), Some(column));
        }
        assert_eq!(sort_from_word("times_out"), Some(Sort::TimesOut));
        assert_eq!(sort_from_word("beats"), None);
        assert_eq!(sort_word(Sort::Rtt), "rtt");
    }
}
