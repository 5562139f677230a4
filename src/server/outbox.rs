//! Private bytes for one member, placed between the frames of its room's log.

mod cut;

use std::collections::VecDeque;
use std::mem;

use super::log::{Cursor, Log};
use crate::protocol::frame;

/// The offset at which a member goes on that is to receive nothing more.
pub(super) const NOWHERE: u64 = u64::MAX;

/// The most written bytes of an insert that are kept before they are given back, if they are half of
/// it: an insert that is appended to all the time may never be written whole.
const MAX_WRITTEN_BYTES: usize = 64 << 10;

/// The largest buffer in bytes that keeps its size however little is in it: making it again for
/// every long message would take time.
const MAX_LOOSE_BYTES: usize = 1 << 20;

/// Private frames, each at its offset in the log.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// The first insert, which is void only if there is none. Mostly it is the only one, so its buffer
    /// stays where it is.
    first: Insert,
    /// The inserts after the first.
    later: VecDeque<Insert>,
    /// How many bytes of the first insert have been written.
    written: usize,
    /// How many bytes of all inserts have not been written.
    unwritten: usize,
    /// How many bytes at the beginning of the first insert are not whole frames: an HTTP answer, or the
    /// rest of a frame that is half written.
    opaque: usize,
    /// An empty buffer for the next insert after the first.
    spare: Vec<u8>,
    /// The payload of the latest ping, while the peer does not take earlier pongs.
    pub(super) pong: Option<Box<[u8]>>,
}

/// Bytes to be written when the log is written up to `at`; the log goes on at `resume`.
#[derive(Debug, Default)]
struct Insert {
    at: u64,
    resume: u64,
    bytes: Vec<u8>,
}

impl Insert {
    /// Whether the insert changes nothing.
    fn is_void(&self) -> bool {
        self.bytes.is_empty() && self.resume == self.at
    }
}

impl Outbox {
    /// Lets `speak` append frames that come when the log is written up to `at`, its end.
    pub(super) fn append(&mut self, at: u64, speak: impl FnOnce(&mut Vec<u8>)) {
        let bytes = &mut self.insert(at).bytes;
        let before = bytes.len();
        speak(bytes);
        let added = bytes.len() - before;
        self.unwritten += added;
    }

    /// Lets `speak` append bytes that come before the first frame: an HTTP answer, or the rest of a
    /// frame whose beginning was written. These bytes are never parsed.
    pub(super) fn append_opaque(&mut self, at: u64, speak: impl FnOnce(&mut Vec<u8>)) {
        debug_assert_eq!(self.opaque, self.unwritten, "frames come after what is opaque");
        self.append(at, speak);
        self.opaque = self.first.bytes.len();
    }

    /// Skips what is in the log between `from` and `to`, its end.
    pub(super) fn skip(&mut self, from: u64, to: u64) {
        self.insert(from).resume = to;
    }

    /// Sends nothing after what was queued up to `at`, the log's end.
    pub(super) fn finish(&mut self, at: u64) {
        self.insert(at).resume = NOWHERE;
        self.pong = None;
    }

    /// The last insert, or a new one after it if that one does not end at `at`.
    fn insert(&mut self, at: u64) -> &mut Insert {
        if self.later.is_empty() {
            if self.first.is_void() {
                (self.first.at, self.first.resume) = (at, at);
            }
            if self.first.resume == at {
                return &mut self.first;
            }
        }
        self.insert_later(at)
    }

    fn insert_later(&mut self, at: u64) -> &mut Insert {
        if self.later.back().is_none_or(|last| last.resume != at) {
            let bytes = mem::take(&mut self.spare);
            self.later.push_back(Insert { at, resume: at, bytes });
        }
        let last = self.later.len() - 1;
        &mut self.later[last]
    }

    /// The inserts that change something, in order.
    fn inserts(&self) -> impl Iterator<Item = &Insert> + Clone {
        let first = Some(&self.first).filter(|first| !first.is_void());
        first.into_iter().chain(&self.later)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_void() && self.later.is_empty() && self.pong.is_none()
    }

    /// How many unwritten bytes the outbox holds, including the memory of the inserts themselves.
    pub(super) fn size(&self) -> usize {
        let inserts = usize::from(!self.first.is_void()) + self.later.len();
        self.unwritten + inserts * size_of::<Insert>()
    }

