//! One client: its socket, its connection, its position in the room's log.

pub(crate) mod memory;
pub(crate) mod outbox;
mod reading;
mod states;
pub(crate) mod transport;
mod writing;

use crate::protocol::Connection;
use crate::server::client::memory::Memory;
use crate::server::client::outbox::Outbox;
use crate::server::client::states::Output;
use crate::server::client::transport::Transport;
use crate::server::client_id::ClientId;
use crate::server::departure::Cause;
use crate::server::limits::address::AddressKey;
use crate::server::limits::rate::SendRate;
use crate::server::limits::total::Share;
use crate::server::room::Membership;
use crate::server::room::compressor::Encoding;
use crate::server::room::frame_log::{Cursor, FrameLog};
use crate::server::time::wheel::Timestamp;

pub(crate) use reading::Retain;
pub(crate) use states::{Presence, Reading, Requester};
pub(crate) use writing::{Progress, Written};

/// A client, from when it is accepted to the end of its TCP connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: ClientId,
    pub(crate) transport: Transport,
    pub(crate) connection: Connection,
    /// The client's address, if the limits per address apply to it.
    pub(crate) address_key: Option<AddressKey>,
    pub(crate) membership: Option<Membership>,
    /// The encoding for the client in its rooms.
    pub(crate) encoding: Encoding,
    cursor: Cursor,
    outbox: Option<Box<Outbox>>,
    /// What is known about the client's departure so far.
    pub(crate) pending_departure: Option<Box<PendingDeparture>>,
    /// When the socket became full: it took less than it was given, and has not become writable since.
    pub(crate) blocked: Option<Timestamp>,
    /// The time of the client's last activity.
    pub(crate) last_active: Timestamp,
    /// When the client opened.
    pub(crate) opened: Timestamp,
    /// The number of bytes of incomplete messages since the last activity, or since the ping.
    pub(crate) arrived: u32,
    /// The time of the last ping, if the client has not been active since.
    pub(crate) pinged: Option<Timestamp>,
    /// The rate at which the client sends.
    pub(crate) rate: SendRate,
    /// When the client began to exceed its rates, if it has had no break since.
    pub(crate) throttled: Option<Timestamp>,
    /// The memory for an incomplete message or request head.
    pub(crate) incomplete: Share,
    /// The memory for unwritten private bytes.
    pub(crate) unsent: Share,
    /// The memory that is reserved for the client's compression context.
    pub(crate) window: Share,
    /// Whether the poll reported the peer's end, an error or an urgent byte, so that a short read may
    /// not be the last one.
    pub(crate) announced: bool,
    /// Whether everything that the peer sent has been read.
    pub(crate) peer_ended: bool,
    /// What is known about a client that sends plain requests on a persistent connection.
    pub(crate) requester: Option<Box<Requester>>,
    /// Whether nothing of the next request has arrived on a persistent connection.
    pub(crate) awaits_request: bool,
    pub(crate) presence: Presence,
    pub(crate) reading: Reading,
    output: Output,
    /// Whether the client's room, or the reading of the client itself, waits for the client.
    pub(crate) lagging: bool,
    /// Whether the client is in the queue for a flush.
    pub(crate) flush_queued: bool,
    /// Whether the client understands the server's own words.
    pub(crate) hears_words: bool,
}

impl Client {
    pub(crate) fn new(
        id: ClientId,
        transport: Transport,
        connection: Connection,
        address_key: Option<AddressKey>,
    ) -> Self {
        Self {
            id,
            transport,
            connection,
            address_key,
            membership: None,
            encoding: Encoding::Plain,
            cursor: Cursor::default(),
            outbox: None,
            pending_departure: None,
            blocked: None,
            last_active: Timestamp::default(),
            opened: Timestamp::default(),
            arrived: 0,
            pinged: None,
            rate: SendRate::default(),
            throttled: None,
            incomplete: Share::default(),
            unsent: Share::default(),
            window: Share::default(),
            announced: false,
            peer_ended: false,
            requester: None,
            awaits_request: false,
            presence: Presence::default(),
            reading: Reading::default(),
            output: Output::default(),
            lagging: false,
            flush_queued: false,
            hears_words: false,
        }
    }

    /// The room whose path the last request on a persistent connection named.
    pub(crate) fn request_room(&self) -> Option<usize> {
        self.requester.as_ref()?.room
    }

    /// Notes activity, such as a complete frame.
    pub(crate) fn note_activity(&mut self, now: Timestamp) {
        self.last_active = now;
        self.pinged = None;
        self.arrived = 0;
    }

    /// Notes bytes of an incomplete message.
    pub(crate) fn note_arrival(&mut self, size: usize) {
        self.arrived = self.arrived.saturating_add(u32::try_from(size).unwrap_or(u32::MAX));
    }

