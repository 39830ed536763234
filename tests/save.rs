//! Live changes on their way back into the config file: two values change, and not a byte besides.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test's helpers may fail loudly")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use presence_tui::config::{
    Config, Environment, Role, SaveError, Saved, Sources, default_file, save_settings,
};
use presence_tui::presence::Settings;
use proptest::prelude::*;

/// A folder with a config file in it.
struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn new(text: &str) -> Self {
        let desk = Self { dir: tempfile::tempdir().unwrap() };
        fs::write(desk.path(), text).unwrap();
        desk
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("config.toml")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn save(&self, interval_ms: u64, timeout_ms: u64) -> Result<Saved, SaveError> {
        save_settings(&self.path(), settings(interval_ms, timeout_ms))
    }

    /// Reads the file the way the program does.
    fn resolve(&self) -> Config {
        let sources = Sources {
            role: Role::Serve,
            config: Some(self.path()),
            flags: Vec::new(),
            environment: Environment::default(),
            cwd: self.dir.path().to_owned(),
            host_name: "bench".to_owned(),
        };
        sources.resolve().unwrap()
    }

    /// Returns the names of everything in the folder.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn settings(interval_ms: u64, timeout_ms: u64) -> Settings {
    Settings::new(Duration::from_millis(interval_ms), Duration::from_millis(timeout_ms)).unwrap()
}

/// Saves into a file with this text and returns what the file says then.
#[track_caller]
fn saved(text: &str, interval_ms: u64, timeout_ms: u64) -> String {
    let desk = Desk::new(text);
    assert_eq!(desk.save(interval_ms, timeout_ms).unwrap(), Saved::Written);
    assert_eq!(desk.resolve().server.settings, settings(interval_ms, timeout_ms));
    assert_eq!(desk.names(), ["config.toml"], "nothing is left behind");
    desk.text()
}

/// Tries to save 5 s and 15 s, and makes sure that nothing happened to the file.
#[track_caller]
fn refused(desk: &Desk) -> SaveError {
    let (before, names) = (fs::read(desk.path()).unwrap(), desk.names());
    let error = desk.save(5_000, 15_000).expect_err("it should be refused");
    assert_eq!(fs::read(desk.path()).unwrap(), before, "the file is as it was");
    assert_eq!(desk.names(), names, "nothing is left behind");
    error
}

#[test]
fn two_values_change_and_every_other_byte_stays() {
    let text = "\
# mine, all mine

[server]      # the server
  host = '127.0.0.1'	# single quotes, a tab
# how often
  heartbeat_interval   =   60   # a minute, \"as ever\"


connection_timeout=120# tight
max_clients = 1_000
[ui] # last
theme = \"auto\"
# the end, without a newline";
    let expected = text.replace("=   60   #", "=   5   #").replace("=120#", "=15.5#");
    assert_eq!(saved(text, 5_000, 15_500), expected);
}

#[test]
fn the_list_of_who_ought_to_be_there_stays_wherever_it_stands() {
    let listed = "[[expect]] # first\n  name = 'nas'\n\n[[expect]]\nname = \"tape\"\n";
    let server = "[server]\nheartbeat_interval = 5\nconnection_timeout = 15\n";
    let before = server.replace("= 5\n", "= 60\n").replace("= 15\n", "= 120\n");
    assert_eq!(saved(&format!("{before}\n{listed}"), 5_000, 15_000), format!("{server}\n{listed}"));
    assert_eq!(saved(&format!("{listed}\n{before}"), 5_000, 15_000), format!("{listed}\n{server}"));
    assert_eq!(saved(listed, 5_000, 15_000), format!("{listed}\n{server}"));
}

#[test]
fn the_shipped_file_keeps_its_comments_line_by_line() {
    let text = include_str!("../config.toml");
    assert_eq!(text, default_file());
    let after = saved(text, 500, 2_000);
    let changed: Vec<_> = text.lines().zip(after.lines()).filter(|(was, is)| was != is).collect();
    assert_eq!(
        changed,
        [
            ("heartbeat_interval = 60", "heartbeat_interval = 0.5"),
            ("connection_timeout = 120", "connection_timeout = 2")
        ]
    );
    assert_eq!(text.lines().count(), after.lines().count());
    assert_eq!(saved(&after, 60_000, 120_000), text, "and back again");
}

