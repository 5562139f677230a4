//! What the application can do: send messages, move clients between rooms, and close connections.

use crate::protocol::{CloseCode, Message, Refusal, Response, Start};
use crate::server::client::Retain;
use crate::server::client_id::ClientId;
use crate::server::departure::Cause;
use crate::server::event::Deferred;
use crate::server::hub::state::Hub;
use crate::server::hub::{backpressure, lifecycle, members, requests, sending, slow};
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

    /// Sends a message to every member of a room, in the same order for all. A room without members keeps
    /// it if there is history ([`Config::history`](crate::Config::history)). Otherwise, or if the limits do
    /// not allow another room, it is dropped. Right after this, [`position`](Self::position) returns the
    /// place of the message in the room's sequence. Clients that speak
    /// [`townhall.v1`](crate::protocol::SUBPROTOCOL) take a text that begins with U+0000 for a word of the
    /// server's own.
    pub fn broadcast<'m>(&mut self, room: &str, message: impl Into<Message<'m>>) {
        if let Ok(Some(room)) = self.room_for_publishing(room, None) {
            sending::broadcast(self, room, message.into());
        }
    }

    /// Sends a message to every member of a room for a client that need not be a member, such as one whose
    /// request publishes. With history, this may create a room, which then counts for the client's
    /// address. Otherwise, this is [`broadcast`](Self::broadcast).
    ///
    /// # Errors
    /// The limits ([`RoomLimits`](crate::RoomLimits)) do not allow another room.
    pub fn broadcast_for<'m>(
        &mut self,
        client: ClientId,
        room: &str,
        message: impl Into<Message<'m>>,
    ) -> Result<(), Refusal> {
        if let Some(room) = self.room_for_publishing(room, Some(client))? {
            sending::broadcast(self, room, message.into());
        }
        Ok(())
    }

    /// Sends a message to every member of a room except one client, which may be in any room.
    ///
    /// ```
    /// use townhall::{ClientId, Hub};
    ///
    /// /// Announces a new player to everyone else in the lobby.
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
        let Ok(Some(room)) = self.room_for_publishing(room, None) else { return };
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
    /// room. A client that speaks [`townhall.v1`](crate::protocol::SUBPROTOCOL) in a room with history is
    /// told the place of the message instead.
    pub fn publish_to_others<'m>(&mut self, client: ClientId, message: impl Into<Message<'m>>) {
        if let Some(membership) = self.membership_of(client) {
            sending::append_except(self, membership.room, client, message.into());
        }
    }

    /// Moves the client to a room, out of the one that it was in. It receives what is sent from now on.
    /// If the room does not exist and the limits do not allow another one
    /// ([`RoomLimits`](crate::RoomLimits)), the client is closed with 1013.
    ///
    /// Returns whether the client is now a member. It is not if it is not open. During
    /// [`Event::Upgrade`](crate::Event::Upgrade), use [`Upgrade::set_room`](crate::Upgrade::set_room)
    /// instead.
    pub fn join(&mut self, client: ClientId, room: &str) -> bool {
        self.join_from(client, room, Start::Now)
    }

    /// Moves the client to a room as [`join`](Self::join) does. If the room has history
    /// ([`Config::history`](crate::Config::history)), the client first receives the messages from `start`.
    /// A client that speaks [`townhall.v1`](crate::protocol::SUBPROTOCOL) is told before them where it
    /// begins, and whether it misses any.
    ///
    /// ```
    /// use townhall::{ClientId, Event, Hub};
    ///
    /// fn app(hub: &mut Hub, client: ClientId, event: Event<'_>) {
    ///     match event {
    ///         Event::Open { room, start, .. } => _ = hub.join_from(client, room, start),
    ///         Event::Message(message) => hub.publish(client, message),
    ///         _ => {}
    ///     }
    /// }
    /// # let _ = app;
    /// ```
    pub fn join_from(&mut self, client: ClientId, room: &str, start: Start) -> bool {
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
        members::enter(self, client, room, start);
        true
    }

    /// Takes the client out of its room. It still receives what was sent before, if the backlog limits
    /// allow a copy of that. Otherwise, [`Config::slow`](crate::Config::slow) applies as to a member
    /// that is too far behind, and the client may be closed.
    ///
    /// Returns whether the client was in a room and has left it. A client that is closing leaves its
    /// room without this call.
    pub fn leave(&mut self, client: ClientId) -> bool {
        let leaves = self.membership_of(client).is_some() && slow::may_leave_log(self, client);
        if leaves {
            members::leave(self, client, Retain::All);
            self.mark_dirty(client);
        }
        leaves
    }

    /// Makes the server read nothing more from WebSocket clients that are open, until
    /// [`resume_reading`](Self::resume_reading), for an application that cannot take more messages for now.
    /// TCP flow control stops the clients meanwhile. What has been read already still arrives as events: at
    /// most one read of each client. Requests, handshakes and the close handshakes of clients that the
    /// server closes go on.
    ///
    /// Clients that have sent something are not taken for silent. That a client has left is noticed
    /// afterwards. A shutdown does not end the pause: what clients have sent is lost unless reading is
    /// resumed before they are closed.
    ///
    /// ```
    /// use townhall::{ClientId, Event, Hub};
    ///
    /// /// The number of messages that may wait for another service.
    /// const MAX_WAITING: usize = 1_000;
    ///
    /// fn app(waiting: &mut Vec<String>, hub: &mut Hub, client: ClientId, event: Event<'_>) {
    ///     if let Event::Message(message) = event {
    ///         waiting.push(format!("{client}: {message:?}"));
    ///         if waiting.len() > MAX_WAITING {
    ///             hub.pause_reading();
    ///         }
    ///     }
    /// }
    ///
    /// /// Runs on the server's thread, with `Handle::run`.
    /// fn answered(waiting: &mut Vec<String>, hub: &mut Hub) {
    ///     waiting.clear();
    ///     hub.resume_reading();
    /// }
    /// # let _ = (app, answered);
    /// ```
    pub fn pause_reading(&mut self) {
        backpressure::pause_reading(self);
    }

    /// Makes the server read WebSocket clients again, after [`pause_reading`](Self::pause_reading).
    pub fn resume_reading(&mut self) {
        backpressure::resume_reading(self);
    }

    /// Answers a request that the application has [deferred](crate::Exchange::defer). The requests after
    /// it are read next. Returns whether the client still waited for the response; it may have left.
    pub fn answer(&mut self, deferred: Deferred, response: &Response) -> bool {
        let Deferred { client, is_persistent } = deferred;
        requests::give_deferred(self, client, response.clone(), is_persistent)
    }

    /// Closes the connection to a client (RFC 6455, section 7.1.2), if the client is open. Everything
    /// that was sent to it earlier is written first. [`Event::Close`](crate::Event::Close) follows when
    /// the peer has answered, or after [`Timeouts::close`](crate::Timeouts::close). A reason of more
    /// than 123 bytes is shortened.
    pub fn close(&mut self, client: ClientId, code: CloseCode, reason: &str) {
        lifecycle::close_because(self, client, code, reason, Cause::Application);
    }
}
