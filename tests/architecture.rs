//! Who may import whom, as a table, held against every file under `src/`.
//!
//! An arrow drawn in a document bends as soon as somebody is in a hurry. Here
//! the arrows are data, and a file that draws another one fails by file and line.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Every room with the rooms it may import, from the inside out. A room's own modules are always allowed.
const ROOMS: &[(&str, &[&str])] = &[
    ("presence", &[]),
    ("clock", &[]),
    ("files", &[]),
    ("tasks", &[]),
    ("lib", &[]),
    ("security", &[]),
    ("net", &["security"]),
    ("protocol", &["presence"]),
    ("config", &["presence", "net", "files", "security"]),
    ("telemetry", &["presence"]),
    ("history", &["presence", "files"]),
    ("tui", &["presence"]),
    ("cli", &["config", "net"]),
    ("hooks", &["config", "protocol", "presence", "net", "tasks"]),
    ("status", &["protocol", "presence", "net", "security"]),
    ("server", &["protocol", "presence", "net", "clock", "security", "tasks"]),
    ("client", &["protocol", "presence", "net", "files", "security"]),
    ("demo", &["presence", "net", "protocol", "server", "client", "security", "tasks"]),
    ("swarm", &["presence", "net", "protocol", "tasks"]),
    ("app", EVERYTHING),
    ("main", EVERYTHING),
];

/// What the wiring may use.
const EVERYTHING: &[&str] = &[
    "presence",
    "net",
    "clock",
    "files",
    "tasks",
    "security",
    "protocol",
    "config",
    "telemetry",
    "history",
    "hooks",
    "status",
    "tui",
    "cli",
    "server",
    "client",
    "demo",
    "swarm",
    "app",
];

/// Paths that are out of place somewhere.
const BANS: &[Ban] = &[
    Ban { path: "tokio", place: Place::Room("presence"), why: "the core has no runtime" },
    Ban { path: "ratatui", place: Place::Room("presence"), why: "the core knows no screen" },
    Ban { path: "TcpStream", place: Place::Room("presence"), why: "the core opens no socket" },
    Ban { path: "std::fs", place: Place::Room("presence"), why: "the core touches no file" },
    Ban { path: "Instant::now", place: Place::Room("presence"), why: "in the core, time is an argument" },
    Ban {
        path: "SystemTime",
        place: Place::AnywhereBut(&[
            "telemetry.rs",
            "client/identity.rs",
            "app/join.rs",
            "hooks/call.rs",
            "server/hub/door.rs",
            "tui/mod.rs",
            "tui/input.rs",
        ]),
        why: "wall time is read in the shells that show it, and for the identity's generation",
    },
    Ban { path: "unbounded_channel", place: Place::Everywhere, why: "every queue has a limit" },
];

/// A path that must not occur in some place.
struct Ban {
    path: &'static str,
    place: Place,
    why: &'static str,
}

/// Where a [`Ban`] holds. Tests may do what the shells may, except where it holds everywhere.
enum Place {
    Everywhere,
    Room(&'static str),
    AnywhereBut(&'static [&'static str]),
}

impl Ban {
    fn holds_in(&self, file: &str) -> bool {
        match self.place {
            Place::Everywhere => true,
            Place::Room(room) => room_of(file) == room,
            Place::AnywhereBut(files) => !files.contains(&file),
        }
    }

    fn spares_tests(&self) -> bool {
        !matches!(self.place, Place::Everywhere)
    }

    /// Tells whether the banned segments stand side by side somewhere in `path`.
    fn hits(&self, path: &str) -> bool {
        let banned: Vec<&str> = self.path.split("::").collect();
        let segments: Vec<&str> = path.split("::").collect();
        segments.windows(banned.len()).any(|window| window == banned)
    }
}

