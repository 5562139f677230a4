//! Stopping: every client is closed, but not all at once.

use std::time::{Duration, Instant};

use crate::server::client_id::ClientId;
use crate::server::departure::Cause;
use crate::server::hub::Hub;
use crate::server::hub::lifecycle;
use crate::server::time::timers::after;

/// How many clients are closed without a delay.
const AT_ONCE: usize = 100;

/// How long to wait before the next ones are closed.
const STEP: Duration = Duration::from_millis(50);

/// A shutdown in progress.
#[derive(Debug)]
pub(crate) struct Shutdown {
    begin: Instant,
    /// The time to end at, even if clients are still there.
    deadline: Instant,
    /// The clients to be closed, in order.
    clients: Vec<ClientId>,
    closed: usize,
}

impl Shutdown {
    /// Begins the shutdown. Requests are answered until it ends, but it does not wait for any.
    pub(crate) fn begin(hub: &mut Hub) -> Self {
        hub.stopping = true;
        let mut clients = hub.clients.ids();
        clients.retain(|&id| {
            hub.clients.get(id).is_some_and(|client| client.presence.counts_as_open())
        });
        let deadline = after(hub.time.now, hub.config.shutdown.timeout);
        Self { begin: hub.time.now, deadline, clients, closed: 0 }
    }

    /// Makes the shutdown end now.
    pub(crate) fn hurry(&mut self, hub: &Hub) {
        self.deadline = hub.time.now;
    }

    /// Closes the clients whose time has come.
    pub(crate) fn step(&mut self, hub: &mut Hub) {
        let spread = hub.config.shutdown.spread.min(hub.config.shutdown.timeout / 2);
        let due = self.due(hub.time.now, spread);
        for &id in &self.clients[self.closed.min(due)..due] {
            let code = hub.config.shutdown.code;
            lifecycle::close_because(hub, id, code, "server shutting down", Cause::Shutdown);
        }
        self.closed = self.closed.max(due);
    }

    /// How many clients should be closed by now.
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
        let rest = self.deadline.saturating_duration_since(now);
        if self.closed < self.clients.len() { rest.min(STEP) } else { rest }
    }

    /// Whether everybody has left, or the time is over.
    pub(crate) fn is_over(&self, hub: &Hub) -> bool {
        hub.client_count() == 0 || hub.time.now >= self.deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_closed_at_once_and_many_over_time() {
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
