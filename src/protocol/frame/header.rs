//! The headers of frames (RFC 6455, section 5.2).

use super::opcode::{FIN, MAX_CONTROL_BYTES, Opcode, RSV1};
use super::sender::Sender;
use crate::protocol::violation::Violation;

/// The maximum size in bytes of a header: two, eight for the length, and four for the mask.
pub const MAX_HEADER_BYTES: usize = 14;

pub(super) const MASKED: u8 = 0x80;
const RESERVED: u8 = 0x70;
const LENGTH: u8 = 0x7f;

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whether this is the last fragment of its message.
    pub fin: bool,
    /// The opcode.
    pub opcode: Opcode,
    /// Whether the message is compressed, as RSV1 indicates (RFC 7692, section 6).
    pub compressed: bool,
    /// The masking key (RFC 6455, section 5.3); zeros in a frame from a server, which has none.
    pub mask: [u8; 4],
    /// The length of the payload in bytes, below 2^63.
    pub length: u64,
}

impl FrameHeader {
    /// Parses the header at the start of `bytes`, and returns it with its size in bytes: 6, 8 or 14 from
    /// a client, 2, 4 or 10 from a server. `None` if it is incomplete. `deflate` is whether
    /// permessage-deflate was negotiated.
    ///
    /// # Errors
    /// A header that violates RFC 6455, section 5.1, 5.2 or 5.5, as soon as that is certain.
    #[inline]
    pub fn parse<S: Sender>(
        bytes: &[u8],
        deflate: bool,
    ) -> Result<Option<(Self, usize)>, Violation> {
        match S::parse_usual(bytes) {
            Some(usual) => Ok(Some(usual)),
            None => Self::parse_any::<S>(bytes, deflate),
        }
    }

    #[inline(never)]
    fn parse_any<S: Sender>(
        bytes: &[u8],
        deflate: bool,
    ) -> Result<Option<(Self, usize)>, Violation> {
        let Some((&[first, second], rest)) = bytes.split_first_chunk::<2>() else {
            return Ok(None);
        };
        let (fin, opcode, compressed) = Self::parse_first(first, deflate)?;
        S::check_mask(second & MASKED != 0)?;
        Self::check_length(second & LENGTH, fin, opcode)?;
        let Some((length, rest)) = Self::parse_length(second & LENGTH, rest)? else {
            return Ok(None);
        };
        let Some((mask, rest)) = S::parse_mask(rest) else {
            return Ok(None);
        };
        Ok(Some((Self { fin, opcode, compressed, mask, length }, bytes.len() - rest.len())))
    }

    fn parse_first(byte: u8, deflate: bool) -> Result<(bool, Opcode, bool), Violation> {
        let bits = byte & 0x0f;
        // RFC 7692, section 6.1: RSV1 is on the first frame of a data message, and on no other.
        let first_of_message = bits == Opcode::Text as u8 || bits == Opcode::Binary as u8;
        let meaningful = if deflate && first_of_message { RSV1 } else { 0 };
        // "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values."
        if byte & RESERVED & !meaningful != 0 {
            return Err(Violation::ReservedBits);
        }
        Ok((byte & FIN != 0, Opcode::from_bits(bits)?, byte & RSV1 != 0))
    }

    fn check_length(short: u8, fin: bool, opcode: Opcode) -> Result<(), Violation> {
        // 5.5: "All control frames MUST have a payload length of 125 bytes or less and MUST NOT
        // be fragmented."
        if opcode.is_control() && !fin {
            return Err(Violation::FragmentedControl);
        }
        if opcode.is_control() && usize::from(short) > MAX_CONTROL_BYTES {
            return Err(Violation::LongControl);
        }
        Ok(())
    }

    /// The length, and the bytes after it. "The minimal number of bytes MUST be used to encode the
    /// length", and "the most significant bit MUST be 0".
    fn parse_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
        let (length, rest, least) = match short {
            126 => match rest.split_first_chunk() {
                Some((bytes, rest)) => (u16::from_be_bytes(*bytes).into(), rest, 126),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((bytes, rest)) => (u64::from_be_bytes(*bytes), rest, 0x1_0000),
                None => return Ok(None),
            },
            short => (short.into(), rest, 0),
        };
        if length < least {
            return Err(Violation::NonMinimalLength);
        }
        if length >> 63 != 0 {
            return Err(Violation::LengthTopBit);
        }
        Ok(Some((length, rest)))
    }
}

/// The end of a frame as its header gives it, whatever else is wrong with the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// The four bits of the opcode.
    pub(super) opcode: u8,
    /// The masking key; zeros if the frame has none.
    pub(super) mask: [u8; 4],
    /// The length of the payload in bytes.
    pub(super) length: u64,
    /// The size of the header in bytes.
    pub(super) header: usize,
}

