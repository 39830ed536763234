//! How sessions and the listener speak to the hub.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::answers;
use super::gate::Gate;
use super::http::Desk;
use super::hub::Posting;
use super::ledger::Question;
use super::link::Link;
use super::rules::Rules;
use super::session::Ended;
use crate::presence::command::Command;
use crate::presence::notify::Notification;
use crate::presence::registry::{Limits, Newcomer};
use crate::presence::secret::{Secret, base32};
use crate::presence::{ConnNo, Departure, Dialect, EventKind, Pulse, Settings};
use crate::protocol::{Chat, ErrorCode, Registration, Update, Welcome};
use crate::security::Rights;

/// How many messages may wait for the hub; a session that finds it full waits its turn.
const INBOX: usize = 4_096;

/// What the hub is told.
#[derive(Debug)]
pub(crate) enum ToHub {
    /// A client wants in.
    Join(Box<Knock>),
    /// A client was turned away before it could knock.
    Refused { peer: SocketAddr, code: ErrorCode, message: String },
    /// A second `register` on one connection; whose user is as its certificate says, and stays, if it is `certified`.
    Reclaim { conn: ConnNo, again: Box<Registration>, certified: bool },
    /// New details.
    Update(ConnNo, Box<Update>),
    /// A client that was marked late was heard.
    Woke(ConnNo),
    /// A client says far more than was agreed.
    Flooding(ConnNo),
    /// A client said that it follows another revision of the settings.
    Followed(ConnNo),
    /// A conversation is over.
    Closed(ConnNo, Departure),
    /// A line for everybody.
    Chat(ConnNo, Box<Chat>),
    /// Something to tell some clients.
    Notify(ConnNo, Box<Notification>),
    /// A notification of this number has arrived.
    Receipt(ConnNo, u64),
    /// A subscriber missed something after this revision.
    Sync(ConnNo, u64),
    /// A subscriber is ready for more of its snapshot.
    NextPage(ConnNo),
    /// An operator's wish.
    Command(Box<Command>),
    /// What the configuration file has now.
    Reload(Box<Terms>),
    /// Something the listener has to say.
    Note(EventKind),
    /// Somebody wants to know something.
    Ask(Box<Question>),
}

/// Where somebody comes from, and how.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// The address.
    pub(crate) peer: SocketAddr,
    /// What it speaks.
    pub(crate) dialect: Dialect,
    /// It understands none of our messages, so it is sent none.
    pub(crate) deaf: bool,
    /// What it may do, once a token of it was looked at.
    pub(crate) rights: Option<Rights>,
    /// Nobody on the way can read what is said.
    pub(crate) secure: bool,
    /// Who it is, by a certificate that somebody vouches for.
    pub(crate) user: Option<Arc<str>>,
}

/// What can be changed while a server runs.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Interval and timeout.
    pub settings: Settings,
    /// How many may be here.
    pub limits: Limits,
    /// How long a connection may take to register.
    pub register_timeout: Duration,
    /// What the clients are called that ought to be here.
    pub expect_names: Vec<String>,
}

/// A newcomer and the way to answer it.
#[derive(Debug)]
pub(crate) struct Knock {
    pub(crate) newcomer: Newcomer,
    pub(crate) wants_roster: bool,
    pub(crate) posting: Posting,
    pub(crate) deaf: bool,
    pub(crate) link: Arc<Link>,
    pub(crate) reply: oneshot::Sender<Result<Welcomed, Ended>>,
}

/// What a session needs once its client is in.
#[derive(Debug)]
pub(crate) struct Welcomed {
    pub(crate) conn: ConnNo,
    /// The identity as the registry has it, so that there is one copy of it.
    pub(crate) id: Arc<str>,
    pub(crate) welcome: Welcome,
}

