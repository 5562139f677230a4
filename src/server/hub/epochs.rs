//! Epochs of a room's shared compression context: when members move to the shared log and back.
//!
//! A new member does not have the window, so it reads the plain log, which is legal after any
//! negotiation (RFC 7692, section 6), until the room's shared context is reset. Then it moves to the
//! shared log, and receives every compressed frame that follows.

use std::mem;
use std::time::Duration;

use crate::server::client::{Client, Retain};
use crate::server::client_id::ClientId;
use crate::server::hub::state::Hub;
use crate::server::hub::{backlog, slow};
use crate::server::room::Room;
use crate::server::room::compressor::Encoding;

/// The maximum number of shared contexts, over all rooms. Each takes about 300 KiB.
const MAX_CONTEXTS: usize = 64;

/// How long a context must have been unused before another room may take it over.
const IDLE: Duration = Duration::from_secs(10);

/// Begins an epoch in a room if a member is waiting for one and the conditions allow it.
///
/// The caller does this before the first message of a turn, when every member that keeps up is at the
/// end of its log.
pub(crate) fn begin(hub: &mut Hub, key: usize) {
    let Some(deflate) = hub.config.deflate.as_ref() else { return };
    let Some(room) = hub.rooms.get(key) else { return };
    if room.waiting == 0 || !room.logs.may_reset_context(deflate) {
        return;
    }
    let ready = members_at_end(hub, room, Client::waits);
    if ready.is_empty() || !may_have_context(hub, key) {
        return;
    }
    if let Some(deflate) = &hub.config.deflate
        && let Some(room) = hub.rooms.get_mut(key)
    {
        room.logs.reset_context(deflate, hub.time.now);
    }
    for id in ready {
        change_encoding(hub, id, Encoding::Shared);
    }
    backlog::keep_newest(hub, key);
}

/// Moves the members that have received what was said before they came to the logs of their encodings,
/// which are not the shared one. The caller does this when [`begin`] may be called.
pub(crate) fn end_returns(hub: &mut Hub, key: usize) {
    let Some(room) = hub.rooms.get(key).filter(|room| room.returning > 0) else { return };
    for id in members_at_end(hub, room, Client::returns) {
        if let Some(encoding) = hub.clients.get(id).map(|client| client.encoding) {
            change_encoding(hub, id, encoding);
        }
    }
}

/// The members of a room for which `which` is true, and that have received everything.
fn members_at_end(hub: &Hub, room: &Room, which: impl Fn(&Client) -> bool) -> Vec<ClientId> {
    let members = room.members.iter().map(|&member| &hub.clients[member]);
    let ready = members.filter(|client| which(client) && client.is_at_end(&room.logs.plain));
    ready.map(|client| client.id).collect()
}

/// Moves an open member from the shared log to the plain one, until a later epoch.
pub(crate) fn leave_shared_log(hub: &mut Hub, id: ClientId) {
    if !hub.shares_context(id) {
        return;
    }
    slow::leave_context(hub, id);
    if !hub.shares_context(id) {
        hub.mark_dirty(id);
    } else if backlog::covers_backlog(hub, id) {
        change_encoding(hub, id, Encoding::Plain);
        // What it had not received of the shared log is now private.
        hub.mark_dirty(id);
    } else {
        slow::leave_backlog(hub, id);
    }
}

/// Moves a member from one log of its room to the end of another.
fn change_encoding(hub: &mut Hub, id: ClientId, encoding: Encoding) {
    let Some(client) = hub.clients.get_mut(id) else { return };
    let Some(mut membership) = client.membership else { return };
    let Some(room) = hub.rooms.get_mut(membership.room) else { return };
    room.waiting -= usize::from(client.waits());
    room.returning -= usize::from(client.returns());
    client.leave(room.logs.get_mut(membership.encoding), &mut hub.memory, Retain::All);
    membership.encoding = encoding;
    client.enter(membership, room.logs.get_mut(encoding));
    room.logs.forget_newest(&mut hub.memory.segments);
    room.waiting += usize::from(client.waits());
}

/// Whether the room has a context, or may get one: a new one, or that of a room that does not use its
/// own.
fn may_have_context(hub: &mut Hub, key: usize) -> bool {
    if hub.rooms.get(key).is_some_and(|room| room.logs.shared.is_some()) {
        return true;
    }
    if hub.rooms.contexts.len() >= MAX_CONTEXTS {
        retire_contexts(hub, IDLE);
    }
    let free = hub.rooms.contexts.len() < MAX_CONTEXTS;
    if free {
        hub.rooms.contexts.push(key);
    }
    free
}

/// Removes the contexts of rooms that have not used them for this long.
pub(crate) fn retire_contexts(hub: &mut Hub, idle: Duration) {
    for key in mem::take(&mut hub.rooms.contexts) {
        retire_if_idle(hub, key, idle);
    }
}

/// Removes the context of a room that has not used it for this long and whose members have received
/// everything, so that nothing has to be copied for them.
fn retire_if_idle(hub: &mut Hub, key: usize, idle: Duration) {
    let Some(room) = hub.rooms.get(key) else { return };
    let Some(shared) = &room.logs.shared else { return };
    if hub.time.now.saturating_duration_since(shared.used) < idle || !shared.log.is_read() {
        return hub.rooms.contexts.push(key);
    }
    let members: Vec<_> = room.members.iter().map(|&member| hub.clients[member].id).collect();
    for id in members {
        leave_shared_log(hub, id);
    }
    let Some(room) = hub.rooms.get_mut(key) else { return };
    // A member that is closing still reads its last frames.
    if room.logs.shared.as_ref().is_some_and(|shared| shared.log.has_readers()) {
        hub.rooms.contexts.push(key);
    } else {
        room.logs.shared = None;
    }
}
