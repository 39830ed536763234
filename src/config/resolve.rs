//! Layers the sources (flag > environment > file > default) and checks the whole.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::file::{self, Place};
use super::keys::{KEYS, Key, OnCommandLine, Preset};
use super::paths::{Environment, PREFIX};
use super::print::exact;
use super::value::{Written, nearest, shown};
use super::{
    ClientConfig, Config, ConfigError, Expected, HistoryConfig, HistoryFile, HooksConfig, LogConfig,
    SecurityConfig, ServerConfig, Source, TOKEN_VARIABLE, UiConfig, named,
};
use crate::presence::view::Sort;
use crate::presence::{Dialects, Settings};

/// The environment variable that names the file.
const FILE_VARIABLE: &str = "PRESENCE_TUI_CONFIG";

/// For which command the settings are wanted.
///
/// It matters where two settings share an environment variable, and it keeps
/// `join` from stumbling over variables that are meant for `serve`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `serve`.
    Serve,
    /// `demo`: as `serve`, but no file is read, for a first try must not depend on one, nor change it.
    Demo,
    /// `join`.
    Join,
    /// `notify` and `status`, which say something once: what they show to a server and whom they trust comes
    /// from flags and variables alone, so that no file can keep a script from it.
    Visit,
    /// `config`, which shows them all; a shared variable is shown as the server's.
    Show,
}

impl Role {
    /// Tells whether flags and variables may set this key.
    fn takes(self, key: &Key) -> bool {
        match self {
            Self::Serve => key.section != "client",
            // Nobody is paged because of a simulated client.
            Self::Demo => !matches!(key.section, "client" | "security" | "hooks"),
            Self::Join => !matches!(key.section, "server" | "security" | "hooks"),
            Self::Visit => {
                key.section == "client" && matches!(key.word, "token-file" | "ca" | "cert" | "key" | "pin")
            }
            Self::Show => KEYS
                .iter()
                .find(|other| other.word == key.word)
                .is_some_and(|first| first.path() == key.path()),
        }
    }
}

/// Everything the settings come from; kept, so that they can be resolved again.
#[derive(Debug, Clone)]
pub struct Sources {
    /// For which command.
    pub role: Role,
    /// The file given with `--config`.
    pub config: Option<PathBuf>,
    /// What was given on the command line: key, such as `server.port`, and text.
    pub flags: Vec<(&'static str, String)>,
    /// The environment.
    pub environment: Environment,
    /// The folder the program was started in.
    pub cwd: PathBuf,
    /// The name of this machine.
    pub host_name: String,
}

/// A configuration that is still being put together.
#[derive(Debug)]
pub(super) struct Draft {
    role: Role,
    pub(super) config: Config,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    pub(super) home: Option<PathBuf>,
    problems: Vec<String>,
    /// Set when a problem may have kept the interval or the timeout that was meant from being known.
    doubtful: bool,
}

impl Sources {
    /// Finds the file, layers every source and checks the result.
    ///
    /// # Errors
    /// Every problem of every source at once.
    pub fn resolve(&self) -> Result<Config, ConfigError> {
        let file = self.find()?;
        self.layer(file)
    }

    /// Resolves again, with the same file as before if there was one.
    ///
    /// # Errors
    /// Every problem of every source at once; a file that is gone is one, and so is an empty one, which
    /// is how a file looks to others while it is being written.
    pub fn resolve_again(&self, before: &Config) -> Result<Config, ConfigError> {
        let file = match &before.file {
            Some(path) => Some(self.must_read(path, "")?),
            None => self.find()?,
        };
        if let Some(Named { path, bytes }) = &file
            && before.file.is_some()
            && bytes.trim_ascii().is_empty()
        {
            let words = format!("{}: nothing is in it; is it being written?", super::named(path));
            return Err(ConfigError::one(words));
        }
        self.layer(file)
    }

    /// Finds and reads the file that applies, if there is one.
    fn find(&self) -> Result<Option<Named>, ConfigError> {
        if matches!(self.role, Role::Demo | Role::Visit) {
            return Ok(None);
        }
        if let Some(path) = &self.config {
            return self.must_read(path, "--config: ").map(Some);
        }
        if let Some(path) = self.environment.get(FILE_VARIABLE) {
            return self.must_read(Path::new(path), &format!("{FILE_VARIABLE}: ")).map(Some);
        }
        for path in
            [Some(PathBuf::from("config.toml")), self.environment.user_config_file()].into_iter().flatten()
        {
            match file::read(&self.cwd.join(&path)) {
                Ok(bytes) => return Ok(Some(Named { path, bytes })),
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(error) => return Err(unreadable(&path, "", &error)),
            }
        }
        Ok(None)
    }

    fn must_read(&self, path: &Path, asked_by: &str) -> Result<Named, ConfigError> {
        let bytes = file::read(&self.cwd.join(path)).map_err(|error| unreadable(path, asked_by, &error))?;
        Ok(Named { path: path.to_owned(), bytes })
    }

