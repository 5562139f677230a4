//! One client: its socket, its connection, its place in the room's log.

use std::io::{self, ErrorKind, IoSlice};
use std::mem;

use super::addresses::Place;
use super::deadlines::Tick;
use super::departure::Cause;
use super::id::ClientId;
use super::log::{Cursor, Log};
use super::logs::Encoding;
use super::outbox::{NOWHERE, Outbox};
use super::pace::Pace;
use super::pool::Pool;
use super::tally::Share;
use super::transport::Transport;
use crate::protocol::{Connection, Message, frame};

/// The most pieces of one write. More are seldom at hand: a piece is a segment of the log, or a
/// run of private frames.
const MAX_PIECES: usize = 16;

/// A member's place in its room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat {
    /// The room's key.
    pub(super) room: usize,
    /// The member's index in the room's list.
    pub(super) index: usize,
    /// The log that it reads.
    pub(super) encoding: Encoding,
}

/// A client, from accept to the end of its TCP connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: ClientId,
    pub(super) transport: Transport,
    pub(super) connection: Connection,
    /// Where it comes from, if the limits of a single address bind it.
    pub(super) place: Option<Place>,
    pub(super) seat: Option<Seat>,
    /// The encoding that it is to have in its rooms.
    pub(super) encoding: Encoding,
    cursor: Cursor,
    outbox: Option<Box<Outbox>>,
    /// What is known about its departure before it has left.
    pub(super) parting: Option<Box<Parting>>,
    /// Since when the socket takes nothing: it took less than it was given, and has not asked for
    /// more.
    pub(super) blocked: Option<Tick>,
    /// When the last sign of life came.
    pub(super) heard: Tick,
    /// How many bytes have come since, or since the ping, that belong to no whole message yet.
    pub(super) arrived: u32,
    /// When a ping was sent, if nothing came since.
    pub(super) pinged: Option<Tick>,
    /// How fast it speaks.
    pub(super) pace: Pace,
    /// Since when it has said too much without a break.
    pub(super) throttled: Option<Tick>,
    /// What it holds of a message or a head that has not arrived whole.
    pub(super) incomplete: Share,
    /// What is private and not written.
    pub(super) unsent: Share,
    /// What is set aside for its compression context.
    pub(super) window: Share,
    /// The peer's end, an error or an urgent byte was announced, so that a short read need not be the
    /// last one.
    pub(super) announced: bool,
    /// All that the peer sent is read.
    pub(super) read_closed: bool,
    /// We have ended ours.
    write_closed: bool,
    /// The last bytes are queued; what follows is not for this client.
    finishing: bool,
    /// They are written, and the time for the peer's answer has begun.
    drained: bool,
    /// The application was told that the client is there, and its connection has not closed.
    pub(super) opened: bool,
    /// The application was told, or is about to be, that it is gone.
    pub(super) departed: bool,
    /// It waits to be read.
    pub(super) queued: bool,
    /// It waits for leave to be read.
    pub(super) parked: bool,
    /// Its room waits for it.
    pub(super) lagging: bool,
    /// It waits to be flushed.
    pub(super) dirty: bool,
}

impl Client {
    pub(super) fn new(
        id: ClientId,
        transport: Transport,
        connection: Connection,
        place: Option<Place>,
    ) -> Self {
        Self {
            id,
            transport,
            connection,
            place,
            seat: None,
            encoding: Encoding::Plain,
            cursor: Cursor::default(),
            outbox: None,
            parting: None,
            blocked: None,
            heard: Tick::default(),
            arrived: 0,
            pinged: None,
            pace: Pace::default(),
            throttled: None,
            incomplete: Share::default(),
            unsent: Share::default(),
            window: Share::default(),
            announced: false,
            read_closed: false,
            write_closed: false,
            finishing: false,
            drained: false,
            opened: false,
            departed: false,
            queued: false,
            parked: false,
            lagging: false,
            dirty: false,
        }
    }

    /// Notes a sign of life, such as a whole frame.
    pub(super) fn note_life(&mut self, now: Tick) {
        self.heard = now;
        self.pinged = None;
        self.arrived = 0;
    }