#[test]
fn a_duration_stays_a_number_or_a_text() {
    for (interval, timeout, interval_after, timeout_after) in [
        ("60", "120", "5", "90"),
        ("0.5", "1e3", "5", "90"),
        ("0x3C", "1_2_0.0", "5", "90"),
        ("\"500ms\"", "\"2m\"", "\"5s\"", "\"90s\""),
        ("'500ms'", "\"\"\"2m\"\"\"", "'5s'", "\"90s\""),
    ] {
        let file = |interval, timeout| {
            format!("[server]\nheartbeat_interval = {interval} # i\nconnection_timeout = {timeout} # t\n")
        };
        assert_eq!(saved(&file(interval, timeout), 5_000, 90_000), file(interval_after, timeout_after));
    }
    let text = "server.heartbeat_interval = \"1m\"\nserver.connection_timeout = \"1h\"";
    assert_eq!(
        saved(text, 250, 7_200_000),
        "server.heartbeat_interval = \"250ms\"\nserver.connection_timeout = \"2h\""
    );
}

#[test]
fn a_value_that_means_the_same_keeps_its_words() {
    let text = "[server]\nheartbeat_interval = \"1m\"\nconnection_timeout = 120.0\n";
    assert_eq!(saved(text, 60_000, 180_000), text.replace("120.0", "180"));
    assert_eq!(saved(text, 30_000, 120_000), text.replace("1m", "30s"));
}

#[test]
fn missing_keys_are_added_next_to_each_other() {
    for (text, expected) in [
        ("", "[server]\nI\nT\n"),
        ("# mine", "# mine\n\n[server]\nI\nT\n"),
        ("[ui]\nbell = false\n", "[ui]\nbell = false\n\n[server]\nI\nT\n"),
        ("[server]", "[server]\nI\nT"),
        ("[server] # s\n\n# u\n[ui]\n", "[server] # s\nI\nT\n\n# u\n[ui]\n"),
        ("\t[ \"server\" ]\n", "\t[ \"server\" ]\n\tI\n\tT\n"),
        ("[server]\n# p\nport = 1 # p\n\n# u\n[ui]\n", "[server]\n# p\nport = 1 # p\nI\nT\n\n# u\n[ui]\n"),
        ("[server]\n  T0 # t\nport = 1\n", "[server]\n  T # t\n  I\nport = 1\n"),
        ("[server]\n# i\nI0\n\nport = 1\n", "[server]\n# i\nI\nT\n\nport = 1\n"),
        ("[server]\nname = \"\"\"\nx\"\"\"\nport = 1", "[server]\nname = \"\"\"\nx\"\"\"\nport = 1\nI\nT"),
        (
            "server.port = 1 # p\nui.bell = true\n",
            "server.port = 1 # p\nserver.I\nserver.T\nui.bell = true\n",
        ),
        ("server = {}\n", "server = { I, T }\n"),
        ("server = { port = 1 } # s", "server = { port = 1, I, T } # s"),
        ("server = { T0, port = 1 }", "server = { T, I, port = 1 }"),
        ("[server]\r\nport = 1\r\n", "[server]\r\nport = 1\r\nI\r\nT\r\n"),
        ("\u{feff}[server]\n", "\u{feff}[server]\nI\nT\n"),
        ("\u{feff}", "\u{feff}[server]\nI\nT\n"),
    ] {
        let filled = |text: &str| {
            text.replace("I0", "heartbeat_interval = 7")
                .replace("T0", "connection_timeout = 70")
                .replace('I', "heartbeat_interval = 5")
                .replace('T', "connection_timeout = 15")
        };
        assert_eq!(saved(&filled(text), 5_000, 15_000), filled(expected), "{text:?}");
    }
}

#[test]
fn line_ends_and_a_byte_order_mark_stay() {
    let unix = default_file();
    let dos = unix.replace('\n', "\r\n");
    assert_eq!(saved(&dos, 5_000, 15_000), saved(&unix, 5_000, 15_000).replace('\n', "\r\n"));
    let marked = format!("\u{feff}{dos}");
    assert_eq!(saved(&marked, 5_000, 15_000), format!("\u{feff}{}", saved(&dos, 5_000, 15_000)));
    let mixed = "[server]\r\nheartbeat_interval = 60\nconnection_timeout = 120\r\n# end\n";
    assert_eq!(saved(mixed, 5_000, 15_000), mixed.replace("60", "5").replace("120", "15"));
}

#[test]
fn nothing_is_written_when_nothing_changes() {
    for text in ["", "[server]\nheartbeat_interval = \"1m\"\nconnection_timeout = 1.2e2"] {
        let desk = Desk::new(text);
        let before = fs::metadata(desk.path()).unwrap().modified().unwrap();
        assert_eq!(desk.save(60_000, 120_000).unwrap(), Saved::Unchanged);
        assert_eq!(fs::metadata(desk.path()).unwrap().modified().unwrap(), before);
        assert_eq!((desk.text().as_str(), desk.names().len()), (text, 1));
    }
}

