//! What carries the heartbeat: bytes over TCP, or WebSocket messages over TCP or TLS.
//!
//! Sending and receiving go on side by side, so that neither waits for the
//! other: a server that talks without end is still beaten at, and one that
//! takes nothing in is still heard.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Sink, SinkExt, Stream as _, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{self, Instant};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::plan::Payload;
use crate::net::url::{ForeignUrl, Scheme};
use crate::protocol::clean;
use crate::security::duplex::Stream;
use crate::security::tls::ClientTls;

/// The largest message that is taken; a server that sends a larger one is left.
pub(super) const MESSAGE_BYTES_MAX: usize = 64 * 1_024;
/// How much may wait to be sent.
const OUT_BYTES_MAX: usize = 256 * 1_024;
/// How much is read at once, and so how much comes between two looks at the clock.
const READ_BYTES: usize = 4 * 1_024;
/// How much of a server's words is shown.
const WORDS_BYTES_MAX: usize = 200;
/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_millis(500);

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A message.
    Message(Bytes),
    /// The next bytes of a stream that has no messages.
    Bytes(Bytes),
    /// A sign of life without content.
    Control,
    /// The connection is over; why, in clean words.
    Closed(String),
}

/// One open connection.
pub(super) struct Wire {
    carrier: Carrier,
    /// Since when something has been waiting to be sent.
    unsent_since: Option<Instant>,
    /// Whether a beat is among it.
    beat_unsent: bool,
}

enum Carrier {
    Raw(Raw),
    WebSocket(Box<WebSocketStream<Stream>>),
}

struct Raw {
    stream: Stream,
    out: BytesMut,
}

impl Wire {
    /// Begins to speak over a stream that has just been connected.
    ///
    /// # Errors
    /// The server does not speak what its address says; in clean words.
    pub(super) async fn open(
        stream: Stream,
        url: &ForeignUrl,
        tls: Option<&ClientTls>,
    ) -> Result<Self, String> {
        let stream = match tls {
            Some(tls) => {
                let secret = tls.connect(url.server().host(), stream).await;
                secret.map_err(|words| clean_words(&words))?
            }
            None => stream,
        };
        let carrier = match url.scheme() {
            Scheme::TcpRaw => Carrier::Raw(Raw { stream, out: BytesMut::new() }),
            Scheme::Ws | Scheme::Wss => {
                let shaking = tokio_tungstenite::client_async_with_config(url.full(), stream, Some(limits()));
                // On the heap: the handshake's buffers are far larger than what surrounds it.
                let (socket, _) = Box::pin(shaking).await.map_err(|error| words(&error))?;
                Carrier::WebSocket(Box::new(socket))
            }
        };
        Ok(Self { carrier, unsent_since: None, beat_unsent: false })
    }

    /// Queues a beat, unless the last one is still waiting: beats must not pile up.
    ///
    /// Returns whether it will be sent.
    ///
    /// # Errors
    /// Nothing can be sent any more; in clean words.
    pub(super) fn beat(&mut self, payload: &Payload, now: Instant) -> Result<bool, String> {
        let queued = !self.beat_unsent && self.queue(payload, now)?;
        self.beat_unsent |= queued;
        Ok(queued)
    }

    /// Queues a text, unless too much is waiting already.
    ///
    /// Returns whether it will be sent.
    ///
    /// # Errors
    /// Nothing can be sent any more; in clean words.
    pub(super) fn queue(&mut self, payload: &Payload, now: Instant) -> Result<bool, String> {
        let queued = match &mut self.carrier {
            Carrier::Raw(raw) => raw.queue(payload),
            Carrier::WebSocket(socket) => {
                let message = match payload {
                    Payload::Text(text) => Message::text(text.as_str()),
                    Payload::Bytes(bytes) => Message::binary(bytes.clone()),
                };
                match Pin::new(&mut **socket).start_send(message) {
                    Ok(()) => true,
                    Err(Error::WriteBufferFull(_)) => false,
                    Err(error) => return Err(words(&error)),
                }
            }
        };
        if queued {
            self.unsent_since.get_or_insert(now);
        }
        Ok(queued)
    }

    /// Returns since when something has been waiting to be sent.
    #[must_use]
    pub(super) fn unsent_since(&self) -> Option<Instant> {
        self.unsent_since
    }

