//! The limits on how many connections there are, and for how long.

use std::time::Duration;

/// The limits on connections, in total and per address. An address is an IPv4 address or an IPv6 /64
/// network.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionLimits {
    /// The maximum number of open connections. Further upgrade requests get 503. 10,000 connections fit
    /// into the usual limit on file descriptors.
    pub max: usize,
    /// The maximum number of open connections from one address. Further connections get 429. The default
    /// is a tenth of all connections, which is enough for an office behind one address, and does not let
    /// one address take all of them.
    pub max_per_address: u32,
    /// The maximum number of new connections per second from one address. Further connections get 429.
    pub max_new_per_address_per_second: u32,
    /// How long a connection may stay open before it is closed with 1012, so that its client moves to
    /// another process. Each connection gets its own time within a tenth of this, so that clients that
    /// came together do not leave together. If it is `None`, which is the default, there is no limit.
    pub max_age: Option<Duration>,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            max: 10_000,
            max_per_address: 1_000,
            max_new_per_address_per_second: 100,
            max_age: None,
        }
    }
}
