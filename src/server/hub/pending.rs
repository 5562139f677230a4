//! What is left to do in this turn or in a later one.

use std::mem;
use std::time::Duration;

use crate::server::capacity::trim_queue;
use crate::server::client::Client;
use crate::server::client_id::ClientId;
use crate::server::departure::Departure;
use crate::server::time::moment::Moment;

/// What happened to clients and has not been handled yet.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// Clients with private bytes to be written.
    pub(crate) dirty_clients: Vec<ClientId>,
    /// The number of bytes that were queued since the last flush.
    pub(crate) grown: usize,
    /// Clients that may be read again.
    pub(crate) resumed: Vec<ClientId>,
    /// Clients that have sent something that is not read until the application resumes reading, among them
    /// some that have gone.
    pub(crate) suspended: Vec<ClientId>,
    /// Clients whose deferred request has been answered, and the bytes that had been read after it.
    pub(crate) answered: Vec<(ClientId, Vec<u8>)>,
    /// Departures that have not been announced to the application.
    pub(crate) departures: Vec<(ClientId, Departure)>,
    /// Clients whose connection is over, to be removed at the end of the turn.
    pub(crate) gone: Vec<ClientId>,
    /// Rooms whose flush was completed, to be counted at the end of the turn.
    pub(crate) flushed: FlushedRooms,
}

/// Rooms whose flush was completed in this turn.
#[derive(Debug, Default)]
pub(crate) struct FlushedRooms {
    /// The number of rooms that had grown in the same turn.
    pub(crate) prompt: u32,
    /// How long before this turn the other rooms had grown.
    pub(crate) late: Vec<Duration>,
}

impl FlushedRooms {
    /// Notes a room that had grown in the turn that began at `grown`.
    pub(crate) fn add(&mut self, grown: Moment, now: Moment) {
        if grown == now {
            self.prompt += 1;
        } else {
            self.late.push(now.duration_since(grown));
        }
    }
}

impl Pending {
    /// Notes that a client has private bytes to be written.
    #[inline]
    pub(crate) fn mark_dirty(&mut self, client: &mut Client) {
        if !mem::replace(&mut client.flush_queued, true) {
            self.dirty_clients.push(client.id);
        }
    }

    /// Whether the event loop has work that no event announces.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.has_resumed() || self.has_departures()
    }

    /// Whether clients may be read again.
    #[inline]
    pub(crate) fn has_resumed(&self) -> bool {
        !self.resumed.is_empty() || !self.answered.is_empty()
    }

    /// Whether departures are to be announced, or clients removed.
    pub(crate) fn has_departures(&self) -> bool {
        !(self.departures.is_empty() && self.gone.is_empty())
    }

    /// Gives back the memory of long queues.
    pub(crate) fn trim(&mut self) {
        for queue in [&mut self.dirty_clients, &mut self.resumed] {
            trim_queue(queue);
        }
        trim_queue(&mut self.flushed.late);
    }
}