    /// Notes bytes that belong to no whole message yet.
    pub(super) fn note_arrival(&mut self, size: usize) {
        self.arrived = self.arrived.saturating_add(u32::try_from(size).unwrap_or(u32::MAX));
    }

    /// Whether what has come since a sign of life, or since the ping, came at a rate of at least
    /// `min_rate` bytes a second; 0 is no rate.
    pub(super) fn arrives_at(&self, min_rate: u32, now: Tick) -> bool {
        let since = self.pinged.unwrap_or(self.heard);
        min_rate > 0 && self.arrived as f32 >= min_rate as f32 * now.seconds_since(since)
    }

    /// Whether it reads the log of this encoding.
    pub(super) fn reads(&self, encoding: Encoding) -> bool {
        self.seat.is_some_and(|seat| seat.encoding == encoding)
    }

    /// The encoding of what is for this client alone. While it reads the log of a shared context, nothing
    /// else may enter its window.
    pub(super) fn private_encoding(&self) -> Encoding {
        if self.reads(Encoding::Shared) { Encoding::Plain } else { self.encoding }
    }

    /// Whether it reads the plain log only until it can hop to the shared one.
    pub(super) fn waits(&self) -> bool {
        self.encoding == Encoding::Shared && self.reads(Encoding::Plain)
    }

    /// Whether it waits, and has got everything of the plain log, its private frames included.
    pub(super) fn waits_at_end(&self, plain: &Log) -> bool {
        self.waits() && self.cursor.offset() == plain.end() && self.outbox.is_none()
    }

    /// Makes the client a reader of the room's log.
    pub(super) fn enter(&mut self, seat: Seat, log: &mut Log) {
        self.seat = Some(seat);
        self.cursor = log.enter();
        if let Some(outbox) = &mut self.outbox {
            outbox.attach(self.cursor.offset());
        }
    }

    /// Makes the client no reader of its log any more.
    pub(super) fn leave(&mut self, log: &mut Log, pool: &mut Pool, keep: Keep) {
        self.seat = None;
        let cursor = std::mem::take(&mut self.cursor);
        self.edit_outbox(pool, |outbox, _| match keep {
            Keep::All => outbox.detach(log, cursor),
            Keep::UnfinishedFrame => outbox.cut(log, cursor),
            Keep::Nothing => *outbox = Outbox::default(),
        });
        log.leave(cursor, pool);
    }

    /// Leaves out everything that is not half written, which stays in the log.
    pub(super) fn skip_unbegun(&mut self, log: &Log, pool: &mut Pool) {
        let cursor = self.cursor;
        self.edit_outbox(pool, |outbox, _| outbox.skip_unbegun(log, cursor));
    }

    /// Leaves out the oldest messages, so that at most `max_bytes` of messages are left, or the
    /// newest one. Returns how many it misses.
    pub(super) fn skip_oldest(&mut self, log: &mut Log, pool: &mut Pool, max_bytes: usize) -> u64 {
        let cursor = self.cursor;
        let (offset, missed) =
            self.edit_outbox(pool, |outbox, _| outbox.skip_oldest(log, cursor, max_bytes));
        log.advance(&mut self.cursor, offset, pool);
        missed
    }

    /// Goes from a log of its room to the plain one, and there to the same message, or to the oldest
    /// that is kept. Returns how many messages it misses.
    pub(super) fn go_plain(&mut self, shared: &mut Log, plain: &mut Log, pool: &mut Pool) -> u64 {
        let cursor = self.cursor;
        let offset = self.edit_outbox(pool, |outbox, _| {
            outbox.translate(shared, cursor, |at| plain.last_frames(shared.frames_from(at)))
        });
        let missed = shared.frames_from(cursor.offset()) - plain.frames_from(offset);
        shared.leave(cursor, pool);
        self.cursor = plain.enter_at(offset);
        if let Some(seat) = &mut self.seat {
            seat.encoding = Encoding::Plain;
        }
        missed
    }

    /// How many bytes are left of what is half written.
    pub(super) fn unfinished_size(&self, log: &Log) -> u64 {
        let in_log = || log.frame_end(self.cursor) - self.cursor.offset();
        self.outbox.as_ref().map_or_else(in_log, |outbox| outbox.unfinished_size(log, self.cursor))
    }

