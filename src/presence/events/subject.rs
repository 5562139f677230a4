//! What the watchers of all rooms want to know.

/// What a watcher wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Which rooms are occupied and vacated.
    Rooms,
    /// Also who is in them.
    Members,
}

impl Subject {
    pub const ALL: [Self; 2] = [Self::Rooms, Self::Members];

    /// The room of its watchers, on the server of the watchers.
    pub fn room(self) -> &'static str {
        match self {
            Self::Rooms => "/rooms",
            Self::Members => "/members",
        }
    }
}
