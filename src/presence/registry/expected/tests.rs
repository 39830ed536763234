#![expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]

use super::*;
use crate::presence::dialect::Dialect;
use crate::presence::registry::{Limits, Newcomer};
use crate::presence::row::ConnNo;
use crate::presence::secret::Secret;
use crate::presence::settings::Settings;
use crate::presence::viewer::Fleet;

const RETENTION: Duration = Duration::from_hours(1);
/// Spread, timeout, and three times the second the server was away.
const WAIT: Duration = Duration::from_millis(500 + 30_000 + 3_000);

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn names(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|&name| name.into()).collect()
}

fn known(name: &str) -> Known {
    Known {
        id: Some(format!("id-{name}").into()),
        claim: Claim { ip: "10.0.0.7".into(), port: 3_000 },
        peer: ([127, 0, 0, 1], 50_000).into(),
        version: 1,
        dialect: Dialect::Presence,
        profile: Profile { name: Some(name.into()), ..Profile::default() },
        sessions: 3,
        silent: secs(1),
        missing: false,
    }
}

fn missing(name: &str, silent: Duration) -> Known {
    Known { missing: true, silent, ..known(name) }
}

fn legacy(known: Known) -> Known {
    Known { id: None, version: 0, ..known }
}

/// The client that comes back for what is known of it.
fn returning(now: Instant, known: &Known) -> Newcomer {
    Newcomer {
        claim: known.claim.clone(),
        peer: SocketAddr::new(known.peer.ip(), 60_000),
        version: known.version,
        dialect: known.dialect,
        identity: known.id.clone().map(|id| Identity { id, generation: 1, attempt: 1 }),
        profile: known.profile.clone(),
        resume: None,
        fresh_id: "fresh".into(),
        fresh_secret: Secret::new(*b"a new secret   "),
        pulse: Arc::new(Pulse::new(now)),
    }
}

struct Lab {
    registry: Registry,
    start: Instant,
}

impl Lab {
    /// A registry (interval 10 s, timeout 30 s) that has just started again.
    fn after(known: Vec<Known>, names: &[Arc<str>]) -> Self {
        let limits = Limits { retention: RETENTION, ..Limits::default() };
        let mut registry = Registry::new(Settings::new(secs(10), secs(30)).unwrap(), limits);
        let start = Instant::now();
        registry.expect(start, known, names, Duration::from_millis(500));
        Self { registry, start }
    }

    fn join(&mut self, after: Duration, known: &Known) -> (RowKey, ConnNo) {
        let now = self.start + after;
        let admission = self.registry.join(now, &returning(now, known)).unwrap();
        (admission.row, admission.conn)
    }

    fn call(&mut self, after: Duration) -> Vec<EventKind> {
        self.registry.call_roll(self.start + after);
        self.kinds()
    }

    fn forget(&mut self, after: Duration) {
        self.registry.sweep(self.start + after, |_| true);
    }

    fn kinds(&mut self) -> Vec<EventKind> {
        self.registry.take_events().into_iter().map(|event| event.kind).collect()
    }

    fn count(&self, state: State) -> usize {
        self.registry.counts().of(state)
    }

    fn keys(&self, state: State) -> Vec<RowKey> {
        let mut keys = Vec::new();
        self.registry.each(&mut |glance| {
            if glance.state == state {
                keys.push(glance.key);
            }
        });
        keys.sort_unstable();
        assert_eq!(keys.len(), self.count(state), "the count is that of the rows");
        keys
    }
}

#[test]
fn who_was_here_is_expected_and_finds_its_row_and_history_again() {
    let all = [known("a"), legacy(known("b"))];
    let mut lab = Lab::after(all.to_vec(), &[]);
    let expected = lab.keys(State::Offline);
    assert_eq!((expected.len(), lab.registry.counts().live()), (2, 0));
    assert_eq!(lab.registry.live_rows().count(), 0, "nobody is told of somebody who is not here");
    let row = lab.registry.row(lab.start, expected[0]).unwrap();
    assert_eq!(row.last_seen.map(|seen| seen + secs(1)), Some(lab.start));
    assert_eq!((row.peer, row.gone), (Some(all[0].peer), None));

    for (at, known) in all.iter().enumerate() {
        let (key, _) = lab.join(secs(2), known);
        assert_eq!(key, expected[at]);
        assert_eq!(lab.registry.row(lab.start, key).unwrap().sessions, 4);
        assert_eq!(lab.kinds(), [EventKind::Resumed { away: secs(3) }]);
    }
    assert_eq!((lab.count(State::Offline), lab.count(State::Online)), (0, 2));
    assert_eq!(lab.call(WAIT), [], "nobody is missing");
    assert_eq!(lab.registry.alerts().unacked, 0);
}

