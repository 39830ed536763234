#![expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]

use std::collections::HashSet;
use std::net::SocketAddr;

use proptest::prelude::*;

mod doubt;
mod load;
mod sizes;
mod turns;
mod views;

use super::judge::SECOND_LOOK;
use super::*;
use crate::presence::Reason;
use crate::presence::event::Origin;
use crate::presence::pulse::Pulse;
use crate::presence::row::Identity;
use crate::presence::secret::Secret;
use crate::presence::view::Rollout;

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Returns how a client tells its secret.
fn told(secret: Option<Secret>) -> Option<Arc<str>> {
    secret.map(|secret| secret.to_string().into())
}

/// A registry (interval 10 s, timeout 30 s) with a clock of its own.
struct Lab {
    registry: Registry,
    start: Instant,
}

impl Lab {
    fn new() -> Self {
        Self::with(Limits { max_clients: 100, max_per_ip: 0, retention: secs(3_600), ..Limits::default() })
    }

    fn with(limits: Limits) -> Self {
        let settings = Settings::new(secs(10), secs(30)).unwrap();
        Self { registry: Registry::new(settings, limits), start: Instant::now() }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn newcomer(&self, ms: u64, last_octet: u8) -> Newcomer {
        Newcomer {
            claim: Claim { ip: "10.0.0.1".into(), port: 3_000 },
            peer: SocketAddr::from(([127, 0, 0, last_octet], 4_000)),
            version: 1,
            dialect: crate::presence::Dialect::Presence,
            identity: None,
            profile: Profile::default(),
            resume: None,
            fresh_id: format!("fresh{last_octet}").into(),
            fresh_secret: Secret::new([last_octet; 15]),
            pulse: Arc::new(Pulse::new(self.at(ms))),
        }
    }

    fn claimant(&self, ms: u64, last_octet: u8, generation: u64, attempt: u64) -> Newcomer {
        let identity = Identity { id: "me".into(), generation, attempt };
        Newcomer { identity: Some(identity), ..self.newcomer(ms, last_octet) }
    }

    fn sweep(&mut self, ms: u64) -> Verdict {
        let now = self.at(ms);
        self.registry.sweep(now, |_| false)
    }

    fn kinds(&mut self) -> Vec<EventKind> {
        self.registry.take_events().into_iter().map(|event| event.kind).collect()
    }

    fn words(&mut self) -> Vec<&'static str> {
        self.kinds().iter().map(EventKind::word).collect()
    }
}

#[test]
fn a_silent_client_is_late_after_one_and_a_half_intervals_and_gone_exactly_at_its_deadline() {
    let mut lab = Lab::new();
    let newcomer = lab.newcomer(0, 1);
    let conn = lab.registry.join(lab.at(0), &newcomer).unwrap().conn;

    assert_eq!(lab.sweep(14_999), Verdict { next: Some(lab.at(15_000)), ..Verdict::default() });
    assert_eq!(lab.words(), ["registered"]);
    assert_eq!(lab.sweep(15_000), Verdict { next: Some(lab.at(26_250)), ..Verdict::default() });
    assert_eq!(lab.words(), ["late"]);
    let asked = Verdict { probes: vec![conn], next: Some(lab.at(30_000)), ..Verdict::default() };
    assert_eq!(lab.sweep(26_250), asked);
    assert_eq!(lab.sweep(29_999).convicted, []);
    assert_eq!(lab.sweep(30_000).convicted, [conn]);
    let [EventKind::Gone { departure, silent, missed, .. }] = &lab.kinds()[..] else { panic!() };
    assert_eq!((departure.reason, *silent, *missed), (Reason::Timeout, secs(30), 2));
    assert_eq!(lab.registry.counts().of(State::TimedOut), 1);
}

#[test]
fn any_sign_of_life_brings_a_late_client_back() {
    let mut lab = Lab::new();
    let newcomer = lab.newcomer(0, 1);
    let conn = lab.registry.join(lab.at(0), &newcomer).unwrap().conn;
    lab.sweep(15_000);
    assert_eq!(lab.registry.counts().of(State::Late), 1);
    assert!(newcomer.pulse.touch(lab.at(20_000)), "the session must know that the hub waits for this");
    lab.registry.woke(lab.at(20_000), conn);
    assert_eq!(lab.registry.counts().of(State::Online), 1);
    assert_eq!(lab.kinds().last(), Some(&EventKind::Back { silent: secs(20), missed: 1 }));
    assert_eq!(
        lab.sweep(34_999).next,
        Some(lab.at(35_000)),
        "the next deadline counts from that sign of life"
    );
}

