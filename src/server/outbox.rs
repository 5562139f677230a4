//! What is for one member alone, between the frames of its room's log.

use std::collections::VecDeque;

use super::log::{Cursor, Log};

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
    /// The first insert begins with the rest of a frame that was half written from a log.
    begun: bool,
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
        match self.inserts.pop_back_if(|last| last.resume == at) {
            Some(last) => self.inserts.push_back_mut(last),
            None => {
                self.size += size_of::<Insert>();
                self.inserts.push_back_mut(Insert { at, resume: at, bytes: Vec::new() })
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inserts.is_empty() && self.pong.is_none()
    }

    /// How many bytes it holds.
    pub(super) fn size(&self) -> usize {
        self.size
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
            (self.written, self.begun) = (0, false);
            self.size -= size_of::<Insert>();
            self.inserts.pop_front();
        }
        offset + size as u64
    }

    fn forget_written(&mut self) {
        let Some(first) = self.inserts.front_mut() else { return };
        if self.written > MAX_WRITTEN_BYTES && self.written > first.bytes.len() / 2 {
            first.bytes.drain(..self.written);
            (self.written, self.begun) = (0, true);
        }
    }

    /// Makes everything that is to be written private, for a member that leaves the log.
    pub(super) fn detach(&mut self, log: &Log, cursor: Cursor) {
        let bytes = self.pieces(log, cursor).collect::<Vec<_>>().concat();
        let begun = self.is_begun() || log.frame_end(cursor) != cursor.offset();
        self.replace(bytes, begun);
    }

    /// Keeps only what is half written, for a member that is too far behind.
    pub(super) fn cut(&mut self, log: &Log, cursor: Cursor) {
        let bytes = match self.inserts.front() {
            Some(first) if self.is_begun() => first.bytes[self.written..].to_vec(),
            _ => log.pieces(cursor.offset(), log.frame_end(cursor)).collect::<Vec<_>>().concat(),
        };
        self.replace(bytes, true);
    }

    /// Whether part of the first insert, or of the frame that it completes, is written.
    fn is_begun(&self) -> bool {
        self.written > 0 || self.begun
    }

    /// From now on `bytes` are all there is, and there is no log.
    fn replace(&mut self, bytes: Vec<u8>, begun: bool) {
        self.inserts.clear();
        (self.written, self.size, self.begun) = (0, 0, begun && !bytes.is_empty());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Message;
    use crate::server::log::Pool;

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
