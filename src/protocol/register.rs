//! The first line of a conversation: as it is sent, and as it is trusted after a check.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, de};
use thiserror::Error;

use super::{ClientMessage, clean};
use crate::presence::row::{Claim, Identity, Profile, Tag};

/// The longest host name DNS allows, and so the longest address claim.
const CLAIM_BYTES_MAX: usize = 253;
/// The longest identity a client may choose.
const ID_BYTES_MAX: usize = 64;
/// The longest resume secret or token.
const SECRET_BYTES_MAX: usize = 256;
/// How many tags one client may carry.
const TAGS_MAX: usize = 16;

/// `register` as it travels.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Register {
    /// The address the client claims.
    pub client_ip: String,
    /// The port the client claims.
    pub client_port: u16,
    /// Protocol version; absent in a legacy client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub v: Option<u32>,
    /// Identity, stable across restarts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Which life of this identity: grows with every process start.
    #[serde(rename = "gen", skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Which connection attempt of this life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conn: Option<u64>,
    /// What to call the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The person it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Which of the person's devices it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Operating system and architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// What it asks for beyond heartbeats: `roster`, `notify`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub want: Vec<String>,
    /// The secret of the last welcome, to take over a connection the server still believes in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
    /// The token that lets it in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Labels as a JSON object; the same key twice is refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tags(pub Vec<(String, String)>);

impl Tags {
    /// Tells whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks and cleans the labels, and sorts them by key.
    fn check(self) -> Result<Vec<Tag>, Invalid> {
        if self.0.len() > TAGS_MAX {
            return Err(Invalid::TooManyTags);
        }
        let mut tags: Vec<_> = self
            .0
            .into_iter()
            .map(|(key, value)| (clean::name(&key).into(), clean::name(&value).into()))
            .collect();
        tags.sort_unstable();
        Ok(tags)
    }
}

impl Serialize for Tags {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> de::Visitor<'de> for Pairs {
            type Value = Tags;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of texts")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Tags, A::Error> {
                let mut pairs: Vec<(String, String)> = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    if pairs.iter().any(|(known, _)| *known == key) {
                        return Err(de::Error::custom("a tag is given twice"));
                    }
                    pairs.push((key, value));
                }
                Ok(Tags(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// A `register` that was checked: every text clean and bounded, every number in range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The claimed address.
    pub claim: Claim,
    /// Protocol version; 0 for a legacy client.
    pub version: u8,
    /// Who it says it is; `None` for a legacy client, and for a v1 client that leaves the choice to the server.
    pub identity: Option<Identity>,
    /// What it tells about itself.
    pub profile: Profile,
    /// Whether it asked for the roster.
    pub wants_roster: bool,
    /// Whether it wants to send notifications.
    pub wants_notify: bool,
    /// The secret of its last welcome.
    pub resume: Option<Arc<str>>,
    /// The token that is to let it in, as it was sent.
    pub token: Option<Arc<str>>,
}

/// What is wrong with a `register` or an `update` that is otherwise well-formed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Invalid {
    /// `client_ip` is neither an address nor a host name.
    #[error("client_ip must be an IP address or a host name of at most 253 characters")]
    ClaimedIp,
    /// `id` is empty, too long, or has characters that are not allowed.
    #[error("id must have 1 to 64 characters of A-Z a-z 0-9 . _ : @ -")]
    Id,
    /// `v` is a version that never was.
    #[error("protocol version {0} is not spoken here (this server speaks 1)")]
    Version(u32),
    /// More labels than allowed.
    #[error("at most 16 tags are allowed")]
    TooManyTags,
    /// `resume` or `token` is too long.
    #[error("resume and token have at most 256 characters")]
    SecretTooLong,
}

impl Register {
    /// Checks every field; only what passes is ever shown, logged or relayed.
    ///
    /// # Errors
    /// The first field that breaks its rule.
    pub fn check(self) -> Result<Registration, Invalid> {
        if !is_host(&self.client_ip) {
            return Err(Invalid::ClaimedIp);
        }
        if self.v == Some(0) {
            return Err(Invalid::Version(0));
        }
        let secrets = [&self.resume, &self.token];
        if secrets.into_iter().flatten().any(|secret| secret.len() > SECRET_BYTES_MAX) {
            return Err(Invalid::SecretTooLong);
        }
        let identity = match self.id {
            None => None,
            Some(id) if is_id(&id) => Some(Identity {
                id: id.into(),
                generation: self.generation.unwrap_or(0),
                attempt: self.conn.unwrap_or(0),
            }),
            Some(_) => return Err(Invalid::Id),
        };
        Ok(Registration {
            claim: Claim { ip: self.client_ip.into(), port: self.client_port },
            // A newer client is answered in the newest version spoken here.
            version: if self.v.is_some() { super::VERSION } else { 0 },
            identity,
            profile: Profile {
                name: cleaned(self.name),
                user: cleaned(self.user),
                device: cleaned(self.device),
                platform: cleaned(self.platform),
                tags: self.tags.check()?,
            },
            wants_roster: self.want.iter().any(|want| want == "roster"),
            wants_notify: self.want.iter().any(|want| want == "notify"),
            resume: self.resume.map(Into::into),
            token: self.token.map(Into::into),
        })
    }
}

