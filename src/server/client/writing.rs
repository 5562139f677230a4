//! Writing what is queued for a client.

use std::io::{self, ErrorKind, IoSlice};

use super::Client;
use crate::protocol::{Message, frame};
use crate::server::client::memory::Memory;
use crate::server::client::outbox::NOWHERE;
use crate::server::client::transport::Scratch;
use crate::server::room::frame_log::FrameLog;
use crate::server::time::wheel::Timestamp;

/// The maximum number of pieces in one write. There are seldom more: a piece is a segment of the log, or
/// a run of private frames.
const MAX_PIECES: usize = 16;

/// What has been written to clients.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// How many writes wrote something.
    pub(crate) writes: u64,
    pub(crate) bytes: u64,
}

impl Written {
    /// Adds one write of `size` bytes.
    fn add(&mut self, size: usize) {
        self.writes += u64::from(size > 0);
        self.bytes += size as u64;
    }
}

/// The result of a client's flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Everything was written.
    Written,
    /// The socket takes no more for now.
    Blocked,
    /// Everything was written, and nothing will follow.
    Finished,
}

impl Client {
    /// Writes as much of what is queued as the socket takes, and adds it to `written`.
    ///
    /// # Errors
    /// The socket's error, if the connection is lost.
    pub(crate) fn flush(
        &mut self,
        log: &mut FrameLog,
        memory: &mut Memory,
        now: Timestamp,
        written: &mut Written,
    ) -> io::Result<Progress> {
        if self.transport.is_layered() {
            return self.flush_unsent(log, memory, now, written);
        }
        self.flush_queued(log, memory, now, written)
    }

    /// Does the same over TLS, which may have sealed more than the socket took.
    #[inline(never)]
    fn flush_unsent(
        &mut self,
        log: &mut FrameLog,
        memory: &mut Memory,
        now: Timestamp,
        written: &mut Written,
    ) -> io::Result<Progress> {
        let mut progress = Progress::Blocked;
        if self.transport.send_unsent()? {
            progress = self.flush_queued(log, memory, now, written)?;
        }
        self.note_unsent(memory, now);
        if self.transport.has_unsent() && progress == Progress::Written {
            progress = Progress::Blocked;
        }
        Ok(progress)
    }

    /// Counts what has been sealed and not written, for which the socket must become writable.
    pub(crate) fn note_unsent(&mut self, memory: &mut Memory, now: Timestamp) {
        self.transport.count_unsent(&mut memory.unsent);
        if self.transport.has_unsent() {
            self.blocked.get_or_insert(now);
        }
    }

    fn flush_queued(
        &mut self,
        log: &mut FrameLog,
        memory: &mut Memory,
        now: Timestamp,
        written: &mut Written,
    ) -> io::Result<Progress> {
        if self.is_drained() {
            return Ok(Progress::Finished);
        }
        while self.blocked.is_none() {
            if self.outbox.as_ref().is_some_and(|outbox| outbox.pong.is_some()) {
                self.queue_pong(log.end(), memory);
            }
            let (count, outcome) = self.write(log, &mut memory.scratch, now);
            match outcome {
                Ok(size) => {
                    written.add(size);
                    if self.consume(size, log, memory) == NOWHERE {
                        return Ok(Progress::Finished);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.blocked = Some(now),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            if count < MAX_PIECES {
                break;
            }
        }
        Ok(if self.blocked.is_some() { Progress::Blocked } else { Progress::Written })
    }

    /// Writes once, and returns the number of pieces and the outcome.
    fn write(
        &mut self,
        log: &FrameLog,
        scratch: &mut Scratch,
        now: Timestamp,
    ) -> (usize, io::Result<usize>) {
        let only = match &self.outbox {
            None => log.tail(self.cursor),
            Some(outbox) => outbox.only(log, self.cursor),
        };
        let (count, size, outcome) = match only {
            Some(piece) => (1, piece.len(), self.transport.write(piece, scratch)),
            None => self.write_pieces(log, scratch),
        };
        if outcome.as_ref().is_ok_and(|&written| written < size) {
            // The socket is full, and will become writable again.
            self.blocked = Some(now);
        }
        (count, outcome)
    }

    /// Writes several pieces once, and returns their number, their size and the outcome. This is rare,
    /// so it is kept out of the usual path.
    #[inline(never)]
    fn write_pieces(
        &mut self,
        log: &FrameLog,
        scratch: &mut Scratch,
    ) -> (usize, usize, io::Result<usize>) {
        let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
        let count = match &self.outbox {
            None => fill(&mut pieces, log.pieces(self.cursor.offset(), log.end())),
            Some(outbox) => fill(&mut pieces, outbox.pieces(log, self.cursor)),
        };
        let pieces = &pieces[..count];
        let size = pieces.iter().map(|piece| piece.len()).sum();
        (count, size, self.transport.write_vectored(pieces, scratch))
    }

    #[cold]
    fn queue_pong(&mut self, at: u64, memory: &mut Memory) {
        if let Some(pong) = self.outbox.as_mut().and_then(|outbox| outbox.pong.take()) {
            self.queue_control(at, memory, |connection, out| connection.pong(&pong, out));
        }
    }

    /// Marks `size` bytes as written, and returns the resulting offset in the log.
    fn consume(&mut self, size: usize, log: &mut FrameLog, memory: &mut Memory) -> u64 {
        let offset = match &mut self.outbox {
            None => self.cursor.offset() + size as u64,
            Some(outbox) => {
                let offset = outbox.consume(size, self.cursor);
                self.settle_outbox(memory);
                offset
            }
        };
        if offset != NOWHERE {
            log.advance(&mut self.cursor, offset, &mut memory.segments);
        }
        offset
    }

    /// Writes a message directly to a client that is up to date, and queues what the socket does not
    /// take. Adds to `written` what it takes.
    pub(crate) fn send_at_once(
        &mut self,
        message: Message<'_>,
        at: u64,
        memory: &mut Memory,
        now: Timestamp,
        written: &mut Written,
    ) {
        let mut header = Vec::new();
        let payload = message.payload();
        frame::encode_header(message.opcode(), payload.len(), &mut header);
        let pieces = [IoSlice::new(&header), IoSlice::new(payload)];
        // An error occurs again when the rest is written.
        let size = self.transport.write_vectored(&pieces, &mut memory.scratch).unwrap_or(0);
        self.note_unsent(memory, now);
        written.add(size);
        if size == message.frame_size() {
            return;
        }
        let rest = |out: &mut Vec<u8>| {
            out.extend_from_slice(header.get(size..).unwrap_or_default());
            out.extend_from_slice(&payload[size.saturating_sub(header.len())..]);
        };
        if size > 0 {
            self.blocked = Some(now);
            self.edit_outbox(memory, |outbox, _| outbox.push_opaque(at, rest));
        } else {
            self.edit_outbox(memory, |outbox, _| outbox.push_frame(at, rest));
        }
    }
}

fn fill<'a>(
    slices: &mut [IoSlice<'a>; MAX_PIECES],
    pieces: impl Iterator<Item = &'a [u8]>,
) -> usize {
    slices.iter_mut().zip(pieces).map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
}
