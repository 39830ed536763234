//! The flags of `join` for a server that speaks something else, and which flags fit which server.

use clap::Args;

use super::JoinArgs;
use crate::net::url::is_foreign;

/// The flags of `join` that a foreign server needs, and no other takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "For ws://, wss:// and tcp+raw://")]
pub struct ForeignArgs {
    /// A text to send at every interval
    #[arg(long, value_name = "TEXT")]
    pub payload: Option<String>,
    /// JSON to send, checked and sent as written
    #[arg(long, value_name = "JSON")]
    pub payload_json: Option<String>,
    /// Bytes to send, two hexadecimal digits each
    #[arg(long, value_name = "HEX")]
    pub payload_hex: Option<String>,
    /// What answers it: measures the round trip, and tells a server that hangs
    #[arg(long, value_name = "PATTERN")]
    pub expect: Option<String>,
    /// What the server may say to be replied to: a whole text, or field=value of a JSON object; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub on: Vec<String>,
    /// The reply to the --on before it
    #[arg(long, value_name = "TEXT")]
    pub reply: Vec<String>,
}

impl JoinArgs {
    /// Returns the server, if what was given for it means a foreign one.
    #[must_use]
    pub fn foreign_server(&self) -> Option<&str> {
        self.server.as_deref().filter(|server| is_foreign(server))
    }

    /// Returns the first flag given that says nothing to the kind of server given.
    #[must_use]
    pub fn misplaced(&self) -> Option<&'static str> {
        let given = |flag, is_given: bool| is_given.then_some(flag);
        if self.foreign_server().is_some() {
            let own = [("--user", &self.user), ("--device", &self.device), ("--advertise", &self.advertise)];
            let own = own.into_iter().chain([("--id", &self.id)]);
            let tag = given("--tag", !self.tag.is_empty());
            let own = own.filter_map(|(flag, text)| given(flag, text.is_some()));
            return own.chain(tag).chain(self.show.first_given()).next();
        }
        let foreign = &self.foreign;
        [
            given("--payload", foreign.payload.is_some()),
            given("--payload-json", foreign.payload_json.is_some()),
            given("--payload-hex", foreign.payload_hex.is_some()),
            given("--expect", foreign.expect.is_some()),
            given("--on", !foreign.on.is_empty()),
            given("--reply", !foreign.reply.is_empty()),
        ]
        .into_iter()
        .flatten()
        .next()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::{Cli, Command};

    fn command(line: &str) -> Command {
        Cli::try_parse_from(line.split(' ')).unwrap().command
    }

    #[test]
    fn a_foreign_server_is_no_setting_and_neither_is_its_interval() {
        let line = "presence-tui join ws://hq/live --interval 30m --payload -1 --name n";
        let Command::Join(args) = command(line) else { panic!("it is a join") };
        assert_eq!(args.foreign_server(), Some("ws://hq/live"));
        assert_eq!(args.given(), [("client.name", "n".to_owned())]);
        assert_eq!((args.foreign.payload.as_deref(), args.misplaced()), (Some("-1"), None));
        for (line, flag) in [
            ("presence-tui join ws://hq --tag a=b", Some("--tag")),
            ("presence-tui join ws://hq --user ada", Some("--user")),
            ("presence-tui join wss://hq --pin x", Some("--pin")),
            ("presence-tui join hq --payload x", Some("--payload")),
            ("presence-tui join --on a --reply b", Some("--on")),
            ("presence-tui join hq --tag a=b --user ada", None),
        ] {
            let Command::Join(args) = command(line) else { panic!("it is a join") };
            assert_eq!(args.misplaced(), flag, "{line}");
        }
    }
}
