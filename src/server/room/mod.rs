//! Rooms: a name, members, and the logs of their messages.

pub(crate) mod compressor;
pub(crate) mod encoded_logs;
pub(crate) mod frame_log;
pub(crate) mod segment;
pub(crate) mod segment_pool;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use slab::Slab;

use crate::config::Config;
use crate::protocol::{Deflate, Message, Refusal};
use crate::server::capacity::{MIN_CAPACITY, capacity_to_keep, is_loose};
use crate::server::client_id::ClientId;
use crate::server::counts::Compression;
use crate::server::limits::address::AddressKey;
use crate::server::room::compressor::{Compressors, Encoding};
use crate::server::room::encoded_logs::EncodedLogs;
use crate::server::room::frame_log::FrameLog;
use crate::server::room::segment_pool::SegmentPool;

/// A room that has members.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) name: Box<str>,
    /// The address of the client that created the room, if the limits per address apply to it.
    maker: Option<AddressKey>,
    pub(crate) logs: EncodedLogs,
    /// The keys of the room's members.
    pub(crate) members: Vec<usize>,
    /// Whether the room has grown, and is to be flushed.
    pub(crate) dirty: bool,
    /// The number of members that the flush in progress has passed.
    pub(crate) flushed: usize,
    /// Whether the room has grown since that flush began.
    pub(crate) grew_meanwhile: bool,
    /// Whether the room's flush did not fit into the last turn. Its members are read again when the
    /// flush is complete.
    pub(crate) overdue: bool,
    /// The number of members that read the plain log until they can move to the shared one.
    pub(crate) waiting: usize,
    /// The number of members that are too far behind, and for which the room waits.
    pub(crate) laggards: usize,
    /// Members that are not read while the room waits.
    pub(crate) paused: Vec<ClientId>,
}

impl Room {
    /// Begins a flush, which will offer everything in the logs to all members.
    pub(crate) fn begin_flush(&mut self) {
        self.logs.begin_offer();
        self.grew_meanwhile = false;
    }

    /// Notes that the flush has passed all members.
    pub(crate) fn end_flush(&mut self, end: TurnEnd) {
        self.flushed = 0;
        self.overdue = false;
        if end == TurnEnd::Now {
            self.logs.offer();
            self.dirty = self.grew_meanwhile;
        }
    }
}

/// A message that was appended to a room's logs.
#[derive(Debug, Default)]
pub(crate) struct Appended {
    /// The number of the room's members.
    pub(crate) members: usize,
    pub(crate) compression: Compression,
}

/// Whether this is the last flush of a turn. Members to which data was offered in the middle of a turn
/// have had no time to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TurnEnd {
    /// This is the last flush of the turn.
    Now,
    /// The turn may read more.
    Later,
}

/// The room of a member, and the log that the member reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Membership {
    /// The room's key.
    pub(crate) room: usize,
    /// The member's index in the room's list.
    pub(crate) index: usize,
    /// The log that it reads.
    pub(crate) encoding: Encoding,
}

/// All rooms, by key and by name, and the state that they share.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    rooms: Slab<Room>,
    names: HashMap<Box<str>, usize>,
    /// The number of rooms per address of their creators.
    made: HashMap<AddressKey, usize>,
    /// The maximum number of rooms since [`trim`](Self::trim) last gave memory back.
    peak: usize,
    /// The log of the clients that are in no room, which is always empty.
    no_log: FrameLog,
    /// The compressors, if compression is on.
    pub(crate) compressors: Option<Compressors>,
    /// The rooms that have a shared context, in no particular order.
    pub(crate) contexts: Vec<usize>,
    /// The queue of rooms that have grown and are to be flushed.
    pub(crate) dirty: VecDeque<usize>,
    /// Whether the flush of some room did not fit into the last turn.
    pub(crate) overdue: bool,
}

impl Rooms {
    /// An empty collection. Messages are compressed if there is a `deflate`.
    pub(crate) fn new(deflate: Option<Deflate>) -> Self {
        Self { compressors: deflate.map(Compressors::new), ..Self::default() }
    }

    /// The room that a client is in.
    #[inline]
    pub(crate) fn of(&self, membership: Option<Membership>) -> Option<&Room> {
        self.get(membership?.room)
    }