    /// How many bytes of its log it has not got.
    pub(super) fn unread_bytes(&self, log: &Log) -> u64 {
        log.end().saturating_sub(self.cursor.offset())
    }

    /// The offset in its log up to which everything is written.
    pub(super) fn position(&self) -> u64 {
        self.cursor.offset()
    }

    /// Keeps of what is private, where there is no log, only what [`leave`](Self::leave) would.
    pub(super) fn cut_private(&mut self, nowhere: &Log, pool: &mut Pool, keep: Keep) {
        let cursor = self.cursor;
        if self.outbox.is_some() {
            self.edit_outbox(pool, |outbox, _| match keep {
                Keep::All => {}
                Keep::UnfinishedFrame => outbox.cut(nowhere, cursor),
                Keep::Nothing => *outbox = Outbox::default(),
            });
        }
    }

    /// Queues an HTTP answer, which `speak` appends. Frames may follow it.
    pub(super) fn answer(
        &mut self,
        pool: &mut Pool,
        speak: impl FnOnce(&mut Connection, &mut Vec<u8>),
    ) {
        self.edit_outbox(pool, |outbox, connection| {
            outbox.append_opaque(0, |out| speak(connection, out));
        });
        self.recount_incomplete(pool);
    }

    /// Queues the frame that `speak` appends, to be sent when the log is written up to `at`, its end.
    pub(super) fn speak(
        &mut self,
        at: u64,
        pool: &mut Pool,
        speak: impl FnOnce(&mut Connection, &mut Vec<u8>),
    ) {
        self.edit_outbox(pool, |outbox, connection| {
            outbox.append(at, |out| speak(connection, out));
        });
        self.recount_incomplete(pool);
    }

    /// Queues the message that `encode` appends, to be sent when the log is written up to `at`, its
    /// end.
    pub(super) fn queue(&mut self, at: u64, pool: &mut Pool, encode: impl FnOnce(&mut Vec<u8>)) {
        self.edit_outbox(pool, |outbox, _| outbox.append(at, encode));
    }

    /// Ends the connection without a word: its transport is gone.
    pub(super) fn abandon(&mut self, pool: &mut Pool) {
        self.connection.abandon();
        self.recount_incomplete(pool);
    }

    /// Whether everything up to `at`, the log's end, is written, and the socket takes more.
    pub(super) fn is_up_to_date(&self, at: u64) -> bool {
        let written = self.seat.is_none() || self.cursor.offset() == at;
        written && self.outbox.is_none() && self.blocked.is_none()
    }

    /// Writes a message to a client that is up to date from where it lies, and queues what the
    /// socket does not take.
    pub(super) fn send_at_once(
        &mut self,
        message: Message<'_>,
        at: u64,
        pool: &mut Pool,
        now: Tick,
    ) {
        let (mut header, payload) = (Vec::new(), message.payload());
        frame::encode_header(message.opcode(), payload.len(), &mut header);
        let pieces = [IoSlice::new(&header), IoSlice::new(payload)];
        // An error shows again when the rest is written.
        let written = self.transport.write_vectored(&pieces).unwrap_or(0);
        if written == message.frame_size() {
            return;
        }
        let rest = |out: &mut Vec<u8>| {
            out.extend_from_slice(header.get(written..).unwrap_or_default());
            out.extend_from_slice(&payload[written.saturating_sub(header.len())..]);
        };
        if written > 0 {
            self.blocked = Some(now);
            self.edit_outbox(pool, |outbox, _| outbox.append_opaque(at, rest));
        } else {
            self.edit_outbox(pool, |outbox, _| outbox.append(at, rest));
        }
    }

    /// Lets `edit` change what is private, and counts what that takes. Nobody else changes it but
    /// [`consume`](Self::consume).
    #[inline]
    fn edit_outbox<T>(
        &mut self,
        pool: &mut Pool,
        edit: impl FnOnce(&mut Outbox, &mut Connection) -> T,
    ) -> T {
        let outbox = self.outbox.get_or_insert_with(|| pool.take_outbox());
        let edited = edit(outbox, &mut self.connection);
        self.settle_outbox(pool);
        edited
    }

