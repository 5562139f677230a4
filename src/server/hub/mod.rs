//! The connected clients, the rooms that they are in, and what is sent to them.

mod client_data;
mod epochs;
mod forwarded;
pub(crate) mod handshake;
mod keepalive;
mod lifecycle;
mod overload;
mod queries;
mod site;
pub(crate) mod slow;
mod throttle;
mod trim;

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use log::Level;
use slab::Slab;

use crate::config::Config;
use crate::protocol::{CloseCode, Limits, Message, Refusal};
use crate::server::client::memory::Memory;
use crate::server::client::{Client, Membership, Retain};
use crate::server::client_id::ClientId;
use crate::server::counts::Counts;
use crate::server::departure::{Cause, Departure};
use crate::server::event::Event;
use crate::server::hub::client_data::ClientData;
use crate::server::limits::address::Addresses;
use crate::server::limits::log_rate::LogRate;
use crate::server::limits::rate::Allowance;
use crate::server::limits::windows::Windows;
use crate::server::room::Rooms;
use crate::server::room::compressor::{Compressors, Encoding};
use crate::server::room::frame_log::FrameLog;
use crate::server::time::timers::Timers;
use crate::server::time::wheel::{Clock, TimerWheel, Timestamp};

/// The most clients for which there is space from the start. The system provides the memory only when
/// they come, so the space costs nothing, and nothing is moved when there are many.
const MAX_RESERVED_CLIENTS: usize = 100_000;

/// How many clients there is space for, whether they are there or not.
pub(crate) fn reserved_clients(config: &Config) -> usize {
    config.connections.max.min(MAX_RESERVED_CLIENTS)
}

/// The smallest size in bytes of a message to one client that is written from where it lies, if nothing
/// is queued before it: for smaller ones, a system call each costs more than a copy.
const LONG_BYTES: usize = 64 << 10;

/// The application.
pub(crate) type Application<'a> = dyn FnMut(&mut Hub, ClientId, Event<'_>) + 'a;

/// The clients of a server and the rooms that they are in.
///
/// Messages are queued, and written at the end of the event loop's turn; a long message to one client
/// may be written at once. A message to a client that is not open, or no longer there, is dropped.
/// [`Event`] shows an application that uses it.
#[derive(Debug)]
pub struct Hub {
    pub(crate) config: Config,
    pub(crate) limits: Arc<Limits>,
    /// The addresses that the server listens on, with their actual ports.
    pub(crate) listening: Vec<SocketAddr>,
    pub(crate) allowance: Allowance,
    pub(crate) clients: Slab<Client>,
    /// What the application keeps for its clients.
    pub(crate) data: ClientData,
    pub(crate) timers: Timers,
    /// Whether the message that the application handles arrived compressed.
    pub(crate) was_compressed: bool,
    pub(crate) rooms: Rooms,
    /// The log of the clients that are in no room: always empty.
    pub(crate) nowhere: FrameLog,
    pub(crate) memory: Memory,
    /// The compressors, if anything is compressed.
    pub(crate) compressors: Option<Compressors>,
    /// The memory that is reserved for clients that keep their compression context.
    pub(crate) windows: Windows,
    /// The rooms that have a shared context, in no order.
    pub(crate) contexts: Vec<usize>,
    pub(crate) deadlines: TimerWheel,
    /// When to read again the clients that sent too much.
    pub(crate) resumptions: TimerWheel,
    /// Clients that may be read again.
    pub(crate) resumed: Vec<ClientId>,
    pub(crate) addresses: Addresses,
    pub(crate) counts: Counts,
    pub(crate) log_rate: LogRate,
    /// The time of this turn of the event loop.
    pub(crate) now: Instant,
    pub(crate) clock: Clock,
    /// The same time, as deadlines count it.
    pub(crate) timestamp: Timestamp,
    /// Up to when everything that clients sent has been read. No client is judged by what it had not
    /// done at a later time: the answer may be in its socket.
    pub(crate) horizon: Timestamp,
    /// The same moment, exactly.
    pub(crate) read_until: Instant,
    /// The smallest size in bytes of a message to one client that is written at once.
    pub(crate) long_bytes: usize,
    /// How many bytes were queued since the last flush.
    pub(crate) grown: usize,
    /// How many members are too far behind and are waited for.
    pub(crate) laggards: usize,
    /// Whether some room's flush did not fit into the last turn.
    pub(crate) overdue: bool,
    /// Rooms that grew and are to be flushed, in their order.
    pub(crate) dirty_rooms: VecDeque<usize>,
    /// Clients that have private bytes to be written.
    pub(crate) dirty_clients: Vec<ClientId>,
    /// Departures that have not been announced to the application.
    pub(crate) departures: Vec<(ClientId, Departure)>,
    /// Clients whose connection is over, to be removed at the end of the turn.
    pub(crate) gone: Vec<ClientId>,
    /// How many connections have opened and have not closed.
    pub(crate) open: usize,
    /// The most clients that there were at once since memory for clients was last given back.
    pub(crate) peak: usize,
    /// The generation of the client that was inserted last.
    pub(crate) generation: u32,
    /// Whether the server has been told to stop.
    pub(crate) stopping: bool,
}