    /// Whether the bytes since the last activity, or since the ping, arrived at `min_rate` bytes per
    /// second or faster. If `min_rate` is 0, they did not.
    pub(crate) fn arrives_at(&self, min_rate: u32, now: Timestamp) -> bool {
        let since = self.pinged.unwrap_or(self.last_active);
        min_rate > 0 && self.arrived as f32 >= min_rate as f32 * now.seconds_since(since)
    }

    /// Whether the next request on a persistent connection is not read for now.
    pub(crate) fn is_held(&self) -> bool {
        self.awaits_request && self.reading == Reading::Paused
    }

    /// Whether the client reads the log of this encoding.
    pub(crate) fn reads(&self, encoding: Encoding) -> bool {
        self.membership.is_some_and(|membership| membership.encoding == encoding)
    }

    /// The encoding of messages for this client alone. While the client reads the log of a shared
    /// context, nothing else may enter its window.
    pub(crate) fn private_encoding(&self) -> Encoding {
        if self.reads(Encoding::Shared) { Encoding::Plain } else { self.encoding }
    }

    /// Whether the client reads the plain log only until it can move to the shared one.
    pub(crate) fn waits(&self) -> bool {
        self.encoding == Encoding::Shared && self.reads(Encoding::Plain)
    }

    /// Whether the client reads the plain log only until it has received what was said before it came, and
    /// can move to the log of its encoding, which is not the shared one.
    pub(crate) fn returns(&self) -> bool {
        matches!(self.encoding, Encoding::Independent { .. }) && self.reads(Encoding::Plain)
    }

    /// Whether the client has received everything in the log that it reads, and its private frames.
    pub(crate) fn is_at_end(&self, log: &FrameLog) -> bool {
        self.cursor.offset() == log.end() && self.outbox.is_none()
    }

    /// Queues an HTTP response, which `encode` appends. Frames may follow it.
    pub(crate) fn queue_response(
        &mut self,
        memory: &mut Memory,
        encode: impl FnOnce(&mut Connection, &mut Vec<u8>),
    ) {
        self.edit_outbox(memory, |outbox, connection| {
            outbox.push_opaque(0, |out| encode(connection, out));
        });
        self.recount_incomplete(memory);
    }

    /// Queues the control frame that `encode` appends. It is sent once the log has been written up to
    /// `at`, its end.
    pub(crate) fn queue_control(
        &mut self,
        at: u64,
        memory: &mut Memory,
        encode: impl FnOnce(&mut Connection, &mut Vec<u8>),
    ) {
        self.edit_outbox(memory, |outbox, connection| {
            outbox.push_frame(at, |out| encode(connection, out));
        });
        self.recount_incomplete(memory);
    }

    /// Queues the message that `encode` appends. It is sent once the log has been written up to `at`,
    /// its end.
    pub(crate) fn queue(
        &mut self,
        at: u64,
        memory: &mut Memory,
        encode: impl FnOnce(&mut Vec<u8>),
    ) {
        self.edit_outbox(memory, |outbox, _| outbox.push_frame(at, encode));
    }

    /// Queues the message that `encode` appends before everything else that the client receives from its
    /// room, of which it has received nothing.
    pub(crate) fn greet(&mut self, memory: &mut Memory, encode: impl FnOnce(&mut Vec<u8>)) {
        let at = self.cursor.offset();
        self.queue(at, memory, encode);
    }

    /// Ends the connection without a close frame, because its transport has ended.
    pub(crate) fn abandon(&mut self, memory: &mut Memory) {
        self.connection.abandon();
        self.recount_incomplete(memory);
    }

    /// Whether everything up to `at`, the log's end, has been written, and the socket takes more.
    pub(crate) fn is_up_to_date(&self, at: u64) -> bool {
        let written = self.membership.is_none() || self.cursor.offset() == at;
        written && self.outbox.is_none() && self.blocked.is_none()
    }

    /// Changes the private bytes with `edit`, and counts their memory. Apart from this, only
    /// [`consume`](Self::consume) changes them.
    #[inline]
    fn edit_outbox<T>(
        &mut self,
        memory: &mut Memory,
        edit: impl FnOnce(&mut Outbox, &mut Connection) -> T,
    ) -> T {
        let outbox = self.outbox.get_or_insert_with(|| memory.take_outbox());
        let edited = edit(outbox, &mut self.connection);
        self.settle_outbox(memory);
        edited
    }

    /// Counts the memory of the private bytes, and gives back the outbox if it is empty.
    #[inline]
    fn settle_outbox(&mut self, memory: &mut Memory) {
        match &self.outbox {
            None => {}
            Some(outbox) if outbox.is_empty() => self.return_outbox(memory),
            Some(outbox) => memory.unsent.set(&mut self.unsent, outbox.memory()),
        }
    }

    /// Gives back the outbox, which is empty.
    #[inline(never)]
    fn return_outbox(&mut self, memory: &mut Memory) {
        if let Some(outbox) = self.outbox.take() {
            memory.put_outbox(outbox);
        }
        memory.unsent.set(&mut self.unsent, 0);
    }

