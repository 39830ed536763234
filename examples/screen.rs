//! The real screen over a made-up fleet that moves:
//! `cargo run --example screen [join] [panic] [calm] [ascii] [hold] [load] [flap] [clients]`.
//!
//! `hold` holds verdicts back for eight seconds of every sixteen, `load` doubles the settings
//! that are asked for, `flap` makes every fourth client go up and down. Clients ping in rhythms
//! of their own, so shorter timeouts put some of them at risk.
#![expect(clippy::disallowed_methods, reason = "a toy has to read some clock")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use presence_tui::presence::command::Command;
use presence_tui::presence::event::{EventKind, Turn, Who};
use presence_tui::presence::pulse::{Beat, BeatStrip};
use presence_tui::presence::row::Counts;
use presence_tui::presence::trust::{Hold, NAMED_MAX, Outlook, TrackRecord};
use presence_tui::presence::view::{Alert, Alerts, Link, RowView, Selected, Sort, Uplink, View, Window};
use presence_tui::presence::{Departure, Event, Reason, Revision, RowKey, Settings, State};
use presence_tui::tui::{Options, Screen, run};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// A hub that is only as good as a look at the screen needs.
struct Toy {
    rows: Vec<RowView>,
    events: Vec<Arc<Event>>,
    settings: Settings,
    rev: Revision,
    window: Window,
    seq: u64,
    calm: bool,
    flags: Flags,
    record: TrackRecord,
    started: Instant,
}

/// What is to be seen besides clients that come and go.
#[derive(Clone, Copy, Default)]
struct Flags {
    hold: bool,
    load: bool,
    flap: bool,
}

impl Toy {
    fn new(clients: u32, settings: Settings) -> Self {
        let now = Instant::now();
        let rows = (0..clients).map(|at| RowView {
            key: RowKey(at.into()),
            state: State::Online,
            label: format!("worker-{at:03}").into(),
            id: format!("{:08x}", at.wrapping_mul(2_654_435_761)).into(),
            peer: format!("10.0.{}.{}:{}", at / 200, at % 200 + 1, 40_000 + at).parse().ok(),
            claim: None,
            claim_differs: false,
            user: None,
            device: None,
            platform: Some("linux/x86_64".into()),
            tags: Vec::new(),
            version: 1,
            dialect: presence_tui::presence::Dialect::Presence,
            last_seen: now.checked_sub(settings.interval() * (at % 10) / 10),
            deadline: Some(now + settings.timeout()),
            timeout: settings.timeout(),
            rtt: Some(Duration::from_micros(u64::from(fastrand::u32(200..90_000)))),
            jitter: Some(Duration::from_micros(u64::from(fastrand::u32(50..9_000)))),
            gap: Some((settings.interval() * (8 + at % 10) / 10, settings.interval() / (4 + at % 5))),
            up_since: Some(now),
            strip: BeatStrip::default(),
            beats: 0,
            sessions: 1,
            gone: None,
            acked: false,
            flapping: false,
            past: None,
            changed: now,
            group: None,
        });
        let window = Window { height: 100, events: 10, ..Window::default() };
        let rows = rows.collect();
        let (flags, record, started) = (Flags::default(), TrackRecord::default(), now);
        let rev = Revision(1);
        Self { rows, events: Vec::new(), settings, rev, window, seq: 0, calm: false, flags, record, started }
    }

    fn tell(&mut self, at: usize, kind: EventKind) {
        self.seq += 1;
        let who = self.rows.get(at).and_then(|row| {
            let (user, device, turn) = (row.user.clone(), row.device.clone(), Turn::default());
            Some(Who {
                row: row.key,
                id: row.id.clone(),
                label: row.label.clone(),
                peer: row.peer?,
                user,
                device,
                turn,
            })
        });
        self.events.push(Arc::new(Event { seq: self.seq, at: Instant::now(), who, kind }));
    }

    /// Lets time pass: most beat, some forget to, some come back.
    fn live(&mut self) {
        let now = Instant::now();
        let settings = self.settings;
        for at in 0..self.rows.len() {
            let Some(row) = self.rows.get_mut(at) else { continue };
            let silent = row.last_seen.map_or(Duration::ZERO, |seen| now.saturating_duration_since(seen));
            let forgets = fastrand::u32(0..100) < 96 && at % 5 == 0 && !self.calm;
            if row.state.is_live() && silent >= settings.interval() && !forgets {
                let late = silent > settings.late_after();
                row.strip = row.strip.with(if late { Beat::Late } else { Beat::OnTime });
                (row.last_seen, row.state) = (Some(now), State::Online);
                row.deadline = Some(now + settings.timeout());
                row.beats += 1;
            } else if row.state == State::Online && silent > settings.late_after() {
                (row.state, row.changed) = (State::Late, now);
                self.tell(at, EventKind::Late { silent, interval: settings.interval() });
            } else if row.state == State::Late && silent >= row.timeout {
                let departure = Departure::from(Reason::Timeout);
                (row.state, row.changed, row.acked) = (State::TimedOut, now, false);
                (row.gone, row.deadline) = (Some((now, departure.clone())), None);
                let up = row.up_since.map_or(silent, |since| now - since);
                self.record.verdicts += 1;
                self.record.lateness_max = self.record.lateness_max.max(silent.saturating_sub(row.timeout));
                self.record.lateness_p99 = self.record.lateness_max;
                self.tell(at, EventKind::Gone { departure, silent, up, missed: 2 });
            } else if !row.state.is_live() && fastrand::u32(0..600) == 0 {
                (row.state, row.changed, row.gone) = (State::Online, now, None);
                (row.last_seen, row.deadline) = (Some(now), Some(now + settings.timeout()));
                self.tell(at, EventKind::Resumed { away: silent });
            }
        }
    }

