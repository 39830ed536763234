//! The command line: subcommands and flags.
//!
//! Values stay text here. They go to the config under the name of their
//! setting, so that a bad value is refused in the same words wherever it
//! comes from.

mod foreign;
mod gate;
mod history;
mod notify;
mod status;
mod swarm;

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::{Environment, Role, Sources};
pub use foreign::ForeignArgs;
pub use gate::{CertArgs, GuardArgs, ShowArgs};
pub use history::HistoryArgs;
pub use notify::NotifyArgs;
pub use status::StatusArgs;
pub use swarm::{SwarmArgs, SwarmDialect};

/// What the binary is called, in usage lines and in completions.
pub const BINARY: &str = "presence-tui";

/// How many clients a demo has unless told otherwise.
const DEMO_CLIENTS: usize = 24;
/// More than this is not a demo but a load test.
const DEMO_CLIENTS_MAX: usize = 5_000;
/// How many others a demo's server takes: whoever tries `join`, or `nc`.
const DEMO_GUESTS: usize = 16;

/// Keeps long-lived TCP connections honest and shows, live in a terminal, who is alive, who is late and who is gone.
#[derive(Debug, Parser)]
#[command(
    name = BINARY,
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Start with:\n  presence-tui demo                a fleet to look at, at once\n  presence-tui serve               here\n  presence-tui join HOST           there, on each machine to watch\n\nA flag beats an environment variable (PRESENCE_TUI_PORT, ...) beats the config file beats the default.\n`presence-tui config` shows what is in force and where it came from."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server, with a dashboard of its clients
    #[command(
        allow_negative_numbers = true,
        after_help = "Examples:\n  presence-tui serve\n  presence-tui serve --port 9000 --interval 5s --timeout 15s\n  presence-tui serve --headless --json 2>events.ndjson\n\nDurations: 60, 0.5 (seconds), 500ms, 90s, 2m30s, 1h."
    )]
    Serve(ServeArgs),
    /// Be a client of a server, and show how the connection stands
    #[command(
        allow_negative_numbers = true,
        after_help = "Examples:\n  presence-tui join 192.0.2.7\n  presence-tui join hq.example.com:9000 --name build-7 --tag role=ci --tag rack=3\n  presence-tui join '[2001:db8::7]:8080' --headless\n\nServers that speak something else get a heartbeat of your own making:\n  presence-tui join ws://HOST/PATH --interval 30s --payload ping --expect PONG\n  presence-tui join tcp+raw://HOST:PORT --interval 60s --payload-hex c000"
    )]
    Join(JoinArgs),
    /// Run a server and simulated clients, some of which die, to see what it is like
    #[command(
        allow_negative_numbers = true,
        after_help = "Examples:\n  presence-tui demo\n  presence-tui demo 200\n  presence-tui demo 8 --headless\n\nAll of it is in this one process, on a port of this machine only. The first line says which:\n`presence-tui join 127.0.0.1:PORT` in another terminal makes you one of them."
    )]
    Demo(DemoArgs),
    /// Put a server to the test with many clients, and report how they fared
    #[command(
        allow_negative_numbers = true,
        after_help = "Examples:\n  presence-tui swarm 127.0.0.1 -n 1000 --duration 60s\n  presence-tui swarm hq.example.com:9000 -n 5000 --rate 500 --churn 10\n  presence-tui swarm 127.0.0.1 -n 2000 --freeze 500 --duration 5m --json >report.json\n\nThe server must allow as many: serve --max-clients N, and files for them (ulimit -n).\nWatch \"own lag\" in the report: where it is as long as what is measured, this end is the slow one."
    )]
    Swarm(SwarmArgs),
    /// Make a self-signed certificate for a lab, and print its pin
    #[command(
        after_help = "Examples:\n  presence-tui cert localhost 127.0.0.1\n  presence-tui cert hq.example.com --out certs\n\nWrites HOST.crt and HOST.key. Then:\n  presence-tui serve --tls-cert HOST.crt --tls-key HOST.key\n  presence-tui join tls://HOST --pin PIN"
    )]
    Cert(CertArgs),
    /// Ask a running server who is there, once
    #[command(
        after_help = "Examples:\n  presence-tui status\n  presence-tui status hq.example.com:9000 --json\n  presence-tui status tls://hq.example.com --token-file FILE\n\nExit status: 0 all are well, 5 somebody is timed out or has not come, 1 no server answers."
    )]
    Status(StatusArgs),
    /// Tell clients something, and say who got it
    #[command(
        after_help = "Examples:\n  presence-tui notify --server hq.example.com --to user=ada \"the build is red\"\n  presence-tui notify --server 127.0.0.1 --to tag=role=ci --title Deploy \"restart at five\"\n  presence-tui notify --server tls://hq.example.com --token-file FILE --to all --json \"lunch\"\n\nExit status: 0 everybody was told, 5 somebody was not (with all and tag: of those who are here), 1 it could not be sent, 2 bad usage."
    )]
    Notify(NotifyArgs),
    /// Tell who was here when: sessions, outages and uptime, also while a server runs
    #[command(
        after_help = "Examples:\n  presence-tui history\n  presence-tui history --since 7d --client build-7\n  presence-tui history --port 9000 --json\n\nUptime is the time a client was online, of the time a server was there to tell."
    )]
    History(HistoryArgs),
    /// Print the settings in force, each with where it came from
    #[command(after_help = "Examples:\n  presence-tui config\n  presence-tui config --default >config.toml")]
    Config(ConfigArgs),
    /// Print a completion script for a shell
    #[command(
        after_help = "Examples:\n  presence-tui completions bash >~/.local/share/bash-completion/completions/presence-tui\n  presence-tui completions fish >~/.config/fish/completions/presence-tui.fish"
    )]
    Completions(CompletionsArgs),
}

