//! The limits on how many connections there are, and for how long.

use std::time::Duration;

/// The limits on connections, all together and from one address. An address is a network of 64 bits in
/// IPv6.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionLimits {
    /// The most connections that are open at once. The next request for an upgrade is answered with
    /// 503. 10,000 fit into the usual limit of file descriptors.
    pub max: usize,
    /// The most connections from one address. The next is answered with 429. The default is a tenth of
    /// all connections, so that an office behind one address has room, and nobody can take all of them
    /// alone.
    pub max_per_address: u32,
    /// The most new connections from one address in a second. The next is answered with 429.
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
