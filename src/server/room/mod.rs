//! Rooms: a name, members, and the logs of their messages.

pub(crate) mod compressor;
pub(crate) mod encoded_logs;
mod forgetting;
pub(crate) mod frame_log;
pub(crate) mod history;
mod message_rate;
mod restoring;
pub(crate) mod segment;
pub(crate) mod segment_pool;
#[cfg(test)]
mod tests;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use slab::Slab;

use crate::config::{Config, HistoryLimits};
use crate::protocol::{Deflate, Message, Refusal};
use crate::server::capacity::{MIN_CAPACITY, capacity_to_keep, is_loose};
use crate::server::client_id::ClientId;
use crate::server::counts::Compression;
use crate::server::limits::address::AddressKey;
use crate::server::room::compressor::{Compressors, Encoding};
use crate::server::room::encoded_logs::EncodedLogs;
use crate::server::room::frame_log::FrameLog;
use crate::server::room::history::{Histories, History};
use crate::server::room::message_rate::MessageRate;
use crate::server::room::segment_pool::SegmentPool;
use crate::server::time::Time;
use crate::server::time::moment::Moment;
use crate::server::time::wheel::Timestamp;

/// A room that has members, or history.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) name: Box<str>,
    /// The address of the client that created the room, if the limits per address apply to it.
    maker: Option<AddressKey>,
    pub(crate) logs: EncodedLogs,
    /// The number of the room's last message, if its messages are kept.
    pub(crate) history: Option<History>,
    /// Until when the room is kept even if it has neither members nor history.
    kept_until: Option<Timestamp>,
    /// The keys of the room's members.
    pub(crate) members: Vec<usize>,
    /// Whether the room has grown, and is to be flushed.
    pub(crate) dirty: bool,
    /// The number of members that the flush in progress has passed.
    pub(crate) flushed: usize,
    /// The time of the turn in which the room grew for the first time since it was flushed.
    grown: Moment,
    /// The time of the turn in which the room grew for the first time since the flush in progress began.
    grown_meanwhile: Option<Moment>,
    /// How many messages are published.
    rate: MessageRate,
    /// Whether the room's flush did not fit into the last turn. Its members are read again when the
    /// flush is complete.
    pub(crate) overdue: bool,
    /// The number of members that read the plain log until they can move to the shared one.
    pub(crate) waiting: usize,
    /// The number of members that read the plain log until they have received what was said before they
    /// came, and can move to the log of their encoding, which is not the shared one.
    pub(crate) returning: usize,
    /// The number of members that are too far behind, and for which the room waits.
    pub(crate) laggards: usize,
    /// Members that are not read while the room waits.
    pub(crate) paused: Vec<ClientId>,
}

impl Room {
    /// Begins a flush, which will offer everything in the logs to all members.
    pub(crate) fn begin_flush(&mut self) {
        self.logs.begin_offer();
        self.grown_meanwhile = None;
    }

    /// Notes that the flush has passed all members. Returns the time of the turn in which its first
    /// message was appended, if the turn reads no more.
    pub(crate) fn end_flush(&mut self, end: TurnEnd) -> Option<Moment> {
        self.flushed = 0;
        self.overdue = false;
        if end == TurnEnd::Later {
            return None;
        }
        self.logs.offer();
        self.dirty = self.grown_meanwhile.is_some();
        let grown = self.grown;
        self.grown = self.grown_meanwhile.unwrap_or(grown);
        Some(grown)
    }

    /// Notes that a message was appended. Returns whether the room has just become dirty.
    fn note_growth(&mut self, time: &Time) -> bool {
        self.rate.add(time.timestamp);
        if self.dirty {
            // The beginning of a flush sets it back.
            self.grown_meanwhile.get_or_insert_with(|| time.moment());
            return false;
        }
        self.dirty = true;
        self.grown = time.moment();
        true
    }

    /// Whether the room has neither members nor history, and nothing else keeps it.
    fn is_empty(&self) -> bool {
        self.members.is_empty() && self.logs.plain.is_forgotten() && self.kept_until.is_none()
    }

