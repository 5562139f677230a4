//! The head of a request as it arrives: refused at its first invalid byte, and complete at its empty
//! line (RFC 9112, sections 2.2, 3 and 5).

use std::mem;

use super::refusal::Refusal;
use super::token::is_token_byte;

/// The maximum number of empty lines before a request. RFC 9112, section 2.2: a server "SHOULD ignore at
/// least one empty line (CRLF) received prior to the request-line".
const MAX_EMPTY_LINES: u8 = 4;

/// The version of a request, without its minor version, and the position of the major version in it.
const HTTP_1: &[u8] = b"HTTP/1.";
const MAJOR_VERSION: u8 = 5;

/// The first byte of a TLS connection: the type of a handshake's record (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// The number of bytes of a target or of a field's value that are checked at once.
const BLOCK_BYTES: usize = 16;

/// The part of a head that has arrived.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// The bytes of the head, without the empty lines before it.
    bytes: Vec<u8>,
    part: Part,
}

impl Head {
    /// Takes the head off the front of `input`, once it is complete. The bytes after it stay.
    ///
    /// # Errors
    /// The refusal of a head that is not one of a request, or is longer than `max_bytes`, as soon as
    /// that is certain.
    pub(crate) fn receive(
        &mut self,
        input: &mut &mut [u8],
        max_bytes: usize,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        let bytes = mem::take(input);
        let begin = self.skip_empty_lines(bytes)?;
        let room = max_bytes.saturating_sub(self.bytes.len());
        let end = bytes.len().min(begin.saturating_add(room));
        let taken = self.part.scan(&bytes[begin..end])?;
        self.bytes.extend_from_slice(&bytes[begin..begin + taken]);
        if self.part == Part::Whole {
            *input = &mut bytes[begin + taken..];
            Ok(Some(mem::take(&mut self.bytes)))
        } else if taken == room {
            Err(self.part.too_long())
        } else {
            Ok(None)
        }
    }

    /// The number of bytes that belong to empty lines before the request.
    fn skip_empty_lines(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let mut skipped = 0;
        while !self.has_begun()
            && let Some(&byte) = bytes.get(skipped)
        {
            let part = self.part.next(byte)?;
            if part == Part::Method {
                break;
            }
            self.part = part;
            skipped += 1;
        }
        Ok(skipped)
    }

    /// Whether any part of a request has arrived. The empty lines before it do not count.
    pub(crate) fn has_begun(&self) -> bool {
        !matches!(self.part, Part::Beginning { .. } | Part::EmptyLine { .. })
    }

    /// The memory in bytes for the head.
    pub(crate) fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

/// Checks that a head is complete, and well-formed as far as a check byte by byte can show it.
pub(super) fn check(head: &[u8]) -> Result<(), Refusal> {
    let mut part = Part::default();
    let taken = part.scan(head)?;
    match part {
        Part::Whole if taken == head.len() => Ok(()),
        Part::Whole => Err(Refusal::Malformed("something follows the head")),
        _ => Err(Refusal::Malformed("the head is cut short")),
    }
}

/// The part of a head to which its next byte belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The method, or an empty line before it.
    Beginning {
        empty_lines: u8,
    },
    /// The line feed of an empty line before the method.
    EmptyLine {
        empty_lines: u8,
    },
    Method,
    TargetBegin,
    Target,
    /// The version, of which this many bytes have arrived.
    Version(u8),
    VersionEnd,
    /// A header field, or the empty line at the end.
    FieldBegin,
    FieldName,
    FieldValue,
    /// The line feed of the request line or of a field.
    LineFeed,
    /// The line feed of the empty line at the end.
    LastLineFeed,
    /// Nothing, because the head is complete.
    Whole,
}

impl Default for Part {
    fn default() -> Self {
        Self::Beginning { empty_lines: 0 }
    }
}

impl Part {
    /// Checks bytes up to the end of the head, and returns the number of bytes up to it.
    fn scan(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let mut at = 0;
        while *self != Self::Whole
            && let Some(&byte) = bytes.get(at)
        {
            *self = self.next(byte)?;
            at += 1 + self.run(&bytes[at + 1..]);
        }
        Ok(at)
    }

    /// The number of bytes before the part changes. Nearly all bytes of a head do not change it.
    fn run(self, bytes: &[u8]) -> usize {
        match self {
            Self::Target => count_leading(bytes, is_target_byte),
            Self::FieldName => bytes.iter().take_while(|&&byte| is_token_byte(byte)).count(),
            Self::FieldValue => count_leading(bytes, is_value_byte),
            _ => 0,
        }
    }

