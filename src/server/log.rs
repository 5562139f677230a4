//! A room's log: the encoded frames that its members are to receive, kept once for all of them.

use std::collections::VecDeque;

use super::pool::Pool;
use crate::protocol::frame;

/// Whole frames, one after another. None crosses the end of the segment.
#[derive(Debug)]
struct Segment {
    /// The offset in the log of the segment's first byte.
    start: u64,
    bytes: Vec<u8>,
    /// How many frames the segment holds.
    frames: u64,
    /// How many cursors are in the segment, or at its end if it is the last one.
    readers: usize,
}

impl Segment {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// The part of this segment that lies between two offsets of the log.
    fn slice(&self, from: u64, to: u64) -> &[u8] {
        let from = from.max(self.start) - self.start;
        let to = to.min(self.end()) - self.start;
        self.bytes.get(from as usize..to as usize).unwrap_or_default()
    }

    /// The first end of a frame at or after `offset`, and how many frames end there or before.
    fn walk(&self, offset: u64) -> (u64, u64) {
        let mut boundaries = (0..).zip(self.boundaries());
        let found = boundaries.find(|&(_, boundary)| boundary >= offset);
        found.map_or((self.end(), self.frames), |(passed, boundary)| (boundary, passed))
    }

    /// The offsets at which the segment's frames begin, in order, and its end.
    fn boundaries(&self) -> impl Iterator<Item = u64> {
        std::iter::successors(Some(0), |&begin| {
            let rest = self.bytes.get(begin..).filter(|rest| !rest.is_empty())?;
            let size = frame::frame_size(rest).filter(|&size| size <= rest.len());
            Some(begin + size.unwrap_or(rest.len()))
        })
        .map(|begin| self.start + begin as u64)
    }
}

/// A byte sequence that grows at its end and is trimmed to its slowest reader.
///
/// Offsets count from the log's first byte and never shrink. A reader is a [`Cursor`] that its
/// owner keeps; [`enter`](Self::enter) makes it and [`leave`](Self::leave) ends it.
#[derive(Debug, Default)]
pub(crate) struct Log {
    segments: VecDeque<Segment>,
    end: u64,
    readers: usize,
    /// How many readers are not at the end.
    behind: usize,
    /// The end when the readers were last given the chance to take everything.
    offered: u64,
    /// The end when the flush began that gives them this chance now.
    offering: u64,
}

/// A reader's position: all bytes before it have been written to the reader's transport.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cursor(u64);

impl Cursor {
    pub(crate) fn offset(self) -> u64 {
        self.0
    }
}

impl Log {
    /// The offset after the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The offset up to which the readers were given the chance to take everything in an earlier
    /// tick.
    pub(crate) fn offered(&self) -> u64 {
        self.offered
    }

    /// Notes that the readers are about to be given the chance to take everything.
    pub(crate) fn begin_offer(&mut self) {
        self.offering = self.end;
    }

    /// Notes that the readers have been given the chance to take everything that there was at
    /// [`begin_offer`](Self::begin_offer).
    pub(crate) fn offer(&mut self) {
        self.offered = self.offering;
    }

    pub(crate) fn has_readers(&self) -> bool {
        self.readers > 0
    }

    /// Whether no reader has anything to read.
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

    /// A new reader at `offset`, which must be within what is kept, or at the end.
    pub(crate) fn enter_at(&mut self, offset: u64) -> Cursor {
        self.readers += 1;
        self.behind += usize::from(offset < self.end);
        if let Some(at) = self.segment_of(offset) {
            self.segments[at].readers += 1;
        }
        Cursor(offset)
    }

    /// Ends a reader.
    pub(crate) fn leave(&mut self, cursor: Cursor, pool: &mut Pool) {
        self.behind -= usize::from(cursor.0 < self.end);
        self.readers -= 1;
        if let Some(at) = self.segment_of(cursor.0) {
            self.segments[at].readers -= 1;
        }
        self.trim(pool);
    }

