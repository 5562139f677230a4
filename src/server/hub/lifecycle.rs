//! The life of a client in the hub: inserted, open, closing, removed.

use std::mem;
use std::time::Duration;

use crate::protocol::{CloseCode, Connection, Terms};
use crate::server::capacity::{capacity_to_keep, is_loose};
use crate::server::client::transport::Transport;
use crate::server::client::{Client, Retain};
use crate::server::client_id::ClientId;
use crate::server::departure::{Cause, Departure};
use crate::server::hub::Hub;
use crate::server::limits::address::AddressKey;
use crate::server::room::compressor::Encoding;
use crate::server::time::wheel::Timestamp;

impl Hub {
    pub(crate) fn ids(&self) -> Vec<ClientId> {
        self.clients.iter().map(|(_, client)| client.id).collect()
    }

    /// The id of the client that is inserted next.
    pub(crate) fn next_id(&mut self) -> ClientId {
        self.generation = self.generation.wrapping_add(1).max(1);
        ClientId::new(self.clients.vacant_key(), self.generation)
    }

    /// Inserts a new connection, with a deadline for its handshake.
    pub(crate) fn insert(&mut self, id: ClientId, transport: Transport, place: Option<AddressKey>) {
        let connection = Connection::new(self.limits.clone());
        self.clients.insert(Client::new(id, transport, connection, place));
        self.peak = self.peak.max(self.clients.len());
        self.expect_within(id, self.config.timeouts.handshake);
    }

    /// Notes that a client's socket is writable.
    pub(crate) fn unblock(&mut self, id: ClientId) {
        let now = self.timestamp;
        if let Some(client) = self.get_mut(id).filter(|client| client.blocked.is_some()) {
            client.blocked = None;
            // A client that takes something is there, and may still have to read the ping.
            client.note_activity(now);
            self.mark_dirty(id);
        }
    }

    /// Whether no further WebSocket connection may open.
    pub(crate) fn is_full(&self) -> bool {
        self.open >= self.config.connections.max
    }

    /// Upgrades a client's connection. It keeps its compression context only if there is memory for
    /// that.
    pub(crate) fn open(&mut self, id: ClientId, terms: &mut Terms) {
        let Self { clients, windows, counts, .. } = self;
        let client = clients.get_mut(id.key()).filter(|client| client.id == id);
        let Some(client) = client else { return };
        let unchanged = windows.reserve(&mut client.window, &mut terms.deflate);
        counts.contextless += u64::from(!unchanged);
        let Some((client, _, memory)) = self.reach(id) else { return };
        client.answer(memory, |connection, out| connection.accept(terms, out));
        client.encoding = Encoding::of(terms.deflate);
        client.opened = true;
        self.open += 1;
        self.counts.opened += 1;
        let now = self.timestamp;
        if let Some(client) = self.get_mut(id) {
            client.note_activity(now);
        }
        self.check_keepalive(id);
    }

    /// Lets `speak` queue what ends the client's output.
    pub(crate) fn finish(
        &mut self,
        id: ClientId,
        speak: impl FnOnce(&mut Connection, &mut Vec<u8>),
    ) {
        self.note_room(id);
        if let Some((client, at, memory)) = self.reach(id) {
            let first = !client.is_finishing();
            client.finish(at, memory, speak);
            if first {
                self.expect_within(id, self.config.timeouts.close);
            }
        }
    }

    /// Queues an HTTP answer that ends the client's output.
    pub(crate) fn finish_with_answer(
        &mut self,
        id: ClientId,
        speak: impl FnOnce(&mut Connection, &mut Vec<u8>),
    ) {
        if let Some((client, _, memory)) =
            self.reach(id).filter(|(client, ..)| !client.is_finishing())
        {
            client.answer(memory, speak);
            self.finish(id, |_, _| {});
        }
    }

    /// Notes the room that a client is in, for its departure, before it is taken out of it.
    pub(crate) fn note_room(&mut self, id: ClientId) {
        let room = self.room_name(id);
        if let Some(client) = self.get_mut(id).filter(|_| room.is_some()) {
            client.pending_departure.get_or_insert_default().room = room;
        }
    }

