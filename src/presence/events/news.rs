//! What changes in the rooms, and the messages about it.

use std::collections::BTreeMap;

use serde::Serialize;
use townhall::ClientId;

use super::rooms::{Change, Rooms};
use super::rosters::{Notices, Rosters};
use super::subject::Subject;
use crate::auth::User;

/// How many rooms one message names.
const MAX_ROOMS: usize = 1000;

/// The rooms, and who is in them if somebody wants to know.
#[derive(Debug, Default)]
pub struct News {
    rooms: Rooms,
    members: Option<Rosters>,
}

/// A message to the watchers.
#[derive(Debug, Default, Serialize)]
struct Message<'n> {
    #[serde(skip_serializing_if = "Option::is_none")]
    rooms: Option<Vec<&'n str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    occupied: Option<Vec<&'n str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vacated: Option<Vec<&'n str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Notices<'n>>,
    count: usize,
}

impl<'n> Message<'n> {
    fn all(rooms: &'n Rooms) -> Self {
        Self { rooms: Some(rooms.names().collect()), ..Self::count(rooms) }
    }

    fn change(change: Change<'n>, rooms: &'n Rooms) -> Self {
        let Change { occupied, vacated } = change;
        Self { occupied: Some(occupied), vacated: Some(vacated), ..Self::count(rooms) }
    }

    fn count(rooms: &Rooms) -> Self {
        Self { count: rooms.count(), ..Self::default() }
    }

    fn with(self, members: Notices<'n>) -> Self {
        Self { members: Some(members), ..self }
    }

    fn encode(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers are JSON")
    }
}

impl News {
    /// Notes that a client has joined a room.
    pub fn join(&mut self, client: ClientId, room: &str, user: Option<User<'_>>) {
        let room = self.rooms.join(client, room);
        if let Some(members) = &mut self.members {
            members.join(client, &room, user);
        }
    }

    /// Notes that a client has left.
    pub fn leave(&mut self, client: ClientId) {
        let Some(room) = self.rooms.leave(client) else { return };
        if let Some(members) = &mut self.members {
            members.leave(client, &room);
        }
    }

    pub fn has_members(&self) -> bool {
        self.members.is_some()
    }

