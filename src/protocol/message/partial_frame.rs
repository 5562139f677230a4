//! A frame with an incomplete payload.

use std::mem;

use crate::protocol::frame::{Opcode, apply_mask, rotate_mask};

/// A frame whose header has arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct PartialFrame {
    pub(super) fin: bool,
    pub(super) opcode: Opcode,
    pub(super) compressed: bool,
    /// The mask, rotated for the next byte.
    pub(super) mask: [u8; 4],
    /// The number of bytes of the payload that have not arrived.
    pub(super) remaining: u64,
}

impl PartialFrame {
    /// Takes the part of the payload that has arrived off `input`, and unmasks it.
    pub(super) fn take_payload<'a>(&mut self, input: &mut &'a mut [u8]) -> &'a mut [u8] {
        let (piece, mask) = self.take_masked(input);
        apply_mask(piece, mask);
        piece
    }

    /// Takes the part of the payload that has arrived off `input`, and returns it with its mask.
    pub(super) fn take_masked<'a>(&mut self, input: &mut &'a mut [u8]) -> (&'a mut [u8], [u8; 4]) {
        let size = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(input.len());
        let mask = self.mask;
        self.mask = rotate_mask(mask, size);
        self.remaining -= size as u64;
        (take(input, size), mask)
    }
}

/// Takes the first `size` bytes off `input`.
pub(super) fn take<'a>(input: &mut &'a mut [u8], size: usize) -> &'a mut [u8] {
    let (piece, rest) = mem::take(input).split_at_mut(size);
    *input = rest;
    piece
}
