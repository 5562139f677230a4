//! The history of rooms.

use std::time::Duration;

/// How many of a room's messages are kept for clients that come back
/// ([`Hub::join_from`](crate::Hub::join_from)), and for how long.
///
/// Messages are kept in segments of up to 64 KiB, and a whole segment is dropped at a time, so a room may
/// keep somewhat more than these limits. A room with history exists, and counts in
/// [`RoomLimits`](super::RoomLimits), until its history is too old, even if it has no members.
///
/// ```
/// use std::time::Duration;
/// use townhall::{Config, HistoryLimits};
///
/// let mut history = HistoryLimits::default();
/// history.max_age = Duration::from_secs(3_600);
/// let mut config = Config::default();
/// config.history = Some(history);
/// # assert_eq!(config.check(), Ok(()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryLimits {
    /// The number of messages of a room that are kept, if the other limits allow it.
    pub max_messages: usize,
    /// The maximum memory in bytes for the messages of one room. A client that comes back may be behind by
    /// as much, so it must be at most half of
    /// [`max_backlog_bytes`](super::MemoryLimits::max_backlog_bytes).
    pub max_bytes: usize,
    /// The age from which messages are dropped.
    pub max_age: Duration,
    /// The maximum memory in bytes for the messages of all rooms, apart from those that some member has
    /// not received. Above it, the oldest messages of all rooms are dropped.
    pub max_total_bytes: usize,
    /// The ends of the names of rooms without history, such as rooms whose messages only describe the
    /// present.
    pub live_only: Vec<String>,
}

impl HistoryLimits {
    /// Whether a room of this name has history.
    pub fn apply_to(&self, room: &str) -> bool {
        !self.live_only.iter().any(|end| room.ends_with(end.as_str()))
    }
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self {
            max_messages: 1_000,
            max_bytes: 1 << 20,
            max_age: Duration::from_secs(300),
            max_total_bytes: 256 << 20,
            live_only: Vec::new(),
        }
    }
}
