//! How long the server waits for a client.

use std::time::Duration;

/// How long the server waits for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// How long a client may take to send the head of its request. A slower client gets 408. So does one
    /// that sends a body at less than
    /// [`min_frame_bytes_per_second`](super::RateLimits::min_frame_bytes_per_second) over this time. A
    /// connection that has sent nothing, such as one that a browser opened in advance, is closed without
    /// a response. It must be longer than zero, because a connection without a deadline could stay
    /// forever.
    pub handshake: Duration,
    /// How long a connection may wait for its next request after a response. It must be longer than zero.
    pub keep_alive: Duration,
    /// How long the application may take to answer a request that it has
    /// [deferred](crate::Exchange::defer). After that, the client gets 503. It must be longer than zero.
    pub answer: Duration,
    /// How long a client may be silent before the server sends a ping. Any complete frame counts as
    /// activity. The default of 30 seconds is shorter than the timeouts of home routers and most
    /// proxies. If it is `None`, the server sends no pings, and silent clients stay connected.
    pub ping_interval: Option<Duration>,
    /// How long a client may stay silent after a ping before it is dropped. If it is `None`, the server
    /// still sends pings, but clients need not answer them.
    pub pong: Option<Duration>,
    /// How long a client may read nothing while data is waiting for it. If it is `None`, there is no
    /// limit.
    pub write: Option<Duration>,
    /// How long a client may take to answer a close frame, and to end its side of the connection. It
    /// must be longer than zero, for the same reason as `handshake`.
    pub close: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            keep_alive: Duration::from_secs(60),
            answer: Duration::from_secs(30),
            ping_interval: Some(Duration::from_secs(30)),
            pong: Some(Duration::from_secs(20)),
            write: Some(Duration::from_secs(60)),
            close: Duration::from_secs(5),
        }
    }
}