#[test]
fn who_is_not_back_in_time_is_lost_in_one_event_and_an_alert_each() {
    let names: Vec<String> = (0..7).map(|n| format!("c{n}")).collect();
    let mut lab = Lab::after(names.iter().map(|name| known(name)).collect(), &[]);
    lab.join(secs(2), &known("c3"));
    lab.kinds();
    assert_eq!(lab.registry.roll_due(), Some(lab.start + WAIT));
    assert_eq!(lab.call(Duration::from_millis(33_499)), []);
    let events = lab.call(WAIT);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].word(), "not_back");
    assert_eq!(
        events[0].to_string(),
        "6 clients did not come back after the restart: c0, c1, c2, c4, c5 and 1 more"
    );
    assert_eq!(lab.registry.roll_due(), None);
    let alerts = lab.registry.alerts();
    assert_eq!((alerts.unacked, lab.count(State::TimedOut)), (6, 6));
    assert_eq!(alerts.mass, None, "the cause is known");
    assert_eq!(alerts.newest[0].departure.to_string(), "lost: did not come back after the restart");

    let back = lab.registry.join(lab.start + secs(60), &returning(lab.start, &known("c0"))).unwrap();
    assert_eq!((back.away, back.secret), (Some(secs(61)), Some(Secret::new(*b"a new secret   "))));
    assert_eq!(lab.registry.alerts().unacked, 5, "it is back, so nobody need look");
}

#[test]
fn a_pause_of_our_own_is_time_nobody_had_to_come_back() {
    let mut lab = Lab::after(vec![known("a")], &[]);
    lab.registry.forgive(lab.start + secs(100), secs(90));
    assert_eq!(lab.registry.roll_due(), Some(lab.start + WAIT + secs(90)));
}

#[test]
fn after_a_long_stop_clients_have_the_longest_wait_between_two_attempts_as_well() {
    let lab = Lab::after(vec![Known { silent: secs(600), ..known("a") }], &[]);
    assert_eq!(lab.registry.roll_due(), Some(lab.start + Duration::from_millis(60_500)));
}

#[test]
fn who_was_missing_already_stays_offline_without_a_second_alert_and_for_its_retention() {
    let mut lab = Lab::after(vec![missing("m", secs(60)), missing("old", RETENTION)], &[]);
    assert_eq!(lab.count(State::Offline), 1, "the retention of the other one is over");
    assert_eq!(lab.call(secs(3_000)), []);
    assert_eq!((lab.count(State::Offline), lab.registry.alerts().unacked), (1, 0));
    lab.forget(secs(3_539));
    assert_eq!(lab.count(State::Offline), 1);
    lab.forget(secs(3_540));
    assert_eq!(lab.registry.counts().total(), 0);
    let (_, conn) = lab.join(RETENTION, &known("m"));
    assert_eq!(lab.kinds(), [EventKind::Joined], "it may come back at any time, as a stranger");
    assert!(lab.registry.row_of(conn).is_some());
}

#[test]
fn what_is_kept_is_who_is_here_and_who_is_missing_but_not_who_left() {
    let mut lab = Lab::after(vec![known("due"), missing("gone", secs(60))], &names(&["unseen"]));
    let (here, quit, died) = (known("here"), known("quit"), legacy(known("died")));
    lab.join(secs(1), &here);
    let quits = lab.join(secs(1), &quit).1;
    let dies = lab.join(secs(1), &died).1;
    lab.registry.depart(lab.start + secs(2), quits, Reason::Left.into());
    lab.registry.depart(lab.start + secs(2), dies, Reason::Timeout.into());
    let kept = lab.registry.known(lab.start + secs(5));
    let facts: Vec<_> = kept
        .iter()
        .map(|it| (it.profile.name.as_deref().unwrap(), it.id.is_some(), it.silent.as_secs(), it.missing))
        .collect();
    let want = [
        ("here", true, 4, false),
        ("due", true, 6, false),
        ("gone", true, 65, true),
        ("died", false, 4, true),
    ];
    assert_eq!(facts, want);

    let again = Lab::after(kept.clone(), &[]);
    assert_eq!(again.registry.known(again.start), kept, "and is the same after another restart");
}

