//! The head of a request as it arrives: refused at its first impossible byte, whole at its empty
//! line (RFC 9112, sections 2.2, 3 and 5).

use std::mem;

use super::extension::is_token_byte;
use super::violation::Refusal;

/// The most empty lines before a request. RFC 9112, section 2.2: a server "SHOULD ignore at least
/// one empty line (CRLF) received prior to the request-line".
const MAX_EMPTY_LINES: u8 = 4;

/// The version of a request, without its minor version, and the position of the major version in it.
const HTTP_1: &[u8] = b"HTTP/1.";
const MAJOR_VERSION: u8 = 5;

/// The first byte of a TLS connection: the type of a handshake's record (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// How many bytes of a target or of a field's value are looked at at once.
const BLOCK_BYTES: usize = 16;

/// A head as far as it has arrived.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// The bytes of the head, without the empty lines before it.
    bytes: Vec<u8>,
    part: Part,
}

impl Head {
    /// Takes the head off the front of `input`, once it is whole. What follows it stays.
    ///
    /// # Errors
    /// A head that does not belong to a request, or is longer than `max_bytes`, as soon as that is
    /// certain.
    pub(super) fn receive(
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
        } else if begin < bytes.len() && taken == room {
            Err(self.part.too_long())
        } else {
            Ok(None)
        }
    }

    /// How many bytes belong to empty lines before the request.
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
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.part, Part::Beginning { .. } | Part::EmptyLine { .. })
    }

    /// The memory in bytes that the head takes.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

/// Checks that a head is whole, and well-formed as far as single bytes can show it.
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
    /// The version, of which this many bytes have come.
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
    /// Nothing: the head is whole.
    Whole,
}

impl Default for Part {
    fn default() -> Self {
        Self::Beginning { empty_lines: 0 }
    }
}

impl Part {
    /// Goes through bytes up to the end of the head, and returns how many there are before it.
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

    /// How many bytes follow before the part changes: nearly all bytes of a head leave it as it is.
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
    /// A byte that cannot be there, whatever follows it.
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

    /// A minor version that is not known counts as the highest that is known (RFC 9110, section 2.5).
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
            Self::Method | Self::TargetBegin | Self::Target | Self::Version(_) => {
                Refusal::TargetTooLong
            }
            _ => Refusal::HeadTooLong,
        }
    }
}

/// How many bytes there are before the first that is not of this kind. They are looked at in blocks,
/// without a decision for each byte, so that the compiler can compare a block's bytes at once.
#[inline]
fn count_leading(bytes: &[u8], is_kind: impl Fn(u8) -> bool) -> usize {
    let is_whole = |block: &&[u8]| block.iter().fold(true, |all, &byte| all & is_kind(byte));
    let whole = bytes.chunks_exact(BLOCK_BYTES).take_while(is_whole).count() * BLOCK_BYTES;
    whole + bytes[whole..].iter().take_while(|&&byte| is_kind(byte)).count()
}

/// Whether a byte may be in a target. Whether it is UTF-8 shows when the target is whole.
fn is_target_byte(byte: u8) -> bool {
    (byte > b' ') & (byte != 0x7f)
}

