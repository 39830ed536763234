//! Golden frames.

use std::sync::Arc;

use presence_tui::presence::past::{Outage, Past, Share};
use presence_tui::presence::trust::{Hold, Outlook, TrackRecord};
use presence_tui::presence::view::{Link, MassTimeout, Selected, Transport, Uplink, View};
use presence_tui::presence::{Reason, Settings};
use presence_tui::tui::columns::Column;
use presence_tui::tui::model::Model;
use presence_tui::tui::theme::Look;
use presence_tui::tui::update::{Msg, update};
use presence_tui::tui::view::render;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::fleet::{
    ASCII, DARK, MONO, ago, foreign, join, lost, mixed, nobody, now, press, secs, serve, uplink, view_of,
};

const SIZES: [(u16, u16); 5] = [(120, 36), (80, 24), (50, 15), (28, 4), (16, 1)];

pub(super) fn frame(model: &Model) -> Buffer {
    let mut buf = Buffer::empty(Rect::new(0, 0, model.size.0, model.size.1));
    render(model, &mut buf);
    buf
}

/// Writes the cells as text, one line each, without the blanks at the end.
pub(super) fn text(buf: &Buffer) -> String {
    let width = usize::from(buf.area.width).max(1);
    let lines = buf.content.chunks(width).map(|line| {
        let mut skip = 0;
        let mut out = String::new();
        for cell in line {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            skip = unicode_width::UnicodeWidthStr::width(cell.symbol()).saturating_sub(1);
            out.push_str(cell.symbol());
        }
        out.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

pub(super) fn check(name: &str, model: &Model) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let (width, height) = model.size;
    settings.bind(|| insta::assert_snapshot!(format!("{name}_{width}x{height}"), text(&frame(model))));
}

fn selected(mut model: Model) -> Model {
    press(&mut model, "j j j");
    model.flash = None;
    model
}

fn every_size(name: &str, make: impl Fn((u16, u16)) -> Model) {
    for size in SIZES {
        check(name, &make(size));
    }
}

#[test]
fn the_servers_screen_shows_a_mixed_fleet() {
    every_size("serve_mixed", |size| selected(serve(mixed(), size, DARK)));
}

#[test]
fn the_servers_screen_in_ascii() {
    for size in [(120, 36), (80, 24), (80, 9), (50, 15)] {
        check("serve_ascii", &selected(serve(mixed(), size, ASCII)));
    }
}

#[test]
fn an_empty_server_tells_a_newcomer_what_to_type() {
    every_size("serve_empty", |size| serve(nobody(), size, DARK));
}

#[test]
fn a_paused_view_says_how_far_behind_it_is() {
    for size in [(120, 36), (80, 24), (50, 15), (28, 4)] {
        let mut model = serve(mixed(), size, DARK);
        press(&mut model, "p");
        let mut later = mixed();
        let event = later.events.last().unwrap();
        let next = presence_tui::presence::Event { seq: event.seq + 3, ..(**event).clone() };
        later.events.push(Arc::new(next));
        later.counts.add(presence_tui::presence::State::TimedOut);
        let at =
            presence_tui::tui::model::Now { mono: now().mono + secs(42.0), wall: now().wall + secs(42.0) };
        update(&mut model, at, Msg::View(Arc::new(later)));
        check("serve_paused", &model);
    }
}

fn filtered() -> View {
    let mut view = mixed();
    view.rows.retain(|row| row.label.contains("agent"));
    view.matched = view.rows.len();
    view
}

#[test]
fn a_filter_is_typed_in_the_last_line_and_stays_in_the_title() {
    for size in [(120, 36), (80, 24), (50, 15), (28, 4)] {
        let mut model = serve(filtered(), size, DARK);
        press(&mut model, "/ a g e n t");
        check("serve_filter_typing", &model);
        press(&mut model, "enter");
        check("serve_filter", &model);
    }
    let mut model = serve(View { rows: Vec::new(), matched: 0, ..mixed() }, (80, 24), DARK);
    press(&mut model, "/ x x enter");
    check("serve_filter_none", &model);
}

#[test]
fn each_dialog() {
    let dialogs = [
        ("help", "?"),
        ("help_search", "? / s o r t"),
        ("interval", "i"),
        ("timeout", "t 1 2 s"),
        ("refused", "i 2 0 s"),
        ("refused_both", "i 2 0 s ctrl-t"),
        ("disconnect", "j j j x"),
        ("dismiss", "D"),
        ("quit", "q"),
        ("suspend", "ctrl-z"),
        ("columns", "c j j"),
    ];
    for size in [(120, 36), (80, 24), (50, 15), (28, 4)] {
        for (name, keys) in dialogs {
            let mut model = serve(mixed(), size, DARK);
            press(&mut model, keys);
            check(&format!("dialog_{name}"), &model);
        }
        let mut model = join(uplink(), mixed(), size, DARK);
        press(&mut model, "e d r a i n");
        check("dialog_note", &model);
    }
}

#[test]
fn many_going_at_once_are_one_alert_with_a_suspicion() {
    every_size("serve_mass", |size| {
        let mut view = mixed();
        view.alerts.mass = Some(MassTimeout { clients: 8, of: 12, within: secs(3.0) });
        serve(view, size, DARK)
    });
}

#[test]
fn a_change_of_settings_shows_where_it_is() {
    for size in [(120, 36), (80, 24), (50, 15)] {
        let mut model = serve(mixed(), size, DARK);
        press(&mut model, "] ]");
        check("serve_nudge", &model);
        let mut view = mixed();
        view.rollout = presence_tui::presence::view::Rollout { applied: 12, of: 13, lagging: 1, pinned: 2 };
        check("serve_acked", &serve(view, size, DARK));
    }
}

/// What the server would answer when asked about these settings.
fn outlook(interval: f64, timeout: f64, at_risk: usize, pinned: usize) -> Outlook {
    let names = ["sensor-dock-2", "cam-gate", "edge-sgp-2", "laptop-mia", "worker-01"];
    let settings = Settings::new(secs(interval), secs(timeout)).unwrap();
    let names = names.into_iter().take(at_risk).map(Into::into).collect();
    Outlook { settings, at_risk, names, pinned }
}

fn answered(mut model: Model, outlook: Outlook) -> Model {
    let at = model.now;
    update(&mut model, at, Msg::View(Arc::new(View { outlook: Some(outlook), ..mixed() })));
    model
}

#[test]
fn typed_settings_say_whom_they_would_put_at_risk() {
    let cases = [("nobody", 0, 0), ("few", 3, 2), ("many", 12, 1)];
    for size in [(120, 36), (80, 24), (50, 15), (44, 9), (60, 8), (28, 4)] {
        for (name, at_risk, pinned) in cases {
            let mut model = serve(mixed(), size, DARK);
            press(&mut model, "t 9 s");
            check(&format!("outlook_{name}"), &answered(model, outlook(5.0, 9.0, at_risk, pinned)));
        }
    }
}

#[test]
fn a_step_says_whom_it_would_put_at_risk() {
    for size in [(120, 36), (80, 24), (50, 15), (50, 8)] {
        let mut model = serve(mixed(), size, DARK);
        press(&mut model, "[");
        check("serve_risk", &answered(model, outlook(5.0, 10.0, 3, 0)));
    }
}

#[test]
fn verdicts_held_back_are_a_banner() {
    every_size("serve_hold", |size| {
        let hold = Hold { clients: 11, of: 12, until: now().mono + secs(4.2) };
        serve(View { hold: Some(hold), ..mixed() }, size, DARK)
    });
    let hold = Hold { clients: 11, of: 12, until: now().mono + secs(4.2) };
    check("serve_hold_wide", &serve(View { hold: Some(hold), ..mixed() }, (140, 36), DARK));
    check("serve_hold_ascii", &serve(View { hold: Some(hold), ..mixed() }, (80, 24), ASCII));
}

#[test]
fn a_fleet_too_large_for_what_was_asked_says_so() {
    let settings = Settings::new(secs(10.0), secs(30.0)).unwrap();
    every_size("serve_load", |size| serve(View { settings, ..mixed() }, size, DARK));
    for size in [(120, 36), (80, 24), (50, 15)] {
        let rollout = presence_tui::presence::view::Rollout { applied: 12, of: 13, lagging: 1, pinned: 2 };
        check("serve_load_applied", &serve(View { settings, rollout, ..mixed() }, size, DARK));
        let mut model = serve(View { settings, ..mixed() }, size, DARK);
        press(&mut model, "t");
        check("serve_load_prompt", &model);
        press(&mut model, "esc ]");
        check("serve_load_nudge", &model);
    }
}

#[test]
fn a_client_that_goes_up_and_down_is_marked() {
    let unsteady = || {
        let mut view = mixed();
        for at in [0, 2, 4, 9] {
            view.rows[at].flapping = true;
        }
        view.selected = Some(Selected { position: Some(2), row: view.rows[2].clone() });
        view
    };
    every_size("serve_flapping", |size| serve(unsteady(), size, DARK));
    for size in [(80, 24), (50, 15)] {
        check("serve_flapping_ascii", &serve(unsteady(), size, ASCII));
        let mut model = selected(serve(unsteady(), size, DARK));
        press(&mut model, "enter");
        check("serve_flapping_details", &model);
    }
}

#[test]
fn what_is_remembered_of_a_client_stands_in_its_details_and_in_a_column_of_its_own() {
    let share = |online| Share { online: secs(online), known: secs(86_400.0) };
    let hour = |at: usize| [None, Some(100), Some(97), Some(41), Some(0), Some(100)][at % 6];
    let past = |outages: Vec<Outage>| {
        Some(Arc::new(Past {
            day: share(86_390.0),
            week: share(86_399.9),
            hours: std::array::from_fn(hour),
            outages,
        }))
    };
    let down = |ago: f64, lasted| {
        let began = now().wall.saturating_sub(secs(ago));
        Outage { began, lasted, reason: Reason::Timeout }
    };
    let mut view = mixed();
    for row in &mut view.rows {
        row.past = past(Vec::new());
    }
    view.rows[2].past = past(vec![down(131.0, None), down(100_000.0, Some(secs(72.0)))]);
    view.selected = Some(Selected { position: Some(2), row: view.rows[2].clone() });
    for size in [(160, 36), (120, 36), (80, 24)] {
        let mut model = selected(serve(view.clone(), size, DARK));
        for (column, shown) in &mut model.table.columns {
            *shown |= *column == Column::Uptime;
        }
        press(&mut model, "enter");
        check("serve_past", &model);
    }
}

#[test]
fn the_record_is_a_line_with_the_events_and_a_story_in_the_help() {
    let record = TrackRecord {
        verdicts: 1_204,
        lateness_p99: secs(0.021),
        lateness_max: secs(1.4),
        false_timeouts: 2,
        paused: secs(72.0),
        spared: 31,
        holds: 1,
    };
    for size in [(120, 36), (80, 24), (62, 20), (50, 15)] {
        let mut model = serve(View { record, ..mixed() }, size, DARK);
        check("serve_record", &model);
        press(&mut model, "? G");
        check("help_record", &model);
    }
}

#[test]
fn no_dialog_cuts_a_word() {
    let keys = ["j j j x", "D", "q", "ctrl-z", "c", "i", "t 1 2 s", "i 2 0 s", "?"];
    // From 60 cells on there are frames around the panels behind the dialog.
    for width in 44..60 {
        for keys in keys {
            let mut model = serve(mixed(), (width, 24), DARK);
            press(&mut model, keys);
            let whole = {
                let mut model = serve(mixed(), (120, 80), DARK);
                press(&mut model, keys);
                text(&frame(&model))
            };
            for line in text(&frame(&model)).lines().filter(|line| line.starts_with('│')) {
                let last = line.trim_matches(['│', ' ']).rsplit(' ').next().unwrap_or_default().to_owned();
                let known = last.is_empty() || whole.split([' ', '│']).any(|word| word == last);
                assert!(known, "{width} {keys}: {last:?} in {line}");
            }
        }
    }
}

#[test]
fn the_details_of_one_client() {
    for size in [(120, 36), (80, 24), (50, 15), (28, 4)] {
        let mut view = mixed();
        view.selected = Some(Selected { position: Some(2), row: view.rows[2].clone() });
        let mut model = selected(serve(view, size, DARK));
        press(&mut model, "enter");
        check("serve_details", &model);
    }
}

#[test]
fn the_clients_screen_shows_itself_and_its_peers() {
    every_size("join_mixed", |size| join(uplink(), mixed(), size, DARK));
    check("join_ascii", &join(uplink(), mixed(), (80, 24), ASCII));
    check("join_tall", &join(uplink(), mixed(), (80, 12), DARK));
}

#[test]
fn a_lost_server_leaves_a_snapshot_that_says_so() {
    every_size("join_lost", |size| join(lost(), mixed(), size, DARK));
}

#[test]
fn held_heartbeats_are_a_banner() {
    every_size("join_holding", |size| {
        let held = presence_tui::presence::view::Uplink { holding: true, ..uplink() };
        join(held, mixed(), size, DARK)
    });
}

#[test]
fn a_foreign_server_has_counts_and_no_peers() {
    let none = || view_of(Vec::new());
    let socket = || foreign(Transport::WebSocket, true);
    every_size("join_foreign", |size| join(socket(), none(), size, DARK));
    let late = Uplink { link: Link::Late(ago(300.0), ago(21.0)), unanswered: 1, ..socket() };
    check("join_foreign_late", &join(late, none(), (80, 24), DARK));
    let raw = || foreign(Transport::RawTcp, false);
    check("join_foreign_raw", &join(raw(), none(), (80, 24), DARK));
    check("join_foreign_raw", &join(raw(), none(), (120, 36), ASCII));
    let gone = Uplink { link: lost().link, next_ping: None, ..raw() };
    check("join_foreign_lost", &join(gone, none(), (80, 24), DARK));
}

/// Writes how each cell is styled: `b` bold, `r` reverse, `x` both, `d` dim, `C` any colour, `.` plain.
fn styles(buf: &Buffer) -> String {
    use ratatui::style::{Color, Modifier};
    let mark = |cell: &ratatui::buffer::Cell| {
        let bold = cell.modifier.contains(Modifier::BOLD);
        let reversed = cell.modifier.contains(Modifier::REVERSED);
        match (cell.fg, cell.bg) {
            (Color::Reset, Color::Reset) => {}
            _ => return 'C',
        }
        match (bold, reversed) {
            (true, true) => 'x',
            (true, false) => 'b',
            (false, true) => 'r',
            (false, false) if cell.modifier.contains(Modifier::DIM) => 'd',
            (false, false) => '.',
        }
    };
    let width = usize::from(buf.area.width);
    let lines = buf.content.chunks(width).map(|line| line.iter().map(mark).collect::<String>());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn without_colour_states_and_selection_are_marked_all_the_same() {
    let model = selected(serve(mixed(), (80, 24), MONO));
    let styles = styles(&frame(&model));
    assert!(!styles.contains('C'));
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("styles_mono_80x24", styles));
}

#[test]
fn no_theme_changes_a_single_letter() {
    let plain = |look: Look| text(&frame(&selected(serve(mixed(), (120, 36), look))));
    assert_eq!(plain(DARK), plain(MONO));
}
