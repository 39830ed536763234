//! A client that comes to say one thing, waits for what becomes of it, and goes.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use thiserror::Error;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{self, Instant, timeout_at};
use tokio_util::codec::FramedRead;

use super::connect::{Connected, Connector};
use crate::net::addr::ServerAddr;
use crate::protocol::codec::LIST_BYTES_MAX;
use crate::protocol::notify::{BadNotify, To};
use crate::protocol::{
    ClientMessage, ErrorCode, LineCodec, Notify, NotifyResult, Ping, Register, ServerMessage, VERSION, clean,
};
use crate::security::duplex::Stream;

/// How long looking the server up, connecting and being welcomed may take, each.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the server may take to say what became of the message; it gives its clients 30 s.
const RESULT_PATIENCE: Duration = Duration::from_secs(35);
/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_millis(500);
/// The longest text of a server that is shown.
const WORDS_BYTES_MAX: usize = 512;

/// What is to be said.
#[derive(Debug, Clone)]
pub struct Errand {
    /// Who says it.
    pub name: String,
    /// To whom, and what.
    pub notify: Notify,
}

/// Why a message could not be sent.
#[derive(Debug, Error)]
pub enum MessengerError {
    /// Nobody was reached.
    #[error("could not connect to {0}: {1}")]
    Unreached(String, String),
    /// The server speaks the base protocol alone.
    #[error("{0} did not say welcome within 5s: it is no presence-tui server, or one too busy to answer")]
    Unwelcome(String),
    /// The server does not want to pass it on.
    #[error("{server} refused it: {code}: {message}{remedy}")]
    Refused {
        /// The server.
        server: String,
        /// What kind of error.
        code: ErrorCode,
        /// The server's words.
        message: String,
        /// What can be done about it, where that is known: in brackets, with a blank before them.
        remedy: &'static str,
    },
    /// The connection ended before anything was known.
    #[error("{0} ended the connection before it said what became of the message: {1}")]
    Lost(String, String),
}

/// Why nobody can be told from words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadErrand {
    /// Not a target.
    #[error("--to {0:?} is none of user=NAME, id=ID, tag=KEY=VALUE and all")]
    To(String),
    /// Several targets.
    #[error("--to can be given more than once for tags only")]
    Several,
    /// What is said breaks a rule.
    #[error("{0}")]
    Words(#[from] BadNotify),
}

impl Errand {
    /// Reads whom to tell from words such as `user=ada` or `tag=role=ci`, and checks what is to be said.
    ///
    /// # Errors
    /// No such target, or nothing or too much to say.
    pub fn new(name: String, to: &[String], title: Option<String>, body: String) -> Result<Self, BadErrand> {
        let notify = Notify { to: target(to)?, title, body };
        notify.clone().check()?;
        Ok(Self { name, notify })
    }
}

fn target(words: &[String]) -> Result<To, BadErrand> {
    let mut to = To::default();
    for (nth, word) in words.iter().enumerate() {
        let bad = || BadErrand::To(word.clone());
        let (kind, value) = word.split_once('=').unwrap_or((word, ""));
        if nth > 0 && (kind != "tag" || to.tag.is_empty()) {
            return Err(BadErrand::Several);
        }
        match (kind, value) {
            ("all", "") if !word.contains('=') => to.all = true,
            (_, "") => return Err(bad()),
            ("user", user) => to.user = Some(user.to_owned()),
            ("id", id) => to.id = Some(id.to_owned()),
            ("tag", tag) => {
                let (key, value) =
                    tag.split_once(['=', ':']).filter(|(key, _)| !key.is_empty()).ok_or_else(bad)?;
                to.tag.0.push((key.to_owned(), value.to_owned()));
            }
            _ => return Err(bad()),
        }
    }
    Ok(to)
}

/// Connects, shows its token if it has one, says it, waits for what becomes of it, and leaves.
///
/// Counts that are not final are returned when the server takes longer than it should.
///
/// # Errors
/// It could not be said, or nothing is known of what became of it.
pub async fn run(
    connector: &dyn Connector,
    server: &ServerAddr,
    token: Option<&str>,
    errand: &Errand,
) -> Result<NotifyResult, MessengerError> {
    let unreached = |why| MessengerError::Unreached(server.to_string(), why);
    let (stream, local) = reach(connector, server).await.map_err(unreached)?;
    let (reader, writer) = tokio::io::split(stream);
    let lines = FramedRead::new(reader, LineCodec::new(LIST_BYTES_MAX));
    let mut visit = Visit { server: server.to_string(), lines, writer };
    let told = visit.tell(errand, token, local).await;
    // Best effort: it has been said, and the server may be gone.
    let _ = time::timeout(GOODBYE, visit.leave()).await;
    told
}

async fn reach(connector: &dyn Connector, server: &ServerAddr) -> Result<Connected, String> {
    let addresses = match time::timeout(PATIENCE, connector.resolve(server)).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err("its name could not be looked up within 5s".to_owned()),
    };
    let mut cause = "it has no address".to_owned();
    for address in addresses {
        cause = match time::timeout(PATIENCE, connector.connect(address)).await {
            Ok(Ok(connected)) => return Ok(connected),
            // It is there, and is not what it should be, such as somebody else by its certificate.
            Ok(Err(error)) if error.kind() == io::ErrorKind::Other => error.to_string(),
            Ok(Err(error)) => format!("{error} (is the server running there?)"),
            Err(_) => format!("{address} did not answer within 5s"),
        };
    }
    Err(cause)
}

/// One connection to the server.
struct Visit {
    server: String,
    lines: FramedRead<ReadHalf<Stream>, LineCodec>,
    writer: WriteHalf<Stream>,
}

