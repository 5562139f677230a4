//! Limits on the memory that is held for all clients in total.

use crate::protocol::{CloseCode, Refusal};
use crate::server::client::Retain;
use crate::server::client_id::ClientId;
use crate::server::departure::Cause;
use crate::server::hub::answering::refuse;
use crate::server::hub::state::Hub;
use crate::server::hub::{backlog, lifecycle, members, tls_handshake};
use crate::server::tls_counts::TlsFailure;

/// Closes the client with the most incomplete input, if the total is over its limit.
#[cold]
pub(crate) fn limit_incomplete(hub: &mut Hub) {
    if hub.memory.incomplete.get() <= hub.config.memory.max_incomplete_bytes {
        return;
    }
    // The others keep the beginning of a record of TLS until they have ended.
    let largest = hub.clients.iter().filter(|client| !client.is_finishing());
    let largest = largest.max_by_key(|client| client.incomplete.get());
    if let Some(client) = largest {
        end_incomplete(hub, client.id);
    }
}

fn end_incomplete(hub: &mut Hub, id: ClientId) {
    let Some(client) = hub.clients.get(id) else { return };
    if client.transport.is_in_handshake() {
        let reason = "too much unfinished data on the server";
        tls_handshake::fail(hub, id, TlsFailure::Overload, &reason);
    } else if client.connection.is_handshaking() {
        refuse(hub, id, Refusal::Full);
    } else {
        let reason = "too much unfinished data on the server";
        lifecycle::close_because(hub, id, CloseCode::TRY_AGAIN_LATER, reason, Cause::Overload);
    }
}

/// Closes the members that are furthest behind, if the total backlog is over its limit, until a quarter
/// of it is free. The margin keeps this from being repeated all the time.
#[inline]
pub(crate) fn evict_until_within_limit(hub: &mut Hub) {
    if hub.memory.backlog() > hub.config.memory.max_total_backlog_bytes {
        close_furthest_behind(hub);
    }
}

#[cold]
fn close_furthest_behind(hub: &mut Hub) {
    let max = hub.config.memory.max_total_backlog_bytes;
    for id in furthest_behind(hub) {
        if hub.memory.backlog() <= max / 4 * 3 {
            return;
        }
        evict(hub, id);
    }
}

/// Closes a member, and frees its backlog. A member in the middle of a long frame is dropped.
fn evict(hub: &mut Hub, id: ClientId) {
    if !hub.is_open(id) || !backlog::may_copy_rest(hub, id) {
        if let Some(client) = hub.clients.get_mut(id) {
            client.pending_departure.get_or_insert_default().cause.get_or_insert(Cause::Overload);
        }
        lifecycle::note_room(hub, id);
        members::leave(hub, id, Retain::Nothing);
        lifecycle::lose(hub, id);
    } else {
        backlog::skip_unbegun(hub, id);
        let reason = "too much backlog on the server";
        lifecycle::close_because(hub, id, CloseCode::TRY_AGAIN_LATER, reason, Cause::Overload);
    }
}

fn furthest_behind(hub: &Hub) -> Vec<ClientId> {
    let blocked = hub.clients.iter().filter(|client| client.blocked.is_some());
    let mut behind: Vec<_> = blocked
        .map(|client| {
            let in_log = client.held_bytes(hub.rooms.log_of(client.membership));
            (in_log + client.unsent.get() as u64, client.id)
        })
        .collect();
    behind.sort_unstable_by(|a, b| b.cmp(a));
    behind.into_iter().map(|(_, id)| id).collect()
}
