//! The people in a room, and what its watchers know of them.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::iter::repeat_n;
use std::rc::Rc;
use std::time::{Duration, Instant};

use townhall::ClientId;

use super::notice::Notice;
use super::people::People;
use crate::auth::{Info, User};

/// Up to this count, watchers receive names.
const MAX_NAMES: usize = 100;

/// How many may be leaving at once. Of more, those that left first count as gone at once.
const MAX_LEAVING: usize = 1000;

/// What the watchers of a room may receive.
#[derive(Debug, Clone, Copy)]
pub struct Audience {
    /// Whether they may know names.
    pub names: bool,
    /// Whether they may miss all messages but the newest. Each message then says everything.
    pub may_miss: bool,
}

/// The people in a room, here and at other processes. One with several connections counts once if they have a
/// name, which is that of their token. Those without a name are counted, and one who comes replaces one who has
/// just left.
#[derive(Debug)]
pub struct Roster {
    /// How long somebody who has left still counts as there.
    grace: Duration,
    audience: Audience,
    /// Those to this process.
    connections: HashMap<ClientId, Option<Rc<str>>>,
    named: BTreeMap<Rc<str>, Person>,
    leaving: VecDeque<(Instant, Rc<str>)>,
    nameless: usize,
    nameless_leaving: VecDeque<Instant>,
    known: Known,
}

/// Somebody with a name.
#[derive(Debug)]
struct Person {
    stay: Stay,
    /// That of the token of the newest connection, or the newest that another process has told.
    info: Option<Info>,
}

/// Whether somebody is in the room.
#[derive(Debug, PartialEq, Eq)]
enum Stay {
    /// With this number of connections, of which all those to another process count as one.
    Here(usize),
    /// Without one since then.
    Leaving(Instant),
}

/// What the watchers know, and how the names have changed since.
#[derive(Debug, Default)]
struct Known {
    count: usize,
    /// Whether they know the names.
    names: bool,
    joined: BTreeSet<Rc<str>>,
    /// With the last info about them.
    left: BTreeMap<Rc<str>, Option<Info>>,
}

impl Roster {
    /// The roster of a room with these members, from the oldest connection to the newest. Its watchers
    /// know all of them.
    pub fn new<'n>(
        grace: Duration,
        audience: Audience,
        members: impl IntoIterator<Item = (ClientId, Option<User<'n>>)>,
    ) -> Self {
        let mut roster = Self {
            grace,
            audience,
            connections: HashMap::new(),
            named: BTreeMap::new(),
            leaving: VecDeque::new(),
            nameless: 0,
            nameless_leaving: VecDeque::new(),
            known: Known::default(),
        };
        for (client, user) in members {
            roster.join(client, user);
        }
        roster.settle();
        roster
    }

    /// The connections of all members.
    pub fn connections(&self) -> impl Iterator<Item = ClientId> {
        self.connections.keys().copied()
    }

    /// Notes a new connection of somebody. New info about somebody who is there already is not a change:
    /// only later watchers get it.
    pub fn join(&mut self, client: ClientId, user: Option<User<'_>>) {
        let name: Option<Rc<str>> = user.map(|user| user.name.into());
        match &name {
            Some(name) => self.arrive(name, user.and_then(|user| user.info).cloned()),
            None => self.arrive_nameless(1),
        }
        self.connections.insert(client, name);
    }

    /// Notes the end of a connection.
    pub fn leave(&mut self, client: ClientId, now: Instant) {
        let Some(name) = self.connections.remove(&client) else { return };
        match name {
            Some(name) => self.depart(&name, now),
            None => self.depart_nameless(1, now),
        }
        self.limit_leaving();
    }

    /// Notes whom another process has here now, in place of those whom it had before.
    pub fn replace(&mut self, before: &People, after: &People, now: Instant) {
        for (name, info) in after.names() {
            match before.names().get(name) {
                None => self.arrive(&(&**name).into(), info.clone()),
                Some(known) if known == info => {}
                Some(_) => self.inform(name, info),
            }
        }
        for name in before.names().keys().filter(|name| !after.names().contains_key(*name)) {
            let name = (&**name).into();
            match self.named.get(&name).map(|person| &person.stay) {
                // The process may count them without their name now. They must not count twice.
                Some(Stay::Here(1)) if after.is_cut() => self.disappear(&name),
                _ => self.depart(&name, now),
            }
        }
        let [before, after] = [before, after].map(People::nameless);
        self.arrive_nameless(after.saturating_sub(before));
        self.depart_nameless(before.saturating_sub(after), now);
        self.limit_leaving();
    }

    /// Removes those who have left long enough ago.
    pub fn expire(&mut self, now: Instant) {
        let grace = self.grace;
        self.forget(|_, since| since + grace <= now);
    }

    /// Whether somebody has left who still counts as there.
    pub fn is_leaving(&self) -> bool {
        !self.leaving.is_empty() || !self.nameless_leaving.is_empty()
    }

