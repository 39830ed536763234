use super::*;
use crate::swarm::plan::Asked;
use crate::swarm::plan::tests::ASKED;

const WELCOME: &str = r#"{"type":"welcome","v":1,"id":"a","resume":"s","you":{"ip":"h","port":1},"server":{"name":"hq","version":"0"},"rev":3,"interval_ms":1000,"timeout_ms":3000,"spread_ms":0,"clients":1}"#;

fn secs(n: f64) -> Duration {
    Duration::from_secs_f64(n)
}

fn talk(asked: &Asked<'_>) -> (Talk, Instant, Vec<u8>) {
    let now = Instant::now();
    let mut talk = Talk::new(&Plan::new(asked).unwrap(), now, Rng::with_seed(1), now);
    let mut out = Vec::new();
    let register = Register { client_ip: "h".into(), v: Some(1), ..Register::default() };
    talk.greet(register, now, &mut out);
    (talk, now, out)
}

fn registered(asked: &Asked<'_>) -> (Talk, Instant) {
    let (mut talk, now, mut out) = talk(asked);
    let heard = talk.hear(WELCOME.as_bytes(), now, &mut out);
    assert!(matches!(heard, Heard::Welcome(_)), "{heard:?}");
    (talk, now)
}

/// Lets its time come, and returns what was said.
fn act(talk: &mut Talk, freeze: bool) -> (Done, String, Instant) {
    let (at, mut out) = (talk.next_act(), Vec::new());
    let done = talk.act(at, freeze, &mut out);
    (done, String::from_utf8(out).unwrap(), at)
}

