//! Every key does what the table says, or says why not.

use std::sync::Arc;
use std::time::Duration;

use presence_tui::presence::command::Command;
use presence_tui::presence::event::Origin;
use presence_tui::presence::view::{Sort, View, Window};
use presence_tui::presence::{RowKey, Settings, State};
use presence_tui::tui::keymap::{Key, TABLE, footer, keys, lookup};
use presence_tui::tui::layout::Pane;
use presence_tui::tui::model::{Dialog, Model, Now};
use presence_tui::tui::theme::Theme;
use presence_tui::tui::update::{Effect, Msg, update};

use super::fleet::{DARK, MONO, healthy, join, mixed, nobody, now, press, secs, serve, uplink};
use super::frames::{frame, text};

pub(super) fn server() -> Model {
    serve(mixed(), (120, 36), DARK)
}

fn client() -> Model {
    join(uplink(), mixed(), (120, 36), DARK)
}

/// Lets time pass.
pub(super) fn wait(model: &mut Model, span: f64) -> Vec<Effect> {
    let later = Now { mono: model.now.mono + secs(span), wall: model.now.wall + secs(span) };
    update(model, later, Msg::Tick)
}

/// Answers with a view, as the owner of the rows would.
pub(super) fn answer(model: &mut Model, view: View) -> Vec<Effect> {
    let at = model.now;
    update(model, at, Msg::View(Arc::new(view)))
}

pub(super) fn commands(effects: Vec<Effect>) -> Vec<Command> {
    let sent = effects.into_iter().filter_map(|effect| match effect {
        Effect::Send(Command::Show(_)) => None,
        Effect::Send(command) => Some(command),
        _ => None,
    });
    sent.collect()
}

pub(super) fn shown(effects: &[Effect]) -> Option<Window> {
    effects.iter().rev().find_map(|effect| match effect {
        Effect::Send(Command::Show(window)) => Some(window.clone()),
        _ => None,
    })
}

fn said(model: &Model) -> &str {
    model.flash.as_ref().map_or("", |flash| &flash.words)
}

#[test]
fn every_key_of_the_table_does_something_or_says_why_not() {
    for (is_join, make) in [(false, server as fn() -> Model), (true, client)] {
        for line in TABLE.iter().filter(|line| line.on.includes(is_join)) {
            for key in line.keys {
                let mut model = make();
                press(&mut model, "j j j j");
                model.flash = None;
                let before = format!("{model:?}");
                let at = model.now;
                let effects = update(&mut model, at, Msg::Key { key: *key, repeat: false });
                let after = format!("{model:?}");
                assert!(before != after || !effects.is_empty(), "{key}: {}", line.words);
            }
        }
    }
}

#[test]
fn the_help_lists_every_key_of_its_screen_and_no_other() {
    for (is_join, mut model) in [(false, server()), (true, client())] {
        model.size = (120, 120);
        press(&mut model, "?");
        let help = text(&frame(&model));
        for line in TABLE {
            let words = format!("{}  ", keys(line));
            let listed = help.contains(line.words) && help.contains(words.trim_end());
            assert!(listed || !line.on.includes(is_join), "{} is missing", line.words);
        }
        assert_eq!(help.contains("interval up one step"), !is_join);
    }
}

#[test]
fn the_footer_says_what_the_table_says() {
    let bottom = |model: &Model| text(&frame(model)).lines().last().unwrap().to_owned();
    for (is_join, model) in [(false, server()), (true, client())] {
        for (key, words) in footer(is_join, false, 119) {
            assert!(bottom(&model).contains(&format!("{key} {words}")), "{key} {words}");
        }
    }
}

#[test]
fn a_key_of_the_other_screen_or_of_none_says_so() {
    let mut model = client();
    press(&mut model, "+");
    assert!(said(&model).contains("the server decides that"), "{}", said(&model));
    let mut model = server();
    press(&mut model, "H");
    assert!(said(&model).contains("only on a client's screen"));
    press(&mut model, "!");
    assert!(said(&model).contains("no such key"));
    wait(&mut model, 2.0);
    assert_eq!(said(&model), "");
}

