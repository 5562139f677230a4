//! A member as a reader of its room's log.

use super::{Client, Outbox};
use crate::server::client::memory::Memory;
use crate::server::room::Membership;
use crate::server::room::compressor::Encoding;
use crate::server::room::frame_log::{Cursor, FrameLog};

/// The part of the log that a client still receives when it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retain {
    /// Everything that was sent while the client was a member.
    All,
    /// The rest of the frame that has begun.
    UnfinishedFrame,
    /// Nothing, because the client has received everything, or is lost.
    Nothing,
}

impl Client {
    /// Makes the client a reader of the room's log, at its end.
    pub(crate) fn enter(&mut self, membership: Membership, log: &mut FrameLog) {
        let cursor = log.enter();
        self.begin_reading(membership, cursor);
    }

    /// Makes the client a reader of the room's log from `offset`, which must be kept, or be the end.
    pub(crate) fn enter_at(
        &mut self,
        offset: u64,
        membership: Membership,
        log: &mut FrameLog,
        memory: &mut Memory,
    ) {
        let cursor = log.enter_at(offset, &mut memory.segments);
        self.begin_reading(membership, cursor);
    }

    fn begin_reading(&mut self, membership: Membership, cursor: Cursor) {
        self.membership = Some(membership);
        self.cursor = cursor;
        if let Some(outbox) = &mut self.outbox {
            outbox.attach(cursor.offset());
        }
    }

    /// Ends the client's reading of its log.
    pub(crate) fn leave(&mut self, log: &mut FrameLog, memory: &mut Memory, keep: Retain) {
        self.membership = None;
        let cursor = std::mem::take(&mut self.cursor);
        self.edit_outbox(memory, |outbox, _| match keep {
            Retain::All => outbox.detach(log, cursor),
            Retain::UnfinishedFrame => outbox.cut(log, cursor),
            Retain::Nothing => *outbox = Outbox::default(),
        });
        log.leave(cursor, &mut memory.segments);
    }

    /// Skips everything except the frame that has begun, which stays in the log.
    pub(crate) fn skip_unbegun(&mut self, log: &FrameLog, memory: &mut Memory) {
        let cursor = self.cursor;
        self.edit_outbox(memory, |outbox, _| outbox.skip_unbegun(log, cursor));
    }

    /// Skips the oldest messages, so that at most `max_bytes` of messages are left, or the newest one.
    /// Where they were, `note` may append a frame, from their number and the offset at which the client
    /// continues. Returns the number of messages that the client misses.
    pub(crate) fn skip_oldest(
        &mut self,
        log: &mut FrameLog,
        memory: &mut Memory,
        max_bytes: usize,
        note: impl FnOnce(&FrameLog, u64, u64, &mut Vec<u8>),
    ) -> u64 {
        let cursor = self.cursor;
        let note = |missed, offset, out: &mut Vec<u8>| note(log, missed, offset, out);
        let (offset, missed) =
            self.edit_outbox(memory, |outbox, _| outbox.skip_oldest(log, cursor, max_bytes, note));
        log.advance(&mut self.cursor, offset, &mut memory.segments);
        missed
    }

    /// Moves the client to the plain log of its room, to the same message there, or to the oldest that
    /// is kept. Returns the number of messages that the client misses.
    pub(crate) fn go_plain(
        &mut self,
        shared: &mut FrameLog,
        plain: &mut FrameLog,
        memory: &mut Memory,
    ) -> u64 {
        let cursor = self.cursor;
        let offset = self.edit_outbox(memory, |outbox, _| {
            outbox.translate(shared, cursor, |at| plain.last_frames(shared.frames_from(at)))
        });
        let missed = shared.frames_from(cursor.offset()) - plain.frames_from(offset);
        shared.leave(cursor, &mut memory.segments);
        self.cursor = plain.enter_at(offset, &mut memory.segments);
        if let Some(membership) = &mut self.membership {
            membership.encoding = Encoding::Plain;
        }
        missed
    }

    /// Queues the frame that `encode` appends before everything else, except the rest of a frame that has
    /// begun. The cursor must lie between two frames.
    pub(crate) fn put_first(&mut self, memory: &mut Memory, encode: impl FnOnce(&mut Vec<u8>)) {
        let cursor = self.cursor;
        self.edit_outbox(memory, |outbox, _| outbox.put_first(cursor, encode));
    }

    /// The offset in the log at which the client reads.
    pub(crate) fn offset(&self) -> u64 {
        self.cursor.offset()
    }

    /// The number of bytes that are left of the frame that has begun.
    pub(crate) fn unfinished_size(&self, log: &FrameLog) -> u64 {
        let in_log = || log.frame_end(self.cursor) - self.cursor.offset();
        self.outbox.as_ref().map_or_else(in_log, |outbox| outbox.unfinished_size(log, self.cursor))
    }

    /// The number of bytes of its log that the client has not received.
    pub(crate) fn unread_bytes(&self, log: &FrameLog) -> u64 {
        log.end().saturating_sub(self.cursor.offset())
    }

    /// For a client without a log, keeps only those private bytes that [`leave`](Self::leave) would
    /// keep.
    pub(crate) fn cut_private(&mut self, nowhere: &FrameLog, memory: &mut Memory, keep: Retain) {
        let cursor = self.cursor;
        if self.outbox.is_some() {
            self.edit_outbox(memory, |outbox, _| match keep {
                Retain::All => {}
                Retain::UnfinishedFrame => outbox.cut(nowhere, cursor),
                Retain::Nothing => *outbox = Outbox::default(),
            });
        }
    }
}
