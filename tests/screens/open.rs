//! A server that others can reach and that asks nothing of them says so at the top.

use presence_tui::presence::view::View;

use super::fleet::{ASCII, DARK, healthy, serve};
use super::frames::{frame, text};

const WORDS: &str = "open: anyone can join";

#[test]
fn the_header_says_when_anyone_can_join_and_nothing_when_not() {
    for (size, look) in [((160, 40), DARK), ((120, 40), DARK), ((80, 24), ASCII)] {
        for open in [true, false] {
            let view = View { open, ..healthy(12) };
            let drawn = text(&frame(&serve(view, size, look)));
            let header: Vec<_> = drawn.lines().take(2).collect();
            assert_eq!(header.concat().contains(WORDS), open, "{size:?}: {header:?}");
            assert!(header[0].contains("0.0.0.0:8080"), "{header:?}");
        }
    }
}
