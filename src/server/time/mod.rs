//! The time of a turn, the wheels of deadlines, the application's timers, and dates in answers.

pub(crate) mod date;
pub(crate) mod timers;
pub(crate) mod wheel;

use std::time::Instant;

use crate::server::time::timers::Timers;
use crate::server::time::wheel::{Clock, TimerWheel, Timestamp};

/// What time it is, and what is due at which time.
#[derive(Debug)]
pub(crate) struct Time {
    /// The time of this turn of the event loop.
    pub(crate) now: Instant,
    /// The same time, as deadlines count it.
    pub(crate) timestamp: Timestamp,
    clock: Clock,
    /// Up to when everything that clients sent has been read. No client is judged by what it had not
    /// done at a later time: the answer may be in its socket.
    pub(crate) horizon: Timestamp,
    /// The same moment, exactly.
    pub(crate) read_until: Instant,
    /// When to check each client.
    pub(crate) deadlines: TimerWheel,
    /// When to read again the clients that sent too much.
    pub(crate) resumptions: TimerWheel,
    /// The application's timers.
    pub(crate) timers: Timers,
}

impl Time {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            now,
            timestamp: Timestamp::default(),
            clock: Clock::new(now),
            horizon: Timestamp::default(),
            read_until: now,
            deadlines: TimerWheel::new(),
            resumptions: TimerWheel::new(),
            timers: Timers::default(),
        }
    }

    /// Reads the clock.
    pub(crate) fn advance(&mut self) {
        self.now = Instant::now();
        self.timestamp = self.clock.timestamp(self.now);
    }

    /// Whether some client has a deadline, or is to be read again at some time.
    pub(crate) fn is_waiting(&self) -> bool {
        self.deadlines.is_waiting() || self.resumptions.is_waiting()
    }

    /// Gives back the memory for deadlines of clients that are gone.
    pub(crate) fn trim(&mut self) {
        self.deadlines.trim();
        self.resumptions.trim();
    }
}
