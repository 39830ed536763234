//! One value: as it was written, how it is read, and how it is written back as TOML.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::net::addr::{AddrError, ServerAddr};
use crate::presence::span;
use crate::presence::view::Sort;
use crate::presence::{Dialect, Dialects};

/// The longest name, user, device, tag or identity, in bytes; what the wire keeps.
const NAME_BYTES_MAX: usize = 64;
/// How many tags a client may carry.
const TAGS_MAX: usize = 16;
/// How much of a bad value an error shows, in characters.
const SHOWN_MAX: usize = 250;

/// What a level in a log filter may be.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A value as it was written, before anybody knows what it should be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Written {
    /// From a flag or the environment: text that may mean anything.
    Plain(String),
    /// A TOML string.
    Text(String),
    /// A TOML integer.
    Integer(i64),
    /// A TOML float.
    Float(f64),
    /// A TOML boolean.
    Bool(bool),
    /// A TOML array, or a flag that was given several times.
    List(Vec<Self>),
    /// A TOML table.
    Table(Vec<(String, Self)>),
    /// Something no setting takes, such as a date, as it would be shown.
    Other(String),
}

/// Shows a value in an error, short and on one line.
impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) if !text.trim().is_empty() => f.write_str(&shown(text)),
            Self::Plain(text) | Self::Text(text) => write!(f, "\"{}\"", shown(text)),
            Self::Integer(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Bool(yes) => yes.fmt(f),
            Self::List(items) => match items.as_slice() {
                [only @ Self::Plain(_)] => only.fmt(f),
                _ => f.write_str("a list"),
            },
            Self::Table(_) => f.write_str("a table"),
            Self::Other(text) => f.write_str(&shown(text)),
        }
    }
}

/// Makes a text fit for a message: no control characters, not too long.
pub(super) fn shown(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().take(SHOWN_MAX) {
        match c {
            '"' | '\'' | '\\' => out.push(c),
            c => out.extend(c.escape_debug()),
        }
    }
    if text.chars().nth(SHOWN_MAX).is_some() {
        out.push_str("...");
    }
    out
}

/// Returns the candidate that `word` was probably meant to be.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Ends an error with the nearest known word, or with all of them.
fn or_else_one_of(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("one of {}", known.join(", ")),
    }
}

/// Reads a whole number in a range.
pub(super) fn number(written: &Written, what: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    let read = match written {
        Written::Plain(text) => text.trim().parse().ok(),
        Written::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    read.filter(|number| range.contains(number)).ok_or_else(|| {
        let unquoted = if matches!(written, Written::Text(_)) { ", without quotes" } else { "" };
        format!("{written} is not {what} ({} to {}{unquoted})", range.start(), range.end())
    })
}

/// Reads a whole number that is a count of something.
pub(super) fn count(written: &Written, what: &str, range: RangeInclusive<u64>) -> Result<usize, String> {
    let number = number(written, what, range)?;
    usize::try_from(number).map_err(|_| format!("{number} is too large for this machine"))
}

/// Reads a port.
pub(super) fn port(written: &Written) -> Result<u16, String> {
    let port = number(written, "a port", 0..=u64::from(u16::MAX))?;
    u16::try_from(port).map_err(|_| format!("{port} is not a port (0 to 65535)"))
}

/// Reads a duration: a number of seconds, or text such as `500ms` or `2m30s`.
pub(super) fn duration(written: &Written) -> Result<Duration, String> {
    let read = match written {
        Written::Plain(text) | Written::Text(text) => span::parse(text),
        Written::Integer(number) => span::parse(&number.to_string()),
        Written::Float(number) => span::seconds(*number),
        _ => Err(span::SpanError),
    };
    read.map_err(|error| format!("{written} is {error}"))
}

/// Reads a yes or no.
pub(super) fn boolean(written: &Written) -> Result<bool, String> {
    match written {
        Written::Bool(yes) => Some(*yes),
        Written::Plain(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
    .ok_or_else(|| {
        let unquoted = if matches!(written, Written::Text(_)) { " (write it without quotes)" } else { "" };
        format!("{written} is neither true nor false{unquoted}")
    })
}

/// Reads any text that is not blank.
pub(super) fn text<'a>(written: &'a Written, what: &str) -> Result<&'a str, String> {
    match written {
        Written::Plain(text) | Written::Text(text) if !text.trim().is_empty() => Ok(text.trim()),
        Written::Plain(_) | Written::Text(_) => Err(format!("{written} is not {what} (it is blank)")),
        _ => Err(format!("{written} is not {what} (write it in quotes)")),
    }
}

/// Reads a short text of one line.
pub(super) fn name(written: &Written, what: &str) -> Result<String, String> {
    let text = text(written, what)?;
    if text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(format!("{written} is not {what} (1 to {NAME_BYTES_MAX} bytes on one line)"));
    }
    Ok(text.to_owned())
}

/// Reads an identity.
pub(super) fn identity(written: &Written) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:@-".contains(&b);
    let rule = "1 to 64 characters of A-Z a-z 0-9 . _ : @ -";
    let text = text(written, "an id")?;
    if text.len() > NAME_BYTES_MAX || !text.bytes().all(allowed) {
        return Err(format!("{written} is not an id ({rule})"));
    }
    Ok(text.to_owned())
}

/// Reads the address to listen on.
pub(super) fn host(written: &Written) -> Result<IpAddr, String> {
    let text = text(written, "an address")?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| {
        format!(
            "{written} is not an IPv4 or IPv6 address (try 0.0.0.0 for every network, 127.0.0.1 for this machine only)"
        )
    })
}

