//! The settings as a person meets them: files, variables and flags in, values or plain words out.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail loudly"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use presence_tui::config::{self, Config, Environment, KEYS, Role, Source, Sources};
use presence_tui::presence::Settings;

/// A folder of its own to start the program in, with a home folder inside.
struct Desk {
    dir: tempfile::TempDir,
    sources: Sources,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sources = Sources {
            role: Role::Serve,
            config: None,
            flags: Vec::new(),
            environment: Environment::default(),
            cwd: dir.path().join("cwd"),
            host_name: "bench".to_owned(),
        };
        fs::create_dir_all(&sources.cwd).unwrap();
        Self { dir, sources }.env(&[])
    }

    fn role(mut self, role: Role) -> Self {
        self.sources.role = role;
        self
    }

    /// Writes `config.toml` into the folder the program is started in.
    fn file(self, text: &str) -> Self {
        fs::write(self.sources.cwd.join("config.toml"), text).unwrap();
        self
    }

    fn env(mut self, vars: &[(&str, &str)]) -> Self {
        let home = self.home().to_str().unwrap().to_owned();
        let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.sources.environment = Environment::of(vars.chain([("HOME".to_owned(), home)]));
        self
    }

    fn flags(mut self, flags: &[(&'static str, &str)]) -> Self {
        self.sources.flags = flags.iter().map(|(key, text)| (*key, (*text).to_owned())).collect();
        self
    }

    fn named(mut self, path: &str) -> Self {
        self.sources.config = Some(path.into());
        self
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn config(&self) -> Config {
        self.sources.resolve().unwrap_or_else(|error| panic!("{error}"))
    }

    fn problems(&self) -> Vec<String> {
        self.sources.resolve().expect_err("there should be problems").problems
    }
}

/// Resolves one file by itself.
fn problems_of(text: &str) -> Vec<String> {
    Desk::new().file(text).problems()
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

const PORT: &str = "server.port";
const INTERVAL: &str = "server.heartbeat_interval";
const TIMEOUT: &str = "server.connection_timeout";

#[test]
fn with_nothing_said_the_defaults_hold() {
    let desk = Desk::new();
    let config = desk.config();
    assert_eq!(config.server.host.to_string(), "0.0.0.0");
    assert_eq!(config.server.port, 8080);
    assert_eq!(config.server.settings, Settings::default());
    assert_eq!(config.server.max_clients, 100);
    assert_eq!(config.server.offline_retention, secs(86_400));
    assert_eq!(config.server.register_timeout, secs(5));
    assert_eq!(config.server.max_per_ip, None);
    assert!(config.server.pin_legacy && config.ui.bell && config.ui.save_changes);
    assert_eq!((config.server.name.as_str(), config.client.name.as_str()), ("bench", "bench"));
    assert_eq!(config.client.server, None);
    assert_eq!(config.client.interval, secs(60));
    assert_eq!((config.ui.theme.as_str(), config.log.level.as_str()), ("auto", "info"));
    assert_eq!(config.log.dir, Some(desk.home().join(".local/state/presence-tui/logs")));
    assert_eq!(config.log.max_files, 7);
    assert!(!config.port_is_explicit);
    assert_eq!((config.file, config.warnings), (None, Vec::new()));
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
    let desk = Desk::new();
    assert_eq!(desk.config().source(PORT), Some(&Source::Default));
    let desk = desk.file("[server]\n\nport = 1\n");
    let config = desk.config();
    assert_eq!((config.server.port, config.port_is_explicit), (1, false));
    assert_eq!(config.source(PORT).unwrap().to_string(), "config.toml:3:8");
    let desk = desk.env(&[("PRESENCE_TUI_PORT", "2")]);
    let config = desk.config();
    assert_eq!((config.server.port, config.port_is_explicit), (2, true));
    assert_eq!(config.source(PORT).unwrap().to_string(), "PRESENCE_TUI_PORT");
    let desk = desk.flags(&[(PORT, "3")]);
    let config = desk.config();
    assert_eq!((config.server.port, config.port_is_explicit), (3, true));
    assert_eq!(config.source(PORT).unwrap().to_string(), "--port");
}

#[test]
fn a_broken_file_is_refused_even_where_a_flag_would_win() {
    let desk = Desk::new().file("[server]\nport = 70000\n").flags(&[(PORT, "3")]);
    assert_eq!(desk.problems(), ["config.toml:2:8: server.port: 70000 is not a port (0 to 65535)"]);
}

#[test]
fn durations_are_read_in_every_form_from_every_source() {
    for (toml, plain, ms) in [
        ("30", "30", 30_000),
        ("0.5", "0.5", 500),
        ("1.5", "1.5", 1_500),
        ("\"500ms\"", "500ms", 500),
        ("\"90s\"", "90s", 90_000),
        ("\"2m\"", "2m", 120_000),
        ("\"2m30s\"", "2m30s", 150_000),
        ("\"1h\"", "1h", 3_600_000),
        ("\"45\"", " 45 ", 45_000),
    ] {
        let want = Duration::from_millis(ms);
        let file = format!(
            "[server]\nheartbeat_interval = {toml}\nconnection_timeout = \"2h\"\nregister_timeout = {toml}\n"
        );
        let config = Desk::new().file(&file).config();
        assert_eq!(
            (config.server.settings.interval(), config.server.register_timeout),
            (want, want),
            "{toml}"
        );
        let config =
            Desk::new().env(&[("PRESENCE_TUI_INTERVAL", plain), ("PRESENCE_TUI_TIMEOUT", "2h")]).config();
        assert_eq!(config.server.settings.interval(), want, "{plain}");
        let config = Desk::new().flags(&[(INTERVAL, plain), (TIMEOUT, "2h")]).config();
        assert_eq!(config.server.settings.interval(), want, "{plain}");
    }
}

#[test]
fn what_is_no_duration_is_refused_from_every_source() {
    for (toml, plain) in
        [("-1", "-1"), ("true", ""), ("\"\"", "soon"), ("[60]", "5 s"), ("nan", "nan"), ("inf", "inf")]
    {
        let problems = problems_of(&format!("[server]\nheartbeat_interval = {toml}\n"));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("config.toml:2:22: server.heartbeat_interval: "), "{problems:?}");
        assert!(problems[0].contains("is not a duration (write 60, 0.5, 500ms"), "{problems:?}");
        let problems = Desk::new().flags(&[(INTERVAL, plain)]).problems();
        assert!(problems[0].starts_with("--interval: "), "{problems:?}");
    }
    assert_eq!(
        problems_of("[server]\nheartbeat_interval = \"2h\"\n"),
        ["config.toml:2:22: server.heartbeat_interval: interval 2h is too long (the longest is 1h)"]
    );
    assert_eq!(
        Desk::new().flags(&[(INTERVAL, "0.05"), (TIMEOUT, "2d")]).problems(),
        [
            "--interval: interval 50ms is too short (the shortest is 100ms)",
            "--timeout: timeout 2d is too long (the longest is 1d)"
        ]
    );
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let file = "\
[ui]
sort = \"nmae\"
[server]
host = \"localhost\"
port = 70000
heartbeat_intervall = 5
max_clients = 0
pin_legacy = \"true\"
[sevrer]
port = 1
[log]
level = \"inof\"
max_files = 1979-05-27
";
    let desk = Desk::new()
        .file(file)
        .env(&[("PRESENCE_TUI_MAX_CLIENTS", "many")])
        .flags(&[(PORT, "-1"), ("log.level", "loud")]);
    assert_eq!(
        desk.problems(),
        [
            "config.toml:2:8: ui.sort: \"nmae\" is not a column to sort by (did you mean name?)",
            "config.toml:4:8: server.host: \"localhost\" is not an IPv4 or IPv6 address (try 0.0.0.0 for every network, 127.0.0.1 for this machine only)",
            "config.toml:5:8: server.port: 70000 is not a port (0 to 65535)",
            "config.toml:6:1: server.heartbeat_intervall is not a setting (did you mean server.heartbeat_interval?)",
            "config.toml:7:15: server.max_clients: 0 is not a number of clients (1 to 1000000)",
            "config.toml:8:14: server.pin_legacy: \"true\" is neither true nor false (write it without quotes)",
            "config.toml:9:2: sevrer is not a section (did you mean server?)",
            "config.toml:12:9: log.level: \"inof\" is not a log level (did you mean info?)",
            "config.toml:13:13: log.max_files: 1979-05-27 is not a number of files (1 to 10000)",
            "--port: -1 is not a port (0 to 65535)",
            "PRESENCE_TUI_MAX_CLIENTS: many is not a number of clients (1 to 1000000)",
            "--log-level: loud is not a log level (one of off, error, warn, info, debug, trace)",
        ]
    );
}

#[test]
fn what_stands_in_the_wrong_place_is_pointed_to_the_right_one() {
    assert_eq!(
        problems_of("port = 8080\n"),
        ["config.toml:1:1: port stands outside every section (did you mean server.port?)"]
    );
    assert_eq!(
        problems_of("server = 3\n"),
        ["config.toml:1:1: server is a section (write [server] on a line of its own)"]
    );
    assert_eq!(
        problems_of("[server]\ninterval = 5\n"),
        ["config.toml:2:1: server.interval is not a setting (did you mean server.heartbeat_interval?)"]
    );
    assert_eq!(
        problems_of("[ui]\nmax_clients = 5\n"),
        ["config.toml:2:1: ui.max_clients is not a setting (did you mean server.max_clients?)"]
    );
    assert_eq!(
        problems_of("[zebra]\n"),
        [
            "config.toml:1:2: zebra is not a section (there are server, security, client, ui, hooks, log, history, expect)"
        ]
    );
    let quoted = problems_of("[server]\nport = \"8080\"\n");
    assert_eq!(quoted, ["config.toml:2:8: server.port: \"8080\" is not a port (0 to 65535, without quotes)"]);
}

/// Returns who ought to be there.
fn listed(config: &Config) -> Vec<&str> {
    config.expect.iter().map(|expected| &*expected.name).collect()
}

#[test]
fn who_ought_to_be_there_is_listed_one_table_each() {
    for file in [
        "[[expect]]\nname = \"nas\"\n[[expect]]\nname = \"tape 2\"\n[server]\nport = 1\n",
        "expect = [{ name = \"nas\" }, { name = 'tape 2' }]\n",
    ] {
        assert_eq!(listed(&Desk::new().file(file).config()), ["nas", "tape 2"]);
        assert_eq!(listed(&Desk::new().file(file).role(Role::Join).config()), ["nas", "tape 2"]);
    }
    assert!(Desk::new().file("expect = []\n").config().expect.is_empty());

    let text = r#"
[[expect]]
name = "nas"
[[expect]]
nam = "x"
[[expect]]
zebra = 1
name = 7
[[expect]]
name = "nas"
[[expect]]
name = "\u001b[31m"
"#;
    assert_eq!(
        problems_of(text),
        [
            r#"config.toml:4:1: expect: whom? (add name = "...")"#,
            "config.toml:5:1: expect.nam is not a setting (did you mean expect.name?)",
            "config.toml:7:1: expect.zebra is not a setting (expect has name)",
            "config.toml:8:8: expect.name: 7 is not a name (write it in quotes)",
            "config.toml:10:8: expect.name: nas is listed already, in line 3",
            r#"config.toml:12:8: expect.name: "\u{1b}[31m" is not a name (1 to 64 bytes on one line)"#,
        ]
    );
    for (text, problem) in [
        ("[expect]\nname = \"nas\"\n", "1:2: expect is a list (write [[expect]] on a line of its own)"),
        ("expect = [\"nas\"]\n", "1:11: expect: \"nas\" is not a table (such as { name = \"nas\" })"),
        ("[[expct]]\nname = \"nas\"\n", "1:3: expct is not a section (did you mean expect?)"),
    ] {
        assert_eq!(problems_of(text), [format!("config.toml:{problem}")]);
    }
}

#[test]
fn interval_and_timeout_are_held_against_each_other_whichever_way_they_came() {
    let text = |desk: Desk| desk.problems().join("\n");
    // Through the door of the timeout.
    assert_eq!(
        text(
            Desk::new().file("[server]\nheartbeat_interval = 90\n").env(&[("PRESENCE_TUI_TIMEOUT", "1m30s")])
        ),
        "config.toml:2:22: server.connection_timeout 90s (PRESENCE_TUI_TIMEOUT) must be greater than \
         server.heartbeat_interval 90s (config.toml:2:22): \
         try a timeout of 3m or more, or a shorter interval"
    );
    // Through the door of the interval.
    assert_eq!(
        text(Desk::new().flags(&[(INTERVAL, "2m")])),
        "server.connection_timeout 2m (default) must be greater than \
         server.heartbeat_interval 2m (--interval): \
         try a timeout of 4m or more, or a shorter interval"
    );
    // Values that look alike when rounded are still told apart.
    assert!(
        text(Desk::new().flags(&[(INTERVAL, "60.5"), (TIMEOUT, "60")]))
            .contains("server.heartbeat_interval 60.5s (--interval)")
    );
    // The file alone.
    assert!(
        text(Desk::new().file("[server]\nconnection_timeout = 60\n"))
            .starts_with("config.toml:2:22: server.connection_timeout 1m (config.toml:2:22) must be")
    );
    // Beside another problem it is told too, but not when what was meant is not known.
    let both = Desk::new().flags(&[(PORT, "x"), (INTERVAL, "2m")]).problems();
    assert!(both.len() == 2 && both[1].starts_with("server.connection_timeout 2m (default)"), "{both:?}");
    assert_eq!(Desk::new().flags(&[(INTERVAL, "2m"), (TIMEOUT, "4x")]).problems().len(), 1);
    assert_eq!(problems_of("[server]\nheartbeat_interval = \"2m\"\nconnection_timeot = \"4m\"\n").len(), 1);
    // Repaired by a stronger source, it is fine.
    let desk = Desk::new().file("[server]\nconnection_timeout = 60\n").flags(&[(INTERVAL, "5")]);
    assert_eq!(desk.config().server.settings, Settings::new(secs(5), secs(60)).unwrap());
}

#[test]
fn a_timeout_below_twice_the_interval_is_warned_about() {
    let desk = Desk::new().flags(&[(INTERVAL, "10"), (TIMEOUT, "15")]);
    let warnings = desk.config().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("below twice the interval"), "{warnings:?}");
    assert!(Desk::new().flags(&[(INTERVAL, "10"), (TIMEOUT, "20")]).config().warnings.is_empty());
}

#[test]
fn registering_may_never_take_longer_than_the_timeout() {
    let quiet = Desk::new().flags(&[(INTERVAL, "1"), (TIMEOUT, "3")]).config();
    assert_eq!((quiet.server.register_timeout, quiet.warnings.len()), (secs(3), 0));
    let told =
        Desk::new().flags(&[(INTERVAL, "1"), (TIMEOUT, "3"), ("server.register_timeout", "10")]).config();
    assert_eq!(told.server.register_timeout, secs(3));
    assert_eq!(
        told.warnings,
        ["register timeout 10s (--register-timeout) is longer than the timeout: 3s is used"]
    );
}

#[test]
fn a_file_that_is_asked_for_must_exist() {
    let missing = "no such file (`presence-tui config --default` prints one to start from)";
    assert_eq!(Desk::new().named("nope.toml").problems(), [format!("--config: nope.toml: {missing}")]);
    let desk = Desk::new().file("[server]\nport = 1\n").env(&[("PRESENCE_TUI_CONFIG", "nope.toml")]);
    assert_eq!(desk.problems(), [format!("PRESENCE_TUI_CONFIG: nope.toml: {missing}")]);
    assert!(Desk::new().named(".").problems()[0].contains("a folder, not a file"));
}

#[test]
fn the_file_is_looked_for_in_order() {
    let desk = Desk::new();
    let user = desk.home().join(".config/presence-tui/config.toml");
    fs::create_dir_all(user.parent().unwrap()).unwrap();
    fs::write(&user, "[server]\nport = 1\n").unwrap();
    let config = desk.config();
    assert_eq!((config.server.port, config.file.as_deref()), (1, Some(user.as_path())));
    let desk = desk.file("[server]\nport = 2\n");
    let config = desk.config();
    assert_eq!((config.server.port, config.file), (2, Some(desk.sources.cwd.join("config.toml"))));
    fs::write(desk.sources.cwd.join("e.toml"), "[server]\nport = 3\n").unwrap();
    let desk = desk.env(&[("PRESENCE_TUI_CONFIG", "e.toml")]);
    assert_eq!(desk.config().server.port, 3);
    fs::write(desk.sources.cwd.join("f.toml"), "[server]\nport = 4\n").unwrap();
    let desk = desk.named("f.toml");
    let config = desk.config();
    assert_eq!(config.server.port, 4);
    assert_eq!(config.source(PORT).unwrap().to_string(), "f.toml:2:8");
}

#[test]
fn a_changed_file_is_read_again_and_a_vanished_one_is_not_taken_for_defaults() {
    let desk = Desk::new().file("[server]\nport = 1\n");
    let before = desk.config();
    let desk = desk.file("[server]\nport = 2\n");
    assert_eq!(desk.sources.resolve_again(&before).unwrap().server.port, 2);
    fs::remove_file(before.file.as_deref().unwrap()).unwrap();
    let error = desk.sources.resolve_again(&before).unwrap_err();
    assert!(error.to_string().contains("config.toml: no such file"), "{error}");
}

#[test]
fn broken_toml_is_refused_with_line_and_column() {
    for (text, place) in [
        ("[server]\nport = \n", "config.toml:2:"),
        ("[server]\nport = 1\nport = 2\n", "config.toml:3:1: "),
        ("[server\nport = 1\n", "config.toml:1:"),
        ("[server]\nhost = \"0.0.0.0\n", "config.toml:2:"),
        ("[server]\r\nport = 1\r\n[server]\r\n", "config.toml:3:"),
        ("[server]\nname = \"gr\u{fc}n\" x\n", "config.toml:2:15: "),
    ] {
        let problems = problems_of(text);
        assert!(problems[0].starts_with(place), "{text:?}: {problems:?}");
        assert!(problems.len() <= 2, "{text:?}: {problems:?}");
    }
    let desk = Desk::new();
    fs::write(desk.sources.cwd.join("config.toml"), b"[server]\nname = \"\xff\"\n").unwrap();
    assert_eq!(desk.problems(), ["config.toml:2:9: not UTF-8 text (save the file as UTF-8)"]);
}

#[test]
fn no_file_makes_an_error_print_control_characters() {
    for text in
        ["[server]\n\"a\\u001b[31m\" = 1\n", "[server]\nhost = \"\\u001b]0;x\\u0007\"\n", "\"\\n\" = 1\n"]
    {
        for problem in problems_of(text) {
            assert!(!problem.chars().any(char::is_control), "{problem:?}");
        }
    }
}

#[test]
fn the_shipped_file_is_the_default_file_and_says_the_defaults() {
    let shipped = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml")).unwrap();
    assert_eq!(shipped, config::default_file());
    let from_file = Desk::new().file(&shipped).config();
    let defaults = Desk::new().role(Role::Show).config();
    assert_eq!(from_file.server, defaults.server);
    assert_eq!(from_file.client, defaults.client);
    assert_eq!(from_file.ui, defaults.ui);
    assert_eq!(from_file.log.level, defaults.log.level);
    assert!(shipped.lines().all(|line| line.chars().count() <= 110));
}

#[test]
fn every_example_of_the_default_file_is_a_valid_value() {
    let mut file = String::new();
    for line in config::default_file().lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let example =
            bare == "[[expect]]" || KEYS.iter().any(|key| bare.starts_with(&format!("{} = ", key.name)));
        file.push_str(if example { bare } else { line });
        file.push('\n');
    }
    let config = Desk::new().file(&file).config();
    assert_eq!(config.client.server, "192.0.2.7:8080".parse().ok());
    assert_eq!(listed(&config), ["nas-backup"]);
    assert!(KEYS.iter().all(|key| *config.source(&key.path()).unwrap() != Source::Default));
}

