//! The table of settings: one entry each, and nowhere else.

mod gate;

use std::path::PathBuf;
use std::time::Duration;

use super::print::{quoted, seconds, span, table, words};
use super::resolve::Draft;
use super::value::{self, Written};
use super::{Config, HistoryFile, hooks, paths};
use crate::presence::Settings;
use crate::presence::settings::{INTERVAL_MIN, SettingsError, TIMEOUT_MAX};

/// The sections of the file, each with what it is about.
pub const SECTIONS: [(&str, &str); 7] = [
    ("server", "What `presence-tui serve` goes by."),
    ("security", "Who may come in, when `presence-tui serve` runs."),
    ("client", "What `presence-tui join` goes by."),
    ("ui", "The screen of both."),
    ("hooks", "What `presence-tui serve` runs or tells when clients come and go."),
    ("log", "The log file of both. Nothing is ever logged to the terminal."),
    (
        "history",
        "What `presence-tui serve` remembers for `presence-tui history`: who came and went, and never a ping.",
    ),
];

/// How a setting can be given on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnCommandLine {
    /// As `--word VALUE`.
    Flag,
    /// As a flag that may be repeated.
    Repeated,
    /// As the argument `ADDR`.
    Argument,
    /// Not at all: the file and the environment are enough.
    No,
}

/// What a setting is when nobody says anything, as TOML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// This value.
    Value(&'static str),
    /// Nothing, or what the machine says; this is what a value could look like.
    Example(&'static str),
}

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// The section it stands in.
    pub section: &'static str,
    /// Its name in that section.
    pub name: &'static str,
    /// What its flag and its environment variable are called after.
    pub word: &'static str,
    /// How it can be given on the command line.
    pub on_command_line: OnCommandLine,
    /// What it is for, in a sentence or two.
    pub doc: &'static str,
    /// What holds when nobody says anything.
    pub preset: Preset,
    /// Checks a value and takes it over.
    pub(super) set: fn(&mut Draft, &Written) -> Result<(), String>,
    /// Writes the value in force as TOML; `None` when there is none.
    pub(super) show: fn(&Config) -> Option<String>,
}

impl Key {
    /// Returns section and name, such as `server.port`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// Returns its environment variable, such as `PRESENCE_TUI_PORT`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{}{}", paths::PREFIX, self.word.to_ascii_uppercase().replace('-', "_"))
    }

    /// Returns what a person types on the command line, such as `--port`.
    #[must_use]
    pub fn flag(&self) -> String {
        match self.on_command_line {
            OnCommandLine::Argument => "ADDR".to_owned(),
            _ => format!("--{}", self.word),
        }
    }
}

use OnCommandLine::{Argument, Flag, No, Repeated};
use Preset::{Example, Value};

