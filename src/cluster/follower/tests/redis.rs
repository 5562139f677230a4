//! A Redis that does what the scripts do, and forgets what the real one may.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use super::*;

/// An entry of the stream, its position, and when it was added.
type Stored = (Position, Rc<Entry>, u64);

/// A room that stands in Redis.
#[derive(Debug, Clone)]
pub struct Room {
    pub epoch: u64,
    /// All messages of the epoch. The stream has the last ones.
    pub log: Vec<Rc<Entry>>,
    stream: VecDeque<Stored>,
    /// By process, the number of the last message, and the place of the first one of that call.
    done: HashMap<Process, (u64, Position)>,
}

#[derive(Debug)]
pub struct Redis {
    now: u64,
    keep: usize,
    room: Option<Room>,
    /// The room before each change.
    past: Vec<Option<Room>>,
    /// Everything that ever stood somewhere.
    pub written: Vec<(Position, Rc<Entry>)>,
    strangers: u64,
}

impl Room {
    fn new(epoch: u64, done: HashMap<Process, (u64, Position)>) -> Self {
        Self { epoch, log: Vec::new(), stream: VecDeque::new(), done }
    }

    pub fn end(&self) -> Position {
        Position::new(self.epoch, self.log.len() as u64)
    }
}

impl Redis {
    pub fn new(keep: usize) -> Self {
        Self { now: 1 << 40, keep, room: None, past: Vec::new(), written: Vec::new(), strangers: 0 }
    }

    pub fn room(&self) -> Option<&Room> {
        self.room.as_ref()
    }

    pub fn pass(&mut self, milliseconds: u64) {
        self.now += milliseconds;
    }

    /// Sets the clock back further than it ever advances, so that no two times are the same.
    pub fn set_clock_back(&mut self) {
        self.now -= 1_000;
    }

    /// Publishes as a process does, and returns what is sent on the channel, unless it is known already.
    pub fn publish(&mut self, entries: &[Entry]) -> Option<Batch> {
        let origin = entries.last()?.origin?;
        let done = self.room.as_ref().and_then(|room| room.done.get(&origin.process));
        if done.is_some_and(|(number, _)| origin.number <= *number) {
            return None;
        }
        let batch = self.append(entries);
        let first = Position::new(batch.epoch, batch.first);
        self.room.as_mut()?.done.insert(origin.process, (origin.number, first));
        Some(batch)
    }

    /// Publishes as another program does.
    pub fn publish_strange(&mut self, size: usize) -> Batch {
        self.strangers += 1;
        let origin = Some(Origin { process: Process(0), number: self.strangers });
        self.append(&[Entry { kind: Kind::Text, payload: vec![b'x'; size], origin }])
    }

    fn append(&mut self, entries: &[Entry]) -> Batch {
        self.past.push(self.room.clone());
        let (now, keep) = (self.now, self.keep);
        let room = self.room.get_or_insert_with(|| Room::new(now, HashMap::new()));
        let first = room.end().sequence() + 1;
        for entry in entries {
            let entry = Rc::new(entry.clone());
            room.log.push(entry.clone());
            room.stream.push_back((room.end(), entry.clone(), now));
            self.written.push((room.end(), entry));
        }
        let surplus = room.stream.len().saturating_sub(keep);
        room.stream.drain(..surplus);
        Batch { epoch: room.epoch, first, at: now, entries: entries.to_vec() }
    }

    pub fn read(&mut self, from: Option<Position>, max_count: usize, max_bytes: usize) -> Snapshot {
        let now = self.now;
        let room = self.room.get_or_insert_with(|| Room::new(now, HashMap::new()));
        let found: Vec<&Stored> = match from {
            Some(from) => room.stream.iter().filter(|(at, ..)| key(*at) >= key(from)).collect(),
            None => room.stream.iter().rev().collect(),
        };
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for (at, entry, added) in found.into_iter().take(max_count) {
            if bytes >= max_bytes {
                break;
            }
            // What is already known must leave room for more.
            bytes += if from == Some(*at) { 0 } else { entry.payload.len() };
            entries.push((*at, Entry::clone(entry), *added));
        }
        Snapshot { end: room.end(), now, entries }
    }

    /// Begins an epoch above `floor` in the place of `lost`, with the messages that were added after a time.
    /// Returns what is sent on the channel.
    pub fn renew(&mut self, lost: u64, floor: u64, after: Option<u64>) -> Option<Batch> {
        let known = self.room.as_ref().filter(|room| room.epoch != lost);
        if known.is_some() {
            return None;
        }
        self.past.push(self.room.clone());
        let before = self.room.take();
        let epoch = self.now.max(floor + 1);
        let is_late = |(.., at): &&Stored| after.is_some_and(|after| *at > after);
        let stream = before.iter().flat_map(|room| &room.stream);
        let carried: Vec<_> = stream.rev().take_while(is_late).cloned().collect();
        let mut room = Room::new(epoch, before.map(|room| room.done).unwrap_or_default());
        for (_, entry, at) in carried.into_iter().rev() {
            room.log.push(entry.clone());
            room.stream.push_back((room.end(), entry.clone(), at));
            self.written.push((room.end(), entry));
        }
        let first = room.end().sequence() + 1;
        self.room = Some(room);
        Some(Batch { epoch, first, at: self.now, entries: Vec::new() })
    }

    /// Goes back by a number of changes: a replica that has not received them takes over.
    pub fn lose(&mut self, changes: usize) {
        for _ in 0..changes {
            if let Some(room) = self.past.pop() {
                self.room = room;
            }
        }
        self.pass(1);
    }

    pub fn lose_everything(&mut self) {
        self.past.clear();
        self.room = None;
        self.pass(1);
    }

    pub fn trim(&mut self, left: usize) {
        if let Some(room) = &mut self.room {
            let surplus = room.stream.len().saturating_sub(left);
            room.stream.drain(..surplus);
        }
    }
}

/// Orders positions of one room.
pub fn key(at: Position) -> (u64, u64) {
    (at.epoch(), at.sequence())
}
