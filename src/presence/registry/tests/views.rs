//! A screen that looks again and again sees what one that looks for the first time would see.

use super::*;
use crate::presence::view::{Grouping, RowView, Sort, Window};
use crate::presence::viewer::Viewer;

const SORTS: [Sort; 7] =
    [Sort::State, Sort::Name, Sort::Address, Sort::LastPing, Sort::TimesOut, Sort::Rtt, Sort::Up];

/// What may happen to a fleet between two looks.
fn happen(lab: &mut Lab, rng: &mut fastrand::Rng, ms: u64, pulses: &mut Vec<(ConnNo, Arc<Pulse>)>) {
    match rng.u8(0..12) {
        0..4 => {
            let last_octet = rng.u8(1..60);
            let name = ["mia", "Jo", "łódź", "agent", "agent-7"][usize::from(last_octet) % 5];
            let profile = Profile {
                name: rng.bool().then(|| format!("{name}{}", last_octet % 7).into()),
                user: rng.bool().then(|| ["ada", "Bob"][usize::from(last_octet) % 2].into()),
                ..Profile::default()
            };
            let identity = Identity { id: format!("id{last_octet}").into(), generation: ms + 1, attempt: 1 };
            let version = u8::from(!last_octet.is_multiple_of(4));
            let identity = (version > 0).then_some(identity);
            let newcomer = Newcomer { version, identity, profile, ..lab.newcomer(ms, last_octet) };
            if let Ok(admission) = lab.registry.join(lab.at(ms), &newcomer) {
                pulses.push((admission.conn, newcomer.pulse));
            }
        }
        4..7 => {
            for (conn, pulse) in pulses.iter() {
                if rng.bool() {
                    continue;
                }
                pulse.set_rtt(Duration::from_micros(rng.u64(1..5_000)));
                if pulse.touch(lab.at(ms)) {
                    lab.registry.woke(lab.at(ms), *conn);
                }
            }
        }
        7 if !pulses.is_empty() => {
            let (conn, _) = pulses.swap_remove(rng.usize(0..pulses.len()));
            let reason = if rng.bool() { Reason::Left } else { Reason::Lost };
            lab.registry.depart(lab.at(ms), conn, reason.into());
        }
        8 if !pulses.is_empty() => {
            let (conn, _) = pulses[rng.usize(0..pulses.len())];
            let profile = Profile { name: Some(format!("renamed{}", ms % 5).into()), ..Profile::default() };
            lab.registry.update(lab.at(ms), conn, None, profile);
        }
        9 => lab.registry.acknowledge(lab.at(ms), None),
        10 => lab.registry.dismiss(lab.at(ms), None),
        _ => {
            let names: Vec<Arc<str>> = vec![format!("listed{}", ms % 3).into(), "mia3".into()];
            lab.registry.list(lab.at(ms), &names);
        }
    }
    let verdict = lab.sweep(ms);
    pulses.retain(|(conn, _)| !verdict.convicted.contains(conn));
}

#[test]
fn an_index_repaired_by_what_changed_answers_as_one_made_anew() {
    for seed in 0..12 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut lab = Lab::with(Limits { retention: secs(200), ..Limits::default() });
        lab.registry.watch();
        let (mut viewer, mut pulses) = (Viewer::default(), Vec::new());
        for step in 0..250 {
            let ms = step * 1_500;
            happen(&mut lab, &mut rng, ms, &mut pulses);
            let window = Window {
                sort: SORTS[rng.usize(0..SORTS.len())],
                reversed: rng.bool(),
                filter: ["", "", "A", "ŁÓ", "127.0.0.1", "ada", "ID1"][rng.usize(0..7)].to_owned(),
                states: if rng.u8(0..4) == 0 { vec![State::Online, State::TimedOut] } else { Vec::new() },
                offset: rng.usize(0..40),
                height: rng.usize(1..30),
                selected: Some(RowKey(rng.u64(1..30))),
                ..Window::default()
            };
            viewer.show(window.clone());
            let mut fresh = Viewer::default();
            fresh.show(Window { offset: 0, height: 1_000, ..window.clone() });
            let (seen, all) = (viewer.look(lab.at(ms), &lab.registry), fresh.look(lab.at(ms), &lab.registry));
            let from = window.offset.min(all.matched.saturating_sub(window.height));
            assert_eq!((seen.matched, seen.offset), (all.matched, from), "seed {seed}, step {step}");
            let want = &all.rows[from..(from + window.height).min(all.rows.len())];
            assert_eq!(seen.rows, want, "seed {seed}, step {step}: {window:?}");
            assert_eq!(seen.selected, all.selected);
            let at = all.rows.iter().position(|row| Some(row.key) == window.selected);
            assert_eq!(all.selected.and_then(|selected| selected.position), at);
            if window.states.is_empty() && window.filter.is_empty() {
                assert_eq!(all.matched, lab.registry.counts().total());
            }
        }
    }
}