/// Writes the `register` line of a client that does not know how to; `name` is what it is called, if anything.
///
/// A port of 0 claims nothing. The same name from the same address finds its
/// old row again, as the same claim does.
#[must_use]
pub fn in_place_of(name: Option<&str>, peer: SocketAddr) -> Vec<u8> {
    let ip = name.filter(|name| is_host(name)).map_or_else(|| peer.ip().to_string(), str::to_owned);
    let register = Register {
        client_ip: ip,
        client_port: if name.is_some() { 0 } else { peer.port() },
        name: name.map(str::to_owned),
        ..Register::default()
    };
    ClientMessage::Register(Box::new(register)).encode()
}

/// Cleans labels that came in an `update`.
pub(super) fn checked_tags(tags: Tags) -> Result<Vec<Tag>, Invalid> {
    tags.check()
}

/// Cleans an optional name; one that is blank counts as none.
pub(super) fn cleaned(text: Option<String>) -> Option<Arc<str>> {
    text.map(|text| clean::name(&text)).filter(|text| !text.is_empty()).map(Into::into)
}

fn is_host(text: &str) -> bool {
    (1..=CLAIM_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".:-_%[]".contains(&b))
}

/// Tells whether a text may be an identity; `~` is left to the server's own names for legacy clients.
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:@-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(json: &str) -> Result<Register, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn a_legacy_register_is_a_claim_and_nothing_else() {
        let legacy =
            register(r#"{"client_ip":"192.168.1.100","client_port":3000}"#).unwrap().check().unwrap();
        assert_eq!(legacy.claim.to_string(), "192.168.1.100:3000");
        assert_eq!((legacy.version, legacy.identity, legacy.wants_roster), (0, None, false));
        assert_eq!(legacy.profile, Profile::default());
    }

    #[test]
    fn a_port_is_never_bent_into_range() {
        for port in ["70000", "-1", "1.5", "1.0", "null", "\"1\"", "65536", "1e3"] {
            assert!(register(&format!(r#"{{"client_ip":"h","client_port":{port}}}"#)).is_err(), "{port}");
        }
        assert!(register(r#"{"client_ip":"h","client_port":65535}"#).is_ok());
    }

    #[test]
    fn the_same_key_twice_is_refused() {
        assert!(register(r#"{"client_ip":"h","client_port":1,"client_port":2}"#).is_err());
        assert!(register(r#"{"client_ip":"h","client_port":1,"tags":{"a":"1","a":"2"}}"#).is_err());
    }

    #[test]
    fn claims_ids_and_versions_are_checked() {
        let base = Register { client_ip: "h".into(), ..Register::default() };
        for ip in ["", "a b", "a\n", "ä", "a/b", &"x".repeat(254)] {
            let it = Register { client_ip: ip.to_owned(), ..base.clone() };
            assert_eq!(it.check(), Err(Invalid::ClaimedIp), "{ip:?}");
        }
        for ip in ["::1", "fe80::1%eth0", "[::1]", "a-b_c.example", "10.0.0.1"] {
            let it = Register { client_ip: ip.to_owned(), ..base.clone() };
            assert!(it.check().is_ok(), "{ip}");
        }
        for id in ["", "~1", "a b", &"x".repeat(65)] {
            let it = Register { id: Some(id.to_owned()), ..base.clone() };
            assert_eq!(it.check(), Err(Invalid::Id), "{id:?}");
        }
        assert_eq!(Register { v: Some(0), ..base.clone() }.check(), Err(Invalid::Version(0)));
        assert_eq!(Register { v: Some(7), ..base }.check().unwrap().version, 1);
    }

    #[test]
    fn names_are_cleaned_and_blank_ones_are_none() {
        let it = Register {
            client_ip: "h".into(),
            name: Some("evil\x1b[2J".into()),
            user: Some("  ".into()),
            ..Register::default()
        };
        let profile = it.check().unwrap().profile;
        assert_eq!(profile.name.as_deref(), Some("evil\u{fffd}[2J"));
        assert_eq!(profile.user, None);
    }
}