    fn obey(&mut self, command: Command) -> bool {
        let now = Instant::now();
        match command {
            Command::Show(window) => self.window = window,
            Command::Set(settings, origin) => {
                let kind =
                    EventKind::Settings { rev: self.rev.next(), old: self.settings, new: settings, origin };
                (self.settings, self.rev) = (settings, self.rev.next());
                for row in self.rows.iter_mut().filter(|row| row.state.is_live()) {
                    (row.timeout, row.deadline) = (settings.timeout(), Some(now + settings.timeout()));
                }
                self.tell(usize::MAX, kind);
            }
            Command::Kick(key, _) => {
                if let Some(at) = self.rows.iter().position(|row| row.key == key) {
                    let departure = Departure::new(Reason::Kicked, "by operator");
                    if let Some(row) = self.rows.get_mut(at) {
                        (row.state, row.deadline, row.changed) = (State::Left, None, now);
                        row.gone = Some((now, departure.clone()));
                    }
                    let (silent, up) = (Duration::ZERO, Duration::ZERO);
                    self.tell(at, EventKind::Gone { departure, silent, up, missed: 0 });
                }
            }
            Command::Acknowledge(key) => {
                self.rows
                    .iter_mut()
                    .filter(|row| key.is_none_or(|key| row.key == key))
                    .for_each(|row| row.acked = true);
            }
            Command::Dismiss(key) => {
                self.rows.retain(|row| row.state.is_live() || key.is_some_and(|key| row.key != key));
            }
            Command::Quit => return false,
            _ => {}
        }
        true
    }

    fn view(&self) -> View {
        let window = &self.window;
        let mut counts = Counts::default();
        self.rows.iter().for_each(|row| counts.add(row.state));
        let chosen = |row: &&RowView| {
            (window.states.is_empty() || window.states.contains(&row.state))
                && row.label.contains(&window.filter)
        };
        let mut rows: Vec<&RowView> = self.rows.iter().filter(chosen).collect();
        let rank = |row: &RowView| {
            [3, 2, 0, 4, 5].get(row.state as usize).copied().unwrap_or(9) + u8::from(row.acked)
        };
        match window.sort {
            Sort::State => rows.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.label.cmp(&b.label))),
            Sort::LastPing => rows.sort_by_key(|row| std::cmp::Reverse(row.last_seen)),
            Sort::TimesOut => rows.sort_by_key(|row| (row.deadline.is_none(), row.deadline)),
            Sort::Rtt => rows.sort_by_key(|row| row.rtt),
            Sort::Address | Sort::Name | Sort::Up => rows.sort_by(|a, b| a.label.cmp(&b.label)),
        }
        if window.reversed {
            rows.reverse();
        }
        let selected = window.selected.and_then(|key| {
            let row = self.rows.iter().find(|row| row.key == key)?.clone();
            Some(Selected { position: rows.iter().position(|row| row.key == key), row })
        });
        let (matched, offset) = (rows.len(), window.offset.min(rows.len()));
        let rows = rows.into_iter().skip(offset).take(window.height).cloned().collect();
        let first = self.events.len().saturating_sub(window.events);
        View {
            at: Instant::now(),
            counts,
            open: false,
            connecting: 0,
            max_clients: 1_000,
            settings: self.in_force(),
            asked: self.settings,
            rev: self.rev,
            rollout: presence_tui::presence::view::Rollout {
                applied: counts.live(),
                of: counts.live(),
                ..Default::default()
            },
            matched,
            offset,
            rows,
            grouped: None,
            selected,
            alerts: self.alerts(),
            hold: self.hold(counts.live()),
            outlook: window.preview.map(|settings| self.outlook(settings)),
            record: self.record,
            posted: Vec::new(),
            reach: None,
            events: self.events.get(first..).unwrap_or_default().to_vec(),
        }
    }

    fn in_force(&self) -> Settings {
        let (interval, timeout) = (self.settings.interval(), self.settings.timeout());
        let doubled = Settings::new(interval * 2, timeout * 2).unwrap_or(self.settings);
        if self.flags.load { doubled } else { self.settings }
    }

    fn hold(&self, of: usize) -> Option<Hold> {
        const HELD: Duration = Duration::from_secs(8);
        let round = self.started.elapsed().as_secs() / 8;
        let until = self.started + HELD * (u32::try_from(round).ok()? + 1);
        (self.flags.hold && round.is_multiple_of(2)).then_some(Hold { clients: of - of / 9, of, until })
    }

    fn outlook(&self, settings: Settings) -> Outlook {
        let fits =
            |row: &&RowView| row.gap.is_none_or(|(mean, spread)| mean + spread * 2 < settings.timeout());
        let live = || self.rows.iter().filter(|row| row.state.is_live());
        let names: Vec<_> = live().filter(|row| !fits(row)).map(|row| row.label.clone()).collect();
        let at_risk = names.len();
        Outlook { settings, at_risk, names: names.into_iter().take(NAMED_MAX).collect(), pinned: at_risk / 4 }
    }

    fn alerts(&self) -> Alerts {
        let open = self.rows.iter().filter(|row| row.state == State::TimedOut && !row.acked);
        let mut newest: Vec<Alert> = open
            .filter_map(|row| {
                let (since, departure) = row.gone.clone()?;
                Some(Alert { row: row.key, label: row.label.clone(), peer: row.peer, since, departure })
            })
            .collect();
        newest.sort_by_key(|alert| std::cmp::Reverse(alert.since));
        let unacked = newest.len();
        newest.truncate(5);
        Alerts { unacked, newest, mass: None }
    }
}

