//! The limits on how fast one connection sends.

use std::time::Duration;

/// The limits on how fast one connection sends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimits {
    /// The maximum number of messages per second from one connection, including control frames. Above
    /// it, the connection is not read for a while. The default is more than a person or a sensor sends,
    /// and no more than a room can receive.
    pub max_messages_per_second: u32,
    /// The maximum number of message bytes per second from one connection. A single message may be
    /// longer. Above the limit, the connection is not read for a while.
    pub max_bytes_per_second: u32,
    /// How long a connection may exceed these rates without a break before it is closed with 1008. If it
    /// is `None`, the connection is only slowed down.
    pub throttle_timeout: Option<Duration>,
    /// The minimum rate, in bytes per second, at which an incomplete frame or message counts as
    /// activity, because a client on a slow line cannot answer a ping before the end of its frame. The
    /// rate is averaged over [`ping_interval`](super::Timeouts::ping_interval), and again over
    /// [`pong`](super::Timeouts::pong). If it is 0, only complete frames count. A modem is faster than
    /// the default of 1 KiB per second; a client that sends a byte at a time is not.
    pub min_frame_bytes_per_second: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            max_messages_per_second: 10_000,
            max_bytes_per_second: 16 << 20,
            throttle_timeout: Some(Duration::from_secs(30)),
            min_frame_bytes_per_second: 1 << 10,
        }
    }
}
