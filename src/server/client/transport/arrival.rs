//! What a read brings.

/// What a read brought.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Arrival {
    /// The number of bytes for the connection, which may be none.
    pub(crate) size: usize,
    /// The number of bytes that were taken from the socket; 0 at the peer's end.
    pub(crate) taken: usize,
    /// The effort, as the number of bytes that could have been read instead.
    pub(crate) cost: usize,
    /// Whether the socket may hold more, although no event will say so.
    pub(crate) more: bool,
    /// Whether it was part of a TLS handshake, or the end of a PROXY header.
    pub(crate) handshake: bool,
}