    /// The memory in bytes that this takes: unwritten bytes, and written ones that have not been given
    /// back.
    pub(super) fn held_bytes(&self) -> usize {
        let spare = self.first.bytes.capacity() - self.first.bytes.len();
        self.size() + self.written + spare + self.spare.capacity()
    }

    /// The bytes to be written next, if they are one insert and nothing from the log.
    pub(super) fn only(&self, log: &Log, cursor: Cursor) -> Option<&[u8]> {
        let first = Some(&self.first).filter(|_| self.later.is_empty())?;
        let alone = first.at == cursor.offset() && first.resume >= log.end();
        alone.then(|| &first.bytes[self.written..])
    }

    /// The bytes to be written next, in order, from the log and from the inserts.
    pub(super) fn pieces<'a>(
        &'a self,
        log: &'a Log,
        cursor: Cursor,
    ) -> impl Iterator<Item = &'a [u8]> {
        let resumes = self.inserts().map(|insert| insert.resume);
        let from = std::iter::once(cursor.offset()).chain(resumes);
        let to = self.inserts().map(|insert| insert.at).chain([log.end()]);
        let written = std::iter::once(self.written).chain(std::iter::repeat(0));
        let bytes = self.inserts().zip(written).map(|(insert, from)| &insert.bytes[from..]);
        let private = bytes.map(Some).chain([None]);
        from.zip(to)
            .zip(private)
            .flat_map(|((from, to), bytes)| log.pieces(from, to).chain(bytes))
            .filter(|piece| !piece.is_empty())
    }

    /// Takes `size` bytes of [`pieces`](Self::pieces) as written, and returns the offset in the log
    /// that this leads to.
    #[inline]
    pub(super) fn consume(&mut self, mut size: usize, cursor: Cursor) -> u64 {
        let mut offset = cursor.offset();
        while !self.first.is_void() {
            let first = &self.first;
            let logged = (first.at - offset).min(size as u64);
            offset += logged;
            size -= logged as usize;
            if offset < first.at {
                return offset;
            }
            let private = (first.bytes.len() - self.written).min(size);
            self.written += private;
            self.unwritten -= private;
            size -= private;
            if self.written < first.bytes.len() {
                self.forget_written();
                return offset;
            }
            offset = first.resume;
            self.pass_first();
        }
        offset + size as u64
    }

    /// Goes on with the next insert that changes something.
    fn pass_first(&mut self) {
        (self.written, self.opaque) = (0, 0);
        self.first.bytes.clear();
        self.first.resume = self.first.at;
        if !self.later.is_empty() {
            self.bring_forward();
        }
    }

    #[cold]
    fn bring_forward(&mut self) {
        while self.first.is_void()
            && let Some(next) = self.later.pop_front()
        {
            let before = mem::replace(&mut self.first, next).bytes;
            if (self.spare.capacity() + 1..=MAX_LOOSE_BYTES).contains(&before.capacity()) {
                self.spare = before;
            }
        }
    }

    /// How many bytes the outbox can hold without growing.
    pub(super) fn capacity(&self) -> usize {
        self.first.bytes.capacity() + self.spare.capacity()
    }

    fn forget_written(&mut self) {
        let size = self.first.bytes.len();
        if self.written > MAX_WRITTEN_BYTES && self.written > size / 2 {
            let rest = self.boundary() - self.written;
            self.first.bytes.drain(..self.written);
            (self.written, self.opaque) = (0, rest);
            if self.first.bytes.capacity() > 4 * self.first.bytes.len() {
                self.first.bytes.shrink_to(MAX_LOOSE_BYTES.max(2 * self.first.bytes.len()));
            }
        }
    }

    /// Where in the first insert the first whole frame begins of which nothing is written.
    fn boundary(&self) -> usize {
        let bytes = &self.first.bytes;
        let mut boundary = self.opaque;
        while boundary < self.written {
            let end = frame::frame_size(&bytes[boundary..]);
            let end = end.and_then(|size| boundary.checked_add(size));
            boundary = end.map_or(bytes.len(), |end| end.min(bytes.len()));
        }
        boundary
    }

    /// Whether the first insert begins with the rest of what is half written.
    fn is_begun(&self) -> bool {
        self.written > 0 || self.opaque > 0
    }

    /// Moves what is private into a log that the member enters at its end, `at`.
    pub(super) fn attach(&mut self, at: u64) {
        for insert in std::iter::once(&mut self.first).chain(&mut self.later) {
            (insert.at, insert.resume) = (at, at);
        }
        if self.first.is_void() {
            self.pass_first();
        }
    }
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
    fn what_changes_nothing_hides_nothing_behind_it() {
        let (mut log, mut pool, mut cursor, mut outbox) = begin();
        outbox.append(log.end(), |out| out.extend_from_slice(b"P"));
        let from = log.end();
        say(&mut log, &mut pool, "skipped");
        outbox.skip(from, log.end());
        say(&mut log, &mut pool, "a");
        outbox.append(log.end(), |_| {});
        say(&mut log, &mut pool, "b");
        outbox.append(log.end(), |out| out.extend_from_slice(b"Q"));
        assert_eq!(unwritten(&outbox, &log, cursor), "PabQ");
        let size = outbox.pieces(&log, cursor).map(<[u8]>::len).sum();
        let offset = outbox.consume(size, cursor);
        log.advance(&mut cursor, offset, &mut pool);
        assert!(outbox.is_empty() && cursor.offset() == log.end());
        outbox.skip(0, 1);
        outbox.append(log.end(), |out| out.extend_from_slice(b"R"));
        outbox.attach(0);
        assert_eq!(unwritten(&outbox, &Log::default(), Cursor::default()), "R");
    }

    #[test]
    fn what_is_written_is_not_kept_however_much_follows() {
        let mut outbox = Outbox::default();
        outbox.append(0, |out| out.extend_from_slice(&[0; 100_000]));
        for _ in 0..100 {
            outbox.append(0, |out| out.extend_from_slice(&[0; 100_000]));
            outbox.consume(100_000, Cursor::default());
        }
        assert!(outbox.first.bytes.len() <= 300_000);
        assert_eq!(outbox.size(), 100_000 + size_of::<Insert>());
    }

    #[test]
    fn the_memory_of_what_is_written_is_given_back_and_counts_until_then() {
        for step in [100_000, 9_990_000] {
            let mut outbox = Outbox::default();
            outbox.append(0, |out| out.extend_from_slice(&[0; 10_000_000]));
            while outbox.unwritten > 10_000 {
                outbox.consume(step.min(outbox.unwritten - 10_000), Cursor::default());
                let (held, left) = (outbox.held_bytes(), outbox.unwritten);
                assert!(held >= outbox.capacity());
                assert!(held <= MAX_LOOSE_BYTES + 5 * left, "{held} for {left}");
            }
            outbox.append(1, |out| out.push(0));
            outbox.consume(10_000, Cursor::default());
            assert!(outbox.capacity() <= 2 * MAX_LOOSE_BYTES, "{}", outbox.capacity());
        }
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
        outbox.append_opaque(0, |out| out.extend_from_slice(b"HTTP"));
        outbox.append(0, |out| Message::Text("half").encode(out));
        let cursor_after = outbox.consume(7, cursor);
        log.advance(&mut cursor, cursor_after, &mut pool);
        outbox.append(0, |out| frame::encode_frame(frame::Opcode::Ping, b"ping", out));
        say(&mut log, &mut pool, "logged");
        outbox.append(log.end(), |out| Message::Text("private").encode(out));
        outbox.append(log.end(), |out| frame::encode_frame(frame::Opcode::Pong, b"pong", out));
        let (offset, missed) = outbox.skip_oldest(&log, cursor, 0);
        log.advance(&mut cursor, offset, &mut pool);
        assert_eq!((unwritten(&outbox, &log, cursor).as_str(), missed), ("alfpingprivatepong", 1));
        say(&mut log, &mut pool, "again");
        let (offset, missed) = outbox.skip_oldest(&log, cursor, 0);
        log.advance(&mut cursor, offset, &mut pool);
        assert_eq!((unwritten(&outbox, &log, cursor).as_str(), missed), ("alfpingpongagain", 1));
    }

    #[test]
    fn nobody_misses_what_was_not_for_it() {
        let (mut log, mut pool, mut cursor, mut outbox) = begin();
        for text in ["a", "own", "b", "own", "c", "d"] {
            let from = log.end();
            say(&mut log, &mut pool, text);
            if text == "own" {
                outbox.skip(from, log.end());
            }
        }
        let (offset, missed) = outbox.skip_oldest(&log, cursor, 6);
        log.advance(&mut cursor, offset, &mut pool);
        assert_eq!((unwritten(&outbox, &log, cursor).as_str(), missed), ("cd", 2));
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
