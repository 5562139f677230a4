//! Decides what a member still receives when it leaves its log, or is too far behind in it.

use super::framed_bytes::FramedBytes;
use super::words::{is_greeting, is_word, skipped_count};
use super::{Insert, NOWHERE, Outbox};
use crate::protocol::frame;
use crate::server::room::frame_log::{Cursor, FrameLog};

/// The point at which a member resumes after it has missed the oldest messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    /// The offset in the log at which the member resumes.
    offset: u64,
    /// The first insert that is kept.
    insert: usize,
    /// The first private byte that is kept.
    begin: usize,
}

impl Outbox {
    /// The offset of the first private frame of which nothing has been written.
    fn boundary(&self) -> usize {
        self.private.boundary(self.written)
    }

    /// The remainder of the frame that has begun, which must be written before anything else.
    fn unfinished(&self, log: &FrameLog, cursor: Cursor) -> FramedBytes {
        let mut unfinished = unfinished_of_log(log, cursor);
        // At most one of the two has begun.
        let private = &self.private.bytes()[self.written..self.boundary()];
        unfinished.push_opaque(|out| out.extend_from_slice(private));
        unfinished
    }

    /// The size in bytes of the remainder of the frame that has begun.
    pub(crate) fn unfinished_size(&self, log: &FrameLog, cursor: Cursor) -> u64 {
        let private = self.boundary() - self.written;
        log.frame_end(cursor) - cursor.offset() + private as u64
    }

    /// Makes everything that is to be written private, for a member that leaves the log.
    pub(crate) fn detach(&mut self, log: &FrameLog, cursor: Cursor) {
        if cursor.offset() < log.end() {
            let mut all = self.unfinished(log, cursor);
            for (logged, private) in self.parts(log.frame_end(cursor), self.boundary(), log.end()) {
                let from = logged.start;
                let to = logged.end;
                let starts = log.frame_starts(from, to).map(|start| (start - from) as usize);
                all.push_frames(log.pieces(from, to), starts);
                let starts = self.private.starts(&private).iter();
                let starts = starts.map(|start| start - private.start);
                all.push_frames([&self.private.bytes()[private.clone()]], starts);
            }
            self.private = all;
            self.written = 0;
        }
        self.attach(0);
    }

    /// Keeps only the remainder of the frame that has begun and a queued close frame, as private bytes,
    /// for a member that leaves the log.
    pub(crate) fn cut(&mut self, log: &FrameLog, cursor: Cursor) {
        let ending = self.ending();
        self.private = self.unfinished(log, cursor);
        self.written = 0;
        self.attach(0);
        self.end_with(ending, 0);
    }

    /// The end of the member's output, if it is queued: a close frame, or nothing if that frame has
    /// begun.
    fn ending(&self) -> Option<Vec<u8>> {
        self.inserts.back().filter(|last| last.resume == NOWHERE)?;
        let before_last = self.inserts.iter().rev().nth(1).map_or(0, |insert| insert.end);
        let last = before_last.max(self.boundary())..self.private.len();
        Some(self.private.frames(&last).last().unwrap_or_default().to_vec())
    }

    fn end_with(&mut self, ending: Option<Vec<u8>>, at: u64) {
        if let Some(ending) = ending {
            self.push_frame(at, |out| out.extend_from_slice(&ending));
            self.finish(at);
        }
    }

    /// Skips everything up to the log's end except the frame that has begun and a queued close frame,
    /// without copying from the log.
    pub(crate) fn skip_unbegun(&mut self, log: &FrameLog, cursor: Cursor) {
        let ending = self.ending();
        let from = log.frame_end(cursor);
        self.private.truncate(self.boundary());
        self.attach(from);
        self.skip(from, log.end());
        self.end_with(ending, log.end());
    }

    /// Skips the oldest messages, so that at most `max_bytes` of messages are left, or the newest one.
    /// The frame that has begun, control frames and a greeting are kept as private bytes. `note` may
    /// append a frame to them, from the number of messages that the member misses and the offset at which
    /// it resumes. Returns that offset and that number.
    pub(crate) fn skip_oldest(
        &mut self,
        log: &FrameLog,
        cursor: Cursor,
        max_bytes: usize,
        note: impl FnOnce(u64, u64, &mut Vec<u8>),
    ) -> (u64, u64) {
        let mut kept = self.unfinished(log, cursor);
        let mut cut = self.newest(log, cursor, max_bytes);
        if cut.insert == 0 && cut.begin > self.boundary() {
            cut.begin = self.last_greeting(cut.begin).unwrap_or(cut.begin);
        }
        let passed = log.frames_from(cursor.offset()) - log.frames_from(cut.offset);
        // The parts that inserts skip were not for this member.
        let skipped = self.inserts.iter().take(cut.insert);
        let skipped = skipped.map(|insert| log.frame_starts(insert.at, insert.resume).count());
        let mut missed = passed - skipped.sum::<usize>() as u64;
        let mut untold = 0;
        for frame in self.private.frames(&(self.boundary()..cut.begin)) {
            if frame::is_control(frame) || is_greeting(frame) {
                kept.push_frame(|out| out.extend_from_slice(frame));
            } else if let Some(count) = skipped_count(frame) {
                // The member misses the word about these too.
                untold += count;
            } else if !is_word(frame) {
                missed += 1;
            }
        }
        kept.push_frame(|out| note(missed + untold, cut.offset, out));
        self.keep_from(cut, kept);
        (cut.offset, missed)
    }

