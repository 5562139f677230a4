//! Rooms whose messages another service keeps, such as Redis. They are restored before somebody joins them, and begin
//! anew when messages were lost.

use std::time::Duration;

use crate::protocol::{CloseCode, Message, Position, Start};
use crate::server::client_id::ClientId;
use crate::server::hub::{Hub, RestoreError};
use crate::server::system::Random;

use super::log;
use super::plan::ROOMS;
use super::record::{App, Record, length_in_log};
use super::world::World;

/// An age at which messages are dropped.
const TOO_OLD: Duration = Duration::from_secs(400);

/// What the service has of a room.
#[derive(Debug)]
pub(super) struct Sequence {
    /// Its epoch, if it does not continue what was there before.
    epoch: u64,
    continues: bool,
    /// The number of messages that the service has lost.
    lost: u64,
    messages: Vec<(Vec<u8>, Duration)>,
    /// Whether members ask for what follows their place.
    asks_after: bool,
}

impl Sequence {
    pub(super) fn new(random: &mut Random) -> Self {
        let count = random.pick(&[0, 1, 7, 40]);
        let old = if random.happens(300) { random.within(0..count + 1) } else { 0 };
        let age = |number| if number < old { TOO_OLD } else { Duration::from_secs(9) };
        let mut message = |number| {
            let size = random.within(10..400);
            let mut message = format!("r {number} {}", random.next()).into_bytes();
            message.resize(size, b'.');
            (message, age(number))
        };
        let messages = (0..count).map(&mut message).collect();
        Self {
            epoch: random.next() >> 12,
            continues: random.happens(500),
            lost: random.pick(&[0, 0, 1, 100]),
            messages,
            asks_after: random.happens(500),
        }
    }

    /// Where it ends, if the room ended at `last` before.
    fn end(&self, last: Option<Position>) -> Position {
        let count = self.lost + self.messages.len() as u64;
        match last.filter(|_| self.continues) {
            Some(last) => Position::new(last.epoch(), last.sequence() + count),
            None => Position::new(self.epoch, count),
        }
    }

    fn messages(&self) -> Vec<(Message<'_>, Duration)> {
        let messages = self.messages.iter();
        messages.map(|(message, age)| (Message::Binary(message), *age)).collect()
    }
}

/// A client that waits until its room is restored.
#[derive(Debug)]
pub(super) struct Newcomer {
    pub(super) client: ClientId,
    pub(super) room: String,
    pub(super) start: Start,
}

impl World {
    /// Lets some clients that wait into their rooms.
    pub(super) fn settle(&mut self, most: usize) {
        let count = most.min(self.record().newcomers.len());
        let newcomers: Vec<_> = self.record().newcomers.drain(..count).collect();
        for newcomer in newcomers {
            let sequence = Sequence::new(&mut self.random);
            self.run_app(move |app, hub| app.settle(hub, &newcomer, &sequence));
        }
    }

    /// Begins a room with history anew, if another service keeps its messages.
    pub(super) fn replace(&mut self) {
        if self.config.history.is_none() || !self.record().are_rooms_elsewhere {
            return;
        }
        let room = ROOMS[self.random.below(2)];
        // Some members are behind, and fall behind again.
        let [before, after] = [(); 2].map(|()| self.random.pick(&[0, 5, 300]));
        self.broadcast(room, before);
        let sequence = Sequence::new(&mut self.random);
        log(format_args!("{room} begins anew: {sequence:?}"));
        self.run_app(move |app, hub| app.replace(hub, room, &sequence));
        self.broadcast(room, after);
    }
}

impl App {
    /// Lets a client into its room, which is restored if it does not exist.
    pub(super) fn settle(&self, hub: &mut Hub, newcomer: &Newcomer, sequence: &Sequence) {
        let Newcomer { client, room, start } = newcomer;
        if !hub.is_open(*client) {
            return;
        }
        if hub.room(room).is_none() {
            self.restore(hub, *client, room, (sequence, None));
        }
        self.join(hub, *client, room, *start);
    }

    /// Begins a room anew. Members that hear words are told so, and others are closed.
    pub(super) fn replace(&self, hub: &mut Hub, room: &str, sequence: &Sequence) {
        let last = hub.position(room);
        let members: Vec<_> = hub.members(room).collect();
        for &member in &members {
            if hub.leave(member) {
                self.record().member(member).room = None;
            }
        }
        assert!(hub.forget(room), "nobody is in {room}");
        self.restore(hub, ClientId::SERVER, room, (sequence, last));
        let after = last.filter(|_| sequence.asks_after);
        let start = after.map_or(Start::Rest(sequence.messages.len() as u64), Start::After);
        for member in members {
            if hub.hears_words(member) {
                self.join(hub, member, room, start);
            } else if hub.is_open(member) {
                self.record().member(member).is_dismissed = true;
                hub.close(member, CloseCode::SERVICE_RESTART, "messages were lost");
            }
        }
    }

    fn restore(
        &self,
        hub: &mut Hub,
        client: ClientId,
        room: &str,
        (sequence, last): (&Sequence, Option<Position>),
    ) {
        let end = sequence.end(last);
        let restored = hub.restore_for(client, room, end, &sequence.messages());
        let Some(limits) = hub.config.history.as_ref().filter(|limits| limits.apply_to(room))
        else {
            return assert_eq!(restored, Err(RestoreError::NoHistory));
        };
        assert_eq!((restored, hub.position(room)), (Ok(()), Some(end)));
        let is_kept = |(_, age): &&(_, Duration)| *age < limits.max_age;
        let kept = sequence.messages.iter().filter(is_kept).count() as u64;
        let mut record = self.record();
        record.floors.insert(end.epoch(), end.sequence() - kept);
        record.note_restored(end, &sequence.messages);
    }
}

impl Record {
    /// Notes the messages up to a place.
    fn note_restored(&mut self, end: Position, messages: &[(Vec<u8>, Duration)]) {
        let before = end.sequence() - messages.len() as u64;
        for (number, (message, _)) in (before + 1..).zip(messages) {
            let other = self.said.insert((end.epoch(), number), message.clone());
            assert_eq!(other, None, "a place is that of one message");
        }
    }

    /// The place before the oldest message that may be replayed, and the size of those from `start` on.
    pub(super) fn replayable(&self, start: Start, end: Position) -> (u64, usize) {
        let floor = self.floors.get(&end.epoch()).copied().unwrap_or_default();
        let before = match start {
            Start::After(asked) if asked.epoch() == end.epoch() => asked.sequence(),
            Start::Rest(count) => end.sequence().saturating_sub(count),
            _ => end.sequence(),
        };
        let numbers = before.max(floor) + 1..=end.sequence();
        let said = numbers.filter_map(|number| self.said.get(&(end.epoch(), number)));
        (floor, said.map(|said| length_in_log(said)).sum())
    }
}
