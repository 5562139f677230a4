//! The operating system in tests: the system itself or, on a thread on which one is installed, a simulated
//! one (`state.rs`).

mod connection;
mod listener;
mod peers;
mod poll;
mod random;
mod state;
mod stream;

use std::fs::File;
use std::hash::BuildHasher;
use std::io;
use std::time::{Instant, SystemTime};

pub(crate) use connection::Received;
pub(crate) use listener::TcpListener;
pub(crate) use poll::{Events, Poll, Readiness, Signals, Waker};
pub(crate) use random::{Random, RandomState};
pub(crate) use state::{Faults, Kernel, Outside, install, is_installed, uninstall, with};
pub(crate) use stream::TcpStream;

pub(crate) fn now() -> Instant {
    if is_installed() { state::read_clock() } else { Instant::now() }
}

pub(crate) fn wall_clock() -> SystemTime {
    if is_installed() { with(|kernel| kernel.wall_clock()) } else { SystemTime::now() }
}

/// A file descriptor that is there to be freed.
#[derive(Debug)]
pub(crate) enum Reserve {
    System(#[expect(dead_code, reason = "it is only kept open")] File),
    Simulated,
}

impl Drop for Reserve {
    fn drop(&mut self) {
        if matches!(self, Self::Simulated) && state::is_in_use() {
            with(Kernel::free_descriptor);
        }
    }
}

pub(crate) fn reserve() -> io::Result<Reserve> {
    if is_installed() {
        with(Kernel::take_descriptor)?;
        Ok(Reserve::Simulated)
    } else {
        File::open("/dev/null").map(Reserve::System)
    }
}

/// A hasher whose key is that of the system, or of the seed.
impl BuildHasher for RandomState {
    type Hasher = std::hash::DefaultHasher;

    fn build_hasher(&self) -> Self::Hasher {
        self.hasher()
    }
}
