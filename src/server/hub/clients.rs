//! The clients of a server, by key and by id.

use std::ops::{Index, IndexMut};

use slab::Slab;

use crate::server::capacity::is_loose;
use crate::server::client::{Client, Presence};
use crate::server::client_id::ClientId;

/// The maximum number of clients for which space is reserved at the start. The system provides the
/// memory only when it is used, so the space costs nothing, and clients are not moved as their number
/// grows.
const MAX_RESERVED: usize = 100_000;

/// All clients. The key of a client that was removed is used again, but its id is not, because it
/// includes a generation.
#[derive(Debug)]
pub(crate) struct Clients {
    slab: Slab<Client>,
    /// The generation of the client that was inserted last.
    generation: u32,
    /// The number of clients for which there is space.
    reserved: usize,
    /// The maximum number of clients since [`trim`](Self::trim) last gave memory back.
    peak: usize,
    /// The number of connections that have opened and have not closed.
    open: usize,
    /// The number of reasons not to read clients: each client that is too far behind, and for which a room
    /// waits, and a pause of the application.
    pub(crate) waits: usize,
}

impl Clients {
    /// An empty collection for at most `max` clients.
    pub(crate) fn new(max: usize) -> Self {
        let reserved = max.min(MAX_RESERVED);
        let slab = Slab::with_capacity(reserved);
        Self { slab, generation: 0, reserved, peak: 0, open: 0, waits: 0 }
    }

    #[inline]
    pub(crate) fn get(&self, id: ClientId) -> Option<&Client> {
        self.slab.get(id.key()).filter(|client| client.id == id)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        self.slab.get_mut(id.key()).filter(|client| client.id == id)
    }

    /// The client, if it is open: messages can be sent to it.
    #[inline]
    pub(crate) fn get_open(&self, id: ClientId) -> Option<&Client> {
        self.get(id).filter(|client| client.connection.is_open())
    }

    /// The client, if it is open: messages can be sent to it.
    #[inline]
    pub(crate) fn get_open_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        self.get_mut(id).filter(|client| client.connection.is_open())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Client> {
        self.slab.iter().map(|(_, client)| client)
    }

    pub(crate) fn ids(&self) -> Vec<ClientId> {
        self.iter().map(|client| client.id).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    /// The id for the next client that is inserted.
    pub(crate) fn next_id(&mut self) -> ClientId {
        self.generation = self.generation.wrapping_add(1).max(1);
        ClientId::new(self.slab.vacant_key(), self.generation)
    }

    /// Inserts a client whose id is the last one that [`next_id`](Self::next_id) returned.
    pub(crate) fn insert(&mut self, client: Client) {
        let id = client.id;
        let key = self.slab.insert(client);
        debug_assert_eq!(key, id.key(), "the id is the next one");
        self.peak = self.peak.max(self.len());
    }

    pub(crate) fn remove(&mut self, id: ClientId) -> Option<Client> {
        self.get(id)?;
        let client = self.slab.remove(id.key());
        self.open -= usize::from(client.presence.counts_as_open());
        Some(client)
    }

    /// Counts a connection that has opened.
    pub(crate) fn note_open(&mut self, id: ClientId) {
        if let Some(client) = self.get_mut(id) {
            client.presence = Presence::Open;
            self.open += 1;
        }
    }

    /// Stops counting a connection whose close handshake is complete.
    pub(crate) fn note_clean_end(&mut self, id: ClientId) {
        if let Some(client) = self.get_mut(id).filter(|client| client.presence.counts_as_open()) {
            client.presence = Presence::Gone;
            self.open -= 1;
        }
    }

    /// The number of connections that have opened and have not closed.
    pub(crate) fn open_count(&self) -> usize {
        self.open
    }

    /// Whether there were many more clients than there are now.
    pub(crate) fn are_loose(&self) -> bool {
        is_loose(self.peak, self.len())
    }

    /// Gives back the memory after that of the last client. The space stays reserved, and the system
    /// provides the memory again when it is needed.
    pub(crate) fn trim(&mut self) {
        let count = self.len();
        self.slab.shrink_to_fit();
        self.slab.reserve_exact(self.reserved.saturating_sub(count));
        self.peak = count;
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.slab.capacity()
    }
}

/// Access by keys that are known to be in use, such as those of a room's members.
impl Index<usize> for Clients {
    type Output = Client;

    fn index(&self, key: usize) -> &Client {
        &self.slab[key]
    }
}

impl IndexMut<usize> for Clients {
    fn index_mut(&mut self, key: usize) -> &mut Client {
        &mut self.slab[key]
    }
}
