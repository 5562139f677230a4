//! Clients that send too much, and are not read for a while.

use std::time::Duration;

use crate::protocol::CloseCode;
use crate::server::client_id::ClientId;
use crate::server::departure::Cause;
use crate::server::hub::state::Hub;
use crate::server::hub::{lifecycle, overload};
use crate::server::limits::rate::ReadStats;

/// Counts `size` bytes that were read from a client, and returns whether the client is now paused
/// because that is too much.
#[inline]
pub(crate) fn count_read(hub: &mut Hub, id: ClientId, stats: &ReadStats, size: usize) -> bool {
    let now = hub.time.timestamp;
    let allowance = &hub.usage.allowance;
    let Some(client) = hub.clients.get_mut(id) else { return false };
    if stats.messages > 0 {
        client.note_activity(now);
    } else if client.connection.is_handshaking() || client.connection.held_bytes() > 0 {
        // The bytes of the request that has just upgraded the connection belong to no frame.
        client.note_arrival(size);
    }
    // Bytes before the upgrade or after the close frame belong to no message, and count at once.
    let passed_over = ReadStats { messages: stats.messages.max(1), bytes: size, held: stats.held };
    let stats = if client.connection.is_open() { stats } else { &passed_over };
    if client.throttled.is_some() && client.rate.is_rested(now, allowance) {
        client.throttled = None;
    }
    let pause = client.rate.count(stats, size, now, allowance);
    if client.recount_incomplete(&mut hub.memory) {
        overload::limit_incomplete(hub);
    }
    pause.is_some_and(|pause| throttle(hub, id, pause))
}

#[cold]
fn throttle(hub: &mut Hub, id: ClientId, pause: Duration) -> bool {
    let now = hub.time.timestamp;
    let timeout = hub.config.rates.throttle_timeout;
    let Some(client) = hub.clients.get_mut(id) else { return false };
    let first = client.throttled.is_none();
    let since = *client.throttled.get_or_insert(now);
    let open = client.connection.is_open();
    if open && !first && since.after_or_never(timeout) <= now {
        let reason = "message rate exceeded";
        lifecycle::close_because(hub, id, CloseCode::POLICY_VIOLATION, reason, Cause::TooFast);
        return false;
    }
    hub.counts.throttled += u64::from(first);
    hub.time.resumptions.remind(id.key(), now.after(pause));
    true
}

/// Checks the clients that sent too much and have been paused.
pub(crate) fn resume_due(hub: &mut Hub) {
    let due = hub.time.resumptions.due(hub.time.timestamp);
    hub.pending.resumed.extend(due.into_iter().map(|key| hub.clients[key].id));
}
