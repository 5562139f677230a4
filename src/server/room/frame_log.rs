//! A room's log: the encoded frames that its members are to receive, kept once for all of them.

mod keeping;
pub(crate) mod past;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::server::room::segment::SegmentBuffer;
use crate::server::room::segment_pool::SegmentPool;
use crate::server::time::wheel::Timestamp;
use past::Past;

/// A part of the log. No frame crosses its end.
#[derive(Debug)]
struct Segment {
    /// The offset in the log of the segment's first byte.
    start: u64,
    frames: SegmentBuffer,
    /// The number of cursors in the segment, or at its end if it is the last one.
    readers: usize,
    /// In a log that keeps its past, when its first frame is too old, and when all of them are.
    first_expiry: Timestamp,
    expiry: Timestamp,
}

impl Segment {
    fn end(&self) -> u64 {
        self.start + self.frames.bytes().len() as u64
    }

    /// The part of this segment that lies between two offsets of the log.
    fn slice(&self, from: u64, to: u64) -> &[u8] {
        let from = from.max(self.start) - self.start;
        let to = to.min(self.end()) - self.start;
        self.frames.bytes().get(from as usize..to as usize).unwrap_or_default()
    }

    /// The number of frames that begin before `offset`.
    fn frames_before(&self, offset: u64) -> usize {
        self.frames.count_before(offset.saturating_sub(self.start))
    }

    /// The offset of a frame; the end of the segment for the frame after the last one.
    fn frame_start(&self, index: usize) -> u64 {
        self.start + self.frames.start_of(index) as u64
    }
}

/// A byte sequence that grows at its end and is trimmed to its slowest reader.
///
/// Offsets count from the log's first byte and never shrink. A reader is a [`Cursor`] that its
/// owner keeps; [`enter`](Self::enter) makes it and [`leave`](Self::leave) ends it.
#[derive(Debug, Default)]
pub(crate) struct FrameLog {
    segments: VecDeque<Segment>,
    end: u64,
    readers: usize,
    /// The number of readers that are not at the end.
    behind: usize,
    /// The end of the log at the last complete offer to the readers.
    offered: u64,
    /// The end of the log when the current offer began.
    offering: u64,
    /// What is kept although every reader has passed it, if the log keeps any of it.
    past: Option<Box<Past>>,
}

/// A reader's position: all bytes before it have been written to the reader's transport.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cursor(u64);

impl Cursor {
    pub(crate) fn offset(self) -> u64 {
        self.0
    }
}

impl FrameLog {
    /// The offset after the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The offset up to which everything was offered to the readers in an earlier turn.
    pub(crate) fn offered(&self) -> u64 {
        self.offered
    }

    /// Notes the start of a flush, which will offer everything to the readers.
    pub(crate) fn begin_offer(&mut self) {
        self.offering = self.end;
    }

    /// Notes that everything up to the last [`begin_offer`](Self::begin_offer) has been offered to the
    /// readers.
    pub(crate) fn offer(&mut self) {
        self.offered = self.offering;
    }

    pub(crate) fn readers(&self) -> usize {
        self.readers
    }

    pub(crate) fn has_readers(&self) -> bool {
        self.readers > 0
    }

    /// Whether all readers are at the end.
    pub(crate) fn is_read(&self) -> bool {
        self.behind == 0
    }

    /// A new reader, at the end.
    pub(crate) fn enter(&mut self) -> Cursor {
        self.readers += 1;
        if let Some(last) = self.segments.back_mut() {
            last.readers += 1;
        }
        Cursor(self.end)
    }

    /// A new reader at `offset`, which must be kept, or be the end.
    pub(crate) fn enter_at(&mut self, offset: u64, pool: &mut SegmentPool) -> Cursor {
        if offset == self.end {
            return self.enter();
        }
        self.readers += 1;
        self.behind += 1;
        if let Some(at) = self.segment_of(offset) {
            self.segments[at].readers += 1;
            self.recall(at, pool);
        }
        Cursor(offset)
    }

    /// Ends a reader.
    pub(crate) fn leave(&mut self, cursor: Cursor, pool: &mut SegmentPool) {
        self.behind -= usize::from(cursor.0 < self.end);
        self.readers -= 1;
        if let Some(at) = self.segment_of(cursor.0) {
            self.segments[at].readers -= 1;
        }
        self.trim(pool);
    }

    /// Appends one frame of `size` bytes, which `encode` must write to the end of the buffer. Without
    /// readers, nothing is kept, unless the log keeps its past.
    pub(crate) fn append(
        &mut self,
        size: usize,
        encode: impl FnOnce(&mut Vec<u8>),
        pool: &mut SegmentPool,
    ) {
        if self.readers == 0 && self.past.is_none() {
            return;
        }
        let fits = |segment: &&mut Segment| segment.frames.fits(size);
        let last = match self.segments.back_mut().filter(fits) {
            Some(last) => last,
            None => self.add_segment(size, pool),
        };
        pool.reserve_frame(&mut last.frames);
        last.frames.push(encode);
        self.end += size as u64;
        self.behind = self.readers;
    }

    /// Adds a last segment. The readers at the end of the log are then at its beginning.
    fn add_segment(&mut self, size: usize, pool: &mut SegmentPool) -> &mut Segment {
        let readers = self.readers - self.behind;
        if let Some(last) = self.segments.back_mut() {
            last.readers -= readers;
        }
        let frames = pool.take_segment(size);
        let (first_expiry, expiry) = Default::default();
        let start = self.end;
        self.segments.push_back_mut(Segment { start, frames, readers, first_expiry, expiry })
    }

