//! Who may come in: what is told about it, and what of it does not fit together.

use std::path::PathBuf;

use super::{ClientConfig, Config, Role};

/// What a server asks of whoever knocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecurityConfig {
    /// The file of the tokens.
    pub token_file: Option<PathBuf>,
    /// The server's certificate.
    pub tls_cert: Option<PathBuf>,
    /// Its private key; there whenever the certificate is.
    pub tls_key: Option<PathBuf>,
    /// The certificates that vouch for clients.
    pub client_ca: Option<PathBuf>,
    /// Whether connections without TLS are refused, if that was said.
    pub require_tls: Option<bool>,
}

impl SecurityConfig {
    /// Tells whether connections without TLS are refused: who asks clients for certificates wants no way around that.
    #[must_use]
    pub fn requires_tls(&self) -> bool {
        self.require_tls.unwrap_or(self.client_ca.is_some())
    }
}

/// The variable that may hold a client's token itself. There is no such setting: what stands in
/// a file of settings is shown and copied too easily.
pub const TOKEN_VARIABLE: &str = "PRESENCE_TUI_TOKEN";

/// Returns what is wrong with the settings of one end as a whole.
pub(super) fn problems(config: &Config, role: Role) -> Vec<String> {
    let mut problems = Vec::new();
    let mut say = |wrong: bool, words: &str| {
        if wrong {
            problems.push(words.to_owned());
        }
    };
    let SecurityConfig { tls_cert, tls_key, client_ca, require_tls, .. } = &config.security;
    if role != Role::Join {
        say(tls_cert.is_some() && tls_key.is_none(), "security.tls_cert needs its security.tls_key");
        say(tls_key.is_some() && tls_cert.is_none(), "security.tls_key needs its security.tls_cert");
        let needs_tls = "needs security.tls_cert and security.tls_key: without them no TLS is spoken here";
        let none = tls_cert.is_none();
        say(none && client_ca.is_some(), &format!("security.client_ca {needs_tls}"));
        say(none && *require_tls == Some(true), &format!("security.require_tls {needs_tls}"));
    }
    if !matches!(role, Role::Serve | Role::Demo) {
        let ClientConfig { ca, cert, key, pin, .. } = &config.client;
        say(cert.is_some() && key.is_none(), "client.cert needs its client.key (--key)");
        say(key.is_some() && cert.is_none(), "client.key needs its client.cert (--cert)");
        let both = "client.ca and client.pin are two ways to trust a server (--ca, --pin): give one";
        say(ca.is_some() && pin.is_some(), both);
    }
    problems
}
