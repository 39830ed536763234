//! Flips of a real registry, on a clock of the test's own.
#![expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]

use std::net::SocketAddr;

use super::*;
use crate::presence::event::Named;
use crate::presence::registry::{Limits, Newcomer};
use crate::presence::secret::Secret;
use crate::presence::{
    Claim, ConnNo, Departure, Dialect, Identity, Profile, Pulse, Reason, Registry, Settings,
};

const SPAN: Duration = Duration::from_secs(5);

struct Lab {
    registry: Registry,
    collector: Collector,
    start: Instant,
    generation: u64,
}

impl Lab {
    fn new(wanted: &[Flip]) -> Self {
        let limits = Limits { max_clients: 1_000, max_pings_per_second: 0, ..Limits::default() };
        let registry = Registry::new(Settings::default(), limits);
        let collector = Collector::new(wanted, &["quiet".to_owned(), "id-shy".to_owned()], SPAN);
        Self { registry, collector, start: Instant::now(), generation: 0 }
    }

    /// Wants all there is.
    fn all() -> Self {
        Self::new(&Flip::ALL)
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn pass(&mut self) {
        for event in self.registry.take_events() {
            assert!(self.collector.hear(&event));
        }
    }

    fn join(&mut self, ms: u64, name: &str) -> (RowKey, ConnNo) {
        self.generation += 1;
        let now = self.at(ms);
        let newcomer = Newcomer {
            claim: Claim { ip: "10.0.0.1".into(), port: 1 },
            peer: SocketAddr::from(([127, 0, 0, 1], 4_000)),
            version: 1,
            dialect: Dialect::Presence,
            identity: Some(Identity {
                id: format!("id-{name}").into(),
                generation: self.generation,
                attempt: 1,
            }),
            profile: Profile { name: Some(name.into()), ..Profile::default() },
            resume: Some(Secret::new([7; 15]).to_string().into()),
            fresh_id: "fresh".into(),
            fresh_secret: Secret::new([7; 15]),
            pulse: Arc::new(Pulse::new(now)),
        };
        let admission = self.registry.join(now, &newcomer).unwrap();
        self.pass();
        (admission.row, admission.conn)
    }

    fn depart(&mut self, ms: u64, conn: ConnNo, reason: Reason) {
        assert!(self.registry.depart(self.at(ms), conn, Departure::from(reason)));
        self.pass();
    }

    /// Returns what is called once everything held is due: the word, how many, and the names.
    fn calls(&mut self) -> Vec<(Flip, usize, String)> {
        let call = |group: Group| {
            let names = group.told.iter().flat_map(|told| told.names.iter().cloned());
            (group.flip, group.told.iter().map(|told| told.count).sum(), Named::of(names).to_string())
        };
        self.collector.take().into_iter().map(call).collect()
    }
}

#[test]
fn a_client_that_comes_fails_returns_and_leaves_is_four_flips_in_order() {
    let mut lab = Lab::all();
    assert_eq!(lab.collector.due(), None);
    let (_, conn) = lab.join(1_000, "a");
    lab.depart(2_000, conn, Reason::Timeout);
    let (_, conn) = lab.join(3_000, "a");
    lab.depart(4_000, conn, Reason::Left);
    assert_eq!(lab.collector.due(), Some(lab.at(6_000)), "the first one's wait is over");
    let flips: Vec<_> = lab.calls().into_iter().map(|(flip, ..)| flip).collect();
    assert_eq!(flips, [Flip::Joined, Flip::TimedOut, Flip::Recovered, Flip::Left]);
    assert_eq!(lab.collector.due(), None);
    lab.join(9_000, "a");
    assert_eq!(lab.calls(), [(Flip::Joined, 1, "a".to_owned())], "who had left joins anew");
}

#[test]
fn only_what_is_wanted_is_told() {
    let mut lab = Lab::new(&[Flip::Lost]);
    let (_, a) = lab.join(0, "a");
    let (_, b) = lab.join(0, "b");
    lab.depart(10, a, Reason::Timeout);
    lab.depart(20, b, Reason::Lost);
    lab.join(30, "b");
    assert_eq!(lab.calls(), [(Flip::Lost, 1, "b".to_owned())]);
}

#[test]
fn more_than_ten_failures_are_one_call_and_ten_are_not() {
    for (count, calls) in [(10, 10), (11, 1)] {
        let mut lab = Lab::new(&[Flip::TimedOut, Flip::Lost, Flip::MassTimeout]);
        let conns: Vec<_> = (0..count).map(|n| lab.join(0, &format!("c{n}")).1).collect();
        for (n, conn) in conns.into_iter().enumerate() {
            let reason = if n % 2 == 0 { Reason::Timeout } else { Reason::Lost };
            lab.depart(10 + n as u64, conn, reason);
        }
        let told = lab.calls();
        assert_eq!(told.len(), calls, "{told:?}");
        if calls == 1 {
            assert_eq!(told[0], (Flip::MassTimeout, 11, "c0, c1, c2, c3, c4 and 6 more".to_owned()));
        }
    }
}

#[test]
fn a_mass_nobody_wants_to_hear_of_as_such_is_still_one_call_of_each_kind() {
    let mut lab = Lab::new(&[Flip::TimedOut, Flip::Joined]);
    let conns: Vec<_> = (0..12).map(|n| lab.join(0, &format!("c{n}")).1).collect();
    for conn in conns {
        lab.depart(10, conn, Reason::Timeout);
    }
    let told: Vec<_> = lab.calls().into_iter().map(|(flip, count, _)| (flip, count)).collect();
    assert_eq!(told, [(Flip::Joined, 12), (Flip::TimedOut, 12)]);
}

#[test]
fn what_an_operator_has_acknowledged_is_not_told() {
    let mut lab = Lab::all();
    let (row, conn) = lab.join(0, "a");
    let (_, other) = lab.join(0, "b");
    lab.calls();
    lab.depart(10, conn, Reason::Lost);
    lab.depart(10, other, Reason::Lost);
    lab.registry.acknowledge(lab.at(20), Some(row));
    lab.pass();
    assert_eq!(lab.calls(), [(Flip::Lost, 1, "b".to_owned())], "acknowledged while it waited");
    lab.join(30, "a");
    assert_eq!(lab.calls(), [], "somebody knows, and sees it come back");
    lab.join(30, "b");
    assert_eq!(lab.calls(), [(Flip::Recovered, 1, "b".to_owned())]);
}

#[test]
fn nobody_is_told_of_a_muted_client() {
    let mut lab = Lab::all();
    for name in ["quiet", "shy"] {
        let (_, conn) = lab.join(0, name);
        lab.depart(10, conn, Reason::Timeout);
    }
    assert_eq!(lab.calls(), []);
    assert_eq!(lab.collector.due(), None);
}

#[test]
fn a_restart_is_quiet_for_those_who_come_back_and_one_call_for_those_who_do_not() {
    let mut old = Lab::all();
    for name in ["a", "b", "c", "quiet"] {
        old.join(0, name);
    }
    let (_, missing) = old.join(0, "missing");
    old.depart(10, missing, Reason::Timeout);
    let known = old.registry.known(old.at(20));

    let mut lab = Lab::all();
    lab.generation = 100;
    lab.registry.expect(lab.start, known, &["never-seen".into()], SPAN);
    lab.join(100, "a");
    lab.join(100, "missing");
    assert_eq!(lab.calls(), [], "whoever was known before the restart merely comes back");
    lab.registry.call_roll(lab.at(3_600_000));
    lab.pass();
    assert_eq!(lab.calls(), [(Flip::Lost, 2, "b, c".to_owned())]);
    lab.join(3_600_100, "b");
    assert_eq!(lab.calls(), [(Flip::Recovered, 1, "b".to_owned())]);
}

#[test]
fn a_newer_connection_of_the_same_client_is_no_flip() {
    let mut lab = Lab::all();
    lab.join(0, "a");
    lab.calls();
    lab.join(60_000, "a");
    assert_eq!(lab.calls(), []);
    assert_eq!(lab.collector.due(), None);
}

#[test]
fn who_goes_because_the_server_stops_is_not_told() {
    let mut lab = Lab::all();
    let (_, a) = lab.join(0, "a");
    let (_, b) = lab.join(0, "b");
    lab.calls();
    lab.registry.note(lab.at(10), EventKind::Draining { clients: 2 });
    lab.depart(20, a, Reason::Left);
    lab.depart(20, b, Reason::Drain);
    assert_eq!(lab.calls(), []);
}
