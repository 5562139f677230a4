//! Decides what a member still gets when it leaves its log, or has fallen too far behind in it.

use std::collections::VecDeque;
use std::mem;

use super::{Insert, NOWHERE, Outbox};
use crate::protocol::frame;
use crate::server::log::{Cursor, Log};

/// The point at which a member goes on that misses the oldest messages it has not received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    /// The offset in the log at which the member goes on.
    offset: u64,
    /// The first insert that is kept.
    insert: usize,
    /// How many bytes at the beginning of that insert are skipped.
    within: usize,
}

impl Outbox {
    /// What must be written before anything else can be: the rest of what is half written.
    fn unfinished(&self, log: &Log, cursor: Cursor) -> Vec<u8> {
        if self.is_begun() {
            return self.first.bytes[self.written..self.boundary()].to_vec();
        }
        log.pieces(cursor.offset(), log.frame_end(cursor)).collect::<Vec<_>>().concat()
    }

    /// The size in bytes of what is half written.
    pub(in crate::server) fn unfinished_size(&self, log: &Log, cursor: Cursor) -> u64 {
        if self.is_begun() {
            (self.boundary() - self.written) as u64
        } else {
            log.frame_end(cursor) - cursor.offset()
        }
    }

    /// Makes everything private that is to be written, for a member that leaves the log.
    pub(in crate::server) fn detach(&mut self, log: &Log, cursor: Cursor) {
        if cursor.offset() == log.end() {
            // Everything is private already.
            return self.attach(0);
        }
        let bytes = self.pieces(log, cursor).collect::<Vec<_>>().concat();
        let rest = self.unfinished_size(log, cursor) as usize;
        self.replace(bytes, rest);
    }

    /// Keeps only what is half written and a close frame that is queued, as private bytes, for a
    /// member that leaves the log.
    pub(in crate::server) fn cut(&mut self, log: &Log, cursor: Cursor) {
        let (bytes, ending) = (self.unfinished(log, cursor), self.ending());
        let rest = bytes.len();
        self.replace(bytes, rest);
        self.end_with(ending, 0);
    }

    /// What ends the member's output, if that is queued: a close frame, or nothing where that frame
    /// has begun.
    fn ending(&self) -> Option<Vec<u8>> {
        let last = self.inserts().last().filter(|last| last.resume == NOWHERE)?;
        let begin = if self.later.is_empty() { self.boundary() } else { 0 };
        Some(frames(&last.bytes[begin..]).last().unwrap_or_default().to_vec())
    }

    fn end_with(&mut self, ending: Option<Vec<u8>>, at: u64) {
        if let Some(ending) = ending {
            self.append(at, |out| out.extend_from_slice(&ending));
            self.finish(at);
        }
    }

    /// Skips everything up to the log's end except what is half written and a close frame that is
    /// queued, without a copy of the log.
    pub(in crate::server) fn skip_unbegun(&mut self, log: &Log, cursor: Cursor) {
        let ending = self.ending();
        self.later.clear();
        if self.is_begun() {
            let boundary = self.boundary();
            self.first.bytes.truncate(boundary);
            self.first.resume = self.first.at;
            self.unwritten = boundary - self.written;
            self.skip(cursor.offset(), log.end());
        } else {
            self.first = Insert::default();
            self.unwritten = 0;
            self.skip(log.frame_end(cursor), log.end());
        }
        self.end_with(ending, log.end());
    }

    /// Skips the oldest messages, so that at most `max_bytes` of messages are left, or the newest one.
    /// What is half written and control frames are kept, as private bytes. Returns the offset at which
    /// the member goes on, and how many messages it misses.
    pub(in crate::server) fn skip_oldest(
        &mut self,
        log: &Log,
        cursor: Cursor,
        max_bytes: usize,
    ) -> (u64, u64) {
        let mut bytes = self.unfinished(log, cursor);
        let (rest, cut) = (bytes.len(), self.newest(log, cursor, max_bytes));
        // What `skip` left out was not for this member.
        let others = self.inserts().take(cut.insert);
        let others = others.flat_map(|insert| log.pieces(insert.at, insert.resume));
        let others = others.flat_map(frames).count() as u64;
        let passed = log.frames_from(cursor.offset()) - log.frames_from(cut.offset);
        let mut missed = passed - others;
        for frame in self.frames_before(cut) {
            if frame::is_control(frame) {
                bytes.extend_from_slice(frame);
            } else {
                missed += 1;
            }
        }
        self.keep_from(cut, bytes, rest);
        (cut.offset, missed)
    }

