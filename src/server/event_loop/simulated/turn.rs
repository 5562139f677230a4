//! What the server does in one turn.

use std::io;
use std::time::Duration;

use super::super::listeners::PAUSE;
use crate::server::hub::Hub;
use crate::server::system;

/// The most bytes that may be read in a turn: its budget, and what one client has for it in excess.
const MAX_READ: usize = 2 * (1 << 20) / 64 + (256 << 10) / 64;
/// The most bytes that may be written in a turn.
const MAX_WRITTEN: usize = 1 << 20;

/// What a read may take in addition to the limit on memory for input.
const SLACK: usize = (256 << 10) / 64;

/// The number of turns without a call or a closure, at the same time, that show that the loop spins.
const MAX_IDLE: usize = 100;

#[derive(Debug, Default)]
pub(super) struct Turn {
    /// When the last wait was over.
    pub(super) begun: Duration,
    /// When the last wait began.
    pub(super) began_waiting: Duration,
    pub(super) read: usize,
    pub(super) written: usize,
    pub(super) writes: usize,
    calls: u64,
    /// The number of closures that had run before.
    run: usize,
    idle: usize,
    /// The turn in which there was no file descriptor for the last connection.
    failed: Option<Duration>,
}

impl Turn {
    pub(super) fn begin(&mut self, now: Duration) {
        self.begun = now;
    }

    /// Checks what was done since the last turn.
    pub(super) fn end(&mut self, now: Duration, timeout: Option<Duration>, run: usize) {
        assert!(self.read <= MAX_READ, "{} bytes are read in a turn", self.read);
        assert!(self.written <= MAX_WRITTEN, "{} bytes are written in a turn", self.written);
        let calls = system::with(|kernel| kernel.calls);
        // A poll is a call.
        let has_done_nothing = calls <= self.calls + 1 && run == self.run;
        let is_idle = has_done_nothing && timeout == Some(Duration::ZERO);
        self.idle = if is_idle { self.idle + 1 } else { 0 };
        assert!(self.idle < MAX_IDLE, "the loop spins at {now:?}");
        (self.calls, self.run) = (calls, run);
        (self.read, self.written, self.writes) = (0, 0, 0);
        self.began_waiting = now;
    }

    pub(super) fn note_accept(&mut self, now: Duration) {
        self.check_pause(now);
        self.failed = None;
    }

    pub(super) fn note_failure(&mut self, error: &io::Error, now: Duration) {
        self.check_pause(now);
        self.failed = error.raw_os_error().is_some().then_some(self.begun);
    }

    /// If a turn ends with a failure, nothing is accepted for a while.
    fn check_pause(&self, now: Duration) {
        if let Some(failed) = self.failed.filter(|failed| *failed != self.begun) {
            assert!(
                now >= failed + PAUSE,
                "accepting goes on at {now:?}, and failed at {failed:?}"
            );
        }
    }
}

/// Checks that the memory for clients is within its limits between two turns.
pub(super) fn check_memory(hub: &Hub) {
    let limits = &hub.config.memory;
    let incomplete = hub.memory.incomplete.get();
    assert!(incomplete <= limits.max_incomplete_bytes + SLACK, "{incomplete} bytes of input");
    if hub.is_dirty() {
        // What was not offered to anybody is nobody's backlog.
        return;
    }
    let backlog = hub.memory.backlog();
    assert!(backlog <= limits.max_total_backlog_bytes, "{backlog} bytes of backlog");
    for client in hub.clients.iter().filter(|client| client.connection.is_open()) {
        let backlog = client.backlog(hub.rooms.log_of(client.membership));
        // What was said in one turn counts from the next one on.
        let max = limits.max_backlog_bytes + MAX_READ;
        let is_within = client.lagging || backlog <= max as u64;
        assert!(is_within, "{backlog} bytes of backlog for {}", client.id);
    }
}

/// Checks that each room counts those of its members that are to move to another log.
pub(super) fn check_counts(hub: &Hub) {
    for room in hub.rooms.iter() {
        let members = room.members.iter().map(|&key| &hub.clients[key]);
        let [waiting, returning] = members.fold([0, 0], |[waiting, returning], member| {
            [waiting + usize::from(member.waits()), returning + usize::from(member.returns())]
        });
        assert_eq!((room.waiting, room.returning), (waiting, returning), "{}", room.name);
    }
}

/// Checks that nothing is left of clients.
pub(super) fn check_end(hub: &Hub) {
    assert_eq!((hub.clients.len(), hub.memory.backlog(), hub.memory.incomplete.get()), (0, 0, 0));
    assert_eq!(hub.clients.waits, usize::from(hub.is_reading_paused));
    assert!(!hub.time.is_waiting() && hub.time.timers.next_due().is_none());
}
