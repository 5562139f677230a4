//! Rooms that continue where they have ended: in another process, or in a store of the application.

use std::fmt;
use std::time::Duration;

use crate::protocol::{Message, Position};
use crate::server::hub::state::Hub;

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
        if !self.keeps_history(room) {
            return Err(RestoreError::NoHistory);
        }
        if self.rooms.find(room).is_some() {
            return Err(RestoreError::RoomExists);
        }
        if !(messages.len() as u64..=MAX_SEQUENCE).contains(&position.sequence()) {
            return Err(RestoreError::WrongPosition);
        }
        let admitted = self.rooms.admit(room, None, &self.config);
        admitted.map_err(|_| RestoreError::TooManyRooms)?;
        let Self { rooms, memory, time, .. } = self;
        rooms.restore(room, position, messages, &mut memory.segments, time);
        Ok(())
    }
}

/// Why a room was not restored ([`Hub::restore`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RestoreError {
    /// Rooms of this name have no history ([`Config::history`](crate::Config::history)).
    NoHistory,
    /// There is already a room of this name.
    RoomExists,
    /// There are already [`RoomLimits::max`](crate::RoomLimits::max) rooms.
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
