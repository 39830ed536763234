//! Bytes to lines and back: bounded, and safe to cancel at any point.

use std::io;

use bytes::{Buf, BytesMut};
use thiserror::Error;
use tokio_util::codec::Decoder;

/// The longest line a client may send, without its line end.
pub const LINE_BYTES_MAX: usize = 8 * 1024;
/// The longest line a server sends to a v1 client; longer lists are paged.
pub const PAGE_BYTES_MAX: usize = 64 * 1024;
/// The longest line `join` accepts: a base server sends its whole list in one.
pub const LIST_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Cuts a byte stream at `\n` (a `\r` before it goes too).
///
/// The lines come as they are: text and meaning are [`super::message`]'s. The
/// state lives in the codec and in the buffer, never in a future, so that a
/// read given up half-way loses nothing.
#[derive(Debug, Clone)]
pub struct LineCodec {
    line_bytes_max: usize,
    /// How much of the buffer is known to hold no `\n`.
    scanned: usize,
}

/// Why a stream cannot be cut into lines any further.
#[derive(Debug, Error)]
pub enum CodecError {
    /// The line is longer than allowed; the rest of it was not read.
    #[error("a line is longer than {0} bytes")]
    TooLong(usize),
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl LineCodec {
    /// Cuts lines of at most `line_bytes_max` bytes, not counting their end.
    #[must_use]
    pub fn new(line_bytes_max: usize) -> Self {
        Self { line_bytes_max, scanned: 0 }
    }

    /// Returns how many bytes more `buffer` may take before the next look at it.
    ///
    /// Enough for the longest line and its `\r\n`, so that whoever reads no
    /// more than this never holds more than one line.
    #[must_use]
    pub fn room(&self, buffer: &BytesMut) -> usize {
        (self.line_bytes_max + 2).saturating_sub(buffer.len())
    }
}

impl Decoder for LineCodec {
    type Item = BytesMut;
    type Error = CodecError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<BytesMut>, CodecError> {
        let fresh = buffer.get(self.scanned..).unwrap_or_default();
        let Some(found) = memchr::memchr(b'\n', fresh) else {
            self.scanned = buffer.len();
            // One more than the limit may be the `\r` of a line of exactly the limit.
            let open = buffer.len() - usize::from(buffer.last() == Some(&b'\r'));
            return if open > self.line_bytes_max {
                Err(CodecError::TooLong(self.line_bytes_max))
            } else {
                Ok(None)
            };
        };
        let end = self.scanned + found;
        let mut line = if end + 1 == buffer.len() {
            // Nothing is behind it, as nearly always: so it need not be shared with what is left.
            let mut line = std::mem::take(buffer);
            line.truncate(end);
            line
        } else {
            let line = buffer.split_to(end);
            buffer.advance(1);
            line
        };
        self.scanned = 0;
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        if line.len() > self.line_bytes_max {
            return Err(CodecError::TooLong(self.line_bytes_max));
        }
        Ok(Some(line))
    }

    /// Half a line at the end of the stream is not a line.
    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<BytesMut>, CodecError> {
        self.decode(buffer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `pieces` the way a session does: never more than there is room for.
    fn lines_of(pieces: &[&[u8]], max: usize) -> (Vec<Vec<u8>>, bool, usize) {
        let (mut codec, mut buffer) = (LineCodec::new(max), BytesMut::new());
        let (mut lines, mut largest) = (Vec::new(), 0);
        for piece in pieces {
            let mut piece = *piece;
            while !piece.is_empty() {
                let (now, rest) = piece.split_at(codec.room(&buffer).min(piece.len()));
                assert!(!now.is_empty(), "a buffer without a line must have room");
                buffer.extend_from_slice(now);
                largest = largest.max(buffer.len());
                piece = rest;
                loop {
                    match codec.decode(&mut buffer) {
                        Ok(Some(line)) => lines.push(line.to_vec()),
                        Ok(None) => break,
                        Err(_) => return (lines, true, largest),
                    }
                }
            }
        }
        (lines, false, largest)
    }

    #[test]
    fn line_ends_of_both_kinds_and_blank_lines_are_fine() {
        let (lines, too_long, _) = lines_of(&[b"a\r\n\n\r\nb\nhalf"], 10);
        assert_eq!(lines, [&b"a"[..], b"", b"", b"b"]);
        assert!(!too_long);
    }

    #[test]
    fn the_limit_counts_the_line_and_not_its_end() {
        for end in ["\n", "\r\n"] {
            let fits = format!("{}{end}", "x".repeat(10));
            assert_eq!(lines_of(&[fits.as_bytes()], 10), (vec![b"xxxxxxxxxx".to_vec()], false, fits.len()));
            let long = format!("{}{end}", "x".repeat(11));
            assert!(lines_of(&[long.as_bytes()], 10).1);
        }
    }

    #[test]
    fn a_line_without_end_is_refused_without_being_kept() {
        let huge = vec![b'x'; 10 * 1024 * 1024];
        let (lines, too_long, largest) = lines_of(&[&huge], LINE_BYTES_MAX);
        assert!(too_long && lines.is_empty());
        assert!(largest <= LINE_BYTES_MAX + 2);
    }

    proptest! {
        #[test]
        fn any_split_of_a_stream_gives_the_same_lines(
            stream in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..400),
            cuts in proptest::collection::vec(0usize..400, 0..20),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(stream.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&stream[from..cut]);
                from = cut;
            }
            pieces.push(&stream[from..]);
            let whole = lines_of(&[&stream], 32);
            let split = lines_of(&pieces, 32);
            prop_assert_eq!(&whole.0, &split.0);
            prop_assert_eq!(whole.1, split.1);
        }

        #[test]
        fn any_bytes_stay_inside_the_bound(stream in proptest::collection::vec(any::<u8>(), 0..2000), max in 1usize..64) {
            let (lines, _, largest) = lines_of(&[&stream], max);
            prop_assert!(largest <= max + 2);
            prop_assert!(lines.iter().all(|line| line.len() <= max));
        }
    }
}