    pub(crate) fn close_because(
        &mut self,
        id: ClientId,
        code: CloseCode,
        reason: &str,
        cause: Cause,
    ) {
        if let Some(client) = self.get_mut(id).filter(|client| client.connection.is_open()) {
            client.pending_departure.get_or_insert_default().cause = Some(cause);
            self.finish(id, |connection, out| connection.close(code, reason, out));
        }
    }

    /// Sets the client's deadline.
    pub(crate) fn expect_within(&mut self, id: ClientId, delay: Duration) {
        self.expect_by(id, self.timestamp.after(delay));
    }

    pub(crate) fn expect_by(&mut self, id: ClientId, deadline: Timestamp) {
        if self.get(id).is_some() {
            self.deadlines.remind(id.key(), deadline);
        }
    }

    /// Notes that a client left, to be announced to the application. The first cause counts.
    pub(crate) fn depart(&mut self, id: ClientId, departure: Departure) {
        let room = self.room_name(id);
        if let Some(client) = self.get_mut(id).filter(|client| client.opened && !client.departed) {
            client.departed = true;
            let pending_departure = client.pending_departure.take().unwrap_or_default();
            let cause = pending_departure.cause.unwrap_or(departure.cause);
            let room = pending_departure.room.or(room);
            *self.counts.departed.entry(cause.name()).or_default() += 1;
            self.departures.push((id, Departure { cause, room, ..departure }));
        }
    }

    /// Whether there is something for the event loop to do that no event announces.
    pub(crate) fn is_unsettled(&self) -> bool {
        !(self.resumed.is_empty() && self.departures.is_empty() && self.gone.is_empty())
    }

    /// Drops a client whose connection is lost or whose time is over.
    pub(crate) fn lose(&mut self, id: ClientId) {
        if self.get(id).is_some() {
            let Self { clients, memory, .. } = self;
            clients[id.key()].abandon(memory);
            self.depart(id, Departure::abnormal(Cause::Lost));
            self.gone.push(id);
        }
    }

    /// Frees what a client held.
    pub(crate) fn remove(&mut self, id: ClientId) {
        self.leave_room(id, Retain::Nothing);
        if self.get(id).is_some() {
            let mut client = self.clients.remove(id.key());
            self.data.remove(id);
            self.timers.cancel_all(id);
            self.deadlines.forget(id.key());
            self.resumptions.forget(id.key());
            self.open -= usize::from(client.opened);
            client.release_shares(&mut self.memory);
            self.windows.release(&mut client.window);
            if let Some(place) = client.place {
                self.addresses.leave(place);
            }
        }
    }

    /// Takes the client out of its room, if it is in one.
    pub(crate) fn leave_room(&mut self, id: ClientId, keep: Retain) {
        self.resume_room(id);
        let Some(seat) = self.get(id).and_then(|client| client.seat) else {
            let Self { clients, nowhere, memory, .. } = self;
            if let Some(client) = clients.get_mut(id.key()).filter(|client| client.id == id) {
                client.cut_private(nowhere, memory, keep);
            }
            return;
        };
        if self.clients[id.key()].paused {
            // The client may be waiting for the room that it leaves.
            self.resumed.push(id);
        }
        let Self { clients, rooms, memory, contexts, dirty_clients, .. } = self;
        let index = seat.index;
        if let Some(room) = rooms.get_mut(seat.room) {
            room.waiting -= usize::from(clients[id.key()].waits());
            clients[id.key()].leave(room.logs.get_mut(seat.encoding), memory, keep);
            room.logs.forget_unread(&mut memory.segments);
            room.members.swap_remove(seat.index);
            let passed = seat.index < room.flushed;
            let moved = room.members.get(seat.index).and_then(|&moved| clients.get_mut(moved));
            if let Some(moved) = moved
                && let Some(seat) = &mut moved.seat
            {
                seat.index = index;
                // The flush that is under way will not reach it.
                if passed && !mem::replace(&mut moved.dirty, true) {
                    dirty_clients.push(moved.id);
                }
            }
            if is_loose(room.members.capacity(), room.members.len()) {
                room.members.shrink_to(capacity_to_keep(room.members.len()));
            }
            if room.members.is_empty() {
                contexts.retain(|&context| context != seat.room);
            }
        }
        rooms.remove_if_empty(seat.room);
    }
}
