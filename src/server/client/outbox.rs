//! Private bytes for one member, placed between the frames of its room's log.

mod cut;
mod framed_bytes;
#[cfg(test)]
mod tests;
mod words;

use std::collections::VecDeque;
use std::ops::Range;

use crate::server::room::frame_log::{Cursor, FrameLog};
use framed_bytes::FramedBytes;

/// The offset at which a member resumes if it is to receive nothing more.
pub(crate) const NOWHERE: u64 = u64::MAX;

/// The number of written bytes from which they are given back, if they are half of all bytes. An outbox
/// to which frames are added all the time may never become empty.
const MAX_WRITTEN_BYTES: usize = 64 << 10;

/// The maximum size in bytes of a buffer that is kept however little it holds, because allocating it
/// again for every long message would take time.
const MAX_LOOSE_BYTES: usize = 1 << 20;

/// What one member is to receive in addition to its log, and which parts of the log it is to skip.
///
/// - `private` holds the bytes of all inserts, one after another: those of an insert begin where those
///   of the previous one end. `private[..written]` has been written.
/// - `inserts` are in the order in which they are written. After each, the log resumes where the insert
///   is placed, or later, and none is placed before the offset at which the previous one resumes. The
///   last one ends where `private` does.
/// - No insert is void: each has unwritten bytes, or skips a part of the log.
/// - Without inserts, `private` is empty and `written` is 0.
/// - An insert lies between two frames of the log, so while a private frame or opaque bytes are half
///   written, the member's cursor is between frames, at the first insert.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    private: FramedBytes,
    written: usize,
    inserts: VecDeque<Insert>,
    /// The payload of the latest ping, while the peer does not read earlier pongs.
    pub(crate) pong: Option<Box<[u8]>>,
}

/// Private bytes that are written once the log has been written up to `at`. The log resumes at `resume`.
#[derive(Debug, Clone, Copy)]
struct Insert {
    at: u64,
    resume: u64,
    /// The end of the insert's bytes among those of all inserts.
    end: usize,
}

/// A part of the log, and the private bytes that are written after it.
type Part = (Range<u64>, Range<usize>);

impl Outbox {
    /// Queues the frame that `encode` appends, if it appends one. It is written once the log has been
    /// written up to `at`, its end.
    pub(crate) fn push_frame(&mut self, at: u64, encode: impl FnOnce(&mut Vec<u8>)) {
        self.push(at, |private| private.push_frame(encode));
    }

    /// Queues the bytes that `encode` appends, which are not complete frames: an HTTP response, or the
    /// remainder of a frame whose beginning was written. No frame may be queued before them.
    pub(crate) fn push_opaque(&mut self, at: u64, encode: impl FnOnce(&mut Vec<u8>)) {
        self.push(at, |private| private.push_opaque(encode));
    }

    fn push(&mut self, at: u64, push: impl FnOnce(&mut FramedBytes)) {
        let before = self.private.len();
        push(&mut self.private);
        let end = self.private.len();
        if end > before {
            self.insert(at, before).end = end;
        }
    }

    /// Skips the part of the log from `from` to `to`, its end.
    pub(crate) fn skip(&mut self, from: u64, to: u64) {
        if from < to {
            self.insert(from, self.private.len()).resume = to;
        }
    }

    /// Ends the output at `at`, the log's end.
    pub(crate) fn finish(&mut self, at: u64) {
        self.insert(at, self.private.len()).resume = NOWHERE;
        self.pong = None;
    }

    /// The last insert if the log resumes at `at` after it, otherwise a new one, whose bytes begin at
    /// `begin`.
    fn insert(&mut self, at: u64, begin: usize) -> &mut Insert {
        if self.inserts.back().is_none_or(|last| last.resume != at) {
            self.inserts.push_back(Insert { at, resume: at, end: begin });
        }
        let last = self.inserts.len() - 1;
        &mut self.inserts[last]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inserts.is_empty() && self.pong.is_none()
    }

