//! What connections share because they are served one after another.

use std::borrow::Cow;
use std::mem;

use super::incoming::Incoming;
use crate::protocol::deflate::Inflater;

/// How many bytes of a message must have arrived together before it gets a long buffer. A client that
/// only announces a long message gets none.
const MUCH_BYTES: usize = 16 << 10;

/// The smallest size in bytes of a buffer that is kept: the allocator itself keeps smaller ones. A
/// message of 64 KiB comes in two reads, in a buffer that has doubled.
const LONG_BYTES: usize = 64 << 10;

/// The most bytes that are kept, enough for the messages that are under way at once on a busy server.
const MAX_BYTES: usize = 64 << 20;

/// An inflater for the messages of all connections, and the buffers of long messages. New memory from
/// the system is slow at its first touch: for a message of one mebibyte, that costs as much as
/// everything else.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) inflater: Inflater,
    buffers: Vec<Vec<u8>>,
    /// The bytes that the kept buffers can hold.
    held: usize,
    /// How many of them, counted from the first, have not been needed since [`trim`](Self::trim).
    idle: usize,
    /// Whether the last owned message was put together in a buffer that can be used again. The buffer
    /// that a message was inflated into is not.
    pub(super) assembled: bool,
}

impl Scratch {
    /// Takes the buffer of a message that is finished with, for a later one.
    pub fn recycle(&mut self, incoming: Incoming<'_>) {
        let mut buffer = match incoming {
            Incoming::Text(Cow::Owned(text)) => text.into_bytes(),
            Incoming::Binary(Cow::Owned(bytes)) => bytes,
            _ => return,
        };
        let fits = self.held + buffer.capacity() <= MAX_BYTES;
        if mem::take(&mut self.assembled) && buffer.capacity() >= LONG_BYTES && fits {
            self.held += buffer.capacity();
            buffer.clear();
            self.buffers.push(buffer);
        }
    }

    /// A long buffer, if there is one and this many bytes justify it.
    pub(super) fn take_buffer(&mut self, arrived: usize) -> Option<Vec<u8>> {
        let buffer = self.buffers.pop_if(|_| arrived >= MUCH_BYTES)?;
        self.held -= buffer.capacity();
        self.idle = self.idle.min(self.buffers.len());
        Some(buffer)
    }

    /// Gives back the buffers that have not been needed since the last call.
    pub fn trim(&mut self) {
        let idle = self.buffers.drain(..self.idle);
        self.held -= idle.map(|buffer| buffer.capacity()).sum::<usize>();
        self.idle = self.buffers.len();
    }

    /// The memory in bytes that is kept for messages to come.
    pub fn held_bytes(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::protocol::deflate::Inflation;
    use crate::protocol::message::Receiver;
    use crate::protocol::{Deflater, Limits};

    /// A scratch that was given buffers of these sizes.
    fn with_buffers<const N: usize>(sizes: [usize; N]) -> Scratch {
        let mut scratch = Scratch::default();
        for size in sizes {
            scratch.assembled = true;
            scratch.recycle(Incoming::Text(String::with_capacity(size).into()));
        }
        scratch
    }

    #[test]
    fn long_buffers_are_used_again_by_those_who_send_much() {
        let mut scratch = with_buffers([LONG_BYTES, LONG_BYTES - 1]);
        assert_eq!(scratch.take_buffer(MUCH_BYTES - 1), None);
        let buffer = scratch.take_buffer(MUCH_BYTES).unwrap();
        assert_eq!((buffer.capacity(), buffer.len()), (LONG_BYTES, 0));
        assert_eq!(scratch.take_buffer(MUCH_BYTES), None);
    }

    #[test]
    fn what_was_not_put_together_is_not_kept() {
        let mut scratch = Scratch::default();
        scratch.recycle(Incoming::Binary(Vec::with_capacity(LONG_BYTES).into()));
        assert_eq!(scratch.held_bytes(), 0);
    }

    #[test]
    fn what_a_message_was_inflated_into_is_not_kept() {
        let (mut scratch, mut compressed) = (with_buffers([LONG_BYTES]), Vec::new());
        Deflater::new(6, 15).deflate(&vec![0; 2 * LONG_BYTES], &mut compressed);
        let length = compressed.len() as u16;
        let head = [&[0xc2, 0x80 | 126], &length.to_be_bytes()[..], &[0; 4]].concat();
        let mut receiver = Receiver::new(Arc::new(Limits::default()), Inflation::Independent);
        for pieces in [vec![head.len() + compressed.len()], vec![20, usize::MAX]] {
            let mut frame = [&head[..], &compressed].concat();
            let (mut rest, mut received) = (&mut frame[..], None);
            for size in pieces {
                let (mut piece, behind) = rest.split_at_mut(size.min(rest.len()));
                received = receiver.receive_any(&mut piece, &mut scratch).unwrap();
                rest = behind;
            }
            scratch.recycle(received.expect("a message"));
            assert_eq!(scratch.held_bytes(), LONG_BYTES);
        }
    }

    #[test]
    fn of_the_message_before_nothing_is_left() {
        let mut scratch = Scratch::default();
        let mut receiver = Receiver::new(Arc::new(Limits::default()), Inflation::Off);
        for (byte, length) in [(b'a', 2 * LONG_BYTES), (b'b', LONG_BYTES), (b'c', LONG_BYTES + 1)] {
            let payload = vec![byte; length];
            // A mask of zeros, and the length in its longest form.
            let length = (length as u64).to_be_bytes();
            let mut frame = [&[0x82, 0xff], &length[..], &[0; 4], &payload].concat();
            let (mut first, mut rest) = frame.split_at_mut(MUCH_BYTES + 14);
            assert_eq!(receiver.receive_any(&mut first, &mut scratch), Ok(None));
            let message = receiver.receive_any(&mut rest, &mut scratch).unwrap().unwrap();
            assert!(message == Incoming::Binary(payload.into()), "{byte}");
            scratch.recycle(message);
            assert!(scratch.held >= 2 * LONG_BYTES, "it is the buffer of the first");
        }
        assert_eq!(scratch.buffers.len(), 1);
    }

    #[test]
    fn what_is_not_needed_between_two_looks_is_given_back() {
        let mut scratch = with_buffers([LONG_BYTES; 3]);
        scratch.trim();
        assert_eq!(scratch.held_bytes(), 3 * LONG_BYTES);
        let buffer = scratch.take_buffer(MUCH_BYTES).unwrap();
        scratch.assembled = true;
        scratch.recycle(Incoming::Binary(buffer.into()));
        scratch.trim();
        assert_eq!(scratch.held_bytes(), LONG_BYTES);
        scratch.trim();
        assert_eq!(scratch.held_bytes(), 0);
    }

    #[test]
    fn so_many_are_kept() {
        let mut scratch = with_buffers([MAX_BYTES / 2; 3]);
        assert_eq!(scratch.held, MAX_BYTES);
        assert!(scratch.take_buffer(MUCH_BYTES).is_some());
        assert_eq!(scratch.held, MAX_BYTES / 2);
    }
}