#[test]
fn the_selection_is_a_client_and_not_a_line() {
    let mut model = server();
    press(&mut model, "j j j");
    assert_eq!(model.table.selected, Some(RowKey(3)));
    let mut moved = mixed();
    moved.rows.reverse();
    answer(&mut model, moved);
    assert_eq!(model.table.selected, Some(RowKey(3)));
    assert_eq!(model.selected_place(), Some(14));
}

#[test]
fn the_order_stands_still_for_a_moment_after_a_step() {
    let mut model = server();
    assert!(shown(&press(&mut model, "j")).unwrap().hold_order);
    assert_eq!(shown(&wait(&mut model, 1.0)), None);
    assert!(!shown(&wait(&mut model, 0.5)).unwrap().hold_order);
}

#[test]
fn going_beyond_what_is_known_asks_for_it_and_selects_it_when_it_comes() {
    let all = healthy(1_000);
    let window = |offset: usize| View {
        rows: all.rows.iter().skip(offset).take(60).cloned().collect(),
        offset,
        ..all.clone()
    };
    let mut model = serve(window(0), (80, 24), DARK);
    let asked = shown(&press(&mut model, "G")).unwrap();
    assert!(asked.offset <= 999 && asked.offset + asked.height >= 1_000, "{asked:?}");
    assert_eq!(model.table.selected, None);
    answer(&mut model, window(940));
    assert_eq!(model.table.selected, Some(RowKey(1_000)));
    assert!(text(&frame(&model)).contains("worker-0999"));
    press(&mut model, "g");
    answer(&mut model, window(0));
    assert_eq!(model.table.selected, Some(RowKey(1)));
}

#[test]
fn steps_of_a_setting_are_shown_at_once_and_sent_when_the_keys_rest() {
    let mut model = server();
    assert_eq!(commands(press(&mut model, "] ] ]")), []);
    assert!(text(&frame(&model)).contains("timeout 45.0s…"));
    assert_eq!(commands(wait(&mut model, 0.3)), []);
    let wanted = Settings::new(secs(5.0), secs(45.0)).unwrap();
    assert_eq!(commands(wait(&mut model, 0.1)), [Command::Set(wanted, Origin::Key)]);
    assert!(text(&frame(&model)).contains("timeout 45.0s…"));
    answer(
        &mut model,
        View {
            settings: wanted,
            asked: wanted,
            rollout: presence_tui::presence::view::Rollout { applied: 12, of: 13, ..Default::default() },
            ..mixed()
        },
    );
    assert!(text(&frame(&model)).contains("timeout 45.0s (rev 2: 12/13 applied)"));
    let before = mixed().settings;
    assert_eq!(commands(press(&mut model, "u")), [Command::Set(before, Origin::Undo)]);
}

#[test]
fn a_step_that_would_break_the_rule_is_refused_at_both_doors() {
    let mut model = server();
    press(&mut model, "[ [");
    assert_eq!(said(&model), "timeout 5.0s must stay above interval 5.0s: lower the interval first ( - )");
    let mut model = server();
    press(&mut model, "+ +");
    assert_eq!(said(&model), "interval 15.0s must stay below timeout 15.0s: raise the timeout first ( ] )");
    assert_eq!(model.wanted(), Settings::new(secs(10.0), secs(15.0)).unwrap());
}

#[test]
fn a_typed_setting_is_applied_by_enter_and_only_when_it_may_be() {
    let mut model = server();
    assert_eq!(commands(press(&mut model, "t 3 s enter")), []);
    assert!(matches!(model.dialog, Some(Dialog::Settings(_))));
    let wanted = Settings::new(secs(5.0), secs(30.0)).unwrap();
    let sent = commands(press(&mut model, "backspace backspace 3 0 s enter"));
    assert_eq!(sent, [Command::Set(wanted, Origin::Prompt)]);
    assert!(model.dialog.is_none());
}

