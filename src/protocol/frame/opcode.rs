//! Opcodes, and the other bits of a frame's first byte (RFC 6455, section 5.2).

use crate::protocol::violation::Violation;

/// The maximum payload of a control frame in bytes (RFC 6455, section 5.5).
pub const MAX_CONTROL_BYTES: usize = 125;

pub(super) const FIN: u8 = 0x80;
pub(super) const RSV1: u8 = 0x40;
pub(super) const CONTROL: u8 = 0x08;

/// The type of a frame (RFC 6455, section 5.2).
///
/// ```
/// use townhall::protocol::{Message, Opcode};
///
/// assert_eq!(Message::Text("hello").opcode(), Opcode::Text);
/// assert!(Opcode::Ping.is_control() && !Opcode::Continuation.is_control());
/// assert_eq!(Opcode::Pong as u8, 0xa);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// A close frame.
    Close = 0x8,
    /// A ping.
    Ping = 0x9,
    /// A pong.
    Pong = 0xa,
}

impl Opcode {
    /// The opcode with these four bits.
    pub(super) fn from_bits(bits: u8) -> Result<Self, Violation> {
        Ok(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            // "If an unknown opcode is received, the receiving endpoint MUST _Fail the
            // WebSocket Connection_."
            _ => return Err(Violation::ReservedOpcode(bits)),
        })
    }

    /// Whether this is a close, a ping or a pong (RFC 6455, section 5.5).
    pub fn is_control(self) -> bool {
        self as u8 & CONTROL != 0
    }
}
