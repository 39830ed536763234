//! The flags of who may come in: what `serve` asks for, and what `join` shows.

use clap::Args;

/// What `serve` asks for.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Who may come in")]
pub struct GuardArgs {
    /// File of the tokens that let somebody in, one name:role:secret a line [default: nobody needs one]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<String>,
    /// Certificate of this server, in PEM: TLS is then spoken on the same port
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<String>,
    /// Its private key, in PEM
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<String>,
    /// Certificates that vouch for clients, in PEM: a client over TLS then needs one of its own
    #[arg(long, value_name = "FILE")]
    pub client_ca: Option<String>,
    /// Whether connections without TLS are refused [default: true with --client-ca, else false]
    #[arg(long, value_name = "BOOL")]
    pub require_tls: Option<String>,
}

impl GuardArgs {
    /// Returns each with its setting.
    pub(super) fn settings(&self) -> [(&'static str, &Option<String>); 5] {
        [
            ("security.token_file", &self.token_file),
            ("security.tls_cert", &self.tls_cert),
            ("security.tls_key", &self.tls_key),
            ("security.client_ca", &self.client_ca),
            ("security.require_tls", &self.require_tls),
        ]
    }
}

/// What `join` shows, and whom it trusts.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "For a server with tokens or TLS")]
pub struct ShowArgs {
    /// File with the token that lets this client in.
    #[arg(
        long,
        value_name = "FILE",
        help = "File with the token that lets this client in; PRESENCE_TUI_TOKEN may hold the token itself"
    )]
    pub token_file: Option<String>,
    /// Certificates a tls:// server is trusted by, in PEM [default: those this system trusts]
    #[arg(long, value_name = "FILE")]
    pub ca: Option<String>,
    /// Certificate this client shows to a tls:// server, in PEM
    #[arg(long, value_name = "FILE")]
    pub cert: Option<String>,
    /// Its private key, in PEM
    #[arg(long, value_name = "FILE")]
    pub key: Option<String>,
    /// Pin of the one certificate a tls:// server is trusted by, as `presence-tui cert` prints it
    #[arg(long, value_name = "PIN")]
    pub pin: Option<String>,
}

impl ShowArgs {
    /// Returns each with its setting.
    pub(super) fn settings(&self) -> [(&'static str, &Option<String>); 5] {
        [
            ("client.token_file", &self.token_file),
            ("client.ca", &self.ca),
            ("client.cert", &self.cert),
            ("client.key", &self.key),
            ("client.pin", &self.pin),
        ]
    }

    /// Returns the first flag that was given: a foreign server takes none of them.
    pub(super) fn first_given(&self) -> Option<&'static str> {
        let flags = ["--token-file", "--ca", "--cert", "--key", "--pin"];
        self.settings().into_iter().zip(flags).find_map(|((_, text), flag)| text.is_some().then_some(flag))
    }
}

/// The arguments of `cert`.
#[derive(Debug, Clone, Args)]
pub struct CertArgs {
    /// What the server is called by those who join it: a host name or an IP address; several may be given
    #[arg(value_name = "HOST", required = true)]
    pub hosts: Vec<String>,
    /// Folder to write to
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: std::path::PathBuf,
    /// Write over files that are there
    #[arg(long)]
    pub force: bool,
}
