//! One command: started, told, listened to, and ended in time.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::call::Call;
use crate::config::HookCommand;
use crate::presence::span::brief;
use crate::protocol::clean;

/// How much of its output is kept, for each of the two streams.
const KEPT_BYTES_MAX: usize = 4 * 1024;
/// How much is read and thrown away before the stream is closed at this end.
const READ_BYTES_MAX: u64 = 16 << 20;
/// How much of that a complaint repeats.
const SHOWN_BYTES_MAX: usize = 200;
/// How long what it has written is read once it has ended: somebody it left behind may hold the stream open.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Runs a command for a call; returns in words what went wrong, if anything did.
///
/// When `limit` is over, and also when this is dropped, it is killed with
/// everything it started that is still of its process group.
pub(super) async fn run(command: &HookCommand, call: &Call, limit: Duration) -> Result<(), String> {
    let mut child = start(command, call).map_err(|error| format!("cannot be run: {error}"))?;
    let group = Group::of(&child);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let ended = {
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let talk = async {
            let tell = async {
                if let Some(mut stdin) = stdin {
                    let _ = stdin.write_all(&call.body).await; // It need not listen.
                }
            };
            tokio::join!(tell, keep(stdout, &mut out), keep(stderr, &mut err));
        };
        tokio::pin!(talk);
        let mut talked = false;
        let running = async {
            loop {
                tokio::select! {
                    status = child.wait() => return status,
                    () = &mut talk, if !talked => talked = true,
                }
            }
        };
        let ended = timeout(limit, running).await;
        if ended.is_ok() {
            group.forget();
            if !talked {
                let _ = timeout(LAST_WORDS, talk).await; // What is not read by then is not waited for.
            }
        }
        ended
    };
    let said =
        clean::line(String::from_utf8_lossy(if err.is_empty() { &out } else { &err }).trim(), KEPT_BYTES_MAX);
    tracing::info!(hook = ?command.written, said = ?said, ended = ?ended.as_ref().ok());
    let words = match ended {
        Ok(Ok(status)) if status.success() => return Ok(()),
        Ok(Ok(status)) => end(status),
        Ok(Err(error)) => format!("cannot be waited for: {error}"),
        Err(_) => format!("killed after {}", brief(limit)),
    };
    let said = clean::line(&said, SHOWN_BYTES_MAX);
    Err(if said.is_empty() { words } else { format!("{words}: {said}") })
}

fn start(command: &HookCommand, call: &Call) -> std::io::Result<Child> {
    let mut prepared = Command::new(&command.program);
    prepared
        .args(&command.arguments)
        .envs(call.variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    #[cfg(unix)]
    prepared.process_group(0);
    prepared.spawn()
}

/// Reads a stream to its end, and keeps its beginning.
async fn keep(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(stream) = stream else { return };
    let mut stream = stream.take(READ_BYTES_MAX);
    let mut chunk = [0; 4 * 1024];
    while let Ok(read @ 1..) = stream.read(&mut chunk).await {
        let room = KEPT_BYTES_MAX.saturating_sub(kept.len());
        kept.extend(chunk.iter().take(read.min(room)));
    }
}

/// Says how a command ended.
fn end(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("ended by signal {signal}");
    }
    status.code().map_or_else(|| "failed".to_owned(), |code| format!("exit status {code}"))
}

/// The process group of a command that has not been waited for: so long its number is nobody else's.
struct Group {
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
}

impl Group {
    #[cfg(unix)]
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self { leader: id.and_then(rustix::process::Pid::from_raw) }
    }

    #[cfg(not(unix))]
    fn of(_: &Child) -> Self {
        Self {}
    }

    /// Lets it be.
    fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(leader) = self.leader {
            use rustix::process::{Signal, kill_process_group};
            let _ = kill_process_group(leader, Signal::KILL); // It may have ended just now.
        }
    }
}
