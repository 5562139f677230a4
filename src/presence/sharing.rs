//! What other processes are to be told about the people here.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem;
use std::sync::Arc;

use townhall::ClientId;

use super::people::People;
use crate::auth::{Info, User};

/// The people in the rooms of this process, and the rooms in which they have changed. Those who have left are
/// gone at once: the other processes decide for how long they still show them.
#[derive(Debug, Default)]
pub struct Sharing {
    rooms: HashMap<Arc<str>, Crowd>,
    places: HashMap<ClientId, Place>,
    changed: HashSet<Arc<str>>,
}

/// Where a client is, and its name if others are told.
#[derive(Debug)]
struct Place {
    room: Arc<str>,
    name: Option<Arc<str>>,
}

/// The people in a room.
#[derive(Debug, Default)]
struct Crowd {
    connections: usize,
    named: BTreeMap<Arc<str>, Person>,
    nameless: usize,
}

/// Somebody with a name.
#[derive(Debug, Default)]
struct Person {
    connections: usize,
    /// That of the token of the newest connection.
    info: Option<Info>,
}

impl Sharing {
    /// Notes that a client has joined a room. Without a user, it is only counted.
    pub fn join(&mut self, client: ClientId, room: &str, user: Option<User<'_>>) {
        let known = self.rooms.get_key_value(room).map(|(room, _)| room.clone());
        let room = known.unwrap_or_else(|| room.into());
        let crowd = self.rooms.entry(room.clone()).or_default();
        let name = crowd.join(user);
        self.places.insert(client, Place { room: room.clone(), name });
        self.changed.insert(room);
    }

    /// Notes that a client has left.
    pub fn leave(&mut self, client: ClientId) {
        let Some(Place { room, name }) = self.places.remove(&client) else { return };
        if let Some(crowd) = self.rooms.get_mut(&room) {
            crowd.leave(name.as_ref());
            if crowd.connections == 0 {
                self.rooms.remove(&room);
            }
        }
        self.changed.insert(room);
    }

    /// The rooms in which something has happened since the last call, and who is there now.
    pub fn take_changes(&mut self) -> Vec<(Arc<str>, People)> {
        let changed = mem::take(&mut self.changed).into_iter();
        let people = |room: &Arc<str>| self.rooms.get(room).map(Crowd::people).unwrap_or_default();
        changed.map(|room| (room.clone(), people(&room))).collect()
    }

    /// All rooms that have members, and who is there.
    pub fn all(&self) -> Vec<(Arc<str>, People)> {
        self.rooms.iter().map(|(room, crowd)| (room.clone(), crowd.people())).collect()
    }
}

impl Crowd {
    /// Returns the name as it is shared.
    fn join(&mut self, user: Option<User<'_>>) -> Option<Arc<str>> {
        self.connections += 1;
        let Some(User { name, info }) = user else {
            self.nameless += 1;
            return None;
        };
        let known = self.named.get_key_value(name).map(|(name, _)| name.clone());
        let name = known.unwrap_or_else(|| name.into());
        let person = self.named.entry(name.clone()).or_default();
        person.connections += 1;
        person.info = info.cloned();
        Some(name)
    }

    fn leave(&mut self, name: Option<&Arc<str>>) {
        self.connections -= 1;
        let Some(name) = name else {
            self.nameless -= 1;
            return;
        };
        if let Some(person) = self.named.get_mut(name) {
            person.connections -= 1;
            if person.connections == 0 {
                self.named.remove(name);
            }
        }
    }

    fn people(&self) -> People {
        let named = self.named.iter().map(|(name, person)| (name.clone(), person.info.clone()));
        People::new(self.connections, named, self.nameless)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> ClientId {
        format!("{number}.1").parse().unwrap()
    }

    fn user(name: &str) -> Option<User<'_>> {
        Some(User { name, info: None })
    }

    /// Rooms and what is told about them, in the order of their names.
    fn told(rooms: Vec<(Arc<str>, People)>) -> Vec<(String, String)> {
        let told = rooms.into_iter().map(|(room, people)| (room.to_string(), people.encode()));
        told.collect::<BTreeMap<_, _>>().into_iter().collect()
    }

    fn rooms<const N: usize>(rooms: [(&str, &str); N]) -> Vec<(String, String)> {
        rooms.map(|(room, people)| (room.to_owned(), people.to_owned())).into()
    }

    #[test]
    fn each_change_is_told_once() {
        let mut sharing = Sharing::default();
        assert_eq!(told(sharing.take_changes()), []);
        sharing.join(client(1), "/a", user("7"));
        sharing.join(client(2), "/a", user("7"));
        sharing.join(client(3), "/a", None);
        sharing.join(client(4), "/b", None);
        let a = r#"{"c":3,"n":{"7":null},"a":1}"#;
        let all = rooms([("/a", a), ("/b", r#"{"c":1,"a":1}"#)]);
        assert_eq!(told(sharing.take_changes()), all);
        assert_eq!(told(sharing.take_changes()), []);
        assert_eq!(told(sharing.all()), all);
        sharing.leave(client(4));
        sharing.leave(client(4));
        assert_eq!(told(sharing.all()), rooms([("/a", a)]));
        assert_eq!(told(sharing.take_changes()), rooms([("/b", r#"{"c":0,"a":0}"#)]));
        sharing.leave(client(1));
        let less = rooms([("/a", r#"{"c":2,"n":{"7":null},"a":1}"#)]);
        assert_eq!(told(sharing.take_changes()), less);
        sharing.leave(client(2));
        assert_eq!(told(sharing.take_changes()), rooms([("/a", r#"{"c":1,"a":1}"#)]));
        sharing.leave(client(3));
        assert_eq!(told(sharing.take_changes()), rooms([("/a", r#"{"c":0,"a":0}"#)]));
        assert!(sharing.rooms.is_empty() && sharing.places.is_empty());
    }

    #[test]
    fn names_are_told_with_the_info_of_the_newest_connection() {
        let infos =
            ["{\"name\":\"Ann\"}", "{\"name\":\"Bob\"}"].map(|json| Info::parse(json).unwrap());
        let mut sharing = Sharing::default();
        for (number, info) in (1..).zip(&infos) {
            sharing.join(client(number), "/a", Some(User { name: "7", info: Some(info) }));
        }
        sharing.leave(client(2));
        let bob = rooms([("/a", r#"{"c":1,"n":{"7":{"name":"Bob"}},"a":0}"#)]);
        assert_eq!(told(sharing.take_changes()), bob);
    }
}