#[test]
fn a_row_that_is_forgotten_is_not_counted_while_the_order_stands_still() {
    let mut lab = Lab::new();
    lab.registry.watch();
    let newcomers = [1, 2].map(|octet| lab.newcomer(0, octet));
    let conns = newcomers.map(|newcomer| lab.registry.join(lab.at(0), &newcomer).unwrap().conn);
    let mut viewer = Viewer::default();
    viewer.show(Window { height: 10, ..Window::default() });
    let shown = |viewer: &mut Viewer, lab: &Lab, ms| {
        let page = viewer.look(lab.at(ms), &lab.registry);
        (page.rows.len(), page.matched)
    };
    assert_eq!(shown(&mut viewer, &lab, 0), (2, 2));
    let (key, _) = lab.registry.row_of(conns[0]).unwrap();
    lab.registry.depart(lab.at(10), conns[0], Reason::Left.into());
    assert_eq!(shown(&mut viewer, &lab, 20), (2, 2));
    lab.registry.discard(key);
    assert_eq!(shown(&mut viewer, &lab, 30), (1, 1));
}

#[test]
fn rows_of_one_rank_keep_their_order_by_name() {
    let mut lab = Lab::new();
    for n in 1..60_u8 {
        let profile =
            Profile { name: Some(format!("n{:02}", u32::from(n) * 37 % 60).into()), ..Profile::default() };
        lab.registry.join(lab.at(0), &Newcomer { profile, ..lab.newcomer(0, n) }).unwrap();
    }
    for sort in SORTS.into_iter().filter(|sort| *sort != Sort::Address) {
        let mut viewer = Viewer::default();
        viewer.show(Window { sort, height: 100, ..Window::default() });
        let page = viewer.look(lab.at(0), &lab.registry);
        assert!(page.rows.is_sorted_by(|a, b| a.label < b.label), "{sort:?}");
    }
}

fn team(seed: u64) -> Lab {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut lab = Lab::new();
    let mut pulses = Vec::new();
    for step in 0..120 {
        happen(&mut lab, &mut rng, step * 700, &mut pulses);
    }
    lab
}

fn look(lab: &Lab, window: Window) -> crate::presence::viewer::Page {
    let mut viewer = Viewer::default();
    viewer.show(window);
    viewer.look(lab.at(120 * 700), &lab.registry)
}

/// Returns the tree the plain way: from all rows in order.
fn tree(lab: &Lab, window: &Window) -> Vec<(Arc<str>, Counts, Vec<RowKey>)> {
    let flat = Window { group: None, folded: Vec::new(), offset: 0, height: 1_000, ..window.clone() };
    let shown = look(lab, flat.clone()).rows;
    let everybody = look(lab, Window { states: Vec::new(), ..flat }).rows;
    let name = |row: &RowView| row.user.clone();
    let mut names: Vec<Option<Arc<str>>> = Vec::new();
    // The first member says where a group is, also when the order is read from its end.
    let mut first: Vec<&RowView> = shown.iter().collect();
    if window.reversed {
        first.reverse();
    }
    for row in first {
        if !names.contains(&name(row)) {
            names.push(name(row));
        }
    }
    if window.sort == Sort::Name {
        names.sort();
    }
    if window.reversed {
        names.reverse();
    }
    names.sort_by_key(Option::is_none);
    let bunch = |of: Option<Arc<str>>| {
        let mut counts = Counts::default();
        everybody.iter().filter(|row| name(row) == of).for_each(|row| counts.add(row.state));
        let members = shown.iter().filter(|row| name(row) == of).map(|row| row.key).collect();
        (of.unwrap_or_else(|| "(none)".into()), counts, members)
    };
    names.into_iter().map(bunch).collect()
}