/// Returns what is wrong with one file, given by its path below `src/` and its text.
fn violations(file: &str, text: &str) -> Vec<String> {
    let room = room_of(file);
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        return vec![format!("src/{file}:1: room `{room}` is not in the table of tests/architecture.rs")];
    };
    let code = without_comments_and_texts(text);
    let tests = test_lines(&code);
    let all_tests = file.ends_with("/tests.rs");
    let mut wrong = Vec::new();
    for (line, path) in paths(&code) {
        let mut segments = path.split("::");
        if let (Some("crate" | "presence_tui"), Some(target)) = (segments.next(), segments.next())
            && target != room
            && !allowed.contains(&target)
        {
            wrong.push(format!("src/{file}:{line}: {room} may not import {target}: {}", list(allowed)));
        }
        for ban in BANS {
            let spared = ban.spares_tests() && (all_tests || tests.contains(&line));
            if ban.hits(&path) && ban.holds_in(file) && !spared {
                wrong.push(format!("src/{file}:{line}: `{}` does not belong here: {}", ban.path, ban.why));
            }
        }
    }
    wrong.dedup();
    wrong
}

/// Says in words what a room may import.
fn list(allowed: &[&str]) -> String {
    if allowed.is_empty() {
        "it imports nothing of ours".to_owned()
    } else {
        format!("it imports only {}", allowed.join(", "))
    }
}

/// Returns the room a file belongs to: its folder right below `src/`, or its own name there.
fn room_of(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

/// Blanks comments, strings and character literals, so that only code is judged; lines stay where they are.
fn without_comments_and_texts(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    let mut after_word = false;
    while let Some(first) = rest.chars().next() {
        // The `b` of `b"` opens a text; the `b` inside `verb` does not.
        let inside_word = after_word && is_word(first);
        let skipped = if inside_word { 0 } else { skipped_bytes(rest) };
        let (gone, kept) = if skipped > 0 { (skipped, 0) } else { (0, first.len_utf8()) };
        code.extend(rest[..gone].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        code.push_str(&rest[gone..gone + kept]);
        after_word = kept > 0 && is_word(first);
        rest = &rest[gone + kept..];
    }
    code
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Returns how many bytes of comment or literal `rest` starts with.
fn skipped_bytes(rest: &str) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_bytes(rest);
    }
    if let Some(body) = rest.strip_prefix('\'') {
        return character_bytes(body);
    }
    let prefix = rest.len() - rest.trim_start_matches(['b', 'c', 'r']).len();
    let raw = prefix <= 2 && rest[..prefix].ends_with('r');
    let hashes = rest[prefix..].len() - rest[prefix..].trim_start_matches('#').len();
    let opening = prefix + if raw { hashes } else { 0 };
    if prefix > 2 || !rest[opening..].starts_with('"') {
        return 0;
    }
    let body = &rest[opening + 1..];
    let length = if raw {
        let end = format!("\"{}", "#".repeat(hashes));
        body.find(&end).map_or(body.len(), |at| at + end.len())
    } else {
        unescaped_quote(body, '"').map_or(body.len(), |at| at + 1)
    };
    opening + 1 + length
}

/// Returns the length of a block comment, those inside it included.
fn block_comment_bytes(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        let step = if rest[at..].starts_with("/*") {
            depth += 1;
            2
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            2
        } else {
            rest[at..].chars().next().map_or(1, char::len_utf8)
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

/// Returns the length of a character literal whose opening quote is cut off, or 0 for a lifetime.
fn character_bytes(body: &str) -> usize {
    let mut chars = body.chars();
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => unescaped_quote(body, '\'').map_or(0, |at| at + 2),
        (Some(c), Some('\'')) => c.len_utf8() + 2,
        _ => 0,
    }
}

/// Returns where the first `quote` without a backslash stands.
fn unescaped_quote(body: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    body.char_indices().find_map(|(at, c)| {
        let found = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        found.then_some(at)
    })
}

/// Returns the numbers of the lines that belong to items marked `#[cfg(test)]`.
fn test_lines(code: &str) -> Vec<usize> {
    const MARK: &str = "#[cfg(test)]";
    let mut lines = Vec::new();
    let mut from = 0;
    while let Some(found) = code.get(from..).and_then(|rest| rest.find(MARK)) {
        let start = from + found;
        let end = item_end(code, start + MARK.len());
        lines.extend(line_of(code, start)..=line_of(code, end));
        from = end;
    }
    lines
}

/// Returns where the item that starts at `from` ends: at its closing brace, or at a `;` before any brace.
fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code[from..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return from + at,
            '}' => depth -= 1,
            ';' if depth == 0 => return from + at,
            _ => {}
        }
    }
    code.len()
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// Returns every path in the code with its line; `a::{b, c::d}` counts as `a::b` and `a::c::d`.
fn paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    // The prefix of every brace we are in; empty for one that is no group of imports.
    let mut groups: Vec<String> = Vec::new();
    let mut path = String::new();
    let (mut before, mut started) = ("", 1);
    for (line, token) in tokens(code) {
        let word = token.starts_with(is_word);
        let prefix = groups.last().map_or("", String::as_str);
        // `{server as s}` imports server; neither `as` nor `s` is a name in the group.
        let renaming = !prefix.is_empty() && (token == "as" || before == "as");
        if token == "::" || word && before == "::" {
            path.push_str(token);
        } else {
            if !path.is_empty() && !path.ends_with("::") {
                found.push((started, std::mem::take(&mut path)));
            }
            if word && !renaming {
                path = format!("{prefix}{token}");
                started = line;
            } else if token == "{" {
                groups.push(std::mem::take(&mut path));
            } else {
                path.clear();
                if token == "}" {
                    groups.pop();
                }
            }
        }
        before = token;
    }
    if !path.is_empty() {
        found.push((started, path));
    }
    found
}

