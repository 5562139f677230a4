//! Rooms that continue a sequence, and rooms that are kept for a while although they are empty.

use std::mem;
use std::time::Duration;

use super::history::{Histories, Ticket};
use super::{Room, Rooms};
use crate::protocol::{Message, Position};
use crate::server::limits::address::AddressKey;
use crate::server::room::segment_pool::SegmentPool;
use crate::server::time::Time;
use crate::server::time::wheel::Timestamp;

impl Histories {
    /// Takes out the oldest segment. Those of restored rooms have come last, and are put in order before.
    pub(super) fn pop_oldest(&mut self) -> Option<Ticket> {
        if mem::take(&mut self.is_unordered) {
            self.order.make_contiguous().sort_by_key(|ticket| ticket.expiry);
        }
        self.order.pop_front()
    }

    /// How old a message is that will be too old at `expiry`.
    fn age_of(&self, expiry: Timestamp, now: Timestamp) -> Duration {
        let left = expiry.duration_since(now);
        self.past.max_age.saturating_sub(left) + now.duration_since(expiry)
    }
}

impl Rooms {
    /// Makes a room that does not exist, for a client from an address if there is one. Its last message has
    /// this position. The messages, the last of which is that one, come with their ages. Those that are too
    /// old, or too many, are dropped.
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
        let begun = |room: &Room| {
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
        room: &'r Room,
        now: Timestamp,
    ) -> impl Iterator<Item = (Message<'r>, Duration)> + use<'r> {
        let kept = self.histories.iter().flat_map(move |histories| {
            let age = move |expiry| histories.age_of(expiry, now);
            room.logs.plain.kept().map(move |(frame, expiry)| (frame, age(expiry)))
        });
        kept.filter_map(|(frame, age)| Some((Message::decode(frame)?, age)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HistoryLimits;

    const MAX_AGE: Duration = Duration::from_secs(80);

    /// No rooms yet, which may keep this many bytes together.
    fn rooms(max_total_bytes: usize) -> Rooms {
        let limits =
            HistoryLimits { max_age: MAX_AGE, max_total_bytes, ..HistoryLimits::default() };
        Rooms::new(None, Some(limits))
    }

    /// Restores a room with messages of these ages in seconds, and returns its key.
    fn restore(rooms: &mut Rooms, name: &str, ages: &[u64], pool: &mut SegmentPool) -> usize {
        let message = Message::Binary(&[0; 4_000]);
        let messages: Vec<_> =
            ages.iter().map(|&age| (message, Duration::from_secs(age))).collect();
        rooms.restore((name, None), Position::new(1, 10), &messages, pool, &Time::new());
        rooms.find(name).expect("it was restored")
    }

    /// The ages in seconds of the messages that a room keeps.
    fn ages(rooms: &Rooms, room: usize, now: Timestamp) -> Vec<u64> {
        let history = rooms.history(rooms.get(room).unwrap(), now);
        history.map(|(_, age)| age.as_secs_f32().round() as u64).collect()
    }

    #[test]
    fn restored_messages_keep_their_ages_and_their_places() {
        let mut rooms = rooms(usize::MAX);
        let room = restore(&mut rooms, "a", &[90, 80, 79, 2], &mut SegmentPool::default());
        let now = Timestamp::default();
        assert_eq!(ages(&rooms, room, now), [79, 2]);
        let later = now.after(Duration::from_secs(50));
        assert_eq!(ages(&rooms, room, later), [129, 52], "until somebody looks for old ones");
        let Room { history: Some(history), logs, .. } = rooms.get(room).unwrap() else { panic!() };
        assert_eq!(history.position(), Position::new(1, 10));
        assert_eq!(history.position_at(&logs.plain, logs.plain.start()), Position::new(1, 8));
    }

    /// Whether a room without members is there, now and after as long as messages are kept.
    fn is_kept(rooms: &mut Rooms, room: usize, pool: &mut SegmentPool) -> [bool; 2] {
        let now = Timestamp::default();
        let mut is_there = |now: Timestamp| {
            rooms.forget_old(pool, now);
            rooms.get(room).is_some()
        };
        [is_there(now), is_there(now.after(MAX_AGE))]
    }

    #[test]
    fn an_empty_room_is_kept_if_something_was_said_or_the_server_stops() {
        let (mut rooms, mut pool, time) = (rooms(0), SegmentPool::default(), Time::new());
        let make = |rooms: &mut Rooms| rooms.find_or_make("/a", None, time.moment());
        let quiet = make(&mut rooms);
        rooms.release(quiet, time.timestamp);
        assert_eq!(rooms.len(), 0);
        let quiet = make(&mut rooms);
        rooms.keep_all(time.timestamp);
        assert_eq!(is_kept(&mut rooms, quiet, &mut pool), [true, false]);
        let room = make(&mut rooms);
        rooms.append(room, Message::Text("a"), &mut pool, &time);
        rooms.release(room, time.timestamp);
        assert_eq!(ages(&rooms, room, time.timestamp), [], "there is no memory for messages");
        assert_eq!(is_kept(&mut rooms, room, &mut pool), [true, false]);
    }

    #[test]
    fn all_the_memory_that_is_allowed_may_be_used() {
        let kept = |max_total_bytes| {
            let (mut rooms, mut pool) = (rooms(max_total_bytes), SegmentPool::default());
            let room = restore(&mut rooms, "a", &[0], &mut pool);
            (ages(&rooms, room, Timestamp::default()).len(), pool.past())
        };
        let (_, memory) = kept(usize::MAX);
        assert_eq!(kept(memory), (1, memory));
        assert_eq!(kept(memory - 1), (0, 0));
    }

    #[test]
    fn the_oldest_messages_go_first_whatever_was_restored_first() {
        let (mut rooms, mut pool) = (rooms(13_000), SegmentPool::default());
        let mut restore = |name, age| restore(&mut rooms, name, &[age], &mut pool);
        let [middle, new, old, newest] =
            [("a", 40), ("b", 20), ("c", 60), ("d", 0)].map(|(name, age)| restore(name, age));
        let keeps = |room| !ages(&rooms, room, Timestamp::default()).is_empty();
        assert_eq!([old, middle, new, newest].map(keeps), [false, false, true, true]);
    }
}
