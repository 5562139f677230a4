//! Sending messages: to one client, to a room, and to the others in a room.

use crate::protocol::Message;
use crate::server::client_id::ClientId;
use crate::server::hub::Hub;
use crate::server::room::compressor::Encoding;

/// The smallest size in bytes of a message to one client that is written from where it lies, if nothing
/// is queued before it: for smaller ones, a system call each costs more than a copy. In tests, messages
/// are shorter.
const LONG_BYTES: usize = if cfg!(any(test, fuzzing)) { 2_000 } else { 64 << 10 };

impl Hub {
    /// Sends a message to one client. It is dropped unless the client [is open](Self::is_open).
    pub fn send<'m>(&mut self, client: ClientId, message: impl Into<Message<'m>>) {
        let message = message.into();
        let Some(receiver) = self.clients.get_open(client) else { return };
        let encoding = receiver.private_encoding();
        if encoding == Encoding::Plain || !self.send_compressed(client, message, encoding) {
            self.send_plain(client, message);
        }
    }

    /// Queues a message for one client in a compressed frame that refers to nothing before it. Returns
    /// whether that is shorter; if it is not, nothing is queued.
    fn send_compressed(&mut self, id: ClientId, message: Message<'_>, encoding: Encoding) -> bool {
        let mut compressors = self.rooms.compressors.take();
        let frame =
            compressors.as_mut().and_then(|compressors| compressors.compress(message, encoding));
        let mut sent = None;
        if let Some(frame) = frame
            && let Some((client, at, memory)) = self.reach(id)
        {
            client.queue(at, memory, |out| out.extend_from_slice(frame));
            sent = Some((client.private_bytes(), frame.len()));
        }
        self.rooms.compressors = compressors;
        if let Some((unsent, size)) = sent {
            self.limit_sent(id, unsent, size);
        }
        sent.is_some()
    }

    fn send_plain(&mut self, id: ClientId, message: Message<'_>) {
        let (now, size) = (self.time.timestamp, message.frame_size());
        let long = size >= LONG_BYTES;
        let Some((client, at, memory)) = self.reach(id) else { return };
        if long && client.is_up_to_date(at) {
            client.send_at_once(message, at, memory, now);
        } else {
            client.queue(at, memory, |out| message.encode(out));
        }
        let unsent = client.private_bytes();
        self.limit_sent(id, unsent, size);
    }

    /// Counts a frame of `size` bytes that was sent to a client, for which `unsent` bytes are now
    /// queued, and acts if that is too much.
    #[inline]
    fn limit_sent(&mut self, id: ClientId, unsent: usize, size: usize) {
        self.pending.grown += if unsent > 0 { size } else { 0 };
        let max = self.config.memory.max_backlog_bytes;
        let max_all = self.config.memory.max_total_backlog_bytes;
        if unsent > max || self.memory.backlog() > max_all {
            self.limit_unsent(id);
        }
    }

    /// Sends a message to every member of a room, in the same order for all. It is dropped if the room
    /// has no members.
    pub fn broadcast<'m>(&mut self, room: &str, message: impl Into<Message<'m>>) {
        if let Some(room) = self.rooms.find(room) {
            self.prepare(room);
            self.append(room, message.into());
        }
    }

    /// Sends a message to every member of the client's room, including the client itself. It is dropped
    /// if the client is in no room.
    pub fn publish<'m>(&mut self, client: ClientId, message: impl Into<Message<'m>>) {
        if let Some(membership) = self.membership_of(client) {
            self.prepare(membership.room);
            self.append(membership.room, message.into());
        }
    }

    /// Sends a message to every other member of the client's room. It is dropped if the client is in no
    /// room.
    pub fn publish_to_others<'m>(&mut self, client: ClientId, message: impl Into<Message<'m>>) {
        if let Some(membership) = self.membership_of(client) {
            self.append_except(membership.room, client, message.into());
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
            self.append_except(room, client, message.into());
        } else {
            self.prepare(room);
            self.append(room, message.into());
        }
    }

    /// Sends a message to the members of a room except for an open one.
    fn append_except(&mut self, room: usize, member: ClientId, message: Message<'_>) {
        self.prepare(room);
        // A member that shares a context must see every frame of it.
        self.leave_shared_log(member);
        let from = self.log_of(member).end();
        self.append(room, message);
        if let Some((client, log, memory)) = self.with_log(member)
            && client.membership.is_some()
        {
            let to = log.end();
            client.skip(from, to, log, memory);
        }
    }

    /// Readies a room for a message.
    fn prepare(&mut self, key: usize) {
        if self.rooms.get(key).is_some_and(|room| !room.dirty) {
            self.begin_epoch(key);
        }
    }

    fn append(&mut self, key: usize, message: Message<'_>) {
        self.rooms.append(key, message, &mut self.memory.segments, self.time.now);
        self.pending.grown += message.frame_size();
    }
}