#[test]
fn a_tree_holds_every_row_once_beneath_its_user_and_any_window_of_it_is_a_part_of_it() {
    for seed in 0..8 {
        let lab = team(seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        for sort in SORTS {
            let mut window = Window {
                sort,
                reversed: rng.bool(),
                filter: ["", "", "a", "1"][rng.usize(0..4)].to_owned(),
                states: if rng.bool() { vec![State::Late, State::TimedOut] } else { Vec::new() },
                group: Some(Grouping::User),
                height: 1_000,
                ..Window::default()
            };
            let whole = look(&lab, window.clone());
            let want = tree(&lab, &window);
            let mut lines = whole.rows.iter();
            for (name, counts, members) in &want {
                let group = lines.next().unwrap();
                assert_eq!(group.label, *name, "seed {seed}, {window:?}");
                assert_eq!(group.group.as_ref().unwrap().counts, *counts);
                let beneath: Vec<RowKey> = lines.by_ref().take(members.len()).map(|row| row.key).collect();
                assert_eq!(beneath, *members, "seed {seed}, {name}, {window:?}");
            }
            assert!(lines.next().is_none());
            // The first group folds, and whoever was selected in it is found on its line.
            let Some(first) = whole.rows.first() else { continue };
            window.folded = vec![first.key];
            window.selected = Some(want[0].2[0]);
            let folded = look(&lab, window.clone());
            assert_eq!(folded.matched, whole.matched - want[0].2.len());
            assert_eq!(folded.selected.as_ref().unwrap().position, Some(0));
            assert!(!folded.rows[0].group.as_ref().unwrap().open);
            let rest = &whole.rows[1 + want[0].2.len()..];
            assert_eq!(folded.rows[1..], *rest);
            for offset in 0..folded.matched {
                let part = look(&lab, Window { offset, height: 5, ..window.clone() });
                assert_eq!(part.rows, folded.rows[part.offset..(part.offset + 5).min(folded.matched)]);
            }
        }
    }
}

#[test]
fn a_user_is_online_while_one_device_is_and_common_tags_are_offered() {
    let mut lab = Lab::new();
    let device = |lab: &Lab, n: u8, site: &str| Newcomer {
        profile: Profile {
            user: Some("ada".into()),
            device: Some(format!("device-{n}").into()),
            tags: vec![("note".into(), "hello".into()), ("site".into(), site.into())],
            ..Profile::default()
        },
        ..lab.newcomer(0, n)
    };
    let group =
        |lab: &Lab, by: Grouping| look(lab, Window { group: Some(by), height: 9, ..Window::default() });
    let conns: Vec<ConnNo> = [(1, "fra"), (2, "lon")]
        .map(|(n, site)| lab.registry.join(lab.at(0), &device(&lab, n, site)).unwrap().conn)
        .into();
    lab.registry.depart(lab.at(1_000), conns[0], Reason::Lost.into());
    let page = group(&lab, Grouping::User);
    let ada = &page.rows[0];
    assert_eq!((ada.state, ada.group.as_ref().unwrap().worst), (State::Online, State::TimedOut));
    assert_eq!(page.grouped.unwrap().tags, ["site".into()], "a note is no group");
    lab.registry.depart(lab.at(2_000), conns[1], Reason::Left.into());
    assert_eq!(group(&lab, Grouping::User).rows[0].state, State::TimedOut);
    let sites = group(&lab, Grouping::Tag("site".into()));
    let names: Vec<_> = sites.rows.iter().filter(|row| row.group.is_some()).map(|row| &*row.label).collect();
    assert_eq!(names, ["fra", "lon"]);
}