#[test]
fn a_late_mark_that_crossed_a_beat_heals_before_anybody_is_asked() {
    let mut lab = Lab::new();
    let newcomer = lab.newcomer(0, 1);
    lab.registry.join(lab.at(0), &newcomer).unwrap();
    lab.sweep(15_000);
    let _ = newcomer.pulse.touch(lab.at(16_000));
    // The report to the hub is lost; the judge sees the beat itself.
    let asked = lab.sweep(26_250).probes;
    assert_eq!(asked, []);
    assert_eq!(lab.words(), ["registered", "late", "back"]);
}

#[test]
fn a_client_whose_words_wait_unread_is_not_judged() {
    let mut lab = Lab::new();
    let newcomer = lab.newcomer(0, 1);
    lab.registry.join(lab.at(0), &newcomer).unwrap();
    let verdict = lab.registry.sweep(lab.at(90_000), |_| true);
    assert_eq!((verdict.convicted, lab.registry.record().spared), (vec![], 1));
    assert_eq!(verdict.next, Some(lab.at(90_000) + SECOND_LOOK));
    assert_eq!(lab.words(), ["registered"], "not even late");
    let _ = newcomer.pulse.touch(lab.at(90_010));
    assert_eq!(lab.sweep(90_020).convicted, []);
}

#[test]
fn a_pause_of_our_own_moves_every_deadline_by_its_length() {
    let mut lab = Lab::new();
    lab.registry.join(lab.at(0), &lab.newcomer(0, 1)).unwrap();
    // 14 s of silence, then nobody looked for 90 s.
    lab.registry.forgive(lab.at(104_000), secs(90));
    assert_eq!(lab.sweep(104_999).convicted, []);
    assert_eq!(lab.words(), ["registered"]);
    assert_eq!(lab.sweep(105_000).next, Some(lab.at(116_250)));
    assert_eq!(lab.words(), ["late"]);
    assert_eq!(lab.sweep(119_999).convicted, []);
    assert_eq!(lab.sweep(120_000).convicted.len(), 1);
}

#[test]
fn the_same_client_comes_back_to_its_own_row() {
    let mut lab = Lab::new();
    let first = lab.registry.join(lab.at(0), &lab.claimant(0, 1, 5, 1)).unwrap();
    lab.registry.depart(lab.at(1_000), first.conn, Reason::Lost.into());
    let again = lab.registry.join(lab.at(4_000), &lab.claimant(4_000, 2, 6, 1)).unwrap();
    assert_eq!((again.row, again.away), (first.row, Some(secs(4))));
    assert_ne!(again.conn, first.conn);
    assert_eq!(lab.words(), ["registered", "lost", "resumed"]);
    assert_eq!(lab.registry.counts().total(), 1);
    assert_eq!(lab.registry.alerts().unacked, 0, "who is back is no alert");
}

#[test]
fn a_departed_client_may_come_back_even_as_an_older_life() {
    let mut lab = Lab::new();
    let first = lab.registry.join(lab.at(0), &lab.claimant(0, 1, 5, 1)).unwrap();
    lab.registry.depart(lab.at(1_000), first.conn, Reason::Left.into());
    assert!(lab.registry.join(lab.at(2_000), &lab.claimant(2_000, 1, 3, 1)).is_ok());
}

#[test]
fn a_newer_life_with_the_secret_takes_the_place_of_a_fresh_holder() {
    let mut lab = Lab::new();
    let first = lab.registry.join(lab.at(0), &lab.claimant(0, 1, 5, 1)).unwrap();
    let newer = Newcomer { resume: told(first.secret), ..lab.claimant(1_000, 1, 5, 2) };
    let second = lab.registry.join(lab.at(1_000), &newer).unwrap();
    assert_eq!(second.replaced, Some(first.conn));
    assert_eq!(second.secret, first.secret, "who proved itself keeps its secret");
    assert_eq!(lab.words(), ["registered", "replaced", "resumed"]);
    assert_eq!(lab.registry.counts().live(), 1);
}

