//! The members of a room: `GET /lobby` counts its members, and `/lobby/@members` is a room in which the server
//! says who comes and goes. On the admin listener, `/events` is one that is about all rooms.

mod accept;
mod count;
mod events;
mod notice;
mod people;
mod remote;
mod rooms;
mod roster;
mod sharing;

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use townhall::{ClientId, CloseCode, Handle, Hub};

use crate::auth;
use crate::denied::Denied;
pub use accept::prefers_json;
pub use count::Counter;
use events::Events;
pub use events::{EVENTS, Requests, Subject, Watch};
pub use people::People;
use remote::Remote;
pub use rooms::MemberRooms;
pub use roster::Audience;
use roster::Roster;
use sharing::Sharing;

/// The token of the timer for changes.
pub const CHANGES: u64 = 4;

/// How long somebody who has left still counts as there, so that a page can be reloaded unnoticed.
const GRACE: Duration = Duration::from_secs(5);

/// How much time there is between two changes.
const INTERVAL: Duration = Duration::from_secs(1);

/// Why nobody may publish in a room that shows the members of another.
pub const ONLY_THE_SERVER: &str = "only the server speaks in this room";

/// Sends changes to those who watch the members of a room. It keeps nothing about other rooms, unless it shares
/// its people with other processes.
#[derive(Debug)]
pub struct Presence {
    rooms: MemberRooms,
    audience: Audience,
    watched: HashMap<Rc<str>, Watched>,
    /// Where the watchers, and the members of the rooms that are watched, are.
    places: HashMap<ClientId, Place>,
    /// The watched rooms for which the next timer has something to do.
    changed: BTreeSet<Rc<str>>,
    last: Option<Instant>,
    /// Messages about all rooms, for the admin listener.
    events: Option<Events>,
    /// What other processes are to be told.
    sharing: Option<Sharing>,
    /// What other processes have told.
    remote: Remote,
}

/// A room whose members are watched.
#[derive(Debug)]
struct Watched {
    roster: Roster,
    /// The name of the room in which the watchers are.
    member_room: Box<str>,
    watchers: usize,
}

/// The room of a client.
#[derive(Debug)]
enum Place {
    Member(Rc<str>),
    Watcher(Rc<str>),
}

impl Presence {
    pub fn new(rooms: MemberRooms, audience: Audience) -> Self {
        Self {
            rooms,
            audience,
            watched: HashMap::new(),
            places: HashMap::new(),
            changed: BTreeSet::new(),
            last: None,
            events: None,
            sharing: None,
            remote: Remote::default(),
        }
    }

    /// Lets clients of another server watch all rooms. The handles are those of the server that is watched,
    /// and of that of the watchers.
    pub fn follow_rooms(&mut self, watched: Handle, watchers: Handle) -> Requests {
        let (events, requests) = Events::new(watched, watchers, self.audience.names);
        self.events = Some(events);
        requests
    }

    /// Notes that a client has joined a room.
    pub fn join(&mut self, hub: &mut Hub, client: ClientId, room: &str) {
        if let Some(events) = &mut self.events {
            events.join(hub, client, room);
        }
        if let Some(sharing) = &mut self.sharing {
            let user = self.rooms.shows(room).then(|| auth::user(hub, client)).flatten();
            sharing.join(client, room, user);
        }
        if let Some(shown) = self.rooms.shown_by(room) {
            return self.watch(hub, client, shown, room);
        }
        let Some((name, _)) = self.watched.get_key_value(room) else { return };
        let name = name.clone();
        self.places.insert(client, Place::Member(name.clone()));
        if let Some(watched) = self.watched.get_mut(&name) {
            watched.roster.join(client, auth::user(hub, client));
        }
        self.note_change(hub, name);
    }

    /// Notes that a client has left.
    pub fn leave(&mut self, hub: &mut Hub, client: ClientId) {
        if let Some(events) = &mut self.events {
            events.leave(hub, client);
        }
        if let Some(sharing) = &mut self.sharing {
            sharing.leave(client);
        }
        let Some(place) = self.places.remove(&client) else { return };
        let (Place::Member(room) | Place::Watcher(room)) = &place;
        let Some(watched) = self.watched.get_mut(room) else { return };
        match place {
            Place::Member(_) => watched.roster.leave(client, Instant::now()),
            Place::Watcher(_) => watched.watchers -= 1,
        }
        if watched.watchers == 0 || matches!(place, Place::Member(_)) {
            let (Place::Member(room) | Place::Watcher(room)) = place;
            self.note_change(hub, room);
        }
    }

    /// The number of members of a room, at all processes.
    pub fn members(&self, hub: &Hub, room: &str) -> usize {
        let here = hub.room(room).map_or(0, |room| room.member_count());
        here + self.remote.in_room(room).map(People::connections).sum::<usize>()
    }

    /// Closes a client that has sent a message to a room in which only the server speaks. Returns whether
    /// it has.
    pub fn silence(&self, hub: &mut Hub, client: ClientId) -> bool {
        let watches = matches!(self.places.get(&client), Some(Place::Watcher(_)));
        if watches {
            Denied::OnlyTheServerSpeaks.count(hub);
            hub.close(client, CloseCode::POLICY_VIOLATION, ONLY_THE_SERVER);
        }
        watches
    }

