//! Input after our close frame (RFC 6455, section 7.1.2): everything except the peer's close frame is
//! skipped.

use super::close::CloseFrame;
use super::header::Shape;
use super::mask::{apply_mask, rotate_mask};
use super::opcode::{MAX_CONTROL_BYTES, Opcode};

/// Waits for the peer's close frame.
///
/// Frames are skipped by their lengths, even if they are malformed: a peer that broke the protocol
/// considers its frames correct, and sends its close frame after them. If the lengths are wrong too, no
/// close frame is found.
#[derive(Debug, Default)]
pub(crate) struct Closing {
    /// The number of bytes of the frame that has begun that are still to be skipped.
    rest: u64,
    /// The bytes of an incomplete header or close frame.
    begun: Vec<u8>,
}

impl Closing {
    /// Starts in the middle of a frame of which `rest` bytes have not arrived.
    pub(crate) fn within_frame(rest: u64) -> Self {
        Self { rest, begun: Vec::new() }
    }

    /// Starts in the middle of a header.
    pub(crate) fn within_header(begun: Vec<u8>) -> Self {
        Self { rest: 0, begun }
    }

    /// Starts in the middle of a close frame whose payload so far has been unmasked. `mask` is rotated
    /// for the next byte.
    pub(crate) fn within_close(mut payload: Vec<u8>, mask: [u8; 4], rest: u64) -> Self {
        let length = payload.len() as u64 + rest;
        // The mask for the first byte, rotated back.
        let mask = rotate_mask(mask, 4 - payload.len() % 4);
        apply_mask(&mut payload, mask);
        let header = [0x80 | Opcode::Close as u8, 0x80 | length as u8];
        Self { rest: 0, begun: [&header[..], &mask, &payload].concat() }
    }

    /// Takes bytes off the front of `input` until the peer's close frame is complete, and returns its
    /// contents. A malformed one counts as empty, and nothing follows it either.
    pub(crate) fn receive(&mut self, input: &mut &mut [u8]) -> Option<Option<CloseFrame>> {
        loop {
            self.pass_over(input);
            let (&byte, _) = input.split_first()?;
            *input = &mut std::mem::take(input)[1..];
            self.begun.push(byte);
            if let Some(close) = self.look() {
                return Some(close);
            }
        }
    }

    fn pass_over(&mut self, input: &mut &mut [u8]) {
        let size = self.rest.min(input.len() as u64);
        *input = &mut std::mem::take(input)[size as usize..];
        self.rest -= size;
    }

    /// Handles the header of the next frame: a close frame is collected, any other is skipped.
    fn look(&mut self) -> Option<Option<CloseFrame>> {
        let Shape { opcode, mask, length, header } = Shape::of(&self.begun)?;
        if opcode != Opcode::Close as u8 {
            self.rest = length;
            self.begun.clear();
            return None;
        }
        if length > MAX_CONTROL_BYTES as u64 {
            return Some(None);
        }
        let payload = &mut self.begun[header..];
        (payload.len() as u64 == length).then(|| {
            apply_mask(payload, mask);
            CloseFrame::parse(payload).unwrap_or_default()
        })
    }

    /// The memory in bytes for an incomplete header or close frame.
    pub(crate) fn held_bytes(&self) -> usize {
        self.begun.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::close_code::CloseCode;

    /// A close frame with this length, and the payload that is there.
    fn receive(length: &[u8], payload: &[u8]) -> Option<Option<CloseFrame>> {
        let mut frame = [&[0x88], length, &[0; 4], payload].concat();
        Closing::default().receive(&mut &mut frame[..])
    }

    #[test]
    fn a_close_frame_has_125_bytes_at_most() {
        let reason = "a".repeat(123);
        let payload = [b"\x03\xe8", reason.as_bytes()].concat();
        let frame = CloseFrame { code: CloseCode::NORMAL, reason };
        assert_eq!(receive(&[0x80 | 125], &payload), Some(Some(frame)));
        assert_eq!(receive(&[0x80 | 125], &payload[1..]), None);
        assert_eq!(receive(&[0x80 | 126, 0, 126], b""), Some(None));
    }

    #[test]
    fn memory_is_held_for_a_frame_that_has_begun() {
        let mut closing = Closing::default();
        assert_eq!(closing.held_bytes(), 0);
        assert_eq!(closing.receive(&mut &mut [0x88, 0x80 | 125, 0, 0, 0, 0, 3][..]), None);
        assert!(closing.held_bytes() >= 7);
    }
}
