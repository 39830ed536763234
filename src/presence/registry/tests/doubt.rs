//! What comes between a silence and the verdict on it.

use super::*;
use crate::presence::trust::Outlook;

/// A fleet of v1 clients (interval 10 s, timeout 30 s) that were last heard a second apart.
struct Fleet {
    lab: Lab,
    pulses: Vec<(ConnNo, Arc<Pulse>)>,
}

impl Fleet {
    fn new(clients: u8) -> Self {
        let mut lab = Lab::new();
        let pulses = (1..=clients)
            .map(|n| {
                let newcomer = lab.newcomer(0, n);
                let conn = lab.registry.join(lab.at(0), &newcomer).unwrap().conn;
                let _ = newcomer.pulse.touch(lab.at(u64::from(n) * 1_000));
                (conn, newcomer.pulse)
            })
            .collect();
        let mut fleet = Self { lab, pulses };
        fleet.lab.words();
        fleet
    }

    /// Lets the clients from the `from`th on beat.
    fn beat(&mut self, ms: u64, from: usize) {
        for (conn, pulse) in self.pulses.iter().skip(from) {
            if pulse.touch(self.lab.at(ms)) {
                self.lab.registry.woke(self.lab.at(ms), *conn);
            }
        }
    }

    fn convicted(&mut self, ms: u64) -> usize {
        self.lab.sweep(ms).convicted.len()
    }
}

#[test]
fn a_silent_client_is_asked_once_before_its_deadline_and_again_in_its_next_silence() {
    let mut lab = Lab::new();
    let newcomer = lab.newcomer(0, 1);
    let conn = lab.registry.join(lab.at(0), &newcomer).unwrap().conn;
    assert!(lab.sweep(26_249).probes.is_empty());
    assert_eq!(lab.sweep(26_250).probes, [conn]);
    assert!(lab.sweep(28_000).probes.is_empty(), "once is enough");
    assert!(newcomer.pulse.touch(lab.at(29_000)));
    lab.registry.woke(lab.at(29_000), conn);
    assert!(lab.sweep(55_249).probes.is_empty());
    assert_eq!(lab.sweep(55_250).probes, [conn]);
}

#[test]
fn who_would_not_understand_the_question_is_not_asked() {
    let mut lab = Lab::new();
    let legacy = Newcomer { version: 0, ..lab.newcomer(0, 1) };
    lab.registry.join(lab.at(0), &legacy).unwrap();
    let asked = (0..30).map(|second| lab.sweep(second * 1_000).probes.len()).sum::<usize>();
    assert_eq!(asked, 0);
    assert_eq!(lab.sweep(30_000).convicted.len(), 1);
}

#[test]
fn when_most_fall_silent_together_nobody_is_convicted_for_one_more_interval() {
    let mut fleet = Fleet::new(10);
    fleet.beat(22_000, 9); // One of ten is still heard.
    let verdict = fleet.lab.sweep(31_000);
    assert!(verdict.convicted.is_empty());
    assert_eq!(verdict.probes.len(), 9, "all the silent ones are asked, and at once");
    let hold = fleet.lab.registry.hold().unwrap();
    assert_eq!((hold.clients, hold.of), (9, 10));
    assert!(fleet.lab.words().contains(&"trouble"));
    for second in 32..=40 {
        assert_eq!(fleet.convicted(second * 1_000), 0, "{second}");
    }
    assert_eq!(fleet.convicted(40_999), 0);
    assert_eq!(fleet.convicted(41_000), 9, "they had one more interval, and no more than that");
    assert_eq!(fleet.lab.registry.hold(), None);
    let record = fleet.lab.registry.record();
    assert_eq!((record.holds, record.verdicts), (1, 9));
    assert_eq!(record.lateness_max, Duration::ZERO, "a deadline that was moved is kept as it is");
}

#[test]
fn a_network_that_comes_back_in_time_costs_nobody() {
    let mut fleet = Fleet::new(10);
    fleet.convicted(31_000);
    assert_eq!(fleet.lab.registry.hold().map(|hold| hold.clients), Some(10));
    fleet.beat(33_000, 4);
    fleet.convicted(33_250);
    assert_eq!(fleet.lab.registry.hold().map(|hold| hold.clients), Some(4));
    fleet.beat(34_000, 0);
    assert_eq!(fleet.convicted(34_250), 0);
    assert_eq!(fleet.lab.registry.hold(), None);
    assert_eq!(fleet.lab.registry.counts().live(), 10);
    assert_eq!(fleet.convicted(63_999), 0);
}

