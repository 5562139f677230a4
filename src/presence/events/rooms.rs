//! Which rooms are occupied, and what the watchers do not know yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use townhall::ClientId;

/// The rooms that have members.
#[derive(Debug, Default)]
pub struct Rooms {
    places: HashMap<ClientId, Rc<str>>,
    /// With their numbers of members.
    occupied: BTreeMap<Rc<str>, usize>,
    /// The rooms that are occupied and were not when the watchers were told, or the other way round.
    changed: BTreeSet<Rc<str>>,
}

/// The names of rooms that were not occupied before, and of those that were.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change<'r> {
    pub occupied: Vec<&'r str>,
    pub vacated: Vec<&'r str>,
}

impl Change<'_> {
    pub fn len(&self) -> usize {
        self.occupied.len() + self.vacated.len()
    }
}

impl Rooms {
    /// Notes that a client has joined a room, and returns the name as it is shared.
    pub fn join(&mut self, client: ClientId, room: &str) -> Rc<str> {
        let room = self.shared(room);
        let members = self.occupied.entry(room.clone()).or_default();
        *members += 1;
        if *members == 1 {
            self.toggle(&room);
        }
        self.places.insert(client, room.clone());
        room
    }

    /// Notes that a client has left, and returns its room.
    pub fn leave(&mut self, client: ClientId) -> Option<Rc<str>> {
        let room = self.places.remove(&client)?;
        if let Some(members) = self.occupied.get_mut(&room) {
            *members -= 1;
            if *members == 0 {
                self.occupied.remove(&room);
                self.toggle(&room);
            }
        }
        Some(room)
    }

    fn toggle(&mut self, room: &Rc<str>) {
        if !self.changed.remove(room) {
            self.changed.insert(room.clone());
        }
    }

    fn shared(&self, room: &str) -> Rc<str> {
        self.occupied.get_key_value(room).map_or_else(|| room.into(), |(room, _)| room.clone())
    }

    pub fn count(&self) -> usize {
        self.occupied.len()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.occupied.keys().map(|room| &**room)
    }

    /// What has changed since the rooms were [settled](Self::settle).
    pub fn change(&self) -> Change<'_> {
        let mut change = Change::default();
        for room in &self.changed {
            let is_occupied = self.occupied.contains_key(room);
            if is_occupied { &mut change.occupied } else { &mut change.vacated }.push(room);
        }
        change
    }

    /// Notes that the watchers know everything.
    pub fn settle(&mut self) {
        self.changed.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> ClientId {
        format!("{number}.1").parse().unwrap()
    }

    #[test]
    fn a_room_is_occupied_from_its_first_member_to_its_last() {
        let mut rooms = Rooms::default();
        rooms.join(client(1), "/b");
        rooms.join(client(2), "/a");
        rooms.join(client(3), "/a");
        let change = Change { occupied: vec!["/a", "/b"], vacated: vec![] };
        assert_eq!(rooms.change(), change);
        rooms.settle();
        assert_eq!(rooms.leave(client(2)).as_deref(), Some("/a"));
        assert_eq!(rooms.leave(client(2)), None);
        assert_eq!(rooms.change().len(), 0);
        rooms.leave(client(3));
        rooms.join(client(4), "/c");
        let change = Change { occupied: vec!["/c"], vacated: vec!["/a"] };
        assert_eq!(rooms.change(), change);
        assert_eq!(rooms.names().collect::<Vec<_>>(), ["/b", "/c"]);
        assert_eq!((rooms.count(), rooms.places.len()), (2, 2));
    }

    #[test]
    fn a_room_that_is_as_before_is_no_change() {
        let mut rooms = Rooms::default();
        rooms.join(client(1), "/a");
        rooms.settle();
        rooms.join(client(2), "/b");
        rooms.leave(client(2));
        rooms.leave(client(1));
        rooms.join(client(3), "/a");
        assert_eq!(rooms.change(), Change::default());
        assert!(rooms.changed.is_empty());
    }
}
