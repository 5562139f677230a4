//! The life of a client in the hub: inserted, open, closing, removed.

use std::time::Duration;

use crate::protocol::{CloseCode, Connection, Terms};
use crate::server::client::transport::Transport;
use crate::server::client::{Client, Presence, Retain};
use crate::server::client_id::ClientId;
use crate::server::departure::{Cause, Departure};
use crate::server::hub::Hub;
use crate::server::limits::address::AddressKey;
use crate::server::room::compressor::Encoding;
use crate::server::time::wheel::Timestamp;

impl Hub {
    /// Inserts a new connection, with a deadline for its handshake.
    pub(crate) fn insert(
        &mut self,
        id: ClientId,
        transport: Transport,
        address_key: Option<AddressKey>,
    ) {
        let connection = Connection::new(self.limits.clone());
        self.clients.insert(Client::new(id, transport, connection, address_key));
        self.expect_within(id, self.config.timeouts.handshake);
    }

    /// Notes that a client's socket is writable.
    pub(crate) fn unblock(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if client.blocked.take().is_some() {
            // A client that takes something is there, and may still have to read the ping.
            client.note_activity(self.time.timestamp);
            self.pending.mark_dirty(client);
        }
    }

    /// Whether no further WebSocket connection may open.
    pub(crate) fn is_full(&self) -> bool {
        self.clients.open_count() >= self.config.connections.max
    }

    /// Upgrades a client's connection. It keeps its compression context only if there is memory for
    /// that.
    pub(crate) fn open(&mut self, id: ClientId, terms: &mut Terms) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let unchanged = self.usage.windows.reserve(&mut client.window, &mut terms.deflate);
        client.queue_response(&mut self.memory, |connection, out| connection.accept(terms, out));
        client.encoding = Encoding::of(terms.deflate);
        client.note_activity(self.time.timestamp);
        self.pending.mark_dirty(client);
        self.clients.note_open(id);
        self.counts.opened += 1;
        self.counts.contextless += u64::from(!unchanged);
        self.check_keepalive(id);
    }

    /// Lets `encode` queue what ends the client's output.
    pub(crate) fn finish(
        &mut self,
        id: ClientId,
        encode: impl FnOnce(&mut Connection, &mut Vec<u8>),
    ) {
        self.note_room(id);
        if let Some((client, at, memory)) = self.reach(id) {
            let first = !client.is_finishing();
            client.finish(at, memory, encode);
            if first {
                self.expect_within(id, self.config.timeouts.close);
            }
        }
    }

    /// Queues an HTTP response that ends the client's output.
    pub(crate) fn finish_with_response(
        &mut self,
        id: ClientId,
        encode: impl FnOnce(&mut Connection, &mut Vec<u8>),
    ) {
        if let Some((client, _, memory)) =
            self.reach(id).filter(|(client, ..)| !client.is_finishing())
        {
            client.queue_response(memory, encode);
            self.finish(id, |_, _| {});
        }
    }

    /// Notes the room that a client is in, for its departure, before it is taken out of it.
    pub(crate) fn note_room(&mut self, id: ClientId) {
        let room = self.room_name(id);
        if let Some(client) = self.clients.get_mut(id).filter(|_| room.is_some()) {
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
        if let Some(client) = self.clients.get_mut(id).filter(|client| client.connection.is_open())
        {
            client.pending_departure.get_or_insert_default().cause = Some(cause);
            self.finish(id, |connection, out| connection.close(code, reason, out));
        }
    }

    /// Sets the client's deadline.
    pub(crate) fn expect_within(&mut self, id: ClientId, delay: Duration) {
        self.expect_by(id, self.time.timestamp.after(delay));
    }

    pub(crate) fn expect_by(&mut self, id: ClientId, deadline: Timestamp) {
        if self.clients.get(id).is_some() {
            self.time.deadlines.remind(id.key(), deadline);
        }
    }

    /// Notes that a client left, to be announced to the application. The first cause counts.
    pub(crate) fn depart(&mut self, id: ClientId, departure: Departure) {
        let room = self.room_name(id);
        if let Some(client) =
            self.clients.get_mut(id).filter(|client| client.presence == Presence::Open)
        {
            client.presence = Presence::Departed;
            let pending_departure = client.pending_departure.take().unwrap_or_default();
            let cause = pending_departure.cause.unwrap_or(departure.cause);
            let room = pending_departure.room.or(room);
            *self.counts.departed.entry(cause.kind()).or_default() += 1;
            self.pending.departures.push((id, Departure { cause, room, ..departure }));
        }
    }

    /// Drops a client whose connection is lost or whose time is over.
    pub(crate) fn lose(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id) {
            client.abandon(&mut self.memory);
            self.depart(id, Departure::abnormal(Cause::Lost));
            self.pending.gone.push(id);
        }
    }

    /// Frees what a client held.
    pub(crate) fn remove(&mut self, id: ClientId) {
        self.leave_room(id, Retain::Nothing);
        if let Some(mut client) = self.clients.remove(id) {
            self.data.remove(id);
            self.time.timers.cancel_all(id);
            self.time.deadlines.forget(id.key());
            self.time.resumptions.forget(id.key());
            client.release_shares(&mut self.memory);
            self.usage.windows.release(&mut client.window);
            if let Some(key) = client.address_key {
                self.usage.addresses.leave(key);
            }
        }
    }
}
