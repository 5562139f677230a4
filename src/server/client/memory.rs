//! The memory that clients and the logs of their rooms take.

use crate::server::client::outbox::Outbox;
use crate::server::limits::total::Total;
use crate::server::room::segment_pool::SegmentPool;
use crate::server::spares::{Buffer, Spares};

/// The most outboxes that are kept for reuse, over all clients, and the most bytes in their
/// buffers.
const MAX_SPARE_OUTBOXES: usize = 256;
const MAX_OUTBOX_BYTES: usize = 4 << 20;

impl Buffer for Box<Outbox> {
    fn capacity(&self) -> usize {
        Outbox::memory(self)
    }
}

/// The source of segments and outboxes, and the sums of what clients take.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The segments of all rooms' logs.
    pub(crate) segments: SegmentPool,
    /// Empty outboxes.
    outboxes: Spares<Box<Outbox>>,
    /// Private bytes that are not written, over all clients.
    pub(crate) unsent: Total,
    /// The memory held for messages and request heads that have not arrived whole, over all clients.
    pub(crate) incomplete: Total,
}

impl Memory {
    /// The memory in bytes that is kept because some client has not taken its contents.
    pub(crate) fn backlog(&self) -> usize {
        self.segments.held() + self.unsent.get()
    }

    /// An empty outbox.
    pub(super) fn take_outbox(&mut self) -> Box<Outbox> {
        self.outboxes.take().unwrap_or_default()
    }

    /// Takes an empty outbox back.
    pub(super) fn put_outbox(&mut self, outbox: Box<Outbox>) {
        self.outboxes.put(outbox, MAX_SPARE_OUTBOXES, MAX_OUTBOX_BYTES);
    }

    /// Gives back the segments and outboxes that have not been needed since the last call.
    pub(crate) fn trim(&mut self) {
        self.segments.trim();
        self.outboxes.trim();
    }

    /// Whether there is something to be given back, sooner or later.
    pub(crate) fn holds_spare(&self) -> bool {
        self.segments.holds_spare() || !self.outboxes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outboxes_that_were_not_needed_are_given_back_with_the_segments() {
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
