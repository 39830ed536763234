use super::*;
use crate::protocol::ErrorCode;
use crate::swarm::plan::tests::ASKED;
use crate::swarm::plan::{Asked, Plan};
use crate::swarm::tally::{Fate, Refusal};

fn report() -> Report {
    let millis = Duration::from_millis;
    let mut tally = Tally::new(6).unwrap();
    tally.begun = 13;
    for n in 0..10 {
        tally.registered(millis(n));
    }
    for fate in [
        Fate::Stayed,
        Fate::Stayed,
        Fate::Replaced,
        Fate::Drained,
        Fate::FrozenOut { late: Some(millis(12)) },
        Fate::FrozenOut { late: None },
        Fate::WronglyTimedOut,
        Fate::Starved,
        Fate::Cut(ErrorCode::Kicked),
        Fate::Lost,
    ] {
        tally.ended(&fate, 1);
    }
    tally.refused(Refusal::Told(ErrorCode::Full), Some("6 of 6 clients"));
    tally.refused(Refusal::Failed("connection refused".to_owned()), None);
    tally.refused(Refusal::TooLate, None);
    tally.settled = Some(millis(4_000));
    tally.full = tally.settled;
    (tally.pings, tally.pongs) = (1_234_568, 1_234_567);
    for us in 1..=1_000 {
        tally.pong.record(Duration::from_micros(us));
    }
    Report::new(&Plan::new(&Asked { clients: 6, ..ASKED }).unwrap(), &tally, millis(10_000))
}

#[test]
fn every_client_has_one_fate() {
    let report = report();
    let c = &report.clients;
    assert_eq!(c.begun, c.registered + total(&c.refused) + total(&c.failed) + c.too_late);
    let fates = [
        c.stayed,
        c.replaced,
        c.drained,
        c.frozen_timed_out,
        c.wrongly_timed_out,
        c.late_and_timed_out,
        total(&c.cut),
        c.lost,
    ];
    assert_eq!(c.registered, fates.iter().sum::<u64>());
    assert!(report.is_full());
}

#[test]
fn rates_and_percentiles_are_what_was_counted() {
    let report = report();
    assert_eq!((report.traffic.pongs_per_s, report.clients.registered_per_s), (123_456.7, Some(1.5)));
    let Spread { count, min, mean, p50, p90, p99, p999, max } = report.pong_us;
    assert_eq!((count, min, p50, p90, p99, p999, max), (1_000, 1, 500, 900, 990, 999, 1_000));
    assert!((mean - 500.5).abs() < 0.11, "{mean}");
    assert_eq!(report.timeout_late_us.count, 1);
    assert_eq!(report.connect_us, Spread::default());
}

#[test]
fn people_read_it_in_columns_and_programs_as_json() {
    let report = report();
    let text = report.text();
    for words in [
        "6 clients at hq:8080 for 10s (dialect presence, seed 1)",
        "all 6 online after 4s, 2 a second",
        "TIMED OUT WRONGLY               1   they had spoken in time",
        "refused                         1   1 full",
        "pongs                   1,234,567   123456.7 a second",
        "pong                        1,000     500us     900us     990us     999us    1.00ms",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    assert!(!text.lines().any(|line| line.ends_with(' ')));
    let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
    assert_eq!(json["clients"]["cut"]["kicked"], 1);
    assert_eq!(json["pong_us"]["p99"], 990);
    assert_eq!(json["told"], serde_json::Value::Null);
}

#[test]
fn spans_keep_three_digits() {
    for (us, text) in [
        (0, "0us"),
        (999, "999us"),
        (1_000, "1.00ms"),
        (1_236, "1.24ms"),
        (41_249, "41.2ms"),
        (412_499, "412ms"),
        (3_050_000, "3.05s"),
        (75_000_000, "75.0s"),
        (3_600_000_000, "3600s"),
    ] {
        assert_eq!(fine(us), text);
    }
    assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
}