    /// Counts what is private, and gives the outbox back if it is empty.
    #[inline]
    fn settle_outbox(&mut self, pool: &mut Pool) {
        let Some(outbox) = &self.outbox else { return };
        pool.unsent.set(&mut self.unsent, outbox.size());
        if outbox.is_empty()
            && let Some(outbox) = self.outbox.take()
        {
            pool.put_outbox(outbox);
        }
    }

    /// Counts what has not arrived whole. Returns whether it has become more.
    pub(super) fn recount_incomplete(&mut self, pool: &mut Pool) -> bool {
        let (before, now) = (self.incomplete.get(), self.connection.held_bytes());
        if now != before {
            pool.incomplete.set(&mut self.incomplete, now);
        }
        now > before
    }

    /// Counts nothing for it any more.
    pub(super) fn release_shares(&mut self, pool: &mut Pool) {
        pool.unsent.set(&mut self.unsent, 0);
        pool.incomplete.set(&mut self.incomplete, 0);
    }

    /// Queues the answer to a ping. A peer that does not read gets only the latest.
    pub(super) fn pong(&mut self, payload: &[u8], at: u64, pool: &mut Pool) {
        if !self.connection.is_open() {
            return;
        }
        // What waits is written last, so that one for a later ping must take its place.
        let waits = self.outbox.as_ref().is_some_and(|outbox| outbox.pong.is_some());
        if waits || self.blocked.is_some() {
            self.edit_outbox(pool, |outbox, _| outbox.pong = Some(payload.into()));
        } else {
            self.speak(at, pool, |connection, out| connection.pong(payload, out));
        }
    }

    /// Leaves out what is in the log between `from` and `to`, its end.
    pub(super) fn skip(&mut self, from: u64, to: u64, log: &mut Log, pool: &mut Pool) {
        if self.finishing {
            return;
        }
        if self.outbox.is_none() && self.cursor.offset() == from {
            log.advance(&mut self.cursor, to, pool);
        } else {
            self.edit_outbox(pool, |outbox, _| outbox.skip(from, to));
        }
    }

    /// Queues what `speak` says at `at`, the log's end, and nothing after it.
    pub(super) fn finish(
        &mut self,
        at: u64,
        pool: &mut Pool,
        speak: impl FnOnce(&mut Connection, &mut Vec<u8>),
    ) {
        if self.finishing {
            speak(&mut self.connection, &mut Vec::new());
            self.recount_incomplete(pool);
            return;
        }
        self.speak(at, pool, speak);
        self.finishing = true;
        self.edit_outbox(pool, |outbox, _| outbox.finish(at));
    }

    /// How many bytes are kept because this client has not taken them, and may become more. What
    /// the log has grown by in this tick does not count: nobody had the time to take it.
    pub(super) fn backlog(&self, log: &Log) -> u64 {
        let outbox = self.outbox.as_ref().filter(|_| !self.finishing);
        let private = outbox.map_or(0, |outbox| outbox.size());
        log.offered().saturating_sub(self.cursor.offset()) + private as u64
    }

    /// How many bytes of its log are kept for it, if no other member is further behind.
    pub(super) fn held_bytes(&self, log: &Log) -> u64 {
        log.held_from(self.cursor)
    }

    /// Whether its last bytes are queued.
    pub(super) fn is_finishing(&self) -> bool {
        self.finishing
    }

    /// Whether all that was to be sent is written.
    fn is_drained(&self) -> bool {
        self.finishing && self.outbox.is_none()
    }

