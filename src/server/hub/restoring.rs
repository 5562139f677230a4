//! Rooms that continue where they have ended: in another process, or in a store of the application.

use std::fmt;
use std::time::Duration;

use crate::protocol::{Message, Position};
use crate::server::client::{Client, Retain};
use crate::server::client_id::ClientId;
use crate::server::hub::state::Hub;
use crate::server::hub::{backlog, lifecycle, members};

/// The last number of a message: pages count in floating-point numbers.
const MAX_SEQUENCE: u64 = (1 << 53) - 1;

impl Hub {
    /// Creates a room with the history that it had earlier ([`Config::history`](crate::Config::history)):
    /// the messages, each with its age, of which the last one has this `position`, as
    /// [`RoomInfo::position`](crate::RoomInfo::position) and [`RoomInfo::history`](crate::RoomInfo::history)
    /// have returned them. The room's next message follows that position, so a client that has received
    /// the last of these messages has missed nothing.
    ///
    /// Messages beyond the limits ([`HistoryLimits`](crate::HistoryLimits)) are dropped, the oldest first.
    /// Even if none is left, the room is kept for [`max_age`](crate::HistoryLimits::max_age), so that its
    /// members can come back. It does not count for any address
    /// ([`RoomLimits::max_per_address`](crate::RoomLimits::max_per_address)).
    ///
    /// An application restores the rooms that it has stored at [`Event::Begin`](crate::Event::Begin), or each
    /// before it lets the first client [join](Self::join_from). The messages must be complete up to the
    /// position, because clients rely on it.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use std::time::Duration;
    /// use townhall::{ClientId, Event, Hub, Message, Position};
    ///
    /// /// The application's own store.
    /// type Store = HashMap<String, (Position, Vec<String>)>;
    ///
    /// fn app(store: &mut Store, hub: &mut Hub, client: ClientId, event: Event<'_>) {
    ///     match event {
    ///         Event::Open { room, start, .. } => {
    ///             if hub.room(room).is_none()
    ///                 && let Some((position, texts)) = store.get(room)
    ///             {
    ///                 let new = |text| (Message::Text(text), Duration::ZERO);
    ///                 let messages: Vec<_> = texts.iter().map(|text| new(text)).collect();
    ///                 if let Err(error) = hub.restore(room, *position, &messages) {
    ///                     println!("{room} begins anew: {error}");
    ///                 }
    ///             }
    ///             hub.join_from(client, room, start);
    ///         }
    ///         Event::Message(message) => hub.publish(client, message),
    ///         Event::End => {
    ///             for room in hub.rooms() {
    ///                 let Some(position) = room.position() else { continue };
    ///                 let texts = room.history().filter_map(|(message, _)| match message {
    ///                     Message::Text(text) => Some(text.to_owned()),
    ///                     Message::Binary(_) => None,
    ///                 });
    ///                 store.insert(room.name().to_owned(), (position, texts.collect()));
    ///             }
    ///         }
    ///         _ => {}
    ///     }
    /// }
    /// # let _ = app;
    /// ```
    ///
    /// # Errors
    /// [`RestoreError`] says why the room was not restored. Nothing has changed then.
    pub fn restore(
        &mut self,
        room: &str,
        position: Position,
        messages: &[(Message<'_>, Duration)],
    ) -> Result<(), RestoreError> {
        self.restore_for(ClientId::SERVER, room, position, messages)
    }

    /// Creates a room as [`restore`](Self::restore) does, for a client that is about to join it. The room
    /// counts for the client's address.
    ///
    /// ```
    /// use std::time::Duration;
    /// use townhall::{ClientId, Hub, Message, Position, Start};
    ///
    /// /// Lets a client that has missed messages join a room of the store, with the newest messages.
    /// fn enter(
    ///     hub: &mut Hub,
    ///     client: ClientId,
    ///     room: &str,
    ///     position: Position,
    ///     newest: &[(Message<'_>, Duration)],
    /// ) -> bool {
    ///     let exists = hub.room(room).is_some();
    ///     (exists || hub.restore_for(client, room, position, newest).is_ok())
    ///         && hub.join_from(client, room, Start::Rest(newest.len() as u64))
    /// }
    /// # let _ = enter;
    /// ```
    ///
    /// # Errors
    /// [`RestoreError`] says why the room was not restored. Nothing has changed then.
    pub fn restore_for(
        &mut self,
        client: ClientId,
        room: &str,
        position: Position,
        messages: &[(Message<'_>, Duration)],
    ) -> Result<(), RestoreError> {
        if !self.keeps_history(room) {
            return Err(RestoreError::NoHistory);
        }
        if self.rooms.find(room).is_some() {
            return Err(RestoreError::RoomExists);
        }
        if !(messages.len() as u64..=MAX_SEQUENCE).contains(&position.sequence()) {
            return Err(RestoreError::WrongPosition);
        }
        let maker = self.clients.get(client).and_then(|client| client.address_key);
        let admitted = self.rooms.admit(room, maker, &self.config);
        admitted.map_err(|_| RestoreError::TooManyRooms)?;
        let Self { rooms, memory, time, .. } = self;
        rooms.restore((room, maker), position, messages, &mut memory.segments, time);
        Ok(())
    }

    /// Removes a room that has no members, with its history ([`Config::history`](crate::Config::history)),
    /// so that [`restore`](Self::restore) can create it anew. Returns whether there is no such room any
    /// more. If a member [is open](Self::is_open), nothing changes.
    ///
    /// Members that are closing do not hold up the room. They still receive what was sent before, as those
    /// that [leave](Self::leave), and are dropped if the backlog limits do not allow a copy of that.
    ///
    /// With this, an application replaces a sequence that it has lost, without closing the members that
    /// speak [`townhall.v1`](crate::protocol::SUBPROTOCOL): they are greeted again, and learn that they have
    /// missed messages.
    ///
    /// ```
    /// use std::time::Duration;
    /// use townhall::{ClientId, Hub, Message, Position, RestoreError, Start};
    ///
    /// /// Makes a room continue with the store's sequence.
    /// fn replace(
    ///     hub: &mut Hub,
    ///     room: &str,
    ///     position: Position,
    ///     messages: &[(Message<'_>, Duration)],
    /// ) -> Result<(), RestoreError> {
    ///     let old = hub.position(room);
    ///     let members: Vec<ClientId> = hub.members(room).collect();
    ///     for &member in &members {
    ///         hub.leave(member);
    ///     }
    ///     hub.forget(room);
    ///     hub.restore(room, position, messages)?;
    ///     for member in members {
    ///         hub.join_from(member, room, old.map_or(Start::Now, Start::After));
    ///     }
    ///     Ok(())
    /// }
    /// # let _ = replace;
    /// ```
    pub fn forget(&mut self, room: &str) -> bool {
        let Some(key) = self.rooms.find(room) else { return true };
        let members = self.rooms.get(key).map_or(&[][..], |room| &room.members);
        if members.iter().any(|&member| self.clients[member].connection.is_open()) {
            return false;
        }
        let closing: Vec<_> = members.iter().map(|&member| self.clients[member].id).collect();
        closing.into_iter().for_each(|id| take_out(self, id));
        self.rooms.forget(key, &mut self.memory.segments);
        true
    }
}

/// Takes a member that is closing out of its room, with what it has not received.
fn take_out(hub: &mut Hub, id: ClientId) {
    let is_covered = backlog::covers_backlog(hub, id);
    let is_drained = hub.clients.get(id).is_some_and(Client::is_drained);
    if !(is_covered || is_drained) {
        lifecycle::lose(hub, id);
    }
    let keeps = is_covered && !is_drained;
    members::leave(hub, id, if keeps { Retain::All } else { Retain::Nothing });
    hub.mark_dirty(id);
}

/// Why a room was not restored ([`Hub::restore`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RestoreError {
    /// Rooms of this name have no history ([`Config::history`](crate::Config::history)).
    NoHistory,
    /// There is already a room of this name.
    RoomExists,
    /// There are already [`RoomLimits::max`](crate::RoomLimits::max) rooms, or as many of the client's
    /// address as it may have ([`RoomLimits::max_per_address`](crate::RoomLimits::max_per_address)).
    TooManyRooms,
    /// The position has a lower number than there are messages, or one of 2^53 or more.
    WrongPosition,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHistory => "the room has no history",
            Self::RoomExists => "the room exists",
            Self::TooManyRooms => "there are too many rooms",
            Self::WrongPosition => "the position does not fit the messages",
        })
    }
}

