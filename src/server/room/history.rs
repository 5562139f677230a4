//! What is kept of the messages of rooms, for clients that come back.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::time::Duration;

use crate::config::HistoryLimits;
use crate::protocol::{Message, Position, Start};
use crate::server::room::encoded_logs::EncodedLogs;
use crate::server::room::frame_log::FrameLog;
use crate::server::room::frame_log::past::PastLimits;
use crate::server::room::segment_pool::SegmentPool;
use crate::server::system::RandomState;
use crate::server::time::Time;
use crate::server::time::wheel::Timestamp;

/// The numbers of epochs: as text, they have seven or eight characters.
const EPOCHS: std::ops::Range<u64> = 36u64.pow(6)..36u64.pow(8);

/// The sequence of a room's messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct History {
    epoch: u64,
    /// Which of all sequences it is. A room that was forgotten may be restored with the same epoch.
    pub(super) id: u64,
    /// The number of the last message.
    sequence: u64,
}

impl History {
    /// The sequence of this id that continues at a position.
    fn at(position: Position, id: u64) -> Self {
        Self { epoch: position.epoch(), id, sequence: position.sequence() }
    }

    /// The place after the last message.
    pub(crate) fn position(&self) -> Position {
        Position::new(self.epoch, self.sequence)
    }

    /// Whether there has been a message.
    pub(super) fn has_begun(self) -> bool {
        self.sequence > 0
    }

    /// The place at an offset of one of the room's logs.
    pub(crate) fn position_at(&self, log: &FrameLog, offset: u64) -> Position {
        Position::new(self.epoch, self.sequence - log.frames_from(offset))
    }

    /// Where a client enters the plain log, at most `max_bytes` before its end. For a slow member, the log
    /// may hold more than another client may be behind.
    pub(crate) fn entry(&self, plain: &FrameLog, start: Start, max_bytes: usize) -> Entry {
        let kept = || {
            let oldest = plain.newest_from(plain.start(), plain.end(), max_bytes, false);
            plain.frames_from(oldest)
        };
        let (replay, recovered) = match start {
            Start::After(position) => {
                let missed = self.missed_since(position).filter(|&missed| missed <= kept());
                (missed.unwrap_or(0), Some(missed.is_some()))
            }
            Start::Newest(count) => (count.min(kept()), None),
            Start::Rest(count) => (count.min(kept()), Some(false)),
            Start::Now => (0, None),
        };
        let position = Position::new(self.epoch, self.sequence - replay);
        Entry { offset: plain.last_frames(replay), position, replay, recovered }
    }

    /// The number of messages since a position, if it is one of this sequence.
    fn missed_since(&self, position: Position) -> Option<u64> {
        let known = position.epoch() == self.epoch;
        known.then(|| self.sequence.checked_sub(position.sequence()))?
    }
}

/// Where a client enters a room with history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// The offset in the plain log.
    pub(crate) offset: u64,
    /// The place before the first message that the client receives.
    pub(crate) position: Position,
    /// The number of messages from the past.
    pub(crate) replay: u64,
    /// Whether the client receives everything since the position that it has named, if it has named one.
    pub(crate) recovered: Option<bool>,
}

/// A segment, by the sequence of its room and its beginning.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) room: usize,
    /// The id of the sequence.
    pub(super) history: u64,
    pub(super) start: u64,
    /// When the first frame of the segment is too old.
    pub(super) expiry: Timestamp,
}

/// What rooms with history share.
#[derive(Debug)]
pub(crate) struct Histories {
    pub(super) limits: HistoryLimits,
    /// The limits on the log of each room.
    pub(super) past: PastLimits,
    /// The segments of all rooms, the oldest first, among them some that have been dropped.
    pub(super) order: VecDeque<Ticket>,
    /// Whether rooms were restored since the segments were put in order.
    pub(super) is_unordered: bool,
    /// Whether there are rooms that are kept although they may have neither members nor history.
    pub(super) keeps_empty: bool,
    /// Makes epochs that no earlier process has made.
    random: RandomState,
    /// The number of sequences that have been made.
    made: u64,
}

impl Histories {
    pub(super) fn new(limits: HistoryLimits) -> Self {
        let past = PastLimits {
            max_frames: limits.max_messages as u64,
            max_bytes: limits.max_bytes,
            max_age: limits.max_age,
        };
        let random = RandomState::new();
        let order = VecDeque::new();
        Self { limits, past, order, is_unordered: false, keeps_empty: false, random, made: 0 }
    }

    /// The beginning of a new room's sequence, and the room's logs, if the room is to have history.
    pub(super) fn begin(&mut self, room: &str) -> Option<(History, EncodedLogs)> {
        self.limits.apply_to(room).then(|| {
            let random = self.random.hash_one(self.made);
            let epoch = EPOCHS.start + random % (EPOCHS.end - EPOCHS.start);
            self.resume(Position::new(epoch, 0))
        })
    }

    /// The continuation of a room's sequence, and the room's logs.
    pub(super) fn resume(&mut self, position: Position) -> (History, EncodedLogs) {
        self.made += 1;
        (History::at(position, self.made), EncodedLogs::with_past(self.past))
    }

    /// Appends a message of this age to a room's plain log, and keeps it.
    pub(super) fn append(
        &mut self,
        room: usize,
        history: &mut History,
        plain: &mut FrameLog,
        (message, age): (Message<'_>, Duration),
        segments: &mut SegmentPool,
        time: &Time,
    ) {
        let start = plain.end();
        let expiry = time.timestamp.after(self.past.max_age.saturating_sub(age));
        let encode = |out: &mut Vec<u8>| message.encode(out);
        let size = message.frame_size();
        history.sequence += 1;
        if plain.append_kept(size, encode, segments, expiry) {
            self.order.push_back(Ticket { room, history: history.id, start, expiry });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_random_numbers_of_seven_or_eight_characters() {
        let mut histories = Histories::new(HistoryLimits::default());
        let mut begin = || histories.begin("/room").expect("it has history").0.position();
        let positions: Vec<_> = (0..10_000).map(|_| begin()).collect();
        let length = |position: &Position| position.to_string().trim_end_matches(".0").len();
        assert!(positions.iter().all(|position| (7..=8).contains(&length(position))));
        let middle = EPOCHS.end / 2;
        let high = positions.iter().filter(|position| position.epoch() > middle).count();
        assert!((4_000..6_000).contains(&high), "{high}");
    }
}
