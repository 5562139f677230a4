//! What is for one member alone, between the frames of its room's log.

use std::collections::VecDeque;
use std::mem;

use super::log::{Cursor, Log};
use crate::protocol::frame;

/// Where a member goes on that is to receive nothing more.
pub(super) const NOWHERE: u64 = u64::MAX;

/// How many written bytes of an insert are kept at most before they are given back, if they are
/// half of it: an insert that is appended to all the time may never be written whole.
const MAX_WRITTEN_BYTES: usize = 64 << 10;

/// Private frames, each in its place in the log.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    inserts: VecDeque<Insert>,
    /// How many bytes of the first insert are written.
    written: usize,
    /// How many bytes of all inserts are not written, those that the inserts themselves take
    /// included.
    size: usize,
    /// How many bytes of the first insert come before its first whole frame: the answer to the
    /// handshake, or the rest of a frame that is half written.
    rest: usize,
    /// An empty buffer for the next insert.
    spare: Vec<u8>,
    /// The payload of the latest ping, while the peer does not take the pongs before it.
    pub(super) pong: Option<Box<[u8]>>,
}

/// Bytes to be written when the log is written up to `at`; the log goes on at `resume`.
#[derive(Debug)]
struct Insert {
    at: u64,
    resume: u64,
    bytes: Vec<u8>,
}

impl Outbox {
    /// Lets `speak` append frames that come when the log is written up to `at`, its end.
    pub(super) fn append(&mut self, at: u64, speak: impl FnOnce(&mut Vec<u8>)) {
        let bytes = &mut self.insert(at).bytes;
        let before = bytes.len();
        speak(bytes);
        let added = bytes.len() - before;
        self.size += added;
    }

    /// Notes that what was queued first, the answer to the handshake, is not a frame.
    pub(super) fn begin_frames(&mut self) {
        self.rest = self.inserts.front().map_or(0, |first| first.bytes.len());
    }

    /// Leaves out what is in the log between `from` and `to`, its end.
    pub(super) fn skip(&mut self, from: u64, to: u64) {
        self.insert(from).resume = to;
    }

    /// Nothing comes after what was queued up to `at`, the log's end.
    pub(super) fn finish(&mut self, at: u64) {
        self.insert(at).resume = NOWHERE;
        self.pong = None;
    }

    fn insert(&mut self, at: u64) -> &mut Insert {
        if self.inserts.back().is_none_or(|last| last.resume != at) {
            self.size += size_of::<Insert>();
            let bytes = mem::take(&mut self.spare);
            self.inserts.push_back(Insert { at, resume: at, bytes });
        }
        let last = self.inserts.len() - 1;
        &mut self.inserts[last]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inserts.is_empty() && self.pong.is_none()
    }

    /// How many bytes it holds.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// What is to be written next, if it is one insert and nothing of the log.
    pub(super) fn only(&self, log: &Log, cursor: Cursor) -> Option<&[u8]> {
        let first = self.inserts.front().filter(|_| self.inserts.len() == 1)?;
        let alone = first.at == cursor.offset() && first.resume >= log.end();
        alone.then(|| &first.bytes[self.written..])
    }