#[test]
fn a_few_silent_clients_are_convicted_on_time() {
    for (clients, still_heard) in [(10, 5), (4, 4)] {
        let mut fleet = Fleet::new(clients);
        fleet.beat(30_500, still_heard);
        let convicted = (31..=40).map(|second| fleet.convicted(second * 1_000)).collect::<Vec<_>>();
        assert_eq!(convicted.iter().sum::<usize>(), still_heard, "{still_heard} of {clients}");
        assert!(convicted.iter().all(|&n| n <= 1), "each at its own deadline");
        assert_eq!(fleet.lab.registry.record().holds, 0);
    }
}

#[test]
fn time_is_granted_once_for_a_silence_and_who_falls_silent_later_keeps_its_own_deadline() {
    let mut fleet = Fleet::new(10);
    fleet.beat(25_000, 4);
    fleet.beat(26_000, 8);
    assert_eq!(fleet.convicted(31_000), 1, "four of ten are no mass");
    assert_eq!(fleet.convicted(34_000), 3);
    assert_eq!(fleet.convicted(55_000), 0, "six of six are");
    assert_eq!(fleet.lab.registry.hold().map(|hold| hold.clients), Some(6));
    assert_eq!(fleet.convicted(65_000), 6, "and are not given time again");
}

#[test]
fn a_pause_of_our_own_prolongs_the_time_that_was_granted() {
    let mut fleet = Fleet::new(10);
    fleet.convicted(31_000);
    fleet.lab.registry.forgive(fleet.lab.at(91_000), secs(60));
    assert_eq!(fleet.convicted(100_999), 0);
    assert_eq!(fleet.convicted(101_000), 10);
    assert_eq!(fleet.lab.registry.record().paused, secs(60));
}

#[test]
fn a_timed_out_client_that_is_soon_back_in_the_same_life_was_judged_falsely() {
    let back = |generation, away_ms: u64| {
        let mut lab = Lab::new();
        lab.registry.join(lab.at(0), &lab.claimant(0, 1, 7, 1)).unwrap();
        lab.sweep(30_000);
        lab.words();
        lab.registry
            .join(lab.at(30_000 + away_ms), &lab.claimant(30_000 + away_ms, 1, generation, 2))
            .unwrap();
        (lab.registry.record().false_timeouts, lab.words())
    };
    assert_eq!(back(7, 60_000), (1, vec!["resumed", "false_timeout"]));
    assert_eq!(back(7, 60_001), (0, vec!["resumed"]), "after twice the timeout nobody can tell");
    assert_eq!(back(8, 1_000), (0, vec!["resumed"]), "it was started again: it had really died");
}

#[test]
fn a_client_that_was_lost_and_not_timed_out_was_not_judged_at_all() {
    let mut lab = Lab::new();
    let conn = lab.registry.join(lab.at(0), &lab.claimant(0, 1, 7, 1)).unwrap().conn;
    lab.registry.depart(lab.at(1_000), conn, Reason::Lost.into());
    lab.registry.join(lab.at(2_000), &lab.claimant(2_000, 1, 7, 2)).unwrap();
    assert_eq!(lab.registry.record().false_timeouts, 0);
}

#[test]
fn late_follows_a_client_s_own_rhythm_up_to_half_its_timeout_and_its_deadline_does_not() {
    let late_at = |gap: u64| {
        let mut lab = Lab::new();
        lab.registry.set_settings(lab.at(0), Settings::new(secs(10), secs(90)).unwrap(), Origin::Key);
        let legacy = Newcomer { version: 0, ..lab.newcomer(0, 1) };
        lab.registry.join(lab.at(0), &legacy).unwrap();
        for _ in 0..60 {
            legacy.pulse.beat(secs(gap), secs(10));
        }
        let is_late = |lab: &mut Lab, ms: u64| {
            lab.sweep(ms);
            lab.registry.counts().of(State::Late) == 1
        };
        let late_at = (1..900).map(|tenth| tenth * 100).find(|&ms| is_late(&mut lab, ms)).unwrap();
        let late_at = Duration::from_millis(late_at);
        lab.sweep(89_999);
        assert_eq!(lab.sweep(90_000).convicted.len(), 1, "the deadline is the plain one");
        late_at
    };
    assert_eq!(late_at(9), secs(15), "never earlier than 1.5 intervals");
    assert!(late_at(30).abs_diff(secs(30)) < secs(1), "it pings every 30 s, and steadily");
    assert_eq!(late_at(60), secs(45), "never later than half the timeout");
}