    /// Does what one of the timers was set for.
    pub fn expire(&mut self, hub: &mut Hub, token: u64) {
        match (token, &mut self.events) {
            (EVENTS, Some(events)) => events.send(hub),
            (CHANGES, _) => self.send_changes(hub),
            _ => {}
        }
    }

    /// Sends the changes of a second.
    fn send_changes(&mut self, hub: &mut Hub) {
        let now = Instant::now();
        self.last = Some(now);
        for room in mem::take(&mut self.changed) {
            let Some(watched) = self.watched.get_mut(&room) else { continue };
            if watched.watchers == 0 {
                self.forget(&room);
                continue;
            }
            watched.roster.expire(now);
            if let Some(change) = watched.roster.change() {
                hub.broadcast(&watched.member_room, &*change.encode());
            }
            watched.roster.settle();
            if watched.roster.is_leaving() {
                self.changed.insert(room);
            }
        }
        if !self.changed.is_empty() {
            hub.set_timer(ClientId::SERVER, CHANGES, INTERVAL);
        }
    }

    fn watch(&mut self, hub: &mut Hub, client: ClientId, shown: &str, member_room: &str) {
        if !self.watched.contains_key(shown) {
            self.begin(hub, shown, member_room);
        }
        let Some((room, _)) = self.watched.get_key_value(shown) else { return };
        self.places.insert(client, Place::Watcher(room.clone()));
        if let Some(watched) = self.watched.get_mut(shown) {
            if watched.watchers == 0 {
                // Nobody waits for the changes.
                watched.roster.settle();
            }
            watched.watchers += 1;
            hub.send(client, &*watched.roster.snapshot().encode());
        }
    }

    /// Begins to follow who is in a room.
    fn begin(&mut self, hub: &Hub, shown: &str, member_room: &str) {
        let room: Rc<str> = shown.into();
        let mut members: Vec<_> = hub.members(shown).collect();
        members.sort_by_key(|&member| Reverse(hub.open_for(member)));
        let members = members.into_iter().map(|member| (member, auth::user(hub, member)));
        let mut roster = Roster::new(GRACE, self.audience, members);
        let now = Instant::now();
        let nobody = People::default();
        self.remote.in_room(shown).for_each(|people| roster.replace(&nobody, people, now));
        roster.settle();
        let places = roster.connections().map(|member| (member, Place::Member(room.clone())));
        self.places.extend(places);
        let watched = Watched { roster, member_room: member_room.into(), watchers: 0 };
        self.watched.insert(room, watched);
    }

    /// Keeps nothing more about a room.
    fn forget(&mut self, room: &str) {
        let Some(watched) = self.watched.remove(room) else { return };
        for member in watched.roster.connections() {
            self.places.remove(&member);
        }
    }

    fn note_change(&mut self, hub: &mut Hub, room: Rc<str>) {
        if self.changed.is_empty() {
            let passed = self.last.map_or(INTERVAL, |last| last.elapsed());
            hub.set_timer(ClientId::SERVER, CHANGES, INTERVAL.saturating_sub(passed));
        }
        self.changed.insert(room);
    }
}

/// What goes from process to process.
impl Presence {
    /// Begins to note what other processes are to be told: before the first client joins a room.
    pub fn share(&mut self) {
        self.sharing = Some(Sharing::default());
    }

    /// The rooms whose people here have changed since the last call, and who is there now. It is empty unless
    /// this process [shares](Self::share) them.
    pub fn changes(&mut self) -> Vec<(Arc<str>, People)> {
        self.sharing.as_mut().map(Sharing::take_changes).unwrap_or_default()
    }

    /// All rooms that have members here, and who is there. It is empty unless this process
    /// [shares](Self::share) them.
    pub fn all(&self) -> Vec<(Arc<str>, People)> {
        self.sharing.as_ref().map(Sharing::all).unwrap_or_default()
    }

    /// Notes whom another process has in a room now.
    pub fn set_remote(&mut self, hub: &mut Hub, process: &str, room: &str, people: People) {
        let nobody = People::default();
        let before = self.remote.get(process, room).unwrap_or(&nobody);
        if *before == people {
            return;
        }
        if let Some(watched) = self.watched.get_mut(room) {
            watched.roster.replace(before, &people, Instant::now());
        }
        self.remote.set(process, room, people);
        self.note_remote_change(hub, room);
    }

    /// Notes that another process has ended: whom it had leaves now. If everything that it has told is set
    /// again at once, nobody has left.
    pub fn forget_process(&mut self, hub: &mut Hub, process: &str) {
        let now = Instant::now();
        for (room, people) in self.remote.forget(process) {
            if let Some(watched) = self.watched.get_mut(&*room) {
                watched.roster.replace(&people, &People::default(), now);
            }
            self.note_remote_change(hub, &room);
        }
    }

    fn note_remote_change(&mut self, hub: &mut Hub, room: &str) {
        if let Some((room, _)) = self.watched.get_key_value(room) {
            let room = room.clone();
            self.note_change(hub, room);
        }
    }
}

#[cfg(test)]
mod tests;
