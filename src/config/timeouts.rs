//! How long the server waits for a peer.

use std::time::Duration;

/// How long the server waits for a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// How long a client may take to send the request's head. After that, the answer is 408; a
    /// connection that has sent nothing, such as those that browsers open in advance, is closed without
    /// an answer. It must be longer than zero: a connection without a deadline would hold its place
    /// forever.
    pub handshake: Duration,
    /// How long a peer may be silent before it is sent a ping. Any whole frame counts as activity.
    /// Thirty seconds are less than home routers and most proxies wait. If it is `None`, no pings are
    /// sent, and silence is never a reason to drop a connection.
    pub ping_interval: Option<Duration>,
    /// How long a peer may be silent after the ping before it is dropped. If it is `None`, pings are
    /// sent at every interval, and nobody has to answer them.
    pub pong: Option<Duration>,
    /// How long a peer may read nothing while there is something for it to read; forever if it is
    /// `None`.
    pub write: Option<Duration>,
    /// How long a peer may take to answer a close frame, and to end its side of the connection. It must
    /// be longer than zero, for the same reason as `handshake`.
    pub close: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            ping_interval: Some(Duration::from_secs(30)),
            pong: Some(Duration::from_secs(20)),
            write: Some(Duration::from_secs(60)),
            close: Duration::from_secs(5),
        }
    }
}
