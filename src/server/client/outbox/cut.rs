//! Decides what a member still receives when it leaves its log, or is too far behind in it.

#[cfg(test)]
mod tests;

use super::framed_bytes::FramedBytes;
use super::words::{is_greeting, is_receipt, is_word, skipped_count};
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
        let ends = self.inserts.back().is_some_and(|last| last.resume == NOWHERE);
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
        if ends {
            self.finish(0);
        }
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
        let mut receipt = self.last_receipt(cut);
        if cut.insert == 0
            && cut.begin > self.boundary()
            && let Some(greeting) = self.last_greeting(cut.begin)
        {
            cut.begin = greeting;
            receipt = None;
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
        kept.push_frame(|out| out.extend(receipt.unwrap_or_default()));
        self.keep_from(cut, kept);
        (cut.offset, missed)
    }

    /// The last receipt before a cut among the private bytes at the offset of the cut. From it, the member
    /// knows that it has passed its own messages there, which are after that offset.
    fn last_receipt(&self, cut: Cut) -> Option<Vec<u8>> {
        let before = cut.insert.checked_sub(1).map_or(0, |before| self.inserts[before].end);
        let mut receipt = None;
        for frame in self.private.frames(&(before.max(self.boundary())..cut.begin)) {
            if is_receipt(frame) {
                receipt = Some(frame);
            } else if is_greeting(frame) {
                receipt = None;
            }
        }
        receipt.map(<[u8]>::to_vec)
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
        // An insert at the same offset takes the front in, so that there is only one.
        if !front.is_empty() && self.inserts.front().is_none_or(|first| first.at != cut.offset) {
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
