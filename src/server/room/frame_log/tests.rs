use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::protocol::frame;

fn append(log: &mut FrameLog, pool: &mut SegmentPool, length: usize) {
    let payload = vec![b'x'; length];
    let encode = |out: &mut Vec<u8>| frame::encode_frame(frame::Opcode::Text, &payload, out);
    log.append(frame::header_size(length) + length, encode, pool);
}

fn unread(log: &FrameLog, cursor: Cursor) -> usize {
    log.pieces(cursor.0, log.end).map(<[u8]>::len).sum()
}

/// A log with a long frame that two readers have to read.
fn with_two_readers() -> (FrameLog, SegmentPool, [Cursor; 2]) {
    let mut log = FrameLog::default();
    let mut pool = SegmentPool::default();
    let readers = [log.enter(), log.enter()];
    append(&mut log, &mut pool, 60_000);
    (log, pool, readers)
}

#[test]
fn frames_are_read_across_segment_boundaries() {
    let mut log = FrameLog::default();
    let mut pool = SegmentPool::default();
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
fn the_log_is_kept_for_the_slowest_reader() {
    let (mut log, mut pool, [mut slow, mut fast]) = with_two_readers();
    let first = log.end();
    append(&mut log, &mut pool, 60_000);
    log.advance(&mut fast, log.end(), &mut pool);
    assert_eq!((log.segments.len(), unread(&log, slow) as u64), (2, log.end()));
    log.advance(&mut slow, first, &mut pool);
    assert_eq!(log.segments.len(), 1);
    let end = log.end();
    log.advance(&mut slow, end, &mut pool);
    assert_eq!((log.segments.len(), pool.held()), (0, 0));
}

#[test]
fn readers_that_have_read_a_segment_before_the_next_one_do_not_hold_it() {
    let (mut log, mut pool, [mut slow, mut fast]) = with_two_readers();
    let first = log.end();
    log.advance(&mut fast, first, &mut pool);
    append(&mut log, &mut pool, 60_000);
    assert_eq!(log.segments.len(), 2);
    log.advance(&mut slow, first, &mut pool);
    assert_eq!((log.segments.len(), unread(&log, fast) as u64), (1, log.end() - first));
}

#[test]
fn nothing_is_kept_for_a_reader_that_left() {
    let (mut log, mut pool, [slow, mut fast]) = with_two_readers();
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
fn a_reader_holds_its_segment_and_what_follows() {
    let mut log = FrameLog::default();
    let mut pool = SegmentPool::default();
    let reader = log.enter();
    assert_eq!(log.held_from(reader), 0);
    append(&mut log, &mut pool, 60_000);
    let first = log.end();
    append(&mut log, &mut pool, 50_000);
    let (all, last) = (log.end(), log.end() - first);
    let held = [0, first - 1, first, log.end()].map(|offset| log.held_from(Cursor(offset)));
    assert_eq!(held, [all, all, last, last]);
}

#[test]
fn a_frames_end_is_found_from_anywhere_in_it() {
    let mut log = FrameLog::default();
    let mut pool = SegmentPool::default();
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

#[test]
fn a_long_frame_is_alone_in_its_segment_even_if_more_would_fit() {
    let mut log = FrameLog::default();
    let mut pool = SegmentPool::default();
    let mut cursor = log.enter();
    append(&mut log, &mut pool, 100_000);
    let begin = log.end();
    log.advance(&mut cursor, begin, &mut pool);
    append(&mut log, &mut pool, 70_000);
    let second = log.end();
    append(&mut log, &mut pool, 10);
    assert!(log.frame_starts(begin, log.end()).eq([begin, second]));
}

#[test]
fn the_memory_of_short_frames_is_counted_and_freed() {
    let mut log = FrameLog::default();
    let mut pool = SegmentPool::default();
    let mut cursor = log.enter();
    for _ in 0..200_000 {
        append(&mut log, &mut pool, 0);
    }
    let bytes = log.end() as usize;
    let end = log.end();
    assert!(pool.held() >= 2 * bytes, "two bytes each say where the frames begin");
    assert!(pool.held() <= 2 * bytes + (128 << 10), "{}", pool.held());
    log.advance(&mut cursor, end, &mut pool);
    assert_eq!(pool.held(), 0);
}

/// The offsets of the frames in a log, as a parser finds them, and its end.
fn parse(log: &FrameLog) -> Vec<u64> {
    let bytes = log.pieces(0, log.end()).collect::<Vec<_>>().concat();
    let mut offsets = vec![0];
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        rest = &rest[frame::frame_size(rest).unwrap()..];
        offsets.push((bytes.len() - rest.len()) as u64);
    }
    offsets
}

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![20 => 0..4usize, 4 => 0..1_000usize, 2 => 0..200_000usize], 0..100)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_offsets_of_frames_are_those_that_a_parser_finds(
        lengths in lengths(),
        max_bytes in 0..100_000usize,
    ) {
        let mut log = FrameLog::default();
        let mut pool = SegmentPool::default();
        log.enter();
        lengths.iter().for_each(|&length| append(&mut log, &mut pool, length));
        let boundaries = parse(&log);
        let end = log.end();
        let count = boundaries.len() - 1;
        prop_assert!(log.frame_starts(0, end).eq(boundaries[..count].iter().copied()));
        for (index, &offset) in boundaries.iter().enumerate() {
            let later = &boundaries[index..];
            prop_assert_eq!(log.frames_from(offset), (count - index) as u64);
            prop_assert_eq!(log.last_frames((count - index) as u64), offset);
            for within in [offset, offset + 1] {
                let next = boundaries.iter().copied().find(|&start| start >= within);
                prop_assert_eq!(log.frame_end(Cursor(within.min(end))), next.unwrap_or(end));
            }
            let fits = |start: &&u64| end - **start <= max_bytes as u64;
            let newest = later.iter().find(fits).copied().unwrap_or(end);
            prop_assert_eq!(log.newest_from(offset, end, max_bytes, false), newest);
            let last = later[later.len().saturating_sub(2)];
            prop_assert_eq!(log.newest_from(offset, end, max_bytes, true), newest.min(last));
        }
    }
}