#[test]
fn a_file_that_fits_only_with_a_flag_is_no_broken_file() {
    let text = "[server]\nconnection_timeout = 10\n";
    assert_eq!(saved(text, 2_000, 8_000), "[server]\nconnection_timeout = 8\nheartbeat_interval = 2\n");
}

#[test]
fn an_edit_made_meanwhile_is_kept() {
    let desk = Desk::new("[server]\nport = 1\n");
    let _ = desk.save(5_000, 15_000).unwrap();
    fs::write(desk.path(), desk.text().replace("port = 1", "port = 2 # new")).unwrap();
    assert_eq!(desk.save(6_000, 15_000).unwrap(), Saved::Written);
    assert_eq!(desk.text(), "[server]\nport = 2 # new\nheartbeat_interval = 6\nconnection_timeout = 15\n");
}

#[test]
fn a_broken_file_is_left_alone_and_the_place_is_named() {
    for (text, says) in [
        ("[server\nport = 1\n", ":1:"),
        ("[server]\nprot = 1\n", "config.toml:2:1: server.prot is not a setting"),
        ("[server]\nheartbeat_interval = true\n", "config.toml:2:22: server.heartbeat_interval"),
        ("[server]\nport = -1\nheartbeat_interval = 0\n", "(mend this and 1 more)"),
        ("[[server]]\n", "config.toml:1:"),
        ("server = 1\n", "config.toml:1:"),
        ("[server]\nport = 1\nport = 2\n", "config.toml:3:1"),
    ] {
        let error = refused(&Desk::new(text));
        assert!(matches!(error, SaveError::Broken(..)), "{error:?}");
        assert!(error.to_string().starts_with("could not save the settings to "), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    let desk = Desk::new("");
    fs::write(desk.path(), b"[server]\n# \xff\n").unwrap();
    assert!(refused(&desk).to_string().contains("not UTF-8"));
}

#[test]
fn a_file_that_vanished_is_not_made_again() {
    let desk = Desk::new("");
    fs::remove_file(desk.path()).unwrap();
    let error = desk.save(5_000, 15_000).unwrap_err();
    assert!(matches!(error, SaveError::Gone(_)), "{error:?}");
    assert!(error.to_string().contains("no such file any more"), "{error}");
    assert!(desk.names().is_empty());
    fs::create_dir(desk.path()).unwrap();
    let error = desk.save(5_000, 15_000).unwrap_err();
    assert!(matches!(error, SaveError::NotAFile(_)), "{error:?}");
}

#[test]
fn settings_the_file_cannot_hold_exactly_are_refused() {
    let desk = Desk::new("[server]\n");
    let odd = Settings::new(Duration::new(5, 1), Duration::from_secs(15)).unwrap();
    let error = save_settings(&desk.path(), odd).unwrap_err();
    assert!(matches!(error, SaveError::Inexact(..)), "{error:?}");
    assert_eq!((desk.text().as_str(), desk.names().len()), ("[server]\n", 1));
}

#[test]
fn a_read_only_file_is_respected_even_by_root() {
    let desk = Desk::new("[server]\n");
    let mut permissions = fs::metadata(desk.path()).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(desk.path(), permissions).unwrap();
    let error = refused(&desk);
    assert!(matches!(error, SaveError::ReadOnly(..)), "{error:?}");
    assert!(
        error.to_string().contains("permission denied (make it writable, or set save_changes"),
        "{error}"
    );
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn mode_and_owner_are_kept() {
        for mode in [0o600, 0o640, 0o664, 0o666, 0o755] {
            let desk = Desk::new("[server]\n");
            set_mode(&desk.path(), mode);
            let before = fs::metadata(desk.path()).unwrap();
            assert_eq!(desk.save(5_000, 15_000).unwrap(), Saved::Written);
            let after = fs::metadata(desk.path()).unwrap();
            assert_eq!(after.mode() & 0o7777, mode);
            assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
            assert_ne!(after.ino(), before.ino(), "it was replaced, not overwritten");
        }
    }

    #[test]
    fn somebody_else_s_file_stays_theirs_when_the_system_allows_it() {
        let desk = Desk::new("[server]\n");
        if std::os::unix::fs::chown(desk.path(), Some(4_242), Some(4_243)).is_err() {
            return; // only root may give a file away
        }
        assert_eq!(desk.save(5_000, 15_000).unwrap(), Saved::Written);
        let after = fs::metadata(desk.path()).unwrap();
        assert_eq!((after.uid(), after.gid()), (4_242, 4_243));
    }

    #[test]
    fn a_link_stays_a_link() {
        let desk = Desk::new("[server]\n");
        let (elsewhere, link) = (desk.dir.path().join("real"), desk.dir.path().join("link.toml"));
        fs::create_dir(&elsewhere).unwrap();
        fs::rename(desk.path(), elsewhere.join("settings.toml")).unwrap();
        symlink("real/settings.toml", desk.path()).unwrap();
        symlink("config.toml", &link).unwrap(); // and a link to the link
        assert_eq!(save_settings(&link, settings(5_000, 15_000)).unwrap(), Saved::Written);
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("config.toml"));
        assert_eq!(fs::read_link(desk.path()).unwrap(), Path::new("real/settings.toml"));
        assert_eq!(desk.text(), "[server]\nheartbeat_interval = 5\nconnection_timeout = 15\n");
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1);
        assert_eq!(desk.names(), ["config.toml", "link.toml", "real"]);

        fs::remove_file(elsewhere.join("settings.toml")).unwrap();
        let error = save_settings(&link, settings(5_000, 15_000)).unwrap_err();
        assert!(matches!(error, SaveError::Gone(_)), "{error:?}");
    }

    #[test]
    fn a_read_only_folder_is_an_error_that_names_it() {
        let desk = Desk::new("[server]\n");
        set_mode(desk.dir.path(), 0o555);
        let probe = desk.dir.path().join("probe");
        if fs::write(&probe, "").is_ok() {
            let _ = fs::remove_file(probe); // root writes everywhere: nothing to see
            return;
        }
        let error = refused(&desk);
        set_mode(desk.dir.path(), 0o755);
        assert!(matches!(error, SaveError::ReadOnlyFolder(..)), "{error:?}");
        assert!(error.to_string().contains("permission denied (make the folder writable"), "{error}");
    }
}

