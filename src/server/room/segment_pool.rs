//! Memory that is needed briefly, again and again.

use crate::server::client::outbox::Outbox;
use crate::server::limits::total::Total;
use crate::server::room::segment::{SEGMENT_BYTES, SegmentBuffer};

/// The most segments that are kept for reuse, over all rooms.
const MAX_SPARE_SEGMENTS: usize = 16;

/// The most bytes of longer segments that are kept for reuse. New memory from the system is slow at its
/// first touch.
const MAX_LONG_BYTES: usize = 4 << 20;

/// The most outboxes that are kept for reuse, over all clients, and the most bytes in their
/// buffers.
const MAX_SPARE_OUTBOXES: usize = 256;
const MAX_OUTBOX_BYTES: usize = 4 << 20;

/// A thing that is kept for reuse because it has a buffer.
trait Buffer {
    /// How many bytes the buffer can hold without growing.
    fn capacity(&self) -> usize;
}

impl Buffer for SegmentBuffer {
    fn capacity(&self) -> usize {
        SegmentBuffer::capacity(self)
    }
}

impl Buffer for Box<Outbox> {
    fn capacity(&self) -> usize {
        Outbox::memory(self)
    }
}

/// Things that nobody needs at the moment. The last one is used first.
#[derive(Debug)]
struct Spares<T> {
    things: Vec<T>,
    /// The bytes that the kept things can hold.
    bytes: usize,
    /// How many of them, counted from the first, have not been needed since [`trim`](Self::trim).
    idle: usize,
}

impl<T> Default for Spares<T> {
    fn default() -> Self {
        Self { things: Vec::new(), bytes: 0, idle: 0 }
    }
}

impl<T: Buffer> Spares<T> {
    fn take(&mut self) -> Option<T> {
        let thing = self.things.pop()?;
        self.idle = self.idle.min(self.things.len());
        self.bytes -= thing.capacity();
        Some(thing)
    }

    /// Takes a thing that holds `size` bytes, and not more than twice as many.
    fn take_fitting(&mut self, size: usize) -> Option<T> {
        let fits = |thing: &T| (size..=2 * size).contains(&thing.capacity());
        let at = self.things.iter().rposition(fits)?;
        self.idle = self.idle.min(at);
        let thing = self.things.remove(at);
        self.bytes -= thing.capacity();
        Some(thing)
    }

    /// Keeps one more thing, if there are then no more than `count`, and they hold no more than
    /// `bytes`.
    fn put(&mut self, thing: T, count: usize, bytes: usize) {
        let sum = self.bytes + thing.capacity();
        if self.things.len() < count && sum <= bytes {
            self.bytes = sum;
            self.things.push(thing);
        }
    }

    /// Gives back the things that have not been needed since the last call.
    fn trim(&mut self) {
        let idle = self.things.drain(..self.idle);
        self.bytes -= idle.map(|thing| thing.capacity()).sum::<usize>();
        self.idle = self.things.len();
    }
}

/// The source of all logs' segments and all clients' outboxes.
#[derive(Debug, Default)]
pub(crate) struct SegmentPool {
    /// Segments that no log needs at the moment, and longer ones.
    segments: Spares<SegmentBuffer>,
    long_segments: Spares<SegmentBuffer>,
    /// The memory in bytes of the segments that some log has.
    held: usize,
    /// Empty outboxes.
    outboxes: Spares<Box<Outbox>>,
    /// Private bytes that are not written, over all clients.
    pub(crate) unsent: Total,
    /// The memory held for messages and request heads that have not arrived whole, over all clients.
    pub(crate) incomplete: Total,
}

impl SegmentPool {
    /// The memory in bytes that is kept because some client has not taken its contents.
    pub(crate) fn backlog(&self) -> usize {
        self.held + self.unsent.get()
    }

    /// An empty buffer for a frame of `size` bytes.
    pub(crate) fn take_segment(&mut self, size: usize) -> SegmentBuffer {
        let spare = match size {
            ..=SEGMENT_BYTES => self.segments.take(),
            _ => self.long_segments.take_fitting(size),
        };
        let segment = spare.unwrap_or_else(|| SegmentBuffer::with_capacity(size));
        self.held += segment.memory();
        segment
    }