#[test]
fn the_slow_death_of_a_replaced_connection_does_not_touch_the_new_one() {
    let mut lab = Lab::new();
    let first = lab.registry.join(lab.at(0), &lab.claimant(0, 1, 5, 1)).unwrap();
    let newer = Newcomer { resume: told(first.secret), ..lab.claimant(1_000, 1, 5, 2) };
    lab.registry.join(lab.at(1_000), &newer).unwrap();
    assert!(!lab.registry.depart(lab.at(2_000), first.conn, Reason::Lost.into()));
    assert_eq!(lab.registry.counts().live(), 1);
}

#[test]
fn a_fresh_holder_is_not_replaced_without_the_secret_and_a_late_one_is() {
    let mut lab = Lab::new();
    let holder = SocketAddr::from(([127, 0, 0, 1], 4_000));
    lab.registry.join(lab.at(0), &lab.claimant(0, 1, 5, 1)).unwrap();
    let newer = lab.claimant(1_000, 2, 6, 1);
    assert_eq!(
        lab.registry.join(lab.at(1_000), &newer).unwrap_err(),
        Refusal::InUse { holder, is_itself: false }
    );
    assert!(lab.registry.join(lab.at(16_000), &newer).is_ok(), "1.5 intervals later the holder is not fresh");
}

#[test]
fn a_client_whose_welcome_was_lost_waits_for_its_own_connection_to_go() {
    let mut lab = Lab::new();
    lab.registry.join(lab.at(0), &lab.claimant(0, 1, 7, 1)).unwrap();
    let holder = lab.newcomer(0, 1).peer;
    let itself = Refusal::InUse { holder, is_itself: true };
    assert_eq!(lab.registry.join(lab.at(1_000), &lab.claimant(1_000, 1, 7, 2)).unwrap_err(), itself);
    let elsewhere = Refusal::InUse { holder, is_itself: false };
    assert_eq!(lab.registry.join(lab.at(2_000), &lab.claimant(2_000, 2, 7, 3)).unwrap_err(), elsewhere);
    assert!(
        lab.registry.join(lab.at(16_000), &lab.claimant(16_000, 1, 7, 4)).is_ok(),
        "silent, and so let go"
    );
}

#[test]
fn an_older_life_does_not_replace_a_newer_one() {
    let mut lab = Lab::new();
    let first = lab.registry.join(lab.at(0), &lab.claimant(0, 1, 5, 2)).unwrap();
    for (generation, attempt) in [(5, 1), (4, 9), (5, 2)] {
        let older = Newcomer { resume: told(first.secret), ..lab.claimant(1_000, 1, generation, attempt) };
        assert_eq!(lab.registry.join(lab.at(1_000), &older).unwrap_err(), Refusal::StaleGeneration);
    }
}

#[test]
fn two_machines_with_one_identity_are_a_conflict_and_the_holder_stays() {
    let mut lab = Lab::new();
    let mut secret = lab.registry.join(lab.at(0), &lab.claimant(0, 1, 1, 1)).unwrap().secret;
    let mut outcomes = Vec::new();
    for (round, octet) in [2u8, 1, 2, 1].into_iter().enumerate() {
        let ms = 1_000 * (round as u64 + 1);
        let rival = Newcomer { resume: told(secret), ..lab.claimant(ms, octet, 2 + round as u64, 1) };
        let outcome = lab.registry.join(lab.at(ms), &rival);
        if let Ok(admission) = &outcome {
            secret = admission.secret;
        }
        outcomes.push(outcome.map(|_| ()));
    }
    let holder = SocketAddr::from(([127, 0, 0, 1], 4_000));
    let conflict = Err(Refusal::Conflict { holder });
    assert_eq!(outcomes[..3], [Ok(()), Ok(()), conflict]);
    let challenger = SocketAddr::from(([127, 0, 0, 2], 4_000));
    assert!(lab.kinds().contains(&EventKind::Conflict { id: "me".into(), holder, challenger }));
}

#[test]
fn takeovers_from_one_address_are_a_restart_loop_and_no_conflict() {
    let mut lab = Lab::new();
    let mut secret = lab.registry.join(lab.at(0), &lab.claimant(0, 1, 1, 1)).unwrap().secret;
    for generation in 2..10 {
        let newer = Newcomer { resume: told(secret), ..lab.claimant(1, 1, generation, 1) };
        secret = lab.registry.join(lab.at(1), &newer).unwrap().secret;
    }
}

