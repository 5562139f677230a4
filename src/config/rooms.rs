//! Which rooms there may be, and how many.

use super::RoomPattern;

/// The limits on rooms and their names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomLimits {
    /// The paths that are rooms; a request for an upgrade at any other is answered with 404. If there
    /// are none, which is the default, every path is a room. A name that the application chooses
    /// instead of the path is not compared with them.
    pub patterns: Vec<RoomPattern>,
    /// The most rooms that exist at once. The next is refused with 503.
    pub max: usize,
    /// The most rooms that clients from one address have made and that somebody is still in. The next
    /// is refused with 429. The default is a fiftieth of all rooms, so that a few strangers cannot take
    /// every room. It does not apply to clients for which a trusted proxy forwards no address, since
    /// these cannot be told apart.
    pub max_per_address: usize,
    /// The longest name of a room, in bytes of the [normal form](crate::protocol::Request::normal_path)
    /// of its path; a longer one is answered with 414.
    pub max_name_bytes: usize,
}

impl RoomLimits {
    /// Whether a path, in normal form, may be a room.
    pub(crate) fn allow(&self, path: &str) -> bool {
        self.patterns.is_empty() || self.patterns.iter().any(|pattern| pattern.matches(path))
    }
}

impl Default for RoomLimits {
    fn default() -> Self {
        Self { patterns: Vec::new(), max: 10_000, max_per_address: 200, max_name_bytes: 255 }
    }
}
