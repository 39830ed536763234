//! The one table of keys: it drives dispatch, footer, help and the documentation.

pub use super::key::Key;
use crate::presence::State;

/// What a person can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is described by its words in the table below")]
pub enum Action {
    Help,
    Quit,
    Interrupt,
    Suspend,
    Back,
    Down,
    Up,
    First,
    Last,
    HalfDown,
    HalfUp,
    PageDown,
    PageUp,
    NextProblem,
    PrevProblem,
    Details,
    NextPane,
    PrevPane,
    Zoom,
    Filter,
    Problems,
    Only(State),
    AllStates,
    Group,
    Fold,
    Unfold,
    SortNext,
    SortReverse,
    SortLeft,
    SortRight,
    Pause,
    IntervalUp,
    IntervalDown,
    TimeoutUp,
    TimeoutDown,
    EditInterval,
    EditTimeout,
    Undo,
    Acknowledge,
    AcknowledgeAll,
    Write,
    OpenLetter,
    Mute,
    Disconnect,
    Dismiss,
    DismissAll,
    CopyAddress,
    CopyRow,
    Snapshot,
    BeatNow,
    Hold,
    Reconnect,
    EditNote,
    Events,
    Columns,
    Theme,
    Mouse,
    Redraw,
}

impl Action {
    /// Tells whether holding the key down may repeat it.
    #[must_use]
    pub fn repeats(self) -> bool {
        matches!(self, Self::Down | Self::Up | Self::HalfDown | Self::HalfUp | Self::PageDown | Self::PageUp)
    }

    /// Tells whether the footer offers it to a client of a foreign server, where there are no peers to look
    /// at, nor to be seen by. The key still says why it does nothing.
    #[must_use]
    pub fn is_for_foreign(self) -> bool {
        !matches!(self, Self::EditNote | Self::Filter | Self::Details | Self::CopyAddress)
    }
}

/// On which screen a key works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// On both.
    Both,
    /// On the server's only.
    Serve,
    /// On the client's only.
    Join,
}

impl On {
    /// Tells whether that includes the client's screen, or the server's.
    #[must_use]
    pub fn includes(self, join: bool) -> bool {
        match self {
            Self::Both => true,
            Self::Serve => !join,
            Self::Join => join,
        }
    }
}

/// Under which heading the help lists a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Moving about.
    Move,
    /// Choosing what is shown.
    Show,
    /// Doing something to clients.
    Clients,
    /// Changing the heartbeat.
    Beat,
    /// The screen itself.
    Screen,
}

impl Section {
    /// Every section, in the order of the help.
    pub const ALL: [Self; 5] = [Self::Move, Self::Show, Self::Clients, Self::Beat, Self::Screen];

    /// Returns its heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Move => "Move",
            Self::Show => "Show",
            Self::Clients => "Clients",
            Self::Beat => "Heartbeat",
            Self::Screen => "Screen",
        }
    }
}

/// How a key appears in the footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hint {
    /// Its place, from the left.
    pub place: u8,
    /// When room is short the highest goes first.
    pub rank: u8,
    /// The keys, which may stand for a neighbour in the table too (`i/t`).
    pub keys: &'static str,
    /// What they do, with room.
    pub long: &'static str,
    /// What they do, without.
    pub short: &'static str,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    /// The keys, the usual one first.
    pub keys: &'static [Key],
    /// What they mean.
    pub action: Action,
    /// Where they work.
    pub on: On,
    /// Where the help lists them.
    pub section: Section,
    /// What they do, in words.
    pub words: &'static str,
    /// How the footer shows them, if it does.
    pub hint: Option<Hint>,
}

const fn key(keys: &'static [Key], action: Action, on: On, section: Section, words: &'static str) -> Binding {
    Binding { keys, action, on, section, words, hint: None }
}

impl Binding {
    const fn hint(
        mut self,
        place: u8,
        rank: u8,
        keys: &'static str,
        long: &'static str,
        short: &'static str,
    ) -> Self {
        self.hint = Some(Hint { place, rank, keys, long, short });
        self
    }
}

use Action as A;
use Key::{Char, Ctrl};
use On::{Both, Join, Serve};
use Section as S;

