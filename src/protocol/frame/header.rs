//! The headers of frames (RFC 6455, section 5.2).

use std::fmt::Debug;

use super::opcode::{FIN, MAX_CONTROL_BYTES, Opcode, RSV1};
use crate::protocol::violation::Violation;

/// The maximum size in bytes of a header: two, eight for the length, and four for the mask.
pub const MAX_HEADER_BYTES: usize = 14;

pub(super) const MASKED: u8 = 0x80;
const RESERVED: u8 = 0x70;
const LENGTH: u8 = 0x7f;

/// The role of the endpoint that sends a frame.
pub trait Sender: Debug {
    /// Parses the usual header: a data frame without reserved bits, and with a length of 7 or 16 bits. It
    /// may return `None` for any other header, and for one with which `bytes` end.
    fn parse_usual(bytes: &[u8]) -> Option<(FrameHeader, usize)>;

    /// Checks whether a frame has a mask.
    ///
    /// # Errors
    /// A frame from a client without one, or a frame from a server with one.
    fn check_mask(is_masked: bool) -> Result<(), Violation>;

    /// The masking key at the start of `bytes`, and the bytes after it; `None` if it is incomplete.
    fn parse_mask(bytes: &[u8]) -> Option<([u8; 4], &[u8])>;
}

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
    pub(super) fn parse_any<S: Sender>(
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
