//! The two roles, as far as the frames that they send differ (RFC 6455, section 5.1).

use std::fmt::Debug;

use super::header::{FrameHeader, MASKED};
use super::opcode::{FIN, Opcode};
use crate::protocol::violation::Violation;

/// The length that stands for one of 16 bits (RFC 6455, section 5.2).
const LENGTH_16: u8 = 126;

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
