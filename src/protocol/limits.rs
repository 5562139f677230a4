//! How much of one peer's input is taken.

/// The limits that the protocol keeps. None of them is a length that a peer declares: memory
/// grows with the bytes that arrive, up to these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The longest request head, in bytes. 16 KiB hold a request line of 8,000 bytes, the least that
    /// RFC 9112, section 3, recommends to take, and every browser's cookies beside it.
    pub max_head_bytes: usize,
    /// The most header fields of a request. Browsers send about 15, proxies add a few, and 100 is
    /// what most web servers take.
    pub max_headers: usize,
    /// The longest message, in bytes of its payload, however it is fragmented. 16 MiB is the
    /// longest that the Autobahn suite sends.
    pub max_message_bytes: usize,
    /// The most fragments of one message, empty ones included: they carry nothing, so that no
    /// limit in bytes ends them. The Autobahn suite sends 65,536.
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
