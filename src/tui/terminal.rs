//! Taking the terminal and giving it back, whatever happens in between.

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::rc::Rc;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossterm::clipboard::CopyToClipboard;
use crossterm::cursor::{Hide, Show};
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use ratatui::Terminal;
use ratatui::backend::{Backend, CrosstermBackend};

/// How many bytes of a frame are kept before the first are written.
const FRAME_BYTES: usize = 64 * 1_024;

/// Whether the terminal is ours at this moment.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// How many threads other than the drawing one have panicked.
static PANICS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static DRAWS: Cell<bool> = const { Cell::new(false) };
}

/// What the loop draws on: a real terminal, or one that a test looks at.
pub trait Stage {
    /// What ratatui draws through.
    type Backend: Backend;

    /// Returns the terminal to draw on.
    fn terminal(&mut self) -> &mut Terminal<Self::Backend>;

    /// Begins a frame: nothing of it is seen before it is whole.
    ///
    /// # Errors
    /// The terminal does not take it.
    fn begin(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Ends a frame and shows it.
    ///
    /// # Errors
    /// The terminal does not take it.
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Rings the bell.
    ///
    /// # Errors
    /// The terminal does not take it.
    fn bell(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Puts a text on the clipboard of the terminal's own machine.
    ///
    /// # Errors
    /// The terminal does not take it.
    fn copy(&mut self, _text: &str) -> io::Result<()> {
        Ok(())
    }

    /// Takes the mouse, or gives it back.
    ///
    /// # Errors
    /// The terminal does not take it.
    fn mouse(&mut self, _on: bool) -> io::Result<()> {
        Ok(())
    }

    /// Gives the terminal back, stops the process, and takes the terminal again when it is continued.
    ///
    /// # Errors
    /// The terminal cannot be taken again.
    fn suspend(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Takes the terminal again after somebody else may have changed it.
    ///
    /// # Errors
    /// The terminal cannot be taken again.
    fn retake(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Tells whether there still is a terminal.
    fn is_alive(&self) -> bool {
        true
    }
}

/// Collects a frame and writes it in one piece: hundreds of small writes would tear it.
#[derive(Debug)]
pub struct Frames {
    kept: Vec<u8>,
    /// Set between the beginning and the end of a frame; the backend flushes before the end.
    held: Rc<Cell<bool>>,
}

impl Write for Frames {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.kept.len() + bytes.len() > FRAME_BYTES {
            self.pass()?;
        }
        self.kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.held.get() { Ok(()) } else { self.pass() }
    }
}

impl Frames {
    fn pass(&mut self) -> io::Result<()> {
        // Nothing may follow the restore, not even what ratatui sends when it is dropped.
        if !TAKEN.load(Ordering::SeqCst) {
            self.kept.clear();
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(&self.kept)?;
        self.kept.clear();
        out.flush()
    }
}

/// The real terminal; dropping it gives it back.
#[derive(Debug)]
pub struct Tty {
    terminal: Terminal<CrosstermBackend<Frames>>,
    held: Rc<Cell<bool>>,
    mouse: bool,
}

impl Tty {
    /// Takes the terminal: raw mode, alternate screen, no cursor, pasted text marked as such.
    ///
    /// # Errors
    /// One of the steps failed; what was done before it is undone.
    pub fn take(force_colour: bool) -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(install_hook);
        DRAWS.set(true);
        if force_colour {
            // Under NO_COLOR crossterm writes a full reset in place of a colour, and reverse and bold vanish with it.
            crossterm::style::force_color_output(true);
        }
        enter()?;
        let held = Rc::new(Cell::new(false));
        let frames = Frames { kept: Vec::with_capacity(FRAME_BYTES), held: Rc::clone(&held) };
        match Terminal::new(CrosstermBackend::new(frames)) {
            Ok(terminal) => Ok(Self { terminal, held, mouse: false }),
            Err(error) => {
                leave();
                Err(error)
            }
        }
    }

    fn write(&mut self) -> &mut CrosstermBackend<Frames> {
        self.terminal.backend_mut()
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        leave();
        DRAWS.set(false);
    }
}

impl Stage for Tty {
    type Backend = CrosstermBackend<Frames>;

    fn terminal(&mut self) -> &mut Terminal<Self::Backend> {
        &mut self.terminal
    }

    fn begin(&mut self) -> io::Result<()> {
        self.held.set(true);
        queue!(self.write(), BeginSynchronizedUpdate)
    }

    fn end(&mut self) -> io::Result<()> {
        queue!(self.write(), EndSynchronizedUpdate)?;
        self.held.set(false);
        Write::flush(self.write())
    }

    fn bell(&mut self) -> io::Result<()> {
        self.write().write_all(b"\x07")?;
        Write::flush(self.write())
    }

    fn copy(&mut self, text: &str) -> io::Result<()> {
        // The text travels in base64, so nothing in it can end the sequence.
        execute!(self.write(), CopyToClipboard::to_clipboard_from(text))
    }

    fn mouse(&mut self, on: bool) -> io::Result<()> {
        self.mouse = on;
        if on {
            execute!(self.write(), EnableMouseCapture)
        } else {
            execute!(self.write(), DisableMouseCapture)
        }
    }

    fn suspend(&mut self) -> io::Result<()> {
        leave();
        stop_process();
        self.retake()
    }

    fn retake(&mut self) -> io::Result<()> {
        leave();
        enter()?;
        let mouse = self.mouse;
        self.mouse(mouse)
    }

    fn is_alive(&self) -> bool {
        is_alive()
    }
}

/// Tells whether a screen can be drawn: both ends are a terminal.
#[must_use]
pub fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Returns how many threads other than the drawing one have panicked so far.
#[must_use]
pub fn panics_elsewhere() -> usize {
    PANICS.load(Ordering::Relaxed)
}

fn enter() -> io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
    let raw = enable_raw_mode();
    let shown = execute!(io::stdout(), EnterAlternateScreen, Hide, EnableBracketedPaste);
    raw.and(shown).inspect_err(|_| leave())
}

/// Gives the terminal back: every step is tried, whatever became of the one before. Twice is once.
pub(super) fn leave() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = io::stdout();
    // Best effort, all of them: the terminal may be gone.
    let _ = execute!(out, EndSynchronizedUpdate, DisableMouseCapture, DisableBracketedPaste);
    let _ = execute!(out, crossterm::style::ResetColor, Show, LeaveAlternateScreen);
    let _ = disable_raw_mode();
}

/// Makes the terminal cooked again without writing to it, for when it does not take bytes any more.
pub(super) fn abandon() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = disable_raw_mode(); // Nothing more can be done.
    }
}

/// Our own panic hook: it gives the terminal back only when the drawing thread panics.
///
/// A panic in a session costs that session alone; its report goes to the log,
/// for on standard error it would tear the screen that goes on being drawn.
fn install_hook() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if DRAWS.get() {
            leave();
        } else if TAKEN.load(Ordering::SeqCst) {
            PANICS.fetch_add(1, Ordering::Relaxed);
            tracing::error!(panic = ?info.to_string(), "a task panicked");
            return;
        }
        before(info);
    }));
}

/// Tells whether there still is a terminal.
#[cfg(unix)]
pub(super) fn is_alive() -> bool {
    rustix::termios::tcgetattr(io::stdin()).is_ok()
}

/// Tells whether there still is a terminal.
#[cfg(not(unix))]
pub(super) fn is_alive() -> bool {
    true
}

#[cfg(unix)]
fn stop_process() {
    use std::time::Duration;
    // Best effort: without job control the signal is ignored, and the screen comes back by itself.
    let _ = rustix::process::kill_current_process_group(rustix::process::Signal::TSTP);
    // The signal may be taken by another thread a moment later; the terminal must not be ours again before.
    std::thread::sleep(Duration::from_millis(100));
}

#[cfg(not(unix))]
fn stop_process() {}