    /// What a new watcher must know to understand the next change.
    pub fn snapshot(&self) -> Notice<'_> {
        let Known { count, names, joined, left } = &self.known;
        if !names {
            return Notice::count(*count);
        }
        let there = self.people().filter(|(name, _)| !joined.contains(*name));
        let left = left.iter().map(|(name, info)| (&**name, info.as_ref()));
        Notice::all(there.chain(left).collect(), *count)
    }

    /// What has changed since the roster was [settled](Self::settle), for those who know the rest.
    pub fn change(&self) -> Option<Notice<'_>> {
        let Known { count: known_count, names, joined, left } = &self.known;
        let count = self.count();
        let is_same = count == *known_count;
        match (names, self.may_name()) {
            (true, true) if is_same && joined.is_empty() && left.is_empty() => None,
            (true, true) if !self.audience.may_miss => {
                let joined = self.people().filter(|(name, _)| joined.contains(*name)).collect();
                let left = left.keys().map(|name| &**name).collect();
                Some(Notice::change(joined, left, count))
            }
            (_, true) => Some(Notice::all(self.people().collect(), count)),
            (_, false) => (!is_same).then(|| Notice::count(count)),
        }
    }

    /// Those with a name, and the info about them.
    fn people(&self) -> impl Iterator<Item = (&str, Option<&Info>)> {
        self.named.iter().map(|(name, person)| (&**name, person.info.as_ref()))
    }

    pub fn is_empty(&self) -> bool {
        self.connections.is_empty() && self.count() == 0
    }

    /// How many are there.
    pub fn count(&self) -> usize {
        self.named.len() + self.nameless + self.nameless_leaving.len()
    }

    /// Whether the watchers may know the names.
    fn may_name(&self) -> bool {
        self.audience.names && self.count() <= MAX_NAMES
    }

    /// Notes that the watchers know everything.
    pub fn settle(&mut self) {
        self.known = Known { count: self.count(), names: self.may_name(), ..Known::default() };
    }

    /// Notes that there are watchers who do not know the names. They get all when something changes.
    pub fn forget_names(&mut self) {
        self.known.names = false;
    }

    fn arrive(&mut self, name: &Rc<str>, info: Option<Info>) {
        let Some(person) = self.named.get_mut(name) else { return self.appear(name, info) };
        person.stay = match person.stay {
            Stay::Here(connections) => Stay::Here(connections + 1),
            Stay::Leaving(_) => Stay::Here(1),
        };
        person.info = info;
    }

    fn inform(&mut self, name: &str, info: &Option<Info>) {
        if let Some(person) = self.named.get_mut(name) {
            person.info.clone_from(info);
        }
    }

    fn arrive_nameless(&mut self, count: usize) {
        let returned = count.min(self.nameless_leaving.len());
        self.nameless_leaving.drain(..returned);
        self.nameless += count;
    }

    fn depart(&mut self, name: &Rc<str>, now: Instant) {
        match self.named.get_mut(name).map(|person| &mut person.stay) {
            Some(Stay::Here(connections)) if *connections > 1 => *connections -= 1,
            Some(stay) => {
                *stay = Stay::Leaving(now);
                self.leaving.push_back((now, name.clone()));
            }
            None => {}
        }
    }

    fn depart_nameless(&mut self, count: usize, now: Instant) {
        self.nameless -= count;
        self.nameless_leaving.extend(repeat_n(now, count.min(MAX_LEAVING)));
    }

    fn appear(&mut self, name: &Rc<str>, info: Option<Info>) {
        self.named.insert(name.clone(), Person { stay: Stay::Here(1), info });
        if self.known.left.remove(name).is_none() {
            self.known.joined.insert(name.clone());
        }
    }

    fn disappear(&mut self, name: &Rc<str>) {
        let person = self.named.remove(name);
        if !self.known.joined.remove(name) {
            self.known.left.insert(name.clone(), person.and_then(|person| person.info));
        }
    }

    fn limit_leaving(&mut self) {
        self.forget(|leaving, _| leaving > MAX_LEAVING);
    }

    /// Removes those who have left first, as long as `is_gone` returns true for the number of those who
    /// are leaving, and for the moment at which the first of them left.
    fn forget(&mut self, is_gone: impl Fn(usize, Instant) -> bool) {
        while let Some((since, _)) = self.leaving.front()
            && is_gone(self.leaving.len(), *since)
            && let Some((since, name)) = self.leaving.pop_front()
        {
            // Otherwise, they have come back.
            let person = self.named.get(&name);
            if person.is_some_and(|person| person.stay == Stay::Leaving(since)) {
                self.disappear(&name);
            }
        }
        while let Some(since) = self.nameless_leaving.front()
            && is_gone(self.nameless_leaving.len(), *since)
        {
            self.nameless_leaving.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
