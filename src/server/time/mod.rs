//! The time of a turn, the wheels of deadlines, the application's timers, and dates in responses.

pub(crate) mod date;
pub(crate) mod moment;
pub(crate) mod timers;
pub(crate) mod wheel;

use std::mem;
use std::time::{Duration, Instant};

use crate::server::system;
use crate::server::time::date::HttpDate;
use crate::server::time::moment::Moment;
use crate::server::time::timers::Timers;
use crate::server::time::wheel::{Clock, TimerWheel, Timestamp};

/// A turn that takes longer while deadlines wait has been stopped, or the process has.
pub(crate) const MAX_TURN: Duration = Duration::from_secs(1);

/// The current time, and what is due when.
#[derive(Debug)]
pub(crate) struct Time {
    /// When the server started.
    start: Instant,
    /// The time of this turn of the event loop.
    pub(crate) now: Instant,
    /// The same time, as deadlines count it.
    pub(crate) timestamp: Timestamp,
    clock: Clock,
    /// The time up to which everything that clients sent has been read. No later deadline is enforced,
    /// because the answer may be in the client's socket.
    pub(crate) horizon: Timestamp,
    /// The time at which the process last went on after a stop. What was to be written before may have been
    /// written only then.
    pub(crate) resumed: Timestamp,
    /// The same moment as `horizon`, exactly.
    pub(crate) read_until: Instant,
    /// The deadline of each client.
    pub(crate) deadlines: TimerWheel,
    /// The times at which the clients that sent too much are read again.
    pub(crate) resumptions: TimerWheel,
    /// The application's timers.
    pub(crate) timers: Timers,
    /// The date of responses.
    pub(crate) date: HttpDate,
}

impl Time {
    pub(crate) fn new() -> Self {
        let now = system::now();
        Self {
            start: now,
            now,
            timestamp: Timestamp::default(),
            clock: Clock::new(now),
            horizon: Timestamp::default(),
            resumed: Timestamp::default(),
            read_until: now,
            deadlines: TimerWheel::new(),
            resumptions: TimerWheel::new(),
            timers: Timers::default(),
            date: HttpDate::default(),
        }
    }

    /// Reads the clock.
    pub(crate) fn advance(&mut self) {
        self.now = system::now();
        let last = mem::replace(&mut self.timestamp, self.clock.timestamp(self.now));
        if self.timestamp.duration_since(last) > MAX_TURN {
            self.resumed = self.timestamp;
        }
    }

    /// The time of this turn, to be kept for each room.
    pub(crate) fn moment(&self) -> Moment {
        Moment::after(self.now - self.start)
    }

    /// Whether some client has a deadline, or is paused.
    pub(crate) fn is_waiting(&self) -> bool {
        self.deadlines.is_waiting() || self.resumptions.is_waiting()
    }

    /// Gives back the memory for deadlines of clients that have left.
    pub(crate) fn trim(&mut self) {
        self.deadlines.trim();
        self.resumptions.trim();
    }
}
