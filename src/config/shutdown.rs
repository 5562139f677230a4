//! How the server stops.

use std::time::Duration;

use crate::protocol::CloseCode;

/// How the server stops: after a delay it closes its listening sockets, sends each client a close frame,
/// and waits for the answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownConfig {
    /// How long the server serves everyone as before after it has been asked to stop, except that
    /// [`Hub::is_stopping`](crate::Hub::is_stopping) reports it. A load balancer that checks the server's
    /// health then sends new clients elsewhere before this server stops listening. Zero by default.
    pub delay: Duration,
    /// How long the server continues after the delay, so that clients can answer its close frames. If it
    /// is zero, the server ends as soon as these are sent.
    pub timeout: Duration,
    /// The time over which close frames are spread, so that clients do not all reconnect at once. It is
    /// at most half of `timeout`. Up to 100 close frames are always sent immediately.
    pub spread: Duration,
    /// The code of the close frames: 1001 (going away), or 1012 (service restart) if the server will
    /// soon be back.
    pub code: CloseCode,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            timeout: Duration::from_secs(5),
            spread: Duration::from_secs(2),
            code: CloseCode::GOING_AWAY,
        }
    }
}
