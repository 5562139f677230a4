//! Who is connected, who is where, and what is said to whom.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use log::Level;
use slab::Slab;

use super::addresses::Addresses;
use super::client::{Client, Keep, Seat};
use super::complaints::Complaints;
use super::counts::Counts;
use super::deadlines::{Clock, Deadlines, Tick};
use super::departure::{Cause, Departure};
use super::id::ClientId;
use super::log::Log;
use super::logs::{Codecs, Encoding};
use super::pace::Allowance;
use super::pool::Pool;
use super::room::Rooms;
use super::windows::Windows;
use crate::config::Config;
use crate::protocol::{CloseCode, Limits, Message, Refusal};

/// The most clients for whom there is a place from the start. The system gives the memory when they
/// come, so that it costs nothing, and nothing is moved when there are many.
const MAX_PLACES_AHEAD: usize = 100_000;

/// How many clients there is a place for, whether they are there or not.
pub(super) fn places_ahead(config: &Config) -> usize {
    config.max_connections.min(MAX_PLACES_AHEAD)
}

/// The size in bytes from which on a message to one client is written where it lies, if nothing comes
/// before it: below it, a system call for each costs more than a copy.
const LONG_BYTES: usize = 64 << 10;

/// The clients of a server and the rooms that they are in.
///
/// What is said here is queued, and written at the end of the event loop's tick; a long message to one
/// client may be written at once.
/// What is said to a client that is not open, or is not there any more, is said to nobody.
#[derive(Debug)]
pub struct Hub {
    pub(super) config: Config,
    pub(super) limits: Arc<Limits>,
    /// The addresses that are listened on, with their true ports.
    pub(super) listening: Vec<SocketAddr>,
    pub(super) allowance: Allowance,
    pub(super) clients: Slab<Client>,
    pub(super) rooms: Rooms,
    /// The log of those who are in no room: always empty.
    pub(super) nowhere: Log,
    pub(super) pool: Pool,
    /// What compresses, if anything is compressed.
    pub(super) codecs: Option<Codecs>,
    /// What is set aside for clients that keep their compression context.
    pub(super) windows: Windows,
    /// The rooms that have a shared context, in no order.
    pub(super) contexts: Vec<usize>,
    pub(super) deadlines: Deadlines,
    /// When to read those again who said too much.
    pub(super) resumptions: Deadlines,
    /// Clients that may be read again.
    pub(super) resumed: Vec<ClientId>,
    pub(super) addresses: Addresses,
    pub(super) counts: Counts,
    pub(super) complaints: Complaints,
    /// The time of this tick of the event loop.
    pub(super) now: Instant,
    pub(super) clock: Clock,
    /// The time as deadlines count it.
    pub(super) tick: Tick,
    /// Up to when everything that clients sent has been read. Nobody is judged by what it had not done
    /// at a later time: the answer may lie in its socket.
    pub(super) horizon: Tick,
    /// From how many bytes on a message to one client is written at once.
    pub(super) long_bytes: usize,
    /// How many bytes were queued since the last flush.
    pub(super) grown: usize,
    /// How many members are too far behind, and waited for.
    pub(super) laggards: usize,
    /// Some room's flush did not fit into the last turn.
    pub(super) overdue: bool,
    /// Rooms that grew and are to be flushed, in their order.
    pub(super) dirty_rooms: VecDeque<usize>,
    /// Clients that have something of their own to write.
    pub(super) dirty_clients: Vec<ClientId>,
    /// Departures that the application has not been told of.
    pub(super) departures: Vec<(ClientId, Departure)>,
    /// Clients whose connection is over, to be removed at the end of the tick.
    pub(super) gone: Vec<ClientId>,
    /// How many connections have opened and not closed.
    pub(super) open: usize,
    /// The most clients that there were at once since memory of clients was given back.
    pub(super) peak: usize,
    /// The generation of the client that was inserted last.
    pub(super) generation: u32,
    /// The server was told to stop.
    pub(super) stopping: bool,
}

