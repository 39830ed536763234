use super::*;

/// The latest a client may be told to start.
const START_MAX: f64 = 0.5;

fn settings() -> Settings {
    Settings::new(Duration::from_secs(2), Duration::from_secs(6)).unwrap()
}

/// What one client goes through, in seconds since the start: from, to, what.
fn story(script: Script, until: f64) -> Vec<(f64, f64, Act)> {
    let interval = settings().interval().as_secs_f64();
    let mut now = START_MAX;
    let mut story = Vec::new();
    for Turn { calm, act } in script {
        let from = now + calm * interval;
        now = from + act.lasts(settings()).as_secs_f64();
        if from > until {
            break;
        }
        story.push((from, now, act));
    }
    story
}

fn stories(n: usize, seed: u64, until: f64) -> Vec<Vec<(f64, f64, Act)>> {
    scripts(n, &mut Rng::with_seed(seed)).into_iter().map(|script| story(script, until)).collect()
}

const FLEETS: [usize; 10] = [1, 2, 3, 4, 8, 13, 24, 50, 100, 1_000];

#[test]
fn within_seconds_somebody_is_late_and_somebody_dies() {
    let late_after = settings().late_after().as_secs_f64();
    let timeout = settings().timeout().as_secs_f64();
    for n in FLEETS {
        for seed in 0..50 {
            let acts: Vec<_> = stories(n, seed, 60.0).concat();
            let late = acts.iter().filter_map(|&(from, to, act)| match act {
                Act::Stumble(_) | Act::Freeze(_) => (to - from > late_after).then_some(from + late_after),
                Act::Die(_) | Act::Leave(_) => None,
            });
            let dead = acts.iter().filter_map(|&(from, _, act)| match act {
                Act::Freeze(_) => Some(from + timeout),
                Act::Die(_) => Some(from),
                Act::Stumble(_) | Act::Leave(_) => None,
            });
            let (late, dead) = (late.fold(f64::MAX, f64::min), dead.fold(f64::MAX, f64::min));
            assert!(late < 5.0 && dead < 8.0, "{n} clients, seed {seed}: late {late}, dead {dead}");
        }
    }
}

#[test]
fn most_are_online_at_any_time_and_whoever_goes_comes_back() {
    for n in FLEETS.into_iter().filter(|&n| n >= 4) {
        for seed in 0..20 {
            let stories = stories(n, seed, 600.0);
            let mut flips: Vec<(f64, i64)> = Vec::new();
            for &(from, to, act) in stories.iter().flatten() {
                assert!(to > from && to - from < 100.0, "{act:?} lasts {}", to - from);
                flips.extend([(from, -1), (to, 1)]);
            }
            flips.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (mut online, mut least) = (i64::try_from(n).unwrap(), i64::MAX);
            for (_, flip) in flips {
                online += flip;
                least = least.min(online);
            }
            assert!(least * 100 >= i64::try_from(n).unwrap() * 70, "{least} of {n} with seed {seed}");
        }
    }
}

#[test]
fn everything_that_can_happen_happens_within_minutes() {
    for seed in 0..20 {
        let acts: Vec<Act> = stories(24, seed, 240.0).concat().into_iter().map(|(_, _, act)| act).collect();
        assert!(acts.iter().any(|act| matches!(act, Act::Stumble(_))));
        assert!(acts.iter().any(|act| matches!(act, Act::Freeze(_))));
        assert!(acts.iter().any(|act| matches!(act, Act::Die(_))));
        assert!(acts.iter().any(|act| matches!(act, Act::Leave(_))));
    }
}

#[test]
fn the_seed_tells_the_whole_story() {
    assert_eq!(stories(24, 7, 600.0), stories(24, 7, 600.0));
    assert_ne!(stories(24, 7, 600.0), stories(24, 8, 600.0));
}

#[test]
fn a_stumble_is_late_and_never_too_late() {
    for (interval, timeout) in [(2, 6), (5, 15), (60, 180), (1, 100), (10, 11)] {
        let settings = Settings::new(Duration::from_secs(interval), Duration::from_secs(timeout)).unwrap();
        for span in [1.6, 1.9] {
            let lasts = Act::Stumble(span).lasts(settings);
            assert!(lasts + settings.interval() < settings.timeout(), "{settings:?}");
            assert!(lasts > settings.late_after() || timeout < 3 * interval, "{settings:?}");
        }
    }
}