#[test]
fn a_full_house_refuses_newcomers_but_not_the_next_life_of_who_is_inside() {
    let mut lab =
        Lab::with(Limits { max_clients: 1, max_per_ip: 0, retention: secs(60), ..Limits::default() });
    let first = lab.registry.join(lab.at(0), &lab.claimant(0, 1, 1, 1)).unwrap();
    let other = lab.newcomer(0, 2);
    assert_eq!(lab.registry.join(lab.at(0), &other).unwrap_err(), Refusal::Full { max_clients: 1 });
    let newer = Newcomer { resume: told(first.secret), ..lab.claimant(0, 1, 2, 1) };
    assert!(lab.registry.join(lab.at(0), &newer).is_ok());
}

#[test]
fn the_limit_per_address_counts_who_is_here() {
    let mut lab =
        Lab::with(Limits { max_clients: 9, max_per_ip: 1, retention: secs(60), ..Limits::default() });
    let first = lab.registry.join(lab.at(0), &lab.newcomer(0, 1)).unwrap();
    let second = Newcomer { fresh_id: "b".into(), ..lab.newcomer(0, 1) };
    assert_eq!(lab.registry.join(lab.at(0), &second).unwrap_err(), Refusal::PerIp { max_per_ip: 1 });
    assert!(lab.registry.join(lab.at(0), &lab.newcomer(0, 2)).is_ok());
    lab.registry.depart(lab.at(0), first.conn, Reason::Left.into());
    assert!(lab.registry.join(lab.at(0), &second).is_ok());
}

#[test]
fn a_departed_row_stays_for_the_retention_and_no_longer() {
    let mut lab =
        Lab::with(Limits { max_clients: 9, max_per_ip: 0, retention: secs(60), ..Limits::default() });
    let conn = lab.registry.join(lab.at(0), &lab.newcomer(0, 1)).unwrap().conn;
    lab.registry.depart(lab.at(1_000), conn, Reason::Left.into());
    assert_eq!(lab.sweep(60_999).next, Some(lab.at(61_000)));
    assert_eq!(lab.registry.counts().total(), 1);
    assert_eq!(lab.sweep(61_000).next, None);
    assert_eq!(lab.registry.counts().total(), 0);
}

#[test]
fn a_row_that_came_back_is_not_forgotten_for_its_earlier_departure() {
    let mut lab =
        Lab::with(Limits { max_clients: 9, max_per_ip: 0, retention: secs(20), ..Limits::default() });
    let conn = lab.registry.join(lab.at(0), &lab.claimant(0, 1, 1, 1)).unwrap().conn;
    lab.registry.depart(lab.at(0), conn, Reason::Left.into());
    let back = lab.claimant(10_000, 1, 2, 1);
    lab.registry.join(lab.at(10_000), &back).unwrap();
    lab.sweep(21_000);
    assert_eq!(lab.registry.counts().live(), 1);
}

#[test]
fn at_most_ten_thousand_departed_rows_are_kept_and_the_oldest_go_first() {
    let mut lab = Lab::new();
    let mut first = None;
    for n in 0..=GONE_ROWS_MAX {
        let newcomer = Newcomer { fresh_id: format!("c{n}").into(), ..lab.newcomer(0, 1) };
        let admission = lab.registry.join(lab.at(0), &newcomer).unwrap();
        first.get_or_insert(admission.row);
        lab.registry.depart(lab.at(n as u64), admission.conn, Reason::Left.into());
    }
    lab.sweep(20_000);
    assert_eq!(lab.registry.counts().total(), GONE_ROWS_MAX);
    assert!(!lab.registry.rows.contains_key(&first.unwrap()));
}

#[test]
fn what_comes_sooner_than_the_very_first_look_is_looked_at_in_time() {
    let mut lab = Lab::new();
    let newcomer = lab.newcomer(0, 1);
    let conn = lab.registry.join(lab.at(0), &newcomer).unwrap().conn;
    let rev = lab.registry.set_settings(lab.at(1_000), Settings::new(secs(2), secs(6)).unwrap(), Origin::Key);
    newcomer.pulse.set_revision(rev);
    lab.registry.followed(lab.at(1_000), conn);
    let verdict = lab.sweep(1_000);
    assert_eq!(verdict.next, Some(lab.at(3_000)), "late after three seconds of silence");
}

