//! The rooms that may exist, and how many.

use super::RoomPattern;

/// The limits on rooms and their names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomLimits {
    /// The paths that are rooms. An upgrade request for any other path gets 404. If the list is empty,
    /// which is the default, every path is a room. A room name that the application chooses instead of
    /// the path is not checked.
    pub patterns: Vec<RoomPattern>,
    /// The maximum number of rooms. A request that would create another room gets 503.
    pub max: usize,
    /// The maximum number of rooms created by clients from one address. A room counts until it has no
    /// members. A request that would create another room gets 429. The default is a fiftieth of all
    /// rooms, so that a few addresses cannot take every room. The limit does not apply to clients for
    /// which a trusted proxy forwards no address, because they cannot be distinguished.
    pub max_per_address: usize,
    /// The maximum length of a room's name, in bytes of the [normal
    /// form](crate::protocol::Request::normal_path) of its path. A longer one gets 414.
    pub max_name_bytes: usize,
}

impl RoomLimits {
    /// Whether `patterns` allow a path, in normal form, as a room.
    pub fn allow(&self, path: &str) -> bool {
        self.patterns.is_empty() || self.patterns.iter().any(|pattern| pattern.matches(path))
    }
}

impl Default for RoomLimits {
    fn default() -> Self {
        Self { patterns: Vec::new(), max: 10_000, max_per_address: 200, max_name_bytes: 255 }
    }
}
