//! The webhook: the same JSON, posted, one after the other and a few times over.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::complaints::Complaints;
use super::{CALLS_WAITING, Patience, now};
use crate::net::http::{Question, ask};
use crate::net::web::HttpUrl;
use crate::presence::EventKind;
use crate::presence::span::brief;
use crate::tasks;

/// How often a call is tried in all.
const TRIES: u32 = 3;
/// How much longer the second wait is than the first.
const GROWTH: u32 = 4;
/// How much of an answer is read; nobody looks at it.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A webhook at work.
#[derive(Debug)]
pub(super) struct Webhook {
    bodies: mpsc::Sender<Bytes>,
    task: AbortOnDropHandle<()>,
}

impl Webhook {
    pub(super) fn start(url: HttpUrl, patience: Patience, news: mpsc::Sender<EventKind>) -> Self {
        let (bodies, waiting) = mpsc::channel(CALLS_WAITING);
        let task = AbortOnDropHandle::new(tasks::spawn(deliver(url, patience, waiting, news)));
        Self { bodies, task }
    }

    /// Queues a call; returns whether there was room.
    pub(super) fn post(&self, body: Bytes) -> bool {
        self.bodies.try_send(body).is_ok()
    }

    /// Tells whether nothing waits to be posted.
    pub(super) fn is_idle(&self) -> bool {
        self.bodies.capacity() == self.bodies.max_capacity()
    }

    /// Waits until everything has been posted, or given up.
    pub(super) async fn finish(self) {
        let Self { bodies, task } = self;
        drop(bodies);
        let _ = task.await; // A panic is in the log.
    }
}

async fn deliver(
    url: HttpUrl,
    patience: Patience,
    mut waiting: mpsc::Receiver<Bytes>,
    news: mpsc::Sender<EventKind>,
) {
    let mut complaints = Complaints::new(format!("webhook {url}"), patience.complaint);
    while let Some(body) = waiting.recv().await {
        let Err(words) = post(&url, &body, patience).await else { continue };
        if let Some(words) = complaints.about(now(), &format!("{words} (given up after {TRIES} tries)")) {
            let _ = news.try_send(EventKind::Trouble(words)); // What nobody takes in time is left out.
        }
    }
}

/// Posts once, and again when that did not work.
async fn post(url: &HttpUrl, body: &Bytes, patience: Patience) -> Result<(), String> {
    let mut wait = patience.retry;
    let mut trouble = String::new();
    for attempt in 1..=TRIES {
        trouble = match timeout(patience.answer, once(url, body)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(words)) => words,
            Err(_) => format!("no answer within {}", brief(patience.answer)),
        };
        if attempt < TRIES {
            sleep(jittered(wait)).await;
            wait *= GROWTH;
        }
    }
    Err(trouble)
}

async fn once(url: &HttpUrl, body: &Bytes) -> Result<(), String> {
    let question =
        Question { url, json: Some(body.clone()), token: None, tls: None, answer_max: ANSWER_BYTES_MAX };
    match ask(question).await {
        Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
        Ok(answer) => Err(format!("answered with status {}", answer.status)),
        Err(error) => Err(error.to_string()),
    }
}

/// Returns half of a wait to one and a half times of it, so that many servers do not come back together.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.5 + fastrand::f64())
}