/// Reads an IP address with a port.
pub(super) fn socket(written: &Written) -> Result<SocketAddr, String> {
    let text = text(written, "an address with a port")?;
    text.parse().map_err(|_| {
        format!("{written} is not an address with a port (such as 192.0.2.7:3000 or [2001:db8::7]:3000)")
    })
}

/// Reads the address of a server.
pub(super) fn address(written: &Written) -> Result<ServerAddr, String> {
    text(written, "the address of a server")?.parse().map_err(|error: AddrError| error.to_string())
}

/// Reads the column to sort by.
pub(super) fn sort(written: &Written) -> Result<Sort, String> {
    let text = text(written, "a column to sort by")?;
    Sort::from_word(text).ok_or_else(|| {
        let words = Sort::WORDS.map(|(word, _)| word);
        format!("{written} is not a column to sort by ({})", or_else_one_of(text, &words))
    })
}

/// Reads a log level, or a filter made of parts such as `presence_tui=debug`.
pub(super) fn level(written: &Written) -> Result<String, String> {
    let text = text(written, "a log level")?;
    for part in text.split(',').map(str::trim) {
        let word = part.to_ascii_lowercase();
        // A lone word that is no level would be taken for a module and silence everything else.
        if !part.contains('=') && !LEVELS.contains(&word.as_str()) {
            return Err(format!("{written} is not a log level ({})", or_else_one_of(&word, &LEVELS)));
        }
    }
    Ok(text.to_owned())
}

/// Reads a list of words; a flag or variable separates them by commas.
pub(super) fn words(written: &Written) -> Result<Vec<String>, String> {
    match written {
        Written::Plain(text) => {
            Ok(text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect())
        }
        Written::List(items) => items.iter().map(|item| name(item, "a word")).collect(),
        _ => Err(format!("{written} is not a list (such as [\"name\", \"rtt\"])")),
    }
}

/// Reads which dialects are answered; at least one.
pub(super) fn dialects(written: &Written) -> Result<Dialects, String> {
    let known = Dialect::ALL.map(Dialect::word);
    let mut read = Dialects::none();
    for word in words(written)? {
        let dialect = Dialect::from_word(&word).ok_or_else(|| {
            format!("{} is not a dialect ({})", shown(&word), or_else_one_of(&word, &known))
        })?;
        read = read.with(dialect);
    }
    if read == Dialects::none() {
        return Err(format!("{written} answers nobody (some of {})", known.join(", ")));
    }
    Ok(read)
}

/// Reads labels: a table of texts, or `k=v` texts.
pub(super) fn tags(written: &Written) -> Result<Vec<(String, String)>, String> {
    let read: Vec<_> = match written {
        Written::Table(pairs) => pairs
            .iter()
            .map(|(key, value)| tag(key, value).map_err(|error| format!("{}: {error}", shown(key))))
            .collect::<Result<_, _>>()?,
        Written::Plain(text) => {
            text.split(',').filter(|pair| !pair.trim().is_empty()).map(pair).collect::<Result<_, _>>()?
        }
        Written::List(items) if items.iter().all(|item| matches!(item, Written::Plain(_))) => {
            items.iter().map(|item| text(item, "a tag").and_then(pair)).collect::<Result<_, _>>()?
        }
        _ => return Err(format!("{written} is not a table of tags (such as {{ role = \"ci\" }})")),
    };
    if read.len() > TAGS_MAX {
        return Err(format!("{} tags are too many (at most {TAGS_MAX})", read.len()));
    }
    let twice = read.iter().enumerate().find(|(at, (key, _))| read.iter().take(*at).any(|(k, _)| k == key));
    match twice {
        Some((_, (key, _))) => Err(format!("the tag {} is given twice", shown(key))),
        None => Ok(read),
    }
}

/// Splits `k=v`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.trim().split_once('=') {
        Some((key, value)) => tag(key, &Written::Plain(value.to_owned())),
        None => Err(format!("{} is not a tag (write KEY=VALUE, such as role=ci)", shown(text))),
    }
}

fn tag(key: &str, value: &Written) -> Result<(String, String), String> {
    let key = name(&Written::Plain(key.to_owned()), "the key of a tag")?;
    Ok((key, name(value, "the value of a tag")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_told_from_a_mistyped_level() {
        for fine in
            ["info", "WARN", "off", "info,presence_tui=debug", "presence_tui::server=trace", "[span]=info"]
        {
            assert!(level(&Written::Text(fine.to_owned())).is_ok(), "{fine}");
        }
        for wrong in ["", "inof", "info,debgu", "info,,warn"] {
            assert!(level(&Written::Text(wrong.to_owned())).is_err(), "{wrong}");
        }
    }

    #[test]
    fn dialects_are_known_words_and_at_least_one() {
        let written = |text: &str| Written::Plain(text.to_owned());
        let some = Dialects::none().with(Dialect::Presence).with(Dialect::Http);
        assert_eq!(dialects(&written("http, presence")), Ok(some));
        assert!(dialects(&written("htpp")).unwrap_err().contains("did you mean http?"));
        assert!(dialects(&written("")).unwrap_err().contains("answers nobody"));
        assert!(dialects(&Written::Bool(true)).is_err());
    }

    #[test]
    fn the_nearest_word_is_only_offered_when_it_is_near() {
        assert_eq!(nearest("prot", ["port", "host"]), Some("port"));
        assert_eq!(nearest("zebra", ["port", "host"]), None);
    }
}
