//! netsync: bare JSON values with nothing between them, split where one value ends and the next begins.

use std::ops::ControlFlow;

use bytes::{Buf, BytesMut};
use serde::Deserialize;
use thiserror::Error;

/// The largest value that is taken.
pub const VALUE_BYTES_MAX: usize = 8 * 1024;
/// How deep a value may nest.
pub const DEPTH_MAX: usize = 32;
/// What the server says to be answered.
pub const PING: &[u8] = b"\"Ping\"";

/// Why a stream cannot be split any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SplitError {
    /// A value is larger than [`VALUE_BYTES_MAX`].
    #[error("a value is larger than {VALUE_BYTES_MAX} bytes")]
    TooLong,
    /// A value nests deeper than [`DEPTH_MAX`].
    #[error("a value nests deeper than {DEPTH_MAX}")]
    TooDeep,
    /// A byte that begins no value stands where one should begin.
    #[error("there is no JSON value where one should begin")]
    NoValue,
}

/// Finds the ends of values in a stream that comes in pieces.
///
/// It looks at every byte once and knows no more of JSON than brackets, quotes
/// and words; whether what it cuts out is JSON is for a parser to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Splitter {
    /// How much of the buffer has been looked at.
    scanned: usize,
    depth: usize,
    text: bool,
    escaped: bool,
}

impl Splitter {
    /// Returns how many bytes more `buffer` may take before the next look at it.
    #[must_use]
    pub fn room(&self, buffer: &BytesMut) -> usize {
        // One more than fits, so that what is too long is seen to be.
        (VALUE_BYTES_MAX + 1).saturating_sub(buffer.len())
    }

    /// Takes the next whole value out of the buffer, blank space before it gone.
    ///
    /// # Errors
    /// The stream is not one of values, or not of reasonable ones; nothing after that can be trusted.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<BytesMut>, SplitError> {
        if self.scanned == 0 {
            let blanks = buffer.iter().take_while(|b| b.is_ascii_whitespace()).count();
            buffer.advance(blanks);
        }
        while let Some(&byte) = buffer.get(self.scanned) {
            if let ControlFlow::Break(length) = self.look(byte)? {
                if length > VALUE_BYTES_MAX {
                    return Err(SplitError::TooLong);
                }
                *self = Self::default();
                return Ok(Some(buffer.split_to(length)));
            }
        }
        if self.scanned > VALUE_BYTES_MAX { Err(SplitError::TooLong) } else { Ok(None) }
    }

    /// Looks at one byte; breaks with the length of the value when it ends there.
    fn look(&mut self, byte: u8) -> Result<ControlFlow<usize>, SplitError> {
        let (at, begun) = (self.scanned, self.scanned > 0);
        let word = begun && self.depth == 0 && !self.text;
        if word && !is_word(byte) {
            // A number or a word has no end of its own: the next thing ends it.
            return Ok(ControlFlow::Break(at));
        }
        self.scanned += 1;
        if self.text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.text = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => self.text = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.checked_sub(1).ok_or(SplitError::NoValue)?,
                _ if self.depth == 0 && !is_word(byte) => return Err(SplitError::NoValue),
                _ => {}
            }
            if self.depth > DEPTH_MAX {
                return Err(SplitError::TooDeep);
            }
        }
        let closed = matches!(byte, b'"' | b'}' | b']') && self.depth == 0 && !self.text;
        Ok(if closed { ControlFlow::Break(self.scanned) } else { ControlFlow::Continue(()) })
    }
}

/// Tells whether a byte can be part of a number, `true`, `false` or `null`.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)
}

/// Writes a text as the value a client takes for a message.
#[must_use]
pub fn custom(text: &str) -> Vec<u8> {
    // A text in an object cannot fail to be written.
    serde_json::to_vec(&serde_json::json!({ "Custom": { "data": text } })).unwrap_or_default()
}

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Who it is.
    Identify {
        /// What it is called.
        hostname: String,
    },
    /// The answer to a ping.
    Pong,
    /// Anything else that is JSON: a sign of life and nothing more.
    Other,
    /// Not JSON, or an `Identify` without a host name.
    Broken,
}

