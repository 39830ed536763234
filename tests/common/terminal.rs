//! The real binary in a real terminal: keys in, a parsed screen and every single byte out.
//!
//! A small shell script holds the terminal, as a person's shell does: it
//! starts the program as a job and says, before and after, what the
//! terminal's modes are. Nothing here waits for a time to pass: every wait
//! ends with what is on the screen, and fails with the screen when that takes
//! absurdly long.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "this is test code, though not a test itself"
)]

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;
use vt100::{MouseProtocolMode, Parser, Screen};

use crate::process::PATIENCE;

/// A terminal's size: columns, then rows, as people write it.
pub type Size = (u16, u16);

/// The smallest size that shows everything.
pub const USUAL: Size = (80, 24);

/// A shell with job control; each line it is sent brings the stopped job back.
const AS_A_JOB: &str = r#"
    set -m
    exec 3>&2 2>/dev/null
    printf '[before %s]\n' "$(stty -g)"
    "$@" 2>&3 3>&-
    printf '[after %s %s]\n' "$?" "$(stty -g)"
    while read -r line; do
        fg >/dev/null
        printf '[after %s %s]\n' "$?" "$(stty -g)"
    done
"#;

/// The same, with the program's output in a pipe.
const INTO_A_PIPE: &str = r#"
    set -m
    exec 3>&2 2>/dev/null
    printf '[before %s]\n' "$(stty -g)"
    "$@" 2>&3 3>&- | { trap '' INT; cat; }
    printf '[after %s %s]\n' "$?" "$(stty -g)"
    read -r line
"#;

const LEAVES_THE_ALTERNATE_SCREEN: &str = "\x1b[?1049l";
const BEGINS_A_FRAME: &[u8] = b"\x1b[?2026h";
const ENDS_A_FRAME: &[u8] = b"\x1b[?2026l";

/// What the program has written so far.
struct Written {
    parser: Parser,
    bytes: Vec<u8>,
    /// The beginning of a character that a read has cut.
    cut: Vec<u8>,
    /// The text of every whole frame.
    frames: Vec<String>,
    /// Whether a frame has begun and not ended: nobody looks at a terminal then.
    mid_frame: bool,
    ended: bool,
    /// Set to make the reader let go of the terminal.
    let_go: bool,
}

impl Written {
    fn take(&mut self, read: &[u8]) {
        let whole = self.replace(read);
        let mut bytes = whole.as_slice();
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        // The sequences may be cut by a read; their last byte decides, seen from all that was written before.
        while let Some(at) = bytes.iter().position(|byte| matches!(byte, b'h' | b'l')) {
            let (this, rest) = bytes.split_at(at + 1);
            self.parser.process(this);
            bytes = rest;
            let so_far = &self.bytes[..self.bytes.len() - rest.len()];
            if so_far.ends_with(BEGINS_A_FRAME) {
                self.mid_frame = true;
            } else if so_far.ends_with(ENDS_A_FRAME) {
                self.mid_frame = false;
                self.frames.push(text(self.parser.screen()));
            }
        }
        self.parser.process(bytes);
        self.bytes.truncate(start);
        self.bytes.extend_from_slice(read);
    }

    /// Puts a question mark for every replacement character: the parser gives it no cell, and a terminal gives it one.
    fn replace(&mut self, read: &[u8]) -> Vec<u8> {
        const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();
        let mut all = std::mem::take(&mut self.cut);
        all.extend_from_slice(read);
        let cut = (1..REPLACEMENT.len()).rev().find(|&n| all.ends_with(&REPLACEMENT[..n])).unwrap_or(0);
        self.cut = all.split_off(all.len() - cut);
        while let Some(at) = all.windows(REPLACEMENT.len()).position(|three| three == REPLACEMENT) {
            all.splice(at..at + REPLACEMENT.len(), *b"?");
        }
        all
    }
}

/// How a program gave its terminal back.
#[derive(Debug)]
pub struct GivenBack {
    /// Its exit status, or 128 and the signal that stopped it.
    pub status: i32,
    /// What it wrote when the terminal was free again.
    pub last_words: String,
}

/// A terminal with the program in it; both are gone when it is dropped.
pub struct Terminal {
    master: Option<Box<dyn MasterPty + Send>>,
    keyboard: Option<Box<dyn Write + Send>>,
    holder: Box<dyn Child + Send + Sync>,
    written: Arc<(Mutex<Written>, Condvar)>,
    reader: Option<JoinHandle<()>>,
    returns: usize,
    /// The program whose window was closed: it must not outlive a test that fails.
    orphan: Option<Pid>,
}

impl Terminal {
    /// Starts a program as a job of a shell.
    pub fn open(command: &Command, size: Size) -> Self {
        Self::start(command, size, Some(AS_A_JOB))
    }

    /// Starts a program as a job of a shell, with its output in a pipe.
    pub fn open_with_a_pipe(command: &Command) -> Self {
        Self::start(command, USUAL, Some(INTO_A_PIPE))
    }

