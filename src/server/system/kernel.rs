//! The operating system itself.

use std::fs::File;
use std::io;
use std::time::{Instant, SystemTime};

pub(crate) use std::hash::RandomState;

pub(crate) use mio::event::Event as Readiness;
pub(crate) use mio::net::{TcpListener, TcpStream};
pub(crate) use mio::{Events, Poll, Waker};
pub(crate) use signal_hook_mio::v1_0::Signals;

/// A file descriptor that can be freed.
pub(crate) type Reserve = File;

/// Opens a file descriptor that is there to be freed.
///
/// # Errors
/// There is none left.
pub(crate) fn reserve() -> io::Result<Reserve> {
    File::open("/dev/null")
}

/// The time that passes, as long as the system does not sleep.
#[inline]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The time of day, which may be set.
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}