#[test]
fn legacy_clients_that_claim_nothing_are_told_apart_by_their_names() {
    let mut lab = Lab::new();
    let tab = |lab: &Lab, name: &str| Newcomer {
        version: 0,
        claim: Claim { ip: "127.0.0.1".into(), port: 0 },
        profile: Profile { name: Some(name.into()), ..Profile::default() },
        ..lab.newcomer(0, 1)
    };
    let (mine, yours) = (tab(&lab, "my tab"), tab(&lab, "your tab"));
    let first = lab.registry.join(lab.at(0), &mine).unwrap();
    let second = lab.registry.join(lab.at(0), &yours).unwrap();
    for admission in [&first, &second] {
        lab.registry.depart(lab.at(1_000), admission.conn, Departure::new(Reason::Lost, "gone"));
    }
    assert_eq!(lab.registry.join(lab.at(2_000), &mine).unwrap().row, first.row);
    assert_eq!(lab.registry.join(lab.at(2_000), &yours).unwrap().row, second.row);
}

#[test]
fn legacy_clients_with_one_claim_are_two_rows_while_they_live_and_the_returning_one_gets_a_departed_row() {
    let mut lab = Lab::new();
    let legacy = Newcomer { version: 0, ..lab.newcomer(0, 1) };
    let one = lab.registry.join(lab.at(0), &legacy).unwrap();
    let two = lab.registry.join(lab.at(0), &legacy).unwrap();
    assert_ne!(one.row, two.row);
    assert!(one.id.starts_with('~') && one.secret.is_none());
    lab.registry.depart(lab.at(1_000), one.conn, Reason::Lost.into());
    let back = lab.registry.join(lab.at(3_000), &legacy).unwrap();
    assert_eq!((back.row, back.id), (one.row, one.id));
    assert_eq!(lab.registry.counts().total(), 2);
}

#[test]
fn without_pinning_a_shorter_timeout_counts_from_the_change_and_a_longer_one_at_once() {
    let limits = Limits {
        max_clients: 9,
        max_per_ip: 0,
        retention: secs(3_600),
        pin_legacy: false,
        ..Limits::default()
    };
    let mut lab = Lab::with(limits);
    lab.registry.join(lab.at(0), &Newcomer { version: 0, ..lab.newcomer(0, 1) }).unwrap();
    let short = Settings::new(secs(1), secs(5)).unwrap();
    assert_eq!(lab.registry.set_settings(lab.at(14_000), short, Origin::Key), Revision(2));
    assert_eq!(lab.sweep(14_000), Verdict { next: Some(lab.at(15_500)), ..Verdict::default() });
    assert_eq!(lab.sweep(18_999).convicted, []);
    let long = Settings::new(secs(1), secs(60)).unwrap();
    lab.registry.set_settings(lab.at(18_999), long, Origin::Key);
    assert_eq!(lab.sweep(19_000).convicted, []);
    assert_eq!(lab.sweep(74_000).convicted.len(), 1);
}

#[test]
fn a_shorter_timeout_holds_for_a_client_once_it_says_that_it_follows() {
    let mut lab = Lab::new();
    let newcomer = lab.newcomer(0, 1);
    let conn = lab.registry.join(lab.at(0), &newcomer).unwrap().conn;
    let short = Settings::new(secs(1), secs(5)).unwrap();
    let rev = lab.registry.set_settings(lab.at(1_000), short, Origin::Key);
    let told = Rollout { applied: 0, of: 1, lagging: 0, pinned: 0 };
    assert_eq!(lab.registry.rollout(lab.at(1_000)), told);
    assert_eq!(lab.sweep(29_999).convicted, [], "it was never told by a ping of its own");
    assert_eq!(lab.registry.rollout(lab.at(22_000)), Rollout { lagging: 1, ..told });
    assert!(newcomer.pulse.touch(lab.at(29_999)));
    newcomer.pulse.set_revision(rev);
    lab.registry.followed(lab.at(29_999), conn);
    assert_eq!(lab.registry.rollout(lab.at(29_999)), Rollout { applied: 1, ..told });
    assert_eq!(lab.sweep(34_998).convicted, []);
    assert_eq!(lab.sweep(34_999).convicted, [conn]);
}

#[test]
fn who_must_be_looked_at_before_all_others_is() {
    let mut lab = Lab::new();
    lab.registry.join(lab.at(0), &lab.newcomer(0, 1)).unwrap();
    lab.registry.set_settings(lab.at(1_000), Settings::new(secs(2), secs(5)).unwrap(), Origin::Key);
    assert_eq!(lab.sweep(1_000).next, Some(lab.at(15_000)), "it goes by what it was told");
    let hasty = lab.registry.join(lab.at(2_000), &lab.newcomer(2_000, 2)).unwrap().conn;
    assert_eq!(lab.sweep(2_000).next, Some(lab.at(5_000)), "a newcomer goes by what is in force");
    assert_eq!(lab.sweep(5_000).next, Some(lab.at(7_000)));
    assert_eq!(lab.sweep(7_000).convicted, [hasty]);
}

