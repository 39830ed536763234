//! One conversation with one client, from its first byte to its last word.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::answers::{self, Pending};
use super::flood::Allowance;
use super::handle::{HubHandle, Origin, Sending, ToHub};
use super::link::Link;
use super::wire::{Heard, LastWord, WRITE_DEADLINE, Wire, WireEnd};
use crate::presence::pulse::missed_beats;
use crate::presence::{ConnNo, Departure, Pulse, Reason, Revision};
use crate::protocol::{Chat, ClientMessage, ErrorCode, Notify, Ping, Registration, ServerMessage, clean};

/// So many lines in a row that cannot be understood end a conversation.
pub const BAD_LINES_MAX: u8 = 16;
/// So many lines before a `register` end a conversation that has not begun.
const LINES_BEFORE_MAX: u32 = 64;
/// How many chat lines a client may say at once.
const CHAT_BURST: u8 = 8;
/// How long it takes until it may say one more.
const CHAT_PERIOD: Duration = Duration::from_millis(500);

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
pub(crate) async fn greet<S>(
    wire: &mut Wire<S>,
    link: &Arc<Link>,
    mut origin: Origin,
    hub: &HubHandle,
) -> Result<Session, Ended>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut bad_lines = 0;
    for _ in 0..LINES_BEFORE_MAX {
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
                Ok(registration) => {
                    let now = Instant::now().into_std();
                    origin.rights = Some(hub.gate().admit(now, &origin, registration.token.as_deref())?);
                    return admit(wire, link, origin, hub, registration).await;
                }
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
        wire.answer(answers::bad_request(&complaint));
    }
    let words = format!("{LINES_BEFORE_MAX} lines, and no register among them");
    Err(Ended::told(ErrorCode::Flood, words, Some(5_000)))
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
    let chose_its_id = registration.identity.is_some();
    let certified = origin.user.is_some();
    let welcomed = hub.join(origin, registration, pulse.clone(), link.clone()).await?;
    if version > 0 {
        wire.answer(ServerMessage::Welcome(Box::new(welcomed.welcome)).encode());
    }
    let own_interval = (version == 0).then(|| hub.rules().interval());
    Ok(Session {
        tenancy: Tenancy { conn: welcomed.conn, hub: hub.clone(), over: false },
        own_id: chose_its_id.then_some(welcomed.id),
        certified,
        pulse,
        last_beat: None,
        bad_lines: 0,
        followed: false,
        allowance: Allowance::new(own_interval),
        chat: None,
        telling: None,
    })
}

/// A registered client's side of the conversation.
///
/// This and a [`Wire`] is all there is of a client that says nothing, so what is rare is on the heap.
#[derive(Debug)]
pub(crate) struct Session {
    tenancy: Tenancy,
    /// The identity it registered under, if it chose one.
    own_id: Option<Arc<str>>,
    /// Its certificate says whose it is.
    certified: bool,
    pulse: Arc<Pulse>,
    last_beat: Option<Instant>,
    bad_lines: u8,
    /// The client has just said that it follows another revision of the settings.
    followed: bool,
    /// What it may still say.
    allowance: Allowance,
    /// From its first line of chat on.
    chat: Option<Box<ChatBudget>>,
    /// What the hub is being told, while its inbox is full.
    telling: Option<Box<[Sending; 2]>>,
}