    /// What is to be written next, in order: log and private bytes.
    pub(super) fn pieces<'a>(
        &'a self,
        log: &'a Log,
        cursor: Cursor,
    ) -> impl Iterator<Item = &'a [u8]> {
        let resumes = self.inserts.iter().map(|insert| insert.resume);
        let from = std::iter::once(cursor.offset()).chain(resumes);
        let to = self.inserts.iter().map(|insert| insert.at).chain([log.end()]);
        let written = std::iter::once(self.written).chain(std::iter::repeat(0));
        let bytes = self.inserts.iter().zip(written).map(|(insert, from)| &insert.bytes[from..]);
        let private = bytes.map(Some).chain([None]);
        from.zip(to)
            .zip(private)
            .flat_map(|((from, to), bytes)| log.pieces(from, to).chain(bytes))
            .filter(|piece| !piece.is_empty())
    }

    /// Takes `size` bytes of [`pieces`](Self::pieces) as written, and tells where in the log that
    /// leads.
    pub(super) fn consume(&mut self, mut size: usize, cursor: Cursor) -> u64 {
        let mut offset = cursor.offset();
        while let Some(insert) = self.inserts.front() {
            let logged = (insert.at - offset).min(size as u64);
            offset += logged;
            size -= logged as usize;
            if offset < insert.at {
                return offset;
            }
            let private = (insert.bytes.len() - self.written).min(size);
            self.written += private;
            self.size -= private;
            size -= private;
            if self.written < insert.bytes.len() {
                self.forget_written();
                return offset;
            }
            offset = insert.resume;
            (self.written, self.rest) = (0, 0);
            self.size -= size_of::<Insert>();
            let first = self.inserts.pop_front();
            self.keep_buffer(first.map(|first| first.bytes).unwrap_or_default());
        }
        offset + size as u64
    }

    fn keep_buffer(&mut self, mut bytes: Vec<u8>) {
        if bytes.capacity() > self.spare.capacity() {
            bytes.clear();
            self.spare = bytes;
        }
    }

    /// How many bytes it can hold without growing.
    pub(super) fn capacity(&self) -> usize {
        self.spare.capacity()
    }

    fn forget_written(&mut self) {
        let size = self.inserts.front().map_or(0, |first| first.bytes.len());
        if self.written > MAX_WRITTEN_BYTES && self.written > size / 2 {
            let rest = self.boundary() - self.written;
            if let Some(first) = self.inserts.front_mut() {
                first.bytes.drain(..self.written);
            }
            (self.written, self.rest) = (0, rest);
        }
    }

    /// Where in the first insert the first whole frame begins of which nothing is written.
    fn boundary(&self) -> usize {
        let Some(first) = self.inserts.front() else { return 0 };
        let mut boundary = self.rest;
        while boundary < self.written {
            let size = frame::frame_size(&first.bytes[boundary..]);
            boundary = size.map_or(first.bytes.len(), |size| boundary + size);
        }
        boundary
    }

    /// What must be written before anything else can be: the rest of what is half written.
    fn unfinished(&self, log: &Log, cursor: Cursor) -> Vec<u8> {
        match self.inserts.front() {
            Some(first) if self.is_begun() => first.bytes[self.written..self.boundary()].to_vec(),
            _ => log.pieces(cursor.offset(), log.frame_end(cursor)).collect::<Vec<_>>().concat(),
        }
    }

    /// The frames of all inserts of which nothing is written.
    fn unwritten_frames(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(self.boundary()).chain(std::iter::repeat(0));
        let bytes = self.inserts.iter().zip(begins).map(|(insert, begin)| &insert.bytes[begin..]);
        bytes.flat_map(frames)
    }

    /// Makes everything that is to be written private, for a member that leaves the log.
    pub(super) fn detach(&mut self, log: &Log, cursor: Cursor) {
        let bytes = self.pieces(log, cursor).collect::<Vec<_>>().concat();
        let rest = self.unfinished(log, cursor).len();
        self.replace(bytes, rest);
    }

    /// Leaves out everything up to the log's end but what is half written, without a copy of it.
    pub(super) fn skip_unbegun(&mut self, log: &Log, cursor: Cursor) {
        if self.is_begun() {
            let boundary = self.boundary();
            self.inserts.truncate(1);
            self.inserts.iter_mut().for_each(|first| {
                first.bytes.truncate(boundary);
                first.resume = first.at;
            });
            self.size = boundary - self.written + size_of::<Insert>();
            self.skip(cursor.offset(), log.end());
        } else {
            self.inserts.clear();
            self.size = 0;
            self.skip(log.frame_end(cursor), log.end());
        }
    }

    /// The size of what is half written.
    pub(super) fn unfinished_size(&self, log: &Log, cursor: Cursor) -> u64 {
        match self.is_begun() {
            true => (self.boundary() - self.written) as u64,
            false => log.frame_end(cursor) - cursor.offset(),
        }
    }

    /// Keeps only what is half written, for a member that leaves the log.
    pub(super) fn cut(&mut self, log: &Log, cursor: Cursor) {
        let bytes = self.unfinished(log, cursor);
        let rest = bytes.len();
        self.replace(bytes, rest);
    }

    /// Keeps only what is half written, and control frames. Tells how many frames are not kept.
    pub(super) fn cut_messages(&mut self, log: &Log, cursor: Cursor) -> u64 {
        let mut bytes = self.unfinished(log, cursor);
        let (rest, mut skipped) = (bytes.len(), log.frames_from(cursor));
        for frame in self.unwritten_frames() {
            if frame::is_control(frame) {
                bytes.extend_from_slice(frame);
            } else {
                skipped += 1;
            }
        }
        self.replace(bytes, rest);
        skipped
    }

    /// Whether the first insert begins with the rest of what is half written.
    fn is_begun(&self) -> bool {
        self.written > 0 || self.rest > 0
    }

    /// From now on `bytes` are all there is, the first `rest` of them no whole frame, and there is
    /// no log.
    fn replace(&mut self, bytes: Vec<u8>, rest: usize) {
        self.inserts.clear();
        (self.written, self.size, self.rest) = (0, 0, rest);
        if !bytes.is_empty() {
            self.append(0, |out| *out = bytes);
        }
    }

    /// Moves what is private into a log that the member enters at its end, `at`.
    pub(super) fn attach(&mut self, at: u64) {
        for insert in &mut self.inserts {
            (insert.at, insert.resume) = (at, at);
        }
    }
}