#[test]
fn what_config_prints_is_a_file_that_says_the_same() {
    let file = "\
[server]
host = \"::1\"
heartbeat_interval = \"1500ms\"
connection_timeout = 4
offline_retention = \"90s\"
register_timeout = 1.25
max_per_ip = 3
name = 'quo\"te\\'
[client]
server = \"[fe80::1]:9000\"
user = \"日本語\"
advertise = \"[::1]:1\"
[client.tags]
role = \"ci # 1\"
\"two words\" = \"x\"
[ui]
columns = [\"name\", \"rtt\"]
sort = \"times_out\"
bell = false
[log]
dir = \"~/logs\"
level = \"info,presence_tui=debug\"
[[expect]]
name = 'nas \"1\"'
[[expect]]
name = 'tape'
";
    let desk = Desk::new().file(file).role(Role::Show).env(&[("PRESENCE_TUI_MAX_CLIENTS", "7")]);
    let before = desk.config();
    let printed = before.print();
    let after = Desk { dir: desk.dir, sources: desk.sources }.env(&[]).file(&printed).config();
    assert_eq!(after.server, before.server);
    assert_eq!(after.client, before.client);
    assert_eq!(after.ui, before.ui);
    assert_eq!(after.log, before.log);
    assert_eq!(listed(&after), ["nas \"1\"", "tape"]);
    assert_eq!(listed(&after), listed(&before));
    assert!(printed.contains("  # config.toml:24:8\n"), "{printed}");
    assert!(printed.contains("max_clients = 7"), "{printed}");
    let line = |key: &str| printed.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert!(line("max_clients").ends_with("  # PRESENCE_TUI_MAX_CLIENTS"));
    assert!(line("port").ends_with("  # default"));
    assert!(line("heartbeat_interval = 1.5").contains("  # config.toml:3:"));
    assert!(line("# id").ends_with("  # not set"));
}

#[test]
fn a_variable_that_two_settings_share_goes_to_the_command_that_is_run() {
    let vars = [("PRESENCE_TUI_INTERVAL", "30"), ("PRESENCE_TUI_NAME", "n"), ("PRESENCE_TUI_SERVER", "hq")];
    let serve = Desk::new().env(&vars).config();
    assert_eq!((serve.server.settings.interval(), serve.client.interval), (secs(30), secs(60)));
    let join = Desk::new().role(Role::Join).env(&vars).config();
    assert_eq!((join.server.settings.interval(), join.client.interval), (secs(60), secs(30)));
    assert_eq!(join.client.name, "n");
    assert_eq!(join.client.server.unwrap().to_string(), "hq:8080");
    // What is meant for the server does not stop a client.
    Desk::new().role(Role::Join).env(&[("PRESENCE_TUI_PORT", "x")]).config();
}

#[test]
fn a_variable_nobody_knows_is_warned_about() {
    let warnings =
        Desk::new().env(&[("PRESENCE_TUI_PROT", "1"), ("PRESENCE_TUI_CONFIG", "")]).config().warnings;
    assert_eq!(warnings, ["PRESENCE_TUI_PROT is not a setting (did you mean PRESENCE_TUI_PORT?)"]);
}

#[test]
fn tags_come_as_a_table_as_flags_or_as_one_variable() {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let want = vec![pair("a", "1"), pair("b", "2")];
    let join = |desk: Desk| desk.role(Role::Join).config().client.tags;
    assert_eq!(join(Desk::new().file("[client]\ntags = { a = \"1\", b = \"2\" }\n")), want);
    assert_eq!(join(Desk::new().flags(&[("client.tags", "a=1"), ("client.tags", "b=2")])), want);
    assert_eq!(join(Desk::new().env(&[("PRESENCE_TUI_TAG", "a=1, b=2")])), want);
    assert_eq!(join(Desk::new().flags(&[("client.tags", "a=1,2=3")])), [pair("a", "1,2=3")]);
    for (tag, problem) in [
        ("a", "--tag: a is not a tag (write KEY=VALUE, such as role=ci)"),
        ("a=", "--tag: \"\" is not the value of a tag (it is blank)"),
        ("=1", "--tag: \"\" is not the key of a tag (it is blank)"),
    ] {
        let desk = Desk::new().role(Role::Join).flags(&[("client.tags", tag)]);
        assert_eq!(desk.problems(), [problem]);
    }
    assert_eq!(
        Desk::new().role(Role::Join).env(&[("PRESENCE_TUI_TAG", "a=1,a=2")]).problems(),
        ["PRESENCE_TUI_TAG: the tag a is given twice"]
    );
    assert_eq!(
        problems_of("[client]\ntags = { a = 1 }\n"),
        ["config.toml:2:8: client.tags: a: 1 is not the value of a tag (write it in quotes)"]
    );
}

#[test]
fn every_setting_has_a_name_a_flag_and_a_variable_of_its_own() {
    for (at, key) in KEYS.iter().enumerate() {
        for other in KEYS.iter().skip(at + 1) {
            assert_ne!(key.path(), other.path());
            assert!(key.word != other.word || ["interval", "token-file"].contains(&key.word), "{}", key.word);
        }
        assert!(key.doc.ends_with('.'), "{}", key.path());
    }
}