#[test]
fn a_count_that_takes_several_turns_has_nobody_twice_and_everybody_who_stays() {
    let names: Vec<String> = (0..60).map(|n| format!("c{n:02}")).collect();
    let mut lab = Lab::after(names[..30].iter().map(|name| known(name)).collect(), &[]);
    let conns: Vec<_> = names[30..].iter().map(|name| lab.join(secs(1), &known(name)).1).collect();
    let mut census = lab.registry.census();
    let mut turns = 0;
    while !lab.registry.count(lab.start + secs(2), &mut census, 7) {
        turns += 1;
        // One comes back from those ahead and one from those behind; one goes of each; one is new.
        lab.join(secs(2), &known(&names[turns]));
        lab.join(secs(2), &known(&names[29 - turns]));
        lab.registry.depart(lab.start + secs(2), conns[turns], Reason::Timeout.into());
        lab.registry.depart(lab.start + secs(2), conns[29 - turns], Reason::Left.into());
        lab.join(secs(2), &known(&format!("new{turns}")));
        lab.forget(secs(2));
    }
    assert_eq!(turns, 8, "sixty rows, seven at a time");
    assert!(census.counted() <= 60);
    let counted: Vec<_> = census.into_known().into_iter().map(|it| it.profile.name.unwrap()).collect();
    for (number, name) in names.iter().enumerate() {
        let times = counted.iter().filter(|it| it.as_ref() == name.as_str()).count();
        // Who left by decision is known if it was counted before.
        let left = (0..=8).any(|turn| turn > 0 && number == 59 - turn);
        assert!(times == 1 || (left && times == 0), "{name} is there {times} times");
    }
    assert!(!counted.iter().any(|name| name.starts_with("new")), "and who came later is in the next");
    assert!(lab.registry.known(lab.start).len() > counted.len() - 8, "which is told, as there were changes");
}

#[test]
fn every_change_of_who_is_known_is_counted() {
    let mut lab = Lab::after(vec![known("a"), known("b")], &[]);
    let mut last = lab.registry.known_changes();
    let mut changed = |lab: &Lab| std::mem::replace(&mut last, lab.registry.known_changes()) != last;
    let (_, conn) = lab.join(secs(1), &known("a"));
    assert!(changed(&lab), "a join");
    lab.registry.update(lab.start, conn, None, known("c").profile);
    assert!(changed(&lab), "an update");
    lab.registry.sweep(lab.start + secs(17), |_| false);
    assert!(!changed(&lab), "that it is late need not be kept");
    lab.registry.depart(lab.start + secs(18), conn, Reason::Lost.into());
    assert!(changed(&lab), "a departure");
    lab.call(WAIT);
    assert!(changed(&lab), "a loss");
    lab.registry.dismiss(lab.start, None);
    assert!(changed(&lab), "a dismissal");
}

#[test]
fn a_listed_name_has_a_row_that_the_first_of_that_name_takes_over() {
    let mut lab = Lab::after(vec![], &names(&["nas", "printer"]));
    let rows = lab.keys(State::Offline);
    let row = lab.registry.row(lab.start, rows[0]).unwrap();
    assert_eq!((row.peer, row.claim.clone(), row.last_seen, row.sessions), (None, None, None, 0));
    assert!(lab.registry.known(lab.start).is_empty(), "a name alone is kept by the configuration");

    let (key, _) = lab.join(secs(1), &known("nas"));
    assert_eq!((key, lab.kinds()), (rows[0], vec![EventKind::Joined]));
    let (other, _) = lab.join(secs(1), &Known { id: Some("b".into()), ..known("nas") });
    assert_ne!(other, key, "the second one of that name is somebody else");
    lab.kinds();
    assert_eq!(lab.call(WAIT)[0].to_string(), "1 listed client has not been seen since the start: printer");
    assert_eq!((lab.count(State::Offline), lab.registry.alerts().unacked), (1, 0));
}

#[test]
fn a_listed_client_that_is_known_has_one_row() {
    let mut lab = Lab::after(vec![known("nas"), missing("tape", secs(9))], &names(&["nas", "tape"]));
    assert_eq!(lab.count(State::Offline), 2);
    let tape = lab.keys(State::Offline)[1];
    let (key, _) = lab.join(secs(1), &Known { id: Some("new disk".into()), ..known("tape") });
    assert_eq!(key, tape, "with its state lost it has another identity, and is still the one that is listed");
    let before = lab.join(secs(2), &known("tape")).0;
    assert_ne!(before, tape, "whoever had the row before does not get it back");
    // One that has a row of its own takes no other.
    let mut lab = Lab::after(vec![known("x")], &names(&["nas"]));
    let (key, _) = lab.join(secs(1), &Known { id: known("x").id, ..known("nas") });
    assert_eq!((key, lab.registry.counts().total()), (RowKey(1), 1), "and the row that waited is not needed");
}

