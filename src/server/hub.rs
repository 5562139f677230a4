//! Who is connected, who is where, and what is said to whom.

use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;

use super::client::{Client, Keep, Seat};
use super::deadlines::{Deadlines, Tick};
use super::departure::{Cause, Departure};
use super::id::ClientId;
use super::log::{Log, Pool};
use super::logs::{Codecs, Encoding};
use super::room::Rooms;
use super::transport::Transport;
use crate::config::Config;
use crate::protocol::{CloseCode, Connection, Limits, Message, Terms};

/// The clients of a server and the rooms that they are in.
///
/// Everything that is said here is queued; it is written at the end of the event loop's tick.
/// What is said to a client that is not open, or is not there any more, is said to nobody.
#[derive(Debug)]
pub struct Hub {
    pub(super) config: Config,
    limits: Arc<Limits>,
    pub(super) clients: Slab<Client>,
    pub(super) rooms: Rooms,
    /// The log of those who are in no room: always empty.
    pub(super) nowhere: Log,
    pub(super) pool: Pool,
    /// What compresses, if anything is compressed.
    pub(super) codecs: Option<Codecs>,
    /// The rooms that have a shared context, in no order.
    pub(super) contexts: Vec<usize>,
    pub(super) deadlines: Deadlines,
    /// The time of this tick of the event loop.
    pub(super) now: Instant,
    /// The same, as deadlines count it.
    pub(super) tick: Tick,
    /// How many bytes were queued since the last flush.
    pub(super) grown: usize,
    /// Rooms that grew in this tick.
    pub(super) dirty_rooms: Vec<usize>,
    /// Clients that have something of their own to write.
    pub(super) dirty_clients: Vec<ClientId>,
    /// Departures that the application has not been told of.
    pub(super) departures: Vec<(ClientId, Departure)>,
    /// Clients whose connection is over, to be removed at the end of the tick.
    pub(super) gone: Vec<ClientId>,
    /// How many clients have been told of and are not removed.
    pub(super) open: usize,
    generation: u32,
}

impl Hub {
    pub(super) fn new(config: Config) -> Self {
        let now = Instant::now();
        Self {
            limits: Arc::new(config.limits.clone()),
            codecs: config.deflate.clone().map(Codecs::new),
            contexts: Vec::new(),
            config,
            clients: Slab::new(),
            rooms: Rooms::default(),
            nowhere: Log::default(),
            pool: Pool::default(),
            deadlines: Deadlines::new(now),
            now,
            tick: Tick::default(),
            grown: 0,
            dirty_rooms: Vec::new(),
            dirty_clients: Vec::new(),
            departures: Vec::new(),
            gone: Vec::new(),
            open: 0,
            generation: 0,
        }
    }

