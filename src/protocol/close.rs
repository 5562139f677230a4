//! Close codes and close frames (RFC 6455, sections 5.5.1 and 7.4).

use std::fmt;

use super::frame::{self, Opcode};
use super::violation::Violation;

/// A status code that may be sent in a close frame: 1000 to 1003, 1007 to 1014, or 3000 to 4999
/// (RFC 6455, section 7.4, and the IANA registry that it made).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection has been fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server goes down, or a browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: the peer sent a type of data that is not accepted.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1007: the data of a message is not of its type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: the message violates the server's policy.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: the message is too big to process.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// 1011: the server met an unexpected condition.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the server restarts (IANA registry).
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: try again later (IANA registry).
    pub const TRY_AGAIN_LATER: Self = Self(1013);

    /// The code of this number, or `None` if it must not be sent.
    pub fn new(code: u16) -> Option<Self> {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999).then_some(Self(code))
    }

    /// The number of this code.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The contents of a peer's close frame, if it is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// Why the peer closes.
    pub code: CloseCode,
    /// The reason, at most 123 bytes, possibly empty.
    pub reason: String,
}

impl CloseFrame {
    /// Reads the payload of a close frame; `None` if it is empty.
    ///
    /// # Errors
    /// A code without its second byte, a code that must not be sent, a reason that is not UTF-8.
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

/// The most bytes that a reason may have: a control frame's 125, less the code's two.
const MAX_REASON_BYTES: usize = frame::MAX_CONTROL_BYTES - 2;

/// Appends a close frame to `out`. A reason that does not fit is cut at a character.
pub fn encode_close(code: CloseCode, reason: &str, out: &mut Vec<u8>) {
    let reason = &reason[..reason.floor_char_boundary(MAX_REASON_BYTES)];
    frame::encode_header(Opcode::Close, 2 + reason.len(), out);
    out.extend_from_slice(&code.get().to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_must_not_be_sent_are_not_made() {
        let forbidden = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535];
        for code in forbidden {
            assert_eq!(CloseCode::new(code), None, "{code}");
        }
        for code in [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999] {
            assert_eq!(CloseCode::new(code).map(CloseCode::get), Some(code));
        }
    }

    #[test]
    fn a_frame_says_code_and_reason_or_nothing() {
        assert_eq!(CloseFrame::parse(b""), Ok(None));
        let frame = CloseFrame { code: CloseCode::NORMAL, reason: "Bye!".into() };
        assert_eq!(CloseFrame::parse(b"\x03\xe8Bye!"), Ok(Some(frame)));
    }

    #[test]
    fn a_broken_frame_is_a_violation() {
        assert_eq!(CloseFrame::parse(b"\x03"), Err(Violation::TruncatedCloseCode));
        assert_eq!(CloseFrame::parse(b"\x03\xed"), Err(Violation::InvalidCloseCode(1005)));
        assert_eq!(CloseFrame::parse(b"\x03\xe8\xff"), Err(Violation::InvalidCloseReason));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let mut out = Vec::new();
        encode_close(CloseCode::NORMAL, &"ä".repeat(100), &mut out);
        assert_eq!(out[1], 124, "61 whole characters of two bytes, and the code");
        let frame = CloseFrame::parse(&out[2..]).unwrap().unwrap();
        assert_eq!(frame.reason, "ä".repeat(61));
    }
}
