//! Limits on the memory that is held for all clients together.

use crate::protocol::{CloseCode, Refusal};
use crate::server::client::Retain;
use crate::server::client_id::ClientId;
use crate::server::departure::Cause;
use crate::server::hub::Hub;
use crate::server::hub::handshake::refuse;

impl Hub {
    /// If too much memory is held for what has not arrived whole, closes the client that holds most of
    /// it.
    #[cold]
    pub(crate) fn limit_incomplete(&mut self) {
        if self.memory.incomplete.get() <= self.config.memory.max_incomplete_bytes {
            return;
        }
        let largest = self.clients.iter().max_by_key(|client| client.incomplete.get());
        if let Some((id, handshaking)) =
            largest.map(|client| (client.id, client.connection.is_handshaking()))
        {
            self.end_incomplete(id, handshaking);
        }
    }

    fn end_incomplete(&mut self, id: ClientId, handshaking: bool) {
        if handshaking {
            refuse(self, id, Refusal::Full);
        } else {
            let reason = "too much unfinished data on the server";
            self.close_because(id, CloseCode::TRY_AGAIN_LATER, reason, Cause::Overload);
        }
    }

    /// Closes the members that are furthest behind, if more is kept for all than is allowed, until a
    /// quarter is free, so that this is not done all the time.
    #[inline]
    pub(crate) fn evict_until_within_limit(&mut self) {
        if self.memory.backlog() > self.config.memory.max_total_backlog_bytes {
            self.close_furthest_behind();
        }
    }

    #[cold]
    fn close_furthest_behind(&mut self) {
        let max = self.config.memory.max_total_backlog_bytes;
        for id in self.furthest_behind() {
            if self.memory.backlog() <= max / 4 * 3 {
                return;
            }
            self.evict(id);
        }
    }

    /// Closes a member, and frees what is kept for it. A member in the middle of a long frame is
    /// dropped.
    fn evict(&mut self, id: ClientId) {
        if !self.is_open(id) || !self.may_copy_rest(id) {
            if let Some(client) = self.clients.get_mut(id) {
                client
                    .pending_departure
                    .get_or_insert_default()
                    .cause
                    .get_or_insert(Cause::Overload);
            }
            self.note_room(id);
            self.leave_room(id, Retain::Nothing);
            self.lose(id);
        } else {
            self.skip_unbegun(id);
            let reason = "too much backlog on the server";
            self.close_because(id, CloseCode::TRY_AGAIN_LATER, reason, Cause::Overload);
        }
    }

    fn furthest_behind(&self) -> Vec<ClientId> {
        let blocked = self.clients.iter().filter(|client| client.blocked.is_some());
        let mut behind: Vec<_> = blocked
            .map(|client| {
                let in_log = client.held_bytes(self.rooms.log_of(client.membership));
                (in_log + client.unsent.get() as u64, client.id)
            })
            .collect();
        behind.sort_unstable_by(|a, b| b.cmp(a));
        behind.into_iter().map(|(_, id)| id).collect()
    }
}
