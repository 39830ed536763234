//! The program as a person at a terminal meets it: what it draws, what its keys do, and how it gives the terminal
//! back.
//!
//! One thing is not here: a panic of the screen, which nothing in the real
//! binary can be made to do.
#![cfg(unix)]
#![allow(missing_docs, reason = "a test is documented by its name")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are test code")]

#[path = "common/process.rs"]
mod process;
#[path = "common/terminal.rs"]
mod terminal;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use process::{Daemon, Home, Nc, PATIENCE};
use rustix::process::Signal;
use terminal::{GivenBack, Terminal, USUAL, row, text};
use tokio::time::Instant;
use vt100::{MouseProtocolMode, Screen};

const SERVE: &str = "serve --host 127.0.0.1 --port 0";
const CTRL_C: &str = "\x03";
const CTRL_Z: &str = "\x1a";

/// Opens a terminal with a server in it; `flags` are further ones.
fn serve(home: &Home, flags: &str) -> Terminal {
    Terminal::open(&home.command(&format!("{SERVE} {flags}")), USUAL)
}

/// Tells whether the program takes the mouse.
fn has_mouse(screen: &Screen) -> bool {
    screen.mouse_protocol_mode() != MouseProtocolMode::None
}

/// Opens a terminal with a client in it.
fn join(home: &Home, server: SocketAddr, name: &str) -> Terminal {
    Terminal::open(&home.command(&format!("join {server} --name {name}")), USUAL)
}

/// Checks that the server ended as asked and said so in one line.
fn ended_well(terminal: &mut Terminal, sessions: usize) {
    let GivenBack { status, last_words } = terminal.given_back();
    assert_eq!(status, 0, "{last_words:?}");
    let s = if sessions == 1 { "" } else { "s" };
    let expected = format!("served {sessions} session{s} for ");
    assert!(last_words.starts_with(&expected) && last_words.lines().count() == 1, "{last_words:?}");
}