    /// Appends one frame of `size` bytes, which `encode` must write to the buffer's end. Without
    /// readers, nothing is kept.
    pub(crate) fn append(
        &mut self,
        size: usize,
        encode: impl FnOnce(&mut Vec<u8>),
        pool: &mut Pool,
    ) {
        if self.readers == 0 {
            return;
        }
        let fits = |segment: &&mut Segment| segment.bytes.capacity() - segment.bytes.len() >= size;
        let last = match self.segments.back_mut().filter(fits) {
            Some(last) => last,
            None => self.add_segment(size, pool),
        };
        encode(&mut last.bytes);
        last.frames += 1;
        self.end += size as u64;
        self.behind = self.readers;
    }

    /// A new last segment. The readers at the log's end are then at its beginning.
    fn add_segment(&mut self, size: usize, pool: &mut Pool) -> &mut Segment {
        let readers = self.readers - self.behind;
        if let Some(last) = self.segments.back_mut() {
            last.readers -= readers;
        }
        let bytes = pool.take_segment(size);
        self.segments.push_back_mut(Segment { start: self.end, bytes, frames: 0, readers })
    }

    /// The bytes between two offsets, in one piece for each segment.
    pub(crate) fn pieces(&self, from: u64, to: u64) -> impl Iterator<Item = &[u8]> {
        let first = self.segment_of(from).unwrap_or_default();
        let segments = self.segments.range(first..).take_while(move |segment| segment.start < to);
        segments.map(move |segment| segment.slice(from, to)).filter(|piece| !piece.is_empty())
    }

    /// Moves a reader on to `offset`.
    #[inline]
    pub(crate) fn advance(&mut self, cursor: &mut Cursor, offset: u64, pool: &mut Pool) {
        if cursor.0 != offset {
            self.move_reader(cursor, offset, pool);
        }
    }

    fn move_reader(&mut self, cursor: &mut Cursor, offset: u64, pool: &mut Pool) {
        let from = std::mem::replace(&mut cursor.0, offset);
        self.behind -= usize::from(offset == self.end);
        let is_last = self.segments.back().is_some_and(|last| last.start <= from);
        if !is_last && let (Some(from), Some(to)) = (self.segment_of(from), self.segment_of(offset))
        {
            self.segments[from].readers -= 1;
            self.segments[to].readers += 1;
        }
        if !is_last || self.behind == 0 {
            self.trim(pool);
        }
    }

    /// The bytes between a cursor and the end, if they are in one piece.
    pub(crate) fn tail(&self, cursor: Cursor) -> Option<&[u8]> {
        let last = self.segments.back()?;
        last.bytes.get(cursor.0.checked_sub(last.start)? as usize..)
    }

    /// The offset at which the frame ends that the cursor is in; the cursor's own if it is between
    /// frames.
    pub(crate) fn frame_end(&self, cursor: Cursor) -> u64 {
        self.segment_of(cursor.0).map_or(cursor.0, |at| self.segments[at].walk(cursor.0).0)
    }

    /// How many frames begin at or after `offset`.
    pub(crate) fn frames_from(&self, offset: u64) -> u64 {
        let Some(at) = self.segment_of(offset) else { return 0 };
        let passed = self.segments[at].walk(offset).1;
        self.segments.range(at..).map(|segment| segment.frames).sum::<u64>() - passed
    }

    /// The offset at which the last `count` frames begin, or as many of them as are kept.
    pub(crate) fn last_frames(&self, mut count: u64) -> u64 {
        for segment in self.segments.iter().rev() {
            if count <= segment.frames {
                let skipped = (segment.frames - count) as usize;
                return segment.boundaries().nth(skipped).unwrap_or(segment.end());
            }
            count -= segment.frames;
        }
        self.segments.front().map_or(self.end, |first| first.start)
    }

    /// Where between `from` and `to`, which lie between frames, the longest run of whole frames begins
    /// that ends at `to` and has at most `max_bytes`. `one` asks for at least one frame.
    pub(crate) fn newest_from(&self, from: u64, to: u64, max_bytes: usize, one: bool) -> u64 {
        let wanted = to.saturating_sub(max_bytes as u64);
        if wanted <= from {
            return from;
        }
        let begin = self.frame_end(Cursor(wanted)).min(to);
        let last = self.segment_of(to - 1).filter(|_| one && begin == to);
        let begins = last.map(|at| self.segments[at].boundaries().take_while(|&begin| begin < to));
        begins.and_then(Iterator::last).unwrap_or(begin)
    }

