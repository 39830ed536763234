//! A screen that looks again and again sees what one that looks for the first time would see.

use super::*;
use crate::presence::view::{Sort, Window};
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
            let version = u8::from(last_octet % 4 > 0);
            let identity = (version > 0).then_some(identity);
            let newcomer = Newcomer { profile, identity, version, ..lab.newcomer(ms, last_octet) };
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
