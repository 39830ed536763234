//! The screen of a run, if it has one.

use std::future::pending;
use std::path::PathBuf;
use std::pin::Pin;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, UiConfig};
use crate::presence::command::Command;
use crate::tui::columns::Column;
use crate::tui::theme::Theme;
use crate::tui::{self, Outcome, Screen, TuiError};

/// How many commands of the operator may wait.
const COMMANDS_WAITING: usize = 64;

type Shown = Pin<Box<dyn Future<Output = Result<Outcome, TuiError>> + Send>>;

/// A screen that is shown, or the lack of one.
pub(super) struct Face {
    shown: Option<Shown>,
    commands: mpsc::Receiver<Command>,
    cancel: CancellationToken,
}

/// What came from the operator.
#[derive(Debug)]
pub(super) enum Wish {
    /// Do this.
    Command(Command),
    /// The screen is closed.
    Ended(Result<Outcome, TuiError>),
}

impl Face {
    /// Shows nothing, for ever.
    pub(super) fn none() -> Self {
        let (_, commands) = mpsc::channel(1);
        Self { shown: None, commands, cancel: CancellationToken::new() }
    }

    /// Shows a screen whose commands come out here.
    pub(super) fn show(screen: Screen, options: tui::Options) -> Self {
        let (wishes, commands) = mpsc::channel(COMMANDS_WAITING);
        Self { commands, ..Self::show_with(screen, options, wishes) }
    }

    /// Shows a screen whose commands go somewhere else.
    pub(super) fn show_with(screen: Screen, options: tui::Options, wishes: mpsc::Sender<Command>) -> Self {
        let cancel = CancellationToken::new();
        let shown = Box::pin(tui::run(screen, options, wishes, cancel.clone()));
        Self { shown: Some(shown), cancel, ..Self::none() }
    }

    /// Waits for the operator; for ever, if there is no screen.
    pub(super) async fn next(&mut self) -> Wish {
        tokio::select! {
            Some(command) = self.commands.recv() => Wish::Command(command),
            ended = ended(&mut self.shown) => Wish::Ended(ended),
        }
    }

    /// Waits until the screen is closed, by itself or by an impatient operator; for ever, if there is none.
    pub(super) async fn closed(&mut self) {
        let _ = ended(&mut self.shown).await; // However it closed, the terminal has been given back.
    }

    /// Closes the screen and gives the terminal back.
    pub(super) async fn close(mut self) -> Result<(), TuiError> {
        self.cancel.cancel();
        match self.shown.take() {
            Some(shown) => shown.await.map(drop),
            None => Ok(()),
        }
    }
}

async fn ended(shown: &mut Option<Shown>) -> Result<Outcome, TuiError> {
    let Some(running) = shown else { return pending().await };
    let ended = running.await;
    *shown = None;
    ended
}

/// Returns how the screen should look; what the settings name and nobody knows is said and left out.
pub(super) fn options(config: &Config, ascii: bool) -> (tui::Options, Vec<String>) {
    let UiConfig { theme, columns, sort, bell, .. } = &config.ui;
    let mut remarks = Vec::new();
    let chosen = Theme::from_word(theme);
    if chosen.is_none() && theme != "auto" {
        remarks.push(format!("ui.theme {theme:?} is not a theme (auto, dark, light, mono)"));
    }
    let mut known = Vec::new();
    for word in columns {
        match Column::from_word(word) {
            Some(column) => known.push(column),
            None => remarks.push(format!("ui.columns: {word:?} is not a column ({})", column_words())),
        }
    }
    let options = tui::Options {
        theme: chosen,
        ascii: ascii.then_some(true),
        bell: *bell,
        motion: true,
        sort: *sort,
        columns: known,
        save_dir: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
    };
    (options, remarks)
}

fn column_words() -> String {
    Column::ALL.map(Column::word).join(", ")
}