    /// How many messages were published per second, on average over the last ten seconds.
    pub(crate) fn messages_per_second(&self, now: Timestamp) -> f64 {
        self.rate.per_second(now)
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
    /// What all rooms with history share, if there is history.
    pub(crate) histories: Option<Histories>,
    /// The rooms that have a shared context, in no particular order.
    pub(crate) contexts: Vec<usize>,
    /// The queue of rooms that have grown and are to be flushed.
    pub(crate) dirty: VecDeque<usize>,
    /// Whether the flush of some room did not fit into the last turn.
    pub(crate) overdue: bool,
}

impl Rooms {
    /// An empty collection. Messages are compressed if there is a `deflate`, and kept if there is a
    /// `history`.
    pub(crate) fn new(deflate: Option<Deflate>, history: Option<HistoryLimits>) -> Self {
        let compressors = deflate.map(Compressors::new);
        let histories = history.map(Histories::new);
        Self { compressors, histories, ..Self::default() }
    }

    /// The room that a client is in.
    #[inline]
    pub(crate) fn of_mut(&mut self, membership: Option<Membership>) -> Option<&mut Room> {
        self.get_mut(membership?.room)
    }

    /// The sequence of a client's room, if the room has history.
    pub(crate) fn history_of(&self, membership: Option<Membership>) -> Option<History> {
        self.get(membership?.room)?.history
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
        time: &Time,
    ) -> Appended {
        let Some(room) = self.rooms.get_mut(key) else { return Appended::default() };
        let kept = room.history.as_mut().zip(self.histories.as_mut());
        let is_kept = kept.is_some();
        if let Some((history, histories)) = kept {
            let new = (message, Duration::ZERO);
            histories.append(key, history, &mut room.logs.plain, new, segments, time);
        } else {
            let encode = |out: &mut Vec<u8>| message.encode(out);
            room.logs.plain.append(message.frame_size(), encode, segments);
        }
        let Self { compressors, .. } = self;
        let compression = room.logs.append_compressed(message, compressors, segments, time.now);
        if room.note_growth(time) {
            self.dirty.push_back(key);
        }
        let members = room.members.len();
        if is_kept {
            self.forget_excess(segments);
        }
        Appended { members, compression }
    }

    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// The room of this name. If there is none, it is created for a client from this address.
    pub(crate) fn find_or_make(
        &mut self,
        name: &str,
        maker: Option<AddressKey>,
        now: Moment,
    ) -> usize {
        if let Some(key) = self.find(name) {
            return key;
        }
        let kept = self.histories.as_mut().and_then(|histories| histories.begin(name));
        self.make(name, maker, kept, now)
    }

    /// Makes a room, with history if there is a beginning of it.
    fn make(
        &mut self,
        name: &str,
        maker: Option<AddressKey>,
        kept: Option<(History, EncodedLogs)>,
        now: Moment,
    ) -> usize {
        let (history, logs) = kept.unzip();
        let logs = logs.unwrap_or_default();
        let name: Box<str> = name.into();
        let key = self.rooms.insert(Room {
            name: name.clone(),
            maker,
            logs,
            history,
            kept_until: None,
            members: Vec::new(),
            dirty: false,
            flushed: 0,
            grown: now,
            grown_meanwhile: None,
            rate: MessageRate::default(),
            overdue: false,
            waiting: 0,
            returning: 0,
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

    /// Removes a room of which nothing is left.
    pub(crate) fn remove_if_empty(&mut self, key: usize) {
        if self.rooms.get(key).is_some_and(Room::is_empty) {
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
        self.are_loose()
            || self.compressors.as_ref().is_some_and(Compressors::holds_spare)
            || self.histories.as_ref().is_some_and(|histories| histories.keeps_empty)
    }

    /// Whether there were many more rooms than there are now.
    fn are_loose(&self) -> bool {
        is_loose(self.peak, self.len())
    }
}