impl Shape {
    /// Parses the header at the start of `bytes`; `None` if it is incomplete.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let (&[first, second], rest) = bytes.split_first_chunk::<2>()?;
        let (length, rest) = match second & LENGTH {
            126 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u16::from_be_bytes(*length).into(), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u64::from_be_bytes(*length), rest)
            }
            short => (short.into(), rest),
        };
        let (mask, rest) = match second & MASKED {
            0 => ([0; 4], rest),
            _ => rest.split_first_chunk().map(|(mask, rest)| (*mask, rest))?,
        };
        Some(Self { opcode: first & 0x0f, mask, length, header: bytes.len() - rest.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::sender::FromClient;
    #[cfg(feature = "client")]
    use super::super::sender::FromServer;
    use super::*;

    const MASK: [u8; 4] = [1, 2, 3, 4];

    fn header(first: u8, length: &[u8]) -> Vec<u8> {
        [&[first], length, &MASK].concat()
    }

    #[test]
    fn all_three_length_forms_are_parsed_at_their_limits() {
        let cases: [(&[u8], u64); 6] = [
            (&[0x80], 0),
            (&[0x80 | 125], 125),
            (&[0x80 | 126, 0, 126], 126),
            (&[0x80 | 126, 0xff, 0xff], 65535),
            (&[0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0], 65536),
            (&[0x80 | 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], u64::MAX >> 1),
        ];
        for (bytes, length) in cases {
            let bytes = header(0x82, bytes);
            let opcode = Opcode::Binary;
            let expected = FrameHeader { fin: true, opcode, compressed: false, mask: MASK, length };
            assert_eq!(
                FrameHeader::parse::<FromClient>(&bytes, false),
                Ok(Some((expected, bytes.len())))
            );
        }
    }

    /// Checks that usual headers are parsed like any others, and returns their number.
    fn count_usual<S: Sender>(lengths: &[u16]) -> usize {
        let mut usual = 0;
        for (first, second) in (0..=255).flat_map(|first| (0..=255).map(move |s| (first, s))) {
            for long in lengths {
                let [high, low] = long.to_be_bytes();
                let bytes = [first, second, high, low, 5, 6, 7, 8];
                let Some(header) = S::parse_usual(&bytes) else { continue };
                usual += 1;
                for deflate in [false, true] {
                    assert_eq!(FrameHeader::parse_any::<S>(&bytes, deflate), Ok(Some(header)));
                }
            }
        }
        usual
    }

    #[test]
    fn the_usual_header_is_parsed_like_any_other() {
        let lengths = [0, 1, 125, 126, 127, 128, 255, 256, 0xffff];
        // Six first bytes, with 126 short lengths, and six of the nine long ones.
        let usual = 6 * (126 * lengths.len() + 6);
        assert_eq!(count_usual::<FromClient>(&lengths), usual);
        #[cfg(feature = "client")]
        assert_eq!(count_usual::<FromServer>(&lengths), usual);
    }

    #[test]
    #[cfg(feature = "client")]
    fn the_frames_of_a_server_are_not_masked() {
        let parse = |bytes: &[u8]| FrameHeader::parse::<FromServer>(bytes, false);
        let header = |fin, length| FrameHeader {
            fin,
            opcode: Opcode::Text,
            compressed: false,
            mask: [0; 4],
            length,
        };
        assert_eq!(parse(b"\x81\x05Hello"), Ok(Some((header(true, 5), 2))));
        assert_eq!(parse(b"\x01\x03"), Ok(Some((header(false, 3), 2))));
        assert_eq!(parse(b"\x81\x7e\x01\x00"), Ok(Some((header(true, 256), 4))));
        assert_eq!(parse(b"\x81\x7f\0\0\0\0\0\x01\0\0"), Ok(Some((header(true, 65536), 10))));
        assert_eq!(parse(b"\x81\x7e\x00\x7d"), Err(Violation::NonMinimalLength));
        assert_eq!(parse(b"\x81\x7e\x00"), Ok(None));
        assert_eq!(parse(b"\x81\x85"), Err(Violation::Masked));
    }

    #[test]
    fn a_header_cut_anywhere_is_not_complete() {
        let bytes = header(0x82, &[0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        for end in 0..bytes.len() {
            assert_eq!(FrameHeader::parse::<FromClient>(&bytes[..end], true), Ok(None), "{end}");
        }
    }

    #[test]
    fn a_header_that_breaks_a_rule_is_a_violation() {
        let cases: [(u8, &[u8], Violation); 9] = [
            (0xc1, &[0x80], Violation::ReservedBits),
            (0xa1, &[0x80], Violation::ReservedBits),
            (0x91, &[0x80], Violation::ReservedBits),
            (0x83, &[0x80], Violation::ReservedOpcode(3)),
            (0x8b, &[0x80], Violation::ReservedOpcode(11)),
            (0x81, &[0x00], Violation::Unmasked),
            (0x09, &[0x80], Violation::FragmentedControl),
            (0x89, &[0x80 | 126, 0, 126], Violation::LongControl),
            (0x81, &[0x80 | 126, 0, 125], Violation::NonMinimalLength),
        ];
        for (first, length, violation) in cases {
            assert_eq!(
                FrameHeader::parse::<FromClient>(&header(first, length), false),
                Err(violation)
            );
        }
        let long = [0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
        assert_eq!(
            FrameHeader::parse::<FromClient>(&header(0x81, &long), false),
            Err(Violation::NonMinimalLength)
        );
        let top = [0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(
            FrameHeader::parse::<FromClient>(&header(0x81, &top), false),
            Err(Violation::LengthTopBit)
        );
    }

    #[test]
    fn rsv1_means_something_on_the_first_frame_of_a_message_only() {
        let compressed = |first| {
            let parsed = FrameHeader::parse::<FromClient>(&header(first, &[0x80]), true);
            parsed.map(|parsed| parsed.is_some_and(|(header, _)| header.compressed))
        };
        assert_eq!(
            (compressed(0xc1), compressed(0x42), compressed(0x81)),
            (Ok(true), Ok(true), Ok(false))
        );
        for first in [0xc0, 0xc8, 0xc9, 0xca, 0xa1, 0x91, 0xe1] {
            assert_eq!(compressed(first), Err(Violation::ReservedBits), "{first:x}");
        }
    }
}