fn uplink(toy: &Toy, next: Instant, rtts: &[Option<Duration>], holding: bool) -> Uplink {
    let me = toy.rows.first();
    let sent = rtts.len() as u64;
    Uplink {
        server: "presence.lab:8080".to_owned(),
        address: "10.0.4.2:8080".parse().ok(),
        name: me.map(|row| row.label.to_string()).unwrap_or_default(),
        id: me.map(|row| row.id.to_string()).unwrap_or_default(),
        link: Link::Online(me.and_then(|row| row.up_since).unwrap_or(next)),
        legacy: false,
        settings: toy.settings,
        changed: None,
        next_ping: Some(next),
        last_ping: next.checked_sub(toy.settings.interval()),
        last_heard: None,
        holding,
        rtts: rtts.to_vec(),
        sent,
        answered: sent,
        unanswered: 0,
        reconnects: 0,
        last_loss: None,
        note: String::new(),
        letters: Vec::new(),
        foreign: None,
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| args.iter().any(|arg| arg == word);
    let clients = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(23);
    let (interval, timeout) = if has("calm") { (5, 15) } else { (2, 6) };
    let settings = Settings::new(Duration::from_secs(interval), Duration::from_secs(timeout))?;
    let mut toy = Toy::new(clients, settings);
    toy.calm = has("calm");
    toy.flags = Flags { hold: has("hold"), load: has("load"), flap: has("flap") };
    toy.rows.iter_mut().step_by(4).for_each(|row| row.flapping = toy.flags.flap);
    let (views, peers) = watch::channel(Arc::new(toy.view()));
    let mut next = Instant::now();
    let (mut rtts, mut holding) = (Vec::new(), false);
    let (links, link) = watch::channel(Arc::new(uplink(&toy, next, &rtts, false)));
    let (commands, mut asked) = mpsc::channel(32);
    let cancel = CancellationToken::new();
    let screen = if has("join") {
        Screen::Join { uplink: link, peers }
    } else {
        let join_line = "presence-tui join 10.0.0.5:8080".to_owned();
        Screen::Serve { bound: "0.0.0.0:8080".parse()?, join_line, read_only: false, views: peers }
    };
    let options = Options { ascii: has("ascii").then_some(true), ..Options::default() };
    let shown = tokio::spawn(run(screen, options, commands, cancel.clone()));
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    while !shown.is_finished() {
        tokio::select! {
            _ = tick.tick() => toy.live(),
            _ = terminate.recv() => cancel.cancel(),
            command = asked.recv() => match command {
                Some(Command::Hold(hold)) => holding = hold,
                Some(Command::BeatNow) if has("panic") => {
                    tokio::spawn(async { assert!(fastrand::u8(..) > 255 - fastrand::u8(..1), "a task's fault") });
                }
                Some(command) => if !toy.obey(command) { cancel.cancel() },
                None => break,
            },
        }
        if Instant::now() >= next && !holding {
            next = Instant::now() + toy.settings.interval();
            rtts.push(Some(Duration::from_micros(fastrand::u64(300..1_500))));
        }
        views.send_replace(Arc::new(toy.view()));
        links.send_replace(Arc::new(uplink(&toy, next, &rtts, holding)));
    }
    let outcome = shown.await?;
    anyhow::ensure!(outcome.is_ok(), "{}", outcome.err().map(|error| error.to_string()).unwrap_or_default());
    Ok(())
}
