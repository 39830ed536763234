//! One conversation with one client, from its first byte to its last word.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::answers::{self, Pending};
use super::dialects;
use super::handle::{HubHandle, Origin, ToHub};
use super::link::Link;
use super::listener::Place;
use super::socket::Eye;
use super::wire::{Heard, LastWord, WRITE_DEADLINE, Wire, WireEnd};
use crate::presence::pulse::missed_beats;
use crate::presence::{ConnNo, Departure, Dialect, Pulse, Reason, Revision};
use crate::protocol::sniff::Start;
use crate::protocol::{Chat, ClientMessage, ErrorCode, Ping, Registration, ServerMessage, clean};

/// So many lines in a row that cannot be understood end a conversation.
pub const BAD_LINES_MAX: u8 = 16;
/// How many chat lines a client may say at once.
const CHAT_BURST: u8 = 8;
/// How long it takes until it may say one more.
const CHAT_PERIOD: Duration = Duration::from_millis(500);

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
        let origin = Origin { peer, dialect: Dialect::Presence, deaf: false };
        let deadline = Instant::now() + hub.rules().register_timeout();
        Self { origin, eye, place, cancel, deadline }
    }
}

/// Leads the conversation until the client, the hub or the network ends it.
///
/// Never fails: every end is a [`Departure`], told to the hub first, so that
/// the others know at once, and then to the client. What is rare lives on the
/// heap: a future is as large as its largest moment, and there may be a
/// hundred thousand of these. Other dialects are rare in this sense.
pub(crate) fn run<S>(io: S, mut caller: Caller, hub: HubHandle) -> impl Future<Output = ()> + Send
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let link = Arc::new(Link::new(std::mem::take(&mut caller.eye)));
    let mut wire = Wire::new(io, link.clone());
    async move {
        let received = Box::pin(receive(&mut wire, &link, caller, &hub)).await;
        let last_word = match received {
            Received::In(session) => session.attend(&mut wire, &link, &hub).await,
            Received::Over(last_word) => last_word,
            Received::Elsewhere(start, caller) => {
                let (io, head) = wire.into_parts();
                return dialects::lead(start, io, head, link, caller, hub).await;
            }
        };
        Box::pin(wire.close(last_word)).await;
    }
}

/// Leads a conversation in lines that another dialect was turned into; returns whether the client was let in.
pub(crate) async fn lead<S>(io: S, link: &Arc<Link>, caller: Caller, hub: &HubHandle) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut wire = Wire::new(io, link.clone());
    let greeted = in_time(&caller, hub, greet(&mut wire, link, caller.origin, hub)).await;
    drop(caller);
    let was_in = greeted.is_ok();
    let last_word = match greeted {
        Ok(session) => Box::new(session).attend(&mut wire, link, hub).await,
        Err(last_word) => last_word,
    };
    wire.close(last_word).await;
    was_in
}

/// What came of a connection.
enum Received {
    /// A client, let in.
    In(Box<Session>),
    /// Nothing; this is the last word for it.
    Over(LastWord),
    /// It speaks another dialect.
    Elsewhere(Start, Box<Caller>),
}

/// Waits, for as long as it is allowed to take, until it is known what the client speaks and, if that is ours, the client is in.
async fn receive<S>(wire: &mut Wire<S>, link: &Arc<Link>, caller: Caller, hub: &HubHandle) -> Received
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let met = in_time(&caller, hub, async {
        match recognise(wire, hub).await? {
            Start::Presence => Ok(Ok(greet(wire, link, caller.origin, hub).await?)),
            other => Ok(Err(other)),
        }
    });
    match met.await {
        Ok(Ok(session)) => Received::In(Box::new(session)),
        Ok(Err(other)) => Received::Elsewhere(other, Box::new(caller)),
        Err(last_word) => Received::Over(last_word),
    }
}

/// Finds out what is spoken, and whether that is answered here.
async fn recognise<S>(wire: &mut Wire<S>, hub: &HubHandle) -> Result<Start, Ended>
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
            if let Some((code, message)) = ended.refusal {
                hub.send(ToHub::Refused { peer: caller.origin.peer, code, message }).await;
            }
            Err(ended.last_word)
        }
    }
}

