//! Lines out of what arrives, with nothing kept while nothing is unfinished.

/// How much of a line is kept; only lists are longer, and nobody reads those here.
const KEPT_BYTES_MAX: usize = 4_096;

/// Cuts a stream into lines. A thousand idle ones hold a thousand empty vectors and no buffer.
#[derive(Debug, Default)]
pub(super) struct Ear {
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
}

impl Ear {
    /// Passes every line that ends in `bytes` to `hear`, without its end; of an overlong one only the beginning.
    pub(super) fn take(&mut self, bytes: &[u8], mut hear: impl FnMut(&[u8])) {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            if self.begun.is_empty() {
                hear(kept(line, KEPT_BYTES_MAX));
            } else {
                self.keep(line);
                hear(&std::mem::take(&mut self.begun));
            }
            rest = after.get(1..).unwrap_or_default();
        }
        self.keep(rest);
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.begun.extend_from_slice(kept(bytes, KEPT_BYTES_MAX - self.begun.len()));
    }
}

fn kept(bytes: &[u8], most: usize) -> &[u8] {
    bytes.get(..most).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Ear) {
        let (mut ear, mut lines) = (Ear::default(), Vec::new());
        for piece in pieces {
            ear.take(piece, |line| lines.push(line.to_vec()));
        }
        (lines, ear)
    }

    #[test]
    fn nothing_is_held_between_lines_and_little_of_an_endless_one() {
        let (heard, ear) = lines(&[b"a\nb", b"c\n"]);
        assert_eq!(heard, [b"a".to_vec(), b"bc".to_vec()]);
        assert_eq!(ear.begun.capacity(), 0);
        let endless = vec![b'x'; 1_000_000];
        let (heard, ear) = lines(&[&endless, &endless]);
        assert!(heard.is_empty() && ear.begun.len() == KEPT_BYTES_MAX);
        let (heard, _) = lines(&[&endless, b"\nb\n"]);
        assert_eq!((heard[0].len(), &heard[1][..]), (KEPT_BYTES_MAX, &b"b"[..]));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_lines(stream in "[a\n]{0,80}", cuts in proptest::collection::vec(0usize..80, 0..9)) {
            let stream = stream.as_bytes();
            let mut cuts: Vec<_> = cuts.into_iter().map(|at| at.min(stream.len())).collect();
            cuts.sort_unstable();
            cuts.push(stream.len());
            let mut from = 0;
            let pieces: Vec<_> = cuts.iter().map(|&cut| &stream[std::mem::replace(&mut from, cut)..cut]).collect();
            prop_assert_eq!(lines(&pieces).0, lines(&[stream]).0);
        }
    }
}