#[test]
fn both_settings_can_be_typed_in_one_prompt() {
    let mut model = server();
    let wanted = Settings::new(secs(20.0), secs(60.0)).unwrap();
    let sent = commands(press(&mut model, "i 2 0 s tab 1 m enter"));
    assert_eq!(sent, [Command::Set(wanted, Origin::Prompt)]);
    let mut model = server();
    assert_eq!(commands(press(&mut model, "i 2 0 s ctrl-t enter")), [Command::Set(wanted, Origin::Prompt)]);
}

#[test]
fn keys_are_letters_while_something_is_typed() {
    let mut model = server();
    press(&mut model, "/ q x p");
    assert_eq!(model.table.filter, "qxp");
    assert!(model.paused.is_none());
    press(&mut model, "esc");
    assert_eq!(model.table.filter, "");
    let at = model.now;
    press(&mut model, "/");
    update(&mut model, at, Msg::Paste("a\x1b[31m\nb".to_owned()));
    assert_eq!(model.table.filter, "a[31mb");
}

#[test]
fn filter_and_states_are_part_of_the_window() {
    let mut model = server();
    let window = shown(&press(&mut model, "/ d b enter 3")).unwrap();
    assert_eq!((window.filter.as_str(), window.states), ("db", vec![State::TimedOut]));
    let window = shown(&press(&mut model, "f")).unwrap();
    assert_eq!(window.states, [State::Late, State::TimedOut]);
    let window = shown(&press(&mut model, "esc")).unwrap();
    assert_eq!(window.filter, "");
    assert_eq!(shown(&press(&mut model, "0")).unwrap().states, []);
}

#[test]
fn escape_takes_one_step_back_at_a_time() {
    let mut model = server();
    press(&mut model, "/ e enter f j enter z");
    for left in 0..5 {
        let open =
            [model.zoom, model.details, !model.table.filter.is_empty(), !model.table.states.is_empty()];
        assert_eq!(open.iter().filter(|open| **open).count(), 4_usize.saturating_sub(left));
        press(&mut model, "esc");
    }
    assert_eq!(model.table.selected, None);
    press(&mut model, "esc");
    assert!(said(&model).contains("nothing is open"));
}

#[test]
fn disconnecting_asks_first_and_keeps_its_target() {
    let mut model = server();
    press(&mut model, "j j j x");
    let mut moved = mixed();
    moved.rows.reverse();
    answer(&mut model, moved);
    assert_eq!(commands(press(&mut model, "enter")), [], "enter cancels");
    press(&mut model, "x");
    assert_eq!(commands(press(&mut model, "d")), [Command::Kick(RowKey(3), None)]);
    press(&mut model, "x");
    let block = Some(Duration::from_mins(10));
    assert_eq!(commands(press(&mut model, "b")), [Command::Kick(RowKey(3), block)]);
    press(&mut model, "g x");
    assert!(said(&model).contains("is not connected"), "{}", said(&model));
}

#[test]
fn acknowledging_and_dismissing() {
    let mut model = server();
    assert_eq!(commands(press(&mut model, "a")), [Command::Acknowledge(Some(RowKey(1)))]);
    assert_eq!(commands(press(&mut model, "A")), [Command::Acknowledge(None)]);
    assert_eq!(commands(press(&mut model, "g d")), [Command::Dismiss(Some(RowKey(1)))]);
    assert_eq!(commands(press(&mut model, "D enter")), []);
    assert_eq!(commands(press(&mut model, "D d")), [Command::Dismiss(None)]);
    let mut model = serve(healthy(2), (80, 24), DARK);
    press(&mut model, "a");
    assert!(said(&model).contains("nothing waits"));
    press(&mut model, "D");
    assert!(said(&model).contains("nobody is gone"));
}

#[test]
fn stopping_a_server_asks_only_while_clients_are_online() {
    let mut model = server();
    assert_eq!(commands(press(&mut model, "q enter q s")), [Command::Quit]);
    assert!(model.stopping.is_some());
    assert!(text(&frame(&model)).contains("STOPPING"));
    assert!(press(&mut model, "q").contains(&Effect::Leave), "again means now");
    let mut model = serve(nobody(), (80, 24), DARK);
    assert_eq!(commands(press(&mut model, "q")), [Command::Quit]);
    assert!(wait(&mut model, 6.0).contains(&Effect::Leave), "a stop that never comes is not waited for");
}

