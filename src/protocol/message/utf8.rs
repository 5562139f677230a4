//! UTF-8 that arrives in pieces (RFC 6455, section 8.1).

use crate::protocol::frame::{SHORT_BYTES, append_unmasked, apply_mask};
use crate::protocol::violation::Violation;

/// The minimum size in bytes of a piece that is checked and added to the text at once.
const LONG_BYTES: usize = 512;

/// An incomplete text. It refuses the first invalid byte, and keeps a character that is cut at the end
/// of a piece until the next piece completes it.
#[derive(Debug)]
pub struct TextAssembly {
    /// The bytes of a text, as long as they are all ASCII and arrived in short pieces. That check costs
    /// less than converting each piece to a text, but the bytes are checked again when they become one.
    ascii: Option<Vec<u8>>,
    /// The complete characters of any other text, none of which is checked twice.
    text: String,
    /// The first bytes of an incomplete character: `carry[..carried]`, at most three between pieces.
    carry: [u8; 4],
    carried: usize,
}

impl Default for TextAssembly {
    fn default() -> Self {
        Self::with(Vec::new())
    }
}

impl TextAssembly {
    /// An empty text that uses this buffer, which must be empty.
    pub fn with(buffer: Vec<u8>) -> Self {
        Self { ascii: Some(buffer), text: String::new(), carry: [0; 4], carried: 0 }
    }

    /// The number of bytes so far.
    #[inline]
    pub fn len(&self) -> usize {
        self.ascii.as_ref().map_or(self.text.len(), Vec::len) + self.carried
    }

    /// The memory in bytes for the text.
    pub fn capacity(&self) -> usize {
        self.ascii.as_ref().map_or(self.text.capacity(), Vec::capacity)
    }

    /// Whether nothing has arrived yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// [`Violation::InvalidUtf8`] if no continuation can make the text UTF-8.
    #[inline]
    pub fn push(&mut self, piece: &[u8]) -> Result<(), Violation> {
        match &mut self.ascii {
            Some(ascii) if self.carried == 0 && piece.len() < LONG_BYTES && piece.is_ascii() => {
                ascii.extend_from_slice(piece);
                Ok(())
            }
            _ => self.push_any(piece),
        }
    }

    /// Takes the next piece, which is masked.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    #[inline]
    pub(super) fn push_masked(&mut self, piece: &mut [u8], mask: [u8; 4]) -> Result<(), Violation> {
        if let Some(ascii) = &mut self.ascii
            && self.carried == 0
            && piece.len() < SHORT_BYTES
        {
            let before = ascii.len();
            if append_unmasked(piece, mask, ascii) {
                return Ok(());
            }
            ascii.truncate(before);
        }
        self.push_unmasked(piece, mask)
    }

    #[inline(never)]
    fn push_unmasked(&mut self, piece: &mut [u8], mask: [u8; 4]) -> Result<(), Violation> {
        apply_mask(piece, mask);
        self.push(piece)
    }

    #[inline(never)]
    fn push_any(&mut self, piece: &[u8]) -> Result<(), Violation> {
        let piece = self.finish_character(piece)?;
        let (body, tail) = piece.split_at(piece.len() - unfinished_bytes(piece));
        self.text()?.push_str(validate(body)?);
        if tail.is_empty() {
            return Ok(());
        }
        self.carry[..tail.len()].copy_from_slice(tail);
        self.carried = tail.len();
        if can_begin_character(tail) { Ok(()) } else { Err(Violation::InvalidUtf8) }
    }

    /// The whole text.
    ///
    /// # Errors
    /// [`Violation::InvalidUtf8`] if it ends inside a character.
    pub fn finish(mut self) -> Result<String, Violation> {
        if self.carried > 0 {
            return Err(Violation::InvalidUtf8);
        }
        self.text()?;
        Ok(self.text)
    }

    /// The whole characters so far. The text need not be ASCII after this call.
    fn text(&mut self) -> Result<&mut String, Violation> {
        if let Some(ascii) = self.ascii.take() {
            self.text = String::from_utf8(ascii).map_err(|_| Violation::InvalidUtf8)?;
        }
        Ok(&mut self.text)
    }