    /// Begins to follow who is in the rooms.
    pub fn follow_members<'h>(
        &mut self,
        has_names: bool,
        members: impl Iterator<Item = (ClientId, &'h str, Option<User<'h>>)>,
    ) {
        let mut rosters = Rosters::new(has_names);
        for (client, room, user) in members {
            rosters.join(client, &room.into(), user);
        }
        rosters.settle_all();
        self.members = Some(rosters);
    }

    pub fn forget_members(&mut self) {
        self.members = None;
    }

    /// Notes that the watchers know everything.
    pub fn settle(&mut self) {
        self.rooms.settle();
    }

    /// The messages about what has changed since the last call, by those who get them.
    pub fn take(&mut self) -> BTreeMap<Subject, String> {
        let rooms = self.take_rooms().map(|text| (Subject::Rooms, text));
        let members = self.take_members().map(|text| (Subject::Members, text));
        self.rooms.settle();
        rooms.into_iter().chain(members).collect()
    }

    fn take_rooms(&mut self) -> Option<String> {
        let change = self.rooms.change();
        match change.len() {
            0 => None,
            1..=MAX_ROOMS => Some(Message::change(change, &self.rooms).encode()),
            _ => Some(self.snapshot(Subject::Rooms)),
        }
    }

    fn take_members(&mut self) -> Option<String> {
        let members = self.members.as_mut()?;
        let change = self.rooms.change();
        if change.len().max(members.change_count()) > MAX_ROOMS {
            members.settle_all();
            return Some(self.snapshot(Subject::Members));
        }
        members.take_change(|notices| {
            let is_news = change.len() > 0 || !notices.is_empty();
            is_news.then(|| Message::change(change, &self.rooms).with(notices).encode())
        })
    }

    /// The message about all that there is, for those who know nothing yet. Everything must be settled.
    pub fn snapshot(&mut self, subject: Subject) -> String {
        let rooms = &self.rooms;
        let is_large = rooms.count() > MAX_ROOMS;
        match (subject, &mut self.members) {
            (Subject::Members, Some(members)) if is_large => {
                members.forget_all_names();
                Message::count(rooms).encode()
            }
            (Subject::Members, Some(members)) => {
                members.snapshot(|notices| Message::all(rooms).with(notices).encode())
            }
            _ if is_large => Message::count(rooms).encode(),
            _ => Message::all(rooms).encode(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: usize) -> ClientId {
        format!("{number}.1").parse().unwrap()
    }

    fn user(name: &str) -> Option<User<'_>> {
        Some(User { name, info: None })
    }

    /// The messages to those who watch the rooms, and to those who watch the members.
    fn take(news: &mut News) -> [Option<String>; 2] {
        let mut texts = news.take();
        [Subject::Rooms, Subject::Members].map(|subject| texts.remove(&subject))
    }

    fn texts(texts: [&str; 2]) -> [Option<String>; 2] {
        texts.map(|text| Some(text.to_owned()))
    }

    #[test]
    fn those_who_watch_the_members_also_learn_of_the_rooms() {
        let mut news = News::default();
        news.join(client(1), "/a", None);
        news.follow_members(true, [(client(1), "/a", user("7"))].into_iter());
        news.settle();
        assert_eq!(news.snapshot(Subject::Rooms), r#"{"rooms":["/a"],"count":1}"#);
        let all = r#"{"rooms":["/a"],"members":{"/a":{"members":["7"],"count":1}},"count":1}"#;
        assert_eq!(news.snapshot(Subject::Members), all);
        assert_eq!(take(&mut news), [None, None]);
        news.join(client(2), "/b", user("8"));
        news.leave(client(1));
        let change = texts([
            r#"{"occupied":["/b"],"vacated":["/a"],"count":1}"#,
            r#"{"occupied":["/b"],"vacated":["/a"],"members":{"/a":{"joined":[],"left":["7"],"count":0},"/b":{"joined":["8"],"left":[],"count":1}},"count":1}"#,
        ]);
        assert_eq!(take(&mut news), change);
        news.join(client(3), "/b", user("9"));
        let change = r#"{"occupied":[],"vacated":[],"members":{"/b":{"joined":["9"],"left":[],"count":2}},"count":1}"#;
        assert_eq!(take(&mut news), [None, Some(change.to_owned())]);
        news.join(client(4), "/c", user("9"));
        news.leave(client(4));
        assert_eq!(take(&mut news), [None, None]);
    }

    #[test]
    fn a_message_names_a_thousand_rooms() {
        let mut news = News::default();
        news.follow_members(true, std::iter::empty());
        for number in 0..MAX_ROOMS {
            news.join(client(number), &format!("/{number}"), user("7"));
        }
        let [rooms, members] = take(&mut news).map(Option::unwrap);
        assert!(rooms.starts_with(r#"{"occupied":["/0","/1","/10","#), "{rooms}");
        assert_eq!(members.matches(r#""joined":["7"]"#).count(), MAX_ROOMS);
        assert!(news.snapshot(Subject::Rooms).starts_with(r#"{"rooms":["/0","/1","#));
        news.join(client(MAX_ROOMS), "/x", user("8"));
        let change = r#"{"occupied":["/x"],"vacated":[],"count":1001}"#;
        assert_eq!(take(&mut news)[0].as_deref(), Some(change));
        let count = r#"{"count":1001}"#;
        assert_eq!(Subject::ALL.map(|subject| news.snapshot(subject)), [count, count]);
        // Those who know no names get all of a room when it changes.
        news.join(client(MAX_ROOMS + 1), "/x", user("9"));
        let change = r#"{"occupied":[],"vacated":[],"members":{"/x":{"members":["8","9"],"count":2}},"count":1001}"#;
        assert_eq!(take(&mut news), [None, Some(change.to_owned())]);
        // After more changes than that, the message has everything.
        for number in 0..=MAX_ROOMS {
            news.leave(client(number));
        }
        news.join(client(1), "/y", user("9"));
        let all = texts([
            r#"{"rooms":["/x","/y"],"count":2}"#,
            r#"{"rooms":["/x","/y"],"members":{"/x":{"members":["9"],"count":1},"/y":{"members":["9"],"count":1}},"count":2}"#,
        ]);
        assert_eq!(take(&mut news), all);
    }
}
