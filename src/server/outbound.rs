//! The end of a tick: one write for every member of a room that grew.

use std::io;
use std::mem;

use log::debug;

use super::client::{Client, Keep, Progress};
use super::departure::Cause;
use super::hub::Hub;
use super::id::ClientId;
use super::log::Log;
use super::logs::Encoding;
use crate::config::Slow;
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
    pub(super) fn flush(&mut self, end: TickEnd) {
        self.grown = 0;
        if !self.dirty_rooms.is_empty() {
            self.flush_rooms(end);
        }
        if !self.dirty_clients.is_empty() {
            self.flush_clients();
        }
        self.relieve();
    }

    fn flush_rooms(&mut self, end: TickEnd) {
        let mut rooms = mem::take(&mut self.dirty_rooms);
        for &key in &rooms {
            for (id, outcome) in self.flush_room(key, end) {
                self.settle(id, outcome);
            }
        }
        if end == TickEnd::Now {
            rooms.clear();
        }
        use_again(&mut self.dirty_rooms, rooms);
    }

    fn flush_clients(&mut self) {
        let mut clients = mem::take(&mut self.dirty_clients);
        for &id in &clients {
            if let Some(outcome) = self.flush_client(id) {
                self.settle(id, outcome);
            }
        }
        clients.clear();
        use_again(&mut self.dirty_clients, clients);
    }

    /// Writes to the members of a room, and tells about those who need more than that.
    fn flush_room(&mut self, key: usize, end: TickEnd) -> Vec<(ClientId, Outcome)> {
        let Self { clients, rooms, pool, config, tick, unsent, .. } = self;
        let Some(room) = rooms.get_mut(key).filter(|room| room.dirty) else { return Vec::new() };
        let mut unusual = Vec::new();
        for &member in &room.members {
            let client = &mut clients[member];
            let Some(seat) = client.seat else { continue };
            let log = room.logs.get_mut(seat.encoding);
            let progress = client.flush(log, pool, *tick);
            client.recount_unsent(unsent);
            if let Some(outcome) = judge(progress, client, log, config.max_backlog_bytes) {
                unusual.push((client.id, outcome));
            }
        }
        if end == TickEnd::Now {
            room.dirty = false;
            room.logs.offer();
        }
        unusual
    }

    /// Writes to a client, and tells where it needs more than that.
    fn flush_client(&mut self, id: ClientId) -> Option<Outcome> {
        let Self { clients, rooms, pool, nowhere, config, tick, unsent, .. } = self;
        let client = clients.get_mut(id.key()).filter(|client| client.id == id)?;
        client.dirty = false;
        let room = client.seat.and_then(|seat| Some((seat, rooms.get_mut(seat.room)?)));
        let log = room.map_or(nowhere, |(seat, room)| room.logs.get_mut(seat.encoding));
        let progress = client.flush(log, pool, *tick);
        client.recount_unsent(unsent);
        judge(progress, client, log, config.max_backlog_bytes)
    }

    #[cold]
    fn settle(&mut self, id: ClientId, outcome: Outcome) {
        match outcome {
            Outcome::Finished => self.end_writing(id),
            Outcome::CaughtUp => self.release(id),
            Outcome::Behind => self.fall_behind(id),
            Outcome::Lost(error) => {
                debug!("{id}: {error}");
                self.lose(id);
            }
        }
    }

    fn end_writing(&mut self, id: ClientId) {
        if self.get(id).is_none_or(Client::has_ended_writing) {
            return;
        }
        self.unseat(id, Keep::Nothing);
        if self.get_mut(id).is_some_and(Client::end_writing) {
            // The peer's time to answer begins when everything is written, and its time to end its
            // side when ours has ended; nothing else begins it anew.
            self.expect_within(id, self.config.close_timeout);
        }
        if let Some(client) = self.get_mut(id) {
            // What is left is the end of TCP, which needs no place.
            let left = client.connection.was_clean() && mem::take(&mut client.opened);
            if client.is_over() {
                self.gone.push(id);
            }
            self.open -= usize::from(left);
        }
    }

    /// Does with a member that is too far behind what the configuration says.
    fn fall_behind(&mut self, id: ClientId) {
        let open = self.get(id).is_some_and(|client| client.connection.is_open());
        match self.config.slow {
            Slow::Drop if open => self.skip_messages(id),
            Slow::Pause if open => self.hold(id),
            _ => self.cut_off(id),
        }
    }

    /// Closes a member that is too far behind. One that is closing already is given up.
    fn cut_off(&mut self, id: ClientId) {
        if self.get(id).is_none_or(|client| !client.connection.is_open()) {
            return self.lose(id);
        }
        if self.may_copy_rest(id) {
            self.unseat(id, Keep::UnfinishedFrame);
            self.count_unsent(id);
        } else {
            self.skip_unbegun(id);
        }
        let reason = "you are too far behind";
        self.close_because(id, CloseCode::TRY_AGAIN_LATER, reason, Cause::TooSlow);
    }

    /// Leaves out everything for a client but what is half written, which stays in the log.
    fn skip_unbegun(&mut self, id: ClientId) {
        let Self { clients, rooms, pool, nowhere, .. } = self;
        let client = &mut clients[id.key()];
        let room = client.seat.and_then(|seat| Some((seat, rooms.get_mut(seat.room)?)));
        let log = room.map_or(nowhere, |(seat, room)| room.logs.get_mut(seat.encoding));
        client.skip_unbegun(log, pool);
    }

    /// Lets a member go on with what is said next. One that shares a compression context has lost
    /// its place in it, and goes back to the plain log.
    fn skip_messages(&mut self, id: ClientId) {
        if !self.may_copy_rest(id) {
            return self.cut_off(id);
        }
        let encoding =
            self.get(id).and_then(|client| client.seat).map(|seat| match seat.encoding {
                Encoding::Shared => Encoding::Plain,
                encoding => encoding,
            });
        let skipped = match encoding {
            Some(encoding) => self.change_encoding(id, encoding, Keep::ControlFrames),
            None => {
                let Self { clients, nowhere, .. } = self;
                clients[id.key()].cut_messages(nowhere)
            }
        };
        self.counts.skipped += skipped;
        self.count_unsent(id);
        debug!("{id} is too far behind and misses {skipped} messages");
    }
}

