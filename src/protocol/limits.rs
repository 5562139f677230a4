//! The limits on one peer's input.

/// The limits that the protocol enforces. None of them is reached by a length that a peer merely
/// declares: memory grows with the bytes that arrive, up to these limits.
///
/// ```
/// use townhall::protocol::{Connection, Limits};
///
/// let mut limits = Limits::default();
/// limits.max_message_bytes = 64 << 10;
/// limits.max_fragments = 100;
/// let connection = Connection::new(limits);
/// # assert!(connection.is_handshaking());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The longest request head, in bytes. 16 KiB hold a request line of 8,000 bytes, the least that
    /// RFC 9112, section 3, recommends supporting, and every browser's cookies as well.
    pub max_head_bytes: usize,
    /// The most header fields of a request. Browsers send about 15, proxies add a few, and 100 is
    /// what most web servers take.
    pub max_headers: usize,
    /// The longest message, in bytes of its payload, however it is fragmented. 16 MiB is the
    /// longest that the Autobahn suite sends.
    pub max_message_bytes: usize,
    /// The most fragments of one message, empty ones included: they carry nothing, so no limit in bytes
    /// stops them. The Autobahn suite sends 65,536.
    pub max_fragments: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_head_bytes: 16 << 10,
            max_headers: 100,
            max_message_bytes: 16 << 20,
            max_fragments: 100_000,
        }
    }
}