/// Every key of both screens.
pub const TABLE: &[Binding] = &[
    key(&[Char('j'), Key::Down], A::Down, Both, S::Move, "down"),
    key(&[Char('k'), Key::Up], A::Up, Both, S::Move, "up"),
    key(&[Char('g'), Key::Home], A::First, Both, S::Move, "first row"),
    key(&[Char('G'), Key::End], A::Last, Both, S::Move, "last row; in the events: follow the newest"),
    key(&[Ctrl('d')], A::HalfDown, Both, S::Move, "half a page down"),
    key(&[Ctrl('u')], A::HalfUp, Both, S::Move, "half a page up"),
    key(&[Key::PageDown], A::PageDown, Both, S::Move, "a page down"),
    key(&[Key::PageUp], A::PageUp, Both, S::Move, "a page up"),
    key(&[Char('n')], A::NextProblem, Both, S::Move, "next problem client"),
    key(&[Char('N')], A::PrevProblem, Both, S::Move, "previous problem client"),
    key(&[Key::Tab], A::NextPane, Both, S::Move, "next panel"),
    key(&[Key::BackTab], A::PrevPane, Both, S::Move, "previous panel"),
    key(&[Key::Enter], A::Details, Both, S::Show, "details of the selected client; folds a group")
        .hint(8, 5, "enter", "details", "details"),
    key(&[Char('/')], A::Filter, Serve, S::Show, "filter by name, id, address, user or tag")
        .hint(1, 1, "/", "filter", "filter"),
    key(&[Char('/')], A::Filter, Join, S::Show, "filter peers by name, id, address, user or tag").hint(
        7,
        7,
        "/",
        "filter peers",
        "filter",
    ),
    key(&[Char('f')], A::Problems, Serve, S::Show, "problems only, and all again")
        .hint(3, 9, "f", "problems", "problems"),
    key(&[Char('f')], A::Problems, Join, S::Show, "problems only, and all again"),
    key(&[Char('1')], A::Only(State::Online), Both, S::Show, "only online"),
    key(&[Char('2')], A::Only(State::Late), Both, S::Show, "only late"),
    key(&[Char('3')], A::Only(State::TimedOut), Both, S::Show, "only timed out"),
    key(&[Char('4')], A::Only(State::Left), Both, S::Show, "only left"),
    key(&[Char('5')], A::Only(State::Offline), Both, S::Show, "only offline"),
    key(&[Char('0')], A::AllStates, Both, S::Show, "all states"),
    key(&[Char('v')], A::Group, Both, S::Show, "group by user, then by each common tag, and back"),
    key(&[Key::Left], A::Fold, Both, S::Show, "fold the group of the selected line"),
    key(&[Key::Right], A::Unfold, Both, S::Show, "unfold the selected group"),
    key(&[Char('s')], A::SortNext, Serve, S::Show, "sort by the next column").hint(2, 6, "s", "sort", "sort"),
    key(&[Char('s')], A::SortNext, Join, S::Show, "sort by the next column"),
    key(&[Char('S')], A::SortReverse, Both, S::Show, "sort the other way round"),
    key(&[Char('<')], A::SortLeft, Both, S::Show, "sort by the column to the left"),
    key(&[Char('>')], A::SortRight, Both, S::Show, "sort by the column to the right"),
    key(&[Char('p'), Char(' ')], A::Pause, Serve, S::Show, "pause the view; the server goes on")
        .hint(10, 3, "p", "pause", "pause"),
    key(&[Char('p'), Char(' ')], A::Pause, Join, S::Show, "pause the view; the heartbeat goes on").hint(
        9,
        5,
        "p",
        "pause view",
        "pause",
    ),
    key(&[Char('L')], A::Events, Both, S::Show, "show or hide the events"),
    key(&[Char('c')], A::Columns, Both, S::Show, "choose columns"),
    key(&[Char('z')], A::Zoom, Both, S::Show, "zoom the panel that has the focus"),
    key(&[Char('a')], A::Acknowledge, Serve, S::Clients, "acknowledge the selected departure, or the newest"),
    key(&[Char('A')], A::AcknowledgeAll, Serve, S::Clients, "acknowledge all departures"),
    key(&[Char('a')], A::Acknowledge, Join, S::Clients, "acknowledge the message shown, or else a departure"),
    key(&[Char('A')], A::AcknowledgeAll, Join, S::Clients, "acknowledge all messages and departures"),
    key(&[Char('o')], A::OpenLetter, Join, S::Clients, "open the message shown"),
    key(&[Char('w')], A::Write, Serve, S::Clients, "write to a client, its user, those shown, or everybody"),
    key(&[Char('w')], A::Write, Join, S::Clients, "say something to everybody"),
    key(&[Char('d')], A::Dismiss, Both, S::Clients, "forget the selected client that is gone"),
    key(&[Char('D')], A::DismissAll, Both, S::Clients, "forget all clients that are gone"),
    key(&[Char('x')], A::Disconnect, Serve, S::Clients, "disconnect the selected client").hint(
        11,
        8,
        "x",
        "disconnect",
        "disconnect",
    ),
    key(&[Char('y')], A::CopyAddress, Serve, S::Clients, "copy the selected client's address")
        .hint(12, 10, "y", "copy", "copy"),
    key(&[Char('y')], A::CopyAddress, Join, S::Clients, "copy the selected client's address")
        .hint(12, 10, "y", "copy", "copy"),
    key(&[Char('Y')], A::CopyRow, Both, S::Clients, "copy the selected client as JSON"),
    key(&[Char('m')], A::Mute, Both, S::Clients, "mute or unmute the bell"),
    key(&[Char('i')], A::EditInterval, Serve, S::Beat, "type an interval").hint(
        9,
        2,
        "i/t",
        "edit interval/timeout",
        "edit",
    ),
    key(&[Char('t')], A::EditTimeout, Serve, S::Beat, "type a timeout"),
    key(&[Char('+'), Char('=')], A::IntervalUp, Serve, S::Beat, "interval up one step"),
    key(&[Char('-')], A::IntervalDown, Serve, S::Beat, "interval down one step"),
    key(&[Char(']')], A::TimeoutUp, Serve, S::Beat, "timeout up one step"),
    key(&[Char('[')], A::TimeoutDown, Serve, S::Beat, "timeout down one step"),
    key(&[Char('u')], A::Undo, Serve, S::Beat, "take the last change of settings back"),
    key(&[Char('b')], A::BeatNow, Join, S::Beat, "send a beat now").hint(1, 2, "b", "beat now", "beat"),
    key(&[Char('H')], A::Hold, Join, S::Beat, "hold heartbeats back to see the timeout work; let them go")
        .hint(2, 3, "H", "hold beats", "hold"),
    key(&[Char('e')], A::EditNote, Join, S::Beat, "edit the note that others see")
        .hint(3, 6, "e", "note", "note"),
    key(&[Char('r')], A::Reconnect, Join, S::Beat, "reconnect now").hint(4, 4, "r", "reconnect", "reconnect"),
    key(&[Char('?'), Key::F(1)], A::Help, Both, S::Screen, "this help").hint(0, 1, "?", "help", "help"),
    key(&[Key::Esc], A::Back, Both, S::Screen, "one step back: dialog, details, filter, states, selection"),
    key(&[Char('C')], A::Theme, Both, S::Screen, "next theme"),
    key(&[Char('M')], A::Mouse, Both, S::Screen, "give the mouse to the screen, or back to the terminal"),
    key(&[Ctrl('s')], A::Snapshot, Both, S::Screen, "save what is shown to a JSON file"),
    key(&[Ctrl('l')], A::Redraw, Both, S::Screen, "draw everything again"),
    key(&[Ctrl('z')], A::Suspend, Both, S::Screen, "suspend, asking first while clients are online"),
    key(&[Ctrl('c')], A::Interrupt, Both, S::Screen, "as q; twice within two seconds: at once"),
    key(&[Char('q')], A::Quit, Serve, S::Screen, "stop the server, asking first while clients are online")
        .hint(13, 0, "q", "quit", "quit"),
    key(&[Char('q')], A::Quit, Join, S::Screen, "say goodbye and leave").hint(13, 0, "q", "leave", "leave"),
];