#[test]
fn a_longer_timeout_holds_for_everybody_at_once() {
    for version in [0, 1] {
        let mut lab = Lab::new();
        lab.registry.join(lab.at(0), &Newcomer { version, ..lab.newcomer(0, 1) }).unwrap();
        let long = Settings::new(secs(20), secs(90)).unwrap();
        lab.registry.set_settings(lab.at(29_000), long, Origin::Key);
        assert_eq!(lab.sweep(89_999).convicted, []);
        assert_eq!(lab.sweep(90_000).convicted.len(), 1);
    }
}

#[test]
fn a_legacy_client_is_pinned_until_its_own_rhythm_fits_twice_over() {
    let mut lab = Lab::new();
    let legacy = Newcomer { version: 0, ..lab.newcomer(0, 1) };
    lab.registry.join(lab.at(0), &legacy).unwrap();
    let short = Settings::new(secs(5), secs(12)).unwrap();
    lab.registry.set_settings(lab.at(0), short, Origin::Key);
    let beat = |lab: &mut Lab, ms: u64, gap: u64| {
        let _ = legacy.pulse.touch(lab.at(ms));
        legacy.pulse.beat(Duration::from_millis(gap), secs(10));
        lab.sweep(ms).convicted
    };
    // A beat every 10 s would not survive a timeout of 12 s for long.
    for (ms, gap) in [(1_000, 0), (11_000, 10_000), (21_000, 10_000)] {
        assert_eq!(beat(&mut lab, ms, gap), []);
    }
    assert_eq!(lab.registry.rollout(lab.at(21_000)).pinned, 1);
    assert_eq!(lab.sweep(40_000).convicted, [], "it keeps the 30 s it registered under");
    // Then it beats every 5 s: two such gaps fit.
    for (ms, gap) in [(40_000, 19_000), (45_000, 5_000), (50_000, 5_000)] {
        assert_eq!(beat(&mut lab, ms, gap), []);
    }
    assert_eq!(lab.registry.rollout(lab.at(50_000)).pinned, 0);
    assert_eq!(lab.sweep(62_000).convicted.len(), 1);
}

/// A thousand healthy clients, a tenth of them of the old kind, while somebody turns both knobs far down.
#[test]
fn what_a_pinned_client_was_silent_before_a_shorter_timeout_does_not_count() {
    let mut lab = Lab::new();
    let legacy = Newcomer { version: 0, ..lab.newcomer(0, 1) };
    lab.registry.join(lab.at(0), &legacy).unwrap();
    for _ in 0..3 {
        legacy.pulse.beat(secs(1), secs(10));
    }
    let short = Settings::new(secs(1), secs(5)).unwrap();
    lab.registry.set_settings(lab.at(14_000), short, Origin::Key);
    assert_eq!(lab.sweep(14_000).convicted, [], "its rhythm fits, so it moves, and is silent for 14 s");
    assert_eq!(lab.sweep(18_999).convicted, []);
    assert_eq!(lab.sweep(19_000).convicted.len(), 1);
}

#[test]
fn a_shorter_timeout_gives_nobody_more_time_than_the_longer_one() {
    for pin_legacy in [false, true] {
        let limits =
            Limits { max_clients: 9, max_per_ip: 0, retention: secs(3_600), pin_legacy, ..Limits::default() };
        let mut lab = Lab::with(limits);
        let legacy = Newcomer { version: 0, ..lab.newcomer(0, 1) };
        lab.registry.join(lab.at(0), &legacy).unwrap();
        for _ in 0..3 {
            legacy.pulse.beat(secs(1), secs(10));
        }
        let shorter = Settings::new(secs(10), secs(29)).unwrap();
        lab.registry.set_settings(lab.at(28_000), shorter, Origin::Key);
        assert_eq!(lab.sweep(29_999).convicted, []);
        assert_eq!(lab.sweep(30_000).convicted.len(), 1, "30 s were agreed, and are over");
    }
}

