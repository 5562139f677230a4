//! Rooms that continue a sequence, and rooms that are kept for a while although they are empty.

use std::mem;
use std::time::Duration;

use super::Rooms;
use super::history::Histories;
use crate::protocol::{Message, Position};
use crate::server::limits::address::AddressKey;
use crate::server::room::segment_pool::SegmentPool;
use crate::server::time::Time;
use crate::server::time::wheel::Timestamp;

impl Histories {
    /// Puts the segments in order again, after those of restored rooms have come last.
    pub(super) fn put_in_order(&mut self) {
        if mem::take(&mut self.is_unordered) {
            self.order.make_contiguous().sort_by_key(|ticket| ticket.expiry);
        }
    }

    /// How old a message is that will be too old at `expiry`.
    fn age_of(&self, expiry: Timestamp, now: Timestamp) -> Duration {
        let left = expiry.duration_since(now);
        self.past.max_age.saturating_sub(left) + now.duration_since(expiry)
    }
}

impl Rooms {
    /// Makes a room that does not exist, for a client from an address if there is one. Its last message has
    /// this position. The messages, the last of
    /// which is that one, come with their ages. Those that are too old, or too many, are dropped.
    pub(crate) fn restore(
        &mut self,
        (name, maker): (&str, Option<AddressKey>),
        position: Position,
        messages: &[(Message<'_>, Duration)],
        segments: &mut SegmentPool,
        time: &Time,
    ) {
        let Some(histories) = &mut self.histories else { return };
        histories.is_unordered = true;
        let max_age = histories.past.max_age;
        let old = messages.iter().take_while(|(_, age)| *age >= max_age).count();
        let messages = &messages[old..];
        let before = position.sequence() - messages.len() as u64;
        let kept = histories.resume(Position::new(position.epoch(), before));
        let key = self.make(name, maker, Some(kept), time.moment());
        let (Some(room), Some(histories)) = (self.rooms.get_mut(key), &mut self.histories) else {
            return;
        };
        let Some(history) = &mut room.history else { return };
        for &message in messages {
            histories.append(key, history, &mut room.logs.plain, message, segments, time);
        }
        if segments.past() > histories.limits.max_total_bytes {
            histories.put_in_order();
        }
        self.keep_empty(key, time.timestamp);
        self.forget_excess(segments);
    }

    /// Keeps the rooms with history, even if they become empty, as long as history is kept.
    pub(crate) fn keep_all(&mut self, now: Timestamp) {
        let keys: Vec<_> = self.rooms.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.keep_empty(key, now);
        }
    }

    /// Removes a room that its last member has left, unless the room has history. If something was said in
    /// it, the room is kept as long as that would be: a member that comes back may have missed nothing.
    pub(crate) fn release(&mut self, key: usize, now: Timestamp) {
        let begun = |room: &super::Room| {
            room.members.is_empty() && room.history.is_some_and(|history| history.has_begun())
        };
        if self.get(key).is_some_and(begun) {
            self.keep_empty(key, now);
        }
        self.remove_if_empty(key);
    }

    fn keep_empty(&mut self, key: usize, now: Timestamp) {
        if let Some(histories) = &mut self.histories
            && let Some(room) = self.rooms.get_mut(key).filter(|room| room.history.is_some())
        {
            room.kept_until = Some(now.after(histories.past.max_age));
            histories.keeps_empty = true;
        }
    }

    /// The messages that a room keeps, in order, with their ages.
    pub(crate) fn history<'r>(
        &'r self,
        room: &'r super::Room,
        now: Timestamp,
    ) -> impl Iterator<Item = (Message<'r>, Duration)> + use<'r> {
        let kept = self.histories.iter().flat_map(move |histories| {
            let age = move |expiry| histories.age_of(expiry, now);
            room.logs.plain.kept().map(move |(frame, expiry)| (frame, age(expiry)))
        });
        kept.filter_map(|(frame, age)| Some((Message::decode(frame)?, age)))
    }
}