    /// Makes sure that a segment's index has an entry for one more frame.
    #[inline]
    pub(crate) fn reserve_frame(&mut self, segment: &mut SegmentBuffer) {
        if segment.is_index_full() {
            self.grow_index(segment);
        }
    }

    #[cold]
    fn grow_index(&mut self, segment: &mut SegmentBuffer) {
        self.held -= segment.memory();
        segment.grow_index();
        self.held += segment.memory();
    }

    pub(crate) fn put_segment(&mut self, mut segment: SegmentBuffer) {
        self.held -= segment.memory();
        segment.clear();
        if segment.capacity() == SEGMENT_BYTES {
            self.segments.put(segment, MAX_SPARE_SEGMENTS, usize::MAX);
        } else {
            self.long_segments.put(segment, usize::MAX, MAX_LONG_BYTES);
        }
    }

    /// An empty outbox.
    pub(crate) fn take_outbox(&mut self) -> Box<Outbox> {
        self.outboxes.take().unwrap_or_default()
    }

    /// Takes an empty outbox back.
    pub(crate) fn put_outbox(&mut self, outbox: Box<Outbox>) {
        self.outboxes.put(outbox, MAX_SPARE_OUTBOXES, MAX_OUTBOX_BYTES);
    }

    /// Gives back the segments and outboxes that have not been needed since the last call.
    pub(crate) fn trim(&mut self) {
        self.segments.trim();
        self.long_segments.trim();
        self.outboxes.trim();
    }

    /// Whether there is something to be given back, sooner or later.
    pub(crate) fn holds_spare(&self) -> bool {
        let segments = self.segments.things.len() + self.long_segments.things.len();
        segments + self.outboxes.things.len() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many there are of each kind, and the bytes that they can hold.
    fn spares(pool: &SegmentPool) -> [(usize, usize); 3] {
        let SegmentPool { segments, long_segments, outboxes, .. } = pool;
        [
            (segments.things.len(), segments.bytes),
            (long_segments.things.len(), long_segments.bytes),
            (outboxes.things.len(), outboxes.bytes),
        ]
    }

    fn long_outbox(pool: &mut SegmentPool) -> Box<Outbox> {
        let mut outbox = pool.take_outbox();
        outbox.push_frame(0, |out| out.reserve_exact(1_000));
        outbox
    }

    #[test]
    fn what_the_pool_was_not_asked_for_between_two_looks_is_given_back() {
        const LONG: usize = 2 * SEGMENT_BYTES;
        let mut pool = SegmentPool::default();
        let segments = [1, 1, 1, LONG, LONG, LONG]
            .map(|size| (pool.take_segment(size), long_outbox(&mut pool)));
        for (segment, outbox) in segments {
            pool.put_segment(segment);
            pool.put_outbox(outbox);
        }
        let all = [(3, 3 * SEGMENT_BYTES), (3, 3 * LONG), (6, 6_000)];
        assert_eq!((spares(&pool), pool.held), (all, 0));
        pool.trim();
        assert_eq!(spares(&pool), all);
        for size in [1, LONG] {
            let (segment, outbox) = (pool.take_segment(size), pool.take_outbox());
            pool.put_segment(segment);
            pool.put_outbox(outbox);
        }
        pool.trim();
        assert_eq!(spares(&pool), [(1, SEGMENT_BYTES), (1, LONG), (1, 1_000)]);
        assert!(pool.holds_spare());
        pool.trim();
        assert_eq!((pool.holds_spare(), spares(&pool)), (false, [(0, 0); 3]));
    }

    #[test]
    fn long_segments_are_used_again_for_frames_of_their_size() {
        const MIB: usize = 1 << 20;
        let mut pool = SegmentPool::default();
        let segments = [5 * MIB, MIB, 100_000, MIB, MIB, MIB].map(|size| pool.take_segment(size));
        segments.into_iter().for_each(|segment| pool.put_segment(segment));
        assert_eq!(spares(&pool)[1], (4, 3 * MIB + 100_000), "no more than they may be");
        let sizes = [MIB / 2, MIB / 2 - 1, 100_000, 70_000];
        let capacities = sizes.map(|size| pool.take_segment(size).capacity());
        assert_eq!(capacities, [MIB, MIB / 2 - 1, 100_000, 70_000]);
    }
}