    /// Starts a program without a shell, as a terminal emulator's `-e` does.
    pub fn open_alone(command: &Command) -> Self {
        Self::start(command, USUAL, None)
    }

    fn start(command: &Command, size: Size, script: Option<&str>) -> Self {
        let pair = native_pty_system().openpty(pty_size(size)).unwrap();
        let master = pair.master;
        let holder = pair.slave.spawn_command(in_terminal(command, script)).unwrap();
        drop(pair.slave); // The end of output is seen only when nobody here can write any more.
        let written = Written {
            parser: Parser::new(cells(size.1), cells(size.0), 0),
            bytes: Vec::new(),
            cut: Vec::new(),
            frames: Vec::new(),
            mid_frame: false,
            ended: false,
            let_go: false,
        };
        let written = Arc::new((Mutex::new(written), Condvar::new()));
        let output = master.try_clone_reader().unwrap();
        let reader = thread::spawn({
            let written = Arc::clone(&written);
            move || read(output, &written)
        });
        let keyboard = Some(master.take_writer().unwrap());
        Self {
            master: Some(master),
            keyboard,
            holder,
            written,
            reader: Some(reader),
            returns: 0,
            orphan: None,
        }
    }

    /// Types.
    pub fn types(&mut self, keys: &str) {
        let keyboard = self.keyboard.as_mut().expect("a terminal that was not hung up");
        keyboard.write_all(keys.as_bytes()).unwrap();
        keyboard.flush().unwrap();
    }

    /// Changes the size of the window.
    pub fn resize(&self, size: Size) {
        // Both under the lock, so that nothing drawn for the new size is laid out in the old one.
        let mut written = self.lock();
        written.parser.screen_mut().set_size(cells(size.1), cells(size.0));
        self.master.as_ref().unwrap().resize(pty_size(size)).unwrap();
    }

    /// Returns the program's process: the job that has the terminal.
    pub fn pid(&self) -> Pid {
        let leader = self.master.as_ref().unwrap().process_group_leader().expect("a job in the foreground");
        Pid::from_raw(leader).unwrap()
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Closes the window; nothing can be read or typed any more.
    pub fn hang_up(&mut self) {
        self.orphan = Some(self.pid());
        self.lock().let_go = true;
        // The reader waits in a read that only output ends; a program that draws draws at a new size.
        self.master.as_ref().unwrap().resize(pty_size((79, 23))).unwrap();
        self.reader.take().unwrap().join().unwrap();
        self.keyboard = None;
        self.master = None;
    }

    /// Waits until the process that was started in the terminal is over, and returns its exit status.
    pub fn exit(&mut self) -> u32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.holder.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.text());
            thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// Waits until `look` finds something on the screen.
    pub fn waits_for<T>(&self, what: &str, look: impl Fn(&Screen) -> Option<T>) -> T {
        self.wait(what, |written| if written.mid_frame { None } else { look(written.parser.screen()) })
    }

    fn wait<T>(&self, what: &str, look: impl Fn(&Written) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut written = self.lock();
        loop {
            if let Some(found) = look(&written) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never seen: {what}\n{}", text(written.parser.screen()));
            assert!(!written.ended, "the end, without {what}:\n{}", text(written.parser.screen()));
            written = self.written.1.wait_timeout(written, left).unwrap().0;
        }
    }

    /// Waits until a whole frame has been drawn after the first so many.
    pub fn has_drawn(&self, frames: usize) {
        self.wait("another frame", |written| (written.frames.len() > frames).then_some(()));
    }

    /// Waits until the screen shows these words.
    pub fn shows(&self, words: &str) {
        self.waits_for(words, |screen| text(screen).contains(words).then_some(()));
    }

    /// Waits until the screen does not show these words any more.
    pub fn hides(&self, words: &str) {
        let what = format!("a screen without {words:?}");
        self.waits_for(&what, |screen| (!text(screen).contains(words)).then_some(()));
    }

    /// Waits until a client's row says this state, and returns the row from there on.
    pub fn shows_state(&self, name: &str, state: &str) -> String {
        let what = format!("a row with {name} {state}");
        self.waits_for(&what, |screen| row(&text(screen), name).filter(|row| row.starts_with(state)))
    }

    /// Waits until a client's row has said these states, one after the other, however briefly each.
    pub fn has_shown_states(&self, name: &str, states: &[&str]) {
        let what = format!("{name} as {}", states.join(", then "));
        self.wait(&what, |written| {
            let mut left = states.iter().peekable();
            for row in written.frames.iter().filter_map(|frame| row(frame, name)) {
                left.next_if(|state| row.starts_with(**state));
            }
            left.peek().is_none().then_some(())
        });
    }

