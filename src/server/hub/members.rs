//! The members of rooms.

use crate::protocol::Start;
use crate::server::capacity::{capacity_to_keep, is_loose};
use crate::server::client::{Reading, Retain};
use crate::server::client_id::ClientId;
use crate::server::hub::state::Hub;
use crate::server::hub::{backpressure, words};
use crate::server::room::Membership;
use crate::server::room::compressor::Encoding;

/// Adds an open client that is in no room to a room.
pub(super) fn enter(hub: &mut Hub, id: ClientId, room: &str, start: Start) {
    let Some(member) = hub.clients.get_mut(id) else { return };
    let key = hub.rooms.find_or_make(room, member.address_key, hub.time.moment());
    let Some(room) = hub.rooms.get_mut(key) else { return };
    let max_bytes = hub.config.memory.max_backlog_bytes / 2;
    let entry = room.history.map(|history| history.entry(&room.logs.plain, start, max_bytes));
    let replay = entry.filter(|entry| entry.replay > 0);
    let encoding = match member.encoding {
        Encoding::Shared => Encoding::Plain,
        _ if replay.is_some() => Encoding::Plain,
        encoding => encoding,
    };
    let membership = Membership { room: key, index: room.members.len(), encoding };
    room.members.push(id.key());
    let log = room.logs.get_mut(encoding);
    match replay {
        Some(entry) => member.enter_at(entry.offset, membership, log, &mut hub.memory),
        None => member.enter(membership, log),
    }
    room.waiting += usize::from(member.waits());
    room.returning += usize::from(member.returns());
    if let Some(entry) = entry {
        words::greet(hub, id, &entry);
    }
}

/// Takes the client out of its room, if it is in one.
pub(crate) fn leave(hub: &mut Hub, id: ClientId, keep: Retain) {
    backpressure::resume_room(hub, id);
    let Some((client, log, memory)) = hub.client_and_log(id) else { return };
    let Some(membership) = client.membership else {
        client.cut_private(log, memory, keep);
        return;
    };
    let waited = client.waits();
    let returned = client.returns();
    client.leave(log, memory, keep);
    if client.reading == Reading::Paused {
        // The client may be paused because of the room that it leaves.
        hub.pending.resumed.push(id);
    }
    if let Some(room) = hub.rooms.get_mut(membership.room) {
        room.waiting -= usize::from(waited);
        room.returning -= usize::from(returned);
        room.logs.forget_unread(&mut hub.memory.segments);
    }
    take_off_list(hub, membership);
    hub.rooms.release(membership.room, hub.time.timestamp);
}

/// Removes a member from the list of its room. The last member of the list moves to its index.
fn take_off_list(hub: &mut Hub, membership: Membership) {
    let Some(room) = hub.rooms.get_mut(membership.room) else { return };
    room.members.swap_remove(membership.index);
    let moved = room.members.get(membership.index).map(|&key| &mut hub.clients[key]);
    if let Some(moved) = moved
        && let Some(moved_membership) = &mut moved.membership
    {
        moved_membership.index = membership.index;
        if membership.index < room.flushed {
            // The flush in progress will not reach it.
            hub.pending.mark_dirty(moved);
        }
    }
    if is_loose(room.members.capacity(), room.members.len()) {
        room.members.shrink_to(capacity_to_keep(room.members.len()));
    }
}
