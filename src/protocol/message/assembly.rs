//! The assembly of a message from pieces.

use super::buffers::Buffers;
use super::partial_frame::PartialFrame;
use super::utf8::TextAssembly;
use crate::protocol::frame::{FrameHeader, Opcode, SHORT_BYTES, append_unmasked, apply_mask};
use crate::protocol::limits::Limits;
use crate::protocol::violation::Violation;

/// The initial size in bytes of the buffer for a message, so that it does not grow with each short
/// fragment.
const FIRST_BYTES: usize = 256;

/// A message that did not arrive in one piece.
#[derive(Debug)]
pub(super) struct Assembly {
    pub(super) content: Content,
    fragments: u32,
}

#[derive(Debug)]
pub(super) enum Content {
    Text(TextAssembly),
    Binary(Vec<u8>),
    /// The part of a compressed message with this opcode that has arrived. It is inflated once it is
    /// complete, so that an incomplete message costs no more than the bytes that were sent.
    Compressed(Opcode, Vec<u8>),
}

impl Assembly {
    /// An assembly for a message that begins with a frame of which `arrived` bytes have arrived.
    pub(super) fn new(frame: &PartialFrame, arrived: usize, buffers: &mut Buffers) -> Self {
        // Compressed input is short, and is inflated into another buffer.
        let buffer = if frame.compressed { None } else { buffers.take(arrived) };
        let buffer = buffer.unwrap_or_else(|| Vec::with_capacity(FIRST_BYTES));
        let content = match frame.opcode {
            opcode if frame.compressed => Content::Compressed(opcode, buffer),
            Opcode::Text => Content::Text(TextAssembly::with(buffer)),
            _ => Content::Binary(buffer),
        };
        Self { content, fragments: 1 }
    }

    pub(super) fn len(&self) -> usize {
        match &self.content {
            Content::Text(text) => text.len(),
            Content::Binary(bytes) | Content::Compressed(_, bytes) => bytes.len(),
        }
    }

    /// Checks that another fragment is allowed, and fits.
    pub(super) fn admit(&mut self, header: &FrameHeader, limits: &Limits) -> Result<(), Violation> {
        self.fragments = self.fragments.saturating_add(1);
        if self.fragments > limits.max_fragments {
            return Err(Violation::TooManyFragments);
        }
        let compressed = matches!(self.content, Content::Compressed(..));
        check_length(self.len(), header.length, compressed, limits)
    }

    pub(super) fn capacity(&self) -> usize {
        match &self.content {
            Content::Text(text) => text.capacity(),
            Content::Binary(bytes) | Content::Compressed(_, bytes) => bytes.capacity(),
        }
    }

    /// Adds the next piece, which is masked.
    #[inline(always)]
    pub(super) fn push_masked(&mut self, piece: &mut [u8], mask: [u8; 4]) -> Result<(), Violation> {
        match &mut self.content {
            Content::Text(text) => text.push_masked(piece, mask)?,
            Content::Binary(bytes) | Content::Compressed(_, bytes) => {
                if piece.len() < SHORT_BYTES {
                    append_unmasked(piece, mask, bytes);
                } else {
                    apply_mask(piece, mask);
                    bytes.extend_from_slice(piece);
                }
            }
        }
        Ok(())
    }
}

/// Checks that a message of `before` bytes may have this many more. The latter are fewer than 2^63, and
/// the former fit in memory, so the sum cannot overflow.
pub(super) fn check_length(
    before: usize,
    length: u64,
    compressed: bool,
    limits: &Limits,
) -> Result<(), Violation> {
    let max = limits.max_message_bytes;
    let max = if compressed { max_compressed_bytes(max) } else { max };
    if before as u64 + length > max as u64 { Err(Violation::MessageTooBig) } else { Ok(()) }
}

/// The maximum size in bytes of a message in compressed form. It can be longer than the message: DEFLATE
/// adds a little to incompressible data, and a flush for each fragment adds more.
fn max_compressed_bytes(max_message_bytes: usize) -> usize {
    max_message_bytes.saturating_add(max_message_bytes / 8).saturating_add(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compressed_message_may_be_somewhat_longer_than_the_limit() {
        let limits = Limits { max_message_bytes: 80_001, ..Limits::default() };
        for (compressed, max) in [(false, 80_001), (true, 80_001 + 10_000 + 1_024)] {
            let check = |length: u64| check_length(1_000, length - 1_000, compressed, &limits);
            assert_eq!(check(max), Ok(()));
            assert_eq!(check(max + 1), Err(Violation::MessageTooBig));
        }
    }
}
