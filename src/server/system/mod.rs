//! What the server asks of the operating system: events, sockets, signals, the time, and random numbers.

mod kernel;

pub(crate) use kernel::{
    Events, Poll, RandomState, Readiness, Reserve, Signals, TcpListener, TcpStream, Waker, now,
    reserve, wall_clock,
};
