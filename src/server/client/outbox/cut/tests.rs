//! Random actions on a member, after which complete frames follow one another in order.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::protocol::frame::{Opcode, encode_frame, frame_size, header_size};
use crate::server::room::segment_pool::SegmentPool;

/// An action on a member. Lengths are those of payloads, in bytes.
#[derive(Debug, Clone, Copy)]
enum Step {
    Logged(usize),
    LoggedForOthers(usize),
    Message(usize),
    Control,
    Write(usize),
    SkipOldest(usize),
    SkipUnbegun,
    Detach,
    Cut,
}

fn step() -> impl Strategy<Value = Step> {
    let length = || prop_oneof![8 => 0..50usize, 1 => 0..70_000usize];
    prop_oneof![
        6 => length().prop_map(Step::Logged),
        2 => length().prop_map(Step::LoggedForOthers),
        4 => length().prop_map(Step::Message),
        2 => Just(Step::Control),
        6 => length().prop_map(Step::Write),
        1 => (0..400usize).prop_map(Step::SkipOldest),
        1 => Just(Step::SkipUnbegun),
        1 => Just(Step::Detach),
        1 => Just(Step::Cut),
    ]
}

/// A member with a log and private frames, and the bytes that were written to it.
#[derive(Default)]
struct Member {
    log: FrameLog,
    pool: SegmentPool,
    cursor: Cursor,
    outbox: Outbox,
    written: Vec<u8>,
}

impl Member {
    /// Queues the frame with this number.
    fn step(&mut self, step: Step, number: u32) {
        let Self { log, pool, cursor, outbox, .. } = self;
        let payload = |length| [&number.to_be_bytes()[..], &vec![b'x'; length][..]].concat();
        match step {
            Step::Logged(length) => append(log, pool, &payload(length)),
            Step::LoggedForOthers(length) => {
                let from = log.end();
                append(log, pool, &payload(length));
                outbox.skip(from, log.end());
            }
            Step::Message(length) => {
                let frame = |out: &mut Vec<u8>| encode_frame(Opcode::Text, &payload(length), out);
                outbox.push_frame(log.end(), frame);
            }
            Step::Control => {
                let frame = |out: &mut Vec<u8>| encode_frame(Opcode::Ping, &payload(0), out);
                outbox.push_frame(log.end(), frame);
            }
            Step::Write(size) => self.write(size),
            Step::SkipOldest(max_bytes) => {
                let (offset, _) = outbox.skip_oldest(log, *cursor, max_bytes, |_, _, _| {});
                log.advance(cursor, offset, pool);
            }
            Step::SkipUnbegun => outbox.skip_unbegun(log, *cursor),
            Step::Detach => self.leave(Outbox::detach),
            Step::Cut => self.leave(Outbox::cut),
        }
    }

    /// Checks the invariants of the outbox.
    fn check_invariants(&self) {
        let Outbox { private, written, inserts, .. } = &self.outbox;
        let mut offset = self.cursor.offset();
        let mut begin = *written;
        for insert in inserts {
            assert!(offset <= insert.at && insert.at <= insert.resume, "in order");
            assert!(begin < insert.end || insert.at < insert.resume, "void");
            offset = insert.resume;
            begin = insert.end;
        }
        assert_eq!(begin, private.len());
        assert!(*written == 0 || !inserts.is_empty());
    }

    fn unwritten(&self) -> Vec<u8> {
        self.outbox.pieces(&self.log, self.cursor).collect::<Vec<_>>().concat()
    }

    fn write(&mut self, size: usize) {
        let unwritten = self.unwritten();
        let size = size.min(unwritten.len());
        self.written.extend_from_slice(&unwritten[..size]);
        let offset = self.outbox.consume(size, self.cursor);
        self.log.advance(&mut self.cursor, offset, &mut self.pool);
    }

    /// Leaves the log, and enters another one.
    fn leave(&mut self, edit: impl FnOnce(&mut Outbox, &FrameLog, Cursor)) {
        edit(&mut self.outbox, &self.log, self.cursor);
        self.log = FrameLog::default();
        let other = self.log.enter();
        append(&mut self.log, &mut self.pool, b"before");
        self.log.leave(other, &mut self.pool);
        self.cursor = self.log.enter();
        self.outbox.attach(self.cursor.offset());
    }
}

fn append(log: &mut FrameLog, pool: &mut SegmentPool, payload: &[u8]) {
    let size = header_size(payload.len()) + payload.len();
    log.append(size, |out| encode_frame(Opcode::Text, payload, out), pool);
}

/// The numbers of the frames in `bytes`, which are complete.
fn numbers(mut bytes: &[u8]) -> Vec<u32> {
    let mut numbers = Vec::new();
    while !bytes.is_empty() {
        let (frame, rest) = bytes.split_at(frame_size(bytes).unwrap());
        let header = if frame[1] < 126 {
            2
        } else if frame[1] == 126 {
            4
        } else {
            10
        };
        numbers.push(u32::from_be_bytes(*frame[header..].first_chunk().unwrap()));
        bytes = rest;
    }
    numbers
}

proptest! {
    #[test]
    fn complete_frames_are_written_in_order_whatever_is_skipped(
        steps in vec(step(), 0..60),
    ) {
        let mut member = Member::default();
        member.cursor = member.log.enter();
        for (number, step) in (0..).zip(steps) {
            member.step(step, number);
            member.check_invariants();
            let all = [&member.written[..], &member.unwritten()].concat();
            let numbers = numbers(&all);
            prop_assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?} after {step:?}");
            let rest = member.outbox.unfinished_size(&member.log, member.cursor) as usize;
            let begun = &all[..member.written.len() + rest];
            prop_assert!(numbers.starts_with(&self::numbers(begun)), "the frame that has begun");
        }
        member.write(usize::MAX);
        prop_assert!(member.outbox.is_empty() && member.unwritten().is_empty());
        prop_assert_eq!(member.outbox.size(), 0);
    }
}