/// The flags of `serve`.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// Address to listen on [default: 0.0.0.0]
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// Port to listen on, used or refused; 0 lets the system choose [default: 8080, or the next free one up to 8085]
    #[arg(long)]
    pub port: Option<String>,
    /// How often a client is asked to ping, 0.1 s to 1 h [default: 60s]
    #[arg(long, value_name = "DURATION")]
    pub interval: Option<String>,
    /// How long a client may be silent; greater than the interval [default: 120s]
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// How many clients may be registered at once [default: 100]
    #[arg(long, value_name = "N")]
    pub max_clients: Option<String>,
    /// How long a departed client stays on the list [default: 24h]
    #[arg(long, value_name = "DURATION")]
    pub offline_retention: Option<String>,
    /// How long a connection may take to register [default: 5s]
    #[arg(long, value_name = "DURATION")]
    pub register_timeout: Option<String>,
    /// How many clients one IP address may have; 0 for any number [default: 0]
    #[arg(long, value_name = "N")]
    pub max_per_ip: Option<String>,
    /// Whether old clients keep their timeout when it is shortened live [default: true]
    #[arg(long, value_name = "BOOL")]
    pub pin_legacy: Option<String>,
    /// How many pings a second the whole fleet may send; 0 for any number [default: 2000]
    #[arg(long, value_name = "N")]
    pub max_pings_per_second: Option<String>,
    /// What the server calls itself [default: the host name]
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,
    /// File to write everything that happens to, a JSON object a line [default: none]
    #[arg(long, value_name = "FILE")]
    pub events: Option<String>,
    /// What both commands share.
    #[command(flatten)]
    pub common: CommonArgs,
    /// What it asks of whoever knocks; last, for its heading covers what follows.
    #[command(flatten)]
    pub guard: GuardArgs,
}

/// The flags of `join`.
#[derive(Debug, Clone, Default, Args)]
pub struct JoinArgs {
    /// The server; may be left out when the config file or the environment names one. With ws://, wss:// or tcp+raw:// in front, one that speaks something else
    #[arg(value_name = "ADDR[:PORT]")]
    pub server: Option<String>,
    /// What to call this client [default: the host name]
    #[arg(long)]
    pub name: Option<String>,
    /// The person it belongs to
    #[arg(long)]
    pub user: Option<String>,
    /// Which of the person's devices it runs on
    #[arg(long)]
    pub device: Option<String>,
    /// A label; may be given up to 16 times
    #[arg(long, value_name = "KEY=VALUE")]
    pub tag: Vec<String>,
    /// Address to tell the others [default: the connection's own]
    #[arg(long, value_name = "IP:PORT")]
    pub advertise: Option<String>,
    /// Identity to use [default: made once and remembered]
    #[arg(long)]
    pub id: Option<String>,
    /// How often to ping a server that does not say how often, at most 60 s [default: 60s]; a foreign one, at most 1 h
    #[arg(long, value_name = "DURATION")]
    pub interval: Option<String>,
    /// What both commands share.
    #[command(flatten)]
    pub common: CommonArgs,
    /// What it shows to a server that asks.
    #[command(flatten)]
    pub show: ShowArgs,
    /// What a foreign server is sent; last, for its heading covers what follows.
    #[command(flatten)]
    pub foreign: ForeignArgs,
}

