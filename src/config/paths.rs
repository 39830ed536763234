//! Where things are: the config file and the state folder, by the XDG rules.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// The folder of this program inside every XDG folder.
const FOLDER: &str = "presence-tui";
/// What every environment variable of this program starts with.
pub const PREFIX: &str = "PRESENCE_TUI_";
/// The variables of others that are looked at.
const FOREIGN: [&str; 6] =
    ["HOME", "USERPROFILE", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "RUST_LOG", "NO_COLOR"];

/// The environment variables that matter here; the rest of the environment is not kept.
///
/// A variable that is set but empty counts as not set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Keeps what matters of an environment, such as `std::env::vars_os()`.
    pub fn of<K: Into<OsString>, V: Into<OsString>>(vars: impl IntoIterator<Item = (K, V)>) -> Self {
        let text = |os: OsString| os.to_string_lossy().into_owned();
        let mut kept = BTreeMap::new();
        for (name, value) in vars {
            let (name, value) = (text(name.into()), text(value.into()));
            if !value.is_empty() && (name.starts_with(PREFIX) || FOREIGN.contains(&name.as_str())) {
                kept.insert(name, value);
            }
        }
        Self(kept)
    }

    /// Returns the value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns the names of all variables that are meant for this program.
    pub(super) fn ours(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(|name| name.starts_with(PREFIX))
    }

    /// Returns the user's home folder.
    #[must_use]
    pub fn home(&self) -> Option<PathBuf> {
        self.absolute("HOME").or_else(|| self.absolute("USERPROFILE"))
    }

    /// Returns the path of the user's own config file, whether it exists or not.
    #[must_use]
    pub fn user_config_file(&self) -> Option<PathBuf> {
        let base = self.absolute("XDG_CONFIG_HOME").or_else(|| Some(self.home()?.join(".config")))?;
        Some(base.join(FOLDER).join("config.toml"))
    }

    /// Returns the folder for what the program remembers between runs; it may not exist yet.
    #[must_use]
    pub fn state_dir(&self) -> Option<PathBuf> {
        let base = self.absolute("XDG_STATE_HOME").or_else(|| Some(self.home()?.join(".local/state")))?;
        Some(base.join(FOLDER))
    }

    /// Returns the path a variable holds; a relative one is ignored, as the XDG rules ask.
    fn absolute(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from).filter(|path| path.is_absolute())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_xdg_folders_win_over_the_home_folder() {
        let home = Environment::of([("HOME", "/h")]);
        assert_eq!(home.state_dir(), Some("/h/.local/state/presence-tui".into()));
        assert_eq!(home.user_config_file(), Some("/h/.config/presence-tui/config.toml".into()));
        let xdg = Environment::of([("HOME", "/h"), ("XDG_STATE_HOME", "/s"), ("XDG_CONFIG_HOME", "/c")]);
        assert_eq!(xdg.state_dir(), Some("/s/presence-tui".into()));
        assert_eq!(xdg.user_config_file(), Some("/c/presence-tui/config.toml".into()));
    }

    #[test]
    fn empty_and_relative_folders_count_as_unset() {
        let odd = Environment::of([("HOME", "/h"), ("XDG_STATE_HOME", ""), ("XDG_CONFIG_HOME", "here")]);
        assert_eq!(odd.state_dir(), Some("/h/.local/state/presence-tui".into()));
        assert_eq!(odd.user_config_file(), Some("/h/.config/presence-tui/config.toml".into()));
        assert_eq!(Environment::default().state_dir(), None);
    }

    #[test]
    fn what_is_nobody_s_business_is_not_kept() {
        let env = Environment::of([("AWS_SECRET", "x"), ("PRESENCE_TUI_PORT", "1")]);
        assert_eq!(env.get("AWS_SECRET"), None);
        assert_eq!(env.ours().collect::<Vec<_>>(), ["PRESENCE_TUI_PORT"]);
    }
}