/// Whether a byte may be in a field's value (RFC 9110, section 5.5).
fn is_value_byte(byte: u8) -> bool {
    (byte == b'\t') | (byte >= b' ') & (byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"GET /a?b HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n";
    const MAX_BYTES: usize = 100;

    /// What came of these bytes, which arrive one at a time, and how many were taken for it.
    fn receive(bytes: &[u8]) -> (usize, Result<Option<Vec<u8>>, Refusal>) {
        let mut head = Head::default();
        for (at, &byte) in bytes.iter().enumerate() {
            match head.receive(&mut &mut [byte][..], MAX_BYTES) {
                Ok(None) => {}
                outcome => return (at + 1, outcome),
            }
        }
        (bytes.len(), Ok(None))
    }

    fn refused(bytes: &[u8]) -> (usize, u16) {
        let (taken, outcome) = receive(bytes);
        (taken, outcome.expect_err("it is refused").status())
    }

    #[test]
    fn a_head_is_whole_at_its_empty_line_and_what_follows_it_stays() {
        assert_eq!(receive(HEAD), (HEAD.len(), Ok(Some(HEAD.to_vec()))));
        let mut bytes = [b"\r\n\n", HEAD, b"more"].concat();
        let mut input = &mut bytes[..];
        let received = Head::default().receive(&mut input, MAX_BYTES);
        assert_eq!(received, Ok(Some(HEAD.to_vec())));
        assert_eq!(input, b"more");
        assert_eq!(check(HEAD), Ok(()));
    }

    #[test]
    fn lines_may_end_in_a_bare_line_feed() {
        let head = b"GET / HTTP/1.0\nHost: a\n\n";
        assert_eq!(receive(head).1, Ok(Some(head.to_vec())));
    }

    /// Each of these is refused at its last byte.
    #[test]
    fn the_first_impossible_byte_is_refused() {
        for bytes in [
            &b"\0"[..],
            b" ",
            b"\x80",
            b"\x05",
            b"GET\r",
            b"GET\n",
            b"GE\"",
            b"GET  ",
            b"GET /\r",
            b"GET /\n",
            b"GET /\x7f",
            b"GET /\0",
            b"GET / \r",
            b"GET / h",
            b"GET /a b",
            b"GET / HTTP/1.1 ",
            b"GET / HTTP/1.10",
            b"GET / HTTP/1.x",
            b"GET / HTTP/x",
            b"GET / HTTP/1.1\rH",
            b"GET / HTTP/1.1\r\n ",
            b"GET / HTTP/1.1\r\n:",
            b"GET / HTTP/1.1\r\nHost ",
            b"GET / HTTP/1.1\r\nHost\r",
            b"GET / HTTP/1.1\r\nHost: a\0",
            b"GET / HTTP/1.1\r\nHost: a\r\r",
            b"GET / HTTP/1.1\r\nHost: a\r\n\t",
            b"GET / HTTP/1.1\r\nHost: a\r\n\rx",
            b"SSH-2.0-OpenSSH_9.2\r",
            b"PROXY TCP4 1",
            b"\r\n\r\n\0",
            b"\r\r",
            b"\rG",
        ] {
            let shown = bytes.escape_ascii();
            assert_eq!(refused(bytes), (bytes.len(), 400), "{shown}");
        }
    }

    #[test]
    fn an_impossible_byte_is_found_wherever_it_is_in_a_long_run() {
        for (before, run, after) in [
            ("GET /", "a", " HTTP/1.1\r\n\r\n"),
            ("GET / HTTP/1.1\r\n", "a", ": b\r\n\r\n"),
            ("GET / HTTP/1.1\r\nA: ", "b", "\r\n\r\n"),
        ] {
            for at in 0..3 * BLOCK_BYTES {
                let mut head = [before, &run.repeat(3 * BLOCK_BYTES), after].concat().into_bytes();
                assert_eq!(check(&head), Ok(()));
                head[before.len() + at] = 0x7f;
                assert!(check(&head).is_err(), "{}", head.escape_ascii());
            }
        }
    }

    #[test]
    fn another_major_version_is_refused_as_that() {
        assert_eq!(refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), (12, 505));
        assert_eq!(refused(b"GET / HTTP/0.9\r\n"), (12, 505));
    }

    #[test]
    fn a_tls_hello_is_known_by_its_first_byte() {
        assert_eq!(receive(b"\x16\x03\x01\x02\0\x01"), (1, Err(Refusal::Tls)));
        assert_eq!(refused(b"\r\n\x16"), (3, 400));
        assert_ne!(receive(b"\r\n\x16").1, Err(Refusal::Tls));
    }

    /// Among all the bytes with which a connection can begin, those of a method and of an empty line
    /// are waited on.
    #[test]
    fn a_connection_begins_with_a_token_or_an_empty_line() {
        for byte in 0..=u8::MAX {
            let possible = is_token_byte(byte) || b"\r\n".contains(&byte);
            assert_eq!(receive(&[byte]).1.is_ok(), possible, "{byte}");
        }
    }

    #[test]
    fn only_a_few_empty_lines_may_come_before_a_request() {
        let few = [&b"\r\n".repeat(4), HEAD].concat();
        assert_eq!(receive(&few).1, Ok(Some(HEAD.to_vec())));
        assert_eq!(refused(&b"\r\n".repeat(100)), (10, 400));
        assert_eq!(refused(&b"\n".repeat(100)), (5, 400));
    }

    #[test]
    fn empty_lines_alone_are_no_request_that_has_begun() {
        let mut head = Head::default();
        for byte in *b"\r\n\r\n\r" {
            head.receive(&mut &mut [byte][..], MAX_BYTES).unwrap();
            assert!(!head.has_begun() && head.held_bytes() == 0);
        }
        head.receive(&mut &mut b"\nG".to_owned()[..], MAX_BYTES).unwrap();
        assert!(head.has_begun());
    }

    #[test]
    fn a_head_may_be_as_long_as_the_limit() {
        let padded = |length: usize| {
            let rest = length - b"GET / HTTP/1.1\r\nA: \r\n\r\n".len();
            format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(rest)).into_bytes()
        };
        assert!(matches!(receive(&padded(MAX_BYTES)), (MAX_BYTES, Ok(Some(_)))));
        assert_eq!(refused(&padded(MAX_BYTES + 1)), (MAX_BYTES, 431));
        assert_eq!(refused(&[b'G'; 200]), (MAX_BYTES, 414));
        assert_eq!(refused(&[&b"GET /"[..], &[b'a'; 200]].concat()), (MAX_BYTES, 414));
        let nothing = Head::default().receive(&mut &mut b"\r\nGET".to_owned()[..], 0);
        assert_eq!(nothing, Err(Refusal::HeadTooLong));
    }

    #[test]
    fn a_part_of_a_head_is_no_head_and_nor_is_more() {
        for end in 0..HEAD.len() {
            assert!(check(&HEAD[..end]).is_err());
        }
        assert!(check(&[HEAD, b"x"].concat()).is_err());
    }
}
