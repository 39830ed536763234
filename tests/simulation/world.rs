//! A server, its clients, and everything that is done to them; it keeps the truth.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use presence_tui::presence::command::Command;
use presence_tui::presence::event::Origin;
use presence_tui::presence::registry::Limits;
use presence_tui::presence::view::{View, Window};
use presence_tui::presence::{Event, EventKind, RowKey, Settings, State};
use presence_tui::server::{HubHost, Options, Remote, Server, Summary};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::clients::{Actor, Gate, Gated, Kind, Shown, claim};
use crate::network::Net;
use crate::pipe::Way;

/// After so long without a change every list must be true.
pub(crate) const QUIET: Duration = Duration::from_secs(3);

/// What a client is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    pub(crate) kind: Kind,
    pub(crate) way: Way,
}

/// Somebody who is here, as the events tell it.
#[derive(Debug, Clone)]
pub(crate) struct Present {
    pub(crate) id: Arc<str>,
    pub(crate) peer: std::net::SocketAddr,
    pub(crate) state: State,
    /// Which of all joinings this was.
    pub(crate) nth: u64,
    pub(crate) changed: Instant,
}

/// The events of one life of the server, and what follows from them.
pub(crate) struct Book {
    pub(crate) events: Vec<Arc<Event>>,
    pub(crate) here: BTreeMap<RowKey, Present>,
    /// When somebody last came or went.
    pub(crate) changed: Instant,
    joined: u64,
}

impl Book {
    fn new() -> Self {
        Self { events: Vec::new(), here: BTreeMap::new(), changed: Instant::now(), joined: 0 }
    }

    fn take(&mut self, event: Arc<Event>) {
        let at = Instant::from_std(event.at);
        if let Some(who) = &event.who {
            match &event.kind {
                EventKind::Joined | EventKind::Resumed { .. } => {
                    self.joined += 1;
                    let (id, state, nth) = (who.id.clone(), State::Online, self.joined);
                    self.here.insert(who.row, Present { id, peer: who.peer, state, nth, changed: at });
                    self.changed = at;
                }
                EventKind::Gone { .. } => {
                    self.here.remove(&who.row);
                    self.changed = at;
                }
                EventKind::Late { .. } | EventKind::Back { .. } => {
                    if let Some(present) = self.here.get_mut(&who.row) {
                        let late = matches!(event.kind, EventKind::Late { .. });
                        present.state = if late { State::Late } else { State::Online };
                        present.changed = at;
                    }
                }
                _ => {}
            }
        }
        self.events.push(event);
    }

    /// Returns who is here, in the order they joined.
    pub(crate) fn in_order(&self) -> Vec<Present> {
        let mut here: Vec<_> = self.here.values().cloned().collect();
        here.sort_by_key(|present| present.nth);
        here
    }
}

/// One life of the server.
pub(crate) struct Life {
    pub(crate) first: Settings,
    /// When it ended; `None` while it runs.
    pub(crate) until: Option<Instant>,
    pub(crate) book: Arc<Mutex<Book>>,
}

/// A running client.
struct Running {
    task: JoinHandle<()>,
    leave: CancellationToken,
}

/// A client and what happens to it.
pub(crate) struct Client {
    pub(crate) member: Member,
    pub(crate) shown: Arc<Mutex<Shown>>,
    gate: Arc<Gate>,
    running: Option<Running>,
    frozen: bool,
    cut: bool,
    /// When it was frozen or cut off, and until when.
    pub(crate) troubles: Vec<(Instant, Option<Instant>)>,
}

impl Client {
    /// Tells whether all has been well with it for so long.
    fn is_well_since(&self, span: Duration) -> bool {
        self.running.is_some()
            && self.troubles.iter().all(|(_, until)| until.is_some_and(|until| until.elapsed() >= span))
    }

    /// Notes that its trouble begins or ends.
    fn trouble(&mut self) {
        let now = Instant::now();
        match self.troubles.last_mut() {
            Some((_, until @ None)) if !self.frozen && !self.cut => *until = Some(now),
            Some((_, None)) => {}
            _ if self.frozen || self.cut => self.troubles.push((now, None)),
            _ => {}
        }
    }
}

/// All of it.
pub(crate) struct World {
    pub(crate) net: Net,
    pub(crate) clients: Vec<Client>,
    pub(crate) lives: Vec<Life>,
    pub(crate) settings: Settings,
    pub(crate) start: Instant,
    remote: Option<Remote>,
    views: Option<watch::Receiver<Arc<View>>>,
    rng: Rng,
}

