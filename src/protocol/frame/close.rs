//! Close frames (RFC 6455, section 5.5.1).

use super::opcode::MAX_CONTROL_BYTES;
use crate::protocol::close_code::CloseCode;
use crate::protocol::violation::Violation;

/// The contents of a close frame from the peer that is not empty.
///
/// ```
/// use townhall::protocol::{CloseCode, CloseFrame};
///
/// let frame = CloseFrame::parse(b"\x03\xe8goodbye")?.expect("a code");
/// assert_eq!(frame.code, CloseCode::NORMAL);
/// assert_eq!(frame.reason, "goodbye");
/// # Ok::<(), townhall::protocol::Violation>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CloseFrame {
    /// The close code.
    pub code: CloseCode,
    /// The reason, at most 123 bytes, possibly empty.
    pub reason: String,
}

impl CloseFrame {
    /// Parses the payload of a close frame; `None` if it is empty.
    ///
    /// # Errors
    /// A code without its second byte, a code that must not be sent, or a reason that is not UTF-8.
    pub fn parse(payload: &[u8]) -> Result<Option<Self>, Violation> {
        let Some((code, reason)) = payload.split_first_chunk::<2>() else {
            // 5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte
            // unsigned integer".
            return if payload.is_empty() { Ok(None) } else { Err(Violation::TruncatedCloseCode) };
        };
        let number = u16::from_be_bytes(*code);
        let code = CloseCode::new(number).ok_or(Violation::InvalidCloseCode(number))?;
        let reason = std::str::from_utf8(reason).map_err(|_| Violation::InvalidCloseReason)?;
        Ok(Some(Self { code, reason: reason.to_owned() }))
    }
}

/// The maximum length of a reason in bytes: 125 for a control frame, less two for the code.
const MAX_REASON_BYTES: usize = MAX_CONTROL_BYTES - 2;

/// The payload of a close frame. A reason that does not fit is cut at a character boundary.
pub(crate) fn close_payload(code: CloseCode, reason: &str) -> Vec<u8> {
    let reason = &reason[..reason.floor_char_boundary(MAX_REASON_BYTES)];
    [&code.get().to_be_bytes(), reason.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_a_code_and_a_reason_or_nothing() {
        assert_eq!(CloseFrame::parse(b""), Ok(None));
        let frame = CloseFrame { code: CloseCode::NORMAL, reason: "Bye!".into() };
        assert_eq!(CloseFrame::parse(b"\x03\xe8Bye!"), Ok(Some(frame)));
    }

    #[test]
    fn a_malformed_frame_is_a_violation() {
        assert_eq!(CloseFrame::parse(b"\x03"), Err(Violation::TruncatedCloseCode));
        assert_eq!(CloseFrame::parse(b"\x03\xed"), Err(Violation::InvalidCloseCode(1005)));
        assert_eq!(CloseFrame::parse(b"\x03\xe8\xff"), Err(Violation::InvalidCloseReason));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let payload = close_payload(CloseCode::NORMAL, &"ä".repeat(100));
        assert_eq!(payload.len(), 124, "61 whole characters of two bytes, and the code");
        let frame = CloseFrame::parse(&payload).unwrap().unwrap();
        assert_eq!(frame.reason, "ä".repeat(61));
    }
}