/// A message on its way to the hub: it has arrived, or waits for a place in the inbox.
#[must_use = "a message that found the inbox full is lost unless this is awaited"]
pub(crate) struct Sending(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Sending {
    /// Nothing that has to be waited for.
    pub(crate) fn done() -> Self {
        Self(None)
    }

    /// Tells whether there is something to wait for.
    pub(crate) fn waits(&self) -> bool {
        self.0.is_some()
    }
}

impl std::fmt::Debug for Sending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.waits() { "Sending(waits)" } else { "Sending(done)" })
    }
}

impl Future for Sending {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(waiting) = &mut self.0 {
            ready!(waiting.as_mut().poll(cx));
            self.0 = None;
        }
        Poll::Ready(())
    }
}

/// What sessions and the listener know of the hub.
#[derive(Debug, Clone)]
pub(crate) struct HubHandle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inbox: mpsc::Sender<ToHub>,
    rules: Rules,
    desk: Desk,
    gate: Gate,
}

impl HubHandle {
    /// Makes a handle, and the inbox at its other end.
    pub(crate) fn new(rules: Rules) -> (Self, mpsc::Receiver<ToHub>) {
        let (tx, inbox) = mpsc::channel(INBOX);
        (Self(Arc::new(Shared { inbox: tx, rules, desk: Desk::new(), gate: Gate::default() })), inbox)
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.0.rules
    }

    /// Returns what limits those who ask.
    pub(crate) fn desk(&self) -> &Desk {
        &self.0.desk
    }

    /// Returns who decides who may come in.
    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// Waits until the hub has stopped.
    pub(crate) async fn gone(&self) {
        self.0.inbox.closed().await;
    }

    /// Tells the hub at once; while its inbox is full, when the result is awaited. Nothing when it has stopped.
    pub(crate) fn send(&self, message: ToHub) -> Sending {
        Sending(match self.0.inbox.try_send(message) {
            // Rare, and so on the heap: waiting for a place is the largest thing a session ever does.
            Err(mpsc::error::TrySendError::Full(message)) => {
                let inbox = self.0.inbox.clone();
                Some(Box::pin(async move {
                    let _ = inbox.send(message).await; // A stopped hub needs to know nothing more.
                }))
            }
            _ => None,
        })
    }

    /// Tells the hub, unless its inbox is full; for where nobody can wait.
    pub(crate) fn tell(&self, message: ToHub) {
        let _ = self.0.inbox.try_send(message); // A client that is gone unnoticed falls silent, and is judged for that.
    }

    /// Asks for a client to be let in.
    pub(crate) async fn join(
        &self,
        origin: Origin,
        registration: Registration,
        pulse: Arc<Pulse>,
        link: Arc<Link>,
    ) -> Result<Welcomed, Ended> {
        let (reply, answer) = oneshot::channel();
        let posting = Posting::of(&registration, origin.rights);
        let Registration { claim, version, identity, mut profile, wants_roster, resume, .. } = registration;
        let (fresh_id, fresh_secret) = (base32(&random::<5>()).into(), Secret::new(random()));
        let Origin { peer, dialect, deaf, rights, user, secure: _ } = origin;
        profile.user = user.or(profile.user);
        // Who may not see the others is sent no word of them: a base client cannot ask for less than lists.
        let sees = rights.is_none_or(Rights::may_watch);
        let (wants_roster, deaf) = (wants_roster && sees, deaf || (version == 0 && !sees));
        let newcomer = Newcomer {
            claim,
            peer,
            version,
            dialect,
            identity,
            profile,
            resume,
            fresh_id,
            fresh_secret,
            pulse,
        };
        self.send(ToHub::Join(Box::new(Knock { newcomer, wants_roster, posting, deaf, link, reply }))).await;
        answer.await.unwrap_or_else(|_| Err(answers::stopping()))
    }
}

/// Returns bytes that nobody can guess.
fn random<const N: usize>() -> [u8; N] {
    let mut random = [0; N];
    if getrandom::fill(&mut random).is_err() {
        random.fill_with(|| fastrand::u8(..)); // Without a source of secrets an identity is still unique.
    }
    random
}
