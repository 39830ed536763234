//! One conversation with one client, from its first byte to its last word.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::answers::{self, Pending};
use super::hub::{HubHandle, ToHub};
use super::link::Link;
use super::listener::Place;
use super::wire::{Heard, WRITE_DEADLINE, Wire, WireEnd};
use crate::presence::{ConnNo, Departure, Pulse, Reason};
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
    /// Where it comes from.
    pub(crate) peer: SocketAddr,
    /// Its place among those who have not registered; given back when it has.
    pub(crate) permit: Option<Place>,
    /// Ends the wait for its registration.
    pub(crate) cancel: CancellationToken,
}

/// Leads the conversation until the client, the hub or the network ends it.
///
/// Never fails: every end is a [`Departure`], told to the hub first, so that
/// the others know at once, and then to the client.
pub(crate) async fn run<S>(io: S, mut caller: Caller, hub: HubHandle)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let link = Arc::new(Link::default());
    let mut wire = Wire::new(io, link.clone());
    let greeted = tokio::select! {
        biased;
        () = caller.cancel.cancelled() => Err(Ended::told(ErrorCode::Draining, "the server is stopping", Some(5_000))),
        greeted = timeout(hub.rules().register_timeout(), greet(&mut wire, &link, caller.peer, &hub)) => {
            greeted.unwrap_or_else(|_| Err(answers::register_timeout(&hub)))
        }
    };
    drop(caller.permit.take());
    let mut session = match greeted {
        Ok(session) => session,
        Err(ended) => {
            if let Some((code, message)) = ended.refusal {
                hub.send(ToHub::Refused { peer: caller.peer, code, message }).await;
            }
            return wire.close(ended.last_word).await;
        }
    };
    let departure = tokio::select! {
        biased;
        departure = link.kicked() => departure,
        departure = contained(session.converse(&mut wire, &link, &hub)) => departure,
    };
    let last_word = answers::last_word(&departure, &hub);
    hub.send(ToHub::Closed(session.conn, departure)).await;
    drop(session);
    wire.close(last_word).await;
}

/// How a conversation ends that never really began.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) last_word: Option<Vec<u8>>,
    /// What the log should say of it.
    pub(crate) refusal: Option<(ErrorCode, String)>,
}

impl Ended {
    /// It went without a word.
    fn silent() -> Self {
        Self { last_word: None, refusal: None }
    }

    /// It is told why, and so is the log.
    pub(crate) fn told(code: ErrorCode, message: impl Into<String>, retry_ms: Option<u64>) -> Self {
        let message = message.into();
        let last_word = ServerMessage::error(code, message.clone(), retry_ms).encode();
        Self { last_word: Some(last_word), refusal: Some((code, message)) }
    }
}

/// Waits for a `register` that is good, and for the hub to let the client in.
async fn greet<S>(
    wire: &mut Wire<S>,
    link: &Arc<Link>,
    peer: SocketAddr,
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
            Err(_) => return Err(Ended::silent()),
        };
        let complaint = match ClientMessage::decode(&line) {
            Ok(ClientMessage::Other) => continue,
            Ok(ClientMessage::Register(register)) => match register.check() {
                Ok(registration) => return admit(wire, link, peer, hub, registration).await,
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
    peer: SocketAddr,
    hub: &HubHandle,
    registration: Registration,
) -> Result<Session, Ended>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let pulse = Arc::new(Pulse::new(Instant::now().into_std()));
    let version = registration.version;
    let own_id = registration.identity.as_ref().map(|identity| identity.id.clone());
    let welcomed = hub.join(peer, registration, pulse.clone(), link.clone()).await?;
    if version > 0 {
        wire.answer(&ServerMessage::Welcome(Box::new(welcomed.welcome)).encode());
    }
    Ok(Session {
        conn: welcomed.conn,
        own_id,
        pulse,
        last_beat: None,
        bad_lines: 0,
        chat: ChatBudget::default(),
    })
}

