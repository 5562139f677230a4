//! Whether a client is still there.

use crate::config::Config;
use crate::server::client::{Client, Reading};
use crate::server::client_id::ClientId;
use crate::server::departure::Cause;
use crate::server::hub::lifecycle;
use crate::server::hub::state::Hub;
use crate::server::time::Time;
use crate::server::time::wheel::Timestamp;

/// What the time asks for.
enum Due {
    /// Nothing before this time.
    Nothing(Timestamp),
    /// A ping, and the next check at this time.
    Ping(Timestamp),
    /// The client is to be dropped.
    End(Cause),
}

/// Pings a silent client, drops one that does not answer or that reads nothing, and sets the time
/// of the next check.
pub(crate) fn check(hub: &mut Hub, id: ClientId) {
    let Some(client) = hub.clients.get_mut(id) else { return };
    if client.reading == Reading::Paused {
        // It may have sent something that has not been read.
        client.note_activity(hub.time.timestamp);
    }
    match due(client, &hub.config, &hub.time) {
        Due::Nothing(next) => lifecycle::expect_by(hub, id, next),
        Due::Ping(next) => {
            ping(hub, id);
            lifecycle::expect_by(hub, id, next);
        }
        Due::End(cause) => give_up(hub, id, cause),
    }
}

/// What is due for a client. Bytes of a long frame that arrive fast enough are activity: the client can
/// send nothing else before the frame's end.
fn due(client: &mut Client, config: &Config, time: &Time) -> Due {
    let timeouts = &config.timeouts;
    let now = time.timestamp;
    let write_deadline = client.blocked.unwrap_or(now).after_or_never(timeouts.write);
    let pong_deadline = client.pinged.zip(timeouts.pong).map(|(at, timeout)| at.after(timeout));
    let silent_since = client.pinged.unwrap_or(client.last_active);
    let deadline =
        pong_deadline.unwrap_or_else(|| silent_since.after_or_never(timeouts.ping_interval));
    if write_deadline <= time.horizon {
        return Due::End(Cause::Stalled);
    }
    if deadline > time.horizon {
        return Due::Nothing(write_deadline.min(deadline));
    }
    if client.arrives_at(config.rates.min_frame_bytes_per_second, now) {
        client.note_activity(now);
        return Due::Nothing(write_deadline.min(now.after_or_never(timeouts.ping_interval)));
    }
    if pong_deadline.is_some() {
        return Due::End(Cause::Silent);
    }
    let next = [timeouts.ping_interval, timeouts.pong].into_iter().flatten().min();
    Due::Ping(write_deadline.min(now.after_or_never(next)))
}

/// Drops a client that should be gone by now, unless it is still taking its last bytes.
pub(crate) fn check_end(hub: &mut Hub, id: ClientId) {
    let horizon = hub.time.horizon;
    let timeout = hub.config.timeouts.close;
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
