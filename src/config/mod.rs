//! What the program was told: flags, environment, file and defaults, checked as one.
//!
//! Every setting is one entry of the table in [`keys`]. The table drives the
//! file, the environment names, the commented default file and the listing, so
//! they cannot drift apart. Nothing here reads the process's own environment:
//! it is handed in with [`Sources`].

mod edit;
mod file;
mod gate;
mod hooks;
pub mod keys;
pub mod paths;
mod print;
mod replace;
mod resolve;
pub mod save;
mod value;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use gate::{SecurityConfig, TOKEN_VARIABLE};
pub use hooks::{HookCommand, HooksConfig};
pub use keys::{KEYS, Key};
pub use paths::Environment;
pub use print::default_file;
pub use resolve::{Role, Sources};
pub use save::{SaveError, Saved, save_settings};

use crate::net::addr::ServerAddr;
use crate::presence::view::Sort;
use crate::presence::{Dialects, Settings};
use crate::security::Pin;

/// The last port a server tries by itself when the default one is taken.
pub const PORT_FALLBACK_LAST: u16 = 8085;
/// The port a server listens on, and a client connects to, unless told otherwise.
pub const PORT_DEFAULT: u16 = crate::net::addr::DEFAULT_PORT;

/// Every setting in force, checked one by one and against each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What `serve` goes by.
    pub server: ServerConfig,
    /// What `serve` asks of whoever knocks.
    pub security: SecurityConfig,
    /// What `join` goes by.
    pub client: ClientConfig,
    /// What the screen goes by.
    pub ui: UiConfig,
    /// What is run or told when a client flips.
    pub hooks: HooksConfig,
    /// What the log goes by.
    pub log: LogConfig,
    /// What the history goes by.
    pub history: HistoryConfig,
    /// The clients that ought to be there, in the order of the file.
    pub expect: Vec<Expected>,
    /// The file that was read; `None` when there was none.
    pub file: Option<PathBuf>,
    /// Whether the port came from a flag or the environment: then it is used or refused, never replaced.
    pub port_is_explicit: bool,
    /// What is allowed but daring, one sentence each.
    pub warnings: Vec<String>,
    /// Where each entry of [`KEYS`] came from, in the table's order.
    sources: Vec<Source>,
}

/// What `serve` goes by.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerConfig {
    /// The address to listen on.
    pub host: IpAddr,
    /// The port to listen on; 0 lets the system choose.
    pub port: u16,
    /// Heartbeat interval and connection timeout, known to fit each other.
    pub settings: Settings,
    /// How many clients may be registered at once.
    pub max_clients: usize,
    /// How long a departed row stays.
    pub offline_retention: Duration,
    /// How long a connection may take to register; never longer than the timeout.
    pub register_timeout: Duration,
    /// How many clients one address may have; `None` for any number.
    pub max_per_ip: Option<usize>,
    /// Whether a legacy client keeps its old timeout after a live shortening.
    pub pin_legacy: bool,
    /// How many pings a second the whole fleet may send; 0 for any number.
    pub max_pings_per_second: u32,
    /// How many times as many lines as agreed a client may say before it is cut; 0 for any number.
    pub flood_factor: u32,
    /// Whether who is here is remembered across a restart.
    pub remember: bool,
    /// What the server calls itself.
    pub name: String,
    /// Which dialects are answered on the port.
    pub dialects: Dialects,
}

/// A client that ought to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// What it is called.
    pub name: String,
    /// Where that is written.
    pub source: Source,
}

/// What `join` goes by.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientConfig {
    /// The server to join.
    pub server: Option<ServerAddr>,
    /// What to call this client.
    pub name: String,
    /// The person it belongs to.
    pub user: Option<String>,
    /// Which of the person's devices it is.
    pub device: Option<String>,
    /// Labels, as they were given.
    pub tags: Vec<(String, String)>,
    /// The address to tell others instead of the connection's own.
    pub advertise: Option<SocketAddr>,
    /// The identity to use instead of the remembered one.
    pub id: Option<String>,
    /// How often to ping a base server, which sets no interval.
    pub interval: Duration,
    /// The file with the token to show.
    pub token_file: Option<PathBuf>,
    /// The certificates a server is trusted by, in place of the system's.
    pub ca: Option<PathBuf>,
    /// The certificate to show.
    pub cert: Option<PathBuf>,
    /// Its private key; there whenever the certificate is.
    pub key: Option<PathBuf>,
    /// The one certificate a server is trusted by.
    pub pin: Option<Pin>,
}

/// What the screen goes by.
#[derive(Debug, Clone, PartialEq)]
pub struct UiConfig {
    /// The name of the colour theme.
    pub theme: String,
    /// The columns to show, in order; empty for all.
    pub columns: Vec<String>,
    /// The column rows are ordered by at the start.
    pub sort: Sort,
    /// Whether the terminal's bell rings when a client dies.
    pub bell: bool,
    /// Whether live changes are written back to the file.
    pub save_changes: bool,
}

/// What the log goes by.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// The folder of the log files; `None` when neither a setting nor a home folder names one.
    pub dir: Option<PathBuf>,
    /// The least important level to write, or a filter such as `info,presence_tui=debug`.
    pub level: String,
    /// How many daily files are kept.
    pub max_files: usize,
    /// The file that `serve` writes every event to as JSON; `None` for none.
    pub events: Option<PathBuf>,
}

/// What the history goes by.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryConfig {
    /// Where it is kept.
    pub file: HistoryFile,
    /// How long.
    pub retention: Duration,
    /// How large the file may be, in megabytes.
    pub max_mb: usize,
}

/// Where the history is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HistoryFile {
    /// In the state folder, a file for each port.
    #[default]
    InStateFolder,
    /// In this file.
    At(PathBuf),
    /// Nowhere.
    Off,
}

impl Config {
    /// Returns where the value of `key`, such as `server.port`, came from; `None` for an unknown key.
    #[must_use]
    pub fn source(&self, key: &str) -> Option<&Source> {
        let at = KEYS.iter().position(|known| known.path() == key)?;
        self.sources.get(at)
    }

    /// Says in one line which file was read, for the log.
    #[must_use]
    pub fn file_line(&self) -> String {
        match &self.file {
            Some(file) => format!("config file: {}", value::shown(&file.display().to_string())),
            None => "config file: none, the defaults are in force".to_owned(),
        }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// A file, as it was named, and the line and the column in it.
    File(PathBuf, usize, usize),
    /// An environment variable.
    Env(String),
    /// A flag, or the argument it stands for.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(file, line, column) => {
                write!(f, "{}:{line}:{column}", value::shown(&file.display().to_string()))
            }
            Self::Env(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// Everything that is wrong with what the program was told: one line each, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The problems, those of the file first and in its order.
    pub problems: Vec<String>,
}

impl ConfigError {
    /// Wraps a single problem.
    fn one(problem: String) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// Names a path in a message the way the person wrote it.
fn named(path: &Path) -> String {
    value::shown(&path.display().to_string())
}
