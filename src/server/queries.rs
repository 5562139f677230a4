//! What the application can ask about clients and rooms, and keep for clients.

use std::any::Any;
use std::net::SocketAddr;

use super::hub::Hub;
use super::id::ClientId;

impl Hub {
    /// Whether messages can be sent to a client: it has opened, and neither side is closing it.
    pub fn is_open(&self, client: ClientId) -> bool {
        self.get(client).is_some_and(|client| client.connection.is_open())
    }

    /// The address of a client's TCP connection: the client's own, or that of the last proxy before the
    /// server. An IPv4 address is one even if it came through a socket for IPv6. The system is asked each
    /// time, and answers `None` once the peer has ended the connection: an address that is needed at
    /// [`Event::Close`](crate::Event::Close) can be kept with [`set_data`](Self::set_data).
    pub fn peer_address(&self, client: ClientId) -> Option<SocketAddr> {
        let address = self.get(client)?.transport.peer_address()?;
        Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    /// The room that the client is in, if messages can be sent to the client.
    pub fn room_of(&self, client: ClientId) -> Option<&str> {
        let seat = self.seat_of(client)?;
        self.rooms.get(seat.room).map(|room| &*room.name)
    }

    /// The names of all rooms, in no order, each with its number of members. A member that is closing
    /// counts until everything is written to it.
    ///
    /// ```
    /// use townhall::Hub;
    ///
    /// fn largest_room(hub: &Hub) -> Option<&str> {
    ///     hub.rooms().max_by_key(|(_, members)| *members).map(|(name, _)| name)
    /// }
    /// # let _ = largest_room;
    /// ```
    pub fn rooms(&self) -> impl Iterator<Item = (&str, usize)> {
        self.rooms.iter().map(|room| (&*room.name, room.members.len()))
    }

    /// The members of a room to which messages can be sent. The iterator borrows the hub: collect the
    /// ids before you do something with them that changes it.
    pub fn members(&self, room: &str) -> impl Iterator<Item = ClientId> {
        let room = self.rooms.find(room).and_then(|key| self.rooms.get(key));
        let members = room.into_iter().flat_map(|room| &room.members);
        let members = members.map(|&key| &self.clients[key]);
        members.filter(|client| client.connection.is_open()).map(|client| client.id)
    }

    /// The number of rooms that have members.
    pub fn room_count(&self) -> usize {
        self.rooms.len()
    }

    /// The number of WebSocket connections, including those that are closing.
    pub fn client_count(&self) -> usize {
        self.open
    }

    /// Keeps a value of the application's own for a client, in place of the one that was kept before.
    /// It is there from [`Event::Upgrade`](crate::Event::Upgrade) until
    /// [`Event::Close`](crate::Event::Close) has been handled, and is then dropped. Returns whether the
    /// client is there; if it is not, or has left, the value is dropped at once.
    ///
    /// ```
    /// use townhall::{Event, Hub};
    ///
    /// struct User {
    ///     name: String,
    ///     messages: u64,
    /// }
    ///
    /// fn app(hub: &mut Hub, client: townhall::ClientId, event: Event<'_>) {
    ///     match event {
    ///         Event::Open { request, .. } => {
    ///             let name = request.query().unwrap_or("somebody").to_owned();
    ///             hub.set_data(client, User { name, messages: 0 });
    ///         }
    ///         Event::Message(_) => {
    ///             if let Some(user) = hub.data_mut::<User>(client) {
    ///                 user.messages += 1;
    ///             }
    ///         }
    ///         Event::Close(_) => {
    ///             if let Some(User { name, messages }) = hub.take_data(client) {
    ///                 println!("{name} sent {messages} messages");
    ///             }
    ///         }
    ///         _ => {}
    ///     }
    /// }
    /// # let _ = app;
    /// ```
    pub fn set_data<T: Any + Send>(&mut self, client: ClientId, value: T) -> bool {
        let there = self.get(client).is_some_and(|client| !client.departed);
        if there {
            self.data.insert(client, value);
        }
        there
    }

    /// The value that is kept for a client; `None` if there is none, or it has another type.
    pub fn data<T: Any + Send>(&self, client: ClientId) -> Option<&T> {
        self.data.get(client)
    }

    /// The value that is kept for a client, to be changed; `None` if there is none, or it has another
    /// type.
    pub fn data_mut<T: Any + Send>(&mut self, client: ClientId) -> Option<&mut T> {
        self.data.get_mut(client)
    }

    /// Takes out the value that is kept for a client; `None` if there is none, or it has another type
    /// and stays.
    pub fn take_data<T: Any + Send>(&mut self, client: ClientId) -> Option<T> {
        self.data.take(client)
    }
}
