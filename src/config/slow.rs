//! What happens to slow members.

/// What happens to a member that is too far behind its room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Slow {
    /// The member is closed with 1013, and may come back.
    #[default]
    Close,
    /// The member misses the oldest messages, and goes on with the newest that fit into half of the
    /// limit, or with one. Control frames are kept.
    Drop,
    /// Nothing is read from anyone in its room until it has caught up, so that nobody misses anything.
    /// One member can hold up the whole room for as long as [`Timeouts::write`](super::Timeouts::write):
    /// this is for trusted members.
    Pause,
}
