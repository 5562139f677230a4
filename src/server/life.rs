//! Whether an open client is still there.

use super::departure::Cause;
use super::hub::Hub;
use super::id::ClientId;

impl Hub {
    /// Notes that a whole frame came. Bytes alone do not count: they can be sent one at a time.
    pub(super) fn note_life(&mut self, id: ClientId) {
        let now = self.tick;
        if let Some(client) = self.get_mut(id) {
            client.heard = now;
            client.pinged = None;
        }
    }

    /// Asks a silent client whether it is there, gives up one that does not answer or that takes
    /// nothing, and sets the time to look again.
    pub(super) fn check_life(&mut self, id: ClientId) {
        let Some(client) = self.get(id) else { return };
        let (now, config) = (self.tick, &self.config);
        let stall = client.blocked.unwrap_or(now).after(config.write_timeout);
        let answer = client.pinged.map(|pinged| pinged.after(config.pong_timeout));
        let silence = client.heard.after(config.ping_interval);
        if stall <= now {
            self.give_up(id, Cause::Stalled);
        } else if answer.is_some_and(|answer| answer <= now) {
            self.give_up(id, Cause::Silent);
        } else if answer.is_none() && silence <= now {
            self.ping(id);
            self.expect_by(id, stall.min(now.after(self.config.pong_timeout)));
        } else {
            self.expect_by(id, stall.min(answer.unwrap_or(silence)));
        }
    }

    fn ping(&mut self, id: ClientId) {
        let (at, now) = (self.log_end(id), self.tick);
        if let Some(client) = self.get_mut(id) {
            client.pinged = Some(now);
            let (connection, out) = client.speak(at);
            connection.ping(b"", out);
            self.dirty_clients.push(id);
        }
    }

    fn give_up(&mut self, id: ClientId, cause: Cause) {
        if let Some(client) = self.get_mut(id) {
            client.cause = Some(cause);
            self.lose(id);
        }
    }
}
