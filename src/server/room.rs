//! Rooms: a name, members, and the logs of what they say.

use std::collections::HashMap;

use slab::Slab;

use super::id::ClientId;
use super::logs::Logs;
use super::outbound::TickEnd;

/// A room that somebody is in.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) name: Box<str>,
    pub(super) logs: Logs,
    /// The keys of its members.
    pub(super) members: Vec<usize>,
    /// It grew, and waits to be flushed.
    pub(super) dirty: bool,
    /// How many members the flush that is under way has come past.
    pub(super) flushed: usize,
    /// It grew since that flush began.
    pub(super) grew_meanwhile: bool,
    /// Its flush did not fit into the last turn. Its members are read when it is complete.
    pub(super) overdue: bool,
    /// How many members read the plain log until they can hop to the shared one.
    pub(super) waiting: usize,
    /// How many members the room waits for, because they are too far behind.
    pub(super) laggards: usize,
    /// Members that are not read until it goes on.
    pub(super) parked: Vec<ClientId>,
}

impl Room {
    /// Begins to flush: what is there now is about to be offered to all members.
    pub(super) fn begin_flush(&mut self) {
        self.logs.begin_offer();
        self.grew_meanwhile = false;
    }

    /// Notes that the flush has come past all members.
    pub(super) fn end_flush(&mut self, end: TickEnd) {
        self.flushed = 0;
        if end == TickEnd::Now {
            self.logs.offer();
            (self.dirty, self.overdue) = (self.grew_meanwhile, false);
        }
    }
}

/// All rooms, by key and by name.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    rooms: Slab<Room>,
    names: HashMap<Box<str>, usize>,
}

impl Rooms {
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// The room of this name, made if there is none.
    pub(super) fn find_or_make(&mut self, name: &str) -> usize {
        if let Some(key) = self.find(name) {
            return key;
        }
        let name: Box<str> = name.into();
        let key = self.rooms.insert(Room {
            name: name.clone(),
            logs: Logs::default(),
            members: Vec::new(),
            dirty: false,
            flushed: 0,
            grew_meanwhile: false,
            overdue: false,
            waiting: 0,
            laggards: 0,
            parked: Vec::new(),
        });
        self.names.insert(name, key);
        key
    }

    pub(super) fn get(&self, key: usize) -> Option<&Room> {
        self.rooms.get(key)
    }

    pub(super) fn get_mut(&mut self, key: usize) -> Option<&mut Room> {
        self.rooms.get_mut(key)
    }

    /// Forgets a room that nobody is in.
    pub(super) fn remove_if_empty(&mut self, key: usize) {
        if self.rooms.get(key).is_some_and(|room| room.members.is_empty()) {
            let room = self.rooms.remove(key);
            self.names.remove(&room.name);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rooms.len()
    }
}
