//! One connection: bytes in, bytes out, and the clock; [`super::dialogue`] decides.

use std::io;
use std::ops::ControlFlow::{Break, Continue};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{self, Instant};
use tokio_util::codec::Decoder;
use tokio_util::sync::CancellationToken;

use super::console::{Console, next_command};
use super::dialogue::{Dialogue, Ending, Input};
use super::identity::Identity;
use crate::protocol::LineCodec;
use crate::protocol::codec::LIST_BYTES_MAX;
use crate::security::duplex::Stream;

/// How long a server may refuse to take what is sent to it.
const WRITE_PATIENCE: Duration = Duration::from_secs(5);
/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_millis(500);
/// How much is read at once when nothing is known of what comes.
const READ_BYTES: usize = 1_024;

/// A stream cut into lines.
///
/// Reads by itself and not through `FramedRead`, because half a line proves
/// life too: a long list over a slow link may take longer than the timeout.
pub(super) struct Wire {
    reader: ReadHalf<Stream>,
    writer: WriteHalf<Stream>,
    codec: LineCodec,
    buffer: BytesMut,
}

/// Converses over `stream` until one side has had enough.
pub async fn converse(
    stream: Stream,
    dialogue: &mut Dialogue,
    identity: &mut Identity,
    console: &mut Console,
) -> Ending {
    let mut wire = Wire::new(stream);
    let ending = loop {
        if let Break(ending) = dialogue.tick(Instant::now(), &mut console.desk) {
            break ending;
        }
        if let Err(cause) = wire.send(&dialogue.take_outbox(), &console.cancel).await {
            dialogue.broke(cause, Instant::now());
        }
        console.desk.publish_due(Instant::now());
        let input = next_input(&mut wire, dialogue, console).await;
        match dialogue.handle(input, Instant::now(), &mut console.desk) {
            Continue(()) => {}
            Break(ending) => break ending,
        }
        if let Some(secret) = dialogue.take_secret() {
            remember(identity, &secret);
        }
    };
    // Best effort: the server may be gone.
    let quits = ending == Ending::Quit;
    let _ = time::timeout(GOODBYE, wire.goodbye(&dialogue.take_outbox(), quits)).await;
    dialogue.over(&mut console.desk);
    ending
}

/// Waits for whatever comes first.
///
/// The order is fixed: what was received is looked at before the clock, so
/// that after a pause of our own nobody is blamed for what we had not read.
pub(super) async fn next_input(wire: &mut Wire, dialogue: &Dialogue, console: &mut Console) -> Input {
    let wake = [dialogue.wake_at(), console.desk.publish_at()].into_iter().flatten().min();
    tokio::select! {
        biased;
        () = console.cancel.cancelled() => Input::Cancelled,
        command = next_command(&mut console.commands) => Input::Command(command),
        input = wire.next() => input,
        () = at(wake) => Input::Quiet,
    }
}

/// Sleeps until then, or for ever.
pub(super) async fn at(when: Option<Instant>) {
    match when {
        Some(when) => time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}

/// Keeps the secret, without making a heartbeat wait for a disk.
fn remember(identity: &mut Identity, secret: &str) {
    if let Some(save) = identity.remember(secret) {
        tokio::task::spawn_blocking(move || {
            if let Err(error) = save.run() {
                tracing::warn!(%error, "could not save the identity");
            }
        });
    }
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let codec = LineCodec::new(LIST_BYTES_MAX);
        Self { reader, writer, codec, buffer: BytesMut::with_capacity(READ_BYTES) }
    }

    /// Waits for a line, or for a piece of one; may be given up at any point.
    async fn next(&mut self) -> Input {
        match self.codec.decode(&mut self.buffer) {
            Ok(Some(line)) => return Input::Line(line),
            Ok(None) => {}
            Err(error) => return Input::Closed(error.to_string()),
        }
        self.buffer.reserve(READ_BYTES);
        match self.reader.read_buf(&mut self.buffer).await {
            Ok(0) => Input::Closed("the server closed the connection".to_owned()),
            Ok(_) => Input::Bytes,
            Err(error) => Input::Closed(error.to_string()),
        }
    }

    /// Sends, unless the program stops meanwhile; what is left of it then does not matter any more.
    async fn send(&mut self, bytes: &[u8], cancel: &CancellationToken) -> Result<(), String> {
        if bytes.is_empty() || cancel.is_cancelled() {
            return Ok(());
        }
        tokio::select! {
            biased;
            sent = time::timeout(WRITE_PATIENCE, self.write(bytes)) => match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("the server takes nothing in: nothing could be sent for 5s".to_owned()),
            },
            () = cancel.cancelled() => Ok(()),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes).await?;
        self.writer.flush().await
    }

    /// Says the last words. Whoever `quits` waits for the server to close: a socket that is closed with something
    /// unread in it is reset, and a reset may overtake the words.
    async fn goodbye(&mut self, bytes: &[u8], quits: bool) -> io::Result<()> {
        self.write(bytes).await?;
        self.writer.shutdown().await?;
        let mut sink = [0; READ_BYTES];
        while quits && self.reader.read(&mut sink).await? > 0 {}
        Ok(())
    }
}
