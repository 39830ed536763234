//! Notifications: how they travel, and what is taken of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::clean;
use super::register::{self, Tags};
use crate::presence::notify::{Notification, Posted, Tally, Target};

/// The most terminal cells a title keeps; it has at most 256 bytes, too.
pub const TITLE_CELLS_MAX: usize = 64;
/// The most bytes the text of a notification may have as it is sent.
pub const BODY_BYTES_MAX: usize = 1_024;
/// What that may grow to: a character that a terminal would obey becomes one of three bytes.
const CLEAN_BYTES_MAX: usize = 3 * BODY_BYTES_MAX;
/// The longest number of a notification, and the longest identity one can be sent to.
const ID_BYTES_MAX: usize = 64;

/// `notify` from a client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Notify {
    /// Whom it is for.
    pub to: To,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it says.
    pub body: String,
}

/// Whom a notification is for: exactly one of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct To {
    /// Every device of this person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// This client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Every client with all of these labels.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tag: Tags,
    /// Everybody, if `true`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

/// Which rule a notification breaks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadNotify {
    /// It is for nobody, or for several kinds at once.
    #[error("to must have exactly one of user, id, tag and all")]
    To,
    /// It says nothing.
    #[error("body must not be empty")]
    Empty,
    /// It says too much.
    #[error("body has more than {BODY_BYTES_MAX} bytes")]
    TooLong,
    /// Its labels break the rules of `register`.
    #[error(transparent)]
    Tags(#[from] register::Invalid),
}

impl Notify {
    /// Checks it and makes its texts harmless.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn check(self) -> Result<Notification, BadNotify> {
        let To { user, id, tag, all } = self.to;
        let target = match (user, id, tag.is_empty(), all) {
            (Some(user), None, true, false) => Target::User(clean::name(&user).into()),
            (None, Some(id), true, false) => Target::Id(clean::line(&id, ID_BYTES_MAX).into()),
            (None, None, false, false) => Target::Tags(register::checked_tags(tag)?),
            (None, None, true, true) => Target::All,
            _ => return Err(BadNotify::To),
        };
        notification(target, &self.title.unwrap_or_default(), &self.body)
    }
}

/// Makes the texts of a notification harmless.
///
/// # Errors
/// It says nothing, or too much.
pub fn notification(to: Target, title: &str, body: &str) -> Result<Notification, BadNotify> {
    if body.len() > BODY_BYTES_MAX {
        return Err(BadNotify::TooLong);
    }
    let body = text(body);
    if body.is_empty() {
        return Err(BadNotify::Empty);
    }
    Ok(Notification { to, title: title_of(title), body })
}

fn title_of(text: &str) -> Arc<str> {
    clean::title(&flat(text), TITLE_CELLS_MAX).into()
}

fn text(text: &str) -> Arc<str> {
    clean::line(flat(text).trim(), CLEAN_BYTES_MAX).into()
}

/// Makes one line of several.
fn flat(text: &str) -> String {
    text.replace("\r\n", " ").replace(['\n', '\r', '\t'], " ")
}

/// `notify` to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notified {
    /// What to put into the receipt.
    pub nid: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// What it says.
    pub body: String,
    /// Who sent it.
    #[serde(default)]
    pub from: String,
}

impl Notified {
    /// Writes a notification for the wire.
    #[must_use]
    pub fn new(number: u64, from: &str, notification: &Notification) -> Self {
        Self {
            nid: format!("n{number}"),
            title: notification.title.to_string(),
            body: notification.body.to_string(),
            from: from.to_owned(),
        }
    }

    /// Returns it with every text harmless and bounded; `None` when it cannot be confirmed or says nothing.
    #[must_use]
    pub fn cleaned(self) -> Option<Self> {
        let nid = register::is_id(&self.nid).then_some(self.nid)?;
        let body = text(&self.body).to_string();
        let said = !body.is_empty();
        said.then(|| Self {
            nid,
            title: title_of(&self.title).to_string(),
            body,
            from: clean::name(&self.from),
        })
    }

    /// Returns it as the one text a client is sent that knows no notifications.
    #[must_use]
    pub fn plain(&self) -> String {
        if self.title.is_empty() { self.body.clone() } else { format!("{}: {}", self.title, self.body) }
    }

    /// How the line of one begins, as this program writes it.
    const BEGIN: &[u8] = b"{\"type\":\"notify\",";

