//! The rooms that show who is in another room.

use townhall::{RoomLimits, RoomPattern};

/// The last part of the name of a room that shows the members of another.
const SUFFIX: &str = "/@members";

/// Which rooms show the members of others: `/lobby/@members` those of `/lobby`. Only the server speaks in
/// them.
#[derive(Debug, Clone)]
pub struct MemberRooms {
    patterns: Vec<RoomPattern>,
    rooms: RoomLimits,
}

impl MemberRooms {
    /// The member rooms of all rooms that match one of the patterns.
    pub fn new(patterns: Vec<RoomPattern>, rooms: RoomLimits) -> Self {
        Self { patterns, rooms }
    }

    /// The ends of the names of rooms whose messages only describe the present.
    pub fn live_only(&self) -> Vec<String> {
        if self.patterns.is_empty() { Vec::new() } else { vec![SUFFIX.to_owned()] }
    }

    /// The room whose members a room shows.
    pub fn shown_by<'r>(&self, name: &'r str) -> Option<&'r str> {
        let room = match name.strip_suffix(SUFFIX)? {
            "" => "/",
            // The room / has its members in /@members.
            "/" => return None,
            room => room,
        };
        self.shows(room).then_some(room)
    }

    /// Whether the members of a room are shown.
    pub fn shows(&self, room: &str) -> bool {
        let has_one = self.patterns.iter().any(|pattern| pattern.matches(room));
        // What somebody shows has nothing to show itself.
        has_one && self.rooms.allow(room) && !room.ends_with(SUFFIX)
    }

    /// The room that decides who may join a room: the one whose members it shows, or itself.
    pub fn governing<'r>(&self, name: &'r str) -> &'r str {
        self.shown_by(name).unwrap_or(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms(presence: &[&str], rooms: &[&str]) -> MemberRooms {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let mut limits = RoomLimits::default();
        limits.patterns = parse(rooms);
        MemberRooms::new(parse(presence), limits)
    }

    #[test]
    fn the_flag_names_the_rooms_whose_members_are_shown() {
        let some = rooms(&["/lobby", "/team/*"], &[]);
        assert_eq!(some.shown_by("/lobby/@members"), Some("/lobby"));
        assert_eq!(some.shown_by("/team/a/b/@members"), Some("/team/a/b"));
        assert_eq!(some.governing("/lobby/@members"), "/lobby");
        for name in
            ["/lobby", "/hall/@members", "/@members", "/lobby/@members/", "/lobby/%40members"]
        {
            assert_eq!(some.shown_by(name), None, "{name}");
            assert!(!some.shows(name) || name == "/lobby", "{name}");
            assert_eq!(some.governing(name), name);
        }
        assert_eq!(rooms(&[], &[]).shown_by("/lobby/@members"), None);
    }

    #[test]
    fn each_room_has_one_member_room_and_those_have_none() {
        let all = rooms(&["/*"], &[]);
        assert_eq!(all.shown_by("/@members"), Some("/"));
        assert_eq!(all.shown_by("//@members"), None);
        assert_eq!(all.shown_by("/a//@members"), Some("/a/"));
        assert_eq!(all.shown_by("/a/@members/@members"), None);
        assert_eq!(all.shown_by("/@members/@members"), None);
    }

    #[test]
    fn what_is_no_room_has_no_members_to_show() {
        let some = rooms(&["/*"], &["/team/*"]);
        assert_eq!(some.shown_by("/team/a/@members"), Some("/team/a"));
        assert_eq!(some.shown_by("/team/@members"), None);
    }
}