/// A registered client's side of the conversation.
#[derive(Debug)]
struct Session {
    conn: ConnNo,
    /// The identity it registered under, if it chose one.
    own_id: Option<Arc<str>>,
    pulse: Arc<Pulse>,
    last_beat: Option<Instant>,
    bad_lines: u8,
    chat: ChatBudget,
}

impl Session {
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
                    hub.send(ToHub::NextPage(self.conn)).await;
                    continue;
                }
                Err(end) => return departure(end),
            };
            let now = Instant::now();
            if self.pulse.touch(now.into_std()) {
                hub.send(ToHub::Woke(self.conn)).await;
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
                Pending::Answer(answer) => wire.answer(&answer),
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
                Ok(again) => Pending::Tell(ToHub::Reclaim(self.conn, Box::new(again))),
                Err(invalid) => Pending::Answer(answers::bad_request(&invalid.to_string())),
            },
            ClientMessage::Update(update) => Pending::Tell(ToHub::Update(self.conn, Box::new(update))),
            ClientMessage::Sync { from } => Pending::Tell(ToHub::Sync(self.conn, from)),
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
        if let Some(us) = ping.rtt_us {
            self.pulse.set_rtt(Duration::from_micros(us.into()));
        }
        if let Some(rev) = ping.rev {
            self.pulse.set_revision(crate::presence::Revision(rev));
        }
        answers::pong(ping, now, rules)
    }

    /// Passes a line of chat on, unless the client talks too much.
    fn relay(&mut self, chat: Chat, now: Instant) -> Pending {
        if self.chat.take(now) {
            Pending::Tell(ToHub::Chat(self.conn, Box::new(chat)))
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
            _ => Departure::new(Reason::Lost, error.to_string()),
        },
    }
}

/// Runs a conversation so that a panic in it ends this one client and nothing else.
async fn contained(conversation: impl Future<Output = Departure>) -> Departure {
    let mut conversation = pin!(conversation);
    std::future::poll_fn(move |cx| {
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| conversation.as_mut().poll(cx)));
        polled
            .unwrap_or_else(|_| Poll::Ready(Departure::new(Reason::Protocol, "internal error, see the log")))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_conversation_is_one_departure() {
        let departure = contained(async { panic!("on purpose") }).await;
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
}
#[cfg(test)]
mod sizes {
    #[tokio::test]
    async fn sizes() {
        let (mut hub, handle, _) = super::super::hub::Hub::new(super::super::Options{ name: "x".into(), settings: Default::default(), limits: crate::presence::registry::Limits{max_clients:1,max_per_ip:0,retention:std::time::Duration::from_secs(1)}, register_timeout: std::time::Duration::from_secs(1)});
        let l = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let s = tokio::net::TcpStream::connect(l.local_addr().unwrap()).await.unwrap();
        println!("tcp {}", std::mem::size_of_val(&s));
        let f = super::run(s, super::Caller{ peer: l.local_addr().unwrap(), permit: None, cancel: Default::default() }, handle.clone());
        println!("run future {}", std::mem::size_of_val(&f));
        println!("wire {}", std::mem::size_of::<super::Wire<tokio::net::TcpStream>>());
        println!("session {}", std::mem::size_of::<super::Session>());
        println!("link {}", std::mem::size_of::<super::Link>());
        println!("pulse {}", std::mem::size_of::<super::Pulse>());
        println!("row {}", std::mem::size_of::<crate::presence::registry::Row>());
        println!("notified {}", std::mem::size_of::<tokio::sync::futures::Notified>());
        println!("registration {}", std::mem::size_of::<super::Registration>());
        println!("msg {}", std::mem::size_of::<super::ClientMessage>());
        println!("tohub {}", std::mem::size_of::<super::ToHub>());
        println!("sleep {}", std::mem::size_of::<tokio::time::Sleep>());
        println!("departure {}", std::mem::size_of::<super::Departure>());
        let _ = hub.subscribe(1);
    }
}
