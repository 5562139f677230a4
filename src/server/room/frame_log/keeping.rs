//! Keeps the past of a log: segments that every reader has passed, for readers that come back.
//!
//! The last segment is past while every reader is at its end, and otherwise held for the readers.

use super::past::{Past, PastLimits};
use super::{FrameLog, Segment};
use crate::server::room::segment::SEGMENT_BYTES;
use crate::server::room::segment_pool::SegmentPool;
use crate::server::time::wheel::Timestamp;

/// The size in bytes of the first segment. Each later one is as long as all of them, up to
/// [`SEGMENT_BYTES`], so that a quiet room takes little memory.
const MIN_SEGMENT_BYTES: usize = 4 << 10;

impl FrameLog {
    /// A log that keeps its past, within these limits.
    pub(crate) fn with_past(limits: PastLimits) -> Self {
        let past = Past { limits, passed: 0, bytes: 0, frames: 0 };
        Self { past: Some(Box::new(past)), ..Self::default() }
    }

    /// The number of frames that are kept.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn kept_frames(&self) -> u64 {
        self.past.as_ref().map_or(0, |past| past.frames)
    }

    /// Whether nothing of the past is kept.
    pub(crate) fn is_forgotten(&self) -> bool {
        self.past.is_none() || self.segments.is_empty()
    }

    /// The offset of the oldest frame that is kept; the end if there is none.
    pub(crate) fn start(&self) -> u64 {
        self.segments.front().map_or(self.end, |first| first.start)
    }

    /// The frames that are kept, in order, each with the time at which all in its segment are too old.
    pub(crate) fn kept(&self) -> impl Iterator<Item = (&[u8], Timestamp)> {
        self.segments.iter().flat_map(|segment| {
            let start = |index| segment.frame_start(index);
            let frame = move |index| segment.slice(start(index), start(index + 1));
            (0..segment.frames.count()).map(move |index| (frame(index), segment.expiry))
        })
    }

    /// Appends one frame as [`append`](Self::append) does, and keeps it within the limits until it is too
    /// old at `expiry`. Returns whether a segment was added.
    pub(crate) fn append_kept(
        &mut self,
        size: usize,
        encode: impl FnOnce(&mut Vec<u8>),
        pool: &mut SegmentPool,
        expiry: Timestamp,
    ) -> bool {
        let Some(span) = self.past.as_ref().map(|past| past.limits.max_span()) else {
            return false;
        };
        let fits =
            |last: &Segment| last.frames.fits(size) && expiry < last.first_expiry.after(span);
        let full = !self.segments.back().is_some_and(fits);
        if full {
            self.add_kept_segment(size, pool, expiry);
        }
        self.reserve_kept_frame(pool, expiry);
        self.append(size, encode, pool);
        self.retire(pool);
        full
    }

    /// Adds a last segment, which is held for the readers. Its first frame will be too old at `expiry`.
    fn add_kept_segment(&mut self, size: usize, pool: &mut SegmentPool, expiry: Timestamp) {
        let kept = (self.end - self.start()) as usize;
        let wanted = kept.clamp(MIN_SEGMENT_BYTES, SEGMENT_BYTES);
        let readers = self.readers - self.behind;
        if let Some(last) = self.segments.back_mut() {
            last.readers -= readers;
        }
        let frames = pool.take_short_segment(size.max(wanted));
        let start = self.end;
        let first_expiry = expiry;
        self.segments.push_back(Segment { start, frames, readers, first_expiry, expiry });
    }

    /// Prepares the last segment for one more frame, which will be too old at `expiry`. Until it is appended
    /// and [retired](Self::retire), the segment is held for the readers.
    fn reserve_kept_frame(&mut self, pool: &mut SegmentPool, expiry: Timestamp) {
        self.recall(self.segments.len().saturating_sub(1), pool);
        let Some(last) = self.segments.back_mut() else { return };
        last.expiry = last.expiry.max(expiry);
        pool.reserve_frame(&mut last.frames);
        if let Some(past) = &mut self.past {
            past.frames += 1;
        }
    }

    /// Counts the segments that every reader has passed as past, and drops what exceeds the limits.
    pub(super) fn retire(&mut self, pool: &mut SegmentPool) {
        self.pass(pool);
        self.forget_excess(pool);
    }

    /// Counts the segments that every reader has passed as past.
    fn pass(&mut self, pool: &mut SegmentPool) {
        let Self { segments, past: Some(past), behind, .. } = self else { return };
        while let Some(segment) = segments.get(past.passed)
            && (*behind == 0 || segment.readers == 0)
        {
            let memory = segment.frames.memory();
            past.passed += 1;
            past.bytes += memory;
            pool.retire(memory);
        }
    }

    /// Counts the segments from the one at this index as held for readers.
    pub(super) fn recall(&mut self, at: usize, pool: &mut SegmentPool) {
        let Self { segments, past: Some(past), .. } = self else { return };
        while past.passed > at
            && let Some(segment) = segments.get(past.passed - 1)
        {
            let memory = segment.frames.memory();
            past.passed -= 1;
            past.bytes -= memory;
            pool.recall(memory);
        }
    }

    /// Drops the oldest segment, unless a reader needs it. Returns whether it was dropped.
    pub(crate) fn forget_oldest(&mut self, pool: &mut SegmentPool) -> bool {
        let Some(past) = &mut self.past else { return false };
        let Some(first) = self.segments.pop_front_if(|_| past.passed > 0) else { return false };
        past.passed -= 1;
        past.bytes -= first.frames.memory();
        past.frames -= first.frames.count() as u64;
        pool.recall(first.frames.memory());
        pool.put_segment(first.frames);
        true
    }

    /// Drops the oldest segments while the log keeps more frames or bytes than it may.
    fn forget_excess(&mut self, pool: &mut SegmentPool) {
        while let Some(past) = &self.past
            && let Some(first) = self.segments.front()
            && (past.bytes > past.limits.max_bytes
                || past.frames - first.frames.count() as u64 >= past.limits.max_frames)
            && self.forget_oldest(pool)
        {}
    }

    /// Drops the segments that are too old, unless a reader needs them.
    pub(crate) fn forget_old(&mut self, now: Timestamp, pool: &mut SegmentPool) {
        while self.segments.front().is_some_and(|first| first.expiry <= now)
            && self.forget_oldest(pool)
        {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::server::room::frame_log::Cursor;

    const LIMITS: PastLimits =
        PastLimits { max_frames: 50, max_bytes: 100 << 10, max_age: Duration::from_secs(80) };

    /// An action on a log. Readers are numbers, taken modulo how many there are.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Append(usize),
        Enter,
        /// A reader comes back, and has missed this number of frames.
        Return(u64),
        /// A reader reads this number of frames.
        Read(usize, u64),
        Leave(usize),
        /// This number of seconds passes.
        Wait(u64),
        ForgetOldest,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (1..3_000usize).prop_map(Step::Append),
            1 => (1..200_000usize).prop_map(Step::Append),
            1 => Just(Step::Enter),
            2 => (0..100u64).prop_map(Step::Return),
            6 => (0..9usize, 0..100u64).prop_map(|(reader, count)| Step::Read(reader, count)),
            2 => (0..9usize).prop_map(Step::Leave),
            2 => (0..30u64).prop_map(Step::Wait),
            1 => Just(Step::ForgetOldest),
        ]
    }

    struct World {
        log: FrameLog,
        pool: SegmentPool,
        now: Timestamp,
        readers: Vec<Cursor>,
        /// The offset and the time of each frame.
        frames: Vec<(u64, Timestamp)>,
    }

    impl World {
        fn step(&mut self, step: Step) {
            let Self { log, pool, now, readers, frames } = self;
            let count = readers.len().max(1);
            match step {
                Step::Append(size) => {
                    frames.push((log.end(), *now));
                    let encode = |out: &mut Vec<u8>| out.resize(out.len() + size, b'x');
                    log.append_kept(size, encode, pool, now.after(LIMITS.max_age));
                }
                Step::Enter => readers.push(log.enter()),
                Step::Return(missed) => {
                    let offset = log.last_frames(missed.min(log.kept_frames()));
                    readers.push(log.enter_at(offset, pool));
                }
                Step::Read(reader, count_read)
                    if let Some(cursor) = readers.get_mut(reader % count) =>
                {
                    let unread = log.frames_from(cursor.offset());
                    let to = log.last_frames(unread.saturating_sub(count_read));
                    log.advance(cursor, to, pool);
                }
                Step::Leave(reader) if !readers.is_empty() => {
                    let cursor = readers.swap_remove(reader % count);
                    log.leave(cursor, pool);
                }
                Step::Wait(seconds) => {
                    *now = now.after(Duration::from_secs(seconds));
                    log.forget_old(*now, pool);
                }
                Step::ForgetOldest => _ = log.forget_oldest(pool),
                Step::Read(..) | Step::Leave(_) => {}
            }
        }

        fn check(&self, step: Step) {
            let Self { log, pool, readers, frames, now } = self;
            let past = log.past.as_ref().unwrap();
            let memory = |segment: &Segment| segment.frames.memory();
            let all: usize = log.segments.iter().map(memory).sum();
            let passed: usize = log.segments.iter().take(past.passed).map(memory).sum();
            assert_eq!((pool.past(), past.bytes, pool.held()), (passed, passed, all - passed));
            let count: usize = log.segments.iter().map(|segment| segment.frames.count()).sum();
            assert_eq!(past.frames, count as u64);
            let is_needed = |start| readers.iter().any(|reader| reader.offset() < start);
            let needed = log.segments.iter().take_while(|segment| !is_needed(segment.end()));
            assert_eq!(past.passed, needed.count(), "those before the slowest reader's are past");
            let kept = &frames[frames.len() - count..];
            assert!(kept.first().is_none_or(|(offset, _)| *offset == log.start()));
            assert!(readers.iter().all(|cursor| cursor.offset() >= log.start()));
            assert!(
                readers.iter().any(|reader| reader.offset() < log.end())
                    || past.bytes <= LIMITS.max_bytes
            );
            let old = |since: Timestamp| since.after(LIMITS.max_age * 5 / 4) <= *now;
            let is_swept = readers.is_empty() && matches!(step, Step::Wait(_));
            assert!(!is_swept || !kept.iter().any(|frame| old(frame.1)), "some are too old");
        }
    }

    impl World {
        fn new() -> Self {
            Self {
                log: FrameLog::with_past(LIMITS),
                pool: SegmentPool::default(),
                now: Timestamp::default(),
                readers: Vec::new(),
                frames: Vec::new(),
            }
        }
    }

    #[test]
    fn no_more_is_dropped_than_the_limits_demand() {
        let mut world = World::new();
        for count in 1..=1_000 {
            world.step(Step::Append(100));
            let kept = world.log.kept_frames();
            assert!(kept >= LIMITS.max_frames.min(count), "{count}");
            let oldest = world.log.segments[0].frames.count() as u64;
            assert!(kept - oldest < LIMITS.max_frames, "the oldest segment is not needed");
        }
        // The last segment is a few seconds old when it gets its last frame.
        for _ in 0..4 {
            world.step(Step::Wait(2));
            world.step(Step::Append(100));
        }
        world.step(Step::Wait(75));
        assert!(world.log.kept_frames() > 0, "the newest frame is not too old");
        world.step(Step::Wait(10));
        assert_eq!(world.log.kept_frames(), 0);
    }

    #[test]
    fn all_the_memory_that_a_log_is_allowed_may_be_used() {
        let kept = |max_bytes| {
            let limits = PastLimits { max_bytes, ..LIMITS };
            let mut world = World { log: FrameLog::with_past(limits), ..World::new() };
            world.step(Step::Append(10));
            (world.log.kept_frames(), world.pool.past())
        };
        let (_, memory) = kept(usize::MAX);
        assert_eq!(kept(memory), (1, memory));
        assert_eq!(kept(memory - 1), (0, 0));
    }

    #[test]
    fn each_segment_is_as_long_as_all_before_it_within_limits() {
        let limits = PastLimits { max_frames: 10_000, max_bytes: 1 << 20, ..LIMITS };
        let mut world = World { log: FrameLog::with_past(limits), ..World::new() };
        (0..2_048).for_each(|_| world.step(Step::Append(128)));
        let capacity = |segment: &Segment| segment.frames.capacity() >> 10;
        assert!(world.log.segments.iter().map(capacity).eq([4, 4, 8, 16, 32, 64, 64, 64]));
    }

    #[test]
    fn a_segment_begins_if_the_first_frame_of_the_last_one_is_much_older() {
        let mut world = World::new();
        // A step takes a tenth of a second more.
        for (seconds, segments) in [(0, 1), (9, 1), (2, 2), (9, 2), (2, 3), (10, 4)] {
            world.step(Step::Wait(seconds));
            world.step(Step::Append(10));
            assert_eq!(world.log.segments.len(), segments);
        }
    }

    proptest! {
        #[test]
        fn what_readers_need_and_what_is_past_is_counted_apart(steps in vec(step(), 1..300)) {
            let mut world = World::new();
            for step in steps {
                world.step(step);
                world.check(step);
            }
        }
    }
}
