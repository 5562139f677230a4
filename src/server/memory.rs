//! What is held for all clients together.

use super::client::Keep;
use super::departure::{Cause, Departure};
use super::handshake::refuse;
use super::hub::Hub;
use super::id::ClientId;
use crate::protocol::{CloseCode, Refusal};

/// The longest rest of a frame in bytes that is copied for a member that leaves its room's log, at
/// any time and where there is memory. Thousands may stand in the middle of one frame.
const SHORT_REST_BYTES: u64 = 64 << 10;
const MAX_REST_BYTES: u64 = 1 << 20;

impl Hub {
    /// Notes that what has not arrived whole from a client has changed. Where that is too much for
    /// all, who holds most of it goes.
    #[cold]
    pub(super) fn count_incomplete(&mut self, change: isize) {
        self.incomplete = self.incomplete.saturating_add_signed(change);
        if change <= 0 || self.incomplete <= self.config.max_incomplete_bytes {
            return;
        }
        let largest = self.clients.iter().max_by_key(|(_, client)| client.incomplete);
        if let Some((id, handshaking)) =
            largest.map(|(_, client)| (client.id, client.connection.is_handshaking()))
        {
            self.end_incomplete(id, handshaking);
        }
    }

    fn end_incomplete(&mut self, id: ClientId, handshaking: bool) {
        if handshaking {
            refuse(self, id, Refusal::Full, false);
        } else {
            let (code, reason) =
                (CloseCode::TRY_AGAIN_LATER, "the server holds too much unfinished");
            self.finish(id, |connection, out| connection.give_up(code, reason, out));
            self.depart(id, Departure::abnormal(Cause::Overload));
        }
        let change = self.get_mut(id).map_or(0, |client| client.recount_incomplete());
        self.incomplete = self.incomplete.saturating_add_signed(change);
    }

    /// Closes those who are furthest behind, if more is kept for all than may be: until a quarter
    /// is free, so that it is not done all the time.
    pub(super) fn relieve(&mut self) {
        let max = self.config.max_total_backlog_bytes;
        if self.backlog() <= max {
            return;
        }
        for id in self.furthest_behind() {
            if self.backlog() <= max / 4 * 3 {
                return;
            }
            self.shed(id);
        }
    }

    /// Closes a member, and frees what is kept for it. Who stands in the middle of a long frame is
    /// dropped.
    fn shed(&mut self, id: ClientId) {
        let open = self.get(id).is_some_and(|client| client.connection.is_open());
        if !open || !self.may_copy_rest(id) {
            if let Some(client) = self.get_mut(id) {
                client.parting.get_or_insert_default().cause.get_or_insert(Cause::Overload);
            }
            self.lose(id);
            self.unseat(id, Keep::Nothing);
        } else {
            self.unseat(id, Keep::UnfinishedFrame);
            let reason = "the server keeps too much for those who are behind";
            self.close_because(id, CloseCode::TRY_AGAIN_LATER, reason, Cause::Overload);
        }
        self.count_unsent(id);
    }

    /// Whether a client may have a copy of what is half written to it: a short one always, a longer
    /// one while there is memory for it.
    pub(super) fn may_copy_rest(&self, id: ClientId) -> bool {
        let rest = self.unfinished_size(id);
        let free = self.config.max_total_backlog_bytes.saturating_sub(self.backlog());
        rest <= SHORT_REST_BYTES || rest <= MAX_REST_BYTES.min(free as u64)
    }

    /// How many bytes are left of what is half written to a client.
    fn unfinished_size(&self, id: ClientId) -> u64 {
        let Some(client) = self.get(id) else { return 0 };
        let room = client.seat.and_then(|seat| Some((seat, self.rooms.get(seat.room)?)));
        let log = room.and_then(|(seat, room)| room.logs.get(seat.encoding));
        client.unfinished_size(log.unwrap_or(&self.nowhere))
    }

    /// The memory in bytes that is kept because somebody has not taken it.
    fn backlog(&self) -> usize {
        self.pool.held() + self.unsent
    }

    pub(super) fn count_unsent(&mut self, id: ClientId) {
        let Self { clients, unsent, .. } = self;
        if let Some(client) = clients.get_mut(id.key()).filter(|client| client.id == id) {
            client.recount_unsent(unsent);
        }
    }

    fn furthest_behind(&mut self) -> Vec<ClientId> {
        let Self { clients, rooms, .. } = self;
        let blocked = clients.iter().filter(|(_, client)| client.blocked.is_some());
        let mut behind: Vec<_> = blocked
            .map(|(_, client)| {
                let room = client.seat.and_then(|seat| Some((seat, rooms.get(seat.room)?)));
                let log = room.and_then(|(seat, room)| room.logs.get(seat.encoding));
                (log.map_or(0, |log| client.held_bytes(log)) + u64::from(client.unsent), client.id)
            })
            .collect();
        behind.sort_unstable_by(|a, b| b.cmp(a));
        behind.into_iter().map(|(_, id)| id).collect()
    }
}