    /// Writes what is queued, as far as the socket takes it.
    ///
    /// # Errors
    /// The socket's, when the connection is lost.
    pub(super) fn flush(
        &mut self,
        log: &mut Log,
        pool: &mut Pool,
        now: Tick,
    ) -> io::Result<Progress> {
        if self.is_drained() {
            return Ok(Progress::Finished);
        }
        while self.blocked.is_none() {
            if self.outbox.as_ref().is_some_and(|outbox| outbox.pong.is_some()) {
                self.wake_pong(log.end(), pool);
            }
            let (count, outcome) = self.write(log, now);
            match outcome {
                Ok(written) => {
                    if self.consume(written, log, pool) == NOWHERE {
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

    /// One write of what comes next, in how many pieces, and what became of it.
    fn write(&mut self, log: &Log, now: Tick) -> (usize, io::Result<usize>) {
        let only = match &self.outbox {
            None => log.tail(self.cursor),
            Some(outbox) => outbox.only(log, self.cursor),
        };
        let (count, size, outcome) = match only {
            Some(piece) => (1, piece.len(), self.transport.write(piece)),
            None => self.write_pieces(log),
        };
        if outcome.as_ref().is_ok_and(|&written| written < size) {
            // The socket is full, and will ask for more.
            self.blocked = Some(now);
        }
        (count, outcome)
    }

    /// One write of what comes next: how many pieces, of what size, and what became of it. Seldom
    /// needed, so that it is kept out of the usual way.
    #[inline(never)]
    fn write_pieces(&mut self, log: &Log) -> (usize, usize, io::Result<usize>) {
        let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
        let count = match &self.outbox {
            None => fill(&mut pieces, log.pieces(self.cursor.offset(), log.end())),
            Some(outbox) => fill(&mut pieces, outbox.pieces(log, self.cursor)),
        };
        let pieces = &pieces[..count];
        let size = pieces.iter().map(|piece| piece.len()).sum();
        (count, size, self.transport.write_vectored(pieces))
    }

    #[cold]
    fn wake_pong(&mut self, at: u64, pool: &mut Pool) {
        if let Some(pong) = self.outbox.as_mut().and_then(|outbox| outbox.pong.take()) {
            self.speak(at, pool, |connection, out| connection.pong(&pong, out));
        }
    }

    /// Takes `size` bytes as written, and tells where that leads.
    fn consume(&mut self, size: usize, log: &mut Log, pool: &mut Pool) -> u64 {
        let offset = match &mut self.outbox {
            None => self.cursor.offset() + size as u64,
            Some(outbox) => outbox.consume(size, self.cursor),
        };
        self.settle_outbox(pool);
        if offset != NOWHERE {
            log.advance(&mut self.cursor, offset, pool);
        }
        offset
    }

    /// Whether our side of the TCP connection has ended.
    pub(super) fn has_ended_writing(&self) -> bool {
        self.write_closed
    }

    /// Notes that everything is written, and ends our side of the TCP connection when nothing more
    /// is to be sent or heard. Returns whether the client got this far for the first time.
    pub(super) fn end_writing(&mut self) -> bool {
        let first = !mem::replace(&mut self.drained, true);
        let ends = self.connection.is_closed() && self.is_drained() && !self.write_closed;
        if ends {
            self.write_closed = true;
            // It fails where the peer has reset the connection, which reading will show.
            let _ = self.transport.shutdown();
        }
        first || ends
    }

    /// Whether both sides have ended. The peer's side is drained until its end, so that a reset
    /// does not lose our last words; RFC 6455, section 7.1.1, tells it so.
    pub(super) fn is_over(&self) -> bool {
        self.write_closed && self.read_closed
    }
}

/// What is known about a departure before it is complete.
#[derive(Debug, Default)]
pub(super) struct Parting {
    /// Why the server closes the connection, if it does.
    pub(super) cause: Option<Cause>,
    /// The room that the client was in.
    pub(super) room: Option<Box<str>>,
}

/// What of the log a client still gets when it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Everything that was said while it was there.
    All,
    /// The rest of the frame that is half written.
    UnfinishedFrame,
    /// Nothing: it has got everything, or it is lost.
    Nothing,
}

/// How far a client's flush went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Everything was written.
    Written,
    /// The socket takes no more now.
    Blocked,
    /// Everything was written, and there will be nothing else.
    Finished,
}

fn fill<'a>(
    slices: &mut [IoSlice<'a>; MAX_PIECES],
    pieces: impl Iterator<Item = &'a [u8]>,
) -> usize {
    slices.iter_mut().zip(pieces).map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
}
