//! A server at work: its screen or its lines, its operator, and its end.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::face::{Face, Wish};
use super::gate;
use super::memory::{Keeper, LAST_WRITE_MAX, Opened};
use super::recall::recall;
use super::serve::{options, reload};
use super::signals::{Asked, Signals};
use super::{Start, history};
use crate::config::{self, Config, Saved, Sources};
use crate::history::{History, Plan, Recorder};
use crate::hooks::{Ear, Hooks, Patience};
use crate::net;
use crate::presence::command::Command;
use crate::presence::span::brief;
use crate::presence::{Event, EventKind, Settings};
use crate::server::{Guard, HubHost, Remote, Server, Summary};
use crate::tasks;
use crate::telemetry::{Lines, Log};
use crate::tui::{self, Screen, TuiError};

/// How many events are passed on in one go at most.
const EVENTS_AT_ONCE: usize = 1_024;
/// How long an event may wait for others: to wake four threads for each would cost more than to write it.
const GATHER: Duration = Duration::from_millis(10);

/// A server, whoever watches it, and the thread that writes down what happens there.
pub(super) struct Running {
    server: Server,
    /// What writes down who is here, where that is kept.
    memory: Option<Keeper>,
    /// What remembers who was here when, where that is kept.
    history: Option<History>,
    face: Face,
    /// A screen is drawn, so what is to be said goes there.
    drawn: bool,
    pump: JoinHandle<()>,
    /// What is run and told outside when clients come and go.
    hooks: Option<Hooks>,
    /// Passes on what the hooks and the event file have to say.
    _messengers: Vec<AbortOnDropHandle<()>>,
    lines: Arc<Lines>,
    log: Log,
    began: Instant,
}

/// What outlives a server.
#[derive(Default)]
pub(super) struct Kept {
    /// Who is expected back.
    pub(super) memory: Option<Opened>,
    /// Who was here when.
    pub(super) history: Option<Plan>,
}

impl Running {
    /// Opens the door, and the screen if there is one; says where it listens and what should be known about it.
    pub(super) async fn start(
        config: &Config,
        listener: std::net::TcpListener,
        addr: SocketAddr,
        start: Start,
        note: &str,
        kept: Kept,
    ) -> anyhow::Result<Self> {
        let began = Instant::now();
        let Start { lines, log, remarks, screen, guard, file_news } = start;
        let drawn = screen.is_some();
        let (memory, expected) =
            kept.memory.map_or((None, Vec::new()), |(memory, known)| (Some(memory), known));
        lines.listening(addr);
        let mut server = Server::start(options(config, expected), HubHost::Thread)
            .context("cannot start the hub's thread")?;
        let remote = server.remote();
        let memory = memory.map(|memory| memory.keep(server.known(), remote.clone()));
        remote.speak(config.server.dialects);
        let notes = [Some(note), guard.open.then_some(gate::OPEN)];
        let scheme = if guard.tls.is_some() { "tls://" } else { "" };
        remote.guard(guard);
        let history = kept.history.map(|plan| history::start(plan, remote.clone())).transpose();
        let history = history.context("cannot start the history's thread")?;
        for remark in remarks {
            if drawn {
                remote.note(EventKind::Trouble(remark)).await;
            } else {
                lines.warn(&remark);
            }
        }
        for note in notes.into_iter().flatten() {
            if drawn {
                remote.note(EventKind::Notice(note.to_owned())).await;
            } else {
                lines.note(note);
            }
        }
        server.open(TcpListener::from_std(listener).context("cannot listen")?);
        let events = server.events().context("nobody else takes the events")?;
        let lines = Arc::new(lines);
        let (hooks, hook_news) =
            Hooks::start(&config.hooks, &config.server.name, Patience::default()).unzip();
        let ears =
            Ears { history: history.as_ref().map(History::recorder), hooks: hooks.as_ref().map(Hooks::ear) };
        let messengers = [file_news, hook_news]
            .into_iter()
            .flatten()
            .map(|news| AbortOnDropHandle::new(tasks::spawn(pass_on_news(news, remote.clone()))))
            .collect();
        let pump =
            pass_on(events, lines.clone(), ears).context("cannot start the thread that writes events")?;
        let face = screen.map_or_else(Face::none, |look| {
            let join_line = format!("presence-tui join {scheme}{}", net::reachable(addr));
            dashboard(&server, addr, join_line, look, history.as_ref())
        });
        Ok(Self {
            server,
            memory,
            history,
            face,
            drawn,
            pump,
            hooks,
            _messengers: messengers,
            lines,
            log,
            began,
        })
    }

