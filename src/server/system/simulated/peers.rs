//! What the peers of simulated connections do.

use std::io::ErrorKind;
use std::net::SocketAddr;

use super::connection::{Connection, Received};
use super::state::{Kernel, Source};

impl Kernel {
    /// Connects to a listener, with these capacities for unread input and output. Returns the number of the
    /// connection, or nothing if it is refused.
    pub(crate) fn connect(
        &mut self,
        listener: usize,
        peer: SocketAddr,
        capacities: (usize, usize),
    ) -> Option<usize> {
        let id = self.connections.len();
        let listening = self.listeners.get_mut(listener).filter(|listening| listening.is_open)?;
        listening.backlog.push_back(id);
        let connection = Connection::new(peer, listening.address, capacities);
        self.connections.push(connection);
        self.list(Source::Listener(listener));
        Some(id)
    }

    /// Sends as much as the systems take; nothing if the connection has ended.
    pub(crate) fn send(&mut self, id: usize, bytes: &[u8]) -> Option<usize> {
        let sent = self.connections[id].send(bytes, &mut self.random);
        if sent.is_some_and(|size| size > 0) {
            self.list_connection(id);
        }
        sent
    }

    pub(crate) fn send_urgent(&mut self, id: usize, byte: u8) {
        self.connections[id].send_urgent(byte);
        self.list_connection(id);
    }

    pub(crate) fn receive(&mut self, id: usize, max: usize) -> Received {
        let received = self.connections[id].receive(max);
        self.note_space(id);
        received
    }

    /// Ends the peer's side.
    pub(crate) fn end_sending(&mut self, id: usize) {
        self.connections[id].end_sending();
        self.list_connection(id);
    }

    /// Closes the peer's socket.
    pub(crate) fn close_peer(&mut self, id: usize) {
        self.connections[id].close_peer();
        self.list_connection(id);
    }

    /// Resets the connection.
    pub(crate) fn reset(&mut self, id: usize, error: ErrorKind) {
        self.connections[id].reset(error);
        self.list_connection(id);
    }
}
