//! The memory of all logs, in segments.

use crate::server::room::segment::{SEGMENT_BYTES, SegmentBuffer};
use crate::server::spares::{Buffer, Spares};

/// The maximum number of segments that are kept for reuse, over all rooms.
const MAX_SPARE_SEGMENTS: usize = 16;

/// The maximum size in bytes of the longer segments that are kept for reuse. The first access to new
/// memory is slow.
const MAX_LONG_BYTES: usize = 4 << 20;

impl Buffer for SegmentBuffer {
    fn capacity(&self) -> usize {
        SegmentBuffer::capacity(self)
    }
}

/// The source of all logs' segments.
#[derive(Debug, Default)]
pub(crate) struct SegmentPool {
    /// Segments that are not in use, and longer ones.
    segments: Spares<SegmentBuffer>,
    long_segments: Spares<SegmentBuffer>,
    /// The memory in bytes of the segments that logs use for their readers.
    held: usize,
    /// The memory in bytes of the segments that logs keep although every reader has passed them.
    past: usize,
}

impl SegmentPool {
    /// The memory in bytes of the segments that logs use for their readers.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// The memory in bytes of the segments that logs keep although every reader has passed them.
    pub(crate) fn past(&self) -> usize {
        self.past
    }

    /// Counts memory that was held for readers as past.
    pub(crate) fn retire(&mut self, memory: usize) {
        self.held -= memory;
        self.past += memory;
    }

    /// Counts memory that was past as held for readers.
    pub(crate) fn recall(&mut self, memory: usize) {
        self.past -= memory;
        self.held += memory;
    }

    /// An empty buffer for a frame of `size` bytes.
    pub(crate) fn take_segment(&mut self, size: usize) -> SegmentBuffer {
        let spare = match size {
            ..=SEGMENT_BYTES => self.segments.take(),
            _ => self.long_segments.take_fitting(size),
        };
        let new = || SegmentBuffer::with_capacity(size.max(SEGMENT_BYTES));
        let segment = spare.unwrap_or_else(new);
        self.held += segment.memory();
        segment
    }

    /// An empty buffer for frames of `size` bytes, which need not be as long as a segment. Short ones are
    /// not kept for reuse.
    pub(crate) fn take_short_segment(&mut self, size: usize) -> SegmentBuffer {
        if size >= SEGMENT_BYTES {
            return self.take_segment(size);
        }
        let segment = SegmentBuffer::with_capacity(size);
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
        let before = segment.memory();
        segment.grow_index();
        self.held += segment.memory() - before;
    }

    pub(crate) fn put_segment(&mut self, mut segment: SegmentBuffer) {
        self.held -= segment.memory();
        segment.clear();
        match segment.capacity() {
            ..SEGMENT_BYTES => {}
            SEGMENT_BYTES => self.segments.put(segment, MAX_SPARE_SEGMENTS, usize::MAX),
            _ => self.long_segments.put(segment, usize::MAX, MAX_LONG_BYTES),
        }
    }

    /// Frees the segments that have not been needed since the last call.
    pub(crate) fn trim(&mut self) {
        self.segments.trim();
        self.long_segments.trim();
    }

    /// Whether there is memory that [`trim`](Self::trim) will free.
    pub(crate) fn holds_spare(&self) -> bool {
        !self.segments.is_empty() || !self.long_segments.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of unused segments of each kind, and of the bytes that they can hold.
    fn spares(pool: &SegmentPool) -> [(usize, usize); 2] {
        [pool.segments.size(), pool.long_segments.size()]
    }

    #[test]
    fn segments_that_were_not_needed_between_two_trims_are_freed() {
        const LONG: usize = 2 * SEGMENT_BYTES;
        let mut pool = SegmentPool::default();
        let segments = [1, 1, 1, LONG, LONG, LONG].map(|size| pool.take_segment(size));
        segments.into_iter().for_each(|segment| pool.put_segment(segment));
        let all = [(3, 3 * SEGMENT_BYTES), (3, 3 * LONG)];
        assert_eq!((spares(&pool), pool.held), (all, 0));
        pool.trim();
        assert_eq!(spares(&pool), all);
        for size in [1, LONG] {
            let segment = pool.take_segment(size);
            pool.put_segment(segment);
        }
        pool.trim();
        assert_eq!(spares(&pool), [(1, SEGMENT_BYTES), (1, LONG)]);
        assert!(pool.holds_spare());
        pool.trim();
        assert_eq!((pool.holds_spare(), spares(&pool)), (false, [(0, 0); 2]));
    }

    #[test]
    fn short_segments_are_not_kept_and_others_are_used_again() {
        let mut pool = SegmentPool::default();
        let short = pool.take_short_segment(10);
        pool.put_segment(short);
        assert_eq!(spares(&pool), [(0, 0); 2]);
        let whole = pool.take_segment(10);
        pool.put_segment(whole);
        assert_eq!(spares(&pool), [(1, SEGMENT_BYTES), (0, 0)]);
        assert!(pool.holds_spare());
        pool.take_segment(10);
        assert_eq!(spares(&pool), [(0, 0); 2]);
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