/// Reads one value.
#[must_use]
pub fn read(value: &[u8]) -> Value {
    #[derive(Deserialize)]
    struct Known {
        #[serde(rename = "Identify")]
        identify: Option<Identify>,
        #[serde(rename = "Custom")]
        custom: Option<Custom>,
    }
    #[derive(Deserialize)]
    struct Identify {
        hostname: String,
    }
    #[derive(Deserialize)]
    struct Custom {
        data: serde_json::Value,
    }
    let Ok(value) = str::from_utf8(value) else { return Value::Broken };
    match serde_json::from_str::<Known>(value) {
        Ok(Known { identify: Some(Identify { hostname }), .. }) => Value::Identify { hostname },
        Ok(Known { custom: Some(custom), .. }) if custom.data == "PONG" => Value::Pong,
        Ok(_) => Value::Other,
        // The splitter has bounded how deep this goes.
        Err(_) => match serde_json::from_str::<serde_json::Value>(value) {
            Ok(json) if json.get("Identify").is_none() => Value::Other,
            _ => Value::Broken,
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `pieces` as a connection does: never more than there is room for.
    fn split(pieces: &[&[u8]]) -> (Vec<String>, Option<SplitError>) {
        let (mut splitter, mut buffer) = (Splitter::default(), BytesMut::new());
        let mut values = Vec::new();
        for piece in pieces {
            let mut piece = *piece;
            while !piece.is_empty() {
                let (now, rest) = piece.split_at(splitter.room(&buffer).min(piece.len()));
                assert!(!now.is_empty(), "a buffer without a value must have room");
                buffer.extend_from_slice(now);
                assert!(buffer.len() <= VALUE_BYTES_MAX + 1);
                piece = rest;
                loop {
                    match splitter.next(&mut buffer) {
                        Ok(Some(value)) => values.push(String::from_utf8_lossy(&value).into_owned()),
                        Ok(None) => break,
                        Err(error) => return (values, Some(error)),
                    }
                }
            }
        }
        (values, None)
    }

    #[test]
    fn values_are_split_glued_spaced_or_nested() {
        let stream = br#"{"Identify":{"hostname":"a}\"]{\\"}}"Ping" "P\"i{ng\\"
            [1,{"a":[]}]{"Custom":{"data":"PONG"}}true{}null 12.5e-3[]"#;
        let expected = [
            r#"{"Identify":{"hostname":"a}\"]{\\"}}"#,
            r#""Ping""#,
            r#""P\"i{ng\\""#,
            r#"[1,{"a":[]}]"#,
            r#"{"Custom":{"data":"PONG"}}"#,
            "true",
            "{}",
            "null",
            "12.5e-3",
            "[]",
        ];
        assert_eq!(split(&[stream]), (expected.map(str::to_owned).to_vec(), None));
        assert_eq!(split(&[b"\"\"\"\""]), (vec!["\"\"".to_owned(); 2], None));
        assert_eq!(split(&[b" \r\n ", b"\"x"]), (vec![], None));
    }

    #[test]
    fn what_is_too_long_too_deep_or_nothing_is_refused() {
        let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
        assert_eq!(split(&[text(VALUE_BYTES_MAX).as_bytes()]).0.len(), 1);
        assert_eq!(split(&[text(VALUE_BYTES_MAX + 1).as_bytes()]).1, Some(SplitError::TooLong));
        assert_eq!(split(&[b"[", &vec![b'x'; 1_000_000]]).1, Some(SplitError::TooLong));
        assert_eq!(split(&[&[b'1'; 9_000]]).1, Some(SplitError::TooLong));
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(split(&[nested(DEPTH_MAX).as_bytes()]).0.len(), 1);
        assert_eq!(split(&[nested(DEPTH_MAX + 1).as_bytes()]).1, Some(SplitError::TooDeep));
        for wrong in [&b"}"[..], b"]", b",", b":1", b"\x00", b"\xff", b"{}}"] {
            assert_eq!(split(&[wrong]).1, Some(SplitError::NoValue), "{wrong:?}");
        }
        assert_eq!(split(&[&vec![b' '; 100_000]]), (vec![], None), "blank space is nothing to keep");
    }

    #[test]
    fn values_are_what_they_say() {
        let hostname = "bench-1".to_owned();
        assert_eq!(
            read(br#"{"Identify":{"hostname":"bench-1"}}"#),
            Value::Identify { hostname: hostname.clone() }
        );
        assert_eq!(
            read(br#"{"Identify":{"os":1,"hostname":"bench-1"},"v":2}"#),
            Value::Identify { hostname }
        );
        assert_eq!(read(br#"{ "Custom" : { "data" : "PONG" } }"#), Value::Pong);
        for other in
            [&br#""Ping""#[..], b"1", b"[]", b"{}", br#"{"Custom":{"data":["PONG"]}}"#, br#"{"Custom":1}"#]
        {
            assert_eq!(read(other), Value::Other, "{}", String::from_utf8_lossy(other));
        }
        for broken in
            [&b"{]"[..], b"truefalse", br#"{"Identify":{}}"#, br#"{"Identify":7}"#, b"\"\xff\"", b"1.2.3"]
        {
            assert_eq!(read(broken), Value::Broken, "{}", String::from_utf8_lossy(broken));
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::{Value, json};
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
            Just(json!({"Custom": {"data": "PONG"}})),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::hash_map("[a-z\"\\\\{}]{0,6}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_split_of_any_values_yields_the_same_values(
            values in proptest::collection::vec((json(), "[ \r\n\t]{0,3}"), 1..8),
            cuts in proptest::collection::vec(0usize..2_000, 0..30),
        ) {
            let (mut stream, mut expected) = (String::new(), Vec::new());
            for (value, blanks) in &values {
                let text = value.to_string();
                // Only words and numbers need something between them.
                let worded = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
                if stream.ends_with(worded) && text.starts_with(worded) {
                    stream.push(' ');
                }
                stream.push_str(&text);
                stream.push_str(blanks);
                expected.push(text);
            }
            stream.push('\n'); // So that a number at the end has one.
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(stream.len())).collect();
            cuts.sort_unstable();
            let (mut pieces, mut from) = (Vec::new(), 0);
            for cut in cuts {
                pieces.push(&stream.as_bytes()[from..cut]);
                from = cut;
            }
            pieces.push(&stream.as_bytes()[from..]);
            prop_assert_eq!(split(&pieces), (expected, None));
        }

        #[test]
        fn any_bytes_split_the_same_however_they_are_cut(
            stream in proptest::collection::vec(prop_oneof![
                Just(b'{'), Just(b'}'), Just(b'['), Just(b']'), Just(b'"'), Just(b'\\'), Just(b' '), any::<u8>()
            ], 0..300),
            at in 0usize..300,
        ) {
            let (a, b) = stream.split_at(at.min(stream.len()));
            prop_assert_eq!(split(&[&stream]), split(&[a, b]));
        }
    }
}