/// Every setting there is, in the order of the file.
///
/// Where two share a word (`--interval` of `serve` and of `join`), the command
/// says which is meant.
pub static KEYS: [Key; 48] = [
    Key {
        section: "server",
        name: "host",
        word: "host",
        on_command_line: Flag,
        doc: "Address to listen on: 0.0.0.0 for every IPv4 network, :: for every network, 127.0.0.1 for this machine only.",
        preset: Value("\"0.0.0.0\""),
        set: |d, w| value::host(w).map(|host| d.config.server.host = host),
        show: |c| Some(quoted(&c.server.host.to_string())),
    },
    Key {
        section: "server",
        name: "port",
        word: "port",
        on_command_line: Flag,
        doc: "Port to listen on. When it is taken, the next free one up to 8085 is used; a port given by flag or environment is used or refused. 0 lets the system choose.",
        preset: Value("8080"),
        set: |d, w| value::port(w).map(|port| d.config.server.port = port),
        show: |c| Some(c.server.port.to_string()),
    },
    Key {
        section: "server",
        name: "heartbeat_interval",
        word: "interval",
        on_command_line: Flag,
        doc: "How often a client is asked to ping: 0.1 s to 1 h.",
        preset: Value("60"),
        set: |d, w| interval(w).map(|interval| d.interval = interval),
        show: |c| Some(seconds(c.server.settings.interval())),
    },
    Key {
        section: "server",
        name: "connection_timeout",
        word: "timeout",
        on_command_line: Flag,
        doc: "How long a client may be silent before it is declared gone: longer than heartbeat_interval, at most 24 h. Twice the interval or more lets one ping get lost.",
        preset: Value("120"),
        set: |d, w| timeout(w).map(|timeout| d.timeout = timeout),
        show: |c| Some(seconds(c.server.settings.timeout())),
    },
    Key {
        section: "server",
        name: "max_clients",
        word: "max-clients",
        on_command_line: Flag,
        doc: "How many clients may be registered at once. The open-file limit is raised to fit, as far as the system allows.",
        preset: Value("100"),
        set: |d, w| {
            value::count(w, "a number of clients", 1..=1_000_000).map(|n| d.config.server.max_clients = n)
        },
        show: |c| Some(c.server.max_clients.to_string()),
    },
    Key {
        section: "server",
        name: "offline_retention",
        word: "offline-retention",
        on_command_line: Flag,
        doc: "How long a departed client stays on the list. It may come back at any time, on the list or not.",
        preset: Value("\"24h\""),
        set: |d, w| value::duration(w).map(|span| d.config.server.offline_retention = span),
        show: |c| Some(span(c.server.offline_retention)),
    },
    Key {
        section: "server",
        name: "register_timeout",
        word: "register-timeout",
        on_command_line: Flag,
        doc: "How long a connection may take to register. Never longer than connection_timeout, whatever is written here.",
        preset: Value("\"5s\""),
        set: |d, w| register_timeout(w).map(|span| d.config.server.register_timeout = span),
        show: |c| Some(span(c.server.register_timeout)),
    },
    Key {
        section: "server",
        name: "max_per_ip",
        word: "max-per-ip",
        on_command_line: Flag,
        doc: "How many clients one IP address may have; 0 for any number.",
        preset: Value("0"),
        set: |d, w| {
            let read = value::count(w, "a number of clients", 0..=1_000_000);
            read.map(|n| d.config.server.max_per_ip = (n > 0).then_some(n))
        },
        show: |c| Some(c.server.max_per_ip.unwrap_or(0).to_string()),
    },
    Key {
        section: "server",
        name: "pin_legacy",
        word: "pin-legacy",
        on_command_line: Flag,
        doc: "Whether a client that cannot be told of a shorter timeout keeps the old one until its own pings fit the new one. false treats all alike, and may drop healthy old clients.",
        preset: Value("true"),
        set: |d, w| value::boolean(w).map(|yes| d.config.server.pin_legacy = yes),
        show: |c| Some(c.server.pin_legacy.to_string()),
    },
    Key {
        section: "server",
        name: "max_pings_per_second",
        word: "max-pings-per-second",
        on_command_line: Flag,
        doc: "How many pings a second the whole fleet may send; 0 for any number. A fleet too large for its interval is given a longer one, and a timeout that is longer by as much.",
        preset: Value("2000"),
        set: |d, w| {
            let read = value::count(w, "a number of pings", 0..=10_000_000);
            read.map(|n| d.config.server.max_pings_per_second = u32::try_from(n).unwrap_or(u32::MAX))
        },
        show: |c| Some(c.server.max_pings_per_second.to_string()),
    },
    Key {
        section: "server",
        name: "flood_factor",
        word: "flood-factor",
        on_command_line: No,
        doc: "How many times as many lines as agreed a client may say, and two a second in any case; then it is cut, with the reason flood. 0 for any number.",
        preset: Value("4"),
        set: |d, w| {
            let read = value::count(w, "a factor", 0..=1_000);
            read.map(|n| d.config.server.flood_factor = u32::try_from(n).unwrap_or(u32::MAX))
        },
        show: |c| Some(c.server.flood_factor.to_string()),
    },
    Key {
        section: "server",
        name: "remember",
        word: "remember",
        on_command_line: No,
        doc: "Whether the clients that are here are remembered in the state folder, and expected back when the server starts again.",
        preset: Value("true"),
        set: |d, w| value::boolean(w).map(|yes| d.config.server.remember = yes),
        show: |c| Some(c.server.remember.to_string()),
    },
    Key {
        section: "server",
        name: "name",
        word: "server-name",
        on_command_line: Flag,
        doc: "What the server calls itself. Not set: the host name.",
        preset: Example("\"front-desk\""),
        set: |d, w| value::name(w, "a name").map(|name| d.config.server.name = name),
        show: |c| Some(quoted(&c.server.name)),
    },
    Key {
        section: "server",
        name: "dialects",
        word: "dialects",
        on_command_line: No,
        doc: "What is answered on the port: presence (join and every base client), netsync, websocket, http. Take out what nobody uses.",
        preset: Value("[\"presence\", \"netsync\", \"websocket\", \"http\"]"),
        set: |d, w| value::dialects(w).map(|dialects| d.config.server.dialects = dialects),
        show: |c| {
            let spoken: Vec<_> = c.server.dialects.iter().map(|one| one.word().to_owned()).collect();
            Some(words(&spoken))
        },
    },
    gate::TOKEN_FILE,
    gate::TLS_CERT,
    gate::TLS_KEY,
    gate::CLIENT_CA,
    gate::REQUIRE_TLS,
    Key {
        section: "client",
        name: "server",
        word: "server",
        on_command_line: Argument,
        doc: "The server to join when none is named: HOST or HOST:PORT, with tls:// in front for TLS.",
        preset: Example("\"192.0.2.7:8080\""),
        set: |d, w| value::address(w).map(|address| d.config.client.server = Some(address)),
        show: |c| c.client.server.as_ref().map(|address| quoted(&address.to_string())),
    },
    Key {
        section: "client",
        name: "name",
        word: "name",
        on_command_line: Flag,
        doc: "What to call this client. Not set: the host name.",
        preset: Example("\"build-7\""),
        set: |d, w| value::name(w, "a name").map(|name| d.config.client.name = name),
        show: |c| Some(quoted(&c.client.name)),
    },
    Key {
        section: "client",
        name: "user",
        word: "user",
        on_command_line: Flag,
        doc: "The person this client belongs to.",
        preset: Example("\"ada\""),
        set: |d, w| value::name(w, "a user").map(|user| d.config.client.user = Some(user)),
        show: |c| c.client.user.as_deref().map(quoted),
    },
    Key {
        section: "client",
        name: "device",
        word: "device",
        on_command_line: Flag,
        doc: "Which of the person's devices it runs on.",
        preset: Example("\"laptop\""),
        set: |d, w| value::name(w, "a device").map(|device| d.config.client.device = Some(device)),
        show: |c| c.client.device.as_deref().map(quoted),
    },
    Key {
        section: "client",
        name: "tags",
        word: "tag",
        on_command_line: Repeated,
        doc: "Labels to find this client by, at most 16, such as { role = \"ci\" }. Flags replace the whole table.",
        preset: Value("{}"),
        set: |d, w| value::tags(w).map(|tags| d.config.client.tags = tags),
        show: |c| Some(table(&c.client.tags)),
    },
    Key {
        section: "client",
        name: "advertise",
        word: "advertise",
        on_command_line: Flag,
        doc: "Address to tell the others, IP:PORT. Not set: the connection's own.",
        preset: Example("\"192.0.2.8:3000\""),
        set: |d, w| value::socket(w).map(|address| d.config.client.advertise = Some(address)),
        show: |c| c.client.advertise.map(|address| quoted(&address.to_string())),
    },
    Key {
        section: "client",
        name: "id",
        word: "id",
        on_command_line: Flag,
        doc: "Identity of this client, the same across restarts. Not set: made once and remembered in the state folder.",
        preset: Example("\"k3v9q2m1\""),
        set: |d, w| value::identity(w).map(|id| d.config.client.id = Some(id)),
        show: |c| c.client.id.as_deref().map(quoted),
    },
    Key {
        section: "client",
        name: "interval",
        word: "interval",
        on_command_line: Flag,
        doc: "How often to ping a server that does not say how often, 0.1 s to 60 s. A server that does is obeyed.",
        preset: Value("60"),
        set: |d, w| client_interval(w).map(|interval| d.config.client.interval = interval),
        show: |c| Some(seconds(c.client.interval)),
    },
    gate::CLIENT_TOKEN_FILE,
    gate::CA,
    gate::CERT,
    gate::KEY,
    gate::PIN,
    Key {
        section: "ui",
        name: "theme",
        word: "theme",
        on_command_line: No,
        doc: "Colours of the screen. NO_COLOR, when set, means none.",
        preset: Value("\"auto\""),
        set: |d, w| value::name(w, "a theme").map(|theme| d.config.ui.theme = theme),
        show: |c| Some(quoted(&c.ui.theme)),
    },
    Key {
        section: "ui",
        name: "columns",
        word: "columns",
        on_command_line: No,
        doc: "Columns of the table, in order; [] shows all that fit.",
        preset: Value("[]"),
        set: |d, w| value::words(w).map(|columns| d.config.ui.columns = columns),
        show: |c| Some(words(&c.ui.columns)),
    },
    Key {
        section: "ui",
        name: "sort",
        word: "sort",
        on_command_line: No,
        doc: "Column the table starts sorted by: state (problems first), name, address, last_ping, times_out, rtt or up.",
        preset: Value("\"state\""),
        set: |d, w| value::sort(w).map(|sort| d.config.ui.sort = sort),
        show: |c| Some(quoted(c.ui.sort.word())),
    },
    Key {
        section: "ui",
        name: "bell",
        word: "bell",
        on_command_line: No,
        doc: "Whether the terminal's bell rings when a client dies.",
        preset: Value("true"),
        set: |d, w| value::boolean(w).map(|yes| d.config.ui.bell = yes),
        show: |c| Some(c.ui.bell.to_string()),
    },
    Key {
        section: "ui",
        name: "save_changes",
        word: "save-changes",
        on_command_line: No,
        doc: "Whether an interval or timeout changed on the screen is written back to this file. Its comments are kept.",
        preset: Value("true"),
        set: |d, w| value::boolean(w).map(|yes| d.config.ui.save_changes = yes),
        show: |c| Some(c.ui.save_changes.to_string()),
    },
    Key {
        section: "hooks",
        name: "on_event",
        word: "on-event",
        on_command_line: No,
        doc: "Commands to run when a client flips, without a shell: split at blanks, quotes keep words together. What happened is in PRESENCE_* variables and, as JSON, on stdin. Each has 10 s; four run at once.",
        preset: Value("[]"),
        set: |d, w| hooks::commands(w).map(|commands| d.config.hooks.commands = commands),
        show: |c| {
            let written: Vec<_> = c.hooks.commands.iter().map(|command| command.written.clone()).collect();
            Some(words(&written))
        },
    },
    Key {
        section: "hooks",
        name: "events",
        word: "hook-events",
        on_command_line: No,
        doc: "For which flips: timed_out, lost, recovered, joined, left, and mass_timeout for more than ten failures within 5 s, told as one.",
        preset: Value("[\"timed_out\", \"lost\", \"recovered\", \"mass_timeout\"]"),
        set: |d, w| hooks::events(w).map(|events| d.config.hooks.events = events),
        show: |c| {
            let names: Vec<_> = c.hooks.events.iter().map(|flip| flip.word().to_owned()).collect();
            Some(words(&names))
        },
    },
    Key {
        section: "hooks",
        name: "webhook",
        word: "webhook",
        on_command_line: No,
        doc: "Where the same JSON is posted, http:// or https://. Three tries; any status below 300 will do.",
        preset: Example("\"https://chat.example.com/hooks/presence\""),
        set: |d, w| hooks::webhook(w).map(|url| d.config.hooks.webhook = Some(url)),
        show: |c| c.hooks.webhook.as_ref().map(|url| quoted(&url.full())),
    },
    Key {
        section: "hooks",
        name: "muted",
        word: "muted",
        on_command_line: No,
        doc: "Names or ids of clients that hooks are not run for, such as a laptop that comes and goes.",
        preset: Value("[]"),
        set: |d, w| value::words(w).map(|muted| d.config.hooks.muted = muted),
        show: |c| Some(words(&c.hooks.muted)),
    },
    Key {
        section: "log",
        name: "dir",
        word: "log-dir",
        on_command_line: Flag,
        doc: "Folder of the log files. Not set: logs in the state folder, $XDG_STATE_HOME/presence-tui or ~/.local/state/presence-tui.",
        preset: Example("\"/var/log/presence-tui\""),
        set: |d, w| path(d, w, "a folder").map(|dir| d.config.log.dir = Some(dir)),
        show: |c| c.log.dir.as_ref().map(|dir| quoted(&dir.display().to_string())),
    },
    Key {
        section: "log",
        name: "level",
        word: "log-level",
        on_command_line: Flag,
        doc: "Least important level that is written: off, error, warn, info, debug, trace, or a filter such as info,presence_tui=debug. RUST_LOG beats it.",
        preset: Value("\"info\""),
        set: |d, w| value::level(w).map(|level| d.config.log.level = level),
        show: |c| Some(quoted(&c.log.level)),
    },
    Key {
        section: "log",
        name: "max_files",
        word: "log-max-files",
        on_command_line: No,
        doc: "How many log files are kept; there is one a day.",
        preset: Value("7"),
        set: |d, w| value::count(w, "a number of files", 1..=10_000).map(|n| d.config.log.max_files = n),
        show: |c| Some(c.log.max_files.to_string()),
    },
    Key {
        section: "log",
        name: "events",
        word: "events",
        on_command_line: Flag,
        doc: "File that serve writes everything that happens to, a JSON object a line. At 16 MiB it becomes FILE.1, and five of those are kept.",
        preset: Example("\"/var/log/presence-tui/events.ndjson\""),
        set: |d, w| path(d, w, "a file").map(|file| d.config.log.events = Some(file)),
        show: |c| c.log.events.as_ref().map(|file| quoted(&file.display().to_string())),
    },
    Key {
        section: "history",
        name: "path",
        word: "history-path",
        on_command_line: No,
        doc: "The file. Not set: history-PORT.db in the state folder. \"off\" or \"\": none.",
        preset: Example("\"/var/lib/presence-tui/history.db\""),
        set: |d, w| history_file(d, w).map(|file| d.config.history.file = file),
        show: |c| match &c.history.file {
            HistoryFile::InStateFolder => None,
            HistoryFile::At(path) => Some(quoted(&path.display().to_string())),
            HistoryFile::Off => Some(quoted("off")),
        },
    },
    Key {
        section: "history",
        name: "retention",
        word: "history-retention",
        on_command_line: No,
        doc: "How long it is kept.",
        preset: Value("\"30d\""),
        set: |d, w| value::duration(w).map(|span| d.config.history.retention = span),
        show: |c| Some(span(c.history.retention)),
    },
    Key {
        section: "history",
        name: "max_mb",
        word: "history-max-mb",
        on_command_line: No,
        doc: "How large the file may be, in megabytes; the oldest goes first.",
        preset: Value("256"),
        set: |d, w| {
            value::count(w, "a number of megabytes", 1..=1_000_000).map(|n| d.config.history.max_mb = n)
        },
        show: |c| Some(c.history.max_mb.to_string()),
    },
];