    /// Sends what is waiting, and waits for what comes in; may be given up at any point.
    pub(super) async fn hear(&mut self) -> Heard {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        if self.unsent_since.is_some() {
            let sent = match &mut self.carrier {
                Carrier::Raw(raw) => raw.poll_send(cx).map_err(|error| clean_words(&error.to_string())),
                Carrier::WebSocket(socket) => {
                    Pin::new(&mut **socket).poll_flush(cx).map_err(|error| words(&error))
                }
            };
            match sent {
                Poll::Ready(Ok(())) => (self.unsent_since, self.beat_unsent) = (None, false),
                Poll::Ready(Err(cause)) => return Poll::Ready(Heard::Closed(cause)),
                Poll::Pending => {}
            }
        }
        match &mut self.carrier {
            Carrier::Raw(raw) => raw.poll_hear(cx),
            Carrier::WebSocket(socket) => {
                let heard = ready!(Pin::new(&mut **socket).poll_next(cx));
                Poll::Ready(message(heard))
            }
        }
    }

    /// Takes leave, as far as half a second allows; the server may be gone.
    pub(super) async fn goodbye(mut self) {
        let _ = time::timeout(GOODBYE, self.part()).await; // Best effort.
    }

    async fn part(&mut self) -> Result<(), Error> {
        match &mut self.carrier {
            Carrier::Raw(raw) => {
                std::future::poll_fn(|cx| raw.poll_send(cx)).await?;
                raw.stream.shutdown().await?;
            }
            Carrier::WebSocket(socket) => {
                let frame = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::from_static("") };
                socket.send(Message::Close(Some(frame))).await?;
                while let Some(Ok(_)) = socket.next().await {} // Until it says goodbye too.
                socket.get_mut().shutdown().await?;
            }
        }
        Ok(())
    }
}

impl Raw {
    fn queue(&mut self, payload: &Payload) -> bool {
        let bytes = match payload {
            Payload::Text(text) => text.as_bytes(),
            Payload::Bytes(bytes) => bytes,
        };
        let fits = self.out.len() + bytes.len() <= OUT_BYTES_MAX;
        if fits {
            self.out.extend_from_slice(bytes);
        }
        fits
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.out))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.advance(sent);
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_hear(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        let mut bytes = [0; READ_BYTES];
        let mut buffer = ReadBuf::new(&mut bytes);
        Poll::Ready(match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
            Ok(()) if buffer.filled().is_empty() => {
                Heard::Closed("the server closed the connection".to_owned())
            }
            Ok(()) => Heard::Bytes(Bytes::copy_from_slice(buffer.filled())),
            Err(error) => Heard::Closed(clean_words(&error.to_string())),
        })
    }
}

/// Bounds what a server can make this client keep.
fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(OUT_BYTES_MAX / 2)
        .max_write_buffer_size(OUT_BYTES_MAX)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}

fn message(heard: Option<Result<Message, Error>>) -> Heard {
    match heard {
        Some(Ok(Message::Text(text))) => Heard::Message(text.into()),
        Some(Ok(Message::Binary(bytes))) => Heard::Message(bytes),
        // A ping is answered by the library with the next poll.
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Heard::Control,
        Some(Ok(Message::Close(Some(frame)))) => {
            let (code, reason) = (u16::from(frame.code), clean_words(&frame.reason));
            let reason = if reason.is_empty() { String::new() } else { format!(", {reason}") };
            Heard::Closed(format!("the server closed the connection (code {code}{reason})"))
        }
        Some(Ok(Message::Close(None))) | None => Heard::Closed("the server closed the connection".to_owned()),
        Some(Err(error)) => Heard::Closed(words(&error)),
    }
}

/// Says what an error of a WebSocket means.
fn words(error: &Error) -> String {
    match error {
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            "the server closed the connection".to_owned()
        }
        Error::Io(error) => clean_words(&error.to_string()),
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            format!("the server sent a message of more than {} KiB", MESSAGE_BYTES_MAX / 1_024)
        }
        Error::Http(response) => {
            let status = response.status().as_u16();
            format!("the server answered HTTP {status}: there is no WebSocket at this address")
        }
        Error::Protocol(error) => clean_words(&format!("the server does not speak WebSocket: {error}")),
        error => clean_words(&error.to_string()),
    }
}

/// Makes words fit to be shown, for the server may have chosen some of them.
fn clean_words(text: &str) -> String {
    clean::line(text, WORDS_BYTES_MAX)
}