/// How a conversation ends that never really began.
#[derive(Debug)]
pub(crate) struct Ended {
    last_word: LastWord,
    /// What the log should say of it.
    refusal: Option<(ErrorCode, String)>,
}

impl Ended {
    /// It went without a word.
    pub(crate) fn silent() -> Self {
        Self { last_word: LastWord::Nothing, refusal: None }
    }

    /// It is told why, and so is the log.
    pub(crate) fn told(code: ErrorCode, message: impl Into<String>, retry_ms: Option<u64>) -> Self {
        let message = message.into();
        let last_word = ServerMessage::error(code, message.clone(), retry_ms).encode();
        Self { last_word: LastWord::Listening(last_word), refusal: Some((code, message)) }
    }

    /// Splits it into what the client and what the log is told.
    pub(crate) fn into_parts(self) -> (LastWord, Option<(ErrorCode, String)>) {
        (self.last_word, self.refusal)
    }
}

/// Waits for a `register` that is good, and for the hub to let the client in.
async fn greet<S>(
    wire: &mut Wire<S>,
    link: &Arc<Link>,
    origin: Origin,
    hub: &HubHandle,
) -> Result<Session, Ended>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut bad_lines = 0;
    loop {
        let line = match wire.hear().await {
            Ok(Heard::Line(line)) => line,
            Ok(Heard::WantsPage) => continue,
            Err(WireEnd::TooLong) => return Err(Ended::told(ErrorCode::TooLong, answers::too_long(), None)),
            Err(WireEnd::Failed(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                return Err(answers::misread(&error));
            }
            Err(_) => return Err(Ended::silent()),
        };
        let complaint = match ClientMessage::decode(&line) {
            Ok(ClientMessage::Other) => continue,
            Ok(ClientMessage::Register(register)) => match register.check() {
                Ok(registration) => return admit(wire, link, origin, hub, registration).await,
                Err(invalid @ crate::protocol::register::Invalid::Version(_)) => {
                    return Err(Ended::told(ErrorCode::Version, invalid.to_string(), None));
                }
                Err(invalid) => invalid.to_string(),
            },
            Ok(_) => "the first line must be a register".to_owned(),
            Err(error) => error.to_string(),
        };
        bad_lines += 1;
        if bad_lines >= BAD_LINES_MAX {
            return Err(Ended::told(ErrorCode::BadRequest, answers::too_many_bad_lines(), None));
        }
        wire.answer(&answers::bad_request(&complaint));
    }
}

/// Asks the hub, and welcomes the client.
async fn admit<S>(
    wire: &mut Wire<S>,
    link: &Arc<Link>,
    origin: Origin,
    hub: &HubHandle,
    registration: Registration,
) -> Result<Session, Ended>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let pulse = Arc::new(Pulse::new(Instant::now().into_std()));
    let version = registration.version;
    let own_id = registration.identity.as_ref().map(|identity| identity.id.clone());
    let welcomed = hub.join(origin, registration, pulse.clone(), link.clone()).await?;
    if version > 0 {
        wire.answer(&ServerMessage::Welcome(Box::new(welcomed.welcome)).encode());
    }
    Ok(Session {
        tenancy: Tenancy { conn: welcomed.conn, hub: hub.clone(), over: false },
        own_id,
        pulse,
        last_beat: None,
        bad_lines: 0,
        followed: false,
        chat: ChatBudget::default(),
    })
}

/// A registered client's side of the conversation.
#[derive(Debug)]
struct Session {
    tenancy: Tenancy,
    /// The identity it registered under, if it chose one.
    own_id: Option<Arc<str>>,
    pulse: Arc<Pulse>,
    last_beat: Option<Instant>,
    bad_lines: u8,
    /// The client has just said that it follows another revision of the settings.
    followed: bool,
    chat: ChatBudget,
}

