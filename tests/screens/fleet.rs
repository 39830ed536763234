//! A fleet that is always the same, seen at one moment: 2026-11-21 14:22:07 UTC.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use presence_tui::presence::event::{Origin, Turn, Who};
use presence_tui::presence::pulse::{Beat, BeatStrip};
use presence_tui::presence::row::Counts;
use presence_tui::presence::trust::TrackRecord;
use presence_tui::presence::view::{Alert, Alerts, Foreign, Link, RowView, Transport, Uplink, View};
use presence_tui::presence::{Departure, Event, EventKind, Reason, Revision, RowKey, Settings, State};
use presence_tui::tui::model::{Face, Model, Now};
use presence_tui::tui::theme::{Look, Theme};
use presence_tui::tui::update::{Effect, Msg, update};

pub(super) const DARK: Look = Look { theme: Theme::Dark, ascii: false, colourless: false };
pub(super) const ASCII: Look = Look { theme: Theme::Dark, ascii: true, colourless: false };
pub(super) const MONO: Look = Look { theme: Theme::Mono, ascii: false, colourless: true };

/// 2026-11-21 14:22:07 UTC.
const WALL: Duration = Duration::from_secs(1_795_270_927);

pub(super) fn secs(secs: f64) -> Duration {
    Duration::from_secs_f64(secs)
}

/// The one moment of all frames, far enough from the clock's beginning for eleven days of history.
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
pub(super) fn now() -> Now {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let mono = *START.get_or_init(|| Instant::now() + Duration::from_hours(24 * 400));
    Now { mono, wall: WALL }
}

pub(super) fn ago(span: f64) -> Instant {
    now().mono - secs(span)
}

/// What distinguishes one row of the fleet.
struct Sketch {
    name: &'static str,
    peer: &'static str,
    state: State,
    silent: f64,
    rtt_ms: f64,
    up: f64,
    strip: &'static str,
}

const fn sketch(
    name: &'static str,
    peer: &'static str,
    state: State,
    silent: f64,
    rtt_ms: f64,
    up: f64,
    strip: &'static str,
) -> Sketch {
    Sketch { name, peer, state, silent, rtt_ms, up, strip }
}

const HOUR: f64 = 3_600.0;
const DAY: f64 = 86_400.0;

const FLEET: [Sketch; 17] = {
    use State::{Late, Left, Offline, Online, TimedOut};
    const FINE: &str = "############";
    [
        sketch("build-07", "10.0.4.17:51822", TimedOut, 29.0, 0.0, 4.2 * HOUR, "######~####"),
        sketch("edge-lon-3", "[2a02:6b8::3]:40110", TimedOut, 141.0, 0.0, 1_140.0, "##~#~#~####"),
        sketch("sensor-dock-2", "10.0.9.31:38044", Late, 8.2, 41.0, 2.0 * DAY + 3.0 * HOUR, "###~###~###~"),
        sketch("agent-alpha", "10.0.4.11:49152", Online, 1.1, 0.4, 6.667 * HOUR, FINE),
        sketch("agent-bravo", "10.0.4.12:49153", Online, 3.0, 0.5, 6.667 * HOUR, FINE),
        sketch("agent-charlie", "10.0.4.13:49160", Online, 0.2, 0.4, 3_480.0, FINE),
        sketch("cam-gate", "10.0.9.40:55510", Online, 4.7, 18.0, 11.0 * DAY, "#####~######"),
        sketch("db-primary", "10.0.2.2:60021", Online, 2.4, 0.2, 11.0 * DAY, FINE),
        sketch("db-replica", "10.0.2.3:60022", Online, 2.9, 0.3, 11.0 * DAY, FINE),
        sketch("edge-fra-1", "10.8.1.4:33981", Online, 1.8, 12.0, 3.0 * DAY, "#######~####"),
        sketch("edge-nyc-1", "10.8.2.4:33990", Online, 0.9, 81.0, 3.0 * DAY, "###~########"),
        sketch("edge-sgp-2", "10.8.3.4:34007", Online, 3.8, 164.0, 3.0 * DAY, "#########~##"),
        sketch("laptop-mia", "192.168.1.44:52011", Online, 4.1, 6.0, 1_320.0, "######"),
        sketch("worker-01", "10.0.5.1:41001", Online, 0.6, 0.6, DAY, FINE),
        sketch("worker-02", "10.0.5.2:41002", Online, 2.2, 0.6, DAY, FINE),
        sketch("laptop-jo", "192.168.1.50:50233", Left, 1_860.0, 0.0, 4_020.0, "#######"),
        sketch("nas-backup", "", Offline, 0.0, 0.0, 0.0, ""),
    ]
};

