//! The inflater and the buffers that connections share, because they are served one after another.

use super::incoming::Incoming;
use crate::protocol::deflate::Inflater;

/// The number of bytes of a message that must have arrived together before it gets a long buffer. A
/// client that only declares a long message gets none.
const MIN_ARRIVED_BYTES: usize = 16 << 10;

/// The minimum size in bytes of a buffer that is kept, because the allocator itself keeps smaller ones.
/// A message of 64 KiB may arrive in two reads, in a buffer that has doubled.
const MIN_KEPT_BYTES: usize = 64 << 10;

/// The maximum number of bytes that are kept, enough for the messages that arrive at the same time on a
/// busy server.
const MAX_KEPT_BYTES: usize = 64 << 20;

/// The state that the connections of one thread share: an inflater, and the buffers of long messages.
///
/// The first access to new memory is slow: for a message of 1 MiB, it costs as much as everything else.
/// A caller can therefore give back the messages that it has handled with [`recycle`](Self::recycle),
/// and free the buffers that were not needed for a while with [`trim`](Self::trim). Neither is required.
///
/// ```
/// use townhall::protocol::{Buffers, Connection, Received};
///
/// /// Counts the messages in `input`.
/// fn count(connection: &mut Connection, mut input: &mut [u8], buffers: &mut Buffers) -> usize {
///     let mut count = 0;
///     while let Ok(Some(Received::Frames(incoming))) = connection.receive(&mut input, buffers) {
///         count += usize::from(incoming.message().is_some());
///         buffers.recycle(incoming);
///     }
///     count
/// }
///
/// let mut buffers = Buffers::default();
/// // And every few seconds:
/// buffers.trim();
/// assert_eq!(buffers.held_bytes(), 0);
/// # let _ = count;
/// ```
#[derive(Debug, Default)]
pub struct Buffers {
    pub(super) inflater: Inflater,
    kept: Vec<Vec<u8>>,
    /// The number of bytes that the kept buffers can hold.
    held: usize,
    /// The number of buffers, from the first, that have not been needed since [`trim`](Self::trim).
    idle: usize,
}

impl Buffers {
    /// Keeps the buffer of a message that has been handled for a later message, if it is a long one.
    pub fn recycle(&mut self, incoming: Incoming<'_>) {
        let Incoming::Message(message) = incoming else { return };
        if let Some(buffer) = message.into_assembly_buffer() {
            self.keep(buffer);
        }
    }

    fn keep(&mut self, mut buffer: Vec<u8>) {
        let fits = self.held + buffer.capacity() <= MAX_KEPT_BYTES;
        if fits && buffer.capacity() >= MIN_KEPT_BYTES {
            self.held += buffer.capacity();
            buffer.clear();
            self.kept.push(buffer);
        }
    }

    /// A kept buffer, if there is one, for a message of which at least [`MIN_ARRIVED_BYTES`] have
    /// arrived.
    pub(super) fn take(&mut self, arrived: usize) -> Option<Vec<u8>> {
        if arrived < MIN_ARRIVED_BYTES {
            return None;
        }
        let buffer = self.kept.pop()?;
        self.held -= buffer.capacity();
        self.idle = self.idle.min(self.kept.len());
        Some(buffer)
    }

    /// Frees the buffers that have not been needed since the last call.
    pub fn trim(&mut self) {
        let idle = self.kept.drain(..self.idle);
        self.held -= idle.map(|buffer| buffer.capacity()).sum::<usize>();
        self.idle = self.kept.len();
    }

