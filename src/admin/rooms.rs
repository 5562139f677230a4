//! The list of rooms, as JSON.

use std::cmp::Reverse;

use serde_json::json;
use townhall::{Hub, Response};

/// How many rooms are listed if the request does not say.
const DEFAULT_LIMIT: usize = 100;

/// Which rooms to list.
#[derive(Debug, PartialEq, Eq)]
pub struct Query {
    /// The beginning of their names.
    prefix: String,
    /// How many at most: those with the most members.
    limit: usize,
}

impl Query {
    /// Reads the parameters `prefix` and `limit` from the query of a URI. Others do not count.
    ///
    /// # Errors
    /// Why a parameter is wrong.
    pub fn parse(query: &str) -> Result<Self, String> {
        let mut parsed = Self { prefix: String::new(), limit: DEFAULT_LIMIT };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "prefix" => parsed.prefix = value.into_owned(),
                "limit" => {
                    let wrong = |_| format!("limit is {value:?}, but must be a whole number");
                    parsed.limit = value.parse().map_err(wrong)?;
                }
                _ => {}
            }
        }
        Ok(parsed)
    }

    /// The rooms of a server that match.
    pub fn find(&self, hub: &Hub) -> Rooms {
        self.select(hub.rooms().map(|room| (room.name(), room.member_count())))
    }

    /// Copies only the names that are listed, because the event loop waits for this.
    fn select<'n>(&self, rooms: impl Iterator<Item = (&'n str, usize)>) -> Rooms {
        let matching = rooms.filter(|(name, _)| name.starts_with(&self.prefix));
        let mut found: Vec<_> = matching.map(|(name, members)| (Reverse(members), name)).collect();
        let total = found.len();
        if self.limit < total {
            found.select_nth_unstable(self.limit);
            found.truncate(self.limit);
        }
        found.sort_unstable();
        let own = |(Reverse(members), name): (Reverse<usize>, &str)| (name.to_owned(), members);
        Rooms { total, listed: found.into_iter().map(own).collect() }
    }
}

/// Rooms that match a query.
#[derive(Debug, PartialEq, Eq)]
pub struct Rooms {
    /// How many match.
    total: usize,
    /// The names and numbers of members of those that are listed, the largest first.
    listed: Vec<(String, usize)>,
}

impl Rooms {
    pub fn response(&self) -> Response {
        let rooms =
            self.listed.iter().map(|(room, members)| json!({"room": room, "members": members}));
        let body = json!({"total": self.total, "rooms": rooms.collect::<Vec<_>>()});
        let response = Response::new(200).header("Content-Type", "application/json");
        response.expect("a valid field").body(format!("{body}\n").into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(query: &str, rooms: &[(&str, usize)]) -> Rooms {
        Query::parse(query).unwrap().select(rooms.iter().copied())
    }

    fn rooms(total: usize, listed: &[(&str, usize)]) -> Rooms {
        let listed = listed.iter().map(|&(name, members)| (name.to_owned(), members)).collect();
        Rooms { total, listed }
    }

    #[test]
    fn the_largest_rooms_come_first() {
        let all = [("/b", 1), ("/d", 3), ("/a", 1), ("/c", 2)];
        let sorted = [("/d", 3), ("/c", 2), ("/a", 1), ("/b", 1)];
        assert_eq!(find("", &all), rooms(4, &sorted));
        for limit in 0..=4 {
            assert_eq!(find(&format!("limit={limit}"), &all), rooms(4, &sorted[..limit]));
        }
        assert_eq!(find("limit=18446744073709551615", &all), rooms(4, &sorted));
    }

    #[test]
    fn only_names_with_the_prefix_match() {
        let all = [("/team/a", 1), ("/team", 2), ("/caf%C3%A9", 3), ("/teams", 4)];
        assert_eq!(find("prefix=%2Fteam/&limit=1", &all), rooms(1, &all[..1]));
        assert_eq!(find("prefix=/caf%25C3&unknown=1", &all), rooms(1, &all[2..3]));
    }

    #[test]
    fn a_limit_is_a_whole_number() {
        for wrong in ["limit=", "limit=-1", "limit=1.5", "limit=all"] {
            assert!(Query::parse(wrong).unwrap_err().starts_with("limit is "), "{wrong}");
        }
    }
}