fn strip(text: &str) -> BeatStrip {
    text.chars().fold(BeatStrip::default(), |strip, c| {
        strip.with(match c {
            '#' => Beat::OnTime,
            '~' => Beat::Late,
            _ => Beat::Missed,
        })
    })
}

pub(super) fn settings() -> Settings {
    Settings::new(secs(5.0), secs(15.0)).unwrap()
}

fn row(at: usize, sketch: &Sketch) -> RowView {
    let live = sketch.state.is_live();
    let seen = (sketch.state != State::Offline).then(|| ago(sketch.silent));
    let gone = match sketch.state {
        State::TimedOut => Some((ago((sketch.silent - 15.0).max(0.0)), Reason::Timeout.into())),
        State::Left => Some((ago(sketch.silent), Departure::new(Reason::Left, "quit"))),
        _ => None,
    };
    let gone = match (sketch.name, gone) {
        ("edge-lon-3", Some(_)) => Some((ago(131.0), Reason::Timeout.into())),
        (_, gone) => gone,
    };
    RowView {
        key: RowKey(at as u64 + 1),
        state: sketch.state,
        label: sketch.name.into(),
        id: format!("{:06x}", 0x009b_21e0 + at * 7_919).into(),
        peer: sketch.peer.parse().ok(),
        claim: None,
        claim_differs: false,
        user: None,
        device: None,
        platform: None,
        tags: if sketch.name == "agent-bravo" {
            vec![("note".into(), "draining".into())]
        } else {
            Vec::new()
        },
        version: 1,
        dialect: presence_tui::presence::Dialect::Presence,
        last_seen: seen,
        deadline: seen.filter(|_| live).map(|seen| seen + secs(15.0)),
        timeout: secs(15.0),
        rtt: (sketch.rtt_ms > 0.0).then(|| secs(sketch.rtt_ms / 1_000.0)),
        jitter: (sketch.rtt_ms > 0.0).then(|| secs(sketch.rtt_ms / 4_000.0)),
        gap: live.then(|| (secs(4.9), secs(if sketch.state == State::Late { 1.3 } else { 0.2 }))),
        up_since: (sketch.up > 0.0 && seen.is_some())
            .then(|| ago(sketch.up + if live { 0.0 } else { sketch.silent })),
        strip: strip(sketch.strip),
        beats: 36_721,
        sessions: 3,
        gone: gone.clone(),
        acked: sketch.name == "edge-lon-3",
        flapping: false,
        past: None,
        changed: gone.map_or(ago(if sketch.state == State::Late { 0.7 } else { 700.0 }), |(at, _)| at),
        group: None,
    }
}

fn who(row: &RowView) -> Who {
    let peer = row.peer.unwrap_or_else(|| SocketAddr::from(([10, 0, 0, 1], 1)));
    let (user, device) = (row.user.clone(), row.device.clone());
    Who {
        row: row.key,
        id: row.id.clone(),
        label: row.label.clone(),
        peer,
        user,
        device,
        turn: Turn::default(),
    }
}

fn events(rows: &[RowView]) -> Vec<Arc<Event>> {
    let of = |name: &str| rows.iter().find(|row| *row.label == *name).map(who);
    let gone = |reason: Departure, silent: f64, up: f64, missed: u32| EventKind::Gone {
        departure: reason,
        silent: secs(silent),
        up: secs(up),
        missed,
    };
    let story = [
        (1_865.0, of("laptop-jo"), gone(Departure::new(Reason::Left, "quit"), 2.0, 4_020.0, 0)),
        (1_329.0, of("laptop-mia"), EventKind::Joined),
        (131.0, of("edge-lon-3"), gone(Reason::Timeout.into(), 10.0, 1_140.0, 2)),
        (23.0, None, changed()),
        (14.0, of("build-07"), gone(Reason::Timeout.into(), 15.0, 4.2 * HOUR, 3)),
        (1.0, of("sensor-dock-2"), EventKind::Late { silent: secs(7.5), interval: secs(5.0) }),
    ];
    let event = |(at, (span, who, kind)): (usize, (f64, Option<Who>, EventKind))| {
        Arc::new(Event { seq: at as u64 + 100, at: ago(span), who, kind })
    };
    story.into_iter().enumerate().map(event).collect()
}

