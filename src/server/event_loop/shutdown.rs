//! Stopping: after a delay, every client is closed, but not all at once.

use std::time::{Duration, Instant};

use log::info;

use crate::server::client_id::ClientId;
use crate::server::hub::lifecycle;
use crate::server::hub::{Hub, Phase};
use crate::server::time::timers::after;

/// The number of clients that are closed without a delay.
const AT_ONCE: usize = 100;

/// The interval at which further clients are closed.
const STEP: Duration = Duration::from_millis(50);

/// How long the shutdown waits for the requests of connections that were accepted before it, if the next
/// process takes those that were not. Browsers open connections that they may never use.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

/// A shutdown in progress.
#[derive(Debug)]
pub(crate) struct Shutdown {
    /// When the delay is over.
    begin: Instant,
    /// The time at which the server ends, even if clients are still connected.
    deadline: Instant,
    /// The clients to be closed, in order, once the delay is over.
    clients: Vec<ClientId>,
    closed: usize,
}

impl Shutdown {
    /// Begins the delay before the shutdown.
    pub(crate) fn begin(hub: &mut Hub) -> Self {
        hub.phase = Phase::Delayed;
        let delay = hub.config.shutdown.delay;
        if !delay.is_zero() {
            info!("asked to stop, shutting down in {delay:?}");
        }
        let begin = after(hub.time.now, delay);
        let deadline = after(begin, hub.config.shutdown.timeout);
        Self { begin, deadline, clients: Vec::new(), closed: 0 }
    }

    /// Whether the server still serves everyone.
    pub(crate) fn is_delayed(&self, now: Instant) -> bool {
        now < self.begin
    }

    /// Begins to close clients. Requests on open connections are answered until the shutdown ends, but
    /// it waits only for those that the application has deferred.
    pub(crate) fn begin_closing(&mut self, hub: &mut Hub) {
        info!("shutting down, {} connections open; {}", hub.client_count(), hub.counts);
        hub.phase = Phase::Closing;
        hub.rooms.keep_all(hub.time.timestamp);
        self.clients = hub.clients.ids();
        self.clients.retain(|&id| {
            hub.clients.get(id).is_some_and(|client| client.presence.counts_as_open())
        });
    }

    /// Makes the shutdown end now.
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.begin = self.begin.min(now);
        self.deadline = now;
    }

    /// Closes the clients that are due.
    pub(crate) fn step(&mut self, hub: &mut Hub) {
        let spread = hub.config.shutdown.spread.min(hub.config.shutdown.timeout / 2);
        let due = self.due(hub.time.now, spread);
        for &id in &self.clients[self.closed.min(due)..due] {
            lifecycle::close_for_shutdown(hub, id);
        }
        self.closed = self.closed.max(due);
    }

    /// The number of clients that should be closed by now.
    fn due(&self, now: Instant, spread: Duration) -> usize {
        let elapsed = now.saturating_duration_since(self.begin);
        let all = self.clients.len();
        if elapsed >= spread {
            return all;
        }
        let part = elapsed.as_secs_f64() / spread.as_secs_f64();
        all.min(AT_ONCE.max((all as f64 * part) as usize))
    }

    /// How long the event loop may sleep.
    pub(crate) fn timeout(&self, now: Instant) -> Duration {
        if self.is_delayed(now) {
            return self.begin.saturating_duration_since(now);
        }
        let rest = self.deadline.saturating_duration_since(now);
        if self.closed < self.clients.len() { rest.min(STEP) } else { rest }
    }

    /// Whether all clients have left, or the time is over.
    pub(crate) fn is_over(&self, hub: &Hub) -> bool {
        let now = hub.time.now;
        let is_done =
            || hub.client_count() == 0 && !self.awaits_requests(hub) && !awaits_answers(hub);
        !self.is_delayed(now) && (now >= self.deadline || is_done())
    }

    /// Whether a connection that was accepted may still become a client.
    fn awaits_requests(&self, hub: &Hub) -> bool {
        let is_time = || hub.time.now < after(self.begin, REQUEST_TIMEOUT);
        hub.hands_over
            && is_time()
            && hub.clients.iter().any(|client| client.connection.is_handshaking())
    }
}

/// Whether the application has yet to answer a request, which may have had an effect already.
fn awaits_answers(hub: &Hub) -> bool {
    hub.clients.iter().any(|client| client.connection.is_answering())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_clients_are_closed_at_once_and_many_over_time() {
        let begin = Instant::now();
        let due = |count: usize, milliseconds| {
            let clients = (0..count).map(|key| ClientId::new(key, 1)).collect();
            let shutdown = Shutdown { begin, deadline: begin, clients, closed: 0 };
            shutdown.due(begin + Duration::from_millis(milliseconds), Duration::from_secs(2))
        };
        assert_eq!([due(100, 0), due(0, 0)], [100, 0]);
        assert_eq!([due(1_000, 0), due(1_000, 1_000), due(1_000, 2_000)], [100, 500, 1_000]);
    }
}
