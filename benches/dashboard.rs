//! Does the dashboard answer at once with 100,000 rows: `cargo bench --bench dashboard [-- ROWS]`.
//!
//! A whole server in this process, with pipes in memory instead of sockets, and its dashboard without a terminal:
//! keys go into the same update that the screen uses, what that asks for goes to the hub, and what comes back is
//! drawn into a buffer of 120x36. From the key to the drawn frame, over and over, while 1,000 more join every second.
#![allow(missing_docs, clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot set itself up should say so and stop")]

mod common;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use presence_tui::presence::Settings;
use presence_tui::presence::command::Command;
use presence_tui::presence::registry::Limits;
use presence_tui::presence::view::View;
use presence_tui::server::{Eye, HubHost, Options, Server};
use presence_tui::tui::keymap::Key;
use presence_tui::tui::model::{Face, Model, Now};
use presence_tui::tui::theme::{Look, Theme};
use presence_tui::tui::update::{Effect, Msg, update};
use presence_tui::tui::view::render;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

const SIZE: (u16, u16) = (120, 36);
/// How often each key is pressed.
const ROUNDS: usize = 40;
/// How many are on their way in at a time, at first.
const AT_ONCE: usize = 512;
/// How many join in each tick afterwards: 1,000 a second.
const JOINS: usize = 10;
const TICK: Duration = Duration::from_millis(10);
/// An answer that takes longer will not come.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two keys, as by a quick finger.
const FINGER: Duration = Duration::from_millis(30);
/// 2026-11-21 14:22:07 UTC.
const WALL: Duration = Duration::from_secs(1_795_270_927);

fn main() {
    let n = common::asked(100_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let limits = Limits { max_clients: usize::MAX, max_pings_per_second: 0, ..Limits::default() };
        let options = Options {
            name: "bench".to_owned(),
            settings: Settings::new(Duration::from_mins(30), Duration::from_hours(1)).unwrap(),
            limits,
            register_timeout: Duration::from_mins(1),
            expected: Vec::new(),
            expect_names: Vec::new(),
        };
        let server = Arc::new(Server::start(options, HubHost::Thread).unwrap());
        let mut desk = Desk::open(&server);
        desk.press(Key::Char('0')).await; // Looked at from the start, as a dashboard does.
        let mut clients = Vec::with_capacity(n);
        while clients.len() < n {
            let batch: Vec<_> =
                (clients.len()..n.min(clients.len() + AT_ONCE)).map(|number| call(&server, number)).collect();
            for mut client in batch {
                welcomed(&mut client).await;
                clients.push(client);
            }
        }
        println!("{n} are here; 1,000 more join every second");
        let joining = tokio::spawn(keep_joining(server.clone(), n));
        work(&mut desk).await;
        joining.abort();
        desk.report();
    });
}

fn call(server: &Server, number: usize) -> Caller {
    let (ours, theirs) = tokio::io::duplex(512);
    let [_, b, c, d] = u32::try_from(number).unwrap().to_be_bytes();
    server.attend(theirs, Eye::blind(), SocketAddr::from(([10, b, c, d], 4_100)));
    // Neither names nor addresses come in the order of the rows.
    let mixed = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let line = format!(
        "{{\"type\":\"register\",\"client_ip\":\"10.{b}.{c}.{d}\",\"client_port\":4100,\"v\":1,\"id\":\"id-{number}\",\"name\":\"worker-{mixed:08x}-{}\"}}\n",
        number % 10
    );
    Caller { stream: ours, line }
}

/// A connection, and what it says first.
struct Caller {
    stream: DuplexStream,
    line: String,
}

async fn welcomed(caller: &mut Caller) {
    caller.stream.write_all(caller.line.as_bytes()).await.unwrap();
    caller.line = String::new();
    let mut chunk = [0; 512];
    let mut last = 0;
    while last != b'\n' {
        let read = caller.stream.read(&mut chunk).await.unwrap();
        last = chunk[..read].last().copied().unwrap();
    }
}

async fn keep_joining(server: Arc<Server>, first: usize) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut clients: Vec<Caller> = Vec::new();
    loop {
        ticks.tick().await;
        let from = clients.len();
        clients.extend((from..from + JOINS).map(|number| call(&server, first + number)));
        for client in &mut clients[from..] {
            welcomed(client).await;
        }
    }
}

