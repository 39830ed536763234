//! What the server promises to its clients, on a paused clock.

#![allow(missing_docs, reason = "a test is documented by its name")]

mod common;

use common::{LEGACY, Lab, options, secs, v1};
use presence_tui::presence::command::Command;
use presence_tui::presence::event::Origin;
use presence_tui::presence::registry::Limits;
use presence_tui::presence::{EventKind, Settings};
use presence_tui::server::{BAD_LINES_MAX, Options, QUEUE_BYTES_MAX, WRITE_DEADLINE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, advance, sleep, sleep_until};

#[tokio::test(start_paused = true)]
async fn a_base_client_gets_its_list_its_pongs_and_sees_others_come_and_go() {
    let mut lab = Lab::new();
    let mut a = lab.call();
    a.say(LEGACY).await;
    let own = r#"{"type":"client_list","clients":[{"ip":"192.168.1.100","port":3000}]}"#;
    assert_eq!(a.line().await.unwrap(), own);
    a.say(r#"{"type":"ping"}"#).await;
    assert_eq!(a.line().await.unwrap(), r#"{"type":"pong"}"#);

    let mut b = lab.call();
    b.say(r#"{"type":"register","client_ip":"10.0.0.2","client_port":1}"#).await;
    let both =
        r#"{"type":"client_list","clients":[{"ip":"192.168.1.100","port":3000},{"ip":"10.0.0.2","port":1}]}"#;
    assert_eq!(b.line().await.unwrap(), both);
    assert_eq!(a.line().await.unwrap(), both);

    drop(b);
    assert_eq!(a.line().await.unwrap(), own);
    assert!(a.is_quiet_for(secs(5)).await, "one list per change");
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_late_then_told_and_closed_at_its_deadline_and_the_others_hear_of_it() {
    let mut lab = Lab::new();
    let mut witness = lab.legacy().await;
    let mut silent = lab.legacy().await;
    let start = Instant::now();
    assert_eq!(witness.hear().await["clients"].as_array().unwrap().len(), 2);
    for _ in 0..6 {
        sleep(secs(4)).await;
        witness.ping().await;
    }
    sleep_until(start + secs(29)).await;
    witness.ping().await;
    let error = silent.hear_type("error").await;
    let waited = start.elapsed();
    assert!((30_000..=30_005).contains(&waited.as_millis()), "told after {waited:?} of 30 s");
    assert_eq!((&error["code"], &error["retry_ms"]), (&"timeout".into(), &0.into()));
    assert_eq!(silent.line().await, None, "nobody stays connected and unlisted");
    assert_eq!(witness.hear().await["clients"].as_array().unwrap().len(), 1);
    for word in ["registered", "registered", "late", "timed_out"] {
        assert_eq!(lab.word().await, word);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_the_server_times_out_nobody() {
    let mut lab = Lab::new();
    let mut peers = Vec::new();
    for _ in 0..20 {
        peers.push(lab.legacy().await);
        assert_eq!(lab.word().await, "registered");
    }
    for (at, pause) in [(3, 40), (7, 95), (2, 3_600)] {
        sleep(secs(at)).await;
        // The clock jumps as it does for a process that was stopped: nothing ran meanwhile.
        advance(secs(pause)).await;
        let (word, text) = lab.event().await;
        assert_eq!(word, "trouble");
        assert!(text.starts_with("I was paused for "), "{text}");
        for peer in &mut peers {
            peer.ping().await;
        }
    }
    assert!(lab.events.try_recv().is_err(), "nobody was late, nobody was lost");
}

#[tokio::test(start_paused = true)]
async fn a_blank_line_is_a_sign_of_life_and_brings_a_late_client_back() {
    let mut lab = Lab::new();
    let mut nc = lab.legacy().await;
    assert_eq!(lab.word().await, "registered");
    assert_eq!(lab.word().await, "late");
    nc.say("").await;
    assert_eq!(lab.word().await, "back");
    for _ in 0..20 {
        sleep(secs(9)).await;
        nc.say("").await;
    }
    assert!(nc.is_quiet_for(secs(1)).await);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_late_again_is_told_again_however_far_away_its_timeout_is() {
    let settings = Settings::new(secs(10), secs(3_600)).unwrap();
    let mut lab = Lab::with(Options { settings, ..options() });
    let mut nc = lab.legacy().await;
    assert_eq!(lab.word().await, "registered");
    for _ in 0..3 {
        let heard = Instant::now();
        assert_eq!(lab.word().await, "late");
        assert!(heard.elapsed() >= secs(15) && heard.elapsed() < secs(16), "{:?}", heard.elapsed());
        nc.say("").await;
        assert_eq!(lab.word().await, "back");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_told_at_once_and_a_goodbye_is_no_loss() {
    let mut lab = Lab::new();
    drop(lab.legacy().await);
    let mut polite = lab.legacy().await;
    polite.say(r#"{"type":"leave","reason":"quit"}"#).await;
    assert_eq!(polite.line().await, None);
    let start = Instant::now();
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(lab.event().await);
    }
    assert_eq!(start.elapsed(), secs(0));
    assert!(
        told.iter().any(|(word, text)| word == "lost" && text.starts_with("lost: closed without goodbye"))
    );
    assert!(told.iter().any(|(word, text)| word == "left" && text.starts_with("left: quit")));
}

#[tokio::test(start_paused = true)]
async fn welcome_says_the_rules_and_a_numbered_ping_gets_its_number_back() {
    let mut lab = Lab::new();
    let (mut peer, welcome) = lab.v1(r#""id":"k3v9q2m1","gen":7,"conn":1,"name":"build-7","#).await;
    assert_eq!(welcome["id"], "k3v9q2m1");
    assert_eq!((&welcome["v"], &welcome["rev"]), (&1.into(), &1.into()));
    assert_eq!((&welcome["interval_ms"], &welcome["timeout_ms"]), (&10_000.into(), &30_000.into()));
    assert_eq!(welcome["you"]["ip"], "127.0.0.1");
    assert_eq!(welcome["server"]["name"], "lab");
    assert!(welcome["resume"].as_str().unwrap().len() >= 20 && welcome["spread_ms"].as_u64().unwrap() >= 500);
    peer.say(r#"{"type":"ping","seq":41,"t":912345678,"rev":1,"rtt_us":830}"#).await;
    let pong = peer.hear().await;
    assert_eq!((&pong["seq"], &pong["t"]), (&41.into(), &912_345_678.into()));
    assert!(pong["hold_us"].is_u64() && pong["rev"].is_null(), "{pong}");
    assert!(peer.is_quiet_for(secs(5)).await, "who did not ask for the roster gets nothing");
}

#[tokio::test(start_paused = true)]
async fn new_settings_are_pushed_and_a_stale_ping_is_told_again() {
    let mut lab = Lab::new();
    let (mut peer, _) = lab.v1("").await;
    let settings = Settings::new(secs(5), secs(15)).unwrap();
    lab.server.remote().command(Command::Set(settings, Origin::Key)).await;
    let config = peer.hear().await;
    assert_eq!((&config["type"], &config["rev"]), (&"config".into(), &2.into()));
    assert_eq!((&config["interval_ms"], &config["timeout_ms"]), (&5_000.into(), &15_000.into()));
    peer.say(r#"{"type":"ping","seq":1,"rev":1}"#).await;
    let pong = peer.hear().await;
    assert_eq!((&pong["rev"], &pong["interval_ms"]), (&2.into(), &5_000.into()));
    peer.say(r#"{"type":"ping","seq":2,"rev":2}"#).await;
    assert!(peer.hear().await["rev"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_fleet_that_has_grown_is_told_how_to_come_back_once_and_without_new_settings() {
    let limits = Limits { max_clients: 1_000, ..options().limits };
    let mut lab =
        Lab::with(Options { settings: Settings::new(secs(900), secs(1_800)).unwrap(), limits, ..options() });
    let (mut first, welcome) = lab.v1("").await;
    assert_eq!(welcome["spread_ms"], 500);
    let mut crowd = Vec::new();
    for _ in 0..599 {
        crowd.push(lab.v1("").await.0);
    }
    assert!(first.is_quiet_for(secs(59)).await, "a fleet that is still arriving is left alone");
    let told = first.hear().await;
    assert_eq!((&told["type"], &told["spread_ms"]), (&"config".into(), &1_200.into()), "{told}");
    for rule in ["rev", "interval_ms", "timeout_ms"] {
        assert_eq!(told[rule], welcome[rule]);
    }
    crowd.truncate(300);
    assert!(first.is_quiet_for(secs(600)).await, "three hundred is still more than half");
    crowd.truncate(10);
    assert_eq!(first.hear().await["spread_ms"], 500);
    assert!(first.is_quiet_for(secs(600)).await);
}

#[tokio::test(start_paused = true)]
async fn settings_stretched_for_a_crowd_are_as_asked_again_when_it_is_gone_and_nobody_calls() {
    let limits = Limits { max_pings_per_second: 2, ..options().limits };
    let mut lab =
        Lab::with(Options { settings: Settings::new(secs(4), secs(8)).unwrap(), limits, ..options() });
    let mut crowd = Vec::new();
    for _ in 0..20 {
        crowd.push(lab.v1("").await.0);
    }
    drop(crowd);
    let mut settings = Vec::new();
    while let Ok(event) = tokio::time::timeout(secs(35), lab.events.recv()).await {
        settings.extend(event.map(|event| event.kind.to_string()).filter(|it| it.starts_with("settings")));
    }
    assert!(settings.len() >= 2, "{settings:?}");
    assert!(settings.last().unwrap().contains("-> 4s"), "{settings:?}");
}

#[tokio::test(start_paused = true)]
async fn a_shortened_timeout_kills_nobody_for_silence_before_it() {
    let mut lab = Lab::new();
    let (mut peer, _) = lab.v1("").await;
    sleep(secs(14)).await;
    let settings = Settings::new(secs(1), secs(3)).unwrap();
    lab.server.remote().command(Command::Set(settings, Origin::Key)).await;
    assert_eq!(peer.hear().await["type"], "config");
    let start = Instant::now();
    assert_eq!(peer.hear().await["type"], "probe");
    assert_eq!(peer.hear().await["code"], "timeout");
    assert!(start.elapsed() >= secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_asked_before_it_is_judged_and_its_answer_saves_it() {
    let mut lab = Lab::new();
    let (mut peer, _) = lab.v1("").await;
    let start = Instant::now();
    assert_eq!(peer.hear().await["type"], "probe");
    let asked = start.elapsed();
    assert!(asked > options().settings.interval() && asked < options().settings.timeout());
    peer.say(r#"{"type":"ping","seq":1,"rev":1}"#).await;
    assert_eq!(peer.hear().await["type"], "pong");
    assert_eq!(peer.hear().await["type"], "probe", "a new silence, a new question");
    assert!(start.elapsed() >= asked * 2);
    assert_eq!(peer.hear().await["code"], "timeout");
}

#[tokio::test(start_paused = true)]
async fn the_roster_comes_in_pages_then_as_diffs() {
    let mut lab = Lab::new();
    let mut others = Vec::new();
    for n in 0..90 {
        let tags: Vec<_> = (0..16).map(|k| format!(r#""key-{k}":"{}""#, "v".repeat(60))).collect();
        others.push(lab.v1(&format!(r#""id":"o{n}","tags":{{{}}},"#, tags.join(","))).await.0);
    }
    let (mut watcher, _) = lab.v1(r#""id":"w","want":["roster"],"#).await;
    let (mut listed, mut pages, mut own) = (0, 0, None);
    while own.is_none() || pages == 0 || listed < 91 {
        let line = watcher.line().await.unwrap();
        assert!(line.len() < 64 * 1024);
        let message: serde_json::Value = serde_json::from_str(&line).unwrap();
        if message["type"] == "client_joined" {
            // The watcher's own joining is in the first batch, which may come between two pages.
            assert_eq!(message["clients"][0]["id"], "w");
            own = message["rev"].as_u64();
            continue;
        }
        assert_eq!((&message["type"], &message["page"]), (&"client_list".into(), &pages.into()));
        listed += message["clients"].as_array().unwrap().len();
        pages += 1;
        assert_eq!(message["more"], listed < 91);
    }
    assert!(pages > 1, "90 fat entries do not fit one page");
    sleep(secs(1)).await;

    let start = Instant::now();
    drop(others.remove(0));
    let left = watcher.hear().await;
    assert_eq!(start.elapsed(), secs(0), "the first change after a quiet spell goes out at once");
    assert_eq!((&left["type"], &left["clients"][0]["id"]), (&"client_left".into(), &"o0".into()));
    assert_eq!(left["clients"][0]["reason"], "lost");
    assert_eq!(left["rev"].as_u64(), own.map(|rev| rev + 1));

    // Came and went inside one window: nobody needs to know.
    drop(lab.v1(r#""id":"brief","#).await);
    let (_stays, _) = lab.v1(r#""id":"stays","#).await;
    let joined = watcher.hear().await;
    assert_eq!(start.elapsed(), std::time::Duration::from_millis(250));
    assert_eq!(joined["clients"].as_array().unwrap().len(), 1);
    assert_eq!(joined["clients"][0]["id"], "stays");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_taken_inside_a_window_keeps_no_ghost_of_who_goes_before_its_end() {
    let mut lab = Lab::new();
    let (_first, _) = lab.v1(r#""id":"w1","want":["roster"],"#).await;
    let (brief, _) = lab.v1(r#""id":"brief","#).await;
    let (mut second, _) = lab.v1(r#""id":"w2","want":["roster"],"#).await;
    let listed = second.hear_type("client_list").await;
    assert!(listed["clients"].as_array().unwrap().iter().any(|entry| entry["id"] == "brief"), "{listed}");
    drop(brief);
    assert_eq!(second.hear_type("client_left").await["clients"][0]["id"], "brief");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_back_is_late_again_in_time() {
    let mut lab = Lab::new();
    lab.server.remote().command(Command::Set(Settings::new(secs(10), secs(600)).unwrap(), Origin::Key)).await;
    let mut peer = lab.legacy().await;
    for word in ["settings", "registered", "late"] {
        assert_eq!(lab.word().await, word);
    }
    peer.say("").await;
    assert_eq!(lab.word().await, "back");
    let heard = Instant::now();
    assert_eq!(lab.word().await, "late");
    assert!((15_000..=15_010).contains(&heard.elapsed().as_millis()), "{:?}", heard.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_repaired_with_what_was_missed_or_from_the_beginning() {
    let mut lab = Lab::new();
    let (mut watcher, _) = lab.v1(r#""id":"w","want":["roster"],"#).await;
    watcher.hear_type("client_list").await;
    let first = watcher.hear_type("client_joined").await["rev"].as_u64().unwrap();
    let (_a, _) = lab.v1(r#""id":"a","#).await;
    let batch = watcher.hear_type("client_joined").await;
    watcher.say(&format!(r#"{{"type":"sync","from":{first}}}"#)).await;
    assert_eq!(watcher.hear().await, batch);
    watcher.say(r#"{"type":"sync","from":999}"#).await;
    let list = watcher.hear().await;
    assert_eq!((&list["type"], list["clients"].as_array().unwrap().len()), (&"client_list".into(), 2));
}

#[tokio::test(start_paused = true)]
async fn a_newer_life_takes_over_and_the_old_connection_is_told() {
    let mut lab = Lab::new();
    let (mut old, welcome) = lab.v1(r#""id":"me","gen":1,"conn":1,"#).await;
    let secret = welcome["resume"].as_str().unwrap();
    sleep(secs(3)).await;
    let newer = format!(r#""id":"me","gen":1,"conn":2,"resume":"{secret}","#);
    let (mut new, welcome) = lab.v1(&newer).await;
    assert_eq!((&welcome["resumed_ms"], &welcome["resume"]), (&3_000.into(), &secret.into()));
    let error = old.hear().await;
    assert_eq!((&error["code"], &error["retry_ms"]), (&"replaced".into(), &serde_json::Value::Null));
    assert_eq!(old.line().await, None);
    new.ping().await;
    for word in ["registered", "replaced", "resumed"] {
        assert_eq!(lab.word().await, word);
    }
}

#[tokio::test(start_paused = true)]
async fn an_identity_in_use_is_not_given_away() {
    let mut lab = Lab::new();
    let (mut holder, _) = lab.v1(r#""id":"me","gen":1,"#).await;
    for (claim, code) in [(r#""id":"me","gen":2,"#, "id_conflict"), (r#""id":"me","gen":0,"#, "stale_gen")] {
        let mut rival = lab.call();
        rival.say(&v1(claim)).await;
        assert_eq!(rival.hear().await["code"], code);
        assert_eq!(rival.line().await, None);
    }
    holder.ping().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_server_says_so_and_when_to_come_back() {
    let limits = Limits { max_clients: 1, max_per_ip: 0, retention: secs(60), ..Limits::default() };
    let mut lab = Lab::with(Options { limits, ..options() });
    let mut first = lab.legacy().await;
    let mut second = lab.call();
    second.say(LEGACY).await;
    let error = second.hear().await;
    assert_eq!((&error["code"], &error["message"]), (&"full".into(), &"1 of 1 clients".into()));
    assert!(error["retry_ms"].as_u64().unwrap() >= 1_000);
    assert_eq!(second.line().await, None);
    first.ping().await;
    assert_eq!(lab.word().await, "registered");
    assert_eq!(lab.event().await.1, "refused 127.0.0.1:40002: full (1 of 1 clients)");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_register_in_time_is_told_and_closed_however_slowly_it_talks() {
    let mut lab = Lab::new();
    let mut mute = lab.call();
    let mut slowloris = lab.call();
    let start = Instant::now();
    let drip = tokio::spawn(async move {
        for byte in LEGACY.bytes() {
            if slowloris.io.write_all(&[byte]).await.is_err() {
                break;
            }
            sleep(secs(1)).await;
        }
        slowloris
    });
    let error = mute.hear().await;
    assert_eq!((&error["code"], start.elapsed()), (&"register_timeout".into(), secs(5)));
    assert_eq!(mute.line().await, None);
    let mut slowloris = drip.await.unwrap();
    assert_eq!(slowloris.hear().await["code"], "register_timeout");
}

#[tokio::test(start_paused = true)]
async fn the_registration_deadline_is_never_longer_than_the_timeout() {
    let settings = Settings::new(secs(1), secs(2)).unwrap();
    let mut lab = Lab::with(Options { settings, ..options() });
    let mut mute = lab.call();
    let start = Instant::now();
    assert_eq!(mute.hear().await["code"], "register_timeout");
    assert_eq!(start.elapsed(), secs(2));
}

#[tokio::test(start_paused = true)]
async fn lines_that_make_no_sense_are_answered_and_sixteen_in_a_row_are_the_end() {
    let mut lab = Lab::new();
    let mut peer = lab.legacy().await;
    let nonsense = [
        "hello",
        r#"{"type":"ping","seq":-1}"#,
        r#"{"type":"register","client_ip":"h","client_port":70000}"#,
        r#"{"type":"register","client_ip":"h","client_port":-1}"#,
        r#"{"type":"register","client_ip":"h","client_port":1.5}"#,
        r#"{"type":"register","client_ip":"h","client_port":null}"#,
        r#"{"type":"register","client_ip":"h","client_port":1,"client_port":1}"#,
        r#"{"type":"register","client_ip":"no spaces","client_port":1}"#,
    ];
    for line in nonsense {
        peer.say(line).await;
        assert_eq!(peer.hear().await["code"], "bad_request", "{line}");
    }
    peer.send(b"\xff\xfe\n").await;
    assert_eq!(peer.hear().await["code"], "bad_request");
    peer.say(r#"{"type":"wave","hello":true}"#).await;
    peer.ping().await;
    for _ in 1..BAD_LINES_MAX {
        peer.say(&format!("{}{}", "[".repeat(3_000), "]".repeat(3_000))).await;
        assert_eq!(peer.hear().await["code"], "bad_request");
    }
    peer.say("once too often").await;
    assert_eq!(peer.hear().await["code"], "bad_request");
    assert_eq!(peer.line().await, None);
    assert_eq!(lab.word().await, "registered");
    assert_eq!(lab.word().await, "protocol");
}

#[tokio::test(start_paused = true)]
async fn a_line_of_ten_megabytes_is_refused_after_eight_kilobytes() {
    let mut lab = Lab::new();
    let mut peer = lab.legacy().await;
    let (mut reader, mut writer) = tokio::io::split(peer.io);
    let flood = tokio::spawn(async move {
        let mut sent = 0;
        while sent < 10 << 20 && writer.write_all(&[b'x'; 4096]).await.is_ok() {
            sent += 4096;
        }
        sent
    });
    let mut answer = String::new();
    reader.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains(r#""code":"too_long""#), "{answer}");
    drop(reader);
    assert!(flood.await.unwrap() < 10 << 20, "the rest was not read");
    assert_eq!(lab.word().await, "registered");
    assert!(lab.event().await.1.starts_with("protocol: a line is longer than 8192 bytes"));
    peer = lab.legacy().await;
    peer.ping().await;
}

#[tokio::test(start_paused = true)]
async fn bytes_that_come_one_by_one_or_all_at_once_are_the_same_conversation() {
    let mut lab = Lab::new();
    let mut peer = lab.call();
    for byte in format!("{LEGACY}\r\n").bytes() {
        peer.send(&[byte]).await;
        advance(std::time::Duration::from_millis(7)).await;
    }
    assert_eq!(peer.hear().await["type"], "client_list");
    peer.send(b"{\"type\":\"ping\"}\n\n{\"type\":\"ping\"}\r\n{\"type\":\"pi").await;
    peer.hear_type("pong").await;
    peer.hear_type("pong").await;
    peer.send(b"ng\"}\n").await;
    peer.hear_type("pong").await;
}

#[tokio::test(start_paused = true)]
async fn half_a_line_is_no_sign_of_life_and_is_not_lost_when_a_deadline_passes_in_its_middle() {
    let mut lab = Lab::new();
    let mut peer = lab.legacy().await;
    peer.send(b"{\"type\":").await;
    assert_eq!(lab.word().await, "registered");
    assert_eq!(lab.word().await, "late");
    peer.send(b"\"ping\"}\n").await;
    assert_eq!(peer.hear().await["type"], "pong");
    assert_eq!(lab.word().await, "back");
    peer.send(b"{\"type\":").await;
    assert_eq!(lab.word().await, "late");
    assert_eq!(lab.word().await, "timed_out");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_cut_as_slow_and_hurts_nobody() {
    let limits = Limits { flood_factor: 0, ..options().limits };
    let mut lab = Lab::with(Options { limits, ..options() });
    let mut deaf = lab.call_with_pipe(256);
    deaf.say(LEGACY).await;
    let mut well = lab.legacy().await;
    for _ in 0..2 {
        assert_eq!(lab.word().await, "registered");
    }
    let start = Instant::now();
    for _ in 0..50 {
        deaf.say(r#"{"type":"ping"}"#).await;
    }
    for _ in 0..4 {
        let asked = Instant::now();
        well.ping().await;
        assert_eq!(asked.elapsed(), secs(0), "others' pongs do not wait");
        sleep(secs(1)).await;
    }
    let (word, text) = lab.event().await;
    assert_eq!((word.as_str(), start.elapsed()), ("slow", WRITE_DEADLINE), "{text}");
    well.ping().await;
}

#[tokio::test(start_paused = true)]
async fn a_pong_goes_ahead_of_everything_that_waits() {
    let mut lab = Lab::new();
    let mut busy = lab.call_with_pipe(200);
    busy.say(LEGACY).await;
    busy.hear_type("client_list").await;
    // Others join and talk while this one does not read: a list and chat lines wait for it.
    let mut talker = lab.legacy().await;
    for n in 0..5 {
        talker.say(&format!(r#"{{"type":"chat","message":"line {n} {}"}}"#, "x".repeat(500))).await;
    }
    talker.ping().await;
    busy.say(r#"{"type":"ping"}"#).await;
    sleep(secs(1)).await;
    let mut order = Vec::new();
    while order.len() < 7 {
        order.push(busy.hear().await["type"].as_str().unwrap().to_owned());
    }
    // What was begun before the ping is finished; the pong is next.
    assert_eq!(order.iter().position(|kind| kind == "pong"), Some(1), "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_client_is_bounded() {
    let mut lab = Lab::new();
    let mut talker = lab.legacy().await;
    let mut deaf = lab.call_with_pipe(256);
    deaf.say(LEGACY).await;
    let line = format!(r#"{{"type":"chat","message":"{}","from_ip":"x","from_port":1}}"#, "x".repeat(8_000));
    let mut said = 0;
    // Slow enough for the ration, and read often enough not to stall: only the queue can end it.
    let cut = loop {
        talker.say(&line).await;
        talker.hear_type("chat").await;
        said += line.len();
        let mut some = [0; 200];
        let _ = tokio::time::timeout(secs(1), deaf.io.read(&mut some)).await;
        sleep(secs(1)).await;
        talker.ping().await;
        let _ = deaf.io.write_all(b"\n").await;
        if let Ok(event) = lab.events.try_recv()
            && let EventKind::Gone { departure, .. } = &event.kind
        {
            break departure.to_string();
        }
        assert!(said < 4 * QUEUE_BYTES_MAX, "the queue has no bound");
    };
    assert_eq!(cut, "slow: 256 KiB wait unread");
}

#[tokio::test(start_paused = true)]
async fn chat_reaches_everybody_under_the_name_its_sender_registered() {
    let mut lab = Lab::new();
    let mut a = lab.legacy().await;
    let (mut b, _) = lab.v1("").await;
    a.say(r#"{"type":"chat","from_ip":"8.8.8.8","from_port":53,"message":"hi\u001b[2J","timestamp":"2026-11-21T09:00:00Z","channel":"general"}"#).await;
    for peer in [&mut a, &mut b] {
        let chat = peer.hear_type("chat").await;
        assert_eq!((&chat["from_ip"], &chat["from_port"]), (&"192.168.1.100".into(), &3000.into()));
        assert_eq!((&chat["message"], &chat["channel"]), (&"hi\u{fffd}[2J".into(), &"general".into()));
        assert_eq!(chat["timestamp"], "2026-11-21T09:00:00Z");
    }
}

#[tokio::test(start_paused = true)]
async fn details_can_be_updated_and_an_identity_cannot() {
    let mut lab = Lab::new();
    let (mut watcher, _) = lab.v1(r#""id":"w","want":["roster"],"#).await;
    let (mut peer, _) = lab.v1(r#""id":"me","name":"old","#).await;
    peer.say(r#"{"type":"update","name":"new","tags":{"role":"idle"}}"#).await;
    peer.ping().await;
    let entry = loop {
        let batch = watcher.hear_type("client_joined").await;
        if let Some(entry) = batch["clients"].as_array().unwrap().iter().find(|entry| entry["name"] == "new")
        {
            break entry.clone();
        }
    };
    assert_eq!((&entry["id"], &entry["tags"]["role"]), (&"me".into(), &"idle".into()));
    peer.say(&v1(r#""id":"other","#)).await;
    assert_eq!(peer.hear().await["code"], "bad_request");
}

#[tokio::test(start_paused = true)]
async fn a_second_register_updates_the_claim_and_is_still_one_entry() {
    let mut lab = Lab::new();
    let mut peer = lab.legacy().await;
    peer.say(r#"{"type":"register","client_ip":"10.9.9.9","client_port":9}"#).await;
    let list = peer.hear_type("client_list").await;
    assert_eq!(list["clients"], serde_json::json!([{"ip":"10.9.9.9","port":9}]));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_reading_can_still_be_kicked() {
    let mut lab = Lab::new();
    let mut deaf = lab.call_with_pipe(64);
    deaf.say(LEGACY).await;
    let event = lab.events.recv().await.unwrap();
    let row = event.who.as_ref().unwrap().row;
    lab.server.remote().command(Command::Kick(row, Some(secs(60)))).await;
    assert_eq!(lab.word().await, "kicked");
    let mut again = lab.call();
    again.say(LEGACY).await;
    let error = again.hear().await;
    assert_eq!((&error["code"], &error["retry_ms"]), (&"kicked".into(), &serde_json::Value::Null));
}

#[tokio::test(start_paused = true)]
async fn a_stopping_server_asks_clients_to_leave_and_closes_on_who_stays() {
    let mut lab = Lab::new();
    let (mut polite, _) = lab.v1("").await;
    let (mut stubborn, _) = lab.v1("").await;
    let mut legacy = lab.legacy().await;
    let start = Instant::now();
    let stopped = tokio::spawn(lab.server.stop());
    let drain = polite.hear_type("drain").await;
    assert!(drain["in_ms"].as_u64().unwrap() <= 3_000);
    assert_eq!(drain["reason"], "stop");
    polite.say(r#"{"type":"leave","reason":"restart"}"#).await;
    assert_eq!(stubborn.hear_type("error").await["code"], "draining");
    assert_eq!(legacy.hear_type("error").await["code"], "draining");
    assert_eq!(legacy.line().await, None);
    drop((polite, stubborn, legacy));
    let summary = stopped.await.unwrap();
    assert!(start.elapsed() < secs(5));
    assert_eq!((summary.sessions, summary.record.verdicts, summary.left_behind), (3, 0, 0));
}
