//! The clients of a server, by key and by id.

use std::ops::{Index, IndexMut};

use slab::Slab;

use crate::server::capacity::is_loose;
use crate::server::client::{Client, Presence};
use crate::server::client_id::ClientId;

/// The most clients for which there is space from the start. The system provides the memory only when
/// they come, so the space costs nothing, and nothing is moved when there are many.
const MAX_RESERVED: usize = 100_000;

/// All clients. The key of one that is removed is used again, but its id is not: it has a generation.
#[derive(Debug)]
pub(crate) struct Clients {
    slab: Slab<Client>,
    /// The generation of the client that was inserted last.
    generation: u32,
    /// How many clients there is space for, whether they are there or not.
    reserved: usize,
    /// The most clients that there were at once since [`trim`](Self::trim) last gave something back.
    peak: usize,
    /// How many connections have opened and have not closed.
    open: usize,
    /// How many clients are too far behind and are waited for.
    pub(crate) laggards: usize,
}

impl Clients {
    /// No clients yet, of which there will be `max` at most.
    pub(crate) fn new(max: usize) -> Self {
        let reserved = max.min(MAX_RESERVED);
        let slab = Slab::with_capacity(reserved);
        Self { slab, generation: 0, reserved, peak: 0, open: 0, laggards: 0 }
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

    /// The id of the client that is inserted next.
    pub(crate) fn next_id(&mut self) -> ClientId {
        self.generation = self.generation.wrapping_add(1).max(1);
        ClientId::new(self.slab.vacant_key(), self.generation)
    }

    /// Inserts a client that has the id which [`next_id`](Self::next_id) returned last.
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

    /// Stops counting a connection of which only the end of TCP is left.
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

    /// Gives back the memory of clients that are gone, as far as it lies after that of the last client.
    /// The space stays reserved: the system provides the memory again when it is needed.
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

/// By keys that are known to be taken, such as those of a room's members.
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