impl std::error::Error for RestoreError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, HistoryLimits};
    use crate::protocol::{CloseCode, noise};
    use crate::server::event_loop::flushing;
    use crate::server::hub::closing::answer_close;
    use crate::server::limits::address::AddressKey;
    use crate::server::room::TurnEnd;
    use crate::server::simulation::{Pipe, connect, flush};

    /// A hub with history, and members of a room that share a context and have received a message.
    fn room(config: Config, members: usize) -> (Hub, Vec<(ClientId, Pipe)>) {
        let mut hub = Hub::new(Config { history: Some(HistoryLimits::default()), ..config });
        let mut connect = |_| {
            let (id, pipe, _) = connect(&mut hub, "permessage-deflate");
            let address = AddressKey::of([192, 0, 2, 1].into());
            hub.clients.get_mut(id).unwrap().address_key = Some(address);
            hub.join(id, "/room");
            pipe.allow(1_000_000);
            (id, pipe)
        };
        let members = (0..members).map(&mut connect).collect();
        hub.broadcast("/room", "hello");
        flush(&mut hub);
        assert_eq!(hub.rooms.contexts.len(), 1);
        (hub, members)
    }

    fn is_empty(hub: &Hub) -> bool {
        let segments = &hub.memory.segments;
        let counts = (hub.rooms.len(), hub.rooms.contexts.len(), segments.past(), segments.held());
        counts == (0, 0, 0, 0)
    }

    #[test]
    fn nothing_is_left_of_a_room_that_is_forgotten_in_the_middle_of_its_flush() {
        let mut config = Config::default();
        config.rooms.max_per_address = 1;
        let (mut hub, members) = room(config, 10);
        hub.broadcast("/room", &noise(10_000)[..]);
        flushing::flush(&mut hub, TurnEnd::Now);
        assert!(hub.rooms.overdue);
        let (first, _) = members[0];
        members.iter().for_each(|(id, _)| assert!(hub.leave(*id)));
        assert!(hub.memory.segments.past() > 0 && hub.admit_to("/other", first).is_err());
        assert!(hub.forget("/room") && is_empty(&hub));
        assert_eq!(hub.admit_to("/other", first), Ok(()));
        flush(&mut hub);
        assert!(!hub.rooms.overdue && hub.memory.backlog() == 0);
    }

    #[test]
    fn a_room_with_members_is_not_forgotten() {
        let (mut hub, members) = room(Config::default(), 2);
        hub.leave(members[0].0);
        let before = (hub.position("/room"), hub.memory.segments.past());
        assert!(!hub.forget("/room") && hub.forget("/other"));
        assert_eq!((hub.position("/room"), hub.memory.segments.past()), before);
        assert_eq!(hub.room_of(members[1].0), Some("/room"));
    }

    #[test]
    fn members_that_are_closing_take_along_what_they_have_not_received() {
        let (mut hub, members) = room(Config::default(), 3);
        let long = noise(2_000_000);
        hub.broadcast("/room", &long[..]);
        flush(&mut hub);
        for (id, _) in &members {
            hub.close(*id, CloseCode::NORMAL, "enough");
        }
        let [(all, _), (rest, _), (done, reads)] = &members[..] else { panic!() };
        reads.allow(2_000_000);
        lifecycle::unblock(&mut hub, *done);
        backlog::write_now(&mut hub, *done);
        assert!(hub.forget("/room") && is_empty(&hub));
        // The peer's close frame crosses ours.
        answer_close(&mut hub, *rest, None);
        for (id, pipe) in &members {
            pipe.allow(2_000_000);
            lifecycle::unblock(&mut hub, *id);
        }
        flush(&mut hub);
        for (id, pipe) in &members {
            let bytes = pipe.take();
            assert!(bytes.len() > long.len() && bytes.ends_with(b"enough"), "{id}");
        }
        assert_eq!((hub.memory.backlog(), hub.is_open(*all)), (0, false));
    }

    #[test]
    fn members_that_are_closing_are_dropped_if_there_is_no_memory_for_what_they_have_not_received()
    {
        let mut config = Config::default();
        config.memory.max_backlog_bytes = 3_000_000;
        let (mut hub, members) = room(config, 1);
        hub.broadcast("/room", &noise(2_900_000)[..]);
        hub.broadcast("/room", &noise(2_900_000)[..]);
        hub.close(members[0].0, CloseCode::NORMAL, "enough");
        assert!(hub.forget("/room") && is_empty(&hub));
        assert_eq!((hub.memory.backlog(), &hub.pending.gone[..]), (0, &[members[0].0][..]));
    }
}
