//! The memory for clients and for the logs of their rooms.

use crate::server::client::outbox::Outbox;
use crate::server::client::transport::Scratch;
use crate::server::limits::total::Total;
use crate::server::room::segment_pool::SegmentPool;
use crate::server::spares::{Buffer, Spares};

/// The maximum number of outboxes that are kept for reuse, over all clients, and the maximum size of
/// their buffers in bytes.
const MAX_SPARE_OUTBOXES: usize = 256;
const MAX_OUTBOX_BYTES: usize = 4 << 20;

impl Buffer for Box<Outbox> {
    fn capacity(&self) -> usize {
        Outbox::memory(self)
    }
}

/// The source of segments and outboxes, and the totals of the memory for clients.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The segments of all rooms' logs.
    pub(crate) segments: SegmentPool,
    /// Empty outboxes.
    outboxes: Spares<Box<Outbox>>,
    /// Buffers that all connections share to open and to seal records of TLS.
    pub(crate) scratch: Scratch,
    /// The memory for unwritten private bytes, over all clients.
    pub(crate) unsent: Total,
    /// The memory for incomplete messages and request heads, over all clients.
    pub(crate) incomplete: Total,
}

impl Memory {
    /// The memory in bytes for data that some client has not read.
    pub(crate) fn backlog(&self) -> usize {
        self.segments.held() + self.unsent.get()
    }

    /// An empty outbox.
    pub(super) fn take_outbox(&mut self) -> Box<Outbox> {
        self.outboxes.take().unwrap_or_default()
    }

    /// Takes back an empty outbox.
    pub(super) fn put_outbox(&mut self, outbox: Box<Outbox>) {
        self.outboxes.put(outbox, MAX_SPARE_OUTBOXES, MAX_OUTBOX_BYTES);
    }

    /// Frees the segments, outboxes and buffers that have not been needed since the last call.
    pub(crate) fn trim(&mut self) {
        self.segments.trim();
        self.outboxes.trim();
        self.scratch.trim();
    }

    /// Whether there is memory that [`trim`](Self::trim) will free.
    pub(crate) fn holds_spare(&self) -> bool {
        self.segments.holds_spare() || !self.outboxes.is_empty() || self.scratch.holds_memory()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_outboxes_are_freed_with_the_segments() {
        let mut memory = Memory::default();
        let outboxes = [(); 3].map(|()| {
            let mut outbox = memory.take_outbox();
            outbox.push_frame(0, |out| out.reserve_exact(1_000));
            outbox
        });
        outboxes.into_iter().for_each(|outbox| memory.put_outbox(outbox));
        let segment = memory.segments.take_segment(1);
        memory.segments.put_segment(segment);
        memory.trim();
        assert_eq!(memory.outboxes.size(), (3, 3_000));
        memory.trim();
        assert!(memory.outboxes.is_empty() && !memory.holds_spare());
    }
}
