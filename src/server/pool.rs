//! Memory that is needed for a moment, over and over again.

use super::outbox::Outbox;
use super::tally::Total;

/// The size of a segment in bytes. A busy room fills and frees segments all the time, so that two
/// of them fit into a core's cache; a frame that is longer gets a segment of its own.
const SEGMENT_BYTES: usize = 64 << 10;

/// The most segments that are kept for reuse, over all rooms.
const MAX_SPARE_SEGMENTS: usize = 16;

/// The most outboxes that are kept for reuse, over all clients, and the most bytes in their
/// buffers.
const MAX_SPARE_OUTBOXES: usize = 256;
const MAX_SPARE_BYTES: usize = 4 << 20;

/// Where all logs have their segments from, and all clients their outboxes.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// Segments that no log needs at the moment.
    segments: Vec<Vec<u8>>,
    /// The bytes of the segments that some log has.
    held: usize,
    /// Empty ones.
    #[expect(clippy::vec_box, reason = "clients have them in boxes, which are what is used again")]
    outboxes: Vec<Box<Outbox>>,
    /// The bytes that they can hold.
    spare: usize,
    /// How many segments and outboxes, from the first on, were not needed since
    /// [`trim`](Self::trim).
    idle_segments: usize,
    idle_outboxes: usize,
    /// What is private and not written, over all clients.
    pub(super) unsent: Total,
    /// What is held of messages and request heads that have not arrived whole, over all clients.
    pub(super) incomplete: Total,
}

impl Pool {
    /// The memory in bytes that is kept because somebody has not taken it.
    pub(crate) fn backlog(&self) -> usize {
        self.held + self.unsent.get()
    }

    /// An empty buffer that holds `size` bytes without growing.
    pub(super) fn take_segment(&mut self, size: usize) -> Vec<u8> {
        let spare = self.segments.pop_if(|_| size <= SEGMENT_BYTES);
        self.idle_segments = self.idle_segments.min(self.segments.len());
        let bytes = spare.unwrap_or_else(|| Vec::with_capacity(size.max(SEGMENT_BYTES)));
        self.held += bytes.capacity();
        bytes
    }

    pub(super) fn put_segment(&mut self, mut bytes: Vec<u8>) {
        self.held -= bytes.capacity();
        if bytes.capacity() == SEGMENT_BYTES && self.segments.len() < MAX_SPARE_SEGMENTS {
            bytes.clear();
            self.segments.push(bytes);
        }
    }

    /// An empty outbox.
    pub(super) fn take_outbox(&mut self) -> Box<Outbox> {
        let outbox = self.outboxes.pop().unwrap_or_default();
        self.idle_outboxes = self.idle_outboxes.min(self.outboxes.len());
        self.spare -= outbox.capacity();
        outbox
    }

    /// Takes an empty outbox back.
    pub(super) fn put_outbox(&mut self, outbox: Box<Outbox>) {
        let spare = self.spare + outbox.capacity();
        if self.outboxes.len() < MAX_SPARE_OUTBOXES && spare <= MAX_SPARE_BYTES {
            self.spare = spare;
            self.outboxes.push(outbox);
        }
    }

    /// Gives back the segments and outboxes that were not needed since the last time.
    pub(super) fn trim(&mut self) {
        self.segments.drain(..self.idle_segments);
        self.idle_segments = self.segments.len();
        let idle = self.outboxes.drain(..self.idle_outboxes);
        self.spare -= idle.map(|outbox| outbox.capacity()).sum::<usize>();
        self.idle_outboxes = self.outboxes.len();
    }

    /// Whether there is something to be given back, sooner or later.
    pub(super) fn holds_spare(&self) -> bool {
        !self.segments.is_empty() || !self.outboxes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_pool_was_not_asked_for_between_two_looks_is_given_back() {
        let mut pool = Pool::default();
        let segments = [(); 3].map(|()| pool.take_segment(SEGMENT_BYTES));
        segments.into_iter().for_each(|segment| pool.put_segment(segment));
        let outboxes = [(); 3].map(|()| pool.take_outbox());
        for mut outbox in outboxes {
            outbox.append(0, |out| out.reserve(1_000));
            pool.put_outbox(outbox);
        }
        pool.trim();
        assert_eq!((pool.segments.len(), pool.outboxes.len()), (3, 3));
        let (segment, outbox) = (pool.take_segment(1), pool.take_outbox());
        assert!(segment.capacity() == SEGMENT_BYTES && outbox.capacity() >= 1_000);
        pool.put_segment(segment);
        pool.put_outbox(outbox);
        pool.trim();
        assert_eq!((pool.segments.len(), pool.outboxes.len()), (1, 1));
        assert!(pool.holds_spare() && (1_000..2_000).contains(&pool.spare));
        pool.trim();
        assert_eq!((pool.holds_spare(), pool.spare, pool.held), (false, 0, 0));
    }
}