    /// How many bytes are kept for a reader: everything from the beginning of its segment.
    pub(crate) fn held_from(&self, cursor: Cursor) -> u64 {
        self.segment_of(cursor.0).map_or(0, |at| self.end - self.segments[at].start)
    }

    /// The segment that `offset` is in; the end belongs to the last one.
    fn segment_of(&self, offset: u64) -> Option<usize> {
        let last = self.segments.len().checked_sub(1)?;
        if self.segments[last].start <= offset {
            return Some(last);
        }
        self.segments.partition_point(|segment| segment.start <= offset).checked_sub(1)
    }

    /// Gives back the segments that every reader has passed.
    fn trim(&mut self, pool: &mut Pool) {
        let all = self.behind == 0;
        let passed = |first: &mut Segment| all || first.readers == 0;
        while let Some(first) = self.segments.pop_front_if(passed) {
            pool.put_segment(first.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(log: &mut Log, pool: &mut Pool, length: usize) {
        let payload = vec![b'x'; length];
        let encode = |out: &mut Vec<u8>| frame::encode_frame(frame::Opcode::Text, &payload, out);
        log.append(frame::header_size(length) + length, encode, pool);
    }

    fn unread(log: &Log, cursor: Cursor) -> usize {
        log.pieces(cursor.0, log.end).map(<[u8]>::len).sum()
    }

    #[test]
    fn what_is_appended_is_read_over_the_edges_of_segments() {
        let (mut log, mut pool) = (Log::default(), Pool::default());
        let early = log.enter();
        for length in [10, 60_000, 10_000, 200_000, 5] {
            append(&mut log, &mut pool, length);
        }
        assert_eq!(unread(&log, early) as u64, log.end());
        assert_eq!(log.pieces(early.0, log.end()).count(), 4);
        let late = log.enter();
        assert_eq!(unread(&log, late), 0);
    }

    #[test]
    fn the_slowest_reader_keeps_the_log() {
        let (mut log, mut pool) = (Log::default(), Pool::default());
        let (mut slow, mut fast) = (log.enter(), log.enter());
        append(&mut log, &mut pool, 60_000);
        let first = log.end();
        append(&mut log, &mut pool, 60_000);
        log.advance(&mut fast, log.end(), &mut pool);
        assert_eq!((log.segments.len(), unread(&log, slow) as u64), (2, log.end()));
        log.advance(&mut slow, first, &mut pool);
        assert_eq!(log.segments.len(), 1);
        let end = log.end();
        log.advance(&mut slow, end, &mut pool);
        assert_eq!((log.segments.len(), pool.backlog()), (0, 0));
    }

    #[test]
    fn a_reader_that_leaves_keeps_nothing() {
        let (mut log, mut pool) = (Log::default(), Pool::default());
        let (slow, mut fast) = (log.enter(), log.enter());
        append(&mut log, &mut pool, 60_000);
        append(&mut log, &mut pool, 60_000);
        let end = log.end();
        log.advance(&mut fast, end, &mut pool);
        log.leave(slow, &mut pool);
        assert_eq!(log.segments.len(), 0);
        log.leave(fast, &mut pool);
        append(&mut log, &mut pool, 10);
        assert_eq!(log.segments.len(), 0, "nobody reads");
    }

    #[test]
    fn a_frames_end_is_found_from_anywhere_in_it() {
        let (mut log, mut pool) = (Log::default(), Pool::default());
        log.enter();
        append(&mut log, &mut pool, 10);
        append(&mut log, &mut pool, 200);
        assert_eq!(log.frame_end(Cursor(0)), 0);
        assert_eq!(log.frame_end(Cursor(1)), 12);
        assert_eq!(log.frame_end(Cursor(12)), 12);
        assert_eq!(log.frame_end(Cursor(13)), 216);
        append(&mut log, &mut pool, 100_000);
        append(&mut log, &mut pool, 10);
        let left = |offset| log.frames_from(offset);
        assert_eq!(
            [left(0), left(1), left(12), left(13), left(216), left(log.end())],
            [4, 3, 3, 2, 2, 0]
        );
    }
}
