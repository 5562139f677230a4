//! Joining and leaving rooms.

use crate::protocol::{CloseCode, Refusal};
use crate::server::capacity::{capacity_to_keep, is_loose};
use crate::server::client::{Reading, Retain};
use crate::server::client_id::ClientId;
use crate::server::departure::Cause;
use crate::server::hub::Hub;
use crate::server::room::Membership;
use crate::server::room::compressor::Encoding;

impl Hub {
    /// Makes the client a member of a room, and of no other. It receives what is sent from now on. If
    /// the room does not exist, and there are [`RoomLimits::max`](crate::RoomLimits::max) already,
    /// or the client's address has made its share of them, the client is closed with 1013.
    ///
    /// Returns whether the client is a member now. A client that is not open is not: in
    /// [`Event::Upgrade`](crate::Event::Upgrade) it is too early, and
    /// [`Upgrade::set_room`](crate::Upgrade::set_room) chooses the room.
    pub fn join(&mut self, client: ClientId, room: &str) -> bool {
        if !self.is_open(client) {
            return false;
        }
        self.leave(client);
        if !self.is_open(client) {
            return false;
        }
        if let Err(refusal) = self.admit_to(room, client) {
            let reason = match refusal {
                Refusal::TooManyRoomsFromAddress => "too many rooms from your address",
                _ => "too many rooms",
            };
            self.close_because(client, CloseCode::TRY_AGAIN_LATER, reason, Cause::Overload);
            return false;
        }
        // Its unwritten private bytes do not hold up a room.
        self.resume_room(client);
        self.enter(client, room);
        true
    }

    /// Makes an open client that is in no room a member of one.
    fn enter(&mut self, id: ClientId, room: &str) {
        let Some(member) = self.clients.get_mut(id) else { return };
        let key = self.rooms.find_or_make(room, member.address_key);
        let Some(room) = self.rooms.get_mut(key) else { return };
        let encoding = match member.encoding {
            Encoding::Shared => Encoding::Plain,
            encoding => encoding,
        };
        let membership = Membership { room: key, index: room.members.len(), encoding };
        room.members.push(id.key());
        member.enter(membership, room.logs.get_mut(encoding));
        room.waiting += usize::from(member.waits());
    }

    /// Makes the client a member of no room. What was sent before still reaches it, if the backlog
    /// limits cover a copy of that; otherwise the client is treated as one that is too far behind
    /// ([`Config::slow`](crate::Config::slow)), and closed if such a client would be.
    ///
    /// Returns whether the client was in a room and has left it. A client that is closing leaves its
    /// room by itself.
    pub fn leave(&mut self, client: ClientId) -> bool {
        let leaves = self.membership_of(client).is_some() && self.may_leave_log(client);
        if leaves {
            self.leave_room(client, Retain::All);
            self.mark_dirty(client);
        }
        leaves
    }

    /// Checks that the room exists, or that the client may make it.
    pub(crate) fn admit_to(&self, room: &str, client: ClientId) -> Result<(), Refusal> {
        let maker = self.clients.get(client).and_then(|client| client.address_key);
        self.rooms.admit(room, maker, &self.config)
    }

    /// The name of the room that the client sits in, open or not.
    pub(crate) fn room_name(&self, client: ClientId) -> Option<Box<str>> {
        let membership = self.clients.get(client)?.membership?;
        self.rooms.get(membership.room).map(|room| room.name.clone())
    }

    /// Takes the client out of its room, if it is in one.
    pub(crate) fn leave_room(&mut self, id: ClientId, keep: Retain) {
        self.resume_room(id);
        let Some((client, log, memory)) = self.with_log(id) else { return };
        let Some(membership) = client.membership else {
            client.cut_private(log, memory, keep);
            return;
        };
        let waited = client.waits();
        client.leave(log, memory, keep);
        if client.reading == Reading::Paused {
            // The client may be waiting for the room that it leaves.
            self.pending.resumed.push(id);
        }
        if let Some(room) = self.rooms.get_mut(membership.room) {
            room.waiting -= usize::from(waited);
            room.logs.forget_unread(&mut self.memory.segments);
        }
        self.take_off_list(membership);
        self.rooms.remove_if_empty(membership.room);
    }

    /// Takes a member off the list of its room, the last member of which takes its place.
    fn take_off_list(&mut self, membership: Membership) {
        let Some(room) = self.rooms.get_mut(membership.room) else { return };
        room.members.swap_remove(membership.index);
        let moved = room.members.get(membership.index).map(|&key| &mut self.clients[key]);
        if let Some(moved) = moved
            && let Some(moved_membership) = &mut moved.membership
        {
            moved_membership.index = membership.index;
            if membership.index < room.flushed {
                // The flush that is under way will not reach it.
                self.pending.mark_dirty(moved);
            }
        }
        if is_loose(room.members.capacity(), room.members.len()) {
            room.members.shrink_to(capacity_to_keep(room.members.len()));
        }
    }
}