    /// Waits until the screen names the address of a server, and returns it.
    pub fn address(&self) -> SocketAddr {
        self.waits_for("an address", |screen| {
            let text = text(screen);
            let rest = text.split("127.0.0.1:").nth(1)?;
            let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
            Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?)))
        })
    }

    /// Waits until the program has ended or stopped, and checks that its terminal is as it was.
    pub fn given_back(&mut self) -> GivenBack {
        self.returns += 1;
        let returns = self.returns;
        let (all, end) = self.wait("the shell", |written| {
            let all = String::from_utf8_lossy(&written.bytes);
            let (at, _) = all.match_indices("[after ").nth(returns - 1)?;
            let end = at + all[at..].find("]\r\n")?;
            Some((all[..end].to_owned(), at))
        });
        let (before, after) = (between(&all, "[before "), &all[end + "[after ".len()..]);
        let (status, after) = after.split_once(' ').unwrap();
        assert_eq!(after, before, "the terminal's modes");
        self.waits_for("an ordinary screen", |screen| {
            let ordinary = !screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste();
            (ordinary && screen.mouse_protocol_mode() == MouseProtocolMode::None).then_some(())
        });
        let restored =
            all.rfind(LEAVES_THE_ALTERNATE_SCREEN).map(|at| at + LEAVES_THE_ALTERNATE_SCREEN.len());
        let last_words = all[restored.expect("a screen that was left")..end].replace("\r\n", "\n");
        assert!(!last_words.contains('\x1b'), "nothing is drawn after the restore: {last_words:?}");
        GivenBack { status: status.parse().unwrap(), last_words }
    }

    /// Waits for the end of a program that draws nothing, and returns all that was written.
    pub fn plain_output(&self) -> String {
        self.wait("the shell", |written| {
            let all = String::from_utf8_lossy(&written.bytes);
            let (_, after) = all.split_once("[after ")?;
            let after = after.split_once("]\r\n")?.0.split_once(' ')?.1;
            assert_eq!(after, between(&all, "[before "), "the terminal's modes");
            Some(all.into_owned())
        })
    }

    /// Returns every byte so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }

    /// Returns how many bytes there are so far.
    pub fn bytes_written(&self) -> usize {
        self.lock().bytes.len()
    }

    /// Returns the text of every frame so far.
    pub fn frames(&self) -> Vec<String> {
        self.lock().frames.clone()
    }

    /// Returns what the screen shows.
    pub fn text(&self) -> String {
        text(self.lock().parser.screen())
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let leader = self.master.as_ref().and_then(|master| master.process_group_leader());
        for pid in leader.and_then(Pid::from_raw).into_iter().chain(self.orphan) {
            let _ = kill_process(pid, Signal::KILL); // It may be over already.
        }
        let _ = self.holder.kill(); // Likewise.
        let _ = self.holder.wait(); // Likewise.
    }
}

/// Finds a client's row and returns it from its state on: `online    agent-alpha   1.1s ago ...`.
pub fn row(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let line = line.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
        let states = ["online", "LATE", "TIMED OUT", "left", "offline"];
        let rest = states.iter().find_map(|state| line.strip_prefix(state))?;
        rest.trim_start().starts_with(name).then(|| line.to_owned())
    })
}

/// Returns the lines of the screen, without the blanks at their ends.
pub fn text(screen: &Screen) -> String {
    screen.contents()
}

fn between<'a>(all: &'a str, mark: &str) -> &'a str {
    let (_, rest) = all.split_once(mark).unwrap();
    rest.split_once(']').unwrap().0
}

fn read(mut output: Box<dyn Read + Send>, written: &(Mutex<Written>, Condvar)) {
    let mut chunk = [0; 16 * 1_024];
    loop {
        // A terminal that nobody holds open any more reports an error, not an end.
        let read = output.read(&mut chunk).unwrap_or(0);
        // A test that failed while it looked leaves the lock poisoned; what was written is still whole.
        let mut state = written.0.lock().unwrap_or_else(PoisonError::into_inner);
        if read == 0 || state.let_go {
            state.ended = true;
            written.1.notify_all();
            return;
        }
        state.take(&chunk[..read]);
        written.1.notify_all();
    }
}

/// Takes a prepared command into the terminal, with the variables a terminal has.
fn in_terminal(command: &Command, script: Option<&str>) -> CommandBuilder {
    let mut inside = match script {
        Some(script) => {
            let mut shell = CommandBuilder::new("/bin/sh");
            shell.args(["-c", script, "sh"]);
            shell.arg(command.get_program());
            shell
        }
        None => CommandBuilder::new(command.get_program()),
    };
    inside.args(command.get_args());
    inside.cwd(command.get_current_dir().expect("a folder of its own"));
    inside.env_clear();
    inside.env("TERM", "xterm-256color");
    inside.env("LANG", "C.UTF-8");
    inside.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    for (name, value) in command.get_envs() {
        inside.env(name, value.unwrap_or_default());
    }
    inside
}

fn pty_size((cols, rows): Size) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

fn cells(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).expect("a size")
}