impl Session {
    /// Converses until somebody ends it; returns the last word for the client.
    async fn attend<S>(mut self: Box<Self>, wire: &mut Wire<S>, link: &Link, hub: &HubHandle) -> LastWord
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let departure = tokio::select! {
            biased;
            departure = link.kicked() => departure,
            departure = self.converse(wire, link, hub) => departure,
        };
        let last_word = answers::last_word(&departure, hub);
        self.tenancy.end(departure).await;
        last_word
    }

    /// Listens and answers until the client ends it; the hub's word to stop is its caller's business.
    async fn converse<S>(&mut self, wire: &mut Wire<S>, link: &Link, hub: &HubHandle) -> Departure
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let heard = tokio::select! {
                biased;
                heard = wire.hear() => heard,
                () = link.more() => continue,
            };
            let line = match heard {
                Ok(Heard::Line(line)) => line,
                Ok(Heard::WantsPage) => {
                    hub.send(ToHub::NextPage(self.tenancy.conn)).await;
                    continue;
                }
                Err(end) => return departure(end),
            };
            let now = Instant::now();
            if self.pulse.touch(now.into_std()) {
                hub.send(ToHub::Woke(self.tenancy.conn)).await;
            }
            let message = match ClientMessage::decode(&line) {
                Ok(message) => message,
                Err(error) => {
                    self.bad_lines += 1;
                    if self.bad_lines >= BAD_LINES_MAX {
                        return Departure::new(Reason::Protocol, answers::too_many_bad_lines());
                    }
                    wire.answer(&answers::bad_request(&error.to_string()));
                    continue;
                }
            };
            drop(line);
            self.bad_lines = 0;
            match self.hear(message, now, hub) {
                Pending::Answer(answer) => {
                    wire.answer(&answer);
                    if std::mem::take(&mut self.followed) {
                        hub.send(ToHub::Followed(self.tenancy.conn)).await;
                    }
                }
                Pending::Tell(message) => hub.send(message).await,
                Pending::Leave(departure) => return departure,
                Pending::Nothing => {}
            }
        }
    }

    /// Decides what a message calls for.
    fn hear(&mut self, message: ClientMessage, now: Instant, hub: &HubHandle) -> Pending {
        match message {
            ClientMessage::Ping(ping) => Pending::Answer(self.beat(ping, now, hub)),
            ClientMessage::Pong { .. } | ClientMessage::Other => Pending::Nothing,
            ClientMessage::Leave { reason } => {
                let why = reason.map(|reason| clean::name(&reason)).unwrap_or_default();
                Pending::Leave(Departure::new(Reason::Left, why))
            }
            ClientMessage::Register(register) => match register.check() {
                Ok(again)
                    if again.identity.as_ref().is_some_and(|it| Some(&it.id) != self.own_id.as_ref()) =>
                {
                    Pending::Answer(answers::bad_request("an identity cannot change on a live connection"))
                }
                Ok(again) => Pending::Tell(ToHub::Reclaim(self.tenancy.conn, Box::new(again))),
                Err(invalid) => Pending::Answer(answers::bad_request(&invalid.to_string())),
            },
            ClientMessage::Update(update) => {
                Pending::Tell(ToHub::Update(self.tenancy.conn, Box::new(update)))
            }
            ClientMessage::Sync { from } => Pending::Tell(ToHub::Sync(self.tenancy.conn, from)),
            ClientMessage::Chat(chat) => self.relay(chat, now),
        }
    }

    /// Counts a ping and writes its pong.
    fn beat(&mut self, ping: Ping, now: Instant, hub: &HubHandle) -> Vec<u8> {
        let rules = hub.rules();
        let interval = rules.interval();
        let gap = self.last_beat.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        self.last_beat = Some(now);
        self.pulse.beat(gap, interval);
        rules.traffic.heard(now.into_std(), missed_beats(gap, interval));
        rules.traffic.said(now.into_std());
        if let Some(us) = ping.rtt_us {
            self.pulse.set_rtt(Duration::from_micros(us.into()));
        }
        if let Some(rev) = ping.rev.map(Revision).filter(|&rev| rev != self.pulse.revision()) {
            self.pulse.set_revision(rev);
            self.followed = true;
        }
        answers::pong(ping, now, rules)
    }

    /// Passes a line of chat on, unless the client talks too much.
    fn relay(&mut self, chat: Chat, now: Instant) -> Pending {
        if self.chat.take(now) {
            Pending::Tell(ToHub::Chat(self.tenancy.conn, Box::new(chat)))
        } else {
            let slower = ServerMessage::error(
                ErrorCode::Flood,
                "too many chat lines; this one was dropped",
                Some(500),
            );
            Pending::Answer(slower.encode())
        }
    }
}

