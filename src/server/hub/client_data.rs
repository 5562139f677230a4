//! The values that the application keeps for its clients.

use std::any::Any;
use std::collections::BTreeMap;

use crate::server::client_id::ClientId;

/// A value of any type for each client that has one. A client without one takes no memory.
#[derive(Debug, Default)]
pub(crate) struct ClientData(BTreeMap<ClientId, Box<dyn Any + Send>>);

impl ClientData {
    /// Keeps a value, and drops the previous one.
    pub(crate) fn insert<T: Any + Send>(&mut self, client: ClientId, value: T) {
        self.0.insert(client, Box::new(value));
    }

    /// The value, if it has this type.
    pub(crate) fn get<T: Any + Send>(&self, client: ClientId) -> Option<&T> {
        self.0.get(&client)?.downcast_ref()
    }

    /// The value, mutably, if it has this type.
    pub(crate) fn get_mut<T: Any + Send>(&mut self, client: ClientId) -> Option<&mut T> {
        self.0.get_mut(&client)?.downcast_mut()
    }

    /// Removes and returns the value, if it has this type.
    pub(crate) fn take<T: Any + Send>(&mut self, client: ClientId) -> Option<T> {
        self.get::<T>(client)?;
        let value = self.0.remove(&client)?.downcast().ok()?;
        Some(*value)
    }

    /// Drops the value, whatever its type.
    pub(crate) fn remove(&mut self, client: ClientId) {
        self.0.remove(&client);
    }
}