fn changed() -> EventKind {
    let old = Settings::new(secs(5.0), secs(10.0)).unwrap();
    EventKind::Settings { rev: Revision(2), old, new: settings(), origin: Origin::Key }
}

/// Returns a view of some rows.
pub(super) fn view_of(rows: Vec<RowView>) -> View {
    let mut counts = Counts::default();
    for row in &rows {
        counts.add(row.state);
    }
    let mut newest: Vec<Alert> = rows
        .iter()
        .filter(|row| row.state == State::TimedOut && !row.acked)
        .map(|row| Alert {
            row: row.key,
            label: row.label.clone(),
            peer: row.peer,
            since: row.gone.as_ref().map_or(now().mono, |(at, _)| *at),
            departure: row.gone.as_ref().map_or(Reason::Timeout.into(), |(_, why)| why.clone()),
        })
        .collect();
    let unacked = newest.len();
    newest.truncate(5);
    View {
        at: now().mono,
        counts,
        connecting: 0,
        open: false,
        max_clients: 100,
        settings: settings(),
        asked: settings(),
        rev: Revision(2),
        rollout: presence_tui::presence::view::Rollout { applied: 13, of: 13, lagging: 0, pinned: 0 },
        matched: rows.len(),
        offset: 0,
        events: events(&rows),
        rows,
        grouped: None,
        selected: None,
        alerts: Alerts { unacked, newest, mass: None },
        hold: None,
        outlook: None,
        posted: Vec::new(),
        reach: None,
        record: TrackRecord {
            verdicts: 12,
            lateness_p99: secs(0.003),
            lateness_max: secs(0.014),
            spared: 3,
            holds: 1,
            ..TrackRecord::default()
        },
    }
}

/// Returns the fleet of the sketches.
pub(super) fn mixed() -> View {
    view_of(FLEET.iter().enumerate().map(|(at, sketch)| row(at, sketch)).collect())
}

/// Returns nobody.
pub(super) fn nobody() -> View {
    View {
        events: Vec::new(),
        rollout: presence_tui::presence::view::Rollout::default(),
        ..view_of(Vec::new())
    }
}

/// Returns so many healthy clients.
pub(super) fn healthy(clients: usize) -> View {
    let rows = (0..clients).map(|at| {
        let silent = (at * 7 % 40) as f64 / 10.0;
        let sketch = sketch("", "10.0.4.11:49152", State::Online, silent, 0.4, HOUR, "########");
        RowView { label: format!("worker-{at:04}").into(), ..row(at, &sketch) }
    });
    View { events: Vec::new(), ..view_of(rows.collect()) }
}

/// Returns clients whose names and addresses are as bad as names get.
pub(super) fn hostile(clients: usize) -> View {
    let names = [
        "\u{1b}c\u{1b}]52;c;aGk=\u{7}",
        "日本語日本語日本語日本語日本語",
        "a\u{202e}b\u{200b}c\u{feff}",
        "e\u{301}\u{301}\u{301}\u{301}",
        "🤦🏼‍♂️👨‍👩‍👧‍👦🏳️‍🌈",
        "\u{9b}31m\u{90}x\u{9c}",
        "",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "line\r\nbreak\ttab",
    ];
    let states = State::ALL;
    let rows = (0..clients).map(|at| {
        let sketch = sketch(
            "",
            "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
            states[at % 5],
            (at % 60) as f64,
            9e9,
            9e7,
            "#~.#~.#~.#~.#~.#~.#~.#~.#~.#~.#~.",
        );
        let name = names[at % names.len()];
        RowView {
            label: name.into(),
            id: name.into(),
            claim: Some(name.to_owned()),
            claim_differs: true,
            user: Some(name.into()),
            tags: vec![("note".into(), name.into())],
            gone: (!states[at % 5].is_live())
                .then(|| (now().mono, Departure::new(Reason::Lost, Cow::Owned(name.to_owned())))),
            ..row(at, &sketch)
        }
    });
    view_of(rows.collect())
}

