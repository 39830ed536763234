//! What stands behind the `?` of a request.

use std::ops::RangeInclusive;

use crate::presence::State;
use crate::presence::view::{Sort, Window};
use crate::protocol::clean;
use crate::protocol::websocket::decoded;
use crate::server::ledger::Shelf;

/// How many rows one answer has at most.
const LIMIT_MAX: usize = 1_000;
/// How many it has unless told otherwise.
const LIMIT_DEFAULT: usize = 100;
/// How much of a wrong value is repeated.
const SHOWN_BYTES_MAX: usize = 64;

/// Which clients are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Clients {
    /// These rows.
    Rows(Window),
    /// The last departures.
    Departed(Shelf),
}

/// Reads `state=&user=&sort=&limit=&offset=`.
///
/// # Errors
/// A sentence about the first parameter that is unknown, given twice or wrong.
pub(super) fn clients(query: &str) -> Result<Clients, String> {
    let (mut states, mut user, mut sort) = (None, None, None);
    let (mut limit, mut offset) = (None, None);
    for (name, value) in pairs(query) {
        let twice = match &*name {
            "state" => states.replace(value).is_some(),
            "user" => user.replace(value).is_some(),
            "sort" => sort.replace(value).is_some(),
            "limit" => limit.replace(value).is_some(),
            "offset" => offset.replace(value).is_some(),
            _ => return Err(format!("{} is none of state, user, sort, limit, offset", shown(&name))),
        };
        if twice {
            return Err(format!("{name} is given twice"));
        }
    }
    let limit = number("limit", limit, LIMIT_DEFAULT, 1..=LIMIT_MAX)?;
    let offset = number("offset", offset, 0, 0..=usize::MAX)?;
    let user = user.filter(|user| !user.is_empty());
    let states = states.unwrap_or_default();
    if states == "closed" {
        return match sort {
            Some(_) => Err("departures come newest first: sort does not go with state=closed".to_owned()),
            None => Ok(Clients::Departed(Shelf { user, offset, limit })),
        };
    }
    let (sort, reversed) = order(sort.as_deref().unwrap_or_default())?;
    let states = states.split(',').filter(|word| !word.is_empty()).map(state).collect::<Result<_, _>>()?;
    Ok(Clients::Rows(Window { sort, reversed, states, user, offset, height: limit, ..Window::default() }))
}

/// Yields the parameters, decoded.
fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(&name.replace('+', " ")), decoded(&value.replace('+', " ")))
    })
}

fn state(word: &str) -> Result<State, String> {
    let known = State::ALL.map(State::word).join(", ");
    State::from_word(word).ok_or_else(|| format!("{} is no state ({known}, or closed alone)", shown(word)))
}

/// Reads a column, with `-` before it for the other way round.
fn order(text: &str) -> Result<(Sort, bool), String> {
    if text.is_empty() {
        return Ok((Sort::State, false));
    }
    let (word, reversed) = text.strip_prefix('-').map_or((text, false), |word| (word, true));
    let found = Sort::from_word(word).map(|sort| (sort, reversed));
    let known = Sort::WORDS.map(|(known, _)| known).join(", ");
    found.ok_or_else(|| format!("{} is nothing to sort by ({known}; - before it reverses)", shown(word)))
}

fn number(
    name: &str,
    text: Option<String>,
    default: usize,
    range: RangeInclusive<usize>,
) -> Result<usize, String> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(default) };
    let read = text.parse().ok().filter(|number| range.contains(number));
    read.ok_or_else(|| {
        let (start, end) = range.into_inner();
        let range = if end == usize::MAX { format!("{start} or more") } else { format!("{start} to {end}") };
        format!("{name} is a number, {range}, and not {}", shown(&text))
    })
}

fn shown(text: &str) -> String {
    clean::line(text, SHOWN_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_a_window_or_a_shelf() {
        let all = Window { height: LIMIT_DEFAULT, ..Window::default() };
        assert_eq!(clients(""), Ok(Clients::Rows(all.clone())));
        let some = Window {
            states: vec![State::Late, State::TimedOut],
            user: Some("ada b".to_owned()),
            sort: Sort::Rtt,
            reversed: true,
            height: 5,
            offset: 10,
            ..Window::default()
        };
        let query = "state=late,timed_out&user=ada+b&sort=-rtt&limit=5&offset=10";
        assert_eq!(clients(query), Ok(Clients::Rows(some)));
        assert_eq!(clients("state=&user=&sort=&limit=&offset="), Ok(Clients::Rows(all)));
        let shelf = Shelf { user: None, offset: 3, limit: 1_000 };
        assert_eq!(clients("state=closed&limit=1000&offset=3"), Ok(Clients::Departed(shelf)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (query, word) in [
            ("limit=1001", "1 to 1000"),
            ("limit=0", "1 to"),
            ("limit=-1", "not -1"),
            ("offset=x", "not x"),
            ("state=dead", "dead is no state"),
            ("state=closed,late", "closed alone"),
            ("state=closed&sort=up", "newest first"),
            ("sort=size", "nothing to sort by"),
            ("stat=late", "none of state"),
            ("user=a&user=b", "twice"),
            ("%1b%5b2J=1", "\u{fffd}[2J"),
        ] {
            let error = clients(query).unwrap_err();
            assert!(error.contains(word) && !error.contains('\x1b'), "{query}: {error}");
        }
    }
}