    /// The part after this byte. A line may end in a bare LF (RFC 9112, section 2.2).
    ///
    /// # Errors
    /// The refusal of a byte that is not valid there, whatever follows it.
    fn next(self, byte: u8) -> Result<Self, Refusal> {
        Ok(match (self, byte) {
            (Self::Beginning { empty_lines }, b'\r') => Self::EmptyLine { empty_lines },
            (Self::Beginning { empty_lines } | Self::EmptyLine { empty_lines }, b'\n') => {
                Self::empty_line(empty_lines)?
            }
            (Self::Beginning { empty_lines: 0 }, TLS_HANDSHAKE) => return Err(Refusal::Tls),
            (Self::Beginning { .. } | Self::Method, byte) if is_token_byte(byte) => Self::Method,
            (Self::Method, b' ') => Self::TargetBegin,
            (Self::TargetBegin | Self::Target, byte) if is_target_byte(byte) => Self::Target,
            (Self::Target, b' ') => Self::Version(0),
            (Self::Version(at), byte) => Self::version(at, byte)?,
            (Self::VersionEnd | Self::FieldValue, b'\r') => Self::LineFeed,
            (Self::VersionEnd | Self::FieldValue | Self::LineFeed, b'\n') => Self::FieldBegin,
            (Self::FieldBegin, b'\r') => Self::LastLineFeed,
            (Self::FieldBegin | Self::LastLineFeed, b'\n') => Self::Whole,
            (Self::FieldBegin | Self::FieldName, byte) if is_token_byte(byte) => Self::FieldName,
            (Self::FieldName, b':') => Self::FieldValue,
            (Self::FieldValue, byte) if is_value_byte(byte) => Self::FieldValue,
            (part, _) => return Err(part.malformed()),
        })
    }

    fn empty_line(before: u8) -> Result<Self, Refusal> {
        if before < MAX_EMPTY_LINES {
            Ok(Self::Beginning { empty_lines: before + 1 })
        } else {
            Err(Refusal::Malformed("too many empty lines come before the request"))
        }
    }

    /// An unknown minor version counts as the highest known one (RFC 9110, section 2.5).
    fn version(at: u8, byte: u8) -> Result<Self, Refusal> {
        match HTTP_1.get(usize::from(at)) {
            Some(&expected) if byte == expected => Ok(Self::Version(at + 1)),
            None if byte.is_ascii_digit() => Ok(Self::VersionEnd),
            Some(_) if at == MAJOR_VERSION && byte.is_ascii_digit() => Err(Refusal::HttpVersion),
            _ => Err(Self::Version(at).malformed()),
        }
    }

    fn malformed(self) -> Refusal {
        Refusal::Malformed(match self {
            Self::Beginning { .. } => "no request begins with this byte",
            Self::FieldBegin | Self::FieldName => "a header field's name is malformed",
            Self::FieldValue => "a header field's value is malformed",
            Self::EmptyLine { .. } | Self::LineFeed | Self::LastLineFeed => {
                "a line of the head has a carriage return without a line feed"
            }
            _ => "the request line is malformed",
        })
    }

    fn too_long(self) -> Refusal {
        match self {
            // "A method longer than any that it implements" (RFC 9112, section 3).
            Self::Method | Self::TargetBegin => Refusal::MethodNotImplemented,
            Self::Target | Self::Version(_) => Refusal::TargetTooLong,
            _ => Refusal::HeadTooLong,
        }
    }
}

/// The number of bytes before the first that is not of this kind. Bytes are checked in blocks, without a
/// branch for each byte, so that the compiler can compare all bytes of a block at once.
#[inline]
fn count_leading(bytes: &[u8], is_kind: impl Fn(u8) -> bool) -> usize {
    let is_whole = |block: &&[u8]| block.iter().fold(true, |all, &byte| all & is_kind(byte));
    let whole = bytes.chunks_exact(BLOCK_BYTES).take_while(is_whole).count() * BLOCK_BYTES;
    whole + bytes[whole..].iter().take_while(|&&byte| is_kind(byte)).count()
}

/// Whether a byte may be in a target. UTF-8 is checked once the target is complete.
fn is_target_byte(byte: u8) -> bool {
    (byte > b' ') & (byte != 0x7f)
}

/// Whether a byte may be in a field's value (RFC 9110, section 5.5).
fn is_value_byte(byte: u8) -> bool {
    (byte == b'\t') | (byte >= b' ') & (byte != 0x7f)
}

#[cfg(test)]
mod tests;