#[test]
fn it_pings_as_the_server_asks_and_never_later() {
    let (mut talk, start) = registered(&ASKED);
    assert!(talk.next_act() - start <= secs(1.0));
    let mut last = None;
    for seq in 1..50 {
        let (done, line, at) = act(&mut talk, false);
        assert_eq!(done, Done::Pinged(Duration::ZERO));
        assert!(line.starts_with(&format!(r#"{{"type":"ping","seq":{seq},"t":"#)), "{line}");
        assert!(line.ends_with("\"rev\":3}\n"), "{line}");
        assert!(matches!(ClientMessage::decode(line.trim().as_bytes()), Ok(ClientMessage::Ping(_))));
        if let Some(last) = last.replace(at) {
            assert!((0.749..=1.0).contains(&(at - last).as_secs_f64()));
        }
    }
}

#[test]
fn a_late_ping_does_not_push_the_next_one_back_and_many_missed_ones_are_one() {
    let (mut talk, _) = registered(&ASKED);
    let due = talk.next_act();
    let mut out = Vec::new();
    assert_eq!(talk.act(due + secs(0.4), false, &mut out), Done::Pinged(secs(0.4)));
    assert!(talk.next_act() <= due + secs(1.0));
    let due = talk.next_act();
    assert_eq!(talk.act(due, false, &mut out), Done::HeldBack, "the last one has not been taken yet");
    out.clear();
    let due = talk.next_act();
    assert_eq!(talk.act(due + secs(9.0), false, &mut out), Done::Pinged(secs(9.0)));
    assert!(talk.next_act() > due + secs(9.5));
}

#[test]
fn a_pong_tells_the_round_trip_and_the_next_ping_tells_it_the_server() {
    let (mut talk, start) = registered(&ASKED);
    let (_, line, at) = act(&mut talk, false);
    let ClientMessage::Ping(ping) = ClientMessage::decode(line.trim().as_bytes()).unwrap() else {
        panic!("{line}")
    };
    let pong = Pong { seq: ping.seq, t: ping.t, hold_us: Some(20), ..Pong::default() };
    let line = ServerMessage::Pong(pong).encode();
    let heard = talk.hear(line.trim_ascii(), at + secs(0.002), &mut Vec::new());
    let Heard::Pong(Some(rtt)) = heard else { panic!("{heard:?}") };
    assert!(rtt.abs_diff(secs(0.002)) < secs(0.00001), "{rtt:?}");
    assert!(act(&mut talk, false).1.contains("\"rtt_us\":200"));
    let heard = talk.hear(br#"{"t":0,"type":"pong"}"#, start + secs(1.0), &mut Vec::new());
    assert!(matches!(heard, Heard::Pong(Some(rtt)) if rtt == secs(1.0)), "{heard:?}");
}

#[test]
fn new_settings_are_followed_and_acknowledged_at_once_however_they_come() {
    for line in [
        r#"{"type":"config","rev":4,"interval_ms":200,"timeout_ms":900,"spread_ms":0}"#,
        r#"{"type":"pong","seq":1,"rev":4,"interval_ms":200,"timeout_ms":900}"#,
    ] {
        let (mut talk, start) = registered(&ASKED);
        talk.hear(line.as_bytes(), start, &mut Vec::new());
        let (done, said, at) = act(&mut talk, false);
        assert_eq!((done, at), (Done::Pinged(Duration::ZERO), start));
        assert!(said.contains("\"rev\":4"), "{said}");
        assert!(talk.next_act() <= start + secs(0.2));
    }
    let (mut talk, start) = registered(&Asked { interval: Some("10s"), ..ASKED });
    talk.hear(
        br#"{"type":"config","rev":4,"interval_ms":0,"timeout_ms":900,"spread_ms":0}"#,
        start,
        &mut Vec::new(),
    );
    act(&mut talk, false); // What acknowledges new settings is followed by a beat anywhere in the interval.
    let (_, _, at) = act(&mut talk, false);
    assert!(talk.next_act() >= at + secs(7.5), "its own interval stays its own");
}

#[test]
fn settings_that_cannot_be_do_not_make_it_spin_or_fall_over() {
    let (mut talk, start) = registered(&ASKED);
    for line in [
        format!(r#"{{"type":"config","rev":9,"interval_ms":0,"timeout_ms":{},"spread_ms":0}}"#, u64::MAX),
        format!(r#"{{"type":"drain","reason":"x","in_ms":{}}}"#, u64::MAX),
    ] {
        talk.hear(line.as_bytes(), start, &mut Vec::new());
    }
    act(&mut talk, false);
    let (_, _, at) = act(&mut talk, false);
    assert!(talk.next_act() >= at + INTERVAL_MIN.mul_f64(0.74));
}

#[test]
fn who_is_frozen_says_nothing_and_the_verdict_is_measured_from_its_last_word() {
    let (mut talk, _) = registered(&Asked { freeze: 1, ..ASKED });
    let last_word = act(&mut talk, false).2;
    let (done, said, at) = act(&mut talk, true);
    assert_eq!((done, said.as_str()), (Done::Nothing, ""));
    for line in [r#"{"type":"probe"}"#, r#"{"type":"ping","seq":1}"#, r#"{"type":"drain","in_ms":1}"#] {
        let mut out = Vec::new();
        talk.hear(line.as_bytes(), at, &mut out);
        assert!(out.is_empty() && talk.next_act() > at + secs(1_000.0), "{line}");
    }
    let verdict = br#"{"type":"error","code":"timeout","message":"","retry_ms":0}"#;
    talk.hear(verdict, last_word + secs(3.02), &mut Vec::new());
    let late = Fate::FrozenOut { late: Some(secs(0.02)) };
    assert_eq!(talk.fate(last_word + secs(9.0)), late, "when it was told counts, not when it was closed");
}

#[test]
fn a_verdict_before_its_time_is_wrong_and_one_that_a_slow_swarm_earned_is_not() {
    let verdict = br#"{"type":"error","code":"timeout","message":"","retry_ms":0}"#;
    for (frozen, after, fate) in
        [(true, 2.9, Fate::WronglyTimedOut), (false, 0.5, Fate::WronglyTimedOut), (false, 3.5, Fate::Starved)]
    {
        let (mut talk, _) = registered(&Asked { freeze: 1, ..ASKED });
        let last_word = act(&mut talk, false).2;
        if frozen {
            act(&mut talk, true);
        }
        let at = last_word + secs(after);
        talk.hear(verdict, at, &mut Vec::new());
        assert_eq!(talk.fate(at), fate);
    }
    let (talk, start) = registered(&ASKED);
    assert_eq!(talk.fate(start), Fate::Lost);
}

#[test]
fn it_leaves_in_its_slot_and_answers_what_it_is_asked() {
    let (mut talk, start) = registered(&ASKED);
    let mut out = Vec::new();
    talk.hear(br#"{"type":"ping","seq":9}"#, start, &mut out);
    assert_eq!(out, b"{\"type\":\"pong\",\"seq\":9}\n");
    talk.hear(br#"{"type":"probe"}"#, start, &mut out);
    assert_eq!(talk.next_act(), start);
    talk.make_room_at(start + secs(50.0));
    talk.hear(br#"{"type":"drain","reason":"stop","in_ms":0}"#, start, &mut out);
    let (done, said, _) = act(&mut talk, false);
    assert_eq!(
        (done, said.as_str()),
        (Done::Left(Fate::Drained), "{\"type\":\"leave\",\"reason\":\"quit\"}\n")
    );
}

#[test]
fn a_base_client_speaks_the_base_protocol_and_nothing_else() {
    let asked = Asked { dialect: Dialect::Base, interval: Some("1s"), ..ASKED };
    let now = Instant::now();
    let mut talk = Talk::new(&Plan::new(&asked).unwrap(), now, Rng::with_seed(1), now);
    let mut out = Vec::new();
    let register = Register { client_ip: "h".into(), client_port: 9, ..Register::default() };
    talk.greet(register, now, &mut out);
    let expected = "{\"type\":\"register\",\"client_ip\":\"h\",\"client_port\":9}\n{\"type\":\"ping\"}\n";
    assert_eq!(out, expected.as_bytes());
    out.clear();
    talk.hear(b"what?", now, &mut out);
    assert!(!talk.is_registered());
    talk.hear(br#"{"type":"client_list","clients":[]}"#, now, &mut out);
    assert!(talk.is_registered());
    let heard = talk.hear(br#"{"type":"pong"}"#, now + secs(0.003), &mut out);
    assert!(matches!(heard, Heard::Pong(Some(rtt)) if rtt == secs(0.003)));
    assert_eq!(act(&mut talk, false).1, "{\"type\":\"ping\"}\n");
    talk.say_goodbye(&mut out);
    assert!(out.is_empty(), "it just closes");
}

#[test]
fn in_a_closed_loop_the_pong_calls_for_the_next_ping() {
    let (mut talk, start) = registered(&Asked { closed_loop: true, ..ASKED });
    assert_eq!(talk.next_act(), start);
    let (_, first, _) = act(&mut talk, false);
    assert!(first.contains("\"seq\":1"));
    assert!(talk.next_act() > start + secs(1_000.0));
    let mut out = Vec::new();
    talk.hear(br#"{"type":"pong","seq":1,"t":0}"#, start, &mut out);
    assert!(out.starts_with(b"{\"type\":\"ping\",\"seq\":2"));
}

#[test]
fn refusals_and_nonsense_are_told_apart() {
    let (mut talk, now, mut out) = talk(&ASKED);
    let full = br#"{"type":"error","code":"full","message":"5 of 5 clients","retry_ms":1}"#;
    assert!(matches!(talk.hear(full, now, &mut out), Heard::Error(_)));
    assert_eq!(talk.fate(now), Fate::Cut(ErrorCode::Full));
    assert!(!talk.is_registered());
    assert!(matches!(talk.hear(b"hello", now, &mut out), Heard::Unreadable));
    assert!(matches!(talk.hear(b"", now, &mut out), Heard::Nothing));
}
