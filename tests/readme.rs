//! What the README says of keys and settings is what the program has.

use std::{fs, io};

use presence_tui::config::KEYS;
use presence_tui::config::keys::Preset;
use presence_tui::tui::keymap;

fn readme() -> io::Result<String> {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"))
}

#[test]
fn the_tables_of_keys_are_those_of_the_program() -> io::Result<()> {
    let readme = readme()?;
    for join in [false, true] {
        let table = keymap::markdown(join);
        assert!(readme.contains(&table), "the README needs this table (join: {join}):\n\n{table}");
    }
    Ok(())
}

#[test]
fn every_setting_has_its_line_with_its_default() -> io::Result<()> {
    let readme = readme()?;
    for key in &KEYS {
        let begin = format!("| `{}` |", key.path());
        let line = readme.lines().find(|line| line.starts_with(&begin));
        assert!(line.is_some(), "the README has no line for {}", key.path());
        if let (Some(line), Preset::Value(default)) = (line, key.preset) {
            let begin = format!("{begin} `{default}` |");
            assert!(line.starts_with(&begin), "the default of {} is {default}:\n{line}", key.path());
        }
    }
    let lines = readme.lines().filter(|line| {
        ["server", "security", "client", "ui", "hooks", "log", "history"]
            .iter()
            .any(|section| line.starts_with(&format!("| `{section}.")))
    });
    assert_eq!(lines.count(), KEYS.len(), "the README has lines for settings that do not exist, or twice");
    Ok(())
}
