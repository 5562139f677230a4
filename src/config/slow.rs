//! What happens to slow members.

/// What happens to a member that is too far behind its room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Slow {
    /// Closes the member's connection with 1013. The client may reconnect.
    #[default]
    Close,
    /// Skips the oldest messages that the member has not received, and continues with the newest that
    /// fit into half of the limit, or with the newest one. Control frames are kept.
    Drop,
    /// Stops reading from everyone in the room until the member has caught up, so that nobody misses a
    /// message. One slow member can hold up the room for as long as
    /// [`Timeouts::write`](super::Timeouts::write), so this is only for trusted members.
    Pause,
}
