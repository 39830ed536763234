//! The settings of who may come in, at both ends.

use std::path::PathBuf;

use super::OnCommandLine::Flag;
use super::{Key, Preset, value};
use crate::config::print::quoted;
use crate::config::resolve::Draft;
use crate::config::value::Written;
use crate::security::pin::PinError;

pub(super) const TOKEN_FILE: Key = Key {
    section: "security",
    name: "token_file",
    word: "token-file",
    on_command_line: Flag,
    doc: "File of the tokens that let somebody in, one name:role:secret a line, with the roles join, watch, notify and admin. Read again on SIGHUP. Not set: nobody needs one.",
    preset: Preset::Example("\"/etc/presence-tui/tokens\""),
    set: |d, w| file(d, w).map(|file| d.config.security.token_file = Some(file)),
    show: |c| shown(c.security.token_file.as_ref()),
};

pub(super) const TLS_CERT: Key = Key {
    section: "security",
    name: "tls_cert",
    word: "tls-cert",
    on_command_line: Flag,
    doc: "Certificate of this server and those that vouch for it, in PEM: TLS is then spoken on the same port. Read again on SIGHUP. `presence-tui cert HOST` makes one for a lab.",
    preset: Preset::Example("\"/etc/presence-tui/server.crt\""),
    set: |d, w| file(d, w).map(|file| d.config.security.tls_cert = Some(file)),
    show: |c| shown(c.security.tls_cert.as_ref()),
};

pub(super) const TLS_KEY: Key = Key {
    section: "security",
    name: "tls_key",
    word: "tls-key",
    on_command_line: Flag,
    doc: "Private key of that certificate, in PEM.",
    preset: Preset::Example("\"/etc/presence-tui/server.key\""),
    set: |d, w| file(d, w).map(|file| d.config.security.tls_key = Some(file)),
    show: |c| shown(c.security.tls_key.as_ref()),
};

pub(super) const CLIENT_CA: Key = Key {
    section: "security",
    name: "client_ca",
    word: "client-ca",
    on_command_line: Flag,
    doc: "Certificates that vouch for clients, in PEM: a client over TLS then needs one of its own, and is the user its common name (CN) says, whatever it claims.",
    preset: Preset::Example("\"/etc/presence-tui/clients.crt\""),
    set: |d, w| file(d, w).map(|file| d.config.security.client_ca = Some(file)),
    show: |c| shown(c.security.client_ca.as_ref()),
};

pub(super) const REQUIRE_TLS: Key = Key {
    section: "security",
    name: "require_tls",
    word: "require-tls",
    on_command_line: Flag,
    doc: "Whether connections without TLS are refused. Not set: only where client_ca is set.",
    preset: Preset::Example("true"),
    set: |d, w| value::boolean(w).map(|yes| d.config.security.require_tls = Some(yes)),
    show: |c| c.security.require_tls.map(|yes| yes.to_string()),
};

pub(super) const CLIENT_TOKEN_FILE: Key = Key {
    section: "client",
    name: "token_file",
    word: "token-file",
    on_command_line: Flag,
    doc: "File with the token this client shows, and nothing else. PRESENCE_TUI_TOKEN may hold the token itself. Not set: none is shown.",
    preset: Preset::Example("\"~/.config/presence-tui/token\""),
    set: |d, w| file(d, w).map(|file| d.config.client.token_file = Some(file)),
    show: |c| shown(c.client.token_file.as_ref()),
};

pub(super) const CA: Key = Key {
    section: "client",
    name: "ca",
    word: "ca",
    on_command_line: Flag,
    doc: "Certificates a tls:// server is trusted by, in PEM, in place of those this system trusts.",
    preset: Preset::Example("\"/etc/presence-tui/ca.crt\""),
    set: |d, w| file(d, w).map(|file| d.config.client.ca = Some(file)),
    show: |c| shown(c.client.ca.as_ref()),
};

pub(super) const CERT: Key = Key {
    section: "client",
    name: "cert",
    word: "cert",
    on_command_line: Flag,
    doc: "Certificate this client shows to a tls:// server, in PEM.",
    preset: Preset::Example("\"/etc/presence-tui/client.crt\""),
    set: |d, w| file(d, w).map(|file| d.config.client.cert = Some(file)),
    show: |c| shown(c.client.cert.as_ref()),
};

pub(super) const KEY: Key = Key {
    section: "client",
    name: "key",
    word: "key",
    on_command_line: Flag,
    doc: "Private key of that certificate, in PEM.",
    preset: Preset::Example("\"/etc/presence-tui/client.key\""),
    set: |d, w| file(d, w).map(|file| d.config.client.key = Some(file)),
    show: |c| shown(c.client.key.as_ref()),
};

pub(super) const PIN: Key = Key {
    section: "client",
    name: "pin",
    word: "pin",
    on_command_line: Flag,
    doc: "Pin of the one certificate a tls:// server is trusted by, whoever vouches for it; as `presence-tui cert` prints it.",
    preset: Preset::Example("\"sha256/d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592\""),
    set: |d, w| {
        let pin = value::text(w, "a pin")?.parse();
        let pin = pin.map_err(|error: PinError| format!("{w} is {error}"))?;
        d.config.client.pin = Some(pin);
        Ok(())
    },
    show: |c| c.client.pin.map(|pin| quoted(&pin.to_string())),
};

/// Reads the name of a file.
fn file(draft: &Draft, written: &Written) -> Result<PathBuf, String> {
    let file = PathBuf::from(value::text(written, "a file")?);
    Ok(match (file.strip_prefix("~"), &draft.home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => file,
    })
}

fn shown(file: Option<&PathBuf>) -> Option<String> {
    file.map(|file| quoted(&file.display().to_string()))
}