#[test]
fn control_c_twice_leaves_at_once_and_slowly_does_not() {
    let mut model = server();
    assert!(press(&mut model, "ctrl-c ctrl-c").contains(&Effect::Leave));
    let mut model = server();
    press(&mut model, "/ a ctrl-c");
    assert!(matches!(model.dialog, Some(Dialog::Quit)));
    press(&mut model, "esc");
    wait(&mut model, 2.0);
    assert!(!press(&mut model, "ctrl-c").contains(&Effect::Leave));
}

#[test]
fn a_paused_view_stands_still_while_the_counts_go_on() {
    let mut model = server();
    press(&mut model, "p");
    let before = text(&frame(&model)).lines().skip(3).collect::<Vec<_>>().join("\n");
    wait(&mut model, 9.0);
    answer(&mut model, healthy(40));
    let after = text(&frame(&model));
    assert!(after.contains("● 40 online"));
    assert_eq!(after.lines().skip(3).collect::<Vec<_>>().join("\n"), before);
    press(&mut model, "f");
    assert!(said(&model).contains("paused"));
    press(&mut model, "p");
    assert!(text(&frame(&model)).contains("worker-0001"));
}

#[test]
fn problems_are_found_forwards_and_backwards() {
    let mut model = server();
    press(&mut model, "n");
    assert_eq!(model.table.selected, Some(RowKey(1)));
    press(&mut model, "n n");
    assert_eq!(model.table.selected, Some(RowKey(3)));
    press(&mut model, "n");
    assert_eq!(model.table.selected, Some(RowKey(1)), "round and round");
    press(&mut model, "N");
    assert_eq!(model.table.selected, Some(RowKey(3)));
}

#[test]
fn copying_gives_the_address_and_the_row() {
    let mut model = server();
    assert!(!press(&mut model, "y").iter().any(|effect| matches!(effect, Effect::Copy(_))));
    let copied = press(&mut model, "j j j y");
    assert!(copied.contains(&Effect::Copy("10.0.9.31:38044".to_owned())));
    let copied = press(&mut model, "Y");
    let json = copied.iter().find_map(|effect| match effect {
        Effect::Copy(text) => serde_json::from_str::<serde_json::Value>(text).ok(),
        _ => None,
    });
    assert_eq!(json.unwrap()["name"], "sensor-dock-2");
}

#[test]
fn a_snapshot_waits_for_all_rows_and_not_for_ever() {
    let part = View { rows: mixed().rows.into_iter().take(5).collect(), ..mixed() };
    let saved = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::Save(_)));
    let mut model = serve(part.clone(), (80, 24), DARK);
    let asked = press(&mut model, "ctrl-s");
    assert!(!saved(&asked));
    assert!(shown(&asked).unwrap().height >= 17);
    assert!(!saved(&answer(&mut model, part)));
    assert!(saved(&answer(&mut model, mixed())));
    press(&mut model, "ctrl-s");
    assert!(saved(&wait(&mut model, 2.0)));
}

#[test]
fn a_snapshot_of_a_large_fleet_asks_for_a_bounded_number_of_rows_and_says_how_many_it_has() {
    let mut model = serve(View { matched: 19_000, ..mixed() }, (80, 24), DARK);
    let asked = shown(&press(&mut model, "ctrl-s")).unwrap().height;
    assert_eq!(asked, 5_000);
    let rows: Vec<_> = mixed().rows.into_iter().cycle().take(asked).collect();
    let first = View { rows, matched: 19_000, offset: 0, ..mixed() };
    let saved = answer(&mut model, first.clone());
    assert!(saved.iter().any(|effect| matches!(effect, Effect::Save(_))));
    assert_eq!(presence_tui::tui::snapshot::extent(&first), ": 5000 of 19000 rows");
    assert_eq!(presence_tui::tui::snapshot::extent(&mixed()), "");
}

