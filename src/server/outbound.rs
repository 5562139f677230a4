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

/// A client that a flush could not serve as usual, and how that went.
type Exception = (ClientId, io::Result<Progress>);

impl Hub {
    /// Whether something is queued that no event of a socket will fetch.
    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty_rooms.is_empty() || !self.dirty_clients.is_empty()
    }

    /// Writes what this tick queued.
    pub(super) fn flush(&mut self) {
        let mut exceptions = Vec::new();
        for key in mem::take(&mut self.dirty_rooms) {
            self.flush_room(key, &mut exceptions);
        }
        for id in mem::take(&mut self.dirty_clients) {
            self.flush_client(id, &mut exceptions);
        }
        for (id, outcome) in exceptions {
            self.settle(id, outcome);
        }
    }

    fn flush_room(&mut self, key: usize, exceptions: &mut Vec<Exception>) {
        let Self { clients, rooms, pool, config, tick, .. } = self;
        let Some(room) = rooms.get_mut(key) else { return };
        room.dirty = false;
        for &member in &room.members {
            let client = &mut clients[member];
            let Some(seat) = client.seat else { continue };
            let log = room.logs.get_mut(seat.encoding);
            let outcome = client.flush(log, pool, *tick);
            if !is_usual(&outcome, client, log, config.max_backlog_bytes) {
                exceptions.push((client.id, outcome));
            }
        }
    }

    fn flush_client(&mut self, id: ClientId, exceptions: &mut Vec<Exception>) {
        let Self { clients, rooms, pool, nowhere, config, tick, .. } = self;
        let client = clients.get_mut(id.key()).filter(|client| client.id == id);
        let Some(client) = client else { return };
        let room = client.seat.and_then(|seat| Some((seat, rooms.get_mut(seat.room)?)));
        let log = room.map_or(nowhere, |(seat, room)| room.logs.get_mut(seat.encoding));
        let outcome = client.flush(log, pool, *tick);
        if !is_usual(&outcome, client, log, config.max_backlog_bytes) {
            exceptions.push((id, outcome));
        }
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
