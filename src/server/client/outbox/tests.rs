use super::*;
use crate::protocol::{Message, frame};
use crate::server::room::segment_pool::SegmentPool;

/// A log with a reader at its start, and the reader's outbox.
fn begin() -> (FrameLog, SegmentPool, Cursor, Outbox) {
    let mut log = FrameLog::default();
    let cursor = log.enter();
    (log, SegmentPool::default(), cursor, Outbox::default())
}

fn append(log: &mut FrameLog, pool: &mut SegmentPool, text: &str) {
    let message = Message::Text(text);
    log.append(message.frame_size(), |out| message.encode(out), pool);
}

fn unwritten(outbox: &Outbox, log: &FrameLog, cursor: Cursor) -> String {
    let bytes = outbox.pieces(log, cursor).collect::<Vec<_>>().concat();
    String::from_utf8_lossy(&bytes).replace(|c: char| !c.is_ascii_alphabetic(), "")
}

#[test]
fn private_bytes_are_written_where_they_were_queued() {
    let (mut log, mut pool, cursor, mut outbox) = begin();
    append(&mut log, &mut pool, "a");
    outbox.push_frame(log.end(), |out| out.extend_from_slice(b"P"));
    outbox.push_frame(log.end(), |out| out.extend_from_slice(b"Q"));
    append(&mut log, &mut pool, "b");
    outbox.push_frame(log.end(), |out| out.extend_from_slice(b"R"));
    assert_eq!(unwritten(&outbox, &log, cursor), "aPQbR");
    assert_eq!(outbox.size(), 3 + 2 * size_of::<Insert>());
}

#[test]
fn skipped_bytes_are_not_written_and_nothing_follows_the_end() {
    let (mut log, mut pool, cursor, mut outbox) = begin();
    append(&mut log, &mut pool, "a");
    let from = log.end();
    append(&mut log, &mut pool, "b");
    outbox.skip(from, log.end());
    outbox.push_frame(log.end(), |out| out.extend_from_slice(b"P"));
    append(&mut log, &mut pool, "c");
    outbox.finish(log.end());
    append(&mut log, &mut pool, "d");
    assert_eq!(unwritten(&outbox, &log, cursor), "aPc");
}

#[test]
fn the_size_of_writes_does_not_change_the_bytes() {
    for step in 1..12 {
        let (mut log, mut pool, mut cursor, mut outbox) = begin();
        append(&mut log, &mut pool, "ab");
        outbox.push_frame(log.end(), |out| out.extend_from_slice(b"PQR"));
        let from = log.end();
        append(&mut log, &mut pool, "skipped");
        outbox.skip(from, log.end());
        append(&mut log, &mut pool, "cd");
        let all = outbox.pieces(&log, cursor).collect::<Vec<_>>().concat();
        let mut written = Vec::new();
        while written.len() < all.len() {
            let rest = outbox.pieces(&log, cursor).collect::<Vec<_>>().concat();
            let size = step.min(rest.len());
            written.extend_from_slice(&rest[..size]);
            let offset = outbox.consume(size, cursor);
            log.advance(&mut cursor, offset, &mut pool);
        }
        assert_eq!(written, all, "in steps of {step}");
        assert!(outbox.is_empty() && cursor.offset() == log.end());
        assert_eq!(outbox.size(), 0);
    }
}

#[test]
fn half_a_frame_is_completed_from_the_log_or_the_private_bytes() {
    let (mut log, mut pool, mut cursor, mut outbox) = begin();
    append(&mut log, &mut pool, "abc");
    log.advance(&mut cursor, 3, &mut pool);
    outbox.detach(&log, cursor);
    let mut other = FrameLog::default();
    let cursor = Cursor::default();
    other.enter();
    outbox.attach(0);
    append(&mut other, &mut pool, "def");
    outbox.cut(&other, cursor);
    assert_eq!(unwritten(&outbox, &FrameLog::default(), Cursor::default()), "bc");
}

#[test]
fn an_insert_without_effect_does_not_hide_the_next_one() {
    let (mut log, mut pool, mut cursor, mut outbox) = begin();
    outbox.push_frame(log.end(), |out| out.extend_from_slice(b"P"));
    let from = log.end();
    append(&mut log, &mut pool, "skipped");
    outbox.skip(from, log.end());
    append(&mut log, &mut pool, "a");
    outbox.push_frame(log.end(), |_| {});
    append(&mut log, &mut pool, "b");
    outbox.push_frame(log.end(), |out| out.extend_from_slice(b"Q"));
    assert_eq!(unwritten(&outbox, &log, cursor), "PabQ");
    let size = outbox.pieces(&log, cursor).map(<[u8]>::len).sum();
    let offset = outbox.consume(size, cursor);
    log.advance(&mut cursor, offset, &mut pool);
    assert!(outbox.is_empty() && cursor.offset() == log.end());
    outbox.skip(0, 1);
    outbox.push_frame(log.end(), |out| out.extend_from_slice(b"R"));
    outbox.attach(0);
    assert_eq!(unwritten(&outbox, &FrameLog::default(), Cursor::default()), "R");
}

#[test]
fn written_bytes_are_not_kept_however_many_follow() {
    let mut outbox = Outbox::default();
    outbox.push_frame(0, |out| out.extend_from_slice(&[0; 100_000]));
    for _ in 0..100 {
        outbox.push_frame(0, |out| out.extend_from_slice(&[0; 100_000]));
        outbox.consume(100_000, Cursor::default());
    }
    assert!(outbox.private.len() <= 300_000);
    assert_eq!(outbox.size(), 100_000 + size_of::<Insert>());
}

