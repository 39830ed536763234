//! Who may come in: the files that say so are read here, at the start and on every reload.

use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, anyhow, bail};

use crate::cli::CertArgs;
use crate::client::{Dial, ServerAddr};
use crate::config::{ClientConfig, Config, Environment, SecurityConfig, Source, TOKEN_VARIABLE};
use crate::files;
use crate::presence::EventKind;
use crate::security::Tokens;
use crate::security::tls::{ClientTls, ServerTls, Trust, make};
use crate::security::tokens::{FILE_BYTES_MAX, SECRET_BYTES_MAX};
use crate::server::{Guard, Remote};

/// The largest file of certificates or keys that is read: a whole system's list is about 250 KB.
const PEM_BYTES_MAX: usize = 1024 * 1024;
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
    let SecurityConfig { tls_cert, tls_key, client_ca, .. } = &config.security;
    if let (Some(cert), Some(key)) = (tls_cert, tls_key) {
        let ca = client_ca.as_deref().map(read_public).transpose()?;
        let key = read(key, PEM_BYTES_MAX, &mut remarks)?;
        let tls = ServerTls::new(&read_public(cert)?, &key, ca.as_deref());
        guard.tls = Some(tls.map_err(|error| anyhow!("security: {error}"))?);
        guard.require_tls = config.security.requires_tls();
    }
    let certified = client_ca.is_some() && guard.require_tls;
    guard.open = guard.tokens.is_none() && !certified && !config.server.host.is_loopback();
    Ok((guard, remarks))
}

/// Says in a few words what is asked of whoever knocks.
fn summary(guard: &Guard) -> String {
    let tokens = match guard.tokens.as_ref().map(Tokens::len) {
        Some(1) => "1 token lets clients in".to_owned(),
        Some(tokens) => format!("{tokens} tokens let clients in"),
        None => "no token is asked for".to_owned(),
    };
    let tls = match (&guard.tls, guard.require_tls) {
        (None, _) => "",
        (Some(_), false) => ", TLS is spoken",
        (Some(_), true) => ", over TLS alone",
    };
    format!("{tokens}{tls}")
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

/// What is shown to a server, and how it is reached.
pub(super) struct Pass {
    /// The token, if there is one.
    pub(super) token: Option<String>,
    /// The way there.
    pub(super) dial: Dial,
}

/// Reads what is shown to a server, and how it is reached.
///
/// # Errors
/// A file cannot be read, or makes no sense; or something was given that says nothing to such a server.
pub(super) fn pass(
    config: &Config,
    environment: &Environment,
    server: Option<&ServerAddr>,
    remarks: &mut Vec<String>,
) -> anyhow::Result<Pass> {
    let token = token(config, environment, remarks)?;
    let dial = dial(config, server, remarks)?;
    if token.is_some() && server.is_some_and(|server| !server.is_tls() && !is_here(server.host())) {
        let words =
            "the token travels unencrypted: write tls:// in front of the server's address if it speaks TLS";
        remarks.push(words.to_owned());
    }
    Ok(Pass { token, dial })
}

/// Tells whether a host is this machine.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Returns the token a client shows, if it has one. A flag beats the variable with the token itself beats the rest.
///
/// # Errors
/// The file cannot be read, or what is there is no token.
fn token(
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

/// Returns how a server is reached.
///
/// # Errors
/// A file cannot be read, or makes no sense; or something was given that says nothing to a server without TLS.
fn dial(config: &Config, server: Option<&ServerAddr>, remarks: &mut Vec<String>) -> anyhow::Result<Dial> {
    let ClientConfig { ca, cert, key, pin, .. } = &config.client;
    let Some(server) = server.filter(|server| server.is_tls()) else {
        let given = |source: &str| matches!(config.source(source), Some(Source::Flag(_)));
        if let Some(flag) = ["ca", "cert", "pin"].into_iter().find(|name| given(&format!("client.{name}"))) {
            bail!("--{flag} says nothing without TLS (write tls:// in front of the server's address)");
        }
        return Ok(Dial::default());
    };
    let ca = ca.as_deref().map(read_public).transpose()?;
    let trust = match (&ca, pin) {
        (Some(ca), _) => Trust::Ca(ca),
        (None, Some(pin)) => Trust::Pin(*pin),
        (None, None) => Trust::System,
    };
    let own = match (cert, key) {
        (Some(cert), Some(key)) => Some((read_public(cert)?, read(key, PEM_BYTES_MAX, remarks)?)),
        _ => None,
    };
    let own = own.as_ref().map(|(cert, key)| (cert.as_slice(), key.as_slice()));
    let tls = ClientTls::new(trust, own).map_err(|error| anyhow!("client: {error}"))?;
    Ok(Dial { tls: Some((tls, server.host().to_owned())) })
}

/// Makes a certificate for a lab; returns what is said about it.
///
/// # Errors
/// The files are there already, or cannot be written; or no certificate can be for such a host.
pub(super) fn cert(args: &CertArgs) -> anyhow::Result<String> {
    let made = make(&args.hosts).map_err(anyhow::Error::msg)?;
    let name: String =
        args.hosts.first().map(|host| host.replace([':', '/', '\\', '*'], "_")).unwrap_or_default();
    // What is printed is to be typed: `./` in front of it would only be in the way.
    let out = args.out.strip_prefix(".").unwrap_or(&args.out);
    let [crt, key] = ["crt", "key"].map(|ending| out.join(format!("{name}.{ending}")));
    if let Some(there) = [&crt, &key].into_iter().find(|path| !args.force && path.exists()) {
        bail!("{} is there already (write elsewhere with --out, or over it with --force)", there.display());
    }
    std::fs::create_dir_all(&args.out).with_context(|| format!("could not make {}", args.out.display()))?;
    // The key first: a certificate without its key would be worth nothing.
    let written = files::write_private(&key, made.key.as_bytes());
    written.with_context(|| format!("could not write {}", key.display()))?;
    std::fs::write(&crt, made.certificate).with_context(|| format!("could not write {}", crt.display()))?;
    let (crt, key, pin) = (crt.display(), key.display(), made.pin);
    let host = args.hosts.first().map_or("HOST", String::as_str);
    Ok(format!(
        "wrote {crt} and {key}\n\npin: {pin}\n\nhere:   presence-tui serve --tls-cert {crt} --tls-key {key}\n\
         there:  presence-tui join tls://{host} --pin {pin}\n"
    ))
}

/// Reads a small file that holds no secret.
fn read_public(path: &Path) -> anyhow::Result<Vec<u8>> {
    read(path, PEM_BYTES_MAX, &mut Vec::new())
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