/// Returns the server's screen.
pub(super) fn serve(view: View, size: (u16, u16), look: Look) -> Model {
    let face = Face::Serve {
        bound: "0.0.0.0:8080".parse().unwrap(),
        join_line: "presence-tui join 10.0.0.5:8080".to_owned(),
        read_only: false,
    };
    let mut model = Model::new(face, look, size, Arc::new(view), now());
    model.started = ago(8_073.0);
    model
}

/// Returns what a healthy client knows.
pub(super) fn uplink() -> Uplink {
    let rtts = (0..60).map(|at| match at % 17 {
        11 => Some(secs(0.0031)),
        5 => Some(secs(0.0011)),
        _ => Some(secs(0.0004)),
    });
    Uplink {
        server: "presence.lab:8080".to_owned(),
        address: "10.0.4.2:8080".parse().ok(),
        name: "agent-alpha".to_owned(),
        id: mixed().rows[3].id.to_string(),
        link: Link::Online(ago(6.667 * HOUR)),
        legacy: false,
        settings: settings(),
        changed: Some((Settings::new(secs(5.0), secs(10.0)).unwrap(), ago(23.0))),
        next_ping: Some(now().mono + secs(3.9)),
        last_ping: Some(ago(1.1)),
        last_heard: Some(ago(1.1)),
        holding: false,
        rtts: rtts.collect(),
        sent: 4_801,
        answered: 4_801,
        unanswered: 0,
        reconnects: 1,
        last_loss: Some((ago(22_796.0), "connection reset".to_owned(), Some(secs(1.3)))),
        note: String::new(),
        letters: Vec::new(),
        foreign: None,
    }
}

/// Returns what a client knows of a server that speaks something else.
pub(super) fn foreign(transport: Transport, expects: bool) -> Uplink {
    Uplink {
        server: "ws://hq.lab/live".to_owned(),
        id: String::new(),
        legacy: true,
        settings: Settings::new(secs(30.0), secs(62.0)).unwrap(),
        changed: None,
        last_ping: None,
        rtts: if expects { uplink().rtts } else { Vec::new() },
        answered: if expects { 4_801 } else { 0 },
        foreign: Some(Foreign { transport, expects, received: 9_602 }),
        ..uplink()
    }
}

/// Returns what a client knows whose server is gone.
pub(super) fn lost() -> Uplink {
    Uplink {
        link: Link::Offline {
            since: ago(12.0),
            cause: "connection reset".to_owned(),
            retry_at: now().mono + secs(6.2),
            wait: secs(8.0),
            attempt: 4,
        },
        next_ping: None,
        last_ping: Some(ago(12.0)),
        ..uplink()
    }
}

/// Returns the client's screen.
pub(super) fn join(uplink: Uplink, peers: View, size: (u16, u16), look: Look) -> Model {
    let mut model = Model::new(Face::Join(Arc::new(uplink)), look, size, Arc::new(peers), now());
    model.started = ago(8_073.0);
    model
}

/// Presses keys, one after the other: `j`, `ctrl-c`, `enter`.
pub(super) fn press(model: &mut Model, keys: &str) -> Vec<Effect> {
    use presence_tui::tui::keymap::Key;
    let named = [Key::Enter, Key::Esc, Key::Tab, Key::BackTab, Key::Up, Key::Down, Key::Home, Key::End];
    let sideways = [Key::Left, Key::Right];
    let others = [Key::PageUp, Key::PageDown, Key::Backspace, Key::Delete, Key::Char(' '), Key::F(1)];
    let mut effects = Vec::new();
    for name in keys.split_whitespace() {
        let known = named.into_iter().chain(others).chain(sideways).find(|key| key.to_string() == name);
        let ctrl = name.strip_prefix("ctrl-").and_then(|rest| rest.chars().next()).map(Key::Ctrl);
        let one = (name.chars().count() == 1).then(|| name.chars().next().map(Key::Char)).flatten();
        let key = known.or(ctrl).or(one).unwrap();
        let at = model.now;
        effects.extend(update(model, at, Msg::Key { key, repeat: false }));
    }
    effects
}
