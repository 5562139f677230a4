//! The backlog of a member: how much of it may be copied when the member leaves a log, and what the
//! member skips.

use crate::config::Slow;
use crate::server::client::{Retain, Written};
use crate::server::client_id::ClientId;
use crate::server::hub::state::Hub;
use crate::server::hub::{lifecycle, members};
use crate::server::room::Membership;
use crate::server::room::compressor::Encoding;

/// The maximum size in bytes of the remainder of a frame that is copied for a member that leaves its
/// room's log: always, and while there is memory for it. Thousands of members may be in the middle of
/// one frame. Tests use smaller sizes, because their messages are shorter.
const SHORT_REST_BYTES: u64 = if cfg!(any(test, fuzzing)) { 500 } else { 64 << 10 };
const MAX_REST_BYTES: u64 = if cfg!(any(test, fuzzing)) { 3_000 } else { 1 << 20 };

/// Writes what is queued for a client, in the middle of a turn. An error occurs again when the rest is
/// written.
pub(crate) fn write_now(hub: &mut Hub, id: ClientId) {
    let now = hub.time.timestamp;
    if let Some((client, log, memory)) = hub.client_and_log(id) {
        let mut written = Written::default();
        let _ = client.flush(log, memory, now, &mut written);
        let membership = client.membership;
        hub.count_written(&written);
        forget_newest(hub, membership);
    }
}

/// Makes way for a close frame: writes what the socket takes, and drops the rest except for the frame
/// that has begun.
pub(crate) fn make_way(hub: &mut Hub, id: ClientId) {
    write_now(hub, id);
    if hub.clients.get(id).is_some_and(|client| client.blocked.is_some()) {
        skip_unbegun(hub, id);
    }
}

/// Drops everything that is queued for a client except the frame that has begun. A short remainder of it
/// becomes private; a long one stays in the log, which all members share.
pub(crate) fn skip_unbegun(hub: &mut Hub, id: ClientId) {
    lifecycle::note_room(hub, id);
    if may_copy_rest(hub, id) {
        members::leave(hub, id, Retain::UnfinishedFrame);
        return;
    }
    if let Some((client, log, memory)) = hub.client_and_log(id) {
        client.skip_unbegun(log, memory);
    }
}

/// Moves a member from the shared log to the plain one, to the oldest message there that it has not
/// received. Returns the number of messages that it misses.
pub(super) fn go_plain(hub: &mut Hub, id: ClientId) -> u64 {
    let client = hub.clients.get_mut(id).filter(|client| client.reads(Encoding::Shared));
    let Some(client) = client else { return 0 };
    let Some(room) = hub.rooms.of_mut(client.membership) else { return 0 };
    let Some((shared, plain)) = room.logs.shared_and_plain() else { return 0 };
    let missed = client.go_plain(shared, plain, &mut hub.memory);
    room.logs.forget_newest(&mut hub.memory.segments);
    room.waiting += usize::from(client.waits());
    missed
}

/// Keeps the newest messages in a room's plain log, if members that fall too far behind in its shared
/// log are to continue with them.
pub(crate) fn keep_newest(hub: &mut Hub, key: usize) {
    if hub.config.slow == Slow::Drop
        && let Some(room) = hub.rooms.get_mut(key)
    {
        room.logs.keep_newest(hub.config.memory.max_backlog_bytes / 2, &mut hub.memory.segments);
    }
}

/// Drops the newest messages that a room keeps for members that are behind, if the member that has just
/// been written to was the last of them.
pub(crate) fn forget_newest(hub: &mut Hub, membership: Option<Membership>) {
    if hub.config.slow == Slow::Drop
        && let Some(room) = hub.rooms.of_mut(membership)
    {
        room.logs.forget_newest(&mut hub.memory.segments);
    }
}

/// Writes what the socket takes, and returns whether the limits allow a copy of the rest of the log that
/// the member has not received.
pub(crate) fn covers_backlog(hub: &mut Hub, id: ClientId) -> bool {
    if unread_bytes(hub, id) > SHORT_REST_BYTES {
        write_now(hub, id);
    }
    let Some(client) = hub.clients.get(id) else { return false };
    let unread = usize::try_from(unread_bytes(hub, id)).unwrap_or(usize::MAX);
    let own = unread.saturating_add(client.private_bytes());
    let all = unread.saturating_add(hub.memory.backlog());
    let max = hub.config.memory.max_backlog_bytes;
    let max_all = hub.config.memory.max_total_backlog_bytes;
    unread == 0 || own <= max && all <= max_all
}

/// Whether the remainder of the frame that has begun may be copied for a client: always if it is short,
/// otherwise while there is memory for it.
pub(crate) fn may_copy_rest(hub: &Hub, id: ClientId) -> bool {
    let rest = hub.clients.get(id).map_or(0, |client| client.unfinished_size(hub.log_of(id)));
    let free = hub.config.memory.max_total_backlog_bytes.saturating_sub(hub.memory.backlog());
    rest <= SHORT_REST_BYTES || rest <= MAX_REST_BYTES.min(free as u64)
}

/// The number of bytes of its log that a client has not received.
pub(super) fn unread_bytes(hub: &Hub, id: ClientId) -> u64 {
    hub.clients.get(id).map_or(0, |client| client.unread_bytes(hub.log_of(id)))
}
