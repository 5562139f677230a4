//! The people in a room, and what its watchers know of them.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::Serialize;
use townhall::ClientId;

/// How long somebody who has left still counts as there, so that a page can be reloaded unnoticed.
pub const GRACE: Duration = Duration::from_secs(5);

/// Up to this count, watchers receive names.
const MAX_NAMES: usize = 100;

/// How many may be leaving at once. Of more, those that left first count as gone at once.
const MAX_LEAVING: usize = 1000;

/// The people in a room. One with several connections counts once if they have a name, which is that of
/// their token. Those without a name are counted, and one who comes replaces one who has just left.
#[derive(Debug)]
pub struct Roster {
    /// Whether watchers may receive names.
    has_names: bool,
    connections: HashMap<ClientId, Option<Rc<str>>>,
    named: BTreeMap<Rc<str>, Stay>,
    leaving: VecDeque<(Instant, Rc<str>)>,
    nameless: usize,
    nameless_leaving: VecDeque<Instant>,
    known: Known,
}

/// Whether somebody is in the room.
#[derive(Debug, PartialEq, Eq)]
enum Stay {
    /// With this number of connections.
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
    left: BTreeSet<Rc<str>>,
}

/// A message to the watchers.
#[derive(Debug, Default, Serialize)]
struct Notice<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    joined: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<Vec<&'a str>>,
    count: usize,
}

impl Notice<'_> {
    fn encode(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers are JSON")
    }
}

impl Roster {
    /// The roster of a room with these members. Its watchers know all of them.
    pub fn new<'n>(
        has_names: bool,
        members: impl IntoIterator<Item = (ClientId, Option<&'n str>)>,
    ) -> Self {
        let mut roster = Self {
            has_names,
            connections: HashMap::new(),
            named: BTreeMap::new(),
            leaving: VecDeque::new(),
            nameless: 0,
            nameless_leaving: VecDeque::new(),
            known: Known::default(),
        };
        for (client, name) in members {
            roster.join(client, name);
        }
        roster.settle();
        roster
    }

    /// The connections of all members.
    pub fn connections(&self) -> impl Iterator<Item = ClientId> {
        self.connections.keys().copied()
    }

    /// Notes a new connection of somebody.
    pub fn join(&mut self, client: ClientId, name: Option<&str>) {
        let name: Option<Rc<str>> = name.map(Rc::from);
        if let Some(name) = &name {
            match self.named.get_mut(name) {
                Some(Stay::Here(connections)) => *connections += 1,
                Some(stay) => *stay = Stay::Here(1),
                None => self.appear(name),
            }
        } else {
            self.nameless_leaving.pop_front();
            self.nameless += 1;
        }
        self.connections.insert(client, name);
    }

    /// Notes the end of a connection.
    pub fn leave(&mut self, client: ClientId, now: Instant) {
        let Some(name) = self.connections.remove(&client) else { return };
        if let Some(name) = name {
            match self.named.get_mut(&name) {
                Some(Stay::Here(connections)) if *connections > 1 => *connections -= 1,
                Some(stay) => {
                    *stay = Stay::Leaving(now);
                    self.leaving.push_back((now, name));
                }
                None => {}
            }
        } else {
            self.nameless -= 1;
            self.nameless_leaving.push_back(now);
        }
        self.forget(|leaving, _| leaving > MAX_LEAVING);
    }

    /// Removes those who have left long enough ago.
    pub fn expire(&mut self, now: Instant) {
        self.forget(|_, since| since + GRACE <= now);
    }

    /// Whether somebody has left who still counts as there.
    pub fn is_leaving(&self) -> bool {
        !self.leaving.is_empty() || !self.nameless_leaving.is_empty()
    }

    /// What a new watcher must know to understand the next change.
    pub fn snapshot(&self) -> String {
        let Known { count, names, joined, left } = &self.known;
        let mut members = None;
        if *names {
            let there = self.named.keys().filter(|name| !joined.contains(*name));
            let known: BTreeSet<_> = there.chain(left).map(|name| &**name).collect();
            members = Some(known.into_iter().collect());
        }
        Notice { members, count: *count, ..Notice::default() }.encode()
    }

    /// What has changed since the last call, for those who know the rest.
    pub fn take_change(&mut self) -> Option<String> {
        let Known { count, names, joined, left } = &self.known;
        let mut notice = Notice { count: self.count(), ..Notice::default() };
        let is_same = notice.count == *count;
        let change = match (names, self.may_name()) {
            (true, true) if is_same && joined.is_empty() && left.is_empty() => None,
            (true, true) => {
                notice.joined = Some(list(joined));
                notice.left = Some(list(left));
                Some(notice.encode())
            }
            (false, true) => {
                notice.members = Some(list(self.named.keys()));
                Some(notice.encode())
            }
            (_, false) => (!is_same).then(|| notice.encode()),
        };
        self.settle();
        change
    }

    fn count(&self) -> usize {
        self.named.len() + self.nameless + self.nameless_leaving.len()
    }

    /// Whether the watchers may know the names.
    fn may_name(&self) -> bool {
        self.has_names && self.count() <= MAX_NAMES
    }

    /// Notes that the watchers know everything.
    pub fn settle(&mut self) {
        self.known = Known { count: self.count(), names: self.may_name(), ..Known::default() };
    }

    fn appear(&mut self, name: &Rc<str>) {
        self.named.insert(name.clone(), Stay::Here(1));
        if !self.known.left.remove(name) {
            self.known.joined.insert(name.clone());
        }
    }

    fn disappear(&mut self, name: &Rc<str>) {
        self.named.remove(name);
        if !self.known.joined.remove(name) {
            self.known.left.insert(name.clone());
        }
    }

    /// Removes those who have left first, as long as `is_gone` returns true for the number of those who
    /// are leaving, and for the moment at which the first of them left.
    fn forget(&mut self, is_gone: impl Fn(usize, Instant) -> bool) {
        while let Some((since, _)) = self.leaving.front()
            && is_gone(self.leaving.len(), *since)
            && let Some((since, name)) = self.leaving.pop_front()
        {
            // Otherwise, they have come back.
            if self.named.get(&name) == Some(&Stay::Leaving(since)) {
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

fn list<'n>(names: impl IntoIterator<Item = &'n Rc<str>>) -> Vec<&'n str> {
    names.into_iter().map(|name| &**name).collect()
}

#[cfg(test)]
mod tests;
