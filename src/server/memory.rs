//! What is held for all clients together.

use super::departure::{Cause, Departure};
use super::hub::Hub;
use super::id::ClientId;
use super::inbound::refuse;
use crate::protocol::{CloseCode, Refusal};

impl Hub {
    /// Notes that what has not arrived whole from a client has changed, and ends its connection
    /// where that is too much for all, unless it holds less than everybody may.
    pub(super) fn count_incomplete(&mut self, id: ClientId, change: isize) {
        self.incomplete = self.incomplete.saturating_add_signed(change);
        let Some(client) = self.get(id) else { return };
        let (held, handshaking) = (client.incomplete as usize, client.connection.is_handshaking());
        let share = self.config.max_incomplete_bytes / self.config.max_connections.max(1);
        if change <= 0 || self.incomplete <= self.config.max_incomplete_bytes || held <= share {
            return;
        }
        if handshaking {
            return refuse(self, id, Refusal::Full, false);
        }
        let (code, reason) = (CloseCode::TRY_AGAIN_LATER, "the server holds too much unfinished");
        self.finish(id, |connection, out| connection.give_up(code, reason, out));
        self.depart(id, Departure::abnormal(Cause::Overload));
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
            self.cut_off(id, Cause::Overload);
            self.count_unsent(id);
        }
    }

    /// The memory in bytes that is kept because somebody has not taken it.
    fn backlog(&self) -> usize {
        self.pool.held() + self.unsent
    }

    fn count_unsent(&mut self, id: ClientId) {
        let change = self.get_mut(id).map_or(0, |client| client.recount_unsent());
        self.unsent = self.unsent.saturating_add_signed(change);
    }

    fn furthest_behind(&mut self) -> Vec<ClientId> {
        let Self { clients, rooms, .. } = self;
        let blocked = clients.iter().filter(|(_, client)| client.blocked.is_some());
        let mut behind: Vec<_> = blocked
            .map(|(_, client)| {
                let room = client.seat.and_then(|seat| Some((seat, rooms.get(seat.room)?)));
                let end = room.map_or(0, |(seat, room)| room.logs.end(seat.encoding));
                (client.unread(end), client.id)
            })
            .collect();
        behind.sort_unstable_by(|a, b| b.cmp(a));
        behind.into_iter().map(|(_, id)| id).collect()
    }
}