    /// The memory in bytes that is kept for later messages.
    pub fn held_bytes(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::protocol::deflate::Inflation;
    use crate::protocol::frame::FromClient;
    use crate::protocol::message::Receiver;
    use crate::protocol::message::incoming::IncomingMessage;
    use crate::protocol::{Deflater, Limits};

    /// A `Buffers` that keeps buffers of these sizes.
    fn with_buffers<const N: usize>(sizes: [usize; N]) -> Buffers {
        let mut buffers = Buffers::default();
        for size in sizes {
            buffers.recycle(IncomingMessage::text(String::with_capacity(size)).into());
        }
        buffers
    }

    #[test]
    fn long_buffers_are_reused_for_messages_of_which_much_has_arrived() {
        let mut buffers = with_buffers([MIN_KEPT_BYTES, MIN_KEPT_BYTES - 1]);
        assert_eq!(buffers.take(MIN_ARRIVED_BYTES - 1), None);
        let buffer = buffers.take(MIN_ARRIVED_BYTES).unwrap();
        assert_eq!((buffer.capacity(), buffer.len()), (MIN_KEPT_BYTES, 0));
        assert_eq!(buffers.take(MIN_ARRIVED_BYTES), None);
    }

    #[test]
    fn the_buffer_of_an_inflated_message_is_not_kept() {
        let mut buffers = with_buffers([MIN_KEPT_BYTES]);
        let mut compressed = Vec::new();
        Deflater::new(6, 15).deflate(&vec![0; 2 * MIN_KEPT_BYTES], &mut compressed);
        let length = compressed.len() as u16;
        let head = [&[0xc2, 0x80 | 126], &length.to_be_bytes()[..], &[0; 4]].concat();
        let mut receiver =
            Receiver::<FromClient>::new(Arc::new(Limits::default()), Inflation::Independent);
        for pieces in [vec![head.len() + compressed.len()], vec![20, usize::MAX]] {
            let mut frame = [&head[..], &compressed].concat();
            let mut rest = &mut frame[..];
            let mut received = None;
            for size in pieces {
                let (mut piece, behind) = rest.split_at_mut(size.min(rest.len()));
                received = receiver.receive_any(&mut piece, &mut buffers).unwrap();
                rest = behind;
            }
            buffers.recycle(received.expect("a message"));
            assert_eq!(buffers.held_bytes(), MIN_KEPT_BYTES);
        }
    }

    #[test]
    fn nothing_of_the_previous_message_is_left_in_a_buffer() {
        let mut buffers = Buffers::default();
        let mut receiver = Receiver::<FromClient>::new(Arc::new(Limits::default()), Inflation::Off);
        for (byte, length) in
            [(b'a', 2 * MIN_KEPT_BYTES), (b'b', MIN_KEPT_BYTES), (b'c', MIN_KEPT_BYTES + 1)]
        {
            let payload = vec![byte; length];
            // A mask of zeros, and the length in its longest form.
            let length = (length as u64).to_be_bytes();
            let mut frame = [&[0x82, 0xff], &length[..], &[0; 4], &payload].concat();
            let (mut first, mut rest) = frame.split_at_mut(MIN_ARRIVED_BYTES + 14);
            assert_eq!(receiver.receive_any(&mut first, &mut buffers), Ok(None));
            let message = receiver.receive_any(&mut rest, &mut buffers).unwrap().unwrap();
            assert!(message == IncomingMessage::binary(payload).into(), "{byte}");
            buffers.recycle(message);
            assert!(buffers.held >= 2 * MIN_KEPT_BYTES, "it is the buffer of the first");
        }
        assert_eq!(buffers.kept.len(), 1);
    }

    #[test]
    fn buffers_that_were_not_needed_between_two_trims_are_freed() {
        let mut buffers = with_buffers([MIN_KEPT_BYTES; 3]);
        buffers.trim();
        assert_eq!(buffers.held_bytes(), 3 * MIN_KEPT_BYTES);
        let buffer = buffers.take(MIN_ARRIVED_BYTES).unwrap();
        buffers.recycle(IncomingMessage::binary(buffer).into());
        buffers.trim();
        assert_eq!(buffers.held_bytes(), MIN_KEPT_BYTES);
        buffers.trim();
        assert_eq!(buffers.held_bytes(), 0);
    }

    #[test]
    fn no_more_than_the_limit_is_kept() {
        let mut buffers = with_buffers([MAX_KEPT_BYTES / 2; 3]);
        assert_eq!(buffers.held, MAX_KEPT_BYTES);
        assert!(buffers.take(MIN_ARRIVED_BYTES).is_some());
        assert_eq!(buffers.held, MAX_KEPT_BYTES / 2);
    }
}