/// Checks that a client is still listened to.
fn is_answered(nc: &mut Nc) {
    nc.say(r#"{"type":"ping"}"#);
    nc.hears("pong");
}

/// Registers as a v1 client of this name.
fn client(server: SocketAddr, name: &str) -> Nc {
    Nc::v1(server, &format!(r#""name":"{name}","#))
}

// Giving the terminal back.

#[test]
fn however_it_is_asked_to_stop_the_server_gives_the_terminal_back() {
    let ways: [fn(&mut Terminal); 4] = [
        |it| it.signal(Signal::TERM),
        |it| it.signal(Signal::INT),
        |it| it.types("q"),
        |it| it.types(CTRL_C),
    ];
    for stop in ways {
        let home = Home::new();
        let mut terminal = serve(&home, "");
        terminal.address();
        stop(&mut terminal);
        ended_well(&mut terminal, 0);
    }
}

#[test]
fn however_it_is_asked_to_leave_the_client_gives_the_terminal_back() {
    let ways: [fn(&mut Terminal); 4] = [
        |it| it.signal(Signal::TERM),
        |it| it.signal(Signal::INT),
        |it| it.types("q"),
        |it| it.types(CTRL_C),
    ];
    let home = Home::new();
    let mut server = home.serve("--headless --json");
    for stop in ways {
        let mut terminal = join(&home, server.addr(), "walker");
        terminal.shows("ONLINE");
        stop(&mut terminal);
        let back = terminal.given_back();
        assert_eq!((back.status, back.last_words.as_str()), (0, ""));
        assert_eq!(server.event("left")["name"], "walker", "it said goodbye");
    }
}

#[test]
fn a_mouse_that_was_taken_is_given_back_too() {
    let home = Home::new();
    let mut terminal = serve(&home, "");
    terminal.address();
    terminal.types("M");
    terminal.waits_for("the mouse", |screen| {
        (screen.mouse_protocol_mode() != MouseProtocolMode::None && screen.bracketed_paste()).then_some(())
    });
    terminal.signal(Signal::TERM);
    ended_well(&mut terminal, 0);
}

#[test]
fn a_signal_to_read_the_file_again_leaves_the_screen_as_it_is() {
    let home = Home::new();
    let mut terminal = serve(&home, "");
    let address = terminal.address();
    home.config("[server]\nmax_clients = 1\n");
    terminal.signal(Signal::HUP);
    terminal.shows("read again");
    let _only = client(address, "only");
    terminal.shows_state("only", "online");
    terminal.signal(Signal::TERM);
    ended_well(&mut terminal, 1);
}

#[test]
fn a_window_that_is_closed_ends_the_server_and_its_clients_are_told() {
    let home = Home::new();
    let mut terminal = Terminal::open_alone(&home.command(SERVE));
    let mut nc = client(terminal.address(), "witness");
    terminal.shows_state("witness", "online");
    terminal.hang_up();
    nc.hears("drain");
    terminal.exit();
}

#[test]
fn a_window_that_is_closed_over_a_shell_ends_the_program_in_it() {
    let home = Home::new();
    let mut terminal = serve(&home, "");
    let address = terminal.address();
    let mut guest = join(&home, address, "guest");
    terminal.shows_state("guest", "online");
    let mut witness = client(address, "witness");
    guest.hang_up();
    terminal.shows_state("guest", "left");
    terminal.hang_up();
    witness.hears("drain");
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline, "somebody still listens");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn suspended_it_gives_the_terminal_back_and_brought_back_it_takes_it_again() {
    let home = Home::new();
    let mut terminal = serve(&home, "");
    let address = terminal.address();
    terminal.types("M");
    terminal.waits_for("the mouse", |screen| has_mouse(screen).then_some(()));
    for _ in 0..2 {
        terminal.types(CTRL_Z);
        let back = terminal.given_back();
        assert_eq!((back.status, back.last_words.as_str()), (128 + Signal::TSTP.as_raw(), ""));
        terminal.types("fg\n");
        terminal.waits_for("the screen again", |screen| {
            let ours = screen.alternate_screen() && screen.hide_cursor() && screen.bracketed_paste();
            (ours && has_mouse(screen) && text(screen).contains(&address.to_string())).then_some(())
        });
    }
    terminal.types("q");
    ended_well(&mut terminal, 0);
}

#[test]
fn a_client_is_suspended_without_a_question() {
    let home = Home::new();
    let server = home.serve("--headless");
    let mut terminal = join(&home, server.addr(), "walker");
    terminal.shows("ONLINE");
    terminal.types(CTRL_Z);
    let back = terminal.given_back();
    assert_eq!((back.status, back.last_words.as_str()), (128 + Signal::TSTP.as_raw(), ""));
    terminal.types("fg\n");
    terminal.waits_for("the screen again", |screen| {
        (screen.alternate_screen() && text(screen).contains("ONLINE")).then_some(())
    });
    terminal.types("q");
    assert_eq!(terminal.given_back().status, 0);
}

#[test]
fn suspending_a_server_with_clients_asks_first_and_harms_none_of_them() {
    let home = Home::new();
    let mut terminal = serve(&home, "--interval 300ms --timeout 900ms");
    let address = terminal.address();
    let mut nc = client(address, "steady");
    let beats = thread::spawn(move || {
        // What a healthy client does, whatever its server is up to; it ends when the server has closed.
        let mut writer = nc.stream();
        let beating = thread::spawn(move || {
            while writer.write_all(b"{\"type\":\"ping\"}\n").is_ok() {
                thread::sleep(Duration::from_millis(100));
            }
        });
        while nc.hear().is_some_and(|message| message["type"] != "drain") {}
        nc.say(r#"{"type":"leave"}"#);
        drop(nc);
        beating.join().unwrap();
    });
    terminal.shows_state("steady", "online");
    terminal.types(CTRL_Z);
    terminal.shows("Suspend the server?");
    terminal.types("\r");
    terminal.hides("Suspend the server?");
    terminal.types(CTRL_Z);
    terminal.shows("Suspend the server?");
    terminal.types("z");
    assert_eq!(terminal.given_back().status, 128 + Signal::TSTP.as_raw());
    let frames = terminal.frames().len();
    // The pause itself is what is tested: longer than the timeout.
    thread::sleep(Duration::from_millis(1_500));
    terminal.types("fg\n");
    terminal.has_drawn(frames + 3);
    terminal.shows_state("steady", "online");
    let since: Vec<_> = terminal.frames().split_off(frames);
    assert!(!since.iter().any(|frame| frame.contains("TIMED OUT")), "{since:#?}");
    terminal.types("qs");
    ended_well(&mut terminal, 1);
    beats.join().unwrap();
}

// Without a terminal on both sides.

#[test]
fn with_its_output_in_a_pipe_it_writes_plain_lines() {
    let home = Home::new();
    let mut terminal = Terminal::open_with_a_pipe(&home.command(SERVE));
    let _nc = client(terminal.address(), "piped");
    terminal.shows(" registered piped ");
    terminal.types(CTRL_C);
    let output = terminal.plain_output();
    assert!(
        output.contains("listening on 127.0.0.1:") && output.contains(" note: served 1 session"),
        "{output}"
    );
    assert!(!output.contains('\x1b'), "{output:?}");
}

#[test]
fn headless_it_writes_plain_lines_even_to_a_terminal() {
    let home = Home::new();
    let mut server = serve(&home, "--headless");
    let address = server.address();
    let mut client = Terminal::open(&home.command(&format!("join {address} --name plain --headless")), USUAL);
    client.shows(" registered: ");
    server.shows(" registered plain ");
    client.types(CTRL_C);
    server.shows(" left plain ");
    server.types(CTRL_C);
    for terminal in [client, server] {
        let output = terminal.plain_output();
        assert!(output.contains("[after 0 ") && !output.contains('\x1b'), "{output:?}");
    }
}

// Colours.

#[test]
fn without_colour_what_is_bold_and_reversed_still_is() {
    let home = Home::new();
    let mut command = home.command(SERVE);
    let mut terminal = Terminal::open(command.env("NO_COLOR", "1"), USUAL);
    let address = terminal.address();
    drop(client(address, "gone"));
    let _here = client(address, "here");
    terminal.shows_state("gone", "TIMED OUT");
    terminal.shows_state("here", "online");
    terminal.types("G");
    terminal.waits_for("bold words and a reversed row", |screen| {
        let lines: Vec<String> = text(screen).lines().map(str::to_owned).collect();
        let cells = |words: &str| {
            let row = lines.iter().position(|line| line.contains(words))?;
            let column = lines[row].split(words).next()?.chars().count();
            screen.cell(u16::try_from(row).ok()?, u16::try_from(column).ok()?)
        };
        let (title, alert) = (cells("presence-tui serve")?, cells("UNACKED")?);
        let (gone, here) = (cells("TIMED OUT ")?, cells("online    here")?);
        (title.bold() && alert.bold() && alert.inverse() && gone.bold() && here.inverse()).then_some(())
    });
    terminal.signal(Signal::TERM);
    ended_well(&mut terminal, 2);
    assert_eq!(colours(&terminal.bytes()), Vec::<String>::new());
}

#[test]
fn with_an_empty_no_color_there_are_colours() {
    let home = Home::new();
    let mut command = home.command(SERVE);
    let terminal = Terminal::open(command.env("NO_COLOR", ""), USUAL);
    terminal.address();
    assert!(!colours(&terminal.bytes()).is_empty());
}

/// Returns the sequences that set a colour.
fn colours(bytes: &[u8]) -> Vec<String> {
    let sets_colour = |code: &str| {
        let code: u16 = code.parse().unwrap_or(0);
        matches!(code, 30..=38 | 40..=48 | 58 | 90..=97 | 100..=107)
    };
    let text = String::from_utf8_lossy(bytes);
    let sequences = text.split("\x1b[").skip(1);
    let styles = sequences.filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';')?;
        rest[end..].starts_with('m').then(|| rest[..end].to_owned())
    });
    styles.filter(|codes| codes.split(';').any(sets_colour)).collect()
}

// Sizes.

#[test]
fn in_a_small_window_it_shows_what_fits_and_gives_the_terminal_back() {
    for (size, question) in [((50, 15), "Stop the server?"), ((30, 8), "[s]top")] {
        let home = Home::new();
        let mut terminal = Terminal::open(&home.command(SERVE), size);
        let address = terminal.address();
        let mut nc = client(address, "small");
        terminal.shows("●1");
        terminal.shows("small");
        drop(Nc::legacy(address, "by-hand"));
        terminal.shows("✕1");
        terminal.types("q");
        terminal.shows(question);
        terminal.types("\x1b");
        terminal.hides(question);
        is_answered(&mut nc);
        terminal.signal(Signal::TERM);
        ended_well(&mut terminal, 2);
    }
}

#[test]
fn in_a_window_of_one_cell_both_programs_run_and_end_well() {
    let home = Home::new();
    let server = home.serve("--headless");
    for line in [SERVE.to_owned(), format!("join {} --name dot", server.addr())] {
        let mut terminal = Terminal::open(&home.command(&line), (1, 1));
        terminal.waits_for("a frame", |screen| (!text(screen).trim().is_empty()).then_some(()));
        terminal.types("jjG?\x1b/x\x1b");
        terminal.signal(Signal::TERM);
        assert_eq!(terminal.given_back().status, 0);
    }
}

#[test]
fn the_window_can_be_made_as_small_as_one_cell_and_large_again_while_it_runs() {
    let home = Home::new();
    let mut terminal = serve(&home, "");
    let nc = client(terminal.address(), "witness");
    terminal.shows_state("witness", "online");
    for size in [(1, 1), (120, 36), (16, 1), (1, 50), (200, 2), (30, 8), (50, 15)] {
        let frames = terminal.frames().len();
        terminal.resize(size);
        terminal.has_drawn(frames);
    }
    terminal.resize((120, 36));
    let row = terminal.shows_state("witness", "online");
    assert!(row.contains("127.0.0.1:"), "there is room for the address: {row}");
    terminal.shows("LAST 12 BEATS");
    terminal.types("qs");
    drop(nc);
    ended_well(&mut terminal, 1);
}

// The server's screen.

#[test]
fn a_client_that_joins_is_shown_and_one_that_dies_is_shown_as_lost() {
    let home = Home::new();
    let terminal = serve(&home, "");
    let address = terminal.address();
    terminal.shows("No clients yet");
    let doomed = client(address, "doomed");
    let mut polite = client(address, "polite");
    terminal.shows_state("doomed", "online");
    terminal.shows_state("polite", "online");
    terminal.shows("● 2 online");
    drop(doomed);
    // The timeout is two minutes: what is shown now is shown because of the connection.
    let row = terminal.shows_state("doomed", "TIMED OUT");
    assert!(row.contains("down ") && row.contains("closed"), "{row}");
    terminal.shows("1 UNACKED  doomed lost ");
    polite.say(r#"{"type":"leave","reason":"quit"}"#);
    let row = terminal.shows_state("polite", "left");
    assert!(row.contains("quit"), "{row}");
}

#[test]
fn the_details_tell_how_much_of_the_time_a_client_was_here_and_when_it_was_not() {
    let home = Home::new();
    let mut terminal = serve(&home, "");
    let address = terminal.address();
    drop(client(address, "doomed"));
    terminal.shows_state("doomed", "TIMED OUT");
    terminal.types("\r");
    terminal.shows("up 24h ");
    terminal.shows("down since ");
}

#[test]
fn the_countdown_of_a_silent_client_runs_down_and_its_row_turns() {
    let home = Home::new();
    let terminal = serve(&home, "--interval 300ms --timeout 900ms");
    let mut silent = client(terminal.address(), "silent");
    terminal.has_shown_states("silent", &["online", "LATE", "TIMED OUT"]);
    assert_eq!(silent.hears("error")["code"], "timeout");
    terminal.shows("timed out: no ping for");
    let rows: Vec<String> = terminal.frames().iter().filter_map(|frame| row(frame, "silent")).collect();
    let left: Vec<f64> = rows.iter().filter_map(|row| seconds_left(row)).collect();
    assert!(left.len() >= 2 && left.is_sorted_by(|a, b| a >= b), "{rows:#?}");
    assert!(left[0] <= 0.9 && left[left.len() - 1] < 0.5, "{rows:#?}");
    let turned = rows.iter().position(|row| row.starts_with("TIMED OUT")).unwrap();
    assert!(
        rows[turned..].iter().all(|row| row.starts_with("TIMED OUT") && row.contains("down ")),
        "{rows:#?}"
    );
}

/// Reads the countdown of a row: the seconds behind its bar.
fn seconds_left(row: &str) -> Option<f64> {
    let bar = |c: char| matches!(c, '·' | '▒' | '\u{2588}'..='\u{258f}');
    let (_, rest) = row.split_at(row.rfind(bar)?);
    rest.trim_start_matches(bar).trim_start().split('s').next()?.parse().ok()
}

#[test]
fn keys_change_the_settings_and_clients_are_told() {
    let home = Home::new();
    let mut terminal = serve(&home, "--interval 5s --timeout 15s");
    let mut nc = client(terminal.address(), "told");
    terminal.shows_state("told", "online");
    terminal.types("+");
    let config = nc.hears("config");
    assert!(config["interval_ms"].as_u64().unwrap() > 5_000, "{config}");
    assert_eq!(config["timeout_ms"], 15_000);
    terminal.shows("(0/1 applied)");
    nc.say(&format!(r#"{{"type":"ping","rev":{}}}"#, config["rev"]));
    terminal.hides("applied)");
    terminal.types("]");
    let config = nc.hears("config");
    assert!(config["timeout_ms"].as_u64().unwrap() > 15_000, "{config}");
    terminal.types("uu");
    let configs = [nc.hears("config"), nc.hears("config")];
    let last = (&configs[1]["interval_ms"], &configs[1]["timeout_ms"]);
    assert_eq!(last, (&5_000.into(), &15_000.into()), "taken back");
    terminal.shows("int 5.0s  timeout 15.0s");
}

#[test]
fn the_prompt_refuses_a_bad_value_and_takes_a_good_one() {
    let home = Home::new();
    let mut terminal = serve(&home, "--interval 5s --timeout 15s");
    let mut nc = client(terminal.address(), "told");
    terminal.shows_state("told", "online");
    terminal.types("t");
    terminal.shows("Set timeout");
    terminal.types("4s\r");
    terminal.shows("rejected");
    terminal.types("\x15soon\r");
    terminal.shows("rejected: timeout \"soon\" is");
    terminal.types("\x1520s");
    terminal.shows("enter apply");
    terminal.types("\r");
    terminal.hides("Set timeout");
    let config = nc.hears("config");
    assert_eq!((&config["interval_ms"], &config["timeout_ms"]), (&5_000.into(), &20_000.into()), "the first");
    terminal.shows("timeout 20.0s");
}

#[test]
fn a_filter_hides_the_others_until_it_is_cleared() {
    let home = Home::new();
    let mut terminal = serve(&home, "");
    let address = terminal.address();
    let _clients: Vec<Nc> = ["alpha", "bravo", "charlie"].map(|name| client(address, name)).into();
    terminal.shows_state("charlie", "online");
    let shown = |screen: &Screen| -> Vec<&str> {
        let text = text(screen);
        ["alpha", "bravo", "charlie"].into_iter().filter(|name| row(&text, name).is_some()).collect()
    };
    terminal.types("/brav");
    terminal.waits_for("bravo alone", |screen| (shown(screen) == ["bravo"]).then_some(()));
    terminal.types("\r");
    terminal.shows("filter: brav");
    terminal.types("\x1b");
    terminal.waits_for("all of them", |screen| (shown(screen).len() == 3).then_some(()));
    terminal.types("/nobody");
    terminal.shows("no client matches");
}

#[test]
fn a_client_is_disconnected_only_by_the_letter_the_dialog_names() {
    let home = Home::new();
    let mut terminal = serve(&home, "");
    let mut nc = client(terminal.address(), "victim");
    terminal.shows_state("victim", "online");
    terminal.types("x");
    terminal.shows("nothing selected");
    terminal.types("j");
    terminal.shows("▶");
    for no in ["\r", "\x1b"] {
        terminal.types("x");
        terminal.shows("Disconnect client?");
        terminal.types("yxq"); // None of these is an answer.
        terminal.types(no);
        terminal.hides("Disconnect client?");
        is_answered(&mut nc);
    }
    terminal.types("x");
    terminal.shows("Disconnect client?");
    terminal.types("d");
    assert_eq!(nc.hears("error")["code"], "kicked");
    assert_eq!(nc.hear(), None);
    let row = terminal.shows_state("victim", "left");
    assert!(row.contains("kicked"), "{row}");
}

#[test]
fn quitting_asks_while_clients_are_online_and_tells_them() {
    let home = Home::new();
    let mut terminal = serve(&home, "");
    let mut nc = client(terminal.address(), "asked");
    terminal.shows_state("asked", "online");
    for key in ["q", CTRL_C] {
        terminal.types(key);
        terminal.shows("Stop the server?");
        terminal.types("\r");
        terminal.hides("Stop the server?");
        is_answered(&mut nc);
    }
    // A second Ctrl-C soon after the first would stop at once; q asks whatever came before.
    terminal.types("q");
    terminal.shows("Stop the server?");
    terminal.types("s");
    nc.hears("drain");
    nc.say(r#"{"type":"leave"}"#);
    ended_well(&mut terminal, 1);
}

#[test]
fn ctrl_c_twice_stops_at_once() {
    let home = Home::new();
    let mut terminal = serve(&home, "");
    let _stubborn = client(terminal.address(), "stubborn");
    terminal.shows_state("stubborn", "online");
    terminal.types(CTRL_C);
    terminal.types(CTRL_C);
    let back = terminal.given_back();
    assert_eq!(back.status, 0, "{back:?}");
    assert_eq!(back.last_words.lines().count(), 1, "{back:?}");
}

// The client's screen.

#[test]
fn a_client_and_its_server_show_each_other() {
    let home = Home::new();
    let server = serve(&home, "--interval 5s --timeout 15s");
    let address = server.address();
    let other = join(&home, address, "other");
    other.shows("ONLINE");
    let mut walker = join(&home, address, "walker");
    walker.shows("ONLINE");
    walker.shows(&format!("{address}  as walker"));
    walker.shows_state("other", "online");
    other.shows_state("walker", "online");
    server.shows_state("walker", "online");
    server.shows_state("other", "online");
    walker.types("e");
    walker.shows("note");
    walker.types("draining\r");
    walker.types("q");
    assert_eq!(walker.given_back().status, 0);
    other.shows_state("walker", "left");
    let row = server.shows_state("walker", "left");
    assert!(row.contains("quit"), "{row}");
}

#[test]
fn a_client_that_loses_its_server_finds_it_again() {
    let home = Home::new();
    let mut server = home.serve("--headless");
    let address = server.addr();
    let mut terminal = join(&home, address, "faithful");
    terminal.shows("ONLINE");
    server.kill();
    terminal.shows("OFFLINE");
    terminal.shows("Retry");
    let mut again = Daemon::start(
        &mut home.command(&format!("serve --host 127.0.0.1 --port {} --headless", address.port())),
    );
    again.listening();
    terminal.shows("ONLINE");
    again.says(" faithful ");
    terminal.types("q");
    assert_eq!(terminal.given_back().status, 0);
    again.says(" left faithful ");
}

#[test]
fn held_heartbeats_make_the_row_late_and_then_time_it_out() {
    let home = Home::new();
    let server = serve(&home, "--interval 300ms --timeout 900ms");
    let mut walker = join(&home, server.address(), "holder");
    walker.shows("ONLINE");
    server.shows_state("holder", "online");
    walker.types("H");
    walker.shows("HOLDING");
    server.has_shown_states("holder", &["online", "LATE"]);
    // The row itself turns for a moment only: a client that is told so comes back at once.
    server.shows("holder timed out: no ping for");
}

// Hostile text.

#[test]
fn what_clients_call_themselves_never_reaches_the_terminal_as_it_is() {
    const EVIL: [&str; 4] = [
        r"evil\u001b]0;owned\u0007\u001b[5;53mX",
        r"evil\u202e\u2066\u200b\u200f\ufeff\u00ad\u2028dlrow",
        r"evil\u009b5;53m\u0090q\u009c\u001bc\u001b(0",
        r"evil\r\n\t\b\u000e\u007f\u001bPq\u001b\\",
    ];
    let home = Home::new();
    home.config("[ui]\nbell = false\n"); // So that no bell at all is ours.
    let mut server = serve(&home, "");
    let address = server.address();
    let mut peer = join(&home, address, "peer");
    peer.shows("ONLINE");
    let mut clients: Vec<Nc> = EVIL
        .iter()
        .map(|evil| {
            let extra = format!(
                r#""name":"{evil}","user":"{evil}","device":"{evil}","app":"{evil}","tags":{{"k":"{evil}"}},"#
            );
            let mut nc = Nc::connect(address);
            nc.say(&format!(r#"{{"type":"register",{extra}"v":1,"client_ip":"10.0.0.7","client_port":1}}"#));
            nc
        })
        .collect();
    for (nc, evil) in clients.iter_mut().zip(EVIL) {
        nc.say(&format!(r#"{{"type":"chat","message":"{evil}"}}"#));
        nc.say(&format!(r#"{{"type":"update","note":"{evil}","status":"{evil}"}}"#));
        nc.say("\x1b]0;owned\x07\x1b[5;53m");
    }
    let all = |screen: &Screen| (text(screen).matches("evil").count() >= 4).then_some(());
    server.waits_for("all of them", all);
    peer.waits_for("all of them", all);
    for terminal in [&mut server, &mut peer] {
        let frames = terminal.frames().len();
        terminal.resize((160, 50));
        // Keys that come with the new size, in one instant, are read by crossterm only with the next key.
        terminal.has_drawn(frames);
        terminal.types("j\r"); // Their details.
        terminal.types("jjjj/");
        // Pasted, with the marks a terminal puts around it.
        terminal.types("\x1b[200~pas\x1b]0;ted\x07\u{202e}\x1b[201~");
        terminal.shows("pas]0;ted");
        terminal.types("\x1b");
        terminal.hides("pas]0;ted");
    }
    server.types("jx");
    server.shows("Disconnect client?");
    server.types("\x1b");
    let last = clients.pop().unwrap();
    drop(clients);
    drop(last);
    server.waits_for("their end", |screen| (text(screen).matches("TIMED OUT").count() >= 4).then_some(()));
    peer.waits_for("their end", |screen| (text(screen).matches("TIMED OUT").count() >= 4).then_some(()));
    for mut terminal in [peer, server] {
        terminal.types("\x1b\x1b\x1b");
        terminal.signal(Signal::TERM);
        assert_eq!(terminal.given_back().status, 0);
        let bytes = String::from_utf8(terminal.bytes()).expect("nothing but UTF-8");
        assert!(!bytes.contains("\x1b[5;53m"), "a client's style");
        assert_eq!(bytes.chars().find(|c| is_hostile(*c)), None);
        for sequence in bytes.split('\x1b').skip(1) {
            let ours = sequence.strip_prefix('[').and_then(|rest| {
                let end = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, ';' | '?'))?;
                rest[end..].chars().next().filter(|c| matches!(c, 'H' | 'h' | 'l' | 'm' | 'J' | 'K'))
            });
            assert!(ours.is_some(), "not a sequence of ours: ESC {sequence:?}");
        }
    }
}

/// Tells whether a terminal would obey a character, or a reader be misled by it.
fn is_hostile(c: char) -> bool {
    let expected = matches!(c, '\r' | '\n' | '\x1b');
    let invisible = matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    invisible || c.is_control() && !expected
}
