//! Every size, with names as bad as names get: nothing panics and nothing dangerous reaches a cell.

use presence_tui::tui::model::{Dialog, Model, Prompt, Which};
use presence_tui::tui::theme::Look;
use ratatui::buffer::Buffer;

use super::fleet::{ASCII, DARK, hostile, join, lost, press, serve, uplink};
use super::frames::{frame, text};

/// Fails on what a terminal would obey.
fn harmless(buf: &Buffer) {
    for cell in &buf.content {
        let bad = |c: char| c.is_control() || matches!(c, '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{feff}');
        assert!(!cell.symbol().chars().any(bad), "{:?}", cell.symbol());
    }
}

/// Draws at every width, and at every seventh height, beginning at one the width chooses.
fn sweep(model: &mut Model) {
    for width in 1..=200_u16 {
        for height in (1 + width % 7..=60).step_by(7) {
            model.size = (width, height);
            harmless(&frame(model));
        }
    }
}

#[test]
fn the_servers_screen_fits_every_size() {
    for clients in [0, 1, 20, 1_000] {
        sweep(&mut serve(hostile(clients), (80, 24), DARK));
    }
}

#[test]
fn the_clients_screen_fits_every_size() {
    for (clients, uplink) in [(0, uplink()), (20, lost()), (1_000, uplink())] {
        sweep(&mut join(uplink, hostile(clients), (80, 24), ASCII));
    }
}

#[test]
fn details_and_dialogs_fit_every_size() {
    let mut model = serve(hostile(20), (80, 24), DARK);
    press(&mut model, "j j enter");
    let row = model.live.rows[1].clone();
    let dialogs = [
        Dialog::Help { scroll: 3, search: None },
        Dialog::Settings(Prompt::new(Which::Timeout)),
        Dialog::Disconnect(Box::new(row)),
        Dialog::Quit,
        Dialog::Columns(12),
    ];
    for (at, dialog) in dialogs.into_iter().enumerate() {
        model.dialog = Some(dialog);
        model.zoom = at % 2 == 1;
        for width in (1..=200).step_by(5) {
            for height in (1..=60).step_by(4) {
                model.size = (width, height);
                harmless(&frame(&model));
            }
        }
    }
}

#[test]
fn no_sequence_of_keys_sizes_and_answers_breaks_the_screen() {
    use presence_tui::tui::keymap::{Key, TABLE};
    use presence_tui::tui::model::Now;
    use presence_tui::tui::update::{Msg, update};
    let mut dice = fastrand::Rng::with_seed(7);
    let known: Vec<Key> = TABLE.iter().flat_map(|line| line.keys).copied().collect();
    let others = [Key::Enter, Key::Esc, Key::Backspace, Key::Left, Key::Char('d'), Key::Char('日')];
    for mut model in [serve(hostile(30), (80, 24), DARK), join(uplink(), hostile(30), (80, 24), ASCII)] {
        for _ in 0..4_000 {
            let later = Now {
                mono: model.now.mono + std::time::Duration::from_millis(dice.u64(0..900)),
                wall: model.now.wall,
            };
            let msg = match dice.u8(0..20) {
                0 => Msg::Resize(dice.u16(0..150), dice.u16(0..50)),
                1 => Msg::View(std::sync::Arc::new(hostile(dice.usize(0..40)))),
                2 => Msg::Click(dice.u16(0..200), dice.u16(0..60)),
                3 => Msg::Wheel { down: dice.bool() },
                4 => Msg::Paste("a\x1b[1m\u{202e}b".to_owned()),
                5..9 => Msg::Key { key: others[dice.usize(..others.len())], repeat: false },
                _ => Msg::Key { key: known[dice.usize(..known.len())], repeat: dice.bool() },
            };
            update(&mut model, later, msg);
            if dice.u8(0..4) == 0 {
                harmless(&frame(&model));
            }
        }
    }
}

#[test]
fn ascii_means_ascii_whatever_clients_are_called() {
    let mut model = serve(hostile(20), (120, 36), ASCII);
    press(&mut model, "j j enter");
    assert!(text(&frame(&model)).is_ascii());
    let peers = join(uplink(), hostile(20), (120, 36), ASCII);
    assert!(text(&frame(&peers)).is_ascii());
}

#[test]
fn the_first_line_always_says_how_many_are_how_or_who_we_are() {
    let first =
        |look: Look, size| text(&frame(&serve(hostile(20), size, look))).lines().next().unwrap().to_owned();
    for width in 10..60 {
        for height in [1, 3, 9, 15] {
            let line = first(DARK, (width, height));
            assert!(line.contains("✕4"), "{width}x{height}: {line}");
        }
    }
    for width in 60..130 {
        assert!(first(DARK, (width, 24)).contains("serve"));
    }
}