/// Cuts code into words, `::` and single characters, each with its line.
fn tokens(code: &str) -> Vec<(usize, &str)> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (code, 1);
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let length = match word {
            0 if rest.starts_with("::") => 2,
            0 => first.len_utf8(),
            word => word,
        };
        if !first.is_whitespace() {
            tokens.push((line, &rest[..length]));
        }
        line += usize::from(first == '\n');
        rest = &rest[length..];
    }
    tokens
}

/// Returns every file below `folder` whose name ends in one of `endings`, sorted.
fn files_below(folder: &Path, endings: &[&str]) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path, endings)?);
        } else if path.extension().is_some_and(|ending| endings.iter().any(|wanted| ending == *wanted)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Returns `path` below `folder`, with `/` on every system.
fn below(path: &Path, folder: &Path) -> String {
    let below = path.strip_prefix(folder).unwrap_or(path);
    below.to_string_lossy().replace('\\', "/")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_file_imports_only_what_its_room_may() -> io::Result<()> {
    let src = root().join("src");
    let files = files_below(&src, &["rs"])?;
    assert!(!files.is_empty(), "there is nothing to check");
    let mut wrong = Vec::new();
    for path in files {
        wrong.extend(violations(&below(&path, &src), &fs::read_to_string(&path)?));
    }
    assert!(wrong.is_empty(), "{} broken rules:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

#[test]
fn no_file_names_somebodys_home() -> io::Result<()> {
    const HOMES: [&str; 4] = ["/home/", "/root/", "/Users/", "C:\\Users\\"];
    let mut files = files_below(&root().join("src"), &["rs"])?;
    files.extend(files_below(&root().join("docs"), &["md"])?);
    files.push(root().join("README.md"));
    let mut wrong = Vec::new();
    for path in files {
        for (index, line) in fs::read_to_string(&path)?.lines().enumerate() {
            if HOMES.iter().any(|home| line.contains(home)) {
                wrong.push(format!("{}:{}: {}", below(&path, root()), index + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "these hold for one machine only:\n{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn the_table_itself_has_no_cycle() {
    for (index, (room, allowed)) in ROOMS.iter().enumerate() {
        for target in *allowed {
            let inner = ROOMS[..index].iter().any(|(name, _)| name == target);
            assert!(inner || target == room, "{room} -> {target} does not point inwards");
        }
    }
}

#[test]
fn a_forbidden_import_is_caught_in_every_spelling() {
    for (text, line) in [
        ("use crate::server::hub::Hub;", 1),
        ("use crate::server;", 1),
        ("use std::fmt;\nuse crate::{presence::{Reason, row::Claim}, server::{self, Hub}};", 2),
        ("use crate::{\n    presence,\n    server,\n};", 3),
        ("fn f() {\n    let x = crate::server::start();\n}", 2),
        ("fn f(hub: &crate :: server :: Hub) {}", 1),
        ("mod a { mod b {\nuse crate::{server as s};\n} }", 2),
        ("const C: char = '\"'; use crate::server::X; const D: char = '\"';", 1),
        ("fn f<'a>(x: &'a str) { crate::server::y(x) }", 1),
        ("#[cfg(test)]\nmod tests {\n    use crate::server::Hub;\n}", 3),
        ("let q = b'\"'; // \"\nuse crate::server::Hub; // \"", 2),
        ("let verb = 1;// \"\nuse crate::{\n    presence as p, server as s};", 3),
        ("let r = r#\"a\"b\"#;\nuse presence_tui::server::Hub;", 2),
    ] {
        let found = violations("tui/model.rs", text);
        assert_eq!(found.len(), 1, "{text}\n{found:?}");
        let expected =
            format!("src/tui/model.rs:{line}: tui may not import server: it imports only presence");
        assert_eq!(found[0], expected, "{text}");
    }
}

#[test]
fn what_is_allowed_or_not_code_is_let_through() {
    for text in [
        "use crate::presence::{Reason, row::{Claim, State}};\nuse crate::tui::theme::Theme;",
        "// use crate::server::Hub;\n/// Like [`crate::server`].\n/* crate::server /* crate::net */ crate::server */",
        "const A: &str = \"crate::server\"; const B: &str = r#\"\"crate::server\"\"#;",
        "use super::super::presence::Reason;",
        "use crate::{presence as p};\nfn f(n: u8) { let _ = S { n: n as u64, m: p::m() }; }",
        "fn server() {} fn f() { server::crate_(); other::server::x(); }",
    ] {
        assert_eq!(violations("tui/view/mod.rs", text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn what_the_core_must_not_touch_is_caught() {
    for text in [
        "use tokio::time::Instant;",
        "use std::{fmt, fs};",
        "use std::net::{SocketAddr, TcpStream};",
        "fn f() { let now = std::time::Instant::now(); }",
        "use std::time::{Duration, SystemTime};",
        "use ratatui::style::Color;",
        "#[cfg(test)]\nmod tests {}\nuse tokio::sync::mpsc;",
    ] {
        let found = violations("presence/pulse.rs", text);
        assert_eq!(found.len(), 1, "{text}\n{found:?}");
    }
    for text in [
        "use std::time::{Duration, Instant};\nuse std::net::SocketAddr;",
        "#[cfg(test)]\nmod tests {\n    fn f() { Instant::now(); }\n}",
    ] {
        assert_eq!(violations("presence/pulse.rs", text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn wall_time_and_endless_queues_are_caught_outside_their_places() {
    let wall_time = "use std::time::SystemTime;";
    assert_eq!(violations("server/session.rs", wall_time).len(), 1);
    assert_eq!(violations("client/identity.rs", wall_time), Vec::<String>::new());
    let endless = "#[cfg(test)]\nmod tests {\n    fn f() { mpsc::unbounded_channel(); }\n}";
    assert_eq!(violations("app.rs", endless).len(), 1);
}

#[test]
fn a_room_nobody_planned_is_asked_about() {
    let found = violations("utils.rs", "");
    assert_eq!(found, ["src/utils.rs:1: room `utils` is not in the table of tests/architecture.rs"]);
}
