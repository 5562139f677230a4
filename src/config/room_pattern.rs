//! Which paths are rooms.

use std::fmt;
use std::str::FromStr;

use crate::protocol::normal_path;

/// The path of one room, or the beginning of the paths of several rooms, followed by `*`.
///
/// It is compared with the [normal form](crate::Request::normal_path) of a request's path.
///
/// ```
/// use townhall::RoomPattern;
///
/// let team: RoomPattern = "/team/*".parse()?;
/// assert!(team.matches("/team/a") && !team.matches("/team"));
/// # Ok::<(), townhall::InvalidRoomPattern>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RoomPattern {
    /// In normal form.
    path: String,
    /// Whether a path may continue after it.
    is_prefix: bool,
}

impl RoomPattern {
    /// Whether the pattern allows a room of this name, which is a path in normal form.
    pub fn matches(&self, room: &str) -> bool {
        if self.is_prefix { room.starts_with(&self.path) } else { room == self.path }
    }
}

impl FromStr for RoomPattern {
    type Err = InvalidRoomPattern;

    fn from_str(text: &str) -> Result<Self, InvalidRoomPattern> {
        let text = text.trim_ascii();
        let (path, is_prefix) = match text.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (text, false),
        };
        if !path.starts_with('/') || path.contains(['*', '?', '#']) {
            return Err(InvalidRoomPattern(()));
        }
        let path = if is_prefix { normal_prefix(path) } else { normal_path(path) };
        Ok(Self { path, is_prefix })
    }
}

/// The normal form of the beginning of a path. A dot at its end begins the name of a segment.
fn normal_prefix(prefix: &str) -> String {
    let mut normal = normal_path(&format!("{prefix}x"));
    normal.pop();
    normal
}

impl fmt::Display for RoomPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.is_prefix { f.write_str("*") } else { Ok(()) }
    }
}

/// A text that is not a [`RoomPattern`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidRoomPattern(());

impl fmt::Display for InvalidRoomPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "it is a path without a query, such as /lobby, or its beginning and a *: /team/*",
        )
    }
}

impl std::error::Error for InvalidRoomPattern {}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, room: &str) -> bool {
        pattern.parse::<RoomPattern>().unwrap().matches(room)
    }

    #[test]
    fn a_path_is_one_room_and_a_beginning_is_many() {
        assert!(matches("/lobby", "/lobby"));
        assert!(!matches("/lobby", "/lobby/"));
        assert!(!matches("/lobby", "/lobby2"));
        assert!(matches("/team/*", "/team/") && matches("/team/*", "/team/a/b"));
        assert!(!matches("/team/*", "/team"));
        assert!(matches("/*", "/") && matches("/*", "/a"));
    }

    #[test]
    fn spellings_of_a_path_are_one_room() {
        for spelling in ["/caf%C3%A9", "/caf%c3%a9", "/c%61fé", "/a/../café", " /café "] {
            assert!(matches(spelling, "/caf%C3%A9"), "{spelling}");
        }
        assert!(matches("/caf%c3%a9*", "/caf%C3%A9s"));
        assert!(matches("/.*", "/.hidden") && !matches("/.*", "/shown"));
        assert!(matches("/a/./b*", "/a/bc"));
    }

    #[test]
    fn what_no_room_can_be_called_is_no_pattern() {
        for text in ["", "lobby", "*", "/a*b", "/**", "/a?b", "/a#b", "ws://host/lobby"] {
            assert!(text.parse::<RoomPattern>().is_err(), "{text}");
        }
    }
}