impl Session {
    /// Converses until somebody ends it; returns the last word for the client.
    pub(crate) async fn attend<S>(mut self, wire: &mut Wire<S>) -> LastWord
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let departure = poll_fn(|cx| self.poll_attend(cx, wire)).await;
        self.end(departure).await
    }

    /// As [`Self::attend`], for whoever is polled: converses until somebody ends it; [`Self::end`] is next.
    pub(crate) fn poll_attend<S>(&mut self, cx: &mut Context<'_>, wire: &mut Wire<S>) -> Poll<Departure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match wire.link().poll_verdict(cx) {
            Poll::Ready(departure) => Poll::Ready(departure),
            Poll::Pending => self.poll_converse(cx, wire),
        }
    }

    /// Tells the hub why it is over; returns the last word for the client.
    pub(crate) async fn end(mut self, departure: Departure) -> LastWord {
        let last_word = answers::last_word(&departure, &self.tenancy.hub);
        self.tenancy.end(departure).await;
        last_word
    }

    /// Listens and answers until the client ends it; the hub's word to stop is its caller's business.
    ///
    /// Polled by hand: all there is to remember between two lines is in the
    /// session, and nothing of it in a future that a silent client would keep.
    fn poll_converse<S>(&mut self, cx: &mut Context<'_>, wire: &mut Wire<S>) -> Poll<Departure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            if let Some(telling) = &mut self.telling {
                for message in telling.iter_mut() {
                    ready!(Pin::new(message).poll(cx));
                }
                self.telling = None;
            }
            let told = match ready!(wire.poll_hear(cx)) {
                Ok(Heard::Line(line)) => self.take_in(&line, wire),
                Ok(Heard::WantsPage) => {
                    Ok([self.tenancy.hub.send(ToHub::NextPage(self.tenancy.conn)), Sending::done()])
                }
                Err(end) => Err(departure(end)),
            };
            match told {
                Ok(told) if told.iter().any(Sending::waits) => self.telling = Some(Box::new(told)),
                Ok(_) => {}
                Err(departure) => return Poll::Ready(departure),
            }
        }
    }

    /// Takes one line in; returns what the hub was told, to be waited for, or why the conversation is over.
    fn take_in<S>(&mut self, line: &[u8], wire: &mut Wire<S>) -> Result<[Sending; 2], Departure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let now = Instant::now();
        let conn = self.tenancy.conn;
        let silence = now.into_std().saturating_duration_since(self.pulse.last_seen());
        let hub = &self.tenancy.hub;
        let (interval, factor) = (hub.rules().interval(), hub.rules().flood_factor());
        let within = self.allowance.take(silence, interval, factor);
        let noted = match (self.pulse.touch(now.into_std()), within) {
            (true, _) => hub.send(ToHub::Woke(conn)), // After such a silence there is no flood.
            (false, true) => Sending::done(),
            (false, false) => hub.send(ToHub::Flooding(conn)),
        };
        let message = match ClientMessage::decode(line) {
            Ok(message) => message,
            Err(error) => {
                self.allowance.give_back(); // So many in a row are the end in any case.
                self.bad_lines += 1;
                if self.bad_lines >= BAD_LINES_MAX {
                    return Err(Departure::new(Reason::Protocol, answers::too_many_bad_lines()));
                }
                wire.answer(answers::bad_request(&error.to_string()));
                return Ok([noted, Sending::done()]);
            }
        };
        self.bad_lines = 0;
        let told = match self.hear(message, now) {
            Pending::Answer(answer) => {
                wire.answer(answer);
                let followed = std::mem::take(&mut self.followed);
                if followed { self.tenancy.hub.send(ToHub::Followed(conn)) } else { Sending::done() }
            }
            Pending::Tell(message) => self.tenancy.hub.send(message),
            Pending::Leave(departure) => return Err(departure),
            Pending::Nothing => Sending::done(),
        };
        Ok([noted, told])
    }

    /// Decides what a message calls for.
    fn hear(&mut self, message: ClientMessage, now: Instant) -> Pending {
        match message {
            ClientMessage::Ping(ping) => Pending::Answer(self.beat(ping, now)),
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
                Ok(again) => Pending::Tell(ToHub::Reclaim {
                    conn: self.tenancy.conn,
                    again: Box::new(again),
                    certified: self.certified,
                }),
                Err(invalid) => Pending::Answer(answers::bad_request(&invalid.to_string())),
            },
            ClientMessage::Update(update) => {
                Pending::Tell(ToHub::Update(self.tenancy.conn, Box::new(update)))
            }
            ClientMessage::Sync { from } => Pending::Tell(ToHub::Sync(self.tenancy.conn, from)),
            ClientMessage::Chat(chat) => self.relay(chat, now),
            ClientMessage::Notify(notify) => self.pass_on(*notify, now),
            ClientMessage::Receipt(receipt) => match receipt.number() {
                Some(number) => Pending::Tell(ToHub::Receipt(self.tenancy.conn, number)),
                None => Pending::Nothing,
            },
        }
    }

    /// Counts a ping and writes its pong.
    fn beat(&mut self, ping: Ping, now: Instant) -> Vec<u8> {
        let rules = self.tenancy.hub.rules();
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

    /// Passes a notification on, if it is sound; it counts as a line of chat.
    fn pass_on(&mut self, notify: Notify, now: Instant) -> Pending {
        self.allowance.give_back(); // It is rationed here.
        if !self.chat.get_or_insert_default().take(now) {
            return Pending::Answer(answers::slower("notifications"));
        }
        match notify.check() {
            Ok(notification) => Pending::Tell(ToHub::Notify(self.tenancy.conn, Box::new(notification))),
            Err(bad) => Pending::Answer(answers::bad_request(&bad.to_string())),
        }
    }

    /// Passes a line of chat on, unless the client talks too much.
    fn relay(&mut self, chat: Chat, now: Instant) -> Pending {
        if self.chat.get_or_insert_default().take(now) {
            self.allowance.give_back(); // It has just been rationed.
            Pending::Tell(ToHub::Chat(self.tenancy.conn, Box::new(chat)))
        } else {
            Pending::Answer(answers::slower("chat lines"))
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
}
