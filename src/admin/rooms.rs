//! The list of rooms, as JSON.

use std::cmp::Reverse;

use serde_json::{Value, json};
use townhall::{Hub, Position, Request, RoomInfo};

use super::parameters::{limit, parameters};

/// How many rooms are listed if the request does not say, and at most.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 10_000;

/// Which rooms to list.
#[derive(Debug)]
pub struct Query {
    /// The beginning of their names.
    prefix: String,
    sort: Sort,
    limit: usize,
}

/// What the first rooms of the list have most of.
#[derive(Debug, Clone, Copy)]
enum Sort {
    Members,
    Rate,
    Backlog,
}

impl Sort {
    fn parse(value: &str) -> Result<Self, String> {
        match value {
            "members" => Ok(Self::Members),
            "rate" => Ok(Self::Rate),
            "backlog" => Ok(Self::Backlog),
            _ => Err(format!("sort is {value:?}, but must be members, rate or backlog")),
        }
    }

    /// What a room has, in whole units. A rate is counted in thousandths.
    fn measure(self, room: &RoomInfo<'_>) -> u64 {
        match self {
            Self::Members => room.member_count() as u64,
            Self::Rate => (room.messages_per_second() * 1_000.0) as u64,
            Self::Backlog => room.backlog(),
        }
    }
}

impl Query {
    /// Reads the parameters `prefix`, `sort` and `limit`. Others do not count.
    ///
    /// # Errors
    /// Why a parameter is wrong.
    pub fn parse(request: &Request<'_>) -> Result<Self, String> {
        let mut parsed = Self { prefix: String::new(), sort: Sort::Members, limit: DEFAULT_LIMIT };
        for (name, value) in parameters(request) {
            match &*name {
                "prefix" => parsed.prefix = value.into_owned(),
                "sort" => parsed.sort = Sort::parse(&value)?,
                "limit" => parsed.limit = limit(&value, MAX_LIMIT)?,
                _ => {}
            }
        }
        Ok(parsed)
    }

    /// The rooms of a server that match.
    pub fn find(&self, hub: &Hub) -> Rooms {
        let rooms = hub.rooms().map(|room| (room.name(), self.sort.measure(&room)));
        let (total, names) = self.select(rooms);
        let rooms = names.into_iter().filter_map(|name| hub.room(name));
        Rooms { total, listed: rooms.map(|room| Room::of(&room)).collect() }
    }

    /// How many rooms match, and the names of the first. Only the names that are listed are copied later,
    /// because the event loop waits for this.
    fn select<'n>(&self, rooms: impl Iterator<Item = (&'n str, u64)>) -> (usize, Vec<&'n str>) {
        let matching = rooms.filter(|(name, _)| name.starts_with(&self.prefix));
        let mut found: Vec<_> = matching.map(|(name, measure)| (Reverse(measure), name)).collect();
        let total = found.len();
        if self.limit < total {
            found.select_nth_unstable(self.limit);
            found.truncate(self.limit);
        }
        found.sort_unstable();
        (total, found.into_iter().map(|(_, name)| name).collect())
    }
}

/// Rooms that match a query.
#[derive(Debug)]
pub struct Rooms {
    /// How many match.
    total: usize,
    listed: Vec<Room>,
}

impl Rooms {
    pub fn to_json(&self) -> Value {
        let rooms: Vec<_> = self.listed.iter().map(Room::to_json).collect();
        json!({"total": self.total, "rooms": rooms})
    }
}

/// What is shown of a room.
#[derive(Debug)]
pub struct Room {
    name: String,
    members: usize,
    messages_per_second: f64,
    backlog_bytes: u64,
    /// The place after its last message, if it has history.
    position: Option<Position>,
}

impl Room {
    pub fn of(room: &RoomInfo<'_>) -> Self {
        Self {
            name: room.name().to_owned(),
            members: room.member_count(),
            messages_per_second: room.messages_per_second(),
            backlog_bytes: room.backlog(),
            position: room.position(),
        }
    }

    pub fn to_json(&self) -> Value {
        let mut room = json!({
            "room": self.name,
            "members": self.members,
            "messages_per_second": (self.messages_per_second * 100.0).round() / 100.0,
            "backlog_bytes": self.backlog_bytes,
        });
        if let Some(position) = self.position {
            room["position"] = position.to_string().into();
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(query: &str) -> Result<Query, String> {
        let head = format!("GET /rooms?{query} HTTP/1.1\r\nHost: a\r\n\r\n");
        Query::parse(&Request::parse(head.as_bytes(), 10).unwrap())
    }

    fn find<'n>(parameters: &str, rooms: &[(&'n str, u64)]) -> (usize, Vec<&'n str>) {
        query(parameters).unwrap().select(rooms.iter().copied())
    }

    #[test]
    fn the_largest_rooms_come_first() {
        let all = [("/b", 1), ("/d", 3), ("/a", 1), ("/c", 2)];
        let sorted = ["/d", "/c", "/a", "/b"];
        assert_eq!(find("", &all), (4, sorted.to_vec()));
        for limit in 0..=4 {
            assert_eq!(find(&format!("limit={limit}"), &all), (4, sorted[..limit].to_vec()));
        }
        assert_eq!(find("limit=10000", &all), (4, sorted.to_vec()));
    }

    #[test]
    fn only_names_with_the_prefix_match() {
        let all = [("/team/a", 1), ("/team", 2), ("/caf%C3%A9", 3), ("/teams", 4)];
        assert_eq!(find("prefix=%2Fteam/&limit=1", &all), (1, vec!["/team/a"]));
        assert_eq!(find("prefix=/caf%25C3&unknown=1", &all), (1, vec!["/caf%C3%A9"]));
    }

    #[test]
    fn a_wrong_parameter_is_refused_by_name() {
        for (wrong, reason) in [("limit=10001", "limit is "), ("sort=size", "sort is \"size\"")] {
            assert!(query(wrong).unwrap_err().starts_with(reason), "{wrong}");
        }
    }
}