/// Presses every key of interest, over and over.
async fn work(desk: &mut Desk) {
    for _ in 0..ROUNDS {
        for _ in 0..7 {
            desk.timed(Key::Char('s'), |model| format!("s: sort by {:?}", model.table.sort)).await;
        }
        desk.timed(Key::Char('S'), |_| "S: the other way round".to_owned()).await;
        desk.timed(Key::End, |_| "end: to the last row".to_owned()).await;
        desk.timed(Key::PageUp, |_| "page up".to_owned()).await;
        desk.timed(Key::Home, |_| "home: to the first row".to_owned()).await;
        desk.timed(Key::PageDown, |_| "page down".to_owned()).await;
        desk.timed(Key::Char('S'), |_| "S: the other way round".to_owned()).await;
        desk.press(Key::Char('/')).await;
        for key in ['-', '7'] {
            desk.timed(Key::Char(key), |_| "/: each key of a filter".to_owned()).await;
        }
        desk.timed(Key::Esc, |_| "esc: no filter".to_owned()).await;
    }
}

/// The dashboard, with a buffer for a terminal.
struct Desk {
    model: Model,
    terminal: Terminal<TestBackend>,
    views: watch::Receiver<Arc<View>>,
    remote: presence_tui::server::Remote,
    start: Instant,
    asked: usize,
    answers: BTreeMap<String, Vec<Duration>>,
    frames: Vec<Duration>,
}

impl Desk {
    fn open(server: &Server) -> Self {
        let start = Instant::now();
        let face = Face::Serve {
            bound: SocketAddr::from(([127, 0, 0, 1], 8_080)),
            join_line: "presence-tui join 127.0.0.1:8080".to_owned(),
            read_only: false,
        };
        let look = Look { theme: Theme::Dark, ascii: false, colourless: false };
        let views = server.views();
        let live = views.borrow().clone();
        let model = Model::new(face, look, SIZE, live, Now { mono: start.into_std(), wall: WALL });
        let terminal = Terminal::new(TestBackend::new(SIZE.0, SIZE.1)).unwrap();
        let (answers, frames) = (BTreeMap::new(), Vec::new());
        Self { model, terminal, views, remote: server.remote(), start, asked: 0, answers, frames }
    }

    fn now(&self) -> Now {
        Now { mono: Instant::now().into_std(), wall: WALL + self.start.elapsed() }
    }

    /// Presses a key and notes how long it takes until its answer is drawn.
    async fn timed(&mut self, key: Key, name: impl Fn(&Model) -> String) {
        tokio::time::sleep(FINGER).await;
        let from = Instant::now();
        if self.press(key).await {
            let took = from.elapsed();
            self.answers.entry(name(&self.model)).or_default().push(took);
        }
    }

    /// Presses a key, and draws when everything it asked for is there; returns whether it asked for anything.
    async fn press(&mut self, key: Key) -> bool {
        let now = self.now();
        let mut effects = update(&mut self.model, now, Msg::Key { key, repeat: false });
        let mut asked = false;
        while let Some(mut window) = effects.into_iter().find_map(|effect| match effect {
            Effect::Send(Command::Show(window)) => Some(window),
            _ => None,
        }) {
            asked = true;
            // An answer does not say which question it is for, so each question is for another number of rows.
            self.asked += 1;
            window.height += 1 + self.asked % 7;
            let height = window.height;
            self.remote.command(Command::Show(window)).await;
            let view = timeout(
                PATIENCE,
                self.views.wait_for(|view| view.rows.len() == height || view.matched < height),
            );
            let view = view.await.unwrap().unwrap().clone();
            let now = self.now();
            effects = update(&mut self.model, now, Msg::View(view));
        }
        let from = Instant::now();
        self.terminal.draw(|frame| render(&self.model, frame.buffer_mut())).unwrap();
        self.frames.push(from.elapsed());
        asked
    }

    fn report(mut self) {
        println!("{} rows at the end", self.model.live.matched);
        let mut all: Vec<_> = self.answers.values().flatten().copied().collect();
        for (name, mut times) in self.answers {
            times.sort_unstable();
            line(&name, &times);
        }
        all.sort_unstable();
        line("any of these keys", &all);
        self.frames.sort_unstable();
        line("drawing one frame", &self.frames);
    }
}

fn line(name: &str, times: &[Duration]) {
    let ms = |percent| common::percentile(times, percent).as_secs_f64() * 1e3;
    println!(
        "{name:28} {:5} times: {:8.2} ms (p50) {:8.2} (p90) {:8.2} (p99) {:8.2} (max)",
        times.len(),
        ms(50),
        ms(90),
        ms(99),
        ms(100)
    );
}