    /// Completes the carried character as far as `piece` can, and returns what is left of it.
    fn finish_character<'a>(&mut self, piece: &'a [u8]) -> Result<&'a [u8], Violation> {
        if self.carried == 0 {
            return Ok(piece);
        }
        let missing = width(self.carry[0]) - self.carried;
        let (bytes, rest) = piece.split_at(missing.min(piece.len()));
        self.carry[self.carried..][..bytes.len()].copy_from_slice(bytes);
        self.carried += bytes.len();
        let carry = self.carry;
        match std::str::from_utf8(&carry[..self.carried]) {
            Ok(character) => {
                self.text()?.push_str(character);
                self.carried = 0;
            }
            Err(error) if error.error_len().is_some() => return Err(Violation::InvalidUtf8),
            Err(_) => {}
        }
        Ok(rest)
    }
}

/// A whole text, borrowed.
///
/// # Errors
/// [`Violation::InvalidUtf8`].
#[inline]
pub fn validate(bytes: &[u8]) -> Result<&str, Violation> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| Violation::InvalidUtf8)
}

/// A whole text, owned.
///
/// # Errors
/// [`Violation::InvalidUtf8`].
pub(super) fn into_text(bytes: Vec<u8>) -> Result<String, Violation> {
    if bytes.is_ascii() {
        return String::from_utf8(bytes).map_err(|_| Violation::InvalidUtf8);
    }
    // What is not ASCII is checked and copied in less time than `String` takes to check it.
    validate(&bytes).map(str::to_owned)
}

/// Whether `bytes`, of less than a character, can be the beginning of one; nothing can.
fn can_begin_character(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).err().is_none_or(|error| error.error_len().is_none())
}

/// How many bytes at the end of `piece`, three at most, look like a character that is cut short.
fn unfinished_bytes(piece: &[u8]) -> usize {
    let mut ends = (1..=3).zip(piece.iter().rev());
    let first = ends.find(|(_, byte)| !matches!(byte, 0x80..=0xbf));
    first.map_or(0, |(back, &byte)| if width(byte) > back { back } else { 0 })
}

/// How many bytes a character has that begins with this one.
fn width(first: u8) -> usize {
    match first {
        0x00..=0xbf => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xff => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes of `bytes`, given one at a time, were taken before one was refused.
    fn taken(bytes: &[u8]) -> usize {
        let mut assembly = TextAssembly::default();
        bytes.iter().take_while(|byte| assembly.push(&[**byte]).is_ok()).count()
    }

    #[test]
    fn a_text_cut_anywhere_arrives_whole() {
        let text = "aé€😀\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}z";
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let mut assembly = TextAssembly::default();
                assembly.push(&text.as_bytes()[..first]).unwrap();
                assembly.push(&text.as_bytes()[first..second]).unwrap();
                assembly.push(&text.as_bytes()[second..]).unwrap();
                assert_eq!(assembly.len(), text.len());
                assert_eq!(assembly.finish().unwrap(), text);
            }
        }
    }

    #[test]
    fn ascii_before_and_behind_other_characters_arrives_in_pieces_of_any_size() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let ascii = "ascii ".repeat(30);
        let text = [&ascii, "aé€😀", &ascii, "é", &ascii].concat();
        for size in 1..=text.len() {
            let mut plain = TextAssembly::default();
            let mut masked = TextAssembly::default();
            for piece in text.as_bytes().chunks(size) {
                plain.push(piece).unwrap();
                let mut piece = piece.to_vec();
                apply_mask(&mut piece, mask);
                masked.push_masked(&mut piece, mask).unwrap();
                assert_eq!(masked.len(), plain.len());
            }
            assert_eq!(plain.finish().as_deref(), Ok(&text[..]));
            assert_eq!(masked.finish().as_deref(), Ok(&text[..]));
        }
    }

    #[test]
    fn the_first_impossible_byte_is_refused() {
        let cases: [(&[u8], usize); 10] = [
            (b"ab\x80", 2),
            (b"\xc0\xaf", 0),
            (b"\xc2a", 1),
            (b"\xe0\x80", 1),
            (b"\xed\xa0", 1),
            (b"\xf0\x80", 1),
            (b"\xf4\x90", 1),
            (b"\xf5", 0),
            (b"\xe2\x82a", 2),
            (b"\xf0\x9f\x98a", 3),
        ];
        for (bytes, count) in cases {
            assert_eq!(taken(bytes), count, "{bytes:x?}");
            assert!(TextAssembly::default().push(bytes).is_err(), "{bytes:x?} in one piece");
        }
    }

    #[test]
    fn a_text_that_ends_inside_a_character_is_refused_at_its_end() {
        for bytes in [&b"a\xc3"[..], b"\xe2\x82", b"\xf0\x9f\x98"] {
            let mut assembly = TextAssembly::default();
            assembly.push(bytes).unwrap();
            assert_eq!(assembly.finish(), Err(Violation::InvalidUtf8));
        }
    }
}
