//! A connection's first moments: what it speaks, and who leads the conversation from there.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::answers;
use super::dialects;
use super::handle::{HubHandle, Origin, ToHub};
use super::link::Link;
use super::listener::Place;
use super::session::{Ended, Session, greet};
use super::socket::Eye;
use super::wire::{LastWord, Wire, WireEnd};
use crate::presence::Dialect;
use crate::protocol::sniff::Start;
use crate::security::duplex::Duplex;

/// A connection that was accepted and has not said who it is.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Where it comes from, and what it speaks.
    pub(crate) origin: Origin,
    /// What looks for words of it that have not been read.
    pub(crate) eye: Eye,
    /// Its place among those who have not registered; given back when it has.
    pub(crate) place: Option<Place>,
    /// Ends the wait for its registration.
    pub(crate) cancel: CancellationToken,
    /// Until when it must have registered.
    pub(crate) deadline: Instant,
}

impl Caller {
    /// Starts the time it has to register.
    pub(crate) fn new(
        peer: SocketAddr,
        eye: Eye,
        place: Option<Place>,
        cancel: CancellationToken,
        hub: &HubHandle,
    ) -> Self {
        let origin =
            Origin { peer, dialect: Dialect::Presence, deaf: false, rights: None, secure: false, user: None };
        let deadline = Instant::now() + hub.rules().register_timeout();
        Self { origin, eye, place, cancel, deadline }
    }
}

/// Leads the conversation until the client, the hub or the network ends it.
///
/// Never fails: every end is a [`Departure`], told to the hub first, so that
/// the others know at once, and then to the client.
///
/// [`Departure`]: crate::presence::Departure
pub(crate) fn run<S>(io: S, mut caller: Caller, hub: HubHandle) -> impl Future<Output = ()> + Send
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let link = Arc::new(Link::new(std::mem::take(&mut caller.eye)));
    go_on(io, link, Box::new(caller), hub)
}

/// As [`run`], with a connection that has come a part of the way.
pub(crate) fn go_on<S>(
    io: S,
    link: Arc<Link>,
    caller: Box<Caller>,
    hub: HubHandle,
) -> impl Future<Output = ()> + Send
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Conversation::Arriving(Box::pin(arrive(Wire::new(io, link), caller, hub)))
}

/// A conversation, which is as large as its largest part.
///
/// There may be a hundred thousand of these, nearly all of them with a client
/// that is here and silent. So this is polled by hand, and that part alone is
/// in it; what passes is on the heap, and so are other dialects.
enum Conversation<S> {
    /// The client has yet to say who it is.
    Arriving(Pin<Box<dyn Future<Output = Self> + Send>>),
    /// It is here.
    Here(Session, Wire<S>),
    /// It is told the last word, or another dialect is spoken.
    Elsewhere(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// Nothing is left to be done.
    Over,
}

impl<S> Future for Conversation<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut *self {
                Self::Arriving(arriving) => *self = ready!(arriving.as_mut().poll(cx)),
                Self::Here(session, wire) => {
                    let departure = ready!(session.poll_attend(cx, wire));
                    if let Self::Here(session, wire) = std::mem::replace(&mut *self, Self::Over) {
                        *self = Self::Elsewhere(Box::pin(async {
                            let last_word = session.end(departure).await;
                            wire.close(last_word).await;
                        }));
                    }
                }
                Self::Elsewhere(elsewhere) => return elsewhere.as_mut().poll(cx),
                Self::Over => return Poll::Ready(()),
            }
        }
    }
}

/// Finds out who is there; returns how the conversation goes on.
async fn arrive<S>(mut wire: Wire<S>, caller: Box<Caller>, hub: HubHandle) -> Conversation<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let link = wire.link().clone();
    match receive(&mut wire, &link, caller, &hub).await {
        Received::In(session) => Conversation::Here(session, wire),
        Received::Over(last_word) => Conversation::Elsewhere(Box::pin(wire.close(last_word))),
        Received::Elsewhere(start, caller) => {
            Conversation::Elsewhere(dialects::lead(start, wire, link, caller, hub))
        }
    }
}