    /// The number of private bytes that have not been written.
    fn unwritten(&self) -> usize {
        self.private.len() - self.written
    }

    /// The number of unwritten bytes that the outbox holds, including the memory of the inserts
    /// themselves.
    pub(crate) fn size(&self) -> usize {
        self.unwritten() + self.inserts.len() * size_of::<Insert>()
    }

    /// The memory in bytes that the outbox takes: for unwritten bytes, for written ones that have not
    /// been given back, and for its spare capacity.
    pub(crate) fn memory(&self) -> usize {
        self.private.memory() + self.inserts.capacity() * size_of::<Insert>()
    }

    /// The bytes to be written next, if they are one insert and nothing from the log.
    pub(crate) fn only(&self, log: &FrameLog, cursor: Cursor) -> Option<&[u8]> {
        let first = self.inserts.front()?;
        let alone =
            self.inserts.len() == 1 && first.at == cursor.offset() && first.resume >= log.end();
        alone.then(|| &self.private.bytes()[self.written..])
    }

    /// The bytes to be written next, in order, from the log and from the inserts.
    pub(crate) fn pieces<'a>(
        &'a self,
        log: &'a FrameLog,
        cursor: Cursor,
    ) -> impl Iterator<Item = &'a [u8]> {
        self.parts(cursor.offset(), self.written, log.end())
            .flat_map(|(logged, private)| {
                log.pieces(logged.start, logged.end).chain([&self.private.bytes()[private]])
            })
            .filter(|piece| !piece.is_empty())
    }

    /// The parts to be written from an offset in the log and an offset in the private bytes: one for
    /// each insert, and one for the log after the last insert.
    fn parts(&self, offset: u64, begin: usize, log_end: u64) -> impl Iterator<Item = Part> {
        let end = Insert { at: log_end, resume: log_end, end: self.private.len() };
        let mut offset = offset;
        let mut begin = begin;
        self.inserts.iter().copied().chain([end]).map(move |insert| {
            let part = (offset..insert.at.max(offset), begin..insert.end);
            offset = insert.resume;
            begin = insert.end;
            part
        })
    }

    /// Marks `size` bytes of [`pieces`](Self::pieces) as written, and returns the resulting offset in
    /// the log.
    #[inline]
    pub(crate) fn consume(&mut self, mut size: usize, cursor: Cursor) -> u64 {
        let mut offset = cursor.offset();
        while let Some(first) = self.inserts.front() {
            let logged = (first.at - offset).min(size as u64);
            offset += logged;
            size -= logged as usize;
            if offset < first.at {
                break;
            }
            let private = (first.end - self.written).min(size);
            self.written += private;
            size -= private;
            if self.written < first.end {
                break;
            }
            offset = first.resume;
            self.inserts.pop_front();
        }
        self.forget_written();
        // The rest of the size follows the last insert.
        offset + size as u64
    }

    /// Gives back the memory of written bytes, if that is worth copying the unwritten ones.
    fn forget_written(&mut self) {
        if self.inserts.is_empty() {
            self.private.clear();
            self.written = 0;
        } else if self.written > MAX_WRITTEN_BYTES && self.written > self.private.len() / 2 {
            self.replace_front(self.written, FramedBytes::default());
            self.private.shrink(MAX_LOOSE_BYTES);
        }
    }

    /// Replaces the private bytes before `end`, which include all written ones, with unwritten ones.
    fn replace_front(&mut self, end: usize, front: FramedBytes) {
        for insert in &mut self.inserts {
            insert.end = insert.end - end + front.len();
        }
        self.private.replace_front(end, front);
        self.written = 0;
    }

    /// Moves the private bytes to a log that the member enters at its end, `at`.
    pub(crate) fn attach(&mut self, at: u64) {
        self.inserts.clear();
        if self.unwritten() > 0 {
            self.inserts.push_back(Insert { at, resume: at, end: self.private.len() });
        }
        self.forget_written();
    }
}
