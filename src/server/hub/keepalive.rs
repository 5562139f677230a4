//! Whether a client is still there.

use crate::server::client::Reading;
use crate::server::client_id::ClientId;
use crate::server::departure::Cause;
use crate::server::hub::lifecycle;
use crate::server::hub::state::Hub;

/// Pings a silent client, drops one that does not answer or that reads nothing, and sets the time
/// of the next check.
pub(crate) fn check(hub: &mut Hub, id: ClientId) {
    let Hub { config, time, .. } = hub;
    let (now, horizon) = (time.timestamp, time.horizon);
    let Some(client) = hub.clients.get_mut(id) else { return };
    if client.reading == Reading::Paused {
        // It may have sent something that has not been read.
        client.note_activity(now);
    }
    let stall = client.blocked.unwrap_or(now).after_or_never(config.timeouts.write);
    let answer = client.pinged.zip(config.timeouts.pong).map(|(at, timeout)| at.after(timeout));
    let silence =
        client.pinged.unwrap_or(client.last_active).after_or_never(config.timeouts.ping_interval);
    let deadline = answer.unwrap_or(silence);
    if stall <= horizon {
        give_up(hub, id, Cause::Stalled);
    } else if deadline > horizon {
        lifecycle::expect_by(hub, id, stall.min(deadline));
    } else if client.arrives_at(config.rates.min_frame_bytes_per_second, now) {
        // It can send nothing else before the end of its frame.
        client.note_activity(now);
        let next = now.after_or_never(config.timeouts.ping_interval);
        lifecycle::expect_by(hub, id, stall.min(next));
    } else if answer.is_some() {
        give_up(hub, id, Cause::Silent);
    } else {
        ping(hub, id);
        let next = [hub.config.timeouts.ping_interval, hub.config.timeouts.pong];
        lifecycle::expect_by(
            hub,
            id,
            stall.min(now.after_or_never(next.into_iter().flatten().min())),
        );
    }
}

/// Drops a client that should be gone by now, unless it is still taking its last bytes.
pub(crate) fn check_end(hub: &mut Hub, id: ClientId) {
    let (horizon, timeout) = (hub.time.horizon, hub.config.timeouts.close);
    let blocked = hub.clients.get(id).and_then(|client| client.blocked);
    match blocked.map(|since| since.after(timeout)) {
        Some(deadline) if deadline > horizon => lifecycle::expect_by(hub, id, deadline),
        _ => lifecycle::lose(hub, id),
    }
}

fn ping(hub: &mut Hub, id: ClientId) {
    let now = hub.time.timestamp;
    if let Some((client, at, memory)) = hub.recipient(id) {
        client.pinged = Some(now);
        client.arrived = 0;
        client.queue_control(at, memory, |connection, out| connection.ping(b"", out));
    }
}

fn give_up(hub: &mut Hub, id: ClientId, cause: Cause) {
    if let Some(client) = hub.clients.get_mut(id) {
        client.pending_departure.get_or_insert_default().cause = Some(cause);
        lifecycle::lose(hub, id);
    }
}
