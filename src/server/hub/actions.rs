//! What the application can do: send messages, move clients between rooms, and close connections.

use crate::protocol::{CloseCode, Message, Refusal};
use crate::server::client::Retain;
use crate::server::client_id::ClientId;
use crate::server::departure::Cause;
use crate::server::hub::state::Hub;
use crate::server::hub::{backpressure, lifecycle, members, sending, slow};
use crate::server::room::compressor::Encoding;

impl Hub {
    /// Sends a message to one client. It is dropped unless the client [is open](Self::is_open).
    pub fn send<'m>(&mut self, client: ClientId, message: impl Into<Message<'m>>) {
        let message = message.into();
        let Some(receiver) = self.clients.get_open(client) else { return };
        let encoding = receiver.private_encoding();
        if encoding == Encoding::Plain || !sending::send_compressed(self, client, message, encoding)
        {
            sending::send_plain(self, client, message);
        }
    }

    /// Sends a message to every member of a room, in the same order for all. It is dropped if the room
    /// has no members.
    pub fn broadcast<'m>(&mut self, room: &str, message: impl Into<Message<'m>>) {
        if let Some(room) = self.rooms.find(room) {
            sending::broadcast(self, room, message.into());
        }
    }

    /// Sends a message to every member of a room except one client, wherever that is.
    ///
    /// ```
    /// use townhall::{ClientId, Hub};
    ///
    /// /// Makes everybody else in the lobby know that a player has come.
    /// fn announce(hub: &mut Hub, player: ClientId, name: &str) {
    ///     hub.broadcast_except("/lobby", player, name);
    /// }
    /// # let _ = announce;
    /// ```
    pub fn broadcast_except<'m>(
        &mut self,
        room: &str,
        client: ClientId,
        message: impl Into<Message<'m>>,
    ) {
        let Some(room) = self.rooms.find(room) else { return };
        if self.membership_of(client).is_some_and(|membership| membership.room == room) {
            sending::append_except(self, room, client, message.into());
        } else {
            sending::broadcast(self, room, message.into());
        }
    }

    /// Sends a message to every member of the client's room, including the client itself. It is dropped
    /// if the client is in no room.
    pub fn publish<'m>(&mut self, client: ClientId, message: impl Into<Message<'m>>) {
        if let Some(membership) = self.membership_of(client) {
            sending::broadcast(self, membership.room, message.into());
        }
    }

    /// Sends a message to every other member of the client's room. It is dropped if the client is in no
    /// room.
    pub fn publish_to_others<'m>(&mut self, client: ClientId, message: impl Into<Message<'m>>) {
        if let Some(membership) = self.membership_of(client) {
            sending::append_except(self, membership.room, client, message.into());
        }
    }

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
            lifecycle::close_because(
                self,
                client,
                CloseCode::TRY_AGAIN_LATER,
                reason,
                Cause::Overload,
            );
            return false;
        }
        // Its unwritten private bytes do not hold up a room.
        backpressure::resume_room(self, client);
        members::enter(self, client, room);
        true
    }

    /// Makes the client a member of no room. What was sent before still reaches it, if the backlog
    /// limits cover a copy of that; otherwise the client is treated as one that is too far behind
    /// ([`Config::slow`](crate::Config::slow)), and closed if such a client would be.
    ///
    /// Returns whether the client was in a room and has left it. A client that is closing leaves its
    /// room by itself.
    pub fn leave(&mut self, client: ClientId) -> bool {
        let leaves = self.membership_of(client).is_some() && slow::may_leave_log(self, client);
        if leaves {
            members::leave(self, client, Retain::All);
            self.mark_dirty(client);
        }
        leaves
    }

    /// Closes the connection to a client (RFC 6455, section 7.1.2), if it is open. Everything that was
    /// sent to it earlier is written first; [`Event::Close`](crate::Event::Close) follows when the peer
    /// has answered or its time is over. A reason of more than 123 bytes is shortened.
    pub fn close(&mut self, client: ClientId, code: CloseCode, reason: &str) {
        lifecycle::close_because(self, client, code, reason, Cause::Application);
    }
}
