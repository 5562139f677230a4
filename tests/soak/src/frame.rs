//! Frames (RFC 6455, section 5.2), as far as a client of townhall needs them.

use crate::Failure;

/// The bit of the last frame of a message.
pub const FIN: u8 = 0x80;
/// The bit of a compressed message (RFC 7692, section 6).
pub const RSV1: u8 = 0x40;
/// The bits that nothing that is negotiated here gives a meaning.
const RSV2_RSV3: u8 = 0x30;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xa;

/// The bit of a masked frame, in the second byte.
const MASKED: u8 = 0x80;

/// More than townhall is ever asked to send: a length that is a misunderstanding.
const LONGEST: u64 = 1 << 20;

/// A frame as a client sends it, with a mask.
pub fn encode(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(MASKED | length as u8),
        length @ 126..=0xffff => {
            frame.push(MASKED | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(MASKED | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A frame from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub opcode: u8,
    pub compressed: bool,
    pub payload: &'a [u8],
    /// How many bytes the frame has, its head included.
    pub size: usize,
}

impl<'a> Frame<'a> {
    /// The frame that `bytes` begin with, if all of it is there.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<Self>, Failure> {
        let Some((first, head, length)) = parse_head(bytes) else { return Ok(None) };
        if first & RSV2_RSV3 != 0 || first & FIN == 0 || bytes[1] & MASKED != 0 || length > LONGEST
        {
            return Err(format!("a frame begins with {:02x?}", &bytes[..head]).into());
        }
        let size = head + length as usize;
        let payload = bytes.get(head..size);
        let opcode = first & 0xf;
        let compressed = first & RSV1 != 0;
        Ok(payload.map(|payload| Self { opcode, compressed, payload, size }))
    }

    /// The code and the reason of a close frame (section 5.5.1); 1005 where it has none.
    pub fn close_code(&self) -> (u16, String) {
        match self.payload {
            [high, low, reason @ ..] => {
                (u16::from_be_bytes([*high, *low]), String::from_utf8_lossy(reason).into_owned())
            }
            _ => (1005, String::new()),
        }
    }
}

/// The first byte of a frame, the length of its head, and that of its payload.
fn parse_head(bytes: &[u8]) -> Option<(u8, usize, u64)> {
    let &first = bytes.first()?;
    let &second = bytes.get(1)?;
    Some(match second & !MASKED {
        126 => (first, 4, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (first, 10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
        length => (first, 2, u64::from(length)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same frame without its mask, as a server sends it.
    fn from_server(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = encode(first, payload, [0; 4]);
        let mask = frame.len() - payload.len() - 4;
        frame.drain(mask..mask + 4);
        frame[1] &= !MASKED;
        frame
    }

    #[test]
    fn a_frame_is_parsed_once_it_is_whole() {
        for length in [0, 1, 125, 126, 0xffff, 0x1_0000] {
            let payload = vec![7; length];
            let bytes = from_server(FIN | RSV1 | TEXT, &payload);
            let size = bytes.len();
            let whole = Frame { opcode: TEXT, compressed: true, payload: &payload, size };
            assert_eq!(Frame::parse(&bytes).unwrap(), Some(whole));
            assert_eq!(Frame::parse(&bytes[..size - 1]).unwrap(), None);
        }
    }

    #[test]
    fn what_no_server_of_ours_may_send_is_a_failure() {
        assert!(Frame::parse(&[TEXT, 0]).is_err());
        assert!(Frame::parse(&[FIN | RSV2_RSV3 | TEXT, 0]).is_err());
        assert!(Frame::parse(&encode(FIN | TEXT, b"x", [0; 4])).is_err());
        assert!(Frame::parse(&[FIN | TEXT, 127, 255, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn a_mask_is_applied() {
        assert_eq!(encode(FIN | TEXT, b"ab", [1, 0, 0, 0]), b"\x81\x82\x01\0\0\0\x60b");
    }

    #[test]
    fn a_close_frame_has_a_code_and_a_reason() {
        let bytes = from_server(FIN | CLOSE, b"\x03\xe9bye");
        let frame = Frame::parse(&bytes).unwrap().unwrap();
        assert_eq!(frame.close_code(), (1001, "bye".into()));
        let bytes = from_server(FIN | CLOSE, b"");
        assert_eq!(Frame::parse(&bytes).unwrap().unwrap().close_code().0, 1005);
    }
}
