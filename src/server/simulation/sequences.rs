//! What was said in rooms with history, and where peers begin that come back.

use std::collections::HashMap;
use std::time::Duration;

use crate::config::HistoryLimits;
use crate::protocol::{Message, Position, Start, frame};
use crate::server::hub::{Hub, RestoreError};
use crate::server::simulation::ROOMS;
use crate::server::simulation::peer::{Expected, Said, next};
use crate::server::simulation::step::From;
use crate::server::simulation::word::Heard;

/// The room without history.
const LIVE_ROOM: &str = "2";

/// How much of what is said is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Nothing: there is no history.
    Nothing,
    /// So little that peers often come back too late.
    Little,
    /// Everything, until the end.
    Everything,
}

impl Kept {
    /// The longest time for which anything is kept.
    pub(super) const MAX_AGE: Duration = Duration::from_secs(86_400);

    /// The limits on history, of which a room has at most `max_bytes`.
    pub(super) fn limits(self, max_bytes: usize) -> Option<HistoryLimits> {
        let live_only = vec![LIVE_ROOM.to_owned()];
        match self {
            Self::Nothing => None,
            Self::Little => Some(HistoryLimits {
                max_messages: 10,
                max_bytes,
                max_age: Duration::from_secs(60),
                max_total_bytes: 12_000,
                live_only,
            }),
            Self::Everything => Some(HistoryLimits {
                max_messages: usize::MAX,
                max_bytes: usize::MAX,
                max_age: Self::MAX_AGE,
                max_total_bytes: usize::MAX,
                live_only,
            }),
        }
    }
}

/// What a peer must receive that enters a room with history.
pub(super) struct Entry {
    pub(super) greeting: Heard,
    pub(super) replayed: Vec<Expected>,
}

/// The sequences of all rooms.
#[derive(Debug)]
pub(super) struct Sequences {
    kept: Kept,
    pub(super) said: Said,
    /// The room of each epoch.
    rooms: HashMap<u64, usize>,
    /// The number of messages in each epoch.
    counts: HashMap<u64, u64>,
    /// The places that peers have left.
    places: Vec<Position>,
}

impl Sequences {
    pub(super) fn new(kept: Kept) -> Self {
        let (said, rooms, counts) = Default::default();
        Self { kept, said, rooms, counts, places: Vec::new() }
    }

    /// The end of a room's sequence, if the room exists and has one.
    pub(super) fn end(&self, hub: &Hub, room: usize) -> Option<Position> {
        let end = hub.position(&room.to_string())?;
        let count = self.counts.get(&end.epoch()).copied().unwrap_or_default();
        assert_eq!(end.sequence(), count, "all messages are counted");
        Some(end)
    }

    /// Notes a message in a room, whose sequence ended at `before`.
    pub(super) fn append(
        &mut self,
        hub: &Hub,
        room: usize,
        before: Option<Position>,
        message: Vec<u8>,
    ) -> Expected {
        let Some(end) = hub.position(&room.to_string()) else { return Expected::Message(message) };
        assert_eq!(end, before.map_or(Position::new(end.epoch(), 1), next));
        assert_eq!(*self.rooms.entry(end.epoch()).or_insert(room), room, "epochs are unique");
        self.counts.insert(end.epoch(), end.sequence());
        let other = self.said.insert(end, message);
        assert_eq!(other, None, "a place is that of one message");
        Expected::At(end)
    }

    /// Makes a room that does not exist, with these messages in a new epoch, if it may have history.
    pub(super) fn restore(&mut self, hub: &mut Hub, room: usize, messages: Vec<Vec<u8>>) {
        let epoch = self.rooms.len() as u64;
        let end = Position::new(epoch, messages.len() as u64);
        let new = |message| (Message::Binary(message), Duration::ZERO);
        let restored: Vec<_> = messages.iter().map(|message| new(message)).collect();
        let name = room.to_string();
        if hub.restore(&name, end, &restored) == Err(RestoreError::NoHistory) {
            return assert!(self.kept == Kept::Nothing || name == LIVE_ROOM);
        }
        assert_eq!(hub.position(&name), Some(end));
        assert_eq!(self.rooms.insert(epoch, room), None, "epochs are unique");
        self.counts.insert(epoch, end.sequence());
        let places = (1..).map(|sequence| Position::new(epoch, sequence));
        self.said.extend(places.zip(messages));
    }

    /// What a peer must receive that has just entered a room, if the room has history.
    pub(super) fn enter(&mut self, hub: &Hub, room: usize, start: Start) -> Option<Entry> {
        let end = self.end(hub, room)?;
        assert_eq!(*self.rooms.entry(end.epoch()).or_insert(room), room, "epochs are unique");
        let kept = self.kept(hub, room, end);
        let known =
            |from: &Position| from.epoch() == end.epoch() && from.sequence() <= end.sequence();
        let (replay, recovered) = match start {
            Start::Now => (0, None),
            Start::Newest(count) => (count.min(kept), None),
            Start::Rest(count) => (count.min(kept), Some(false)),
            Start::After(from) if known(&from) && end.sequence() - from.sequence() <= kept => {
                (end.sequence() - from.sequence(), Some(true))
            }
            Start::After(_) => (0, Some(false)),
        };
        let position = Position::new(end.epoch(), end.sequence() - replay);
        let replayed = position.sequence() + 1..=end.sequence();
        let at = |sequence| Expected::At(Position::new(end.epoch(), sequence));
        let greeting = Heard::Greeting { position, recovered, replay };
        Some(Entry { greeting, replayed: replayed.map(at).collect() })
    }

    /// The number of messages before the end of a room's sequence that a peer may ask for: those that are
    /// kept, as far as they are no more than half of what a member may be behind.
    fn kept(&self, hub: &Hub, room: usize, end: Position) -> u64 {
        let room = hub.rooms.find(&room.to_string()).and_then(|key| hub.rooms.get(key));
        let kept = room.map_or(0, |room| room.logs.plain.kept_frames());
        assert!(self.kept == Kept::Little || kept == end.sequence(), "everything is kept");
        let max = hub.config.memory.max_backlog_bytes / 2;
        let sizes =
            (end.sequence() - kept + 1..=end.sequence()).rev().scan(0, |bytes, sequence| {
                let length = self.said[&Position::new(end.epoch(), sequence)].len();
                *bytes += frame::header_size(length) + length;
                Some(*bytes)
            });
        sizes.take_while(|&bytes| bytes <= max).count() as u64
    }

    /// Notes the place that a peer has left, if it has counted.
    pub(super) fn leave(&mut self, place: Option<Position>) {
        self.places.extend(place);
    }

    /// The room and the start of a peer that comes back to a place.
    pub(super) fn start(&self, place: usize, from: From) -> Option<(usize, Start)> {
        let place = *self.places.get(place.checked_rem(self.places.len())?)?;
        let room = self.rooms[&place.epoch()];
        let (epoch, sequence) = (place.epoch(), place.sequence());
        Some(match from {
            From::Now => (room, Start::Now),
            From::Newest(count) => (room, Start::Newest(count as u64)),
            From::Place => (room, Start::After(place)),
            From::Before(count) => {
                let sequence = sequence.saturating_sub(count as u64);
                (room, Start::After(Position::new(epoch, sequence)))
            }
            From::After(count) => {
                let sequence = sequence.saturating_add(count as u64);
                (room, Start::After(Position::new(epoch, sequence)))
            }
            From::OtherEpoch => (room, Start::After(Position::new(epoch ^ 1, sequence))),
            From::OtherRoom => ((room + 1) % ROOMS, Start::After(place)),
        })
    }
}