#[test]
fn sorting_goes_through_the_columns_that_are_shown() {
    let mut model = server();
    let sorts: Vec<_> = (0..7).map(|_| shown(&press(&mut model, "s")).unwrap().sort).collect();
    let wanted =
        [Sort::Name, Sort::Address, Sort::LastPing, Sort::TimesOut, Sort::Rtt, Sort::Up, Sort::State];
    assert_eq!(sorts, wanted);
    assert_eq!(shown(&press(&mut model, "<")).unwrap().sort, Sort::Up);
    assert!(shown(&press(&mut model, "S")).unwrap().reversed);
}

#[test]
fn the_clients_own_keys() {
    let mut model = client();
    assert_eq!(commands(press(&mut model, "b")), [Command::BeatNow]);
    assert_eq!(commands(press(&mut model, "H")), [Command::Hold(true)]);
    assert_eq!(commands(press(&mut model, "r")), [Command::Reconnect]);
    assert_eq!(commands(press(&mut model, "e h i enter")), [Command::Note("hi".to_owned())]);
    assert_eq!(commands(press(&mut model, "q")), [Command::Quit]);
}

#[test]
fn panels_take_the_focus_in_turn() {
    let mut model = client();
    for pane in [Pane::Events, Pane::Card, Pane::Table] {
        press(&mut model, "tab");
        assert_eq!(model.focus, pane);
    }
    press(&mut model, "shift-tab shift-tab z");
    assert_eq!((model.focus, model.zoom), (Pane::Events, true));
    let mut model = serve(mixed(), (50, 15), DARK);
    press(&mut model, "tab");
    assert!(said(&model).contains("no other panel"));
}

#[test]
fn a_panel_that_goes_away_takes_no_keys() {
    let mut model = server();
    press(&mut model, "tab L");
    assert_eq!(model.focus, Pane::Table);
    press(&mut model, "L tab z");
    let at = model.now;
    update(&mut model, at, Msg::Resize(50, 15));
    assert_eq!((model.focus, model.zoom), (Pane::Table, false));
}

#[test]
fn a_server_that_is_nearly_full_says_so() {
    let full = |max_clients| View { max_clients, ..healthy(18) };
    let said = |model: Model| text(&frame(&model)).contains("18 of 20 places taken");
    assert!(said(serve(full(20), (160, 36), DARK)));
    assert!(!said(serve(full(21), (160, 36), DARK)));
}

#[test]
fn themes_and_columns_can_be_changed_and_no_color_cannot() {
    let mut model = server();
    press(&mut model, "C");
    assert_eq!(model.look.theme, Theme::Light);
    press(&mut model, "c j j space . esc");
    assert_eq!(model.table.columns[3].0.word(), "user");
    assert!(model.table.columns[3].1);
    assert!(text(&frame(&model)).contains("USER"));
    let mut model = serve(mixed(), (80, 24), MONO);
    press(&mut model, "C");
    assert_eq!(model.look.theme, Theme::Mono);
}

#[test]
fn a_held_key_repeats_steps_and_nothing_else() {
    let mut model = server();
    let at = now();
    update(&mut model, at, Msg::Key { key: Key::Char('j'), repeat: true });
    assert!(model.table.selected.is_some());
    update(&mut model, at, Msg::Key { key: Key::Char('p'), repeat: true });
    assert!(model.paused.is_none());
}

#[test]
fn a_read_only_screen_changes_nothing() {
    let mut model = server();
    if let presence_tui::tui::model::Face::Serve { read_only, .. } = &mut model.face {
        *read_only = true;
    }
    for keys in ["+", "]", "i", "u", "j x", "d", "D"] {
        assert_eq!(commands(press(&mut model, keys)), []);
        assert!(said(&model).contains("read-only"), "{keys}");
        assert!(model.dialog.is_none());
    }
}

#[test]
fn the_mouse_selects_the_row_under_it() {
    let mut model = server();
    let at = now();
    update(&mut model, at, Msg::Click(10, 7));
    assert_eq!(model.table.selected, Some(RowKey(3)));
    update(&mut model, at, Msg::Wheel { down: true });
    assert_eq!(model.table.selected, Some(RowKey(6)));
    update(&mut model, at, Msg::Click(3, 30));
    assert_eq!(model.focus, Pane::Events);
    assert!(lookup(Key::Char('M'), false).is_some());
}
