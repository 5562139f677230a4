//! The end of a tick: one write for every member of a room that grew.

use std::io;
use std::mem;

use log::debug;

use super::client::{Client, Keep, Progress};
use super::departure::Cause;
use super::hub::Hub;
use super::id::ClientId;
use super::log::Log;
use crate::protocol::CloseCode;

impl Hub {
    /// Whether something is queued that no event of a socket will fetch.
    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty_rooms.is_empty() || !self.dirty_clients.is_empty()
    }

    /// Notes that a client has something of its own to write.
    pub(super) fn mark_dirty(&mut self, id: ClientId) {
        if let Some(client) = self.get_mut(id).filter(|client| !client.dirty) {
            client.dirty = true;
            self.dirty_clients.push(id);
        }
    }

    /// Writes what was queued since the last time.
    pub(super) fn flush(&mut self) {
        self.grown = 0;
        for key in mem::take(&mut self.dirty_rooms) {
            for (id, outcome) in self.flush_room(key) {
                self.settle(id, outcome);
            }
        }
        for id in mem::take(&mut self.dirty_clients) {
            if let Some(outcome) = self.flush_client(id) {
                self.settle(id, outcome);
            }
        }
    }

    /// Writes to the members of a room, and tells about those who need more than that.
    fn flush_room(&mut self, key: usize) -> Vec<(ClientId, io::Result<Progress>)> {
        let Self { clients, rooms, pool, config, tick, .. } = self;
        let Some(room) = rooms.get_mut(key).filter(|room| room.dirty) else { return Vec::new() };
        room.dirty = false;
        let mut unusual = Vec::new();
        for &member in &room.members {
            let client = &mut clients[member];
            let Some(seat) = client.seat else { continue };
            let log = room.logs.get_mut(seat.encoding);
            let outcome = client.flush(log, pool, *tick);
            if !is_usual(&outcome, client, log, config.max_backlog_bytes) {
                unusual.push((client.id, outcome));
            }
        }
        room.logs.offer();
        unusual
    }

    /// Writes to a client, and tells where it needs more than that.
    fn flush_client(&mut self, id: ClientId) -> Option<io::Result<Progress>> {
        let Self { clients, rooms, pool, nowhere, config, tick, .. } = self;
        let client = clients.get_mut(id.key()).filter(|client| client.id == id)?;
        client.dirty = false;
        let room = client.seat.and_then(|seat| Some((seat, rooms.get_mut(seat.room)?)));
        let log = room.map_or(nowhere, |(seat, room)| room.logs.get_mut(seat.encoding));
        let outcome = client.flush(log, pool, *tick);
        (!is_usual(&outcome, client, log, config.max_backlog_bytes)).then_some(outcome)
    }

    fn settle(&mut self, id: ClientId, outcome: io::Result<Progress>) {
        match outcome {
            Ok(Progress::Finished) => self.end_writing(id),
            Ok(_) => self.cut_off(id),
            Err(error) => {
                debug!("{id}: {error}");
                self.lose(id);
            }
        }
    }

    fn end_writing(&mut self, id: ClientId) {
        self.unseat(id, Keep::Nothing);
        // The peer's time to answer begins when it has got everything.
        self.expect_within(id, self.config.close_timeout);
        if let Some(client) = self.get_mut(id) {
            client.end_writing();
            if client.is_over() {
                self.gone.push(id);
            }
        }
    }

    /// Closes a member that is too far behind. One that is closing already is given up.
    fn cut_off(&mut self, id: ClientId) {
        if self.get(id).is_some_and(|client| client.connection.is_open()) {
            self.unseat(id, Keep::UnfinishedFrame);
            let reason = "you are too far behind";
            self.close_because(id, CloseCode::TRY_AGAIN_LATER, reason, Cause::TooSlow);
        } else {
            self.lose(id);
        }
    }
}

/// Whether nothing but writing is to be done.
fn is_usual(
    outcome: &io::Result<Progress>,
    client: &Client,
    log: &Log,
    max_backlog_bytes: usize,
) -> bool {
    match outcome {
        Ok(Progress::Written) => true,
        Ok(Progress::Blocked) => client.backlog(log) <= max_backlog_bytes as u64,
        Ok(Progress::Finished) | Err(_) => false,
    }
}