impl Hub {
    pub(crate) fn new(config: Config) -> Self {
        let now = Instant::now();
        Self {
            limits: Arc::new(config.limits.clone()),
            listening: Vec::new(),
            allowance: Allowance::new(&config),
            compressors: config.deflate.clone().map(Compressors::new),
            windows: Windows::new(config.memory.max_deflate_context_bytes),
            contexts: Vec::new(),
            clients: Slab::with_capacity(reserved_clients(&config)),
            data: ClientData::default(),
            timers: Timers::default(),
            was_compressed: false,
            config,
            rooms: Rooms::default(),
            nowhere: FrameLog::default(),
            memory: Memory::default(),
            deadlines: TimerWheel::new(),
            resumptions: TimerWheel::new(),
            clock: Clock::new(now),
            resumed: Vec::new(),
            addresses: Addresses::default(),
            counts: Counts::default(),
            log_rate: LogRate::default(),
            now,
            timestamp: Timestamp::default(),
            horizon: Timestamp::default(),
            read_until: now,
            long_bytes: LONG_BYTES,
            grown: 0,
            laggards: 0,
            overdue: false,
            dirty_rooms: VecDeque::new(),
            dirty_clients: Vec::new(),
            departures: Vec::new(),
            gone: Vec::new(),
            open: 0,
            peak: 0,
            generation: 0,
            stopping: false,
        }
    }