    /// Returns the text for a client that knows no notifications, if `line` is one; for adapters, which see
    /// every line of ours.
    #[must_use]
    pub fn plain_of(line: &[u8]) -> Option<String> {
        // Most lines are none, and some are large.
        let begins = line.starts_with(Self::BEGIN);
        match begins.then(|| super::ServerMessage::decode(line)) {
            Some(Ok(super::ServerMessage::Notify(notified))) => Some(notified.plain()),
            _ => None,
        }
    }
}

/// `receipt`: the program has it; whether a person has read it is another matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The notification's.
    pub nid: String,
}

impl Receipt {
    /// Returns the number it is about, if it can be one of ours.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        let digits = self.nid.strip_prefix('n')?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
    }
}

/// `notify_result`: everybody it was for, in one of the counts below.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyResult {
    /// The notification's.
    pub nid: String,
    /// How many clients it is for.
    pub targets: usize,
    /// A receipt came.
    pub delivered: usize,
    /// The connection ended before one came.
    pub failed: usize,
    /// The client cannot be told.
    pub unsupported: usize,
    /// The client is not here.
    pub offline: usize,
    /// Handed to a client that cannot confirm.
    #[serde(default)]
    pub sent: usize,
    /// No receipt came in time.
    #[serde(default)]
    pub expired: usize,
    /// Not decided yet; in the last result this is 0.
    #[serde(default)]
    pub pending: usize,
}

impl From<&Posted> for NotifyResult {
    fn from(posted: &Posted) -> Self {
        let Tally { targets, delivered, sent, failed, unsupported, offline, expired } = posted.tally;
        let (nid, pending) = (format!("n{}", posted.number), posted.tally.pending());
        Self { nid, targets, delivered, failed, unsupported, offline, sent, expired, pending }
    }
}

