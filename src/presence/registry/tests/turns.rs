//! Every event says how the row stood before it, and how it stands after.

use super::*;
use crate::presence::event::Turn;

type Told = (&'static str, Option<State>, Option<State>, bool);

impl Lab {
    /// Returns what happened since the last call: the word, before, after, and whether it was acknowledged.
    fn turns(&mut self) -> Vec<Told> {
        let told = |event: Event| {
            let Turn { old, new, acked } = event.who.unwrap().turn;
            (event.kind.word(), old, new, acked)
        };
        self.registry.take_events().into_iter().map(told).collect()
    }
}

#[test]
fn an_event_knows_the_state_before_and_after() {
    const ONLINE: Option<State> = Some(State::Online);
    const LATE: Option<State> = Some(State::Late);
    const OUT: Option<State> = Some(State::TimedOut);
    let mut lab = Lab::new();
    let first = lab.claimant(0, 1, 1, 1);
    let row = lab.registry.join(lab.at(0), &first).unwrap().row;
    lab.sweep(15_000);
    lab.sweep(30_000);
    let told =
        [("registered", None, ONLINE, false), ("late", ONLINE, LATE, false), ("timed_out", LATE, OUT, false)];
    assert_eq!(lab.turns(), told);

    lab.registry.join(lab.at(40_000), &lab.claimant(40_000, 1, 2, 1)).unwrap();
    assert_eq!(lab.turns(), [("resumed", OUT, ONLINE, false)]);
    lab.sweep(70_000);
    lab.registry.acknowledge(lab.at(71_000), Some(row));
    lab.registry.acknowledge(lab.at(72_000), Some(row));
    lab.registry.join(lab.at(80_000), &lab.claimant(80_000, 1, 3, 1)).unwrap();
    let told =
        [("timed_out", ONLINE, OUT, false), ("acknowledged", OUT, OUT, true), ("resumed", OUT, ONLINE, true)];
    assert_eq!(lab.turns(), told, "acknowledged once, and remembered until it is back");
    lab.sweep(110_000);
    assert_eq!(lab.turns(), [("timed_out", ONLINE, OUT, false)], "the next failure is a new one");
    lab.registry.dismiss(lab.at(111_000), Some(row));
    assert_eq!(lab.turns(), [("dismissed", OUT, None, false)]);
}

#[test]
fn what_an_operator_does_to_all_is_one_event() {
    let mut lab = Lab::new();
    for n in 1..=3 {
        let newcomer = lab.newcomer(0, n);
        let conn = lab.registry.join(lab.at(0), &newcomer).unwrap().conn;
        lab.registry.depart(lab.at(10), conn, Reason::Lost.into());
    }
    lab.kinds();
    lab.registry.acknowledge(lab.at(20), None);
    lab.registry.acknowledge(lab.at(30), None);
    lab.registry.dismiss(lab.at(40), None);
    lab.registry.dismiss(lab.at(50), None);
    assert_eq!(lab.kinds(), [EventKind::Acknowledged { rows: 3 }, EventKind::Dismissed { rows: 3 }]);
}