/// Reads a path; `~` stands for the home folder.
fn path(draft: &Draft, written: &Written, what: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(value::text(written, what)?);
    Ok(match (path.strip_prefix("~"), &draft.home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    })
}

fn history_file(draft: &Draft, written: &Written) -> Result<HistoryFile, String> {
    match written {
        Written::Plain(text) | Written::Text(text) if matches!(text.trim(), "" | "off") => {
            Ok(HistoryFile::Off)
        }
        _ => path(draft, written, "a file").map(HistoryFile::At),
    }
}

fn interval(written: &Written) -> Result<Duration, String> {
    let interval = value::duration(written)?;
    // Only the interval's own limits can fail here: the longest timeout is above the longest interval.
    Settings::new(interval, TIMEOUT_MAX).map(Settings::interval).map_err(|error| error.to_string())
}

fn timeout(written: &Written) -> Result<Duration, String> {
    let timeout = value::duration(written)?;
    if timeout > TIMEOUT_MAX {
        return Err(SettingsError::TimeoutTooLong(timeout).to_string());
    }
    Ok(timeout)
}

fn register_timeout(written: &Written) -> Result<Duration, String> {
    let span = value::duration(written)?;
    if span < INTERVAL_MIN {
        return Err(format!("{written} is too short to register in (0.1s or more)"));
    }
    Ok(span)
}

/// The longest interval a base server is sure to bear.
const CLIENT_INTERVAL_MAX: Duration = Duration::from_mins(1);

fn client_interval(written: &Written) -> Result<Duration, String> {
    let interval = value::duration(written)?;
    if (INTERVAL_MIN..=CLIENT_INTERVAL_MAX).contains(&interval) {
        return Ok(interval);
    }
    Err(format!("{written} is not an interval a client may keep by itself (0.1s to 60s)"))
}
