//! What a read brings.

/// What a read brought.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Arrival {
    /// The number of bytes; 0 at the peer's end.
    pub(crate) size: usize,
    /// Whether more may be there although no event will say so.
    pub(crate) more: bool,
    /// Whether a write that came too early can be repeated now; nothing was read then.
    pub(crate) unblocked: bool,
}
