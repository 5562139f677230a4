//! The limits on the input of one peer.

/// The limits that the protocol enforces. A length that a peer only declares takes no memory: memory
/// grows with the bytes that arrive, up to these limits.
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
    /// The maximum size of a request head in bytes. The default of 16 KiB is enough for a request line
    /// of 8,000 bytes, the minimum that RFC 9112, section 3, recommends, and for the cookies of any
    /// browser.
    pub max_head_bytes: usize,
    /// The maximum number of header fields in a request. Browsers send about 15, and proxies add a few.
    /// Most web servers accept 100, which is the default.
    pub max_headers: usize,
    /// The maximum size of a message in bytes of payload, in one frame or many. The default of 16 MiB is
    /// the largest that the Autobahn TestSuite sends.
    pub max_message_bytes: usize,
    /// The maximum size of a request's body in bytes, where the application reads bodies. The default is
    /// that of a message.
    pub max_body_bytes: usize,
    /// The maximum number of fragments in a message. Empty ones count too, because no limit in bytes
    /// applies to them. The Autobahn TestSuite sends 65,536.
    pub max_fragments: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_head_bytes: 16 << 10,
            max_headers: 100,
            max_message_bytes: 16 << 20,
            max_body_bytes: 16 << 20,
            max_fragments: 100_000,
        }
    }
}
