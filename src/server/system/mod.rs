//! What the server asks of the operating system: events, sockets, signals, the time, and random numbers.
//!
//! In tests of the library, a simulated system can answer instead (`simulated/`).

#[cfg_attr(test, path = "simulated/mod.rs")]
mod kernel;

pub(crate) use kernel::{
    Events, Poll, RandomState, Readiness, Reserve, Signals, TcpListener, TcpStream, Waker, now,
    reserve, wall_clock,
};
#[cfg(test)]
pub(crate) use kernel::{Faults, Kernel, Outside, Random, Received, install, uninstall, with};