/// Finds what a key means on a screen.
#[must_use]
pub fn lookup(pressed: Key, join: bool) -> Option<&'static Binding> {
    TABLE.iter().find(|line| line.on.includes(join) && line.keys.contains(&pressed))
}

/// Finds what a key means on the other screen, to say why it does nothing here.
#[must_use]
pub fn elsewhere(pressed: Key, join: bool) -> Option<&'static Binding> {
    lookup(pressed, !join)
}

/// Returns the lines of one screen in one section.
pub fn section(section: Section, join: bool) -> impl Iterator<Item = &'static Binding> {
    TABLE.iter().filter(move |line| line.section == section && line.on.includes(join))
}

/// Writes the keys of a line: `j down`.
#[must_use]
pub fn keys(binding: &Binding) -> String {
    let names: Vec<String> = binding.keys.iter().map(Key::to_string).collect();
    names.join(" ")
}

/// Writes the table of one screen as Markdown, for the README.
#[must_use]
pub fn markdown(join: bool) -> String {
    let mut out = String::from("| key | what it does |\n|---|---|\n");
    for line in Section::ALL.into_iter().flat_map(|part| section(part, join)) {
        let names: Vec<String> = line.keys.iter().map(|key| format!("`{key}`")).collect();
        out.extend(["| ", &names.join(" "), " | ", line.words, " |\n"]);
    }
    out
}