impl Hub {
    pub(super) fn new(config: Config) -> Self {
        let now = Instant::now();
        Self {
            limits: Arc::new(config.limits.clone()),
            listening: Vec::new(),
            allowance: Allowance::new(&config),
            codecs: config.deflate.clone().map(Codecs::new),
            windows: Windows::new(config.max_deflate_context_bytes),
            contexts: Vec::new(),
            clients: Slab::with_capacity(places_ahead(&config)),
            config,
            rooms: Rooms::default(),
            nowhere: Log::default(),
            pool: Pool::default(),
            deadlines: Deadlines::new(),
            resumptions: Deadlines::new(),
            clock: Clock::new(now),
            resumed: Vec::new(),
            addresses: Addresses::default(),
            counts: Counts::default(),
            complaints: Complaints::default(),
            now,
            tick: Tick::default(),
            horizon: Tick::default(),
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
    /// whether that is shorter; nothing is queued where it is not.
    fn send_compressed(&mut self, id: ClientId, message: Message<'_>, encoding: Encoding) -> bool {
        let mut codecs = self.codecs.take();
        let frame = codecs.as_mut().and_then(|codecs| codecs.compress(message, encoding));
        let mut sent = None;
        if let Some(frame) = frame
            && let Some((client, at, pool)) = self.reach(id)
        {
            client.queue(at, pool, |out| out.extend_from_slice(frame));
            sent = Some((client.private_bytes(), frame.len()));
        }
        self.codecs = codecs;
        if let Some((unsent, size)) = sent {
            self.limit_sent(id, unsent, size);
        }
        sent.is_some()
    }

    fn send_plain(&mut self, id: ClientId, message: Message<'_>) {
        let (now, size) = (self.tick, message.frame_size());
        let long = size >= self.long_bytes;
        let Some((client, at, pool)) = self.reach(id) else { return };
        if long && client.is_up_to_date(at) {
            client.send_at_once(message, at, pool, now);
        } else {
            client.queue(at, pool, |out| message.encode(out));
        }
        let unsent = client.private_bytes();
        self.limit_sent(id, unsent, size);
    }

    /// Counts a frame of `size` bytes that was sent to a client, for which `unsent` bytes are now
    /// queued, and does something about it where that is too much.
    #[inline]
    fn limit_sent(&mut self, id: ClientId, unsent: usize, size: usize) {
        self.grown += if unsent > 0 { size } else { 0 };
        let (max, max_all) = (self.config.max_backlog_bytes, self.config.max_total_backlog_bytes);
        if unsent > max || self.pool.backlog() > max_all {
            self.limit_unsent(id);
        }
    }

    /// Says a message to every member of a room, in the same order for all.
    pub fn broadcast<'m>(&mut self, room: &str, message: impl Into<Message<'m>>) {
        if let Some(room) = self.rooms.find(room) {
            self.prepare(room);
            self.append(room, message.into());
        }
    }

    /// Says a message to every member of the client's room, itself included.
    pub fn say<'m>(&mut self, client: ClientId, message: impl Into<Message<'m>>) {
        if let Some(seat) = self.seat_of(client) {
            self.prepare(seat.room);
            self.append(seat.room, message.into());
        }
    }

