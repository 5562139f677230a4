//! A message, as it is sent.

use super::deflate::Deflater;
use super::frame::{self, Opcode};

/// A whole text or binary message (RFC 6455, section 5.6), borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Message<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// The payload: a text's UTF-8, or the bytes.
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
    #[must_use]
    pub fn truncate(self, length: usize) -> Self {
        match self {
            Self::Text(text) => {
                let end = text.char_indices().nth(length).map_or(text.len(), |(end, _)| end);
                Self::Text(&text[..end])
            }
            Self::Binary(bytes) => Self::Binary(&bytes[..length.min(bytes.len())]),
        }
    }

    /// Appends the message to `out` as one whole, unmasked frame.
    #[inline]
    pub fn encode(self, out: &mut Vec<u8>) {
        frame::encode_frame(self.opcode(), self.payload(), out);
    }

    /// Appends the message to `out` as one whole frame, compressed in the context of what
    /// `deflater` compressed before (RFC 7692, section 7.2.1). The message must not be empty.
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

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Binary(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_by_characters_and_bytes_by_bytes() {
        assert_eq!(Message::Text("äöü").truncate(2), Message::Text("äö"));
        assert_eq!(Message::Text("äöü").truncate(3), Message::Text("äöü"));
        assert_eq!(Message::Text("").truncate(0), Message::Text(""));
        assert_eq!(Message::Binary(b"abc").truncate(2), Message::Binary(b"ab"));
        assert_eq!(Message::Binary(b"abc").truncate(9), Message::Binary(b"abc"));
    }
}