    /// The bytes between two offsets, in one piece for each segment.
    pub(crate) fn pieces(&self, from: u64, to: u64) -> impl Iterator<Item = &[u8]> {
        let first = self.segment_of(from).unwrap_or_default();
        let segments = self.segments.range(first..).take_while(move |segment| segment.start < to);
        segments.map(move |segment| segment.slice(from, to)).filter(|piece| !piece.is_empty())
    }

    /// Moves a reader forward to `offset`.
    #[inline]
    pub(crate) fn advance(&mut self, cursor: &mut Cursor, offset: u64, pool: &mut SegmentPool) {
        if cursor.0 == offset {
            return;
        }
        let from = std::mem::replace(&mut cursor.0, offset);
        self.behind -= usize::from(offset == self.end);
        let is_last = self.segments.back().is_some_and(|last| last.start <= from);
        if !is_last {
            self.change_segment(from, offset);
        }
        if !is_last || self.behind == 0 {
            self.trim(pool);
        }
    }

    #[inline(never)]
    fn change_segment(&mut self, from: u64, to: u64) {
        if let (Some(from), Some(to)) = (self.segment_of(from), self.segment_of(to)) {
            self.segments[from].readers -= 1;
            self.segments[to].readers += 1;
        }
    }

    /// The bytes between a cursor and the end, if they are in one piece.
    pub(crate) fn tail(&self, cursor: Cursor) -> Option<&[u8]> {
        let last = self.segments.back()?;
        last.frames.bytes().get(cursor.0.checked_sub(last.start)? as usize..)
    }

    /// The end of the frame that contains the cursor, or the cursor's own offset if it lies between
    /// frames.
    pub(crate) fn frame_end(&self, cursor: Cursor) -> u64 {
        self.segment_of(cursor.0).map_or(cursor.0, |at| {
            let segment = &self.segments[at];
            segment.frame_start(segment.frames_before(cursor.0))
        })
    }

    /// The offsets of the frames between `from` and `to`, in order.
    pub(crate) fn frame_starts(&self, from: u64, to: u64) -> impl Iterator<Item = u64> {
        let first = self.segment_of(from).unwrap_or_default();
        let segments = self.segments.range(first..).take_while(move |segment| segment.start < to);
        segments.flat_map(move |segment| {
            let within = segment.frames_before(from)..segment.frames_before(to);
            within.map(|index| segment.frame_start(index))
        })
    }

    /// The number of frames that begin at or after `offset`.
    pub(crate) fn frames_from(&self, offset: u64) -> u64 {
        let Some(at) = self.segment_of(offset) else { return 0 };
        let all: usize = self.segments.range(at..).map(|segment| segment.frames.count()).sum();
        (all - self.segments[at].frames_before(offset)) as u64
    }

    /// The offset of the last `count` frames, or of as many as are kept.
    pub(crate) fn last_frames(&self, mut count: u64) -> u64 {
        for segment in self.segments.iter().rev() {
            let frames = segment.frames.count() as u64;
            if count <= frames {
                return segment.frame_start((frames - count) as usize);
            }
            count -= frames;
        }
        self.segments.front().map_or(self.end, |first| first.start)
    }

    /// The start of the longest run of complete frames between `from` and `to` that ends at `to` and has
    /// at most `max_bytes`, or at least one frame if `one` is set. `from` and `to` lie between frames.
    pub(crate) fn newest_from(&self, from: u64, to: u64, max_bytes: usize, one: bool) -> u64 {
        let wanted = to.saturating_sub(max_bytes as u64);
        if wanted <= from {
            return from;
        }
        let begin = self.frame_end(Cursor(wanted)).min(to);
        if one && begin == to { self.last_frame_before(to) } else { begin }
    }

    /// The offset of the last frame that begins before `to`; `to` if none is kept.
    fn last_frame_before(&self, to: u64) -> u64 {
        let segment = to.checked_sub(1).and_then(|last| self.segment_of(last));
        let segment = segment.map(|at| &self.segments[at]);
        let frame = segment.and_then(|segment| segment.frames_before(to).checked_sub(1));
        segment.zip(frame).map_or(to, |(segment, index)| segment.frame_start(index))
    }

    /// The number of bytes that are kept for a reader: everything from the beginning of its segment.
    pub(crate) fn held_from(&self, cursor: Cursor) -> u64 {
        self.segment_of(cursor.0).map_or(0, |at| self.end - self.segments[at].start)
    }

    /// The segment that contains `offset`. The end belongs to the last one.
    fn segment_of(&self, offset: u64) -> Option<usize> {
        let last = self.segments.len().checked_sub(1)?;
        if self.segments[last].start <= offset {
            return Some(last);
        }
        self.segments.partition_point(|segment| segment.start <= offset).checked_sub(1)
    }

    /// Frees the segments that every reader has passed, or counts them as past.
    fn trim(&mut self, pool: &mut SegmentPool) {
        if self.past.is_some() {
            return self.retire(pool);
        }
        let all = self.behind == 0;
        let passed = |first: &mut Segment| all || first.readers == 0;
        while let Some(first) = self.segments.pop_front_if(passed) {
            pool.put_segment(first.frames);
        }
    }
}
