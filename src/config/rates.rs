//! The limits on how fast one connection sends.

use std::time::Duration;

/// The limits on how fast one connection sends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimits {
    /// The most messages that one connection may send in a second, control frames included. Above it,
    /// the connection is not read for a while. The default is more than a person or a sensor sends, and
    /// no more than a room can receive.
    pub max_messages_per_second: u32,
    /// The most bytes of messages that one connection may send in a second, or in one message, if that
    /// is longer. Above it, the connection is not read for a while.
    pub max_bytes_per_second: u32,
    /// How long a connection may be over these rates without a break, before it is closed with 1008. If
    /// it is `None`, the connection is only slowed down.
    pub throttle_timeout: Option<Duration>,
    /// The least bytes of a frame or of fragments that must come in a second to count as activity,
    /// averaged over [`ping_interval`](super::Timeouts::ping_interval) and again over
    /// [`pong`](super::Timeouts::pong): a client on a slow line can answer no ping before its frame has
    /// ended. If it is 0, only whole frames count. A modem is faster than 1 KiB a second; a client that
    /// sends a byte at a time is not.
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
