//! What a message of a foreign server means: an answer, a question, or nothing. Pure.

use memchr::memmem::Finder;
use serde_json::{Map, Value};

/// The longest line of a raw stream that is compared with a pattern.
pub const LINE_BYTES_MAX: usize = 64 * 1_024;

/// What a message is compared with: its text, or `field=value` in a JSON object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
}

impl Pattern {
    /// Makes a pattern of what a person wrote.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: text.trim().to_owned() }
    }

    /// Tells whether a message is what the pattern says.
    ///
    /// Either its whole text, apart from blanks and line ends around it, or a
    /// field at the top level of a JSON object: a string without its quotes,
    /// a number, `true`, `false` or `null` as written in JSON.
    #[must_use]
    pub fn fits(&self, message: &[u8]) -> bool {
        let message = message.trim_ascii();
        if message == self.text.as_bytes() {
            return true;
        }
        let Some((field, value)) = self.text.split_once('=') else { return false };
        let (field, value) = (field.trim(), value.trim());
        if field.is_empty() || !message.starts_with(b"{") {
            return false;
        }
        let Ok(message) = str::from_utf8(message) else { return false };
        let Ok(object) = serde_json::from_str::<Map<String, Value>>(message) else { return false };
        match object.get(field) {
            Some(Value::String(text)) => text == value,
            Some(Value::Array(_) | Value::Object(_)) | None => false,
            Some(plain) => serde_json::to_string(plain).is_ok_and(|written| written == value),
        }
    }
}

/// What to do about what came in.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reaction {
    /// How often what is expected was in it.
    pub answers: usize,
    /// Which replies are called for, in order, by their place among the rules.
    pub replies: Vec<usize>,
}

/// Listens to one connection.
#[derive(Debug)]
pub struct Ears {
    expect: Option<Pattern>,
    /// What a raw stream is searched for, and the end of it that may be the beginning of the next hit.
    finder: Option<(Finder<'static>, Vec<u8>)>,
    questions: Vec<Pattern>,
    line: Vec<u8>,
    /// Set while the rest of a line that is too long is passed over.
    overlong: bool,
}

impl Ears {
    /// Listens for an answer, and for questions.
    #[must_use]
    pub fn new<'a>(expect: Option<&str>, questions: impl Iterator<Item = &'a str>) -> Self {
        let finder = expect.map(|text| (Finder::new(text).into_owned(), Vec::new()));
        Self {
            expect: expect.map(Pattern::new),
            finder,
            questions: questions.map(Pattern::new).collect(),
            line: Vec::new(),
            overlong: false,
        }
    }

    /// Takes a whole message.
    #[must_use]
    pub fn message(&self, message: &[u8]) -> Reaction {
        let answers = usize::from(self.expect.as_ref().is_some_and(|pattern| pattern.fits(message)));
        Reaction { answers, replies: self.question(message).into_iter().collect() }
    }

    /// Takes the next bytes of a raw stream, which has no messages.
    ///
    /// What is expected is looked for anywhere in the stream, however it is
    /// cut; a question is a line of it.
    #[must_use]
    pub fn bytes(&mut self, bytes: &[u8]) -> Reaction {
        let answers = self.search(bytes);
        let mut replies = Vec::new();
        if !self.questions.is_empty() {
            for piece in bytes.split_inclusive(|b| *b == b'\n') {
                self.line(piece, &mut replies);
            }
        }
        Reaction { answers, replies }
    }

    /// Counts how often what is expected ends in these bytes.
    fn search(&mut self, bytes: &[u8]) -> usize {
        let Some((finder, tail)) = &mut self.finder else { return 0 };
        let length = finder.needle().len();
        if length == 0 {
            return 0;
        }
        tail.extend_from_slice(bytes);
        let (mut hits, mut after_last) = (0, 0);
        for at in finder.find_iter(tail) {
            hits += 1;
            after_last = at + length;
        }
        // What was part of a hit is not part of another one.
        let keep_from = after_last.max(tail.len().saturating_sub(length - 1));
        tail.drain(..keep_from);
        hits
    }

