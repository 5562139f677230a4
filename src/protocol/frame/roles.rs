//! The frames of each role (RFC 6455, section 5.1).

use super::header::{FrameHeader, MASKED, Sender};
use super::opcode::{FIN, Opcode};
use crate::protocol::violation::Violation;

/// The length that stands for one of 16 bits (RFC 6455, section 5.2).
const LENGTH_16: u8 = 126;

/// Frames from a client, which are masked.
#[derive(Debug)]
pub enum FromClient {}

impl Sender for FromClient {
    #[inline]
    fn parse_usual(bytes: &[u8]) -> Option<(FrameHeader, usize)> {
        let word = u64::from_le_bytes(*bytes.first_chunk()?);
        let [first, second, ..] = word.to_le_bytes();
        let (fin, opcode) = data_frame(first)?;
        let (length, mask, size) = match second ^ MASKED {
            short @ 0..=125 => (short.into(), word >> 16, 6),
            LENGTH_16 => (((word >> 16) as u16).swap_bytes(), word >> 32, 8),
            _ => return None,
        };
        if size == 8 && length < 126 {
            return None;
        }
        let mask = (mask as u32).to_le_bytes();
        let length = length.into();
        Some((FrameHeader { fin, opcode, compressed: false, mask, length }, size))
    }

    /// "The server MUST close the connection upon receiving a frame that is not masked."
    fn check_mask(is_masked: bool) -> Result<(), Violation> {
        if is_masked { Ok(()) } else { Err(Violation::Unmasked) }
    }

    fn parse_mask(bytes: &[u8]) -> Option<([u8; 4], &[u8])> {
        bytes.split_first_chunk().map(|(&mask, rest)| (mask, rest))
    }
}

/// Frames from a server, which are not masked.
#[cfg(feature = "client")]
#[derive(Debug)]
pub enum FromServer {}

#[cfg(feature = "client")]
impl Sender for FromServer {
    #[inline]
    fn parse_usual(bytes: &[u8]) -> Option<(FrameHeader, usize)> {
        let &[first, second, high, low] = bytes.first_chunk()?;
        let (fin, opcode) = data_frame(first)?;
        let (length, size) = match second {
            0..=125 => (second.into(), 2),
            LENGTH_16 => (u16::from_be_bytes([high, low]), 4),
            _ => return None,
        };
        let header =
            FrameHeader { fin, opcode, compressed: false, mask: [0; 4], length: length.into() };
        (size == 2 || length >= 126).then_some((header, size))
    }

    /// "A client MUST close a connection if it detects a masked frame."
    fn check_mask(is_masked: bool) -> Result<(), Violation> {
        if is_masked { Err(Violation::Masked) } else { Ok(()) }
    }

    fn parse_mask(bytes: &[u8]) -> Option<([u8; 4], &[u8])> {
        Some(([0; 4], bytes))
    }
}

/// FIN and the opcode of a data frame without reserved bits.
#[inline(always)]
fn data_frame(first: u8) -> Option<(bool, Opcode)> {
    let opcode = match first & !FIN {
        0x0 => Opcode::Continuation,
        0x1 => Opcode::Text,
        0x2 => Opcode::Binary,
        _ => return None,
    };
    Some((first & FIN != 0, opcode))
}

#[cfg(test)]
mod tests {
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
