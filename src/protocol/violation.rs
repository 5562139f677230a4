//! Violations of the protocol after the handshake, and the close codes that answer them.

use std::fmt;

use super::close_code::CloseCode;

/// A violation of the rules for frames and messages, after the handshake.
///
/// Its text is the reason in the close frame that answers it.
///
/// ```
/// use townhall::protocol::{CloseCode, Violation};
///
/// assert_eq!(Violation::MessageTooBig.close_code(), CloseCode::MESSAGE_TOO_BIG);
/// assert_eq!(Violation::MessageTooBig.to_string(), "message too big");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Violation {
    /// A reserved bit is set without a negotiated extension that defines it (RFC 6455, section 5.2; RFC
    /// 7692, section 6.1).
    ReservedBits,
    /// The opcode, 3 to 7 or 11 to 15, is reserved (RFC 6455, section 5.2).
    ReservedOpcode(u8),
    /// A frame from a client without a mask (RFC 6455, section 5.1).
    Unmasked,
    /// A frame from a server with a mask (RFC 6455, section 5.1).
    Masked,
    /// A control frame without FIN (RFC 6455, section 5.5).
    FragmentedControl,
    /// A control frame of more than 125 bytes (RFC 6455, section 5.5).
    LongControl,
    /// A length that is encoded in more bytes than it needs (RFC 6455, section 5.2).
    NonMinimalLength,
    /// A 64-bit length with its top bit set (RFC 6455, section 5.2).
    LengthTopBit,
    /// A continuation frame with nothing to continue (RFC 6455, section 5.4).
    UnexpectedContinuation,
    /// A new message inside an incomplete one (RFC 6455, section 5.4).
    InterruptedMessage,
    /// Text that is not UTF-8 (RFC 6455, section 8.1).
    InvalidUtf8,
    /// Compressed data that is not DEFLATE (RFC 7692, section 7.2.2).
    InvalidDeflate,
    /// A compressed message that refers to an earlier one, although its sender agreed to keep no
    /// context (RFC 7692, section 7.1.1).
    NoContext,
    /// A compressed message that refers to data before its sender's window (RFC 7692, section 7.1.2), or
    /// before the first message.
    OutsideWindow,
    /// A compressed message that consists of too many DEFLATE streams (RFC 7692, section 7.2.3.4).
    TooManyDeflateStreams,
    /// A message longer than the configured limit (RFC 6455, section 10.4).
    MessageTooBig,
    /// More fragments in one message than the configured limit (RFC 6455, section 10.4).
    TooManyFragments,
    /// A close frame whose payload is a single byte (RFC 6455, section 5.5.1).
    TruncatedCloseCode,
    /// A close code that must not be sent (RFC 6455, section 7.4).
    InvalidCloseCode(u16),
    /// A close reason that is not UTF-8 (RFC 6455, section 5.5.1).
    InvalidCloseReason,
}

impl Violation {
    /// The code of the close frame that answers this violation (RFC 6455, section 7.4.1).
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::InvalidUtf8
            | Self::InvalidDeflate
            | Self::NoContext
            | Self::OutsideWindow
            | Self::InvalidCloseReason => CloseCode::INVALID_PAYLOAD,
            Self::MessageTooBig => CloseCode::MESSAGE_TOO_BIG,
            Self::TooManyFragments | Self::TooManyDeflateStreams => CloseCode::POLICY_VIOLATION,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// Whether this is a malformed close frame, after which the peer sends nothing (RFC 6455, section
    /// 5.5.1).
    pub(super) fn is_of_close_frame(self) -> bool {
        use Violation::{InvalidCloseCode, InvalidCloseReason, TruncatedCloseCode};
        matches!(self, TruncatedCloseCode | InvalidCloseCode(_) | InvalidCloseReason)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedBits => f.write_str("reserved bit set"),
            Self::ReservedOpcode(opcode) => write!(f, "reserved opcode {opcode}"),
            Self::Unmasked => f.write_str("frame not masked"),
            Self::Masked => f.write_str("frame masked"),
            Self::FragmentedControl => f.write_str("fragmented control frame"),
            Self::LongControl => f.write_str("control frame longer than 125 bytes"),
            Self::NonMinimalLength => f.write_str("frame length not in its shortest form"),
            Self::LengthTopBit => f.write_str("frame length out of range"),
            Self::UnexpectedContinuation => f.write_str("continuation frame without a message"),
            Self::InterruptedMessage => f.write_str("new message inside an unfinished one"),
            Self::InvalidUtf8 => f.write_str("invalid UTF-8 in a text message"),
            Self::InvalidDeflate => f.write_str("invalid compressed data"),
            Self::NoContext => f.write_str(
                "compressed message refers to an earlier one, despite the agreed no_context_takeover",
            ),
            Self::OutsideWindow => {
                f.write_str("compressed message refers back beyond the agreed window")
            }
            Self::TooManyDeflateStreams => f.write_str("too many DEFLATE streams in a message"),
            Self::MessageTooBig => f.write_str("message too big"),
            Self::TooManyFragments => f.write_str("too many fragments in a message"),
            Self::TruncatedCloseCode => f.write_str("truncated close code"),
            Self::InvalidCloseCode(code) => write!(f, "invalid close code {code}"),
            Self::InvalidCloseReason => f.write_str("invalid UTF-8 in a close reason"),
        }
    }
}

impl std::error::Error for Violation {}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455, section 7.4.1.
    #[test]
    fn each_violation_has_the_close_code_of_its_kind() {
        for (violation, code) in [
            (Violation::ReservedBits, 1002),
            (Violation::ReservedOpcode(3), 1002),
            (Violation::Unmasked, 1002),
            (Violation::Masked, 1002),
            (Violation::FragmentedControl, 1002),
            (Violation::LongControl, 1002),
            (Violation::NonMinimalLength, 1002),
            (Violation::LengthTopBit, 1002),
            (Violation::UnexpectedContinuation, 1002),
            (Violation::InterruptedMessage, 1002),
            (Violation::InvalidUtf8, 1007),
            (Violation::InvalidDeflate, 1007),
            (Violation::NoContext, 1007),
            (Violation::OutsideWindow, 1007),
            (Violation::TooManyDeflateStreams, 1008),
            (Violation::MessageTooBig, 1009),
            (Violation::TooManyFragments, 1008),
            (Violation::TruncatedCloseCode, 1002),
            (Violation::InvalidCloseCode(1005), 1002),
            (Violation::InvalidCloseReason, 1007),
        ] {
            assert_eq!(u16::from(violation.close_code()), code, "{violation}");
        }
    }

    #[test]
    fn every_text_fits_into_a_close_frame() {
        for violation in [
            Violation::NoContext,
            Violation::OutsideWindow,
            Violation::InvalidCloseCode(u16::MAX),
            Violation::ReservedOpcode(u8::MAX),
        ] {
            assert!(violation.to_string().len() <= 123, "{violation}");
        }
    }
}