#[test]
fn turning_the_knobs_drops_no_healthy_client() {
    for seed in 0..5 {
        let limits =
            Limits { max_clients: 2_000, max_per_ip: 0, retention: secs(3_600), ..Limits::default() };
        let settings = Settings::new(secs(60), secs(120)).unwrap();
        let mut lab = Lab { registry: Registry::new(settings, limits), start: Instant::now() };
        let mut rng = fastrand::Rng::with_seed(seed);
        // Every client: its pulse, when it pings next, its interval, and when it hears of the change.
        let mut fleet: Vec<_> = (0..1_000u64)
            .map(|n| {
                let version = u8::from(n % 10 != 0);
                let newcomer = Newcomer { version, fresh_id: format!("c{n}").into(), ..lab.newcomer(0, 1) };
                let conn = lab.registry.join(lab.at(0), &newcomer).unwrap().conn;
                (conn, newcomer.pulse, rng.u64(..60_000), 60_000u64, 0u64, version)
            })
            .collect();
        let changed = 300_000;
        let rev = Revision(2);
        for ms in (0..900_000).step_by(200) {
            if ms == changed {
                let new = Settings::new(secs(5), secs(15)).unwrap();
                assert_eq!(lab.registry.set_settings(lab.at(ms), new, Origin::Key), rev);
                // 200 ms of latency; one push in a hundred is lost and comes with the next pong.
                for it in &mut fleet {
                    it.4 = ms + if rng.u8(..100) == 0 { 70_000 } else { 200 };
                }
            }
            for (conn, pulse, next, interval, hears, version) in &mut fleet {
                if *version > 0 && *hears == ms && ms > 0 {
                    (*interval, *next) = (5_000, ms);
                }
                if *next > ms {
                    continue;
                }
                let gap = Duration::from_millis(*interval);
                if pulse.touch(lab.at(ms)) {
                    lab.registry.woke(lab.at(ms), *conn);
                }
                pulse.beat(gap, gap);
                if *interval == 5_000 && pulse.revision() != rev {
                    pulse.set_revision(rev);
                    lab.registry.followed(lab.at(ms), *conn);
                }
                let jittered = if *version > 0 { rng.u64(*interval * 3 / 4..=*interval) } else { *interval };
                *next = ms + jittered;
            }
            assert_eq!(lab.sweep(ms).convicted, [], "seed {seed}, {ms} ms");
        }
        let settled = Rollout { applied: 900, of: 900, lagging: 0, pinned: 100 };
        assert_eq!(lab.registry.rollout(lab.at(900_000)), settled);
    }
}

#[test]
fn a_blocked_client_is_kept_out_until_the_block_ends() {
    let mut lab = Lab::new();
    let first = lab.registry.join(lab.at(0), &lab.claimant(0, 1, 1, 1)).unwrap();
    lab.registry.block(first.row, lab.at(60_000));
    lab.registry.depart(lab.at(0), first.conn, Reason::Kicked.into());
    let again = lab.claimant(1_000, 1, 1, 2);
    assert_eq!(
        lab.registry.join(lab.at(1_000), &again).unwrap_err(),
        Refusal::Blocked { remaining: secs(59) }
    );
    assert!(lab.registry.join(lab.at(60_000), &again).is_ok());
}

#[test]
fn failures_are_alerts_until_acknowledged_and_decided_ends_are_not() {
    let mut lab = Lab::new();
    for (octet, reason) in [(1, Reason::Lost), (2, Reason::Left), (3, Reason::Timeout), (4, Reason::Kicked)] {
        let conn = lab.registry.join(lab.at(0), &lab.newcomer(0, octet)).unwrap().conn;
        lab.registry.depart(lab.at(u64::from(octet)), conn, reason.into());
    }
    let alerts = lab.registry.alerts();
    assert_eq!(alerts.unacked, 2);
    assert_eq!(alerts.newest[0].departure.reason, Reason::Timeout);
    lab.registry.acknowledge(lab.start, Some(alerts.newest[0].row));
    assert_eq!(lab.registry.alerts().unacked, 1);
    lab.registry.acknowledge(lab.start, None);
    assert_eq!(lab.registry.alerts().unacked, 0);
}

