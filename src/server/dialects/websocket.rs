//! A WebSocket as a session sees it: lines in, lines out.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use futures_util::{Sink, Stream as _, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

use crate::presence::Dialect;
use crate::protocol::websocket::{Frame, Talk, close_code, close_reason};
use crate::protocol::{ErrorCode, LINE_BYTES_MAX, ServerMessage, register};
use crate::security::duplex::{Duplex, Stream};
use crate::server::answers;
use crate::server::arrival::{self, Caller};
use crate::server::handle::HubHandle;
use crate::server::link::Link;
use crate::server::session::Ended;
use crate::server::wire::Wire;

/// How much is read at once.
const READ_BYTES: usize = 2 * 1024;

/// Leads a conversation in frames; `read` was read already, and `name` is what its request called it.
pub(crate) async fn lead(
    io: Stream,
    read: Vec<u8>,
    name: Option<String>,
    link: Arc<Link>,
    mut caller: Box<Caller>,
    hub: HubHandle,
) {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(LINE_BYTES_MAX))
        .max_frame_size(Some(LINE_BYTES_MAX));
    let socket = WebSocketStream::from_partially_read(io, read, Role::Server, Some(config)).await;
    let mut frames =
        Frames { socket, talk: Talk::Native, lines: BytesMut::new(), error: None, closed: false };
    caller.origin.dialect = Dialect::WebSocket;
    let peer = caller.origin.peer;
    if let Err(last_word) = arrival::in_time(&caller, &hub, frames.begin(name.as_deref(), peer)).await {
        return Wire::new(&mut frames as &mut dyn Duplex, link).close(last_word).await;
    }
    caller.origin.deaf = frames.talk.is_bare();
    arrival::lead(&mut frames, &link, *caller, &hub).await;
}

/// The adapter between frames and lines.
struct Frames {
    socket: WebSocketStream<Stream>,
    talk: Talk,
    /// Lines made of frames, that nobody has read yet.
    lines: BytesMut,
    /// The error that was said last, unless something was heard after it: then it did not end anything.
    error: Option<(ErrorCode, String)>,
    /// The close frame is on its way.
    closed: bool,
}

impl Frames {
    /// Waits for the first frame, which tells who talks.
    async fn begin(&mut self, name: Option<&str>, peer: std::net::SocketAddr) -> Result<(), Ended> {
        loop {
            let message = match self.socket.next().await {
                Some(Ok(message)) => message,
                Some(Err(error)) => match io_error(error) {
                    Some(error) if error.kind() == io::ErrorKind::InvalidData => {
                        return Err(answers::misread(&error));
                    }
                    _ => return Err(Ended::silent()),
                },
                None => return Err(Ended::silent()),
            };
            let frame = match &message {
                Message::Text(text) => Frame::Text(text),
                Message::Binary(_) => Frame::Binary,
                Message::Close(_) => return Err(Ended::silent()),
                _ => continue,
            };
            self.talk = Talk::begun_with(frame);
            if self.talk.is_bare() {
                self.lines.extend_from_slice(&register::in_place_of(name, peer));
            }
            self.talk.hear(frame, &mut self.lines);
            return Ok(());
        }
    }

    /// Makes lines of a frame; `false` at the end of the conversation.
    fn hear(&mut self, message: &Message) -> bool {
        self.error = None;
        let frame = match message {
            Message::Text(text) => Frame::Text(text),
            Message::Binary(_) => Frame::Binary,
            Message::Close(frame) => {
                let code = frame.as_ref().map_or(CloseCode::Status, |frame| frame.code);
                let goodbye = matches!(code, CloseCode::Normal | CloseCode::Away | CloseCode::Status);
                if goodbye {
                    // Closing properly is how a WebSocket says goodbye: a tab that is closed does.
                    self.lines.extend_from_slice(b"{\"type\":\"leave\",\"reason\":\"closed\"}\n");
                }
                return goodbye;
            }
            _ => Frame::Control,
        };
        self.talk.hear(frame, &mut self.lines);
        true
    }

    fn close_frame(&self) -> CloseFrame {
        let code = close_code(self.error.as_ref().map(|(code, _)| *code)).into();
        let reason = self.error.as_ref().map(|(code, message)| close_reason(*code, message));
        CloseFrame { code, reason: reason.unwrap_or_default().into() }
    }
}

/// Returns what a line complains about, if it does.
fn error_in(line: &[u8]) -> Option<(ErrorCode, String)> {
    // Most lines are no errors, and some are large.
    let complains = line.starts_with(b"{\"type\":\"error\"");
    match complains.then(|| ServerMessage::decode(line)) {
        Some(Ok(ServerMessage::Error(error))) => Some((error.code, error.message)),
        _ => None,
    }
}

/// Returns what went wrong; `None` when the other end is simply gone.
fn io_error(error: Error) -> Option<io::Error> {
    match error {
        Error::Io(error) => Some(error),
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Capacity(_) => Some(io::Error::new(io::ErrorKind::InvalidData, answers::too_long())),
        other => Some(io::Error::new(io::ErrorKind::InvalidData, other.to_string())),
    }
}

impl AsyncRead for Frames {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.lines.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(message)) => {
                    if !self.hear(&message) {
                        return Poll::Ready(Ok(()));
                    }
                }
                Some(Err(error)) => return Poll::Ready(io_error(error).map_or(Ok(()), Err)),
                None => return Poll::Ready(Ok(())),
            }
        }
        let taken = self.lines.len().min(buf.remaining());
        buf.put_slice(self.lines.get(..taken).unwrap_or_default());
        self.lines.advance(taken);
        if self.lines.is_empty() {
            self.lines = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Frames {
    /// Takes one line, once the one before it has gone.
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(broken)?;
        let end = memchr::memchr(b'\n', buf).unwrap_or(buf.len());
        let line = buf.get(..end).unwrap_or_default();
        self.error = error_in(line);
        if let Some(text) = self.talk.say(line) {
            let message = Message::text(text.into_owned());
            Pin::new(&mut self.socket).start_send(message).map_err(broken)?;
        }
        Poll::Ready(Ok(buf.len().min(end + 1)))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(broken)
    }

    /// Says goodbye with the reason.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(broken)?;
        if !self.closed {
            self.closed = true;
            let frame = self.close_frame();
            // Where the other end has closed already, there is nothing left to say.
            let _ = Pin::new(&mut self.socket).start_send(Message::Close(Some(frame)));
        }
        Pin::new(&mut self.socket).poll_flush(cx).map_err(broken)
    }
}

fn broken(error: Error) -> io::Error {
    io_error(error).unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())
}