    /// Takes a piece of a line, with its end if that has come.
    fn line(&mut self, piece: &[u8], replies: &mut Vec<usize>) {
        let ends = piece.last() == Some(&b'\n');
        if self.line.len() + piece.len() > LINE_BYTES_MAX {
            self.overlong = true;
            self.line = Vec::new();
        }
        if !self.overlong {
            self.line.extend_from_slice(piece);
        }
        if ends {
            if !self.overlong {
                replies.extend(self.question(&self.line));
            }
            self.overlong = false;
            self.line.clear();
        }
    }

    /// Returns the first rule a message falls under.
    fn question(&self, message: &[u8]) -> Option<usize> {
        self.questions.iter().position(|pattern| pattern.fits(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_the_whole_text_or_a_field_of_an_object() {
        for (pattern, message, fits) in [
            ("PONG", "PONG", true),
            ("PONG", " PONG\r\n", true),
            ("PONG", "pong", false),
            ("PONG", "PONG!", false),
            ("type=ping", r#"{"type":"ping","n":1}"#, true),
            ("type = ping", r#"{"type":"ping"}"#, true),
            ("type=ping", "type=ping", true),
            ("type=ping", r#"{"type":"pong"}"#, false),
            ("type=ping", r#"{"inner":{"type":"ping"}}"#, false),
            ("type=ping", r#"["type","ping"]"#, false),
            ("type=ping", r#"{"type":"ping""#, false),
            ("op=9", r#"{"op":9}"#, true),
            ("op=9", r#"{"op":"9"}"#, true),
            ("op=9", r#"{"op":[9]}"#, false),
            ("alive=true", r#"{"alive":true}"#, true),
            ("q=a=b", r#"{"q":"a=b"}"#, true),
            ("q==b", r#"{"q":"=b"}"#, true),
            ("=x", r#"{"":"x"}"#, false),
        ] {
            assert_eq!(Pattern::new(pattern).fits(message.as_bytes()), fits, "{pattern} {message}");
        }
    }

    #[test]
    fn a_hostile_message_is_just_no_match() {
        let deep = "{\"type\":".repeat(5_000);
        for message in [deep.as_bytes(), b"{\"\xff", b"", b"{", &[0; 100]] {
            assert!(!Pattern::new("type=ping").fits(message));
        }
    }

    #[test]
    fn the_first_rule_that_fits_replies() {
        let ears = Ears::new(Some("pong"), ["a", "type=ping", "b", "a"].into_iter());
        assert_eq!(ears.message(b"a"), Reaction { answers: 0, replies: vec![0] });
        assert_eq!(ears.message(b"{\"type\":\"ping\"}"), Reaction { answers: 0, replies: vec![1] });
        assert_eq!(ears.message(b"pong"), Reaction { answers: 1, replies: vec![] });
        assert_eq!(ears.message(b"c"), Reaction::default());
    }

    #[test]
    fn a_raw_stream_is_searched_however_it_is_cut() {
        let stream = b"..PONGPO.PONG\nping\r\n PONGPONG PPONG {\"op\":1}\n{\"op\":1}\n";
        for cut in 1..stream.len() {
            let mut ears = Ears::new(Some("PONG"), ["ping", "op=1"].into_iter());
            let mut sum = Reaction::default();
            for bytes in stream.chunks(cut) {
                let reaction = ears.bytes(bytes);
                sum.answers += reaction.answers;
                sum.replies.extend(reaction.replies);
            }
            assert_eq!(sum, Reaction { answers: 5, replies: vec![0, 1] }, "cut {cut}");
        }
    }

    #[test]
    fn what_was_part_of_a_hit_is_not_part_of_another() {
        for cut in 1..5 {
            let mut ears = Ears::new(Some("aa"), std::iter::empty());
            assert_eq!(b"aaaaa".chunks(cut).map(|bytes| ears.bytes(bytes).answers).sum::<usize>(), 2);
        }
    }

    #[test]
    fn a_line_without_end_costs_no_more_than_its_limit_and_the_next_one_counts() {
        let mut ears = Ears::new(Some("PONG"), ["ping"].into_iter());
        for _ in 0..1_000 {
            assert_eq!(ears.bytes(&[b'x'; 4_096]), Reaction::default());
            assert!(ears.line.capacity() <= 2 * LINE_BYTES_MAX);
        }
        assert_eq!(ears.bytes(b"\nping\n").replies, [0]);
    }
}