    /// Says a message to every other member of the client's room.
    pub fn say_to_others<'m>(&mut self, client: ClientId, message: impl Into<Message<'m>>) {
        let Some(Seat { room, .. }) = self.seat_of(client) else { return };
        self.prepare(room);
        // Who shares a context must see every frame of it.
        self.retreat(client);
        let from = self.log_end(client);
        self.append(room, message.into());
        let to = self.log_end(client);
        let Self { clients, rooms, pool, .. } = self;
        let sender = &mut clients[client.key()];
        if let Some(seat) = sender.seat
            && let Some(room) = rooms.get_mut(room)
        {
            sender.skip(from, to, room.logs.get_mut(seat.encoding), pool);
        }
    }

    /// Makes the client a member of a room, and of no other. It hears what is said from now on.
    /// Where the room is not there, and there are [`Config::max_rooms`](crate::Config::max_rooms)
    /// already, or the client's address has made its share of them, the client is closed with 1013.
    pub fn join(&mut self, client: ClientId, room: &str) {
        if self.get(client).is_none_or(|client| !client.connection.is_open()) {
            return;
        }
        self.leave(client);
        if self.get(client).is_none_or(|client| !client.connection.is_open()) {
            return;
        }
        if let Err(refusal) = self.admit_to(room, client) {
            let reason = match refusal {
                Refusal::TooManyRoomsFromAddress => "your address has made too many rooms",
                _ => "there are too many rooms",
            };
            return self.close_because(client, CloseCode::TRY_AGAIN_LATER, reason, Cause::Overload);
        }
        // What it has not got of its own does not hold up a room.
        self.release(client);
        let maker = self.clients[client.key()].place;
        let key = self.rooms.find_or_make(room, maker);
        if let Some(room) = self.rooms.get_mut(key) {
            let member = &mut self.clients[client.key()];
            let encoding = match member.encoding {
                Encoding::Shared => Encoding::Plain,
                encoding => encoding,
            };
            let seat = Seat { room: key, index: room.members.len(), encoding };
            room.members.push(client.key());
            member.enter(seat, room.logs.get_mut(encoding));
            room.waiting += usize::from(member.waits());
        }
    }

    /// Makes the client a member of no room. What was said before still reaches it, as far as the
    /// backlog limits cover a copy of it; a client for which they do not is treated as one that is
    /// too far behind ([`Config::slow`](crate::Config::slow)), and closed where it would be.
    pub fn leave(&mut self, client: ClientId) {
        if self.seat_of(client).is_some() && self.may_leave_log(client) {
            self.unseat(client, Keep::All);
            self.mark_dirty(client);
        }
    }

    /// Closes the connection to a client (RFC 6455, section 7.1.2). What was said to it before
    /// is sent before; [`Event::Close`](crate::Event::Close) follows when the peer has answered
    /// or its time is over. A reason of more than 123 bytes is cut.
    pub fn close(&mut self, client: ClientId, code: CloseCode, reason: &str) {
        self.close_because(client, code, reason, Cause::Application);
    }

    /// The room that the client is in, if something can be said to it.
    pub fn room_of(&self, client: ClientId) -> Option<&str> {
        let seat = self.seat_of(client)?;
        self.rooms.get(seat.room).map(|room| &*room.name)
    }

    /// The members of a room to which something can be said.
    pub fn members(&self, room: &str) -> impl Iterator<Item = ClientId> {
        let room = self.rooms.find(room).and_then(|key| self.rooms.get(key));
        let members = room.into_iter().flat_map(|room| &room.members);
        let members = members.map(|&key| &self.clients[key]);
        members.filter(|client| client.connection.is_open()).map(|client| client.id)
    }

    /// The number of rooms that somebody is in.
    pub fn room_count(&self) -> usize {
        self.rooms.len()
    }

    /// The number of WebSocket connections, those that are closing included.
    pub fn client_count(&self) -> usize {
        self.open
    }

    /// Whether the server was told to stop: it answers requests, and opens no connections.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// What happened since the server's start.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Logs that a peer is refused, within the limit of such lines.
    pub(super) fn complain(&mut self, line: fmt::Arguments<'_>) {
        self.complaints.log(Level::Info, self.tick, line);
    }

    /// Logs what an operator should mend, within the same limit, since strangers can cause it.
    pub(super) fn warn(&mut self, line: fmt::Arguments<'_>) {
        self.complaints.log(Level::Warn, self.tick, line);
    }

    /// Whether the room is there, or the client may make it.
    pub(super) fn admit_to(&self, room: &str, client: ClientId) -> Result<(), Refusal> {
        let maker = self.get(client).and_then(|client| client.place);
        self.rooms.admit(room, maker, &self.config)
    }

    pub(super) fn get(&self, id: ClientId) -> Option<&Client> {
        self.clients.get(id.key()).filter(|client| client.id == id)
    }

    pub(super) fn get_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        self.clients.get_mut(id.key()).filter(|client| client.id == id)
    }

    /// The name of the room that the client sits in, open or not.
    pub(super) fn seated_in(&self, client: ClientId) -> Option<Box<str>> {
        let seat = self.get(client)?.seat?;
        self.rooms.get(seat.room).map(|room| room.name.clone())
    }

    /// Where the client sits, if it is open.
    fn seat_of(&self, client: ClientId) -> Option<Seat> {
        self.get(client).filter(|client| client.connection.is_open())?.seat
    }

    /// A client that is to be sent something of its own, the end of its log, and the memory that
    /// it takes. It will be flushed.
    #[inline]
    pub(super) fn reach(&mut self, id: ClientId) -> Option<(&mut Client, u64, &mut Pool)> {
        let Self { clients, rooms, pool, dirty_clients, .. } = self;
        let client = clients.get_mut(id.key()).filter(|client| client.id == id)?;
        let room = client.seat.and_then(|seat| Some((seat, rooms.get(seat.room)?)));
        let at = room.map_or(0, |(seat, room)| room.logs.end(seat.encoding));
        if !client.dirty {
            client.dirty = true;
            dirty_clients.push(id);
        }
        Some((client, at, pool))
    }

    /// The end of the log that the client reads.
    pub(super) fn log_end(&self, client: ClientId) -> u64 {
        let seat = self.get(client).and_then(|client| client.seat);
        let room = seat.and_then(|seat| Some((seat, self.rooms.get(seat.room)?)));
        room.map_or(0, |(seat, room)| room.logs.end(seat.encoding))
    }

    /// Readies a room for a message.
    fn prepare(&mut self, key: usize) {
        if self.rooms.get(key).is_some_and(|room| !room.dirty) {
            self.begin_epoch(key);
        }
    }

    fn append(&mut self, key: usize, message: Message<'_>) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        room.logs.append(message, &mut self.codecs, &mut self.pool, self.now);
        self.grown += message.frame_size();
        if room.dirty {
            room.grew_meanwhile |= room.flushed > 0;
        } else {
            room.dirty = true;
            self.dirty_rooms.push_back(key);
        }
    }
}