/// A client's place in the hub's books. It is given up exactly once, even when its session panics.
#[derive(Debug)]
struct Tenancy {
    conn: ConnNo,
    hub: HubHandle,
    over: bool,
}

impl Tenancy {
    /// Tells the hub why this client is gone; if the hub has decided it itself, nothing changes.
    async fn end(&mut self, departure: Departure) {
        self.over = true;
        self.hub.send(ToHub::Closed(self.conn, departure)).await;
    }
}

impl Drop for Tenancy {
    fn drop(&mut self) {
        if !self.over {
            let departure = Departure::new(Reason::Protocol, "internal error, see the log");
            self.hub.tell(ToHub::Closed(self.conn, departure));
        }
    }
}

/// One chat line costs as many writes as there are clients, so they are rationed.
#[derive(Debug, Default)]
struct ChatBudget {
    spent: u8,
    since: Option<Instant>,
}

impl ChatBudget {
    fn take(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let regained = now.saturating_duration_since(since).as_millis() / CHAT_PERIOD.as_millis();
        if regained > 0 {
            self.spent = self.spent.saturating_sub(u8::try_from(regained).unwrap_or(u8::MAX));
            self.since = Some(now);
        }
        let fits = self.spent < CHAT_BURST;
        self.spent += u8::from(fits);
        fits
    }
}

fn departure(end: WireEnd) -> Departure {
    match end {
        WireEnd::Eof => Departure::new(Reason::Lost, "closed without goodbye"),
        WireEnd::TooLong => Departure::new(Reason::Protocol, answers::too_long()),
        WireEnd::Slow => {
            Departure::new(Reason::Slow, format!("read nothing for {} s", WRITE_DEADLINE.as_secs()))
        }
        WireEnd::Failed(error) => match error.kind() {
            std::io::ErrorKind::ConnectionReset => Departure::new(Reason::Lost, "reset by peer"),
            std::io::ErrorKind::BrokenPipe => Departure::new(Reason::Lost, "broken pipe"),
            std::io::ErrorKind::TimedOut => Departure::new(Reason::Lost, "network timeout"),
            // Only other dialects find fault with bytes below the lines they make of them.
            std::io::ErrorKind::InvalidData => Departure::new(Reason::Protocol, error.to_string()),
            _ => Departure::new(Reason::Lost, error.to_string()),
        },
        WireEnd::Unknown => Departure::new(Reason::Protocol, "unknown dialect"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::Rules;
    use super::*;
    use crate::presence::Settings;

    #[tokio::test]
    async fn a_panic_in_a_conversation_is_one_departure_with_a_reason() {
        let rules = Rules::new(Revision(1), Settings::default(), Duration::from_secs(5));
        let (hub, mut inbox) = HubHandle::new(rules);
        let tenancy = Tenancy { conn: ConnNo(7), hub, over: false };
        let panicked = tokio::spawn(async move {
            let _tenancy = tenancy;
            panic!("on purpose");
        });
        assert!(panicked.await.is_err());
        let Some(ToHub::Closed(ConnNo(7), departure)) = inbox.recv().await else { panic!("not told") };
        assert_eq!(departure.reason, Reason::Protocol);
    }

    #[tokio::test(start_paused = true)]
    async fn chat_is_rationed_and_the_ration_comes_back() {
        let mut budget = ChatBudget::default();
        let start = Instant::now();
        assert_eq!((0..20).filter(|_| budget.take(start)).count(), usize::from(CHAT_BURST));
        let later = start + CHAT_PERIOD * 3;
        assert_eq!((0..20).filter(|_| budget.take(later)).count(), 3);
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
        assert!(bytes <= 1_104, "{bytes} bytes: there may be a hundred thousand of these");
    }
}