#[test]
fn a_preview_names_who_would_be_dropped_and_counts_who_would_be_pinned() {
    let sharper = Settings::new(secs(2), secs(5)).unwrap();
    let outlook = |pin_legacy| {
        let mut lab = Lab::with(Limits { pin_legacy, ..Limits::default() });
        let named = |lab: &Lab, n: u8, name: &str, version| {
            let profile = Profile { name: Some(name.into()), ..Profile::default() };
            Newcomer { version, profile, ..lab.newcomer(0, n) }
        };
        let newcomers = [("steady", 1, 9), ("tardy", 1, 14), ("old-slow", 0, 10), ("old-fast", 0, 2)].map(
            |(name, version, gap)| {
                let n = u8::try_from(name.len()).unwrap();
                let newcomer = named(&lab, n, name, version);
                lab.registry.join(lab.at(0), &newcomer).unwrap();
                for _ in 0..4 {
                    newcomer.pulse.beat(secs(gap), secs(10));
                }
                newcomer
            },
        );
        assert_eq!(newcomers.len(), 4);
        lab.registry.outlook(sharper)
    };
    let names = |names: &[&str]| names.iter().map(|&name| name.into()).collect();
    let protected = Outlook { settings: sharper, at_risk: 1, names: names(&["tardy"]), pinned: 1 };
    assert_eq!(outlook(true), protected);
    let plain = Outlook { settings: sharper, at_risk: 2, names: names(&["tardy", "old-slow"]), pinned: 0 };
    assert_eq!(outlook(false), plain);
}

/// Whom each sweep convicted, and whom it had asked.
type Decisions = Vec<(Vec<ConnNo>, Vec<ConnNo>)>;

/// Lets a fleet live for a while; returns what was decided, and whether verdicts were held back meanwhile.
fn fate(seed: u64, forgetful: bool) -> (Decisions, u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut fleet = Fleet::new(0);
    let mut decided = Vec::new();
    let well = rng.u8(3..10);
    for step in 0..400_u64 {
        let ms = step * 700;
        let at = fleet.lab.at(ms);
        match rng.u8(0..40) {
            0..12 => {
                let newcomer = fleet.lab.newcomer(ms, rng.u8(1..250));
                if let Ok(admission) = fleet.lab.registry.join(at, &newcomer) {
                    fleet.pulses.push((admission.conn, newcomer.pulse));
                }
            }
            12 => {
                let asked = Settings::new(secs(rng.u64(5..20)), secs(rng.u64(30..60))).unwrap();
                fleet.lab.registry.set_settings(at, asked, Origin::Key);
            }
            13 => fleet.lab.registry.forgive(at, secs(rng.u64(1..5))),
            14 if !fleet.pulses.is_empty() => {
                let (conn, _) = fleet.pulses.swap_remove(rng.usize(0..fleet.pulses.len()));
                fleet.lab.registry.depart(at, conn, Reason::Left.into());
            }
            _ => {}
        }
        // Now and then a network fails for a while.
        if step % 100 < 70 {
            for (conn, pulse) in &fleet.pulses {
                pulse.set_revision(fleet.lab.registry.revision());
                if rng.u8(0..100) < well && pulse.touch(at) {
                    fleet.lab.registry.woke(at, *conn);
                }
                if rng.u8(0..20) == 0 {
                    fleet.lab.registry.followed(at, *conn);
                }
            }
        }
        if forgetful {
            fleet.lab.registry.calm = None;
        }
        let verdict = fleet.lab.sweep(ms);
        fleet.pulses.retain(|(conn, _)| !verdict.convicted.contains(conn));
        decided.push((verdict.convicted, verdict.probes));
    }
    (decided, fleet.lab.registry.record().holds)
}

#[test]
fn who_knows_how_soon_a_fleet_can_be_silent_decides_as_one_that_looks_each_time() {
    let mut holds = 0;
    for seed in 0..30 {
        let (looking, held) = fate(seed, true);
        assert_eq!(fate(seed, false).0, looking, "seed {seed}");
        holds += held;
    }
    assert!(holds > 10, "{holds}");
}
