//! The people in each room, and those whom the watchers do not know yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;
use std::rc::Rc;
use std::time::{Duration, Instant};

use townhall::ClientId;

use crate::auth::User;
use crate::presence::notice::Notice;
use crate::presence::roster::{Audience, Roster};

/// How many names one message has.
const MAX_NAMES: usize = 1000;

/// The people in the rooms. In contrast to the watchers of one room, those of all rooms learn at once that
/// somebody has left, because they also learn at once that a room is vacant.
#[derive(Debug)]
pub struct Rosters {
    has_names: bool,
    rosters: HashMap<Rc<str>, Roster>,
    /// The rooms in which something has happened since the watchers were told.
    changed: BTreeSet<Rc<str>>,
}

/// A part of a message: rooms, and what is said about the people in them.
pub type Notices<'r> = BTreeMap<&'r str, Notice<'r>>;

impl Rosters {
    pub fn new(has_names: bool) -> Self {
        Self { has_names, rosters: HashMap::new(), changed: BTreeSet::new() }
    }

    pub fn join(&mut self, client: ClientId, room: &Rc<str>, user: Option<User<'_>>) {
        let audience = Audience { names: self.has_names, may_miss: false };
        let empty = || Roster::new(Duration::ZERO, audience, []);
        self.rosters.entry(room.clone()).or_insert_with(empty).join(client, user);
        self.changed.insert(room.clone());
    }

    pub fn leave(&mut self, client: ClientId, room: &Rc<str>) {
        if let Some(roster) = self.rosters.get_mut(room) {
            let now = Instant::now();
            roster.leave(client, now);
            roster.expire(now);
            if roster.is_empty() && roster.change().is_none() {
                // The watchers know nothing of it.
                self.rosters.remove(room);
                self.changed.remove(room);
            } else {
                self.changed.insert(room.clone());
            }
        }
    }

    /// The number of rooms in which something may have changed.
    pub fn change_count(&self) -> usize {
        self.changed.len()
    }

    /// Passes what has changed since the rosters were settled to `encode`, and settles them.
    pub fn take_change<T>(&mut self, encode: impl FnOnce(Notices<'_>) -> T) -> T {
        let changed = self.changed.iter().filter_map(|room| self.rosters.get_key_value(room));
        let changes = changed.filter_map(|(room, roster)| Some((room, roster, roster.change()?)));
        let (notices, cut) = limited(changes);
        let encoded = encode(notices);
        self.settle();
        self.forget_names(cut);
        encoded
    }

    /// Passes everybody who is there to `encode`. The rosters must be settled.
    pub fn snapshot<T>(&mut self, encode: impl FnOnce(Notices<'_>) -> T) -> T {
        let all = self.rosters.iter().map(|(room, roster)| (room, roster, roster.snapshot()));
        let (notices, cut) = limited(all);
        let encoded = encode(notices);
        self.forget_names(cut);
        encoded
    }

    /// Notes that the watchers know what has changed.
    fn settle(&mut self) {
        for room in mem::take(&mut self.changed) {
            if let Some(roster) = self.rosters.get_mut(&room) {
                roster.settle();
                if roster.is_empty() {
                    self.rosters.remove(&room);
                }
            }
        }
    }

    /// Notes that the watchers know, or are about to learn, everything.
    pub fn settle_all(&mut self) {
        self.settle();
        self.rosters.values_mut().for_each(Roster::settle);
    }

    /// Notes that there are watchers who do not know the names in any room. They learn all names in a room
    /// when it changes.
    pub fn forget_all_names(&mut self) {
        self.rosters.values_mut().for_each(Roster::forget_names);
    }

    fn forget_names(&mut self, rooms: Vec<Rc<str>>) {
        for room in rooms {
            if let Some(roster) = self.rosters.get_mut(&room) {
                roster.forget_names();
            }
        }
    }
}

/// The notices without more names than a message has, and the rooms of those that are only counts now.
fn limited<'r>(
    notices: impl Iterator<Item = (&'r Rc<str>, &'r Roster, Notice<'r>)>,
) -> (Notices<'r>, Vec<Rc<str>>) {
    let mut names = 0;
    let mut cut = Vec::new();
    let limited = notices.map(|(room, roster, notice)| {
        let fits = names + notice.name_count() <= MAX_NAMES;
        if fits {
            names += notice.name_count();
            return (&**room, notice);
        }
        cut.push(room.clone());
        (&**room, Notice::count(roster.count()))
    });
    let limited = limited.collect();
    (limited, cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: usize) -> ClientId {
        format!("{number}.1").parse().unwrap()
    }

    fn encode(notices: Notices<'_>) -> String {
        serde_json::to_string(&notices).unwrap()
    }

    fn join(rosters: &mut Rosters, number: usize, room: &str) {
        let name = number.to_string();
        rosters.join(client(number), &room.into(), Some(User { name: &name, info: None }));
    }

    #[test]
    fn those_who_leave_are_gone_at_once() {
        let mut rosters = Rosters::new(true);
        join(&mut rosters, 1, "/a");
        join(&mut rosters, 2, "/b");
        let change = r#"{"/a":{"joined":["1"],"left":[],"count":1},"/b":{"joined":["2"],"left":[],"count":1}}"#;
        assert_eq!(rosters.take_change(encode), change);
        let all = r#"{"/a":{"members":["1"],"count":1},"/b":{"members":["2"],"count":1}}"#;
        assert_eq!(rosters.snapshot(encode), all);
        rosters.leave(client(1), &"/a".into());
        join(&mut rosters, 3, "/b");
        rosters.leave(client(3), &"/b".into());
        let change = r#"{"/a":{"joined":[],"left":["1"],"count":0}}"#;
        assert_eq!(rosters.take_change(encode), change);
        assert_eq!(rosters.rosters.len(), 1, "nothing is kept about a vacant room");
        join(&mut rosters, 4, "/c");
        rosters.leave(client(4), &"/c".into());
        assert_eq!((rosters.rosters.len(), rosters.change_count()), (1, 0));
        assert_eq!(rosters.take_change(encode), "{}");
    }

    #[test]
    fn a_message_has_a_thousand_names_and_counts_of_other_rooms() {
        let mut rosters = Rosters::new(true);
        for number in 0..1050 {
            join(&mut rosters, number, &format!("/{:02}", number / 50));
        }
        let change = rosters.take_change(encode);
        assert_eq!(change.matches("joined").count(), 20);
        assert!(change.ends_with(r#""/20":{"count":50}}"#), "{change}");
        // A watcher that does not know the names in a room learns all of them when it changes.
        join(&mut rosters, 2000, "/00");
        join(&mut rosters, 2001, "/20");
        let change = rosters.take_change(encode);
        let beginning =
            r#"{"/00":{"joined":["2000"],"left":[],"count":51},"/20":{"members":["1000","#;
        assert!(change.starts_with(beginning), "{change}");
        let all = rosters.snapshot(encode);
        let counts = all.matches("}").count() - 1 - all.matches("members").count();
        assert_eq!(counts, 2, "{all}");
        rosters.forget_all_names();
        join(&mut rosters, 2002, "/00");
        let change = rosters.take_change(encode);
        assert!(change.starts_with(r#"{"/00":{"members":["0","1","#), "{change}");
    }
}
