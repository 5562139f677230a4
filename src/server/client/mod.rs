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
pub(crate) use states::{Presence, Reading};
pub(crate) use writing::Progress;

/// A client, from when it is accepted to the end of its TCP connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: ClientId,
    pub(crate) transport: Transport,
    pub(crate) connection: Connection,
    /// Where the client comes from, if the limits of a single address apply to it.
    pub(crate) address_key: Option<AddressKey>,
    pub(crate) membership: Option<Membership>,
    /// The encoding that the client gets in its rooms.
    pub(crate) encoding: Encoding,
    cursor: Cursor,
    outbox: Option<Box<Outbox>>,
    /// What is known about the client's departure before it has left.
    pub(crate) pending_departure: Option<Box<PendingDeparture>>,
    /// Since when the socket has taken nothing: it took less than it was given, and has not become
    /// writable.
    pub(crate) blocked: Option<Timestamp>,
    /// When the client was last active.
    pub(crate) last_active: Timestamp,
    /// When the client is to be closed because its connection is too old.
    pub(crate) expiry: Option<Timestamp>,
    /// How many bytes of unfinished messages have come since the last activity, or since the ping.
    pub(crate) arrived: u32,
    /// When a ping was sent, if nothing has come since.
    pub(crate) pinged: Option<Timestamp>,
    /// How fast the client sends.
    pub(crate) rate: SendRate,
    /// Since when the client has sent too much without a break.
    pub(crate) throttled: Option<Timestamp>,
    /// The memory taken by a message or a head that has not arrived whole.
    pub(crate) incomplete: Share,
    /// The memory taken by private bytes that are not written.
    pub(crate) unsent: Share,
    /// The memory reserved for the client's compression context.
    pub(crate) window: Share,
    /// Whether the peer's end, an error or an urgent byte was announced, so that a short read need not
    /// be the last one.
    pub(crate) announced: bool,
    /// Whether everything that the peer sent has been read.
    pub(crate) peer_ended: bool,
    pub(crate) presence: Presence,
    pub(crate) reading: Reading,
    output: Output,
    /// Whether the client's room waits for it.
    pub(crate) lagging: bool,
    /// Whether the client waits to be flushed.
    pub(crate) flush_queued: bool,
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
            expiry: None,
            arrived: 0,
            pinged: None,
            rate: SendRate::default(),
            throttled: None,
            incomplete: Share::default(),
            unsent: Share::default(),
            window: Share::default(),
            announced: false,
            peer_ended: false,
            presence: Presence::default(),
            reading: Reading::default(),
            output: Output::default(),
            lagging: false,
            flush_queued: false,
        }
    }

    /// Notes activity, such as a whole frame.
    pub(crate) fn note_activity(&mut self, now: Timestamp) {
        self.last_active = now;
        self.pinged = None;
        self.arrived = 0;
    }

    /// Notes bytes of an unfinished message.
    pub(crate) fn note_arrival(&mut self, size: usize) {
        self.arrived = self.arrived.saturating_add(u32::try_from(size).unwrap_or(u32::MAX));
    }

    /// Whether the bytes since the last activity, or since the ping, came at a rate of at least
    /// `min_rate` bytes a second; 0 is no rate.
    pub(crate) fn arrives_at(&self, min_rate: u32, now: Timestamp) -> bool {
        let since = self.pinged.unwrap_or(self.last_active);
        min_rate > 0 && self.arrived as f32 >= min_rate as f32 * now.seconds_since(since)
    }

    /// Whether the client reads the log of this encoding.
    pub(crate) fn reads(&self, encoding: Encoding) -> bool {
        self.membership.is_some_and(|membership| membership.encoding == encoding)
    }

    /// The encoding of messages for this client alone. While it reads the log of a shared context,
    /// nothing else may enter its window.
    pub(crate) fn private_encoding(&self) -> Encoding {
        if self.reads(Encoding::Shared) { Encoding::Plain } else { self.encoding }
    }

    /// Whether the client reads the plain log only until it can hop to the shared one.
    pub(crate) fn waits(&self) -> bool {
        self.encoding == Encoding::Shared && self.reads(Encoding::Plain)
    }

    /// Whether the client is waiting to hop, and has received everything in the plain log, and its
    /// private frames.
    pub(crate) fn waits_at_end(&self, plain: &FrameLog) -> bool {
        self.waits() && self.cursor.offset() == plain.end() && self.outbox.is_none()
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

    /// Queues the control frame that `encode` appends, to be sent when the log is written up to `at`, its end.
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

    /// Queues the message that `encode` appends, to be sent when the log is written up to `at`, its
    /// end.
    pub(crate) fn queue(
        &mut self,
        at: u64,
        memory: &mut Memory,
        encode: impl FnOnce(&mut Vec<u8>),
    ) {
        self.edit_outbox(memory, |outbox, _| outbox.push_frame(at, encode));
    }

    /// Ends the connection without a close frame: its transport is gone.
    pub(crate) fn abandon(&mut self, memory: &mut Memory) {
        self.connection.abandon();
        self.recount_incomplete(memory);
    }

    /// Whether everything up to `at`, the log's end, is written, and the socket takes more.
    pub(crate) fn is_up_to_date(&self, at: u64) -> bool {
        let written = self.membership.is_none() || self.cursor.offset() == at;
        written && self.outbox.is_none() && self.blocked.is_none()
    }

    /// Lets `edit` change the private bytes, and counts the memory that they take. Apart from this,
    /// only [`consume`](Self::consume) changes them.
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

    /// Counts the private bytes, and gives back the outbox if it is empty.
    #[inline]
    fn settle_outbox(&mut self, memory: &mut Memory) {
        let Some(outbox) = &self.outbox else { return };
        memory.unsent.set(&mut self.unsent, outbox.memory());
        if outbox.is_empty()
            && let Some(outbox) = self.outbox.take()
        {
            memory.unsent.set(&mut self.unsent, 0);
            memory.put_outbox(outbox);
        }
    }

    /// Counts the memory taken by what has not arrived whole. Returns whether it has grown.
    pub(crate) fn recount_incomplete(&mut self, memory: &mut Memory) -> bool {
        let before = self.incomplete.get();
        let now = self.connection.held_bytes();
        if now != before {
            memory.incomplete.set(&mut self.incomplete, now);
        }
        now > before
    }

    /// Stops counting memory for this client.
    pub(crate) fn release_shares(&mut self, memory: &mut Memory) {
        memory.unsent.set(&mut self.unsent, 0);
        memory.incomplete.set(&mut self.incomplete, 0);
    }

    /// Queues the answer to a ping. A peer that does not read gets only the latest.
    pub(crate) fn pong(&mut self, payload: &[u8], at: u64, memory: &mut Memory) {
        if !self.connection.is_open() {
            return;
        }
        // A waiting pong would be written last, so one for a later ping must take its place.
        let waits = self.outbox.as_ref().is_some_and(|outbox| outbox.pong.is_some());
        if waits || self.blocked.is_some() {
            self.edit_outbox(memory, |outbox, _| outbox.pong = Some(payload.into()));
        } else {
            self.queue_control(at, memory, |connection, out| connection.pong(payload, out));
        }
    }

    /// Skips what is in the log between `from` and `to`, its end.
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

    /// Queues what `encode` appends at `at`, the log's end, and nothing after it.
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

    /// How many bytes are kept because this client has not taken them, and may become more. What was
    /// appended to the log in this turn does not count: nobody has had the time to take it.
    pub(crate) fn backlog(&self, log: &FrameLog) -> u64 {
        let private = if self.is_finishing() { 0 } else { self.private_bytes() };
        log.offered().saturating_sub(self.cursor.offset()) + private as u64
    }

    /// The number of private bytes that are not written.
    pub(crate) fn private_bytes(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.size())
    }

    /// How many bytes of its log are kept for it, if no other member is further behind.
    pub(crate) fn held_bytes(&self, log: &FrameLog) -> u64 {
        log.held_from(self.cursor)
    }

    /// Whether the client's last bytes are queued.
    pub(crate) fn is_finishing(&self) -> bool {
        self.output > Output::Open
    }

    /// Whether all that was to be sent is written.
    fn is_drained(&self) -> bool {
        self.is_finishing() && self.outbox.is_none()
    }

    /// Whether our side of the TCP connection has ended.
    pub(crate) fn has_ended_writing(&self) -> bool {
        self.output == Output::Ended
    }

    /// Notes that everything is written, and ends our side of the TCP connection when nothing more is
    /// to be sent or received. Returns whether the client got this far for the first time.
    pub(crate) fn end_writing(&mut self) -> bool {
        let before = self.output;
        self.output = before.max(Output::Written);
        if self.connection.is_closed() && self.is_drained() && before != Output::Ended {
            self.output = Output::Ended;
            // This fails if the peer has reset the connection, which reading will show.
            let _ = self.transport.shutdown();
        }
        self.output > before
    }

    /// Whether both sides have ended. The peer's side is read until its end, so that a reset does
    /// not lose what we sent last (RFC 6455, section 7.1.1).
    pub(crate) fn is_over(&self) -> bool {
        self.has_ended_writing() && self.peer_ended
    }
}

/// What is known about a departure before it is complete.
#[derive(Debug, Default)]
pub(crate) struct PendingDeparture {
    /// The cause for which the server closes the connection, if it does.
    pub(crate) cause: Option<Cause>,
    /// The room that the client was in.
    pub(crate) room: Option<Box<str>>,
}