#[test]
fn the_memory_of_written_bytes_counts_until_it_is_given_back() {
    for step in [100_000, 9_990_000] {
        let mut outbox = Outbox::default();
        outbox.push_frame(0, |out| out.extend_from_slice(&[0; 10_000_000]));
        while outbox.unwritten() > 10_000 {
            outbox.consume(step.min(outbox.unwritten() - 10_000), Cursor::default());
            let held = outbox.memory();
            let left = outbox.unwritten();
            assert!(held <= MAX_LOOSE_BYTES + 5 * left, "{held} for {left}");
        }
        outbox.push_frame(1, |out| out.push(0));
        outbox.consume(10_000, Cursor::default());
        assert!(outbox.memory() <= 2 * MAX_LOOSE_BYTES, "{}", outbox.memory());
    }
}

#[test]
fn half_a_frame_can_stay_in_the_log() {
    let (mut log, mut pool, mut cursor, mut outbox) = begin();
    append(&mut log, &mut pool, "abc");
    log.advance(&mut cursor, 3, &mut pool);
    outbox.push_frame(log.end(), |out| out.extend_from_slice(b"P"));
    append(&mut log, &mut pool, "def");
    assert_eq!(outbox.unfinished_size(&log, cursor), 2);
    outbox.skip_unbegun(&log, cursor);
    outbox.push_frame(log.end(), |out| out.extend_from_slice(b"C"));
    assert_eq!(unwritten(&outbox, &log, cursor), "bcC");
}

#[test]
fn half_a_private_frame_is_kept() {
    let (mut log, mut pool, cursor, mut outbox) = begin();
    outbox.push_frame(0, |out| Message::Text("abc").encode(out));
    outbox.push_frame(0, |out| Message::Text("def").encode(out));
    assert_eq!(outbox.consume(3, cursor), 0);
    append(&mut log, &mut pool, "ghi");
    assert_eq!(outbox.unfinished_size(&log, cursor), 2);
    outbox.skip_unbegun(&log, cursor);
    assert_eq!(outbox.size(), 2 + size_of::<Insert>());
    outbox.push_frame(log.end(), |out| out.extend_from_slice(b"C"));
    assert_eq!(unwritten(&outbox, &log, cursor), "bcC");
}

#[test]
fn control_frames_and_half_written_frames_are_kept_when_messages_are_skipped() {
    let (mut log, mut pool, mut cursor, mut outbox) = begin();
    outbox.push_opaque(0, |out| out.extend_from_slice(b"HTTP"));
    outbox.push_frame(0, |out| Message::Text("half").encode(out));
    let cursor_after = outbox.consume(7, cursor);
    log.advance(&mut cursor, cursor_after, &mut pool);
    outbox.push_frame(0, |out| frame::encode_frame(frame::Opcode::Ping, b"ping", out));
    append(&mut log, &mut pool, "logged");
    outbox.push_frame(log.end(), |out| Message::Text("private").encode(out));
    outbox.push_frame(log.end(), |out| frame::encode_frame(frame::Opcode::Pong, b"pong", out));
    let (offset, missed) = outbox.skip_oldest(&log, cursor, 0, |_, _, _| {});
    log.advance(&mut cursor, offset, &mut pool);
    assert_eq!((unwritten(&outbox, &log, cursor).as_str(), missed), ("alfpingprivatepong", 1));
    append(&mut log, &mut pool, "again");
    let (offset, missed) = outbox.skip_oldest(&log, cursor, 0, |_, _, _| {});
    log.advance(&mut cursor, offset, &mut pool);
    assert_eq!((unwritten(&outbox, &log, cursor).as_str(), missed), ("alfpingpongagain", 1));
}

#[test]
fn frames_for_other_members_are_not_missed() {
    let (mut log, mut pool, mut cursor, mut outbox) = begin();
    for text in ["a", "own", "b", "own", "c", "d"] {
        let from = log.end();
        append(&mut log, &mut pool, text);
        if text == "own" {
            outbox.skip(from, log.end());
        }
    }
    let (offset, missed) = outbox.skip_oldest(&log, cursor, 6, |_, _, _| {});
    log.advance(&mut cursor, offset, &mut pool);
    assert_eq!((unwritten(&outbox, &log, cursor).as_str(), missed), ("cd", 2));
}

#[test]
fn a_member_that_is_cut_off_gets_the_rest_of_its_frame() {
    let (mut log, mut pool, mut cursor, mut outbox) = begin();
    append(&mut log, &mut pool, "abc");
    append(&mut log, &mut pool, "def");
    log.advance(&mut cursor, 3, &mut pool);
    outbox.push_frame(log.end(), |out| out.extend_from_slice(b"P"));
    outbox.cut(&log, cursor);
    assert_eq!(unwritten(&outbox, &FrameLog::default(), Cursor::default()), "bc");
}

#[test]
fn an_end_without_a_close_frame_repeats_no_message() {
    let (mut log, mut pool, cursor, mut outbox) = begin();
    outbox.push_frame(0, |out| Message::Text("private").encode(out));
    append(&mut log, &mut pool, "logged");
    outbox.finish(log.end());
    outbox.skip_unbegun(&log, cursor);
    assert_eq!(unwritten(&outbox, &log, cursor), "");
    assert_eq!(outbox.consume(0, cursor), NOWHERE);
}
