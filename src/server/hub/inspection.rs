//! What operators want to know about rooms and clients.

use std::fmt;
use std::time::Duration;

use ipnet::IpNet;

use crate::protocol::{Message, Position, WORD_MARK};
use crate::server::client::Client;
use crate::server::client_id::ClientId;
use crate::server::hub::state::Hub;
use crate::server::room::Room;
use crate::server::room::compressor::Encoding;

impl Hub {
    /// All rooms, in no particular order.
    ///
    /// ```
    /// use townhall::Hub;
    ///
    /// fn largest_room(hub: &Hub) -> Option<&str> {
    ///     hub.rooms().max_by_key(|room| room.member_count()).map(|room| room.name())
    /// }
    /// # let _ = largest_room;
    /// ```
    pub fn rooms(&self) -> impl Iterator<Item = RoomInfo<'_>> {
        self.rooms.iter().map(|room| RoomInfo { hub: self, room })
    }

    /// The room of this name, if it has members or history, or was [restored](Self::restore) recently.
    pub fn room(&self, name: &str) -> Option<RoomInfo<'_>> {
        let room = self.rooms.get(self.rooms.find(name)?)?;
        Some(RoomInfo { hub: self, room })
    }

    /// The place after the last message of a room, if there is such a room, and it has history
    /// ([`Config::history`](crate::Config::history)). Right after a call that publishes a message, it is the
    /// place of that message.
    pub fn position(&self, room: &str) -> Option<Position> {
        let room = self.rooms.get(self.rooms.find(room)?)?;
        room.history.map(|history| history.position())
    }

    /// Whether clients could take a message of a member for the server's own: with history
    /// ([`Config::history`](crate::Config::history)), a text that begins with U+0000.
    pub fn is_reserved(&self, message: Message<'_>) -> bool {
        self.config.history.is_some()
            && matches!(message, Message::Text(text) if text.starts_with(WORD_MARK))
    }

    /// How long ago a client opened, in steps of a tenth of a second. `None` unless the client
    /// [is open](Self::is_open).
    pub fn open_for(&self, client: ClientId) -> Option<Duration> {
        let client = self.clients.get_open(client)?;
        Some(self.time.timestamp.duration_since(client.opened))
    }

    /// The number of bytes that were sent to a client and have not been written to its socket: those of
    /// its room, and those for it alone with their overhead in memory. What was sent to its room in this turn of the event loop does not
    /// count. `None` unless the client [is open](Self::is_open).
    pub fn backlog(&self, client: ClientId) -> Option<u64> {
        let client = self.clients.get_open(client)?;
        Some(client.backlog(self.rooms.log_of(client.membership)))
    }

    /// Whether permessage-deflate was negotiated with a client (RFC 7692). `None` unless the client
    /// [is open](Self::is_open).
    pub fn is_compressed(&self, client: ClientId) -> Option<bool> {
        Some(self.clients.get_open(client)?.encoding != Encoding::Plain)
    }

    /// The address to which the limits per address apply for a client: an IPv4 address, or the /64 network
    /// of an IPv6 address. Behind a trusted proxy, it is the one that the proxy forwards. `None` if they do
    /// not apply to the client.
    pub fn limited_network(&self, client: ClientId) -> Option<IpNet> {
        Some(self.clients.get(client)?.address_key?.network())
    }
}

/// A room that has members or history.
///
/// ```
/// use townhall::Hub;
///
/// /// Whether someone in a busy room does not keep up.
/// fn is_lagging(hub: &Hub, name: &str) -> bool {
///     hub.room(name)
///         .is_some_and(|room| room.messages_per_second() > 100.0 && room.backlog() > 1 << 20)
/// }
/// # let _ = is_lagging;
/// ```
#[derive(Clone, Copy)]
pub struct RoomInfo<'h> {
    hub: &'h Hub,
    room: &'h Room,
}

impl<'h> RoomInfo<'h> {
    /// The name.
    pub fn name(&self) -> &'h str {
        &self.room.name
    }

    /// The number of members. One that is closing counts until everything has been written to it.
    pub fn member_count(&self) -> usize {
        self.room.members.len()
    }

    /// How many messages were published in the room per second, on average over the last ten seconds.
    pub fn messages_per_second(&self) -> f64 {
        self.room.messages_per_second(self.hub.time.timestamp)
    }

    /// The place after the last message, if the room has history
    /// ([`Config::history`](crate::Config::history)).
    pub fn position(&self) -> Option<Position> {
        self.room.history.map(|history| history.position())
    }

    /// The messages that are kept ([`Config::history`](crate::Config::history)), in order, each with its
    /// age. [`position`](Self::position) is the place of the last one. Messages in one segment have the age
    /// of its newest one: a message may be older than its age says by up to an eighth of
    /// [`max_age`](crate::HistoryLimits::max_age).
    ///
    /// ```
    /// use std::time::Duration;
    /// use townhall::{Hub, Message};
    ///
    /// /// The texts of a room in the last minute.
    /// fn recent(hub: &Hub, room: &str) -> Vec<String> {
    ///     let history = hub.room(room).into_iter().flat_map(|room| room.history());
    ///     let recent = history.filter(|(_, age)| *age < Duration::from_secs(60));
    ///     recent
    ///         .filter_map(|(message, _)| match message {
    ///             Message::Text(text) => Some(text.to_owned()),
    ///             Message::Binary(_) => None,
    ///         })
    ///         .collect()
    /// }
    /// # let _ = recent;
    /// ```
    pub fn history(&self) -> impl Iterator<Item = (Message<'h>, Duration)> + use<'h> {
        self.hub.rooms.history(self.room, self.hub.time.timestamp)
    }

    /// The number of bytes of the room's messages that have not been written to its slowest member. What
    /// was published in this turn of the event loop does not count. This looks at every member, unless
    /// everything has been written to all of them.
    pub fn backlog(&self) -> u64 {
        if self.room.logs.are_read() {
            return 0;
        }
        let members = self.room.members.iter().map(|&key| &self.hub.clients[key]);
        let backlog = |client: &Client| {
            let log = self.room.logs.get(client.membership?.encoding)?;
            Some(client.log_backlog(log))
        };
        members.filter_map(backlog).max().unwrap_or_default()
    }
}

impl fmt::Debug for RoomInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomInfo")
            .field("name", &self.name())
            .field("member_count", &self.member_count())
            .finish_non_exhaustive()
    }
}