    /// Sends a message to one client.
    pub fn send<'m>(&mut self, client: ClientId, message: impl Into<Message<'m>>) {
        let message = message.into();
        let at = self.log_end(client);
        if let Some(open) = self.get_mut(client).filter(|client| client.connection.is_open()) {
            open.speak(at, |_, out| message.encode(out));
            self.grown += message.frame_size();
            self.mark_dirty(client);
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
    pub fn join(&mut self, client: ClientId, room: &str) {
        if self.get(client).is_none_or(|client| !client.connection.is_open()) {
            return;
        }
        self.leave(client);
        let key = self.rooms.find_or_make(room);
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

    /// Makes the client a member of no room. What was said before still reaches it.
    pub fn leave(&mut self, client: ClientId) {
        if self.seat_of(client).is_some() && self.unseat(client, Keep::All) {
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

    pub(super) fn get(&self, id: ClientId) -> Option<&Client> {
        self.clients.get(id.key()).filter(|client| client.id == id)
    }

    pub(super) fn get_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        self.clients.get_mut(id.key()).filter(|client| client.id == id)
    }

    /// The name of the room that the client sits in, open or not.
    fn seated_in(&self, client: ClientId) -> Option<Box<str>> {
        let seat = self.get(client)?.seat?;
        self.rooms.get(seat.room).map(|room| room.name.clone())
    }

    /// Where the client sits, if it is open.
    fn seat_of(&self, client: ClientId) -> Option<Seat> {
        self.get(client).filter(|client| client.connection.is_open())?.seat
    }

    pub(super) fn ids(&self) -> Vec<ClientId> {
        self.clients.iter().map(|(_, client)| client.id).collect()
    }

    /// The id of the client that is inserted next.
    pub(super) fn next_id(&mut self) -> ClientId {
        self.generation = self.generation.wrapping_add(1).max(1);
        ClientId::new(self.clients.vacant_key(), self.generation)
    }

    /// Takes a new connection in, with a deadline for its handshake.
    pub(super) fn insert(&mut self, id: ClientId, transport: Transport) {
        let connection = Connection::new(self.limits.clone());
        self.clients.insert(Client::new(id, transport, connection));
        self.expect_within(id, self.config.handshake_timeout);
    }

    /// Notes that a client's socket takes more.
    pub(super) fn unblock(&mut self, id: ClientId) {
        if let Some(client) = self.get_mut(id).filter(|client| client.blocked.is_some()) {
            client.blocked = None;
            self.mark_dirty(id);
        }
    }

    /// Whether no further WebSocket connection may open.
    pub(super) fn is_full(&self) -> bool {
        self.open >= self.config.max_connections
    }

    /// Upgrades a client's connection.
    pub(super) fn open(&mut self, id: ClientId, terms: &Terms) {
        let Some(client) = self.get_mut(id) else { return };
        client.speak(0, |connection, out| connection.accept(terms, out));
        client.encoding = Encoding::of(terms.deflate);
        client.opened = true;
        self.open += 1;
        self.mark_dirty(id);
        self.note_life(id);
        self.check_life(id);
    }

    /// The end of the log that the client reads.
    pub(super) fn log_end(&self, client: ClientId) -> u64 {
        let seat = self.get(client).and_then(|client| client.seat);
        let room = seat.and_then(|seat| Some((seat, self.rooms.get(seat.room)?)));
        room.map_or(0, |(seat, room)| room.logs.end(seat.encoding))
    }

    /// Lets `speak` queue what ends the client's output.
    pub(super) fn finish(
        &mut self,
        id: ClientId,
        speak: impl FnOnce(&mut Connection, &mut Vec<u8>),
    ) {
        let (at, room) = (self.log_end(id), self.seated_in(id));
        if let Some(client) = self.get_mut(id) {
            client.finish(at, speak);
            if room.is_some() {
                client.parting.get_or_insert_default().room = room;
            }
            self.mark_dirty(id);
            self.expect_within(id, self.config.close_timeout);
        }
    }

    pub(super) fn close_because(
        &mut self,
        id: ClientId,
        code: CloseCode,
        reason: &str,
        cause: Cause,
    ) {
        if let Some(client) = self.get_mut(id).filter(|client| client.connection.is_open()) {
            client.parting.get_or_insert_default().cause = Some(cause);
            self.finish(id, |connection, out| connection.close(code, reason, out));
        }
    }

    /// Sets the client's deadline.
    pub(super) fn expect_within(&mut self, id: ClientId, delay: Duration) {
        self.expect_by(id, self.tick.after(delay));
    }

    pub(super) fn expect_by(&mut self, id: ClientId, deadline: Tick) {
        if let Some(client) = self.get_mut(id) {
            client.deadline = Some(deadline);
            self.deadlines.remind(id, deadline);
        }
    }

    /// Notes that a client left, for the application to be told. The first cause counts.
    pub(super) fn depart(&mut self, id: ClientId, departure: Departure) {
        let room = self.seated_in(id);
        if let Some(client) = self.get_mut(id).filter(|client| client.opened && !client.departed) {
            client.departed = true;
            let parting = client.parting.take().unwrap_or_default();
            let cause = parting.cause.unwrap_or(departure.cause);
            let room = parting.room.or(room);
            self.departures.push((id, Departure { cause, room, ..departure }));
        }
    }

    /// Gives a client up whose connection is lost or whose time is over.
    pub(super) fn lose(&mut self, id: ClientId) {
        if let Some(client) = self.get_mut(id) {
            client.connection.abandon();
            self.depart(id, Departure::abnormal(Cause::Lost));
            self.gone.push(id);
        }
    }

    /// Frees what a client held.
    pub(super) fn remove(&mut self, id: ClientId) {
        self.unseat(id, Keep::Nothing);
        if self.get(id).is_some() {
            let client = self.clients.remove(id.key());
            self.open -= usize::from(client.opened);
        }
    }

    /// Takes the client out of its room, and tells whether it was in one.
    pub(super) fn unseat(&mut self, id: ClientId, keep: Keep) -> bool {
        let Some(seat) = self.get(id).and_then(|client| client.seat) else {
            return false;
        };
        let Self { clients, rooms, pool, contexts, .. } = self;
        if let Some(room) = rooms.get_mut(seat.room) {
            room.waiting -= usize::from(clients[id.key()].waits());
            clients[id.key()].leave(room.logs.get_mut(seat.encoding), pool, keep);
            room.logs.forget_unread();
            room.members.swap_remove(seat.index);
            let moved = room.members.get(seat.index).and_then(|&moved| clients.get_mut(moved));
            if let Some(moved) = moved.and_then(|moved| moved.seat.as_mut()) {
                moved.index = seat.index;
            }
            if room.members.is_empty() {
                contexts.retain(|&context| context != seat.room);
            }
        }
        rooms.remove_if_empty(seat.room);
        true
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
        if !room.dirty {
            room.dirty = true;
            self.dirty_rooms.push(key);
        }
    }
}