#[derive(Debug, Clone)]
enum Step {
    Join { who: u8, generation: u64, octet: u8, prove: bool },
    Legacy { octet: u8 },
    Touch(usize),
    Depart(usize, usize),
    Retune(u64, u64),
    Acknowledge,
    Dismiss,
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u8..6, 0u64..5, 1u8..4, any::<bool>())
            .prop_map(|(who, generation, octet, prove)| Step::Join { who, generation, octet, prove }),
        1 => (1u8..4).prop_map(|octet| Step::Legacy { octet }),
        3 => (0usize..8).prop_map(Step::Touch),
        2 => (0usize..8, 0..Reason::ALL.len()).prop_map(|(conn, reason)| Step::Depart(conn, reason)),
        1 => (1u64..20, 1u64..40).prop_map(|(interval, more)| Step::Retune(interval, interval + more)),
        1 => Just(Step::Acknowledge),
        1 => Just(Step::Dismiss),
        4 => (1u64..20_000).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    /// Whatever happens: counts equal rows, every departure has one event with one
    /// reason, and no event speaks of a row that nobody joined.
    #[test]
    fn the_books_always_balance(steps in steps()) {
        let mut lab = Lab::with(Limits { max_clients: 5, max_per_ip: 3, retention: secs(30), ..Limits::default() });
        let (mut ms, mut here) = (0, Vec::<(ConnNo, RowKey, Arc<Pulse>)>::new());
        let (mut joined, mut secrets) = (HashSet::new(), std::collections::HashMap::new());
        let mut last_seq = 0;
        for step in steps {
            let now = lab.at(ms);
            let mut expected_gone = Vec::new();
            match step {
                Step::Join { .. } | Step::Legacy { .. } => {
                    let newcomer = match step {
                        Step::Join { who, generation, octet, prove } => Newcomer {
                            identity: Some(Identity { id: format!("c{who}").into(), generation, attempt: ms }),
                            resume: told(secrets.get(&who).copied().flatten().filter(|_| prove)),
                            ..lab.newcomer(ms, octet)
                        },
                        Step::Legacy { octet } => Newcomer { version: 0, ..lab.newcomer(ms, octet) },
                        _ => unreachable!(),
                    };
                    if let Ok(admission) = lab.registry.join(now, &newcomer) {
                        if let Step::Join { who, .. } = step {
                            secrets.insert(who, admission.secret);
                        }
                        if let Some(replaced) = admission.replaced {
                            expected_gone.push(admission.row);
                            here.retain(|(conn, ..)| *conn != replaced);
                        }
                        joined.insert(admission.row);
                        here.push((admission.conn, admission.row, newcomer.pulse));
                    }
                }
                Step::Touch(n) => {
                    if let Some((conn, _, pulse)) = here.get(n)
                        && pulse.touch(now)
                    {
                        lab.registry.woke(now, *conn);
                    }
                }
                Step::Depart(n, reason) => {
                    if n < here.len() {
                        let (conn, row, _) = here.remove(n);
                        expected_gone.push(row);
                        prop_assert!(lab.registry.depart(now, conn, Reason::ALL[reason].into()));
                        prop_assert!(!lab.registry.depart(now, conn, Reason::Lost.into()));
                    }
                }
                Step::Retune(interval, timeout) => {
                    let settings = Settings::new(secs(interval), secs(timeout)).unwrap();
                    lab.registry.set_settings(now, settings, Origin::Key);
                }
                Step::Acknowledge => lab.registry.acknowledge(lab.start, None),
                Step::Dismiss => lab.registry.dismiss(lab.start, None),
                Step::Pass(by) => {
                    ms += by;
                    for conn in lab.sweep(ms).convicted {
                        let at = here.iter().position(|(known, ..)| *known == conn).unwrap();
                        expected_gone.push(here.remove(at).1);
                    }
                }
            }
            let mut gone = Vec::new();
            for event in lab.registry.take_events() {
                prop_assert_eq!(event.seq, last_seq + 1);
                last_seq = event.seq;
                if let Some(who) = &event.who {
                    prop_assert!(joined.contains(&who.row));
                }
                if matches!(event.kind, EventKind::Gone { .. }) {
                    gone.push(event.who.unwrap().row);
                }
            }
            prop_assert_eq!(gone, expected_gone);
            let registry = &lab.registry;
            let mut recount = Counts::default();
            registry.rows.values().for_each(|row| recount.add(registry.state_of(row)));
            prop_assert_eq!(recount, registry.counts());
            prop_assert_eq!(registry.live.len(), here.len());
            prop_assert_eq!(registry.per_ip.values().sum::<usize>(), here.len());
            prop_assert!(registry.live.len() <= 5);
            prop_assert!(registry.alerts().unacked <= registry.counts().of(State::TimedOut));
            for (conn, row, _) in &here {
                prop_assert_eq!(registry.conn_of(*row), Some(*conn));
            }
        }
    }
}
