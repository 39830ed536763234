//! Settings that follow the size of the fleet.

use super::*;

fn lab(most: u32) -> Lab {
    Lab::with(Limits { max_clients: 1_000, max_pings_per_second: most, ..Limits::default() })
}

/// Lets `n` clients in, and returns their connections.
fn fill(lab: &mut Lab, n: u64) -> Vec<ConnNo> {
    let (at, here) = (lab.at(0), lab.registry.counts().live() as u64);
    let join = |n| {
        let fresh_id = format!("fresh-{n}").into();
        let newcomer = Newcomer { fresh_id, ..lab.newcomer(0, 1) };
        lab.registry.join(at, &newcomer).unwrap().conn
    };
    (here..here + n).map(join).collect()
}

fn interval(lab: &Lab) -> Duration {
    lab.registry.settings().interval()
}

#[test]
fn a_fleet_too_large_for_its_interval_is_asked_to_ping_less_often() {
    let mut lab = lab(20);
    fill(&mut lab, 175);
    assert!(!lab.registry.balance(lab.at(1)), "175 clients every 8.75 s on average are 20 pings a second");
    fill(&mut lab, 1);
    lab.words();
    assert!(lab.registry.balance(lab.at(2)));
    assert_eq!(lab.registry.settings(), Settings::new(secs(15), secs(45)).unwrap());
    assert_eq!(lab.registry.asked(), Settings::new(secs(10), secs(30)).unwrap());
    let [EventKind::Settings { origin: Origin::Load, rev: Revision(2), .. }] = lab.kinds()[..] else {
        panic!()
    };
    assert!(!lab.registry.balance(lab.at(3)), "once");
}

#[test]
fn it_is_asked_to_ping_more_often_again_only_with_room_to_spare_and_after_a_while() {
    let mut lab = lab(20);
    let conns = fill(&mut lab, 200);
    assert!(lab.registry.balance(lab.at(0)));
    for conn in &conns[..26] {
        lab.registry.depart(lab.at(1_000), *conn, Reason::Left.into());
    }
    assert!(!lab.registry.balance(lab.at(60_000)), "174 would fit, and the next newcomers would not");
    for conn in &conns[26..60] {
        lab.registry.depart(lab.at(2_000), *conn, Reason::Left.into());
    }
    assert!(!lab.registry.balance(lab.at(29_999)), "too soon after the last change");
    assert!(lab.registry.balance(lab.at(30_000)));
    assert_eq!(interval(&lab), secs(10));
}

#[test]
fn what_an_operator_asks_for_is_stretched_at_once_and_no_limit_means_none() {
    let mut limited = lab(20);
    fill(&mut limited, 175);
    let faster = Settings::new(secs(2), secs(6)).unwrap();
    limited.registry.set_settings(limited.at(0), faster, Origin::Key);
    assert_eq!((limited.registry.asked(), interval(&limited)), (faster, secs(12)));
    let mut unlimited = lab(0);
    fill(&mut unlimited, 1_000);
    assert!(!unlimited.registry.balance(unlimited.at(0)));
    assert_eq!(interval(&unlimited), secs(10));
}
