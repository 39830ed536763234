//! The table as a tree.

use std::sync::Arc;
use std::time::Instant;

use presence_tui::presence::RowKey;
use presence_tui::presence::row::Counts;
use presence_tui::presence::view::{Grouping, RowView, View, Window};
use presence_tui::presence::viewer::{Fleet, Glance, Viewer};
use presence_tui::tui::model::Model;
use presence_tui::tui::update::Effect;

use super::fleet::{ASCII, DARK, join, mixed, now, press, serve, uplink};
use super::frames::{check, frame, text};
use super::keys::{answer, shown};

/// Rows as the owner of rows would answer a window with them.
struct Rows(Vec<RowView>);

impl Rows {
    /// The fleet of the sketches, most of it somebody's, some of it somewhere.
    fn of_people() -> Self {
        let owners = [("ada", "desk"), ("bob", "phone"), ("ada", "laptop"), ("eve", "tablet"), ("", "")];
        let mut rows = mixed().rows;
        for (row, (user, device)) in rows.iter_mut().zip(owners.iter().cycle()) {
            row.user = (!user.is_empty()).then(|| (*user).into());
            row.device = (!device.is_empty()).then(|| (*device).into());
            let site = if row.key.0 % 2 == 0 { "fra" } else { "lon" };
            row.tags.push(("site".into(), site.into()));
        }
        Self(rows)
    }
}

impl Fleet for Rows {
    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.0.iter().for_each(|row| counts.add(row.state));
        counts
    }

    fn each(&self, visit: &mut dyn FnMut(Glance<'_>)) {
        self.0.iter().filter_map(|row| self.glance(row.key)).for_each(visit);
    }

    fn glance(&self, key: RowKey) -> Option<Glance<'_>> {
        let row = self.0.iter().find(|row| row.key == key)?;
        Some(Glance {
            key,
            conn: None,
            state: row.state,
            acked: row.acked,
            label: &row.label,
            id: &row.id,
            peer: row.peer,
            user: row.user.as_ref(),
            tags: &row.tags,
            last_seen: row.last_seen,
            up_since: row.up_since,
            gone_at: row.gone.as_ref().map(|(at, _)| *at),
        })
    }

    fn row(&self, _: Instant, key: RowKey) -> Option<RowView> {
        self.0.iter().find(|row| row.key == key).cloned()
    }
}

/// Answers whatever window the screen asked for.
fn serve_window(model: &mut Model) {
    let window: Window = model.asked.clone().unwrap();
    let mut viewer = Viewer::default();
    viewer.show(window);
    let page = viewer.look(now().mono, &Rows::of_people());
    let view = View {
        matched: page.matched,
        offset: page.offset,
        rows: page.rows,
        grouped: page.grouped,
        selected: page.selected,
        ..mixed()
    };
    answer(model, view);
    model.flash = None;
}

/// Presses keys, each answered before the next.
fn type_in(model: &mut Model, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    for key in keys.split(' ') {
        effects = press(model, key);
        serve_window(model);
    }
    effects
}

fn grouped(size: (u16, u16)) -> Model {
    let mut model = serve(mixed(), size, DARK);
    type_in(&mut model, "v j j");
    model
}

fn said(model: &mut Model, keys: &str) -> String {
    press(model, keys);
    model.flash.as_ref().map_or_else(String::new, |flash| flash.words.clone())
}

#[test]
fn people_stand_above_their_devices() {
    for size in [(120, 36), (80, 24), (50, 15)] {
        check("serve_groups", &grouped(size));
        let mut folded = grouped(size);
        type_in(&mut folded, "g enter");
        check("serve_groups_folded", &folded);
    }
    let mut ascii = serve(mixed(), (80, 24), ASCII);
    type_in(&mut ascii, "v");
    check("serve_groups_ascii", &ascii);
    let mut client = join(uplink(), mixed(), (80, 24), DARK);
    type_in(&mut client, "v");
    check("join_groups", &client);
}

#[test]
fn problems_only_hides_who_has_none_and_a_filter_works_within() {
    let mut model = grouped((120, 36));
    type_in(&mut model, "f");
    check("serve_groups_problems", &model);
    let names: Vec<String> = model.visible().iter().map(|row| row.label.to_string()).collect();
    assert_eq!(names, ["ada", "build-07", "sensor-dock-2", "bob", "edge-lon-3"]);
}

#[test]
fn v_goes_through_what_there_is_to_group_by_and_back() {
    let mut model = serve(mixed(), (80, 24), DARK);
    let by = |effects: &[Effect]| shown(effects).unwrap().group;
    assert_eq!(by(&type_in(&mut model, "v")), Some(Grouping::User));
    assert_eq!(by(&type_in(&mut model, "v")), Some(Grouping::Tag("site".into())));
    assert!(text(&frame(&model)).contains("fra"));
    assert_eq!(by(&type_in(&mut model, "v")), None);
    assert!(model.visible().iter().all(|row| row.group.is_none()));
}

#[test]
fn a_group_folds_and_unfolds_and_stays_selected() {
    let mut model = grouped((120, 36));
    let lines = model.shown().matched;
    type_in(&mut model, "g enter");
    let ada = model.selected_row().unwrap();
    assert_eq!((&*ada.label, model.shown().matched), ("ada", lines - 7));
    assert!(!model.details, "a group has no details");
    type_in(&mut model, "right j j left");
    assert_eq!(&*model.selected_row().unwrap().label, "ada", "folding from within selects the group");
    assert_eq!(model.shown().matched, lines - 7);
    assert!(said(&mut model, "left").contains("folded already"));
}

#[test]
fn what_needs_a_client_says_so_on_a_group() {
    let mut model = grouped((120, 36));
    type_in(&mut model, "g");
    for key in ["x", "d", "y", "Y", "a"] {
        assert_eq!(said(&mut model, key), format!("{key}: ada is a group; select one of its clients"));
        assert!(model.dialog.is_none());
    }
    let mut flat = serve(mixed(), (120, 36), DARK);
    assert!(said(&mut flat, "left").contains("no groups"));
}

#[test]
fn a_snapshot_holds_clients_and_no_groups() {
    let mut model = grouped((80, 24));
    let effects = press(&mut model, "ctrl-s");
    assert_eq!(shown(&effects).unwrap().group, None);
    let view = Arc::clone(&model.live);
    assert!(view.rows.iter().any(|row| row.group.is_some()));
    let file = presence_tui::tui::snapshot::file(&view, now());
    assert!(!file.contains("\"ada\",\n      \"state\""), "{file}");
}