impl Visit {
    async fn tell(
        &mut self,
        errand: &Errand,
        token: Option<&str>,
        local: Option<SocketAddr>,
    ) -> Result<NotifyResult, MessengerError> {
        let local = local.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
        // Without an id: nobody is to write to it, and nobody to miss it when it is gone.
        self.say(&ClientMessage::Register(Box::new(Register {
            client_ip: local.ip().to_canonical().to_string(),
            client_port: local.port(),
            v: Some(VERSION.into()),
            name: Some(errand.name.clone()),
            want: vec!["notify".to_owned()],
            token: token.map(str::to_owned),
            ..Register::default()
        })))
        .await?;
        let interval = self.welcome().await?;
        self.say(&ClientMessage::Notify(Box::new(errand.notify.clone()))).await?;
        self.result(interval).await
    }

    /// Waits to be let in; returns how often to ping.
    async fn welcome(&mut self) -> Result<Duration, MessengerError> {
        let until = Instant::now() + PATIENCE;
        loop {
            match timeout_at(until, self.hear()).await {
                Ok(message) => match message? {
                    ServerMessage::Welcome(welcome) => {
                        return Ok(Duration::from_millis(welcome.interval_ms.clamp(100, 3_600_000)));
                    }
                    ServerMessage::Error(error) => return Err(self.refused(error.code, &error.message)),
                    _ => {}
                },
                Err(_) => return Err(MessengerError::Unwelcome(self.server.clone())),
            }
        }
    }

    /// Waits for the last result, alive as any client meanwhile.
    async fn result(&mut self, interval: Duration) -> Result<NotifyResult, MessengerError> {
        let until = Instant::now() + RESULT_PATIENCE;
        let mut next_ping = Instant::now() + interval * 3 / 4;
        let mut last = None;
        loop {
            let heard = match timeout_at(until.min(next_ping), self.hear()).await {
                Ok(heard) => heard,
                Err(_) if Instant::now() < until => Ok(ServerMessage::Probe),
                Err(_) => return last.ok_or_else(|| self.lost("nothing was said within 35s")),
            };
            match heard {
                Ok(ServerMessage::NotifyResult(result)) if result.pending == 0 => return Ok(result),
                Ok(ServerMessage::NotifyResult(result)) => last = Some(result),
                Ok(ServerMessage::Error(error)) => return Err(self.refused(error.code, &error.message)),
                Ok(ServerMessage::Probe) => {
                    next_ping = Instant::now() + interval * 3 / 4;
                    self.say(&ClientMessage::Ping(Ping::default())).await?;
                }
                Ok(_) => {}
                Err(error) => return last.ok_or(error),
            }
        }
    }

    /// Returns the next message; lines that are none are passed over.
    async fn hear(&mut self) -> Result<ServerMessage, MessengerError> {
        loop {
            match self.lines.next().await {
                Some(Ok(line)) => {
                    if let Ok(message) = ServerMessage::decode(&line) {
                        return Ok(message);
                    }
                }
                Some(Err(error)) => return Err(self.lost(&error.to_string())),
                None => return Err(self.lost("it closed")),
            }
        }
    }

    async fn say(&mut self, message: &ClientMessage) -> Result<(), MessengerError> {
        let said = async {
            self.writer.write_all(&message.encode()).await?;
            self.writer.flush().await
        };
        match time::timeout(PATIENCE, said).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.lost(&error.to_string())),
            Err(_) => Err(self.lost("it takes nothing in")),
        }
    }

    /// Says goodbye and waits for the server to close: so it is gone for everybody before this program ends.
    async fn leave(&mut self) {
        let leave = ClientMessage::Leave { reason: Some("quit".to_owned()) };
        if self.say(&leave).await.is_ok() && self.writer.shutdown().await.is_ok() {
            while self.hear().await.is_ok() {}
        }
    }

    fn refused(&self, code: ErrorCode, message: &str) -> MessengerError {
        let message = clean::line(message, WORDS_BYTES_MAX);
        let remedy = match code {
            ErrorCode::Auth => {
                " (give one of the role notify: --token-file FILE, or the variable PRESENCE_TUI_TOKEN)"
            }
            _ => "",
        };
        MessengerError::Refused { server: self.server.clone(), code, message, remedy }
    }

    fn lost(&self, cause: &str) -> MessengerError {
        MessengerError::Lost(self.server.clone(), cause.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::register::Tags;

    fn to(words: &[&str]) -> Result<To, BadErrand> {
        target(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn whom_to_tell_is_read_from_words() {
        let plain = To::default;
        let tags = |pairs: &[(&str, &str)]| {
            Tags(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
        };
        assert_eq!(to(&["user=ada"]), Ok(To { user: Some("ada".into()), ..plain() }));
        assert_eq!(to(&["user=a=b"]), Ok(To { user: Some("a=b".into()), ..plain() }));
        assert_eq!(to(&["id=k3"]), Ok(To { id: Some("k3".into()), ..plain() }));
        assert_eq!(to(&["all"]), Ok(To { all: true, ..plain() }));
        for words in ["tag=role=ci", "tag=role:ci"] {
            assert_eq!(to(&[words]), Ok(To { tag: tags(&[("role", "ci")]), ..plain() }));
        }
        let two = To { tag: tags(&[("role", "ci"), ("rack", "3")]), ..plain() };
        assert_eq!(to(&["tag=role=ci", "tag=rack=3"]), Ok(two));
        for words in ["", "ada", "user", "user=", "all=1", "all=", "tag=role", "tag==x", "name=ada"] {
            assert_eq!(to(&[words]), Err(BadErrand::To(words.to_owned())), "{words}");
        }
        for words in [["all", "tag=a=b"], ["user=a", "user=b"], ["tag=a=b", "all"]] {
            assert_eq!(to(&words), Err(BadErrand::Several), "{words:?}");
        }
    }
}