/// Leads a conversation in lines that another dialect was turned into; returns whether the client was let in.
pub(crate) async fn lead(io: &mut dyn Duplex, link: &Arc<Link>, caller: Caller, hub: &HubHandle) -> bool {
    let mut wire = Wire::new(io, link.clone());
    let greeted = in_time(&caller, hub, greet(&mut wire, link, caller.origin.clone(), hub)).await;
    drop(caller);
    let was_in = greeted.is_ok();
    let last_word = match greeted {
        Ok(session) => session.attend(&mut wire).await,
        Err(last_word) => last_word,
    };
    wire.close(last_word).await;
    was_in
}

/// What came of a connection.
enum Received {
    /// A client, let in.
    In(Session),
    /// Nothing; this is the last word for it.
    Over(LastWord),
    /// It speaks another dialect.
    Elsewhere(Start, Box<Caller>),
}

/// Waits, for as long as it is allowed to take, until it is known what the client speaks and, if that is ours, the client is in.
async fn receive<S>(wire: &mut Wire<S>, link: &Arc<Link>, caller: Box<Caller>, hub: &HubHandle) -> Received
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let met = in_time(&caller, hub, async {
        match recognise(wire, &caller.origin, hub).await? {
            Start::Presence => Ok(Ok(greet(wire, link, caller.origin.clone(), hub).await?)),
            other => Ok(Err(other)),
        }
    });
    match met.await {
        Ok(Ok(session)) => Received::In(session),
        Ok(Err(other)) => Received::Elsewhere(other, caller),
        Err(last_word) => Received::Over(last_word),
    }
}

/// Finds out what is spoken, and whether that is answered here.
async fn recognise<S>(wire: &mut Wire<S>, origin: &Origin, hub: &HubHandle) -> Result<Start, Ended>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let start = match wire.sniff().await {
        Ok(start) => start,
        Err(WireEnd::Unknown) => return Err(answers::unknown_dialect()),
        Err(_) => return Err(Ended::silent()),
    };
    let spoken = hub.rules().dialects();
    let answered = match start {
        Start::Presence => spoken.contains(Dialect::Presence),
        Start::Netsync => spoken.contains(Dialect::Netsync),
        Start::Http => spoken.contains(Dialect::Http) || spoken.contains(Dialect::WebSocket),
        // Once: nobody needs a secret inside a secret.
        Start::Tls => !origin.secure && hub.gate().guard().tls.is_some(),
    };
    if answered { Ok(start) } else { Err(answers::unknown_dialect()) }
}

/// Lets a conversation begin within its time and until the server stops; a refusal is told to the log.
pub(crate) async fn in_time<T>(
    caller: &Caller,
    hub: &HubHandle,
    begin: impl Future<Output = Result<T, Ended>>,
) -> Result<T, LastWord> {
    let begun = tokio::select! {
        biased;
        () = caller.cancel.cancelled() => Err(answers::stopping()),
        begun = timeout_at(caller.deadline, begin) => {
            begun.unwrap_or_else(|_| Err(answers::register_timeout(hub)))
        }
    };
    match begun {
        Ok(begun) => Ok(begun),
        Err(ended) => {
            let (last_word, refusal) = ended.into_parts();
            if let Some((code, message)) = refusal {
                hub.send(ToHub::Refused { peer: caller.origin.peer, code, message }).await;
            }
            Err(last_word)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::rules::Rules;
    use super::*;

    /// With what tokio keeps of a task this is 256 bytes; tasks are a multiple of 128.
    const TASK_BYTES_MAX: usize = 136;
    use crate::presence::{Revision, Settings};

    #[test]
    fn what_the_hub_has_of_a_session_stays_small() {
        let sizes = [("a session", size_of::<Session>(), 96), ("a link", size_of::<Link>(), 56)];
        for (what, bytes, most) in sizes {
            assert!(bytes <= most, "{what}: {bytes} bytes");
        }
    }

    #[tokio::test]
    async fn other_dialects_cost_a_session_of_ours_no_memory() {
        let rules = Rules::new(Revision(1), Settings::default(), Duration::from_secs(5));
        let (hub, _inbox) = HubHandle::new(rules);
        let (_a, b) = tokio::io::duplex(10);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let caller = Caller::new(peer, Eye::blind(), None, CancellationToken::new(), &hub);
        let session = run(b, caller, hub);
        let bytes = std::mem::size_of_val(&session);
        assert!(bytes <= TASK_BYTES_MAX, "{bytes} bytes: there may be a hundred thousand of these");
    }
}