    /// Puts the layers on top of each other, the weakest first.
    fn layer(&self, file: Option<Named>) -> Result<Config, ConfigError> {
        let mut draft = self.defaults();
        if let Some(file) = file {
            draft.take_file(&file.path, &file.bytes);
            draft.config.file = Some(self.cwd.join(&file.path));
        }
        for (at, key) in KEYS.iter().enumerate().filter(|(_, key)| self.role.takes(key)) {
            let variable = key.variable();
            if let Some(text) = self.environment.get(&variable) {
                draft.take(at, key, &Written::Plain(text.to_owned()), Source::Env(variable));
            }
            if let Some(written) = self.flag(key) {
                draft.take(at, key, &written, Source::Flag(key.flag()));
            }
        }
        draft.config.warnings.extend(self.unknown_variables());
        draft.finish()
    }

    /// Returns what the command line says for a key.
    fn flag(&self, key: &Key) -> Option<Written> {
        let path = key.path();
        let mut texts = self.flags.iter().filter(|(name, _)| *name == path).map(|(_, text)| text.clone());
        if key.on_command_line == OnCommandLine::Repeated {
            let all: Vec<_> = texts.map(Written::Plain).collect();
            return (!all.is_empty()).then_some(Written::List(all));
        }
        texts.next().map(Written::Plain)
    }

    /// Returns a draft in which every key has its default.
    fn defaults(&self) -> Draft {
        let mut draft = Draft {
            role: self.role,
            config: blank(&self.host_name),
            interval: Settings::default().interval(),
            timeout: Settings::default().timeout(),
            home: self.environment.home(),
            problems: Vec::new(),
            doubtful: false,
        };
        for (at, key) in KEYS.iter().enumerate() {
            if let Preset::Value(text) = key.preset
                && let Ok(value) = DeValue::parse(text)
            {
                draft.take(at, key, &file::written(value.get_ref()), Source::Default);
            }
        }
        draft.config.log.dir = self.environment.state_dir().map(|dir| dir.join("logs"));
        draft
    }

    /// Warns of variables that look like settings and are none: a typo there would otherwise go unseen.
    fn unknown_variables(&self) -> Vec<String> {
        let known: Vec<_> = KEYS
            .iter()
            .map(Key::variable)
            .chain([FILE_VARIABLE, TOKEN_VARIABLE].map(str::to_owned))
            .collect();
        let unknown = self.environment.ours().filter(|name| !known.iter().any(|known| known == name));
        unknown
            .map(|name| match nearest(name, known.iter().map(String::as_str)) {
                Some(near) if name != PREFIX => {
                    format!("{} is not a setting (did you mean {near}?)", shown(name))
                }
                _ => format!("{} is not a setting", shown(name)),
            })
            .collect()
    }
}

/// Returns the interval and the timeout one file means by itself, with only the defaults below it.
///
/// The two need not fit each other: with a flag for one of them the other may
/// be fine.
pub(super) fn interval_and_timeout(path: &Path, bytes: &[u8]) -> Result<(Duration, Duration), ConfigError> {
    let nobody = Sources {
        role: Role::Serve,
        config: None,
        flags: Vec::new(),
        environment: Environment::default(),
        cwd: PathBuf::new(),
        host_name: String::new(),
    };
    let mut draft = nobody.defaults();
    draft.take_file(path, bytes);
    if draft.problems.is_empty() {
        Ok((draft.interval, draft.timeout))
    } else {
        Err(ConfigError { problems: draft.problems })
    }
}

/// A file that was read, as it was named.
#[derive(Debug)]
struct Named {
    path: PathBuf,
    bytes: Vec<u8>,
}

fn unreadable(path: &Path, asked_by: &str, error: &io::Error) -> ConfigError {
    let (file, remedy) = (named(path), "`presence-tui config --default` prints one to start from");
    ConfigError::one(match error.kind() {
        io::ErrorKind::NotFound => format!("{asked_by}{file}: no such file ({remedy})"),
        io::ErrorKind::IsADirectory => {
            format!("{asked_by}{file}: a folder, not a file (name the file in it)")
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "{asked_by}{file}: permission denied (make it readable, or name another file with --config)"
            )
        }
        _ => format!("{asked_by}{file}: {error} (name another file with --config)"),
    })
}

/// Tells whether a key is the interval or the timeout.
fn is_of_settings(key: &Key) -> bool {
    key.section == "server" && matches!(key.word, "interval" | "timeout")
}

impl Draft {
    /// Takes over one value, or notes what is wrong with it.
    fn take(&mut self, at: usize, key: &Key, written: &Written, source: Source) {
        match (key.set)(self, written) {
            Ok(()) => self.note(at, source),
            Err(error) => {
                self.doubtful |= is_of_settings(key);
                self.problems.push(format!("{source}: {error}"));
            }
        }
    }