impl World {
    /// Starts a server, and nobody else.
    pub(crate) fn new(members: &[Member], settings: Settings, mut rng: Rng) -> Self {
        let ways: Vec<_> = members.iter().map(|member| member.way).collect();
        let net = Net::new(&ways, &mut rng);
        let client = |&member: &Member| Client {
            member,
            shown: Arc::default(),
            gate: Arc::default(),
            running: None,
            frozen: false,
            cut: false,
            troubles: Vec::new(),
        };
        let clients = members.iter().map(client).collect();
        let (lives, start) = (Vec::new(), Instant::now());
        let mut world = Self { net, clients, lives, settings, start, remote: None, views: None, rng };
        world.start_server();
        world
    }

    /// Starts a server where there is none.
    pub(crate) fn start_server(&mut self) {
        if self.remote.is_some() {
            return;
        }
        let limits = Limits {
            max_clients: 10_000,
            max_per_ip: 0,
            retention: Duration::from_hours(24),
            pin_legacy: true,
            ..Limits::default()
        };
        let options = Options {
            expected: Vec::new(),
            expect_names: Vec::new(),
            name: "lab".to_owned(),
            settings: self.settings,
            limits,
            register_timeout: Duration::from_secs(5),
        };
        let mut server = Server::start(options, HubHost::Task).expect("a task always starts");
        let mut events = server.events().expect("taken once");
        let book = Arc::new(Mutex::new(Book::new()));
        let kept = Arc::clone(&book);
        // It ends with its server.
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                kept.lock().expect("not poisoned").take(event);
            }
        });
        (self.remote, self.views) = (Some(server.remote()), Some(server.views()));
        self.lives.push(Life { first: self.settings, until: None, book });
        self.net.serve(server);
    }

    /// Ends the server as a power cut (`silently`) or a crash does: without a goodbye.
    pub(crate) fn crash_server(&mut self, silently: bool) {
        if self.remote.take().is_none() {
            return;
        }
        self.net.crash_server(silently);
        if let Some(life) = self.lives.last_mut() {
            life.until = Some(Instant::now());
        }
    }

    pub(crate) fn start(&mut self, number: usize) {
        let client = &mut self.clients[number];
        if client.running.is_some() {
            return;
        }
        let leave = CancellationToken::new();
        let actor = Actor {
            net: self.net.clone(),
            number,
            kind: client.member.kind,
            leave: leave.clone(),
            shown: Arc::clone(&client.shown),
            rng: self.rng.fork(),
        };
        let task = tokio::spawn(Gated::new(actor.play(), &client.gate));
        client.running = Some(Running { task, leave });
    }

    /// Lets a client say goodbye; one that is frozen cannot.
    pub(crate) fn leave(&mut self, number: usize) {
        let client = &mut self.clients[number];
        if !client.frozen
            && let Some(running) = client.running.take()
        {
            running.leave.cancel();
        }
    }

    /// Ends a client's process.
    pub(crate) fn crash(&mut self, number: usize) {
        self.thaw(number);
        if let Some(running) = self.clients[number].running.take() {
            running.task.abort();
        }
    }

    pub(crate) fn freeze(&mut self, number: usize) {
        let client = &mut self.clients[number];
        if client.running.is_some() {
            client.gate.close();
            client.frozen = true;
            client.trouble();
        }
    }

    pub(crate) fn thaw(&mut self, number: usize) {
        let client = &mut self.clients[number];
        client.gate.open();
        client.frozen = false;
        client.trouble();
    }

    pub(crate) fn cut(&mut self, number: usize, for_ever: bool) {
        self.net.cut(number, for_ever);
        self.clients[number].cut = true;
        self.clients[number].trouble();
    }

    pub(crate) fn heal(&mut self, number: usize) {
        self.net.heal(number);
        self.clients[number].cut = false;
        self.clients[number].trouble();
    }

    pub(crate) async fn retune(&mut self, settings: Settings) {
        if let Some(remote) = &self.remote {
            self.settings = settings;
            remote.command(Command::Set(settings, Origin::Key)).await;
        }
    }

    /// Asks the server for everything it would show.
    pub(crate) async fn view(&mut self) -> Arc<View> {
        let (Some(remote), Some(views)) = (&self.remote, &self.views) else { panic!("no server runs") };
        let window = Window { height: 100_000, ..Window::default() };
        remote.command(Command::Show(window)).await;
        sleep(Duration::from_secs(1)).await;
        Arc::clone(&views.borrow())
    }

    /// Compares, if nobody has come or gone for a while, what the clients were told with who is here.
    pub(crate) fn check_lists(&self, wrong: &mut Vec<String>) -> usize {
        let Some(Life { until: None, book, .. }) = self.lives.last() else { return 0 };
        let book = book.lock().expect("not poisoned");
        if book.changed.elapsed() < QUIET {
            return 0;
        }
        let here = book.in_order();
        let mut checked = 0;
        for (number, client) in self.clients.iter().enumerate().filter(|(_, it)| it.is_well_since(QUIET)) {
            let hears = self.net.lines(|lines| {
                let line = lines.iter().rfind(|line| line.client == number)?;
                let listed = here.iter().any(|it| it.peer == line.peer && it.changed.elapsed() >= QUIET);
                (line.doomed.is_none() && line.is_drained() && listed).then_some(())
            });
            if hears.is_none() {
                continue;
            }
            let told = match client.member.kind {
                Kind::Quiet => continue,
                Kind::Roster => roster_differs(client, &here),
                Kind::Legacy(_) => list_differs(client, &here),
            };
            checked += 1;
            if let Some(told) = told {
                wrong.push(format!("at {:?} client {number} was told wrong: {told}", self.start.elapsed()));
            }
        }
        checked
    }

    /// Stops the server, and returns what it says of itself.
    pub(crate) async fn stop(self) -> Summary {
        match self.net.take_server() {
            Some(server) => server.stop().await,
            None => Summary::default(),
        }
    }

    /// Closes the books: what comes now does not count.
    pub(crate) fn close(&mut self) {
        let now = Instant::now();
        if let Some(life) = self.lives.last_mut() {
            life.until.get_or_insert(now);
        }
        for client in &mut self.clients {
            if let Some(running) = client.running.take() {
                running.task.abort();
            }
        }
    }

    /// Returns the numbers of the clients that run.
    pub(crate) fn running(&self) -> Vec<usize> {
        (0..self.clients.len()).filter(|&number| self.clients[number].running.is_some()).collect()
    }
}

