//! What the admin listener serves, by path.

/// Something that has a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'p> {
    Live,
    Ready,
    Metrics,
    Rooms,
    /// A room, with its name, which begins with a slash.
    Room(&'p str),
    /// A connection, with its id.
    Connection(&'p str),
    LogLevel,
    Publish,
    Revoke,
    Events,
}

impl<'p> Resource<'p> {
    /// The resource with this path, which is in normal form, as names of rooms are.
    pub fn find(path: &'p str) -> Option<Self> {
        match path {
            "/live" => Some(Self::Live),
            "/ready" => Some(Self::Ready),
            "/metrics" => Some(Self::Metrics),
            "/rooms" => Some(Self::Rooms),
            "/log-level" => Some(Self::LogLevel),
            "/publish" => Some(Self::Publish),
            "/revoke" => Some(Self::Revoke),
            "/events" => Some(Self::Events),
            _ => {
                let room = path.strip_prefix("/rooms").filter(|room| room.starts_with('/'));
                let connection = || path.strip_prefix("/connections/").map(Self::Connection);
                room.map(Self::Room).or_else(connection)
            }
        }
    }

    /// The methods for it, as the value of Allow (RFC 9110, section 10.2.1).
    pub fn methods(self) -> &'static str {
        match self {
            Self::Live | Self::Ready | Self::Metrics | Self::Rooms => "GET, HEAD, OPTIONS",
            Self::Room(_) => "GET, HEAD, DELETE, OPTIONS",
            Self::Connection(_) => "DELETE, OPTIONS",
            Self::Publish => "POST, OPTIONS",
            Self::LogLevel => "GET, HEAD, PUT, DELETE, OPTIONS",
            Self::Revoke => "POST, OPTIONS",
            Self::Events => "GET, OPTIONS",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_the_path_is_the_room_or_the_connection() {
        for (path, resource) in [
            ("/rooms", Some(Resource::Rooms)),
            ("/rooms/", Some(Resource::Room("/"))),
            ("/rooms/lobby", Some(Resource::Room("/lobby"))),
            ("/rooms/team/a/", Some(Resource::Room("/team/a/"))),
            ("/rooms//", Some(Resource::Room("//"))),
            ("/roomservice", None),
            ("/connections/7.3", Some(Resource::Connection("7.3"))),
            ("/connections", None),
            ("/publish", Some(Resource::Publish)),
            ("/live/", None),
            ("/", None),
        ] {
            assert_eq!(Resource::find(path), resource, "{path}");
        }
    }
}