/// File shapes with `I` and `T` where the values stand.
const SHAPES: [&str; 6] = [
    "[server]\nheartbeat_interval = I\nconnection_timeout = T\n",
    "# a\r\n[ui]\r\nbell = true # b\r\n\r\n[server]\r\n\tconnection_timeout=T # t\r\n\r\n# i\r\nheartbeat_interval= I\r\n",
    "server.connection_timeout = T\nui.bell = false\nserver.port = 1\nserver.heartbeat_interval = I # end",
    "\u{feff}[server] # s\nport = 1\nheartbeat_interval = \"Is\" # i\nconnection_timeout = 'Ts' # t\n[log]\n",
    "[server]\nname = \"[server] heartbeat_interval = 1\"\nheartbeat_interval = I\nconnection_timeout = T",
    "[client]\ninterval = 7\n[server]\nheartbeat_interval = I\nname = '''\n# no comment\n'''\nconnection_timeout = T\n\n",
];

prop_compose! {
    fn any_settings()(interval in 100_u64..=3_600_000)
        (timeout in interval + 1..=86_400_000, interval in Just(interval)) -> (u64, u64) {
        (interval, timeout)
    }
}

fn seconds(ms: u64) -> String {
    Duration::from_millis(ms).as_secs_f64().to_string()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_settings_read_back_and_every_other_line_stays(
        shape in 0..SHAPES.len(), was in any_settings(), to in any_settings(),
    ) {
        let before = SHAPES.get(shape).unwrap().replace('I', &seconds(was.0)).replace('T', &seconds(was.1));
        let desk = Desk::new(&before);
        prop_assert_eq!(desk.resolve().server.settings, settings(was.0, was.1));
        let expected = if was == to { Saved::Unchanged } else { Saved::Written };
        prop_assert_eq!(desk.save(to.0, to.1).unwrap(), expected);
        prop_assert_eq!(desk.resolve().server.settings, settings(to.0, to.1));
        prop_assert_eq!(desk.save(to.0, to.1).unwrap(), Saved::Unchanged);
        let after = desk.text();
        let (was, is): (Vec<_>, Vec<_>) = (before.split('\n').collect(), after.split('\n').collect());
        prop_assert_eq!(was.len(), is.len());
        for (was, is) in was.into_iter().zip(is).filter(|(was, is)| was != is) {
            let name = was.split('=').next().unwrap();
            prop_assert!(name.contains("heartbeat_interval") || name.contains("connection_timeout"));
            prop_assert_eq!(is.split('=').next(), Some(name));
            let behind = |line: &str| line.split_once('#').map(|(_, remark)| remark.to_owned());
            prop_assert_eq!(behind(is), behind(was));
            prop_assert_eq!(is.ends_with('\r'), was.ends_with('\r'));
        }
        prop_assert_eq!(desk.names(), ["config.toml"]);
    }
}