    /// The longest run of whole messages at the end of all that is `max_bytes` at most, or the
    /// last message alone.
    fn newest(&self, log: &Log, cursor: Cursor, max_bytes: usize) -> Cut {
        let begun = self.is_begun();
        let start = if begun { cursor.offset() } else { log.frame_end(cursor) };
        let inserts: Vec<_> = self.inserts().collect();
        // `none` means that no message is kept so far.
        let (mut left, mut to, mut none) = (max_bytes, log.end(), true);
        for (index, insert) in inserts.iter().enumerate().rev() {
            let offset = log.newest_from(insert.resume, to, left, none);
            if offset > insert.resume {
                return Cut { offset, insert: index + 1, within: 0 };
            }
            none &= offset == to;
            left = left.saturating_sub((to - offset) as usize);
            let begin = if index == 0 { self.boundary() } else { 0 };
            let bytes = &insert.bytes[begin..];
            let within = newest_within(bytes, left, none);
            if within > 0 {
                return Cut { offset: insert.at, insert: index, within: begin + within };
            }
            none &= frames(bytes).all(frame::is_control);
            left = left.saturating_sub(bytes.len());
            to = insert.at;
        }
        if begun {
            return Cut { offset: start, insert: 0, within: self.boundary() };
        }
        let offset = log.newest_from(start, to, left, none);
        Cut { offset, insert: 0, within: 0 }
    }

    /// The frames of all inserts before a cut of which nothing has been written.
    fn frames_before(&self, cut: Cut) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(self.boundary()).chain(std::iter::repeat(0));
        let inserts = self.inserts().zip(begins).enumerate().take(cut.insert + 1);
        inserts.flat_map(move |(index, (insert, begin))| {
            let end = if index < cut.insert { insert.bytes.len() } else { cut.within };
            frames(insert.bytes.get(begin..end).unwrap_or_default())
        })
    }

    /// Skips what comes before a cut, and puts `bytes` there, the first `rest` of which are not whole
    /// frames.
    fn keep_from(&mut self, cut: Cut, bytes: Vec<u8>, rest: usize) {
        let first = Some(mem::take(&mut self.first)).filter(|first| !first.is_void());
        let mut kept: VecDeque<_> = first.into_iter().chain(mem::take(&mut self.later)).collect();
        kept.drain(..cut.insert);
        if let Some(insert) = kept.front_mut() {
            insert.bytes.drain(..cut.within);
        }
        self.first = Insert { at: cut.offset, resume: cut.offset, bytes };
        (self.later, self.written, self.opaque) = (kept, 0, rest);
        self.unwritten = self.inserts().map(|insert| insert.bytes.len()).sum();
        if self.first.is_void() {
            self.pass_first();
        }
    }

    /// Replaces everything with `bytes`, the first `rest` of which are not whole frames; nothing from a
    /// log follows.
    fn replace(&mut self, bytes: Vec<u8>, rest: usize) {
        (self.first, self.later) = (Insert::default(), VecDeque::new());
        (self.written, self.unwritten, self.opaque) = (0, 0, rest);
        if !bytes.is_empty() {
            self.append(0, |out| *out = bytes);
        }
    }

    /// Moves the private bytes from their offsets in a log to those in another one, which holds the
    /// same messages in other bytes. What is half written of the first log becomes private. Returns the
    /// offset at which the member goes on in the other log.
    pub(in crate::server) fn translate(
        &mut self,
        log: &Log,
        cursor: Cursor,
        place: impl Fn(u64) -> u64,
    ) -> u64 {
        let start = place(cursor.offset());
        let rest = if self.is_begun() { Vec::new() } else { self.unfinished(log, cursor) };
        for insert in std::iter::once(&mut self.first).chain(&mut self.later) {
            (insert.at, insert.resume) = (place(insert.at), place(insert.resume));
        }
        if !rest.is_empty() {
            let (opaque, cut) = (rest.len(), Cut { offset: start, insert: 0, within: 0 });
            self.keep_from(cut, rest, opaque);
        }
        start
    }
}

/// Where in `bytes`, which are whole frames, the longest run of frames at their end begins that has at
/// most `max_bytes`. `one` asks for at least the last message.
fn newest_within(bytes: &[u8], max_bytes: usize, one: bool) -> usize {
    if bytes.len() <= max_bytes {
        return 0;
    }
    let (mut begin, mut newest, mut last_message) = (0, bytes.len(), bytes.len());
    for frame in frames(bytes) {
        if bytes.len() - begin <= max_bytes {
            newest = newest.min(begin);
        }
        if !frame::is_control(frame) {
            last_message = begin;
        }
        begin += frame.len();
    }
    if one { newest.min(last_message) } else { newest }
}

/// The whole frames that `bytes` are made of.
fn frames(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (frame, rest) = bytes.split_at_checked(frame::frame_size(bytes)?)?;
        bytes = rest;
        Some(frame)
    })
}
