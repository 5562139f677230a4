//! Whether a client is still there.

use crate::server::client::Reading;
use crate::server::client_id::ClientId;
use crate::server::departure::Cause;
use crate::server::hub::Hub;

impl Hub {
    /// Pings a silent client, drops one that does not answer or that reads nothing, and sets the time
    /// of the next check.
    pub(crate) fn check_keepalive(&mut self, id: ClientId) {
        let Self { config, time, .. } = self;
        let (now, horizon) = (time.timestamp, time.horizon);
        let Some(client) = self.clients.get_mut(id) else { return };
        if client.reading == Reading::Paused {
            // It may have sent something that has not been read.
            client.note_activity(now);
        }
        let stall = client.blocked.unwrap_or(now).after_or_never(config.timeouts.write);
        let answer = client.pinged.zip(config.timeouts.pong).map(|(at, timeout)| at.after(timeout));
        let silence = client
            .pinged
            .unwrap_or(client.last_active)
            .after_or_never(config.timeouts.ping_interval);
        let deadline = answer.unwrap_or(silence);
        if stall <= horizon {
            self.give_up(id, Cause::Stalled);
        } else if deadline > horizon {
            self.expect_by(id, stall.min(deadline));
        } else if client.arrives_at(config.rates.min_frame_bytes_per_second, now) {
            // It can send nothing else before the end of its frame.
            client.note_activity(now);
            let next = now.after_or_never(config.timeouts.ping_interval);
            self.expect_by(id, stall.min(next));
        } else if answer.is_some() {
            self.give_up(id, Cause::Silent);
        } else {
            self.ping(id);
            let next = [self.config.timeouts.ping_interval, self.config.timeouts.pong];
            self.expect_by(id, stall.min(now.after_or_never(next.into_iter().flatten().min())));
        }
    }

    /// Drops a client that should be gone by now, unless it is still taking its last bytes.
    pub(crate) fn check_end(&mut self, id: ClientId) {
        let (horizon, timeout) = (self.time.horizon, self.config.timeouts.close);
        let blocked = self.clients.get(id).and_then(|client| client.blocked);
        match blocked.map(|since| since.after(timeout)) {
            Some(deadline) if deadline > horizon => self.expect_by(id, deadline),
            _ => self.lose(id),
        }
    }

    fn ping(&mut self, id: ClientId) {
        let now = self.time.timestamp;
        if let Some((client, at, memory)) = self.reach(id) {
            client.pinged = Some(now);
            client.arrived = 0;
            client.queue_control(at, memory, |connection, out| connection.ping(b"", out));
        }
    }

    fn give_up(&mut self, id: ClientId, cause: Cause) {
        if let Some(client) = self.clients.get_mut(id) {
            client.pending_departure.get_or_insert_default().cause = Some(cause);
            self.lose(id);
        }
    }
}