    /// Does what the operator and the system ask for, until one of them asks to stop.
    ///
    /// # Errors
    /// The screen was lost.
    pub(super) async fn attend(
        &mut self,
        signals: &mut Signals,
        config: &Config,
        sources: &Sources,
    ) -> Result<(), TuiError> {
        let remote = self.server.remote();
        let mut current = config.clone();
        loop {
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::Stop => return Ok(()),
                    Asked::Reload => {
                        if let Some(reloaded) = reload(sources, &current, &remote).await {
                            current = reloaded;
                        }
                    }
                },
                wish = self.face.next() => match wish {
                    Wish::Command(Command::Quit) => return Ok(()),
                    Wish::Command(Command::Set(settings, origin)) => {
                        remote.command(Command::Set(settings, origin)).await;
                        save(&current, settings, &remote).await;
                    }
                    Wish::Command(command) => remote.command(command).await,
                    Wish::Ended(ended) => return ended.map(drop),
                },
            }
        }
    }

    /// Waits for what has to go `first`, stops, and says how it all went; at once when asked a second time.
    ///
    /// Returns the last words where they could not be said before the terminal was free.
    ///
    /// # Errors
    /// The terminal could not be given back.
    pub(super) async fn stop(
        self,
        signals: &mut Signals,
        first: impl Future<Output = ()>,
    ) -> Result<String, TuiError> {
        let Self { server, memory, history, mut face, drawn, pump, hooks, _messengers, lines, log, began } =
            self;
        let stopping = async {
            first.await;
            // The hooks' last words are said while the last sessions end.
            let hooks = async {
                if let Some(hooks) = hooks {
                    hooks.finish().await;
                }
            };
            let (summary, ()) = tokio::join!(server.stop(), hooks);
            let unwritten = match memory {
                Some(memory) => memory.finish().await,
                None => None,
            };
            (summary, unwritten)
        };
        let stopped = tokio::select! {
            stopped = stopping => Some(stopped),
            () = signals.stop() => None,
            () = face.closed() => None,
        };
        let closed = face.close().await;
        // The hub has ended, or ends now that nobody waits for it; whatever happened is on its way out.
        let _ = tokio::task::spawn_blocking(|| pump.join()).await;
        let forgotten = match history {
            Some(history) => history.finish(LAST_WRITE_MAX).await,
            None => None,
        };
        let (summary, unwritten) = stopped.unzip();
        let unwritten = unwritten.flatten().into_iter().chain(forgotten);
        let words =
            summary.map_or_else(|| "stopped at once: asked twice".to_owned(), |it| last_words(it, began));
        for trouble in unwritten {
            lines.warn(&trouble);
        }
        lines.note(&words);
        if let Some(lines) = Arc::into_inner(lines) {
            let guard = Guard::default();
            Start { lines, log, remarks: Vec::new(), screen: None, guard, file_news: None }.finish();
        }
        closed.map(|()| if drawn { format!("{words}\n") } else { String::new() })
    }
}

/// Shows the dashboard.
fn dashboard(
    server: &Server,
    bound: SocketAddr,
    join_line: String,
    look: tui::Options,
    history: Option<&History>,
) -> Face {
    let views = match history {
        Some(history) => recall(server.views(), history.asker()),
        None => server.views(),
    };
    let screen = Screen::Serve { bound, join_line, read_only: false, views };
    Face::show(screen, look)
}

/// Keeps a live change for the next start, where there is a file to keep it in.
async fn save(config: &Config, settings: Settings, remote: &Remote) {
    let file = config.file.clone().filter(|_| config.ui.save_changes);
    let Some(path) = file else {
        let why = if config.ui.save_changes { "no config file is in use" } else { "ui.save_changes is off" };
        return remote.note(EventKind::Notice(format!("the change is not saved: {why}"))).await;
    };
    let shown: PathBuf = path.clone();
    // Writing a file may take as long as its disk likes; heartbeats do not wait for it.
    let saved = tokio::task::spawn_blocking(move || config::save_settings(&path, settings)).await;
    remote
        .note(match saved {
            Ok(Ok(Saved::Written)) => {
                EventKind::Notice(format!("the change is saved to {}", shown.display()))
            }
            Ok(Ok(Saved::Unchanged)) => return,
            Ok(Err(error)) => EventKind::Trouble(error.to_string()),
            Err(_) => EventKind::Trouble("the change is not saved: the log has the details".to_owned()),
        })
        .await;
}

/// Makes events of what somebody beside the server has to say.
pub(super) async fn pass_on_news(mut news: mpsc::Receiver<EventKind>, remote: Remote) {
    while let Some(kind) = news.recv().await {
        remote.note(kind).await;
    }
}

/// Who hears of every event beside the lines; none of them is ever waited for.
struct Ears {
    history: Option<Recorder>,
    hooks: Option<Ear>,
}

/// Writes every event as a line, and tells the hooks, until the server is over.
///
/// On a thread of its own: ten thousand departures at once are ten thousand
/// lines, and the sessions should not wait for them to be written.
fn pass_on(
    mut events: mpsc::Receiver<Arc<Event>>,
    lines: Arc<Lines>,
    ears: Ears,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("events".to_owned()).spawn(move || {
        let mut batch = Vec::new();
        while events.blocking_recv_many(&mut batch, EVENTS_AT_ONCE) > 0 {
            let more = batch.len() == EVENTS_AT_ONCE;
            if let Some(history) = &ears.history {
                history.note(&batch);
            }
            for event in batch.drain(..) {
                lines.event(&event);
                if let Some(hooks) = &ears.hooks {
                    hooks.hear(&event);
                }
            }
            if !more {
                std::thread::sleep(GATHER);
            }
        }
        if let Some(history) = ears.history {
            history.end();
        }
    })
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn last_words(summary: Summary, began: Instant) -> String {
    let Summary { sessions, record, events_dropped, left_behind } = summary;
    let served = format!("served {sessions} session{} for {}", plural(sessions), brief(began.elapsed()));
    let mut words = vec![served, record.to_string()];
    if events_dropped > 0 {
        words.push(format!("{events_dropped} events were not written"));
    }
    if left_behind > 0 {
        words.push(format!("{left_behind} connections were cut off"));
    }
    words.join(", ")
}
