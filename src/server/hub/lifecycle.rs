//! The life of a client in the hub: inserted, open, closing, removed.

use std::time::Duration;

use crate::protocol::{CloseCode, Connection};
use crate::server::client::transport::Transport;
use crate::server::client::{Client, Presence, Reading, Retain};
use crate::server::client_id::ClientId;
use crate::server::departure::{Cause, Departure};
use crate::server::hub::members;
use crate::server::hub::state::Hub;
use crate::server::limits::address::AddressKey;
use crate::server::time::wheel::Timestamp;

/// Inserts a new connection, with a deadline for its handshake.
pub(crate) fn insert(
    hub: &mut Hub,
    id: ClientId,
    transport: Transport,
    address_key: Option<AddressKey>,
) {
    let connection = Connection::new(hub.limits.clone());
    hub.clients.insert(Client::new(id, transport, connection, address_key));
    expect_within(hub, id, hub.config.timeouts.handshake);
}

/// Notes that a client's socket is writable.
pub(crate) fn unblock(hub: &mut Hub, id: ClientId) {
    let Some(client) = hub.clients.get_mut(id) else { return };
    if client.blocked.take().is_some() {
        // A client that reads is alive, and may not have reached the ping yet.
        client.note_activity(hub.time.timestamp);
        hub.pending.mark_dirty(client);
    }
}

/// Queues the end of the client's output, which `encode` appends.
pub(crate) fn finish(
    hub: &mut Hub,
    id: ClientId,
    encode: impl FnOnce(&mut Connection, &mut Vec<u8>),
) {
    note_room(hub, id);
    if let Some((client, at, memory)) = hub.recipient(id) {
        let first = !client.is_finishing();
        client.finish(at, memory, encode);
        if client.reading == Reading::Suspended {
            // The peer's close frame is read even while the application reads nothing.
            hub.pending.resumed.push(id);
        }
        if first {
            expect_within(hub, id, hub.config.timeouts.close);
        }
    }
}

/// Queues an HTTP response that ends the client's output.
pub(crate) fn finish_with_response(
    hub: &mut Hub,
    id: ClientId,
    encode: impl FnOnce(&mut Connection, &mut Vec<u8>),
) {
    if let Some((client, _, memory)) =
        hub.recipient(id).filter(|(client, ..)| !client.is_finishing())
    {
        client.queue_response(memory, encode);
        finish(hub, id, |_, _| {});
    }
}

pub(crate) fn close_because(
    hub: &mut Hub,
    id: ClientId,
    code: CloseCode,
    reason: &str,
    cause: Cause,
) {
    if let Some(client) = hub.clients.get_open_mut(id) {
        client.pending_departure.get_or_insert_default().cause = Some(cause);
        finish(hub, id, |connection, out| connection.close(code, reason, out));
    }
}

pub(crate) fn close_for_shutdown(hub: &mut Hub, id: ClientId) {
    let code = hub.config.shutdown.code;
    close_because(hub, id, code, "server shutting down", Cause::Shutdown);
}

/// Notes the room of a client for its departure, before the client leaves the room.
pub(crate) fn note_room(hub: &mut Hub, id: ClientId) {
    let room = hub.room_name(id);
    if room.is_some()
        && let Some(client) = hub.clients.get_mut(id)
    {
        client.pending_departure.get_or_insert_default().room = room;
    }
}

/// Notes that a client has left, so that the departure is announced to the application. The first cause
/// counts.
pub(crate) fn depart(hub: &mut Hub, id: ClientId, departure: Departure) {
    let room = hub.room_name(id);
    if let Some(client) = hub.clients.get_mut(id).filter(|client| client.presence == Presence::Open)
    {
        client.presence = Presence::Departed;
        let pending_departure = client.pending_departure.take().unwrap_or_default();
        let cause = pending_departure.cause.unwrap_or(departure.cause);
        let room = pending_departure.room.or(room);
        *hub.counts.departed.entry(cause.kind()).or_default() += 1;
        hub.pending.departures.push((id, Departure { cause, room, ..departure }));
    }
}

/// Drops a client whose connection is lost or whose time is over.
pub(crate) fn lose(hub: &mut Hub, id: ClientId) {
    if let Some(client) = hub.clients.get_mut(id) {
        client.transport.abandon();
        client.abandon(&mut hub.memory);
        depart(hub, id, Departure::abnormal(Cause::Lost));
        hub.pending.gone.push(id);
    }
}

/// Frees everything that a client held.
pub(crate) fn remove(hub: &mut Hub, id: ClientId) {
    members::leave(hub, id, Retain::Nothing);
    if let Some(mut client) = hub.clients.remove(id) {
        hub.data.remove(id);
        hub.time.timers.cancel_all(id);
        hub.time.deadlines.forget(id.key());
        hub.time.resumptions.forget(id.key());
        client.release_shares(&mut hub.memory);
        hub.usage.windows.release(&mut client.window);
        if let Some(key) = client.address_key {
            hub.usage.addresses.leave(key);
        }
    }
}

/// Sets the client's deadline.
pub(crate) fn expect_within(hub: &mut Hub, id: ClientId, delay: Duration) {
    expect_by(hub, id, hub.time.timestamp.after(delay));
}

pub(crate) fn expect_by(hub: &mut Hub, id: ClientId, deadline: Timestamp) {
    if hub.clients.get(id).is_some() {
        hub.time.deadlines.remind(id.key(), deadline);
    }
}
