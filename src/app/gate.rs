//! Who may come in: the files that say so are read here, at the start and on every reload.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, anyhow, bail};

use crate::config::{Config, Environment, SecurityConfig, Source, TOKEN_VARIABLE};
use crate::presence::EventKind;
use crate::security::Tokens;
use crate::security::tokens::{FILE_BYTES_MAX, SECRET_BYTES_MAX};
use crate::server::{Guard, Remote};

/// What is said of a server that others can reach and that asks nothing of them.
pub(super) const OPEN: &str = "open: anyone can join (security.token_file asks for a token)";

/// Reads who is let in; returns what should be known about it, too.
///
/// # Errors
/// A file cannot be read, or makes no sense.
pub(super) fn guard(config: &Config) -> anyhow::Result<(Guard, Vec<String>)> {
    let mut remarks = Vec::new();
    let mut guard = Guard::default();
    if let Some(file) = &config.security.token_file {
        let tokens = Tokens::parse(&read(file, FILE_BYTES_MAX, &mut remarks)?);
        guard.tokens = Some(tokens.map_err(|error| anyhow!("{}: {error}", file.display()))?);
    }
    guard.open = guard.tokens.is_none() && !config.server.host.is_loopback();
    Ok((guard, remarks))
}

/// Says in a few words what is asked of whoever knocks.
fn summary(guard: &Guard) -> String {
    match &guard.tokens {
        Some(tokens) => format!("{} token{} let clients in", tokens.len(), if tokens.len() == 1 { "" } else { "s" }),
        None => "no token is asked for".to_owned(),
    }
}

/// Reads again who is let in; what cannot be read, or makes no sense, changes nothing and is said.
///
/// `before` are the settings it was read by the last time.
pub(super) async fn reload(config: &Config, before: &Config, remote: &Remote) {
    let nothing = SecurityConfig::default();
    let worth_saying = config.security != nothing || before.security != nothing;
    let config = config.clone();
    let read = tokio::task::spawn_blocking(move || guard(&config)).await;
    let (guard, remarks) = match read.map_err(anyhow::Error::new).and_then(|read| read) {
        Ok(read) => read,
        Err(error) => {
            let words = format!("who may come in stays as it was: {error:#}");
            return remote.note(EventKind::Trouble(words)).await;
        }
    };
    for remark in remarks {
        remote.note(EventKind::Trouble(remark)).await;
    }
    let words = if guard.open { OPEN.to_owned() } else { summary(&guard) };
    remote.guard(guard);
    if worth_saying {
        remote.note(EventKind::Notice(words)).await;
    }
}

/// Returns the token `join` shows, if it has one. A flag beats the variable with the token itself beats the rest.
///
/// # Errors
/// The file cannot be read, or what is there is no token.
pub(super) fn token(
    config: &Config,
    environment: &Environment,
    remarks: &mut Vec<String>,
) -> anyhow::Result<Option<String>> {
    let file = config.client.token_file.as_deref();
    let by_flag = matches!(config.source("client.token_file"), Some(Source::Flag(_)));
    let (token, place) = match (file, environment.get(TOKEN_VARIABLE)) {
        (_, Some(token)) if !by_flag => (token.to_owned(), TOKEN_VARIABLE.to_owned()),
        (Some(file), _) => {
            let bytes = read(file, SECRET_BYTES_MAX + 2, remarks)?;
            (String::from_utf8_lossy(&bytes).into_owned(), file.display().to_string())
        }
        (None, _) => return Ok(None),
    };
    let token = token.trim();
    if token.is_empty() || token.len() > SECRET_BYTES_MAX || !token.bytes().all(|b| b.is_ascii_graphic()) {
        bail!("{place} is no token (one line of 1 to {SECRET_BYTES_MAX} visible ASCII characters)");
    }
    Ok(Some(token.to_owned()))
}

/// Reads a small file, and remarks on one that others could read as well.
fn read(path: &Path, bytes_max: usize, remarks: &mut Vec<String>) -> anyhow::Result<Vec<u8>> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("could not read {name}"))?;
    if let Some(remark) = exposed(&file, path) {
        remarks.push(remark);
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).with_context(|| format!("could not read {name}"))?;
    if bytes.len() > bytes_max {
        bail!("{name} is larger than {bytes_max} bytes");
    }
    Ok(bytes)
}

/// Says that a file with secrets can be read by others, if it can.
#[cfg(unix)]
fn exposed(file: &File, path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let found = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let name = path.display();
    (found.permissions().mode() & 0o077 != 0)
        .then(|| format!("{name} can be read by others and holds secrets (chmod 600 {name})"))
}

/// Other systems have no such bits.
#[cfg(not(unix))]
fn exposed(_: &File, _: &Path) -> Option<String> {
    None
}
