//! Puts what is remembered of the rows on the screen beside them.
//!
//! The hub publishes a view and knows of no history; the screen draws a view and asks nobody. Between
//! the two stands this task: it asks for the rows of a view, keeps the answers for a few seconds, and passes
//! the view on with what it knows by then. It never waits for an answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::history::{Answer, Asker, key};
use crate::presence::past::Past;
use crate::presence::view::{RowView, View};
use crate::tasks;

/// How long an answer is good.
const FRESH: Duration = Duration::from_secs(5);
/// How many rows are asked for at once.
const ASKED_MAX: usize = 200;
/// How many answers are kept.
const KEPT_MAX: usize = 1_000;

/// What is known by now, and when it was asked for.
#[derive(Debug, Default)]
struct Memory {
    known: HashMap<Arc<str>, (Instant, Option<Arc<Past>>)>,
}

/// Starts the task; it ends with the views, or when nobody looks any more.
pub(super) fn recall(views: watch::Receiver<Arc<View>>, asker: Asker) -> watch::Receiver<Arc<View>> {
    let (out, shown) = watch::channel(views.borrow().clone());
    tasks::spawn(run(views, asker, out));
    shown
}

async fn run(mut views: watch::Receiver<Arc<View>>, asker: Asker, out: watch::Sender<Arc<View>>) {
    let mut memory = Memory::default();
    let mut asked: Option<(Vec<Arc<str>>, oneshot::Receiver<Answer>)> = None;
    loop {
        tokio::select! {
            changed = views.changed() => if changed.is_err() { return },
            answer = answered(&mut asked) => memory.learn(answer, Instant::now()),
            () = out.closed() => return,
        }
        let view = views.borrow_and_update().clone();
        if asked.is_none() {
            let keys = memory.stale(&view, Instant::now());
            asked =
                (!keys.is_empty()).then(|| asker.ask(keys.clone()).map(|answer| (keys, answer))).flatten();
        }
        out.send_replace(memory.beside(view));
    }
}

/// Waits for the answer to what was asked; for ever, if nothing was.
async fn answered(
    asked: &mut Option<(Vec<Arc<str>>, oneshot::Receiver<Answer>)>,
) -> Vec<(Arc<str>, Option<Arc<Past>>)> {
    let Some((_, answer)) = asked else { return std::future::pending().await };
    let answer = answer.await.unwrap_or_default();
    let keys = asked.take().map(|(keys, _)| keys).unwrap_or_default();
    keys.into_iter().zip(answer.into_iter().chain(std::iter::repeat(None))).collect()
}

impl Memory {
    fn learn(&mut self, answer: Vec<(Arc<str>, Option<Arc<Past>>)>, now: Instant) {
        if self.known.len() + answer.len() > KEPT_MAX {
            self.known.clear();
        }
        self.known.extend(answer.into_iter().map(|(key, past)| (key, (now, past))));
    }

    /// Returns whom to ask for: who is on the screen and has not been asked for lately.
    fn stale(&self, view: &View, now: Instant) -> Vec<Arc<str>> {
        let fresh = |key: &Arc<str>| self.known.get(key).is_some_and(|(at, _)| now - *at < FRESH);
        let selected = view.selected.iter().map(|selected| &selected.row);
        let keys = selected
            .chain(&view.rows)
            .filter(|row| row.group.is_none())
            .map(key_of)
            .filter(|key| !fresh(key));
        keys.take(ASKED_MAX).collect()
    }

    /// Returns the view with what is known of its rows.
    fn beside(&self, view: Arc<View>) -> Arc<View> {
        if self.known.is_empty() {
            return view;
        }
        let mut view = Arc::unwrap_or_clone(view);
        let selected = view.selected.iter_mut().map(|selected| &mut selected.row);
        for row in view.rows.iter_mut().chain(selected) {
            row.past = self.known.get(&key_of(row)).and_then(|(_, past)| past.clone());
        }
        Arc::new(view)
    }
}

fn key_of(row: &RowView) -> Arc<str> {
    key(&row.id, &row.label, row.peer)
}