/// The flags of `demo`.
#[derive(Debug, Clone, Default, Args)]
pub struct DemoArgs {
    /// How many simulated clients, 1 to 5000 [default: 24]
    #[arg(value_name = "N", value_parser = fleet_size)]
    pub clients: Option<usize>,
    /// The same number makes the same fleet with the same fate [default: another one every time]
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// What every long run has.
    #[command(flatten)]
    pub run: RunArgs,
}

/// The flags `serve` and `join` share.
#[derive(Debug, Clone, Default, Args)]
pub struct CommonArgs {
    /// Config file to read; it must exist [default: ./config.toml, else the user's own]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What every long run has.
    #[command(flatten)]
    pub run: RunArgs,
}

/// The flags every long run has: how it shows itself, and what it logs.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// Draw nothing; write what happens to stderr, a line each
    #[arg(long)]
    pub headless: bool,
    /// Draw nothing, and write those lines as JSON
    #[arg(long)]
    pub json: bool,
    /// Draw with ASCII characters only [default: where the terminal or the locale needs it]
    #[arg(long)]
    pub ascii: bool,
    /// Folder of the log files [default: logs in the state folder]
    #[arg(long, value_name = "DIR")]
    pub log_dir: Option<String>,
    /// Least important level that is logged: off, error, warn, info, debug, trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

/// The flags of `config`.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArgs {
    /// Print a commented file of the defaults instead
    #[arg(long)]
    pub default: bool,
    /// Config file to read; it must exist [default: ./config.toml, else the user's own]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The arguments of `completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// What the command line says about one setting: its name, such as `server.port`, and the text given.
pub type Given = (&'static str, String);

impl Command {
    /// Returns every setting given on the command line.
    #[must_use]
    pub fn given(&self) -> Vec<Given> {
        match self {
            Self::Serve(args) => args.given(),
            Self::Join(args) => args.given(),
            Self::Demo(args) => args.given(),
            Self::Status(args) => present(args.show.settings().into_iter()),
            Self::Notify(args) => present(args.show.settings().into_iter()),
            Self::Swarm(_) | Self::Cert(_) | Self::History(_) | Self::Config(_) | Self::Completions(_) => {
                Vec::new()
            }
        }
    }

    /// Returns everything the settings of this command come from.
    #[must_use]
    pub fn sources(&self, environment: Environment, cwd: PathBuf, host_name: String) -> Sources {
        let role = match self {
            Self::Serve(_) => Role::Serve,
            Self::Join(_) => Role::Join,
            Self::Demo(_) => Role::Demo,
            Self::Status(_) | Self::Notify(_) => Role::Visit,
            Self::Swarm(_) | Self::Cert(_) | Self::History(_) | Self::Config(_) | Self::Completions(_) => {
                Role::Show
            }
        };
        let config = self.config_file().map(Path::to_owned);
        Sources { role, config, flags: self.given(), environment, cwd, host_name }
    }

    /// Returns the config file given with `--config`.
    #[must_use]
    pub fn config_file(&self) -> Option<&Path> {
        match self {
            Self::Serve(args) => args.common.config.as_deref(),
            Self::Join(args) => args.common.config.as_deref(),
            Self::Config(args) => args.config.as_deref(),
            Self::History(args) => args.config.as_deref(),
            Self::Demo(_)
            | Self::Swarm(_)
            | Self::Cert(_)
            | Self::Status(_)
            | Self::Notify(_)
            | Self::Completions(_) => None,
        }
    }
}

impl ServeArgs {
    /// Returns every setting given.
    #[must_use]
    pub fn given(&self) -> Vec<Given> {
        let own = [
            ("server.host", &self.host),
            ("server.port", &self.port),
            ("server.heartbeat_interval", &self.interval),
            ("server.connection_timeout", &self.timeout),
            ("server.max_clients", &self.max_clients),
            ("server.offline_retention", &self.offline_retention),
            ("server.register_timeout", &self.register_timeout),
            ("server.max_per_ip", &self.max_per_ip),
            ("server.pin_legacy", &self.pin_legacy),
            ("server.max_pings_per_second", &self.max_pings_per_second),
            ("server.name", &self.server_name),
            ("log.events", &self.events),
        ];
        present(own.into_iter().chain(self.guard.settings()).chain(self.common.run.settings()))
    }
}

impl JoinArgs {
    /// Returns every setting given; the tags one by one.
    #[must_use]
    pub fn given(&self) -> Vec<Given> {
        let own = [
            ("client.server", &self.server),
            ("client.name", &self.name),
            ("client.user", &self.user),
            ("client.device", &self.device),
            ("client.advertise", &self.advertise),
            ("client.id", &self.id),
            ("client.interval", &self.interval),
        ];
        // The address of a foreign server is no client.server, and its interval no client.interval.
        let own = own.into_iter().filter(|(key, _)| {
            self.foreign_server().is_none() || !["client.server", "client.interval"].contains(key)
        });
        let mut given = present(own.chain(self.show.settings()).chain(self.common.run.settings()));
        given.extend(self.tag.iter().map(|tag| ("client.tags", tag.clone())));
        given
    }
}

impl DemoArgs {
    /// Returns how many clients are wanted.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.clients.unwrap_or(DEMO_CLIENTS)
    }

    /// Returns every setting given, and those a demo does not leave to others.
    ///
    /// It listens where only this machine can reach it, and goes fast enough
    /// for something to happen while somebody looks.
    #[must_use]
    pub fn given(&self) -> Vec<Given> {
        let own = [
            ("server.host", "127.0.0.1".to_owned()),
            ("server.port", "0".to_owned()),
            ("server.heartbeat_interval", "2s".to_owned()),
            ("server.connection_timeout", "6s".to_owned()),
            ("server.max_clients", (self.clients() + DEMO_GUESTS).to_string()),
            ("server.max_per_ip", "0".to_owned()),
            ("server.register_timeout", "5s".to_owned()),
            ("server.name", "demo".to_owned()),
        ];
        let mut given = Vec::from(own);
        given.extend(present(self.run.settings().into_iter()));
        given
    }
}