    /// Sends a message to one client.
    pub fn send<'m>(&mut self, id: ClientId, message: impl Into<Message<'m>>) {
        let message = message.into();
        let receiver = self.get(id).filter(|client| client.connection.is_open());
        let Some(encoding) = receiver.map(Client::private_encoding) else { return };
        if encoding == Encoding::Plain || !self.send_compressed(id, message, encoding) {
            self.send_plain(id, message);
        }
    }

    /// Queues a message for one client in a compressed frame that refers to nothing before it. Returns
    /// whether that is shorter; if it is not, nothing is queued.
    fn send_compressed(&mut self, id: ClientId, message: Message<'_>, encoding: Encoding) -> bool {
        let mut compressors = self.compressors.take();
        let frame =
            compressors.as_mut().and_then(|compressors| compressors.compress(message, encoding));
        let mut sent = None;
        if let Some(frame) = frame
            && let Some((client, at, memory)) = self.reach(id)
        {
            client.queue(at, memory, |out| out.extend_from_slice(frame));
            sent = Some((client.private_bytes(), frame.len()));
        }
        self.compressors = compressors;
        if let Some((unsent, size)) = sent {
            self.limit_sent(id, unsent, size);
        }
        sent.is_some()
    }

    fn send_plain(&mut self, id: ClientId, message: Message<'_>) {
        let (now, size) = (self.timestamp, message.frame_size());
        let long = size >= self.long_bytes;
        let Some((client, at, memory)) = self.reach(id) else { return };
        if long && client.is_up_to_date(at) {
            client.send_at_once(message, at, memory, now);
        } else {
            client.queue(at, memory, |out| message.encode(out));
        }
        let unsent = client.private_bytes();
        self.limit_sent(id, unsent, size);
    }

    /// Counts a frame of `size` bytes that was sent to a client, for which `unsent` bytes are now
    /// queued, and acts if that is too much.
    #[inline]
    fn limit_sent(&mut self, id: ClientId, unsent: usize, size: usize) {
        self.grown += if unsent > 0 { size } else { 0 };
        let max = self.config.memory.max_backlog_bytes;
        let max_all = self.config.memory.max_total_backlog_bytes;
        if unsent > max || self.memory.backlog() > max_all {
            self.limit_unsent(id);
        }
    }

    /// Sends a message to every member of a room, in the same order for all.
    pub fn broadcast<'m>(&mut self, room: &str, message: impl Into<Message<'m>>) {
        if let Some(room) = self.rooms.find(room) {
            self.prepare(room);
            self.append(room, message.into());
        }
    }

    /// Sends a message to every member of the client's room, including the client itself.
    pub fn publish<'m>(&mut self, client: ClientId, message: impl Into<Message<'m>>) {
        if let Some(seat) = self.seat_of(client) {
            self.prepare(seat.room);
            self.append(seat.room, message.into());
        }
    }

    /// Sends a message to every other member of the client's room.
    pub fn publish_to_others<'m>(&mut self, client: ClientId, message: impl Into<Message<'m>>) {
        let Some(Membership { room, .. }) = self.seat_of(client) else { return };
        self.prepare(room);
        // A member that shares a context must see every frame of it.
        self.leave_shared_log(client);
        let from = self.log_of(client).end();
        self.append(room, message.into());
        let to = self.log_of(client).end();
        let Self { clients, rooms, memory, .. } = self;
        let sender = &mut clients[client.key()];
        if let Some(seat) = sender.seat
            && let Some(room) = rooms.get_mut(room)
        {
            sender.skip(from, to, room.logs.get_mut(seat.encoding), memory);
        }
    }

    /// Makes the client a member of a room, and of no other. It receives what is sent from now on. If
    /// the room does not exist, and there are [`RoomLimits::max`](crate::RoomLimits::max) already,
    /// or the client's address has made its share of them, the client is closed with 1013.
    ///
    /// Returns whether the client is a member now. A client that is not open is not: in
    /// [`Event::Upgrade`] it is too early, and
    /// [`Upgrade::set_room`](crate::Upgrade::set_room) chooses the room.
    pub fn join(&mut self, client: ClientId, room: &str) -> bool {
        if !self.is_open(client) {
            return false;
        }
        self.leave(client);
        if !self.is_open(client) {
            return false;
        }
        if let Err(refusal) = self.admit_to(room, client) {
            let reason = match refusal {
                Refusal::TooManyRoomsFromAddress => "too many rooms from your address",
                _ => "too many rooms",
            };
            self.close_because(client, CloseCode::TRY_AGAIN_LATER, reason, Cause::Overload);
            return false;
        }
        // Its unwritten private bytes do not hold up a room.
        self.resume_room(client);
        let maker = self.clients[client.key()].place;
        let key = self.rooms.find_or_make(room, maker);
        if let Some(room) = self.rooms.get_mut(key) {
            let member = &mut self.clients[client.key()];
            let encoding = match member.encoding {
                Encoding::Shared => Encoding::Plain,
                encoding => encoding,
            };
            let seat = Membership { room: key, index: room.members.len(), encoding };
            room.members.push(client.key());
            member.enter(seat, room.logs.get_mut(encoding));
            room.waiting += usize::from(member.waits());
        }
        true
    }

    /// Makes the client a member of no room. What was sent before still reaches it, if the backlog
    /// limits cover a copy of that; otherwise the client is treated as one that is too far behind
    /// ([`Config::slow`](crate::Config::slow)), and closed if such a client would be.
    ///
    /// Returns whether the client was in a room and has left it. A client that is closing leaves its
    /// room by itself.
    pub fn leave(&mut self, client: ClientId) -> bool {
        let leaves = self.seat_of(client).is_some() && self.may_leave_log(client);
        if leaves {
            self.leave_room(client, Retain::All);
            self.mark_dirty(client);
        }
        leaves
    }

    /// Closes the connection to a client (RFC 6455, section 7.1.2). Everything that was sent to it
    /// earlier is written first; [`Event::Close`] follows when the peer has
    /// answered or its time is over. A reason of more than 123 bytes is shortened.
    pub fn close(&mut self, client: ClientId, code: CloseCode, reason: &str) {
        self.close_because(client, code, reason, Cause::Application);
    }

    /// Logs that a peer is refused, within the limit of such lines.
    pub(crate) fn log_refusal(&mut self, line: fmt::Arguments<'_>) {
        self.log_rate.log(Level::Info, self.timestamp, line);
    }

    /// Logs a problem that an operator should fix, within the same limit, since strangers can cause it.
    pub(crate) fn warn(&mut self, line: fmt::Arguments<'_>) {
        self.log_rate.log(Level::Warn, self.timestamp, line);
    }

    /// Checks that the room exists, or that the client may make it.
    pub(crate) fn admit_to(&self, room: &str, client: ClientId) -> Result<(), Refusal> {
        let maker = self.get(client).and_then(|client| client.place);
        self.rooms.admit(room, maker, &self.config)
    }

    pub(crate) fn get(&self, id: ClientId) -> Option<&Client> {
        self.clients.get(id.key()).filter(|client| client.id == id)
    }

    pub(crate) fn get_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        self.clients.get_mut(id.key()).filter(|client| client.id == id)
    }

    /// The name of the room that the client sits in, open or not.
    pub(crate) fn room_name(&self, client: ClientId) -> Option<Box<str>> {
        let seat = self.get(client)?.seat?;
        self.rooms.get(seat.room).map(|room| room.name.clone())
    }

    /// Where the client sits, if it is open.
    pub(crate) fn seat_of(&self, client: ClientId) -> Option<Membership> {
        self.get(client).filter(|client| client.connection.is_open())?.seat
    }

    /// A client that is about to be sent private bytes, the end of its log, and the memory for its
    /// memory. The client will be flushed.
    #[inline]
    pub(crate) fn reach(&mut self, id: ClientId) -> Option<(&mut Client, u64, &mut Memory)> {
        let Self { clients, rooms, memory, dirty_clients, .. } = self;
        let client = clients.get_mut(id.key()).filter(|client| client.id == id)?;
        let room = client.seat.and_then(|seat| Some((seat, rooms.get(seat.room)?)));
        let at = room.map_or(0, |(seat, room)| room.logs.end(seat.encoding));
        if !client.dirty {
            client.dirty = true;
            dirty_clients.push(id);
        }
        Some((client, at, memory))
    }

    /// A client, the log that it reads, and the memory for the memory of both.
    #[inline]
    pub(crate) fn with_log(
        &mut self,
        id: ClientId,
    ) -> Option<(&mut Client, &mut FrameLog, &mut Memory)> {
        let Self { clients, rooms, memory, nowhere, .. } = self;
        let client = clients.get_mut(id.key()).filter(|client| client.id == id)?;
        let room = client.seat.and_then(|seat| Some((seat, rooms.get_mut(seat.room)?)));
        let log = room.map_or(nowhere, |(seat, room)| room.logs.get_mut(seat.encoding));
        Some((client, log, memory))
    }

    /// The log that a client reads.
    pub(crate) fn log_of(&self, id: ClientId) -> &FrameLog {
        let seat = self.get(id).and_then(|client| client.seat);
        let room = seat.and_then(|seat| Some((seat, self.rooms.get(seat.room)?)));
        let log = room.and_then(|(seat, room)| room.logs.get(seat.encoding));
        log.unwrap_or(&self.nowhere)
    }

    /// Readies a room for a message.
    fn prepare(&mut self, key: usize) {
        if self.rooms.get(key).is_some_and(|room| !room.dirty) {
            self.begin_epoch(key);
        }
    }

    fn append(&mut self, key: usize, message: Message<'_>) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        room.logs.append(message, &mut self.compressors, &mut self.memory.segments, self.now);
        self.grown += message.frame_size();
        if room.dirty {
            room.grew_meanwhile |= room.flushed > 0;
        } else {
            room.dirty = true;
            self.dirty_rooms.push_back(key);
        }
    }
}
