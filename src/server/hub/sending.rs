//! Queueing messages: for one client, for a room, and for a room except one member.

use crate::protocol::Message;
use crate::server::client::Written;
use crate::server::client_id::ClientId;
use crate::server::hub::state::Hub;
use crate::server::hub::{epochs, slow, words};
use crate::server::room::compressor::Encoding;

/// The minimum size in bytes of a message to one client that is written from its own buffer, without a
/// copy, if nothing is queued before it. For smaller ones, a system call costs more than a copy. Tests
/// use a smaller size, because their messages are shorter.
const LONG_BYTES: usize = if cfg!(any(test, fuzzing)) { 2_000 } else { 64 << 10 };

/// Queues a message for one client as a compressed frame without context, if that is shorter. Returns
/// whether it was queued.
pub(super) fn send_compressed(
    hub: &mut Hub,
    id: ClientId,
    message: Message<'_>,
    encoding: Encoding,
) -> bool {
    let mut compressors = hub.rooms.compressors.take();
    let frame =
        compressors.as_mut().and_then(|compressors| compressors.compress(message, encoding));
    let mut sent = None;
    if let Some(frame) = frame
        && let Some((client, at, memory)) = hub.recipient(id)
    {
        client.queue(at, memory, |out| out.extend_from_slice(frame));
        sent = Some((client.private_bytes(), frame.len()));
    }
    hub.rooms.compressors = compressors;
    if let Some((unsent, size)) = sent {
        hub.counts.compression.add(message.frame_size(), size, 1);
        limit_sent(hub, id, unsent, size);
    }
    sent.is_some()
}

pub(super) fn send_plain(hub: &mut Hub, id: ClientId, message: Message<'_>) {
    let now = hub.time.timestamp;
    let size = message.frame_size();
    let long = size >= LONG_BYTES;
    let Some((client, at, memory)) = hub.recipient(id) else { return };
    let mut written = Written::default();
    if long && client.is_up_to_date(at) {
        client.send_at_once(message, at, memory, now, &mut written);
    } else {
        client.queue(at, memory, |out| message.encode(out));
    }
    let unsent = client.private_bytes();
    hub.count_written(&written);
    limit_sent(hub, id, unsent, size);
}

/// Counts a frame of `size` bytes that was queued for a client, which now has `unsent` bytes queued, and
/// applies the limits.
#[inline]
fn limit_sent(hub: &mut Hub, id: ClientId, unsent: usize, size: usize) {
    hub.counts.deliveries += 1;
    hub.pending.grown += if unsent > 0 { size } else { 0 };
    let max = hub.config.memory.max_backlog_bytes;
    let max_all = hub.config.memory.max_total_backlog_bytes;
    if unsent > max || hub.memory.backlog() > max_all {
        slow::limit_unsent(hub, id);
    }
}

/// Sends a message to the members of a room except for one that is open.
pub(super) fn append_except(hub: &mut Hub, room: usize, member: ClientId, message: Message<'_>) {
    prepare(hub, room);
    // A member that shares a context must receive every frame of it.
    epochs::leave_shared_log(hub, member);
    let from = hub.log_of(member).end();
    append(hub, room, message);
    if let Some((client, log, memory)) = hub.client_and_log(member)
        && client.membership.is_some()
    {
        let to = log.end();
        client.skip(from, to, log, memory);
        hub.counts.deliveries -= 1;
        words::receipt(hub, member);
    }
}

/// Queues a message for all members of a room.
pub(super) fn broadcast(hub: &mut Hub, room: usize, message: Message<'_>) {
    prepare(hub, room);
    append(hub, room, message)
}

/// Prepares a room for a message.
fn prepare(hub: &mut Hub, key: usize) {
    if hub.rooms.get(key).is_some_and(|room| !room.dirty) {
        epochs::end_returns(hub, key);
        epochs::begin(hub, key);
    }
}

fn append(hub: &mut Hub, key: usize, message: Message<'_>) {
    let appended = hub.rooms.append(key, message, &mut hub.memory.segments, &hub.time);
    hub.counts.deliveries += appended.members as u64;
    hub.counts.compression += appended.compression;
    hub.pending.grown += message.frame_size();
}