impl NotifyResult {
    /// Returns the counts.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let Self { targets, delivered, sent, failed, unsupported, offline, expired, .. } = *self;
        Tally { targets, delivered, sent, failed, unsupported, offline, expired }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ClientMessage, ServerMessage};

    fn checked(json: &str) -> Result<Notification, BadNotify> {
        let Ok(ClientMessage::Notify(notify)) = ClientMessage::decode(json.as_bytes()) else {
            panic!("{json}")
        };
        notify.check()
    }

    #[test]
    fn the_messages_are_byte_for_byte() {
        let notify = |to| ClientMessage::Notify(Box::new(Notify { to, title: None, body: "tea".into() }));
        let tag = Tags(vec![("role".into(), "ci".into())]);
        for (message, line) in [
            (
                notify(To { user: Some("ada".into()), ..To::default() }),
                r#"{"type":"notify","to":{"user":"ada"},"body":"tea"}"#,
            ),
            (
                notify(To { id: Some("k3".into()), ..To::default() }),
                r#"{"type":"notify","to":{"id":"k3"},"body":"tea"}"#,
            ),
            (
                notify(To { tag, ..To::default() }),
                r#"{"type":"notify","to":{"tag":{"role":"ci"}},"body":"tea"}"#,
            ),
            (
                notify(To { all: true, ..To::default() }),
                r#"{"type":"notify","to":{"all":true},"body":"tea"}"#,
            ),
            (ClientMessage::Receipt(Receipt { nid: "n17".into() }), r#"{"type":"receipt","nid":"n17"}"#),
        ] {
            assert_eq!(message.encode(), format!("{line}\n").as_bytes());
            assert_eq!(ClientMessage::decode(line.as_bytes()).unwrap().encode(), message.encode());
        }
        let tea = notification(Target::All, "Break", "tea at five").unwrap();
        let tally = Tally { targets: 5, delivered: 3, failed: 1, unsupported: 1, ..Tally::default() };
        let posted = Posted { number: 17, from: "ops".into(), subject: "Break".into(), tally };
        for (message, line) in [
            (
                ServerMessage::Notify(Box::new(Notified::new(17, "ops", &tea))),
                r#"{"type":"notify","nid":"n17","title":"Break","body":"tea at five","from":"ops"}"#,
            ),
            (
                ServerMessage::NotifyResult((&posted).into()),
                r#"{"type":"notify_result","nid":"n17","targets":5,"delivered":3,"failed":1,"unsupported":1,"offline":0,"sent":0,"expired":0,"pending":0}"#,
            ),
        ] {
            assert_eq!(message.encode(), format!("{line}\n").as_bytes());
            assert_eq!(ServerMessage::decode(line.as_bytes()).unwrap().encode(), message.encode());
        }
        let old = br#"{"type":"notify_result","nid":"n1","targets":1,"delivered":1,"failed":0,"unsupported":0,"offline":0}"#;
        let Ok(ServerMessage::NotifyResult(result)) = ServerMessage::decode(old) else { panic!() };
        assert!(result.tally().is_complete());
    }

    #[test]
    fn it_is_for_exactly_one_kind_of_target() {
        for to in [
            "{}",
            r#"{"all":false}"#,
            r#"{"user":"ada","id":"k3"}"#,
            r#"{"user":"ada","all":true}"#,
            r#"{"tag":{}}"#,
            r#"{"tag":{"a":"b"},"id":"k3"}"#,
        ] {
            let json = format!(r#"{{"type":"notify","to":{to},"body":"x"}}"#);
            assert_eq!(checked(&json), Err(BadNotify::To), "{to}");
        }
        for line in [
            r#"{"type":"notify","body":"x"}"#,
            r#"{"type":"notify","to":"all","body":"x"}"#,
            r#"{"type":"notify","to":{"all":1},"body":"x"}"#,
            r#"{"type":"notify","to":{"all":true}}"#,
            r#"{"type":"notify","to":{"user":"a","user":"b"},"body":"x"}"#,
            r#"{"type":"notify","to":{"tag":{"a":"1","a":"2"}},"body":"x"}"#,
            r#"{"type":"receipt"}"#,
        ] {
            assert!(ClientMessage::decode(line.as_bytes()).is_err(), "{line}");
        }
        let found = checked(r#"{"type":"notify","to":{"user":" ada "},"body":"x","new":1}"#).unwrap();
        assert_eq!(found.to, Target::User("ada".into()), "as it is cleaned in a register");
    }

    #[test]
    fn texts_are_bounded_and_harmless_and_of_one_line() {
        let of = |title: &str, body: &str| notification(Target::All, title, body);
        assert_eq!(of("", " \n "), Err(BadNotify::Empty));
        assert_eq!(of("", &"x".repeat(BODY_BYTES_MAX + 1)), Err(BadNotify::TooLong));
        assert_eq!(of("", &"x".repeat(BODY_BYTES_MAX)).unwrap().body.len(), BODY_BYTES_MAX);
        let hostile = of(&format!("\u{1b}[2J{}", "日".repeat(99)), "a\r\nb\u{202e}\u{7}c").unwrap();
        assert_eq!(&*hostile.body, "a b\u{fffd}\u{fffd}c");
        assert!(hostile.title.starts_with("\u{fffd}[2J") && hostile.title.chars().count() <= 4 + 30);
        let worst = of(&"\"".repeat(500), &"\u{1}".repeat(BODY_BYTES_MAX)).unwrap();
        assert_eq!(worst.body.chars().count(), BODY_BYTES_MAX, "nothing of it is cut");
        let line =
            ServerMessage::Notify(Box::new(Notified::new(u64::MAX, &"\"".repeat(64), &worst))).encode();
        assert!(line.len() < 8 * 1024, "{}", line.len());
    }

    #[test]
    fn what_a_server_sends_is_cleaned_as_well() {
        let from = |nid: &str, body: &str| {
            Notified { nid: nid.into(), title: "\u{9b}".into(), body: body.into(), from: "a\u{7}".into() }
                .cleaned()
        };
        let fine = from("n1", &"\u{1b}".repeat(5_000)).unwrap();
        assert!(fine.body.len() <= CLEAN_BYTES_MAX && !fine.body.contains('\u{1b}'));
        assert_eq!((&*fine.title, &*fine.from), ("\u{fffd}", "a\u{fffd}"));
        assert_eq!(from("", "x"), None);
        assert_eq!(from("n 1", "x"), None, "what could not stand in a receipt");
        assert_eq!(from("n1", "\n"), None);
    }

    #[test]
    fn a_receipt_is_for_a_number_of_ours() {
        let number = |nid: &str| Receipt { nid: nid.to_owned() }.number();
        assert_eq!(number("n17"), Some(17));
        for nid in ["", "n", "17", "n-1", "n+1", "n1x", "n99999999999999999999", "N1"] {
            assert_eq!(number(nid), None, "{nid}");
        }
    }

    #[test]
    fn other_dialects_get_title_and_text() {
        let line = |title, body| {
            let it = notification(Target::All, title, body).unwrap();
            ServerMessage::Notify(Box::new(Notified::new(1, "hq", &it))).encode()
        };
        assert_eq!(Notified::plain_of(&line("Break", "tea")).as_deref(), Some("Break: tea"));
        assert_eq!(Notified::plain_of(&line("", "tea")).as_deref(), Some("tea"));
        assert_eq!(Notified::plain_of(b"{\"type\":\"pong\"}\n"), None);
        assert_eq!(Notified::plain_of(b"{\"type\":\"notify\",\n"), None);
    }
}