/// The whole frames that `bytes` are made of.
fn frames(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (frame, rest) = bytes.split_at_checked(frame::frame_size(bytes)?)?;
        bytes = rest;
        Some(frame)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Message;
    use crate::server::pool::Pool;

    /// A log in which a reader waits at the start, and its outbox.
    fn begin() -> (Log, Pool, Cursor, Outbox) {
        let mut log = Log::default();
        let cursor = log.enter();
        (log, Pool::default(), cursor, Outbox::default())
    }

    fn say(log: &mut Log, pool: &mut Pool, text: &str) {
        let message = Message::Text(text);
        log.append(message.frame_size(), |out| message.encode(out), pool);
    }

    fn unwritten(outbox: &Outbox, log: &Log, cursor: Cursor) -> String {
        let bytes = outbox.pieces(log, cursor).collect::<Vec<_>>().concat();
        String::from_utf8_lossy(&bytes).replace(|c: char| !c.is_ascii_alphabetic(), "")
    }

    #[test]
    fn private_bytes_stand_where_they_were_queued() {
        let (mut log, mut pool, cursor, mut outbox) = begin();
        say(&mut log, &mut pool, "a");
        outbox.append(log.end(), |out| out.extend_from_slice(b"P"));
        outbox.append(log.end(), |out| out.extend_from_slice(b"Q"));
        say(&mut log, &mut pool, "b");
        outbox.append(log.end(), |out| out.extend_from_slice(b"R"));
        assert_eq!(unwritten(&outbox, &log, cursor), "aPQbR");
        assert_eq!(outbox.size(), 3 + 2 * size_of::<Insert>());
    }

    #[test]
    fn what_is_skipped_is_not_written_and_nothing_follows_the_end() {
        let (mut log, mut pool, cursor, mut outbox) = begin();
        say(&mut log, &mut pool, "a");
        let from = log.end();
        say(&mut log, &mut pool, "b");
        outbox.skip(from, log.end());
        outbox.append(log.end(), |out| out.extend_from_slice(b"P"));
        say(&mut log, &mut pool, "c");
        outbox.finish(log.end());
        say(&mut log, &mut pool, "d");
        assert_eq!(unwritten(&outbox, &log, cursor), "aPc");
    }

    #[test]
    fn written_in_any_steps_the_bytes_are_the_same() {
        for step in 1..12 {
            let (mut log, mut pool, mut cursor, mut outbox) = begin();
            say(&mut log, &mut pool, "ab");
            outbox.append(log.end(), |out| out.extend_from_slice(b"PQR"));
            let from = log.end();
            say(&mut log, &mut pool, "skipped");
            outbox.skip(from, log.end());
            say(&mut log, &mut pool, "cd");
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
    fn half_a_frame_is_completed_wherever_its_rest_went() {
        let (mut log, mut pool, mut cursor, mut outbox) = begin();
        say(&mut log, &mut pool, "abc");
        log.advance(&mut cursor, 3, &mut pool);
        outbox.detach(&log, cursor);
        let (mut other, cursor) = (Log::default(), Cursor::default());
        other.enter();
        outbox.attach(0);
        say(&mut other, &mut pool, "def");
        outbox.cut(&other, cursor);
        assert_eq!(unwritten(&outbox, &Log::default(), Cursor::default()), "bc");
    }

    #[test]
    fn what_is_written_is_not_kept_however_much_follows() {
        let mut outbox = Outbox::default();
        outbox.append(0, |out| out.extend_from_slice(&[0; 100_000]));
        for _ in 0..100 {
            outbox.append(0, |out| out.extend_from_slice(&[0; 100_000]));
            outbox.consume(100_000, Cursor::default());
        }
        assert!(outbox.inserts[0].bytes.len() <= 300_000);
        assert_eq!(outbox.size(), 100_000 + size_of::<Insert>());
    }

    #[test]
    fn what_is_half_written_can_stay_where_it_is() {
        let (mut log, mut pool, mut cursor, mut outbox) = begin();
        say(&mut log, &mut pool, "abc");
        log.advance(&mut cursor, 3, &mut pool);
        outbox.append(log.end(), |out| out.extend_from_slice(b"P"));
        say(&mut log, &mut pool, "def");
        assert_eq!(outbox.unfinished_size(&log, cursor), 2);
        outbox.skip_unbegun(&log, cursor);
        outbox.append(log.end(), |out| out.extend_from_slice(b"C"));
        assert_eq!(unwritten(&outbox, &log, cursor), "bcC");
    }

    #[test]
    fn a_private_frame_that_is_half_written_stays_too() {
        let (mut log, mut pool, cursor, mut outbox) = begin();
        outbox.append(0, |out| Message::Text("abc").encode(out));
        outbox.append(0, |out| Message::Text("def").encode(out));
        assert_eq!(outbox.consume(3, cursor), 0);
        say(&mut log, &mut pool, "ghi");
        assert_eq!(outbox.unfinished_size(&log, cursor), 2);
        outbox.skip_unbegun(&log, cursor);
        assert_eq!(outbox.size(), 2 + size_of::<Insert>());
        outbox.append(log.end(), |out| out.extend_from_slice(b"C"));
        assert_eq!(unwritten(&outbox, &log, cursor), "bcC");
    }

    #[test]
    fn control_frames_and_what_is_half_written_outlive_messages() {
        let (mut log, mut pool, mut cursor, mut outbox) = begin();
        outbox.append(0, |out| out.extend_from_slice(b"HTTP"));
        outbox.begin_frames();
        outbox.append(0, |out| Message::Text("half").encode(out));
        let cursor_after = outbox.consume(7, cursor);
        log.advance(&mut cursor, cursor_after, &mut pool);
        outbox.append(0, |out| frame::encode_frame(frame::Opcode::Ping, b"ping", out));
        say(&mut log, &mut pool, "logged");
        outbox.append(log.end(), |out| Message::Text("private").encode(out));
        outbox.append(log.end(), |out| frame::encode_frame(frame::Opcode::Pong, b"pong", out));
        assert_eq!(outbox.cut_messages(&log, cursor), 2);
        let left = |outbox: &Outbox| unwritten(outbox, &Log::default(), Cursor::default());
        assert_eq!(left(&outbox), "alfpingpong");
        outbox.append(0, |out| Message::Text("again").encode(out));
        assert_eq!(outbox.cut_messages(&Log::default(), Cursor::default()), 1);
        assert_eq!(left(&outbox), "alfpingpong");
    }

    #[test]
    fn a_member_that_is_cut_off_gets_the_rest_of_its_frame() {
        let (mut log, mut pool, mut cursor, mut outbox) = begin();
        say(&mut log, &mut pool, "abc");
        say(&mut log, &mut pool, "def");
        log.advance(&mut cursor, 3, &mut pool);
        outbox.append(log.end(), |out| out.extend_from_slice(b"P"));
        outbox.cut(&log, cursor);
        assert_eq!(unwritten(&outbox, &Log::default(), Cursor::default()), "bc");
    }
}