#[test]
fn a_listed_client_that_went_long_ago_is_expected_again() {
    let mut lab = Lab::after(vec![], &names(&["nas"]));
    let (key, conn) = lab.join(secs(1), &known("nas"));
    lab.registry.depart(lab.start + secs(5), conn, Departure::new(Reason::Left, "quit"));
    lab.forget(secs(5) + RETENTION);
    assert_eq!((lab.keys(State::Offline), lab.count(State::Left)), (vec![key], 0));
    let row = lab.registry.row(lab.start, key).unwrap();
    assert_eq!((row.last_seen, row.gone.unwrap().1.detail), (Some(lab.start + secs(1)), "quit".into()));
    lab.forget(RETENTION * 3);
    let (again, _) = lab.join(RETENTION * 3, &known("nas"));
    assert_eq!((again, lab.registry.row(lab.start, again).unwrap().sessions), (key, 2));
}

#[test]
fn dismissing_forgets_an_expected_row_and_all_departed_ones() {
    let mut lab = Lab::after(vec![known("a"), missing("m", secs(9))], &names(&["nas"]));
    let rows = lab.keys(State::Offline);
    lab.registry.dismiss(lab.start, None);
    assert_eq!(lab.keys(State::Offline), [rows[0], rows[2]], "those who should come are still to come");
    for row in rows {
        lab.registry.dismiss(lab.start, Some(row));
    }
    assert_eq!(lab.registry.counts().total(), 0);
    // Each was told once: the one that was missing with the sweep, the others by name.
    assert_eq!(lab.kinds(), [const { EventKind::Dismissed { rows: 1 } }; 3]);
    assert_eq!(lab.call(WAIT), []);
    lab.join(WAIT, &known("nas"));
    lab.join(WAIT, &known("a"));
    assert_eq!(lab.kinds(), [EventKind::Joined, EventKind::Joined]);
}

#[test]
fn the_list_can_change_and_clients_their_names() {
    let mut lab = Lab::after(vec![missing("m", secs(9))], &names(&["a", "b", "m"]));
    lab.registry.list(lab.start, &names(&["b", "c"]));
    assert_eq!(lab.count(State::Offline), 3, "a is not listed any more, and m is still missing");
    let (_, conn) = lab.join(secs(1), &known("b"));
    lab.registry.update(lab.start, conn, None, known("c").profile);
    assert_eq!(lab.count(State::Offline), 2, "b is missed again, and c is here");
    let seen: Vec<_> =
        lab.keys(State::Offline).iter().map(|&key| lab.registry.row(lab.start, key).unwrap().label).collect();
    assert_eq!(seen, names(&["m", "b"]));
    lab.registry.list(lab.start, &[]);
    assert_eq!(lab.count(State::Offline), 1);
    lab.forget(RETENTION);
    assert_eq!(lab.count(State::Offline), 0);
}

#[test]
fn the_same_client_twice_is_one_and_there_is_an_end_to_how_many() {
    let twice = vec![known("a"), known("a"), legacy(known("l")), legacy(known("l")), legacy(known("k"))];
    assert_eq!(
        Lab::after(twice, &[]).count(State::Offline),
        3,
        "the claim, the address and the name are the same"
    );
    let many = (0..200).map(|n| known(&n.to_string())).collect();
    assert_eq!(Lab::after(many, &[]).count(State::Offline), 100, "no more were ever allowed");

    let all = (0..GONE_ROWS_MAX as u64 + 9).map(|n| missing(&n.to_string(), Duration::from_millis(n)));
    let mut lab = Lab::after(all.collect(), &[]);
    assert_eq!(lab.count(State::Offline), GONE_ROWS_MAX);
    let (_, conn) = lab.join(secs(1), &known("x"));
    lab.registry.depart(lab.start + secs(1), conn, Reason::Lost.into());
    lab.forget(secs(1));
    assert_eq!(lab.count(State::TimedOut), 1, "the newest departure is kept");
    assert_eq!(lab.registry.counts().total(), GONE_ROWS_MAX);
}

#[test]
fn an_operator_blocks_who_is_known_and_nobody_else() {
    let mut lab = Lab::after(vec![known("a")], &names(&["nas"]));
    let later = lab.start + secs(60);
    for row in lab.keys(State::Offline) {
        lab.registry.block(row, later);
    }
    assert!(lab.registry.join(lab.start, &returning(lab.start, &known("a"))).is_err());
    lab.join(secs(1), &known("nas"));
}