    /// The room that a client is in.
    #[inline]
    pub(crate) fn of_mut(&mut self, membership: Option<Membership>) -> Option<&mut Room> {
        self.get_mut(membership?.room)
    }

    /// The log that a client reads, which is empty for one in no room.
    #[inline]
    pub(crate) fn log_of(&self, membership: Option<Membership>) -> &FrameLog {
        let log = membership.and_then(|member| self.get(member.room)?.logs.get(member.encoding));
        log.unwrap_or(&self.no_log)
    }

    /// The log that a client reads, which is empty for one in no room.
    #[inline]
    pub(crate) fn log_of_mut(&mut self, membership: Option<Membership>) -> &mut FrameLog {
        match membership {
            Some(member) if let Some(room) = self.rooms.get_mut(member.room) => {
                room.logs.get_mut(member.encoding)
            }
            _ => &mut self.no_log,
        }
    }

    /// Appends a message to a room's logs, and notes that the room is to be flushed. Returns for whom,
    /// and the effect of compression.
    pub(crate) fn append(
        &mut self,
        key: usize,
        message: Message<'_>,
        segments: &mut SegmentPool,
        now: Instant,
    ) -> Appended {
        let Some(room) = self.rooms.get_mut(key) else { return Appended::default() };
        let compression = room.logs.append(message, &mut self.compressors, segments, now);
        if room.dirty {
            room.grew_meanwhile |= room.flushed > 0;
        } else {
            room.dirty = true;
            self.dirty.push_back(key);
        }
        Appended { members: room.members.len(), compression }
    }

    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// The room of this name. If there is none, it is created for a client from this address.
    pub(crate) fn find_or_make(&mut self, name: &str, maker: Option<AddressKey>) -> usize {
        if let Some(key) = self.find(name) {
            return key;
        }
        let name: Box<str> = name.into();
        let key = self.rooms.insert(Room {
            name: name.clone(),
            maker,
            logs: EncodedLogs::default(),
            members: Vec::new(),
            dirty: false,
            flushed: 0,
            grew_meanwhile: false,
            overdue: false,
            waiting: 0,
            laggards: 0,
            paused: Vec::new(),
        });
        self.names.insert(name, key);
        if let Some(maker) = maker {
            *self.made.entry(maker).or_default() += 1;
        }
        self.peak = self.peak.max(self.len());
        key
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Room> {
        self.rooms.iter().map(|(_, room)| room)
    }

    pub(crate) fn get(&self, key: usize) -> Option<&Room> {
        self.rooms.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: usize) -> Option<&mut Room> {
        self.rooms.get_mut(key)
    }

    /// Notes that the flush of the first `count` dirty rooms did not fit into this turn.
    pub(crate) fn mark_overdue(&mut self, count: usize) {
        for &key in self.dirty.range(..count) {
            if let Some(room) = self.rooms.get_mut(key) {
                room.overdue = true;
            }
        }
        self.overdue |= count > 0;
    }

    /// Removes a room without members.
    pub(crate) fn remove_if_empty(&mut self, key: usize) {
        if self.rooms.get(key).is_some_and(|room| room.members.is_empty()) {
            let room = self.rooms.remove(key);
            self.contexts.retain(|&context| context != key);
            self.names.remove(&room.name);
            if let Some(maker) = room.maker {
                self.unmake(maker);
            }
        }
    }

    fn unmake(&mut self, maker: AddressKey) {
        if let Entry::Occupied(mut made) = self.made.entry(maker) {
            *made.get_mut() -= 1;
            if *made.get() == 0 {
                made.remove();
            }
        }
    }

    /// Checks that the room exists, or that a client from this address may create it.
    ///
    /// # Errors
    /// [`Refusal::TooManyRooms`] or [`Refusal::TooManyRoomsFromAddress`].
    pub(crate) fn admit(
        &self,
        name: &str,
        maker: Option<AddressKey>,
        config: &Config,
    ) -> Result<(), Refusal> {
        if self.find(name).is_some() {
            return Ok(());
        }
        if self.len() >= config.rooms.max {
            return Err(Refusal::TooManyRooms);
        }
        let made = maker.and_then(|maker| self.made.get(&maker)).copied().unwrap_or_default();
        if made < config.rooms.max_per_address {
            Ok(())
        } else {
            Err(Refusal::TooManyRoomsFromAddress)
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Gives back the memory after that of the last room.
    pub(crate) fn trim(&mut self) {
        if self.are_loose() {
            let left = self.len();
            self.rooms.shrink_to_fit();
            self.names.shrink_to(capacity_to_keep(left));
            self.made.shrink_to(capacity_to_keep(self.made.len()));
            self.peak = left;
        }
        if is_loose(self.dirty.capacity(), self.dirty.len()) {
            self.dirty.shrink_to(MIN_CAPACITY);
        }
        if let Some(compressors) = &mut self.compressors {
            compressors.trim();
        }
    }

    /// Whether there is memory that [`trim`](Self::trim) will give back.
    pub(crate) fn holds_spare(&self) -> bool {
        self.are_loose() || self.compressors.as_ref().is_some_and(Compressors::holds_spare)
    }

    /// Whether there were many more rooms than there are now.
    fn are_loose(&self) -> bool {
        is_loose(self.peak, self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates rooms of these names until one is refused.
    fn make(rooms: &mut Rooms, names: &str, maker: Option<AddressKey>) -> Result<(), Refusal> {
        let mut config = Config::default();
        config.rooms.max = 20;
        config.rooms.max_per_address = 3;
        for name in names.split_whitespace() {
            rooms.admit(name, maker, &config)?;
            rooms.find_or_make(name, maker);
        }
        Ok(())
    }

    fn key(address: &str) -> Option<AddressKey> {
        Some(AddressKey::of(address.parse().unwrap()))
    }

    #[test]
    fn an_address_creates_a_limited_number_of_rooms_and_enters_any() {
        let mut rooms = Rooms::default();
        let here = key("192.0.2.1");
        let there = key("192.0.2.2");
        assert_eq!(make(&mut rooms, "a b c", here), Ok(()));
        assert_eq!(make(&mut rooms, "d", here), Err(Refusal::TooManyRoomsFromAddress));
        assert_eq!(make(&mut rooms, "a b c d e f", there), Ok(()));
        assert_eq!(make(&mut rooms, "d", here), Ok(()), "others have made it");
        rooms.remove_if_empty(rooms.find("a").unwrap());
        assert_eq!(make(&mut rooms, "g h", here), Err(Refusal::TooManyRoomsFromAddress));
        assert!(rooms.find("g").is_some() && rooms.find("h").is_none());
    }

    #[test]
    fn creators_without_an_address_have_only_the_total_limit() {
        let mut rooms = Rooms::default();
        let many: Vec<_> = (0..21).map(|number| number.to_string()).collect();
        assert_eq!(make(&mut rooms, &many.join(" "), None), Err(Refusal::TooManyRooms));
        assert_eq!(rooms.len(), 20);
    }

    #[test]
    fn the_memory_of_many_rooms_is_given_back_when_few_are_left() {
        let mut rooms = Rooms::default();
        let keys: Vec<_> = (0..4_000).map(|n| rooms.find_or_make(&n.to_string(), None)).collect();
        rooms.trim();
        assert!(rooms.rooms.capacity() >= 4_000 && rooms.names.capacity() >= 4_000);
        keys[1..].iter().for_each(|&key| rooms.remove_if_empty(key));
        assert!(rooms.are_loose());
        rooms.trim();
        assert!(rooms.rooms.capacity() < 1_000 && rooms.names.capacity() < 1_000);
        assert_eq!((rooms.find("0"), rooms.are_loose()), (Some(keys[0]), false));
        assert_eq!(rooms.find_or_make("new", None), 1, "its key is free again");
    }

    #[test]
    fn nothing_is_kept_of_removed_rooms() {
        let mut rooms = Rooms::default();
        for maker in [None, key("192.0.2.1")] {
            let key = rooms.find_or_make("a", maker);
            rooms.remove_if_empty(key);
        }
        assert_eq!((rooms.len(), rooms.made.len()), (0, 0));
    }
}
