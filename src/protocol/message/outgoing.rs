//! Outgoing messages.

use unicode_segmentation::UnicodeSegmentation;

use crate::protocol::deflate::Deflater;
use crate::protocol::frame::{self, Opcode};

/// The maximum size in bytes of a grapheme cluster that [`Message::truncate`] keeps. The longest emoji
/// have about 50 bytes, but Unicode sets no limit: a letter with megabytes of accents is one cluster
/// too.
const MAX_CLUSTER_BYTES: usize = 1024;

/// A complete text or binary message (RFC 6455, section 5.6), borrowed.
///
/// ```
/// use townhall::protocol::Message;
///
/// let name = "Ada";
/// assert_eq!(Message::from(&format!("hello, {name}")), Message::Text("hello, Ada"));
/// assert_eq!(Message::from(b"\x00\xff"), Message::Binary(&[0x00, 0xff]));
///
/// let message = Message::Text("hello");
/// assert_eq!(message.payload(), b"hello");
/// let mut frame = Vec::new();
/// message.encode(&mut frame);
/// assert_eq!(frame, b"\x81\x05hello");
/// assert_eq!(message.frame_size(), frame.len());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Message<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// The payload: the UTF-8 of a text, or the bytes.
    pub fn payload(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The opcode of its frame.
    pub fn opcode(self) -> Opcode {
        match self {
            Self::Text(_) => Opcode::Text,
            Self::Binary(_) => Opcode::Binary,
        }
    }

    /// The first `length` characters of a text, or bytes of a binary message.
    ///
    /// A character is what a reader perceives as one: an extended grapheme cluster (Unicode Standard
    /// Annex #29). No character is split. A text of more than `length` bytes ends before a cluster of
    /// more than 1 KiB.
    ///
    /// ```
    /// use townhall::protocol::Message;
    ///
    /// assert_eq!(Message::Text("👨‍👩‍👧, hello").truncate(2), Message::Text("👨‍👩‍👧,"));
    /// assert_eq!(Message::Binary(b"hello").truncate(2), Message::Binary(b"he"));
    /// ```
    #[must_use]
    pub fn truncate(self, length: usize) -> Self {
        match self {
            Self::Text(text) => Self::Text(first_clusters(text, length)),
            Self::Binary(bytes) => Self::Binary(&bytes[..length.min(bytes.len())]),
        }
    }

    /// Appends the message to `out` as one unmasked frame.
    #[inline]
    pub fn encode(self, out: &mut Vec<u8>) {
        frame::encode_frame(self.opcode(), self.payload(), out);
    }

    /// The message in a frame; `None` unless the bytes are one frame that [`encode`](Self::encode) could
    /// have written.
    ///
    /// ```
    /// use townhall::protocol::Message;
    ///
    /// assert_eq!(Message::decode(b"\x81\x05hello"), Some(Message::Text("hello")));
    /// assert_eq!(Message::decode(b"\x89\x05hello"), None);
    /// ```
    pub fn decode(frame: &'a [u8]) -> Option<Self> {
        let (opcode, payload) = frame::decode_frame(frame)?;
        match opcode {
            Opcode::Text => simdutf8::basic::from_utf8(payload).ok().map(Self::Text),
            Opcode::Binary => Some(Self::Binary(payload)),
            _ => None,
        }
    }

    /// Appends the message to `out` as one frame, compressed in the context of the `deflater` (RFC 7692,
    /// section 7.2.1).
    pub fn encode_compressed(self, deflater: &mut Deflater, out: &mut Vec<u8>) {
        let mut compressed = Vec::new();
        deflater.deflate(self.payload(), &mut compressed);
        frame::encode_compressed_frame(self.opcode(), &compressed, out);
    }

    /// The size in bytes of the frame that [`encode`](Self::encode) writes.
    pub fn frame_size(self) -> usize {
        let length = self.payload().len();
        frame::header_size(length) + length
    }
}

/// The first `count` grapheme clusters of a text, up to the first that is too long. The text is not read
/// beyond the maximum size of the next cluster.
fn first_clusters(text: &str, count: usize) -> &str {
    if text.len() <= count {
        return text;
    }
    let mut end = 0;
    for _ in 0..count {
        let rest = &text[end..];
        // The end of a cluster is known only from the code point after it.
        let beginning = &rest[..rest.ceil_char_boundary(MAX_CLUSTER_BYTES + 1)];
        match beginning.graphemes(true).next() {
            Some(cluster) if cluster.len() <= MAX_CLUSTER_BYTES => end += cluster.len(),
            _ => break,
        }
    }
    &text[..end]
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Message<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Binary(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Message<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Message<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Binary(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str, length: usize) -> &str {
        match Message::Text(text).truncate(length) {
            Message::Text(text) => text,
            Message::Binary(_) => unreachable!(),
        }
    }

    #[test]
    fn a_text_is_cut_by_characters_and_binary_data_by_bytes() {
        assert_eq!(Message::Text("äöü").truncate(2), Message::Text("äö"));
        assert_eq!(Message::Text("äöü").truncate(3), Message::Text("äöü"));
        assert_eq!(Message::Text("").truncate(0), Message::Text(""));
        assert_eq!(Message::Binary(b"abc").truncate(2), Message::Binary(b"ab"));
        assert_eq!(Message::Binary(b"abc").truncate(9), Message::Binary(b"abc"));
    }

    #[test]
    fn no_character_that_a_reader_perceives_as_one_is_split() {
        let family = "\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}\u{200D}\u{1F466}";
        let flag = "\u{1F1E9}\u{1F1EA}";
        let accents = "e\u{301}\u{323}";
        let hangul = "\u{1112}\u{1161}\u{11AB}";
        for character in [family, flag, accents, hangul, "\r\n", "ä", "a"] {
            let text = character.repeat(4);
            for length in 0..=4 {
                assert_eq!(first(&text, length), character.repeat(length), "{length} of {text:?}");
            }
            assert_eq!(first(&text, usize::MAX), text);
        }
    }

    #[test]
    fn a_text_ends_before_a_character_that_is_too_long() {
        let longest = "\u{301}".repeat(MAX_CLUSTER_BYTES / 2);
        assert_eq!(first(&format!("ab{}c", &longest[2..]), 3), format!("ab{}c", &longest[2..]));
        assert_eq!(first(&format!("ab{longest}c"), 3), "a");
        assert_eq!(first(&format!("{longest}{longest}"), 1), "");
    }

    #[test]
    fn only_the_beginning_of_a_character_that_is_too_long_is_read() {
        let endless = format!("a{}", "\u{301}".repeat(8 << 20));
        // Examining the complete text each time would take most of an hour.
        for _ in 0..10_000 {
            assert_eq!(first(&endless, 1_000_000), "");
        }
    }
}
