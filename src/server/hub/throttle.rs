//! Clients that are not read for a while: those that send too much, and all in a room that waits for a
//! member.

use std::mem;
use std::time::Duration;

use crate::protocol::CloseCode;
use crate::server::client::Reading;
use crate::server::client_id::ClientId;
use crate::server::departure::Cause;
use crate::server::hub::Hub;
use crate::server::limits::rate::ReadStats;

impl Hub {
    /// Counts what was read of a client, `size` bytes, and returns whether the rest is to be read later
    /// because that is too much.
    pub(crate) fn count_read(&mut self, id: ClientId, stats: &ReadStats, size: usize) -> bool {
        let now = self.time.timestamp;
        let allowance = &self.usage.allowance;
        let Some(client) = self.clients.get_mut(id) else { return false };
        if stats.messages > 0 {
            client.note_activity(now);
        } else {
            client.note_arrival(size);
        }
        // What is sent before the upgrade or after the end makes no message, and counts at once.
        let passed_over = ReadStats { messages: 1, bytes: size };
        let stats = if client.connection.is_open() { stats } else { &passed_over };
        if client.rate.is_rested(now, allowance) {
            client.throttled = None;
        }
        let pause = client.rate.count(stats, size, now, allowance);
        if client.recount_incomplete(&mut self.memory) {
            self.limit_incomplete();
        }
        pause.is_some_and(|pause| self.throttle(id, pause))
    }

    #[cold]
    fn throttle(&mut self, id: ClientId, pause: Duration) -> bool {
        let (now, timeout) = (self.time.timestamp, self.config.rates.throttle_timeout);
        let Some(client) = self.clients.get_mut(id) else { return false };
        let first = client.throttled.is_none();
        let since = *client.throttled.get_or_insert(now);
        let open = client.connection.is_open();
        if open && !first && since.after_or_never(timeout) <= now {
            let reason = "message rate exceeded";
            self.close_because(id, CloseCode::POLICY_VIOLATION, reason, Cause::TooFast);
            return false;
        }
        self.counts.throttled += u64::from(first);
        self.time.resumptions.remind(id.key(), now.after(pause));
        true
    }

    /// Checks the clients that sent too much and have been paused.
    pub(crate) fn resume_due(&mut self) {
        let due = self.time.resumptions.due(self.time.timestamp);
        self.pending.resumed.extend(due.into_iter().map(|key| self.clients[key].id));
    }

    /// Makes a client's room, or the client itself if it is in none, wait until the client has caught
    /// up.
    pub(crate) fn pause_room(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id).filter(|client| !client.lagging) else {
            return;
        };
        client.lagging = true;
        if let Some(room) = self.rooms.of_mut(client.membership) {
            room.laggards += 1;
        }
        self.clients.laggards += 1;
        self.counts.paused += 1;
    }

    /// Ends the wait for a client.
    pub(crate) fn resume_room(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id).filter(|client| client.lagging) else { return };
        client.lagging = false;
        self.pending.resumed.push(id);
        if let Some(room) = self.rooms.of_mut(client.membership) {
            room.laggards -= 1;
            if room.laggards == 0 {
                self.pending.resumed.append(&mut room.paused);
            }
        }
        self.clients.laggards -= 1;
    }

    /// Whether a client's room is not yet flushed. What its members send is not read until then, so
    /// that a flush gives all members the same.
    pub(crate) fn is_overdue(&self, id: ClientId) -> bool {
        let room = || self.rooms.of(self.clients.get(id)?.membership);
        self.rooms.overdue && room().is_some_and(|room| room.overdue)
    }

    /// Whether some room waits for a member.
    pub(crate) fn some_room_waits(&self) -> bool {
        self.clients.laggards > 0
    }

    /// Whether a client is to be read later because its room waits.
    pub(crate) fn pause_while_room_waits(&mut self, id: ClientId) -> bool {
        let Some(client) = self.clients.get_open_mut(id) else { return false };
        match self.rooms.of_mut(client.membership) {
            Some(room) if room.laggards > 0 => {
                room.paused.push(id);
                true
            }
            Some(_) => false,
            None => client.lagging,
        }
    }

    /// The clients that may be read again.
    #[cold]
    pub(crate) fn take_resumed(&mut self) -> Vec<ClientId> {
        let mut resumed = mem::take(&mut self.pending.resumed);
        resumed.retain(|&id| {
            let paused =
                self.clients.get_mut(id).filter(|client| client.reading == Reading::Paused);
            paused.map(|client| client.reading = Reading::Queued).is_some()
        });
        resumed
    }
}