/// Chooses the hints that fit `width` cells and returns their keys and words, in order; `foreign` when the
/// server speaks something else.
#[must_use]
pub fn footer(join: bool, foreign: bool, width: usize) -> Vec<(&'static str, &'static str)> {
    let gap = if width < 60 { 1 } else { 2 };
    let shown = |line: &&Binding| line.on.includes(join) && (!foreign || line.action.is_for_foreign());
    let mut hints: Vec<Hint> = TABLE.iter().filter(shown).filter_map(|line| line.hint).collect();
    hints.sort_unstable_by_key(|hint| hint.place);
    let words = |hint: &Hint| if width < 110 { hint.short } else { hint.long };
    let wide = |hints: &[Hint]| -> usize {
        hints.iter().map(|hint| hint.keys.len() + 1 + words(hint).len() + gap).sum::<usize>()
    };
    while wide(&hints) > width {
        let Some(last) = hints.iter().map(|hint| hint.rank).max() else { break };
        hints.retain(|hint| hint.rank != last);
    }
    hints.iter().map(|hint| (hint.keys, words(hint))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_on_one_screen() {
        for join in [false, true] {
            let mut seen: Vec<Key> = Vec::new();
            for line in TABLE.iter().filter(|line| line.on.includes(join)) {
                for key in line.keys {
                    assert!(!seen.contains(key), "{key} twice (join: {join})");
                    seen.push(*key);
                }
            }
        }
    }

    #[test]
    fn every_hint_names_keys_of_the_table() {
        for line in TABLE.iter().filter(|line| line.hint.is_some()) {
            for name in line.hint.map(|hint| hint.keys).unwrap_or_default().split_inclusive('/') {
                let name = if name.len() > 1 { name.trim_end_matches('/') } else { name };
                let known = TABLE.iter().any(|line| line.keys.iter().any(|key| key.to_string() == name));
                assert!(known, "{name}");
            }
        }
    }

    #[test]
    fn the_footer_fits_every_width_and_keeps_the_way_out_longest() {
        for (join, foreign) in [(false, false), (true, false), (true, true)] {
            for width in 0..200 {
                let hints = footer(join, foreign, width);
                let used: usize = hints.iter().map(|(keys, words)| keys.len() + words.len() + 2).sum();
                assert!(used <= width + hints.len(), "{width}");
                assert!(width < 12 || hints.iter().any(|(keys, _)| *keys == "q"), "{width}");
            }
        }
    }

    #[test]
    fn a_foreign_server_is_offered_nothing_that_takes_peers() {
        let keys: Vec<_> = footer(true, true, 200).into_iter().map(|(keys, _)| keys).collect();
        assert_eq!(keys, ["?", "b", "H", "r", "p", "q"]);
    }

    #[test]
    fn every_line_has_a_place_in_the_documentation() {
        for join in [false, true] {
            let text = markdown(join);
            for line in TABLE.iter().filter(|line| line.on.includes(join)) {
                assert!(text.contains(line.words));
            }
        }
    }
}