    /// Counts the memory for incomplete input. Returns whether it has grown.
    #[inline]
    pub(crate) fn recount_incomplete(&mut self, memory: &mut Memory) -> bool {
        let before = self.incomplete.get();
        let now = self.connection.held_bytes() + self.transport.received_bytes();
        if now != before {
            memory.incomplete.set(&mut self.incomplete, now);
        }
        now > before
    }

    /// Stops counting memory for this client.
    pub(crate) fn release_shares(&mut self, memory: &mut Memory) {
        memory.unsent.set(&mut self.unsent, 0);
        memory.incomplete.set(&mut self.incomplete, 0);
        self.transport.release_unsent(&mut memory.unsent);
    }

    /// Queues the answer to a ping. A peer that does not read gets only the latest one.
    pub(crate) fn pong(&mut self, payload: &[u8], at: u64, memory: &mut Memory) {
        if !self.connection.is_open() {
            return;
        }
        // A waiting pong would be written last, so a pong for a later ping must replace it.
        let waits = self.outbox.as_ref().is_some_and(|outbox| outbox.pong.is_some());
        if waits || self.blocked.is_some() {
            self.edit_outbox(memory, |outbox, _| outbox.pong = Some(payload.into()));
        } else {
            self.queue_control(at, memory, |connection, out| connection.pong(payload, out));
        }
    }

    /// Skips the part of the log from `from` to `to`, its end.
    pub(crate) fn skip(&mut self, from: u64, to: u64, log: &mut FrameLog, memory: &mut Memory) {
        if self.is_finishing() {
            return;
        }
        if self.outbox.is_none() && self.cursor.offset() == from {
            log.advance(&mut self.cursor, to, &mut memory.segments);
        } else {
            self.edit_outbox(memory, |outbox, _| outbox.skip(from, to));
        }
    }

    /// Queues what `encode` appends at `at`, the log's end, as the end of the output.
    pub(crate) fn finish(
        &mut self,
        at: u64,
        memory: &mut Memory,
        encode: impl FnOnce(&mut Connection, &mut Vec<u8>),
    ) {
        if self.is_finishing() {
            encode(&mut self.connection, &mut Vec::new());
            self.recount_incomplete(memory);
            return;
        }
        self.queue_control(at, memory, encode);
        self.output = Output::Finishing;
        self.edit_outbox(memory, |outbox, _| outbox.finish(at));
    }

    /// The number of bytes that are kept because this client has not read them, to which more may be
    /// added. Data that was appended to the log in this turn does not count, because no member has had a
    /// chance to read it.
    pub(crate) fn backlog(&self, log: &FrameLog) -> u64 {
        let private = if self.is_finishing() { 0 } else { self.private_bytes() };
        self.log_backlog(log) + private as u64
    }

    /// The part of the backlog that is in the log.
    pub(crate) fn log_backlog(&self, log: &FrameLog) -> u64 {
        log.offered().saturating_sub(self.cursor.offset())
    }

    /// The number of unwritten private bytes.
    pub(crate) fn private_bytes(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.size())
    }

    /// The number of bytes of its log that are kept for this client if no other member is further
    /// behind.
    pub(crate) fn held_bytes(&self, log: &FrameLog) -> u64 {
        log.held_from(self.cursor)
    }

    /// Whether the client's last bytes are queued.
    pub(crate) fn is_finishing(&self) -> bool {
        self.output > Output::Open
    }

    /// Whether all output has been written, up to its end.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_finishing() && self.outbox.is_none()
    }

    /// Whether our side of the TCP connection has ended.
    pub(crate) fn has_ended_writing(&self) -> bool {
        self.output == Output::Ended
    }

    /// Notes that everything has been written, and ends our side of the TCP connection once nothing more
    /// is to be sent or received. Returns whether either happened for the first time.
    pub(crate) fn end_writing(&mut self) -> bool {
        let before = self.output;
        self.output = before.max(Output::Written);
        if self.connection.is_closed() && self.is_drained() && before != Output::Ended {
            self.output = Output::Ended;
            // This fails if the peer has reset the connection, which the next read reports.
            let _ = self.transport.shutdown();
        }
        self.output > before
    }

    /// Whether both sides have ended. The peer's side is read until its end, so that a reset does not
    /// destroy what we sent last (RFC 6455, section 7.1.1).
    pub(crate) fn is_over(&self) -> bool {
        self.has_ended_writing() && self.peer_ended
    }
}

/// What is known about a departure before it is announced.
#[derive(Debug, Default)]
pub(crate) struct PendingDeparture {
    /// The cause, if the server closes the connection.
    pub(crate) cause: Option<Cause>,
    /// The room that the client was in.
    pub(crate) room: Option<Box<str>>,
}