/// Lets `list` go on in the memory of the one before, and after what is left of that.
pub(super) fn use_again<T>(list: &mut Vec<T>, mut before: Vec<T>) {
    if !list.is_empty() {
        before.append(list);
    }
    *list = before;
}

/// Whether what is written is all of the tick's. Who was offered something in the middle of a tick
/// had no time to take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TickEnd {
    /// It is.
    Now,
    /// More may come.
    Later,
}

/// What is to be done about a client beside writing.
#[derive(Debug)]
enum Outcome {
    /// It has got everything, and there will be nothing else.
    Finished,
    /// It is too far behind.
    Behind,
    /// It was, and is not any more.
    CaughtUp,
    /// Its connection is lost.
    Lost(io::Error),
}

/// Tells whether something beside writing is to be done, by how far that went.
fn judge(
    progress: io::Result<Progress>,
    client: &Client,
    log: &Log,
    max_backlog_bytes: usize,
) -> Option<Outcome> {
    if !client.lagging && matches!(progress, Ok(Progress::Written)) {
        return None;
    }
    // Who is closing still has a frame to take, and keeps the log until then.
    let times = if client.is_finishing() { 2 } else { 1 };
    let max = (max_backlog_bytes as u64).saturating_mul(times);
    match progress {
        Ok(Progress::Written) => Some(Outcome::CaughtUp),
        Ok(Progress::Blocked) if client.backlog(log) > max => Some(Outcome::Behind),
        Ok(Progress::Blocked) => {
            let caught_up = client.lagging && client.backlog(log) <= max / 2;
            caught_up.then_some(Outcome::CaughtUp)
        }
        Ok(Progress::Finished) => Some(Outcome::Finished),
        Err(error) => Some(Outcome::Lost(error)),
    }
}