    /// The start of the last greeting at or after `begin` in the first insert. What is before it comes from
    /// another room, where the offsets in this log say nothing about the member's place. Greetings are in the
    /// first insert, because the member has received nothing of the room before them.
    fn last_greeting(&self, begin: usize) -> Option<usize> {
        let range = begin..self.inserts.front()?.end;
        let starts = self.private.starts(&range).iter().zip(self.private.frames(&range));
        starts.filter(|(_, frame)| is_greeting(frame)).last().map(|(start, _)| *start)
    }

    /// The start of the longest run of complete messages at the end that has at most `max_bytes`, or of
    /// the last message.
    fn newest(&self, log: &FrameLog, cursor: Cursor, max_bytes: usize) -> Cut {
        let offset = log.frame_end(cursor);
        let begin = self.boundary();
        let parts: Vec<_> = self.parts(offset, begin, log.end()).collect();
        // `none` means that no message is kept so far.
        let mut left = max_bytes;
        let mut none = true;
        for (insert, (logged, private)) in parts.iter().enumerate().rev() {
            let begin = self.private.newest_from(private, left, none);
            if begin > private.start {
                return Cut { offset: logged.end, insert, begin };
            }
            none &= self.private.frames(private).all(frame::is_control);
            left = left.saturating_sub(private.len());
            let offset = log.newest_from(logged.start, logged.end, left, none);
            if offset > logged.start {
                return Cut { offset, insert, begin };
            }
            none &= logged.is_empty();
            left = left.saturating_sub((logged.end - logged.start) as usize);
        }
        Cut { offset, insert: 0, begin }
    }

    /// Puts the frame that `encode` appends before everything else, except the rest of a private frame that
    /// has begun.
    pub(crate) fn put_first(&mut self, cursor: Cursor, encode: impl FnOnce(&mut Vec<u8>)) {
        let begin = self.boundary();
        let mut front = FramedBytes::default();
        front.push_opaque(|out| out.extend_from_slice(&self.private.bytes()[self.written..begin]));
        front.push_frame(encode);
        self.keep_from(Cut { offset: cursor.offset(), insert: 0, begin }, front);
    }

    /// Replaces everything before a cut with `front`.
    fn keep_from(&mut self, cut: Cut, front: FramedBytes) {
        self.inserts.drain(..cut.insert);
        if !front.is_empty() {
            self.inserts.push_front(Insert { at: cut.offset, resume: cut.offset, end: cut.begin });
        }
        self.replace_front(cut.begin, front);
        self.drop_void();
    }

    /// Drops the inserts that neither have unwritten bytes nor skip anything.
    fn drop_void(&mut self) {
        let mut begin = self.written;
        self.inserts.retain(|insert| {
            let is_void = insert.end == begin && insert.resume == insert.at;
            begin = insert.end;
            !is_void
        });
        self.forget_written();
    }

    /// Moves the private bytes from their offsets in a log to those in another one, which holds the same
    /// messages in another encoding. The remainder of a frame of the first log that has begun becomes
    /// private. Returns the offset at which the member resumes in the other log.
    pub(crate) fn translate(
        &mut self,
        log: &FrameLog,
        cursor: Cursor,
        translate: impl Fn(u64) -> u64,
    ) -> u64 {
        let offset = translate(cursor.offset());
        for insert in &mut self.inserts {
            insert.at = translate(insert.at);
            insert.resume = translate(insert.resume);
        }
        let unfinished = unfinished_of_log(log, cursor);
        self.keep_from(Cut { offset, insert: 0, begin: self.written }, unfinished);
        offset
    }
}

/// The remainder of the frame of the log that has begun, as opaque bytes.
fn unfinished_of_log(log: &FrameLog, cursor: Cursor) -> FramedBytes {
    let mut unfinished = FramedBytes::default();
    for piece in log.pieces(cursor.offset(), log.frame_end(cursor)) {
        unfinished.push_opaque(|out| out.extend_from_slice(piece));
    }
    unfinished
}

#[cfg(test)]
mod tests {
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
                    let frame =
                        |out: &mut Vec<u8>| encode_frame(Opcode::Text, &payload(length), out);
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
}