/// Compares a subscriber's roster with who is here, by id and state.
fn roster_differs(client: &Client, here: &[Present]) -> Option<String> {
    let shown = client.shown.lock().expect("not poisoned");
    let state = Arc::clone(&shown.state.as_ref()?.borrow());
    let told: BTreeMap<_, _> = (state.peers.iter())
        .filter(|peer| peer.gone.is_none())
        .map(|peer| (Arc::clone(&peer.id), peer.state))
        .collect();
    let mut wrong = Vec::new();
    for present in here {
        match told.get(&present.id) {
            None => wrong.push(format!("{} is missing", present.id)),
            Some(state) if *state != present.state && present.changed.elapsed() >= QUIET => {
                wrong.push(format!("{} is not {}", present.id, state.word()));
            }
            Some(_) => {}
        }
    }
    for id in told.keys().filter(|id| !here.iter().any(|present| present.id == **id)) {
        wrong.push(format!("{id} is not here"));
    }
    (!wrong.is_empty()).then(|| wrong.join(", "))
}

/// Compares a base client's last list with who is here, in the order they joined.
fn list_differs(client: &Client, here: &[Present]) -> Option<String> {
    let shown = client.shown.lock().expect("not poisoned");
    let Some(list) = &shown.list else { return Some("it never got a list".to_owned()) };
    let list: Value = serde_json::from_str(list).expect("a list is JSON");
    let entry = |it: &Value| format!("{}:{}", it["ip"].as_str().unwrap_or("?"), it["port"]);
    let told: Vec<_> = list["clients"].as_array().expect("an array").iter().map(entry).collect();
    let true_list: Vec<_> = here.iter().map(listed).collect();
    (told != true_list).then(|| format!("{told:?} and not {true_list:?}"))
}

/// Returns what a list says of somebody: a base client claims an address of its own, the others the real one.
fn listed(present: &Present) -> String {
    if present.id.starts_with('~') {
        let std::net::IpAddr::V4(ip) = present.peer.ip() else { panic!("only IPv4 here") };
        let [.., high, low] = ip.octets();
        let (ip, port) = claim(usize::from(u16::from_be_bytes([high, low])));
        format!("{ip}:{port}")
    } else {
        present.peer.to_string()
    }
}