/// Reads how many clients a demo has.
fn fleet_size(text: &str) -> Result<usize, String> {
    let size = text.parse().ok().filter(|size| (1..=DEMO_CLIENTS_MAX).contains(size));
    size.ok_or_else(|| format!("write a whole number from 1 to {DEMO_CLIENTS_MAX}"))
}

impl RunArgs {
    fn settings(&self) -> [(&'static str, &Option<String>); 2] {
        [("log.dir", &self.log_dir), ("log.level", &self.log_level)]
    }
}

/// Keeps what was given.
fn present<'a>(all: impl Iterator<Item = (&'static str, &'a Option<String>)>) -> Vec<Given> {
    all.filter_map(|(key, text)| Some((key, text.clone()?))).collect()
}

/// Returns the completion script for a shell.
#[must_use]
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new(); // a pipe that closes early would make the generator panic; memory does not
    clap_complete::generate(shell, &mut Cli::command(), BINARY, &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KEYS;
    use crate::config::keys::OnCommandLine;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_is_a_setting_and_every_setting_with_a_flag_has_it() {
        const SERVE_ALONE: &str = "events";
        const NO_SETTING: [&str; 6] = ["config", "headless", "json", "ascii", "help", "version"];
        const FOREIGN: [&str; 6] = ["payload", "payload-json", "payload-hex", "expect", "on", "reply"];
        let mut command = Cli::command();
        command.build();
        for (name, sections) in [("serve", &["server", "security", "log"][..]), ("join", &["client", "log"])]
        {
            let sub = command.find_subcommand(name).unwrap();
            let mut flags: Vec<_> = sub.get_arguments().filter_map(clap::Arg::get_long).collect();
            flags.retain(|flag| !NO_SETTING.contains(flag) && !FOREIGN.contains(flag));
            let mut words: Vec<_> = KEYS
                .iter()
                .filter(|key| sections.contains(&key.section))
                .filter(|key| matches!(key.on_command_line, OnCommandLine::Flag | OnCommandLine::Repeated))
                .map(|key| key.word)
                .filter(|word| name == "serve" || *word != SERVE_ALONE)
                .collect();
            flags.sort_unstable();
            words.sort_unstable();
            assert_eq!(flags, words, "{name}");
        }
    }

    #[test]
    fn what_is_given_goes_to_its_setting() {
        let line = "presence-tui serve --host h --port p --interval i --timeout t --max-clients m \
                    --offline-retention o --register-timeout r --max-per-ip x --pin-legacy b --max-pings-per-second q \
                     --server-name s --token-file a --tls-cert a --tls-key a --client-ca a --require-tls a --events e \
                     --log-dir d --log-level l --config f";
        let command = parse(&line.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap().command;
        let given = command.given();
        for key in
            KEYS.iter().filter(|key| key.section != "client" && key.on_command_line == OnCommandLine::Flag)
        {
            assert!(given.iter().any(|(name, _)| *name == key.path()), "{}", key.path());
        }
        assert!(given.contains(&("server.heartbeat_interval", "i".to_owned())));
        assert_eq!(command.config_file(), Some(Path::new("f")));

        let line = "presence-tui join a --name n --user u --device d --tag k=v --tag l=w --advertise x --id i \
                    --interval t --token-file a --ca a --cert a --key a --pin a --log-level l";
        let given = parse(&line.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap().command.given();
        for key in KEYS.iter().filter(|key| key.section == "client") {
            assert!(given.iter().any(|(name, _)| *name == key.path()), "{}", key.path());
        }
        let tags: Vec<_> = given.iter().filter(|(name, _)| *name == "client.tags").collect();
        assert_eq!(tags, [&("client.tags", "k=v".to_owned()), &("client.tags", "l=w".to_owned())]);
    }

    #[test]
    fn what_says_something_once_shows_a_token_and_goes_by_no_file() {
        let shown = "--token-file t --ca a --cert c --key k";
        for line in ["status hq", "notify --server hq --to all x"] {
            let command = parse(&format!("presence-tui {line} {shown}")).unwrap().command;
            let variables = [
                ("PRESENCE_TUI_CONFIG", "nowhere/config.toml"),
                ("PRESENCE_TUI_TOKEN_FILE", "another"),
                ("PRESENCE_TUI_PORT", "nonsense"),
            ];
            let sources = command.sources(Environment::of(variables), "nowhere".into(), String::new());
            let client = sources.resolve().unwrap().client;
            let names = [client.token_file, client.ca, client.cert, client.key].map(|file| file.unwrap());
            assert_eq!(names, ["t", "a", "c", "k"].map(std::path::PathBuf::from), "{line}");
            let command = parse(&format!("presence-tui {line}")).unwrap().command;
            let sources = command.sources(Environment::of(variables), "nowhere".into(), String::new());
            assert_eq!(sources.resolve().unwrap().client.token_file, Some("another".into()), "{line}");
        }
    }

    #[test]
    fn a_command_line_is_resolved_with_the_rest() {
        let command = parse("presence-tui join hq --tag role=ci --interval 30").unwrap().command;
        let config =
            command.sources(Environment::default(), "nowhere".into(), "bench".to_owned()).resolve().unwrap();
        assert_eq!(config.client.server.unwrap().to_string(), "hq:8080");
        assert_eq!(config.client.interval.as_secs(), 30);
        assert_eq!(config.client.tags, [("role".to_owned(), "ci".to_owned())]);
    }

    #[test]
    fn a_negative_number_reaches_the_config_and_is_refused_there() {
        let given = parse("presence-tui serve --port -1").unwrap().command.given();
        assert_eq!(given, [("server.port", "-1".to_owned())]);
    }

    #[test]
    fn a_demo_stays_on_this_machine_whatever_the_environment_says() {
        let demo = |variables: &[(&str, &str)], line: &str| {
            let environment = Environment::of(variables.iter().copied());
            parse(line).unwrap().command.sources(environment, "nowhere".into(), "bench".to_owned()).resolve()
        };
        let variables = [
            ("PRESENCE_TUI_HOST", "0.0.0.0"),
            ("PRESENCE_TUI_MAX_PER_IP", "1"),
            ("PRESENCE_TUI_CONFIG", "nowhere/config.toml"),
        ];
        let config = demo(&variables, "presence-tui demo 200 --log-level debug").unwrap();
        assert_eq!(config.server.host.to_string(), "127.0.0.1");
        assert_eq!((config.server.max_clients, config.server.max_per_ip), (216, None));
        assert_eq!((config.server.settings.interval().as_secs(), config.log.level.as_str()), (2, "debug"));
        assert_eq!(config.file, None);
        assert_eq!(demo(&[], "presence-tui demo").unwrap().server.max_clients, 40);
    }

    #[test]
    fn bad_usage_ends_with_status_2() {
        for line in [
            "presence-tui",
            "presence-tui dance",
            "presence-tui serve --prot 1",
            "presence-tui serve --port 1 --port 2",
            "presence-tui demo 0",
            "presence-tui demo -3",
            "presence-tui demo 5001",
            "presence-tui demo many",
            "presence-tui demo 8 --seed x",
            "presence-tui swarm",
            "presence-tui notify hello",
            "presence-tui notify --server hq hello",
            "presence-tui notify --server hq --to all",
            "presence-tui swarm hq -n -3",
            "presence-tui swarm hq --dialect klingon",
            "presence-tui swarm hq --closed-loop --freeze 1",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
        assert_eq!(parse("presence-tui --help").unwrap_err().exit_code(), 0);
        assert_eq!(parse("presence-tui serve --version").unwrap_err().exit_code(), 0);
    }

    #[test]
    fn completions_are_for_the_binary() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let script = String::from_utf8(completions(shell)).unwrap();
            assert!(script.contains("presence-tui") && script.contains("max-clients"), "{shell}");
        }
    }
}