    fn note(&mut self, at: usize, source: Source) {
        if let Some(slot) = self.config.sources.get_mut(at) {
            *slot = source;
        }
    }

    /// Takes over a file.
    fn take_file(&mut self, path: &Path, bytes: &[u8]) {
        let contents = file::understand(bytes);
        let mut problems = contents.problems;
        self.doubtful = !problems.is_empty();
        for found in contents.found {
            let Some(key) = KEYS.get(found.key) else { continue };
            match (key.set)(self, &found.written) {
                Ok(()) => {
                    self.note(found.key, Source::File(path.to_owned(), found.place.line, found.place.column));
                }
                Err(error) => {
                    self.doubtful |= is_of_settings(key);
                    problems.push((found.place, format!("{}: {error}", key.path())));
                }
            }
        }
        for (Place { line, column }, name) in contents.expected {
            self.config.expect.push(Expected { name, source: Source::File(path.to_owned(), line, column) });
        }
        problems.sort_unstable();
        let place = |Place { line, column }: Place| format!("{}:{line}:{column}", named(path));
        self.problems.extend(problems.into_iter().map(|(at, problem)| format!("{}: {problem}", place(at))));
    }

    /// Checks what only the whole can show.
    fn finish(mut self) -> Result<Config, ConfigError> {
        if !self.doubtful {
            match Settings::new(self.interval, self.timeout) {
                Ok(settings) => self.config.server.settings = settings,
                Err(_) => self.problems.push(self.misfit()),
            }
        }
        self.problems.extend(super::gate::problems(&self.config, self.role));
        if !self.problems.is_empty() {
            return Err(ConfigError { problems: self.problems });
        }
        let port = self.config.source("server.port");
        self.config.port_is_explicit = matches!(port, Some(Source::Flag(_) | Source::Env(_)));
        self.limit_register_timeout();
        if self.role != Role::Join {
            self.config.warnings.extend(self.config.server.settings.warning());
        }
        Ok(self.config)
    }

    /// Says which interval and which timeout do not fit, and where each came from.
    fn misfit(&self) -> String {
        let (interval, timeout) = (exact(self.interval), exact(self.timeout));
        let keys = ["server.connection_timeout", "server.heartbeat_interval"];
        let [timeout_from, interval_from] =
            keys.map(|key| self.config.source(key).unwrap_or(&Source::Default));
        // An editor jumps to what an error begins with.
        let in_file = [timeout_from, interval_from].into_iter().find(|from| matches!(from, Source::File(..)));
        let place = in_file.map(|from| format!("{from}: ")).unwrap_or_default();
        let [timeout_key, interval_key] = keys;
        format!(
            "{place}{timeout_key} {timeout} ({timeout_from}) must be greater than {interval_key} {interval} \
             ({interval_from}): try a timeout of {} or more, or a shorter interval",
            exact(self.interval * 2)
        )
    }

    fn limit_register_timeout(&mut self) {
        let timeout = self.config.server.settings.timeout();
        let asked = self.config.server.register_timeout;
        if asked <= timeout {
            return;
        }
        self.config.server.register_timeout = timeout;
        // A file may repeat the default, which is nobody's wish; who types a value wants to know.
        if let Some(source @ (Source::Flag(_) | Source::Env(_))) =
            self.config.source("server.register_timeout")
            && self.role != Role::Join
        {
            let warning = format!(
                "register timeout {} ({source}) is longer than the timeout: {} is used",
                exact(asked),
                exact(timeout)
            );
            self.config.warnings.push(warning);
        }
    }
}

/// Returns a configuration in which every field waits for its default from the table.
fn blank(host_name: &str) -> Config {
    Config {
        server: ServerConfig {
            host: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 0,
            settings: Settings::default(),
            max_clients: 0,
            offline_retention: Duration::ZERO,
            register_timeout: Duration::ZERO,
            max_per_ip: None,
            pin_legacy: false,
            max_pings_per_second: 0,
            flood_factor: 0,
            remember: false,
            name: host_name.to_owned(),
            dialects: Dialects::none(),
        },
        security: SecurityConfig::default(),
        client: ClientConfig {
            server: None,
            name: host_name.to_owned(),
            user: None,
            device: None,
            tags: Vec::new(),
            advertise: None,
            id: None,
            interval: Duration::ZERO,
            token_file: None,
            ca: None,
            cert: None,
            key: None,
            pin: None,
        },
        ui: UiConfig {
            theme: String::new(),
            columns: Vec::new(),
            sort: Sort::State,
            bell: false,
            save_changes: false,
        },
        hooks: HooksConfig::default(),
        log: LogConfig { dir: None, level: String::new(), max_files: 0, events: None },
        history: HistoryConfig { file: HistoryFile::default(), retention: Duration::ZERO, max_mb: 0 },
        expect: Vec::new(),
        file: None,
        port_is_explicit: false,
        warnings: Vec::new(),
        sources: vec![Source::Default; KEYS.len()],
    }
}
