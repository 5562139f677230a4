//! UTF-8 as it arrives in pieces (RFC 6455, section 8.1).

use super::violation::Violation;

/// A text under way. It refuses the first byte that cannot be right, and keeps a character that
/// is cut at the end of a piece until the next one brings the rest.
#[derive(Debug, Default)]
pub struct TextAssembly {
    /// Whole characters.
    text: Vec<u8>,
    /// The first bytes of an unfinished character: `carry[..carried]`, three at most between
    /// pieces.
    carry: [u8; 4],
    carried: usize,
}

impl TextAssembly {
    /// An empty text that is to be kept in this buffer.
    pub fn with(buffer: Vec<u8>) -> Self {
        Self { text: buffer, ..Self::default() }
    }

    /// The number of bytes so far.
    pub fn len(&self) -> usize {
        self.text.len() + self.carried
    }

    /// The memory in bytes that the text takes.
    pub fn capacity(&self) -> usize {
        self.text.capacity()
    }

    /// Whether nothing has arrived yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// [`Violation::InvalidUtf8`] where no continuation can make the text UTF-8.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), Violation> {
        if self.carried == 0 && piece.is_ascii() {
            self.text.extend_from_slice(piece);
            return Ok(());
        }
        let piece = self.finish_character(piece)?;
        let (body, tail) = piece.split_at(piece.len() - unfinished_bytes(piece));
        self.text.extend_from_slice(validate(body)?.as_bytes());
        if !can_begin_character(tail) {
            return Err(Violation::InvalidUtf8);
        }
        self.carry[self.carried..][..tail.len()].copy_from_slice(tail);
        self.carried += tail.len();
        Ok(())
    }

    /// The whole text.
    ///
    /// # Errors
    /// [`Violation::InvalidUtf8`] where it ends inside a character.
    pub fn finish(self) -> Result<String, Violation> {
        let text = if self.carried > 0 { None } else { String::from_utf8(self.text).ok() };
        text.ok_or(Violation::InvalidUtf8)
    }

    /// Completes the carried character as far as `piece` can, and returns what is left of it.
    fn finish_character<'a>(&mut self, mut piece: &'a [u8]) -> Result<&'a [u8], Violation> {
        while self.carried > 0
            && let Some((&byte, rest)) = piece.split_first()
        {
            self.carry[self.carried] = byte;
            self.carried += 1;
            piece = rest;
            let character = &self.carry[..self.carried];
            if let Ok(character) = std::str::from_utf8(character) {
                self.text.extend_from_slice(character.as_bytes());
                self.carried = 0;
            } else if !can_begin_character(character) {
                return Err(Violation::InvalidUtf8);
            }
        }
        Ok(piece)
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

/// Whether `bytes`, of less than a character, can be the beginning of one; nothing can.
fn can_begin_character(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).err().is_none_or(|error| error.error_len().is_none())
}

/// How many bytes at the end of `piece`, three at most, look like a character that is cut short.
fn unfinished_bytes(piece: &[u8]) -> usize {
    for (back, &byte) in (1..=3).zip(piece.iter().rev()) {
        let wanted = match byte {
            0x80..=0xbf => continue,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
            _ => 1,
        };
        return if wanted > back { back } else { 0 };
    }
    0
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
