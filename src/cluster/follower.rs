//! The place of this process in the sequence of a room that stands in Redis: pure state, without sockets.
//!
//! Messages arrive on the room's channel, from the moment at which Redis has confirmed the subscription. What
//! was published before that, and what a lost connection has swallowed, is read from the stream. Meanwhile,
//! what arrives is held.

use std::collections::VecDeque;
use std::mem;

use townhall::Position;

use super::entry::{Batch, Entry, Origin};

/// How many bytes of messages are held for a room. Beyond that, they are read from the stream again.
const MAX_HELD_BYTES: usize = 1 << 20;

/// What is to be done for a room.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Read the stream.
    Read(Read),
    /// Begin a new epoch, above `floor`, because the one in Redis has lost messages.
    /// What was added after the last message here, at that time, is carried over.
    Renew { lost: u64, floor: u64, after: Option<u64> },
    /// Send messages to the members.
    Append(Vec<Entry>),
    /// Begin anew with these messages, the last of which has the position, and tell the members that they
    /// have missed some. Each has the time at which it was added.
    Replace { position: Position, messages: Vec<(Entry, u64)>, now: u64 },
}

/// What to read of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// The number of the request. Answers to earlier ones are too old.
    pub ticket: u64,
    /// The first entry to read. Without it, the newest are read.
    pub from: Option<Position>,
}

/// What was read of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The last message of the room.
    pub end: Position,
    /// The time in Redis, in milliseconds since the epoch.
    pub now: u64,
    /// Entries of the stream, with their positions and when they were added.
    pub entries: Vec<(Position, Entry, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits until Redis has confirmed the subscription.
    Subscribing,
    /// Waits for what it has asked for.
    Reading(Read),
    /// Waits for a new epoch.
    Renewing,
    /// Has everything.
    Live,
}

/// The last message that the members here have received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Last {
    position: Position,
    /// Whether the stream still has the same message can be told if this is known.
    mark: Option<Mark>,
}

/// Tells a message from another one that has taken its number after Redis has lost it. If it was published
/// again, it has the same origin, but not what was before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    origin: Option<Origin>,
    /// When it was added.
    at: u64,
}

impl Mark {
    fn new(entry: &Entry, at: u64) -> Self {
        Self { origin: entry.origin, at }
    }
}

impl Last {
    /// Whether a batch ends with another message that has the same position.
    fn differs(&self, batch: &Batch) -> bool {
        let same = batch.entries.last().filter(|_| batch.end() == self.position);
        same.is_some_and(|entry| self.mark != Some(Mark::new(entry, batch.at)))
    }
}

/// A room of which messages arrive here.
#[derive(Debug)]
pub struct Follower {
    state: State,
    last: Option<Last>,
    /// What was read from the stream up to this number may arrive on the channel as well.
    overlap: u64,
    held: VecDeque<Batch>,
    held_bytes: usize,
    /// Whether more arrived than could be held.
    dropped: bool,
    tickets: u64,
    /// Whether Redis is asked for the last message. Where the room was here when it was last asked, and where
    /// it was there.
    is_asking: bool,
    asked: Option<Position>,
    /// Whether what it waits for was refused.
    failed: bool,
    /// Whether messages that had not arrived were read.
    repaired: bool,
    seen: Option<Position>,
}

impl Follower {
    pub fn new() -> Self {
        Self {
            state: State::Subscribing,
            last: None,
            overlap: 0,
            held: VecDeque::new(),
            held_bytes: 0,
            dropped: false,
            tickets: 0,
            is_asking: false,
            asked: None,
            failed: false,
            repaired: false,
            seen: None,
        }
    }

    /// Whether the members here have everything.
    pub fn is_live(&self) -> bool {
        self.state == State::Live
    }

    /// The place after the last message here.
    pub fn position(&self) -> Option<Position> {
        self.last.map(|last| last.position)
    }

    /// Notes that messages arrive from now on.
    pub fn subscribed(&mut self) -> Step {
        self.forget_held();
        self.read_on()
    }

    /// Begins anew, because nothing is left of the room here.
    pub fn restart(&mut self) -> Step {
        self.last = None;
        self.read_newest()
    }

    /// Reads what may not have arrived on the channel yet.
    pub fn catch_up(&mut self) -> Step {
        self.read_on()
    }

    /// Takes what has arrived on the channel.
    pub fn receive(&mut self, batch: Batch, steps: &mut Vec<Step>) {
        match (self.state, self.last) {
            (State::Subscribing, _) => {}
            (State::Live, Some(last)) => self.advance(last, batch, steps),
            _ => self.hold(batch),
        }
    }

    /// Takes what was read, unless it is the answer to an earlier question.
    pub fn complete(&mut self, ticket: u64, snapshot: Snapshot, steps: &mut Vec<Step>) {
        let State::Reading(read) = self.state else { return };
        if read.ticket != ticket {
            return;
        }
        match self.last.filter(|_| read.from.is_some()) {
            Some(last) => self.continue_from(last, snapshot, steps),
            None => self.begin_anew(snapshot, steps),
        }
        self.release_held(steps);
    }

    /// Takes the new epoch. What was published there is read.
    pub fn renewed(&mut self, steps: &mut Vec<Step>) {
        if self.state == State::Renewing {
            steps.push(self.read_newest());
        }
    }

    /// Whether messages that had not arrived were read since the last call.
    pub fn take_repaired(&mut self) -> bool {
        mem::take(&mut self.repaired)
    }

    /// Asks again what could not be answered.
    pub fn retry(&mut self) -> Option<Step> {
        mem::take(&mut self.failed).then(|| self.read_on())
    }

    /// Notes that Redis is asked for the last message of the room. Returns whether it is, which it is not
    /// while an earlier question is open.
    pub fn ask(&mut self) -> bool {
        let asks = !mem::replace(&mut self.is_asking, true);
        if asks {
            self.asked = self.position();
        }
        asks
    }

    /// Notes that a question could not be answered.
    pub fn fail(&mut self) {
        self.is_asking = false;
        self.failed = matches!(self.state, State::Reading(_) | State::Renewing);
    }

    /// Compares the last message in Redis with the last one here.
    pub fn compare(&mut self, end: Position, steps: &mut Vec<Step>) {
        self.is_asking = false;
        let (State::Live, Some(last), Some(asked)) = (self.state, self.last, self.asked) else {
            return;
        };
        let seen = self.seen.replace(end);
        let lost = end.epoch() != last.position.epoch() || end.sequence() < asked.sequence();
        // What is on its way now has arrived by the next time.
        let late = seen.is_some_and(|seen| seen.sequence() > last.position.sequence());
        if lost || late {
            steps.push(self.read_on());
        }
    }

    fn advance(&mut self, last: Last, batch: Batch, steps: &mut Vec<Step>) {
        let (epoch, sequence) = (last.position.epoch(), last.position.sequence());
        let end = batch.end();
        if batch.epoch < epoch {
            // It was on its way when this epoch began.
            return;
        }
        if batch.epoch == epoch && batch.first == sequence + 1 {
            self.append(end, batch.at, batch.entries, steps);
        } else if batch.epoch != epoch || end.sequence() > self.overlap || last.differs(&batch) {
            // Either messages are missing here, or the stream has lost some.
            steps.push(self.read_on());
        }
    }

    fn append(&mut self, end: Position, at: u64, entries: Vec<Entry>, steps: &mut Vec<Step>) {
        if let Some(entry) = entries.last() {
            self.last = Some(Last { position: end, mark: Some(Mark::new(entry, at)) });
            steps.push(Step::Append(entries));
        }
    }

    /// Appends what follows the last message here, if the stream still has it.
    fn continue_from(&mut self, last: Last, snapshot: Snapshot, steps: &mut Vec<Step>) {
        let at = last.position;
        let Snapshot { end, entries, .. } = snapshot;
        let mut entries = entries.into_iter().peekable();
        let same = entries.next_if(|(position, ..)| *position == at);
        let is_other = |(_, entry, added): &(_, Entry, u64)| {
            last.mark.is_some_and(|mark| mark != Mark::new(entry, *added))
        };
        if end.epoch() != at.epoch() {
            steps.push(self.read_newest());
            return;
        }
        if end.sequence() < at.sequence() || same.as_ref().is_some_and(is_other) {
            steps.push(self.renew(end, at));
            return;
        }
        let (mut next, mut added_last) = (at, 0);
        let mut new = Vec::new();
        // Without the last message here, nothing shows that what follows it in the stream follows it here.
        let is_known = same.is_some() || at.sequence() == 0;
        for (position, entry, added) in entries.filter(|_| is_known) {
            if position != Position::new(next.epoch(), next.sequence() + 1) {
                break;
            }
            (next, added_last) = (position, added);
            new.push(entry);
        }
        self.repaired |= !new.is_empty();
        let stuck = next == at && next != end;
        self.append(next, added_last, new, steps);
        if stuck {
            // The stream does not reach so far back any more.
            steps.push(self.read_newest());
        } else if next != end {
            steps.push(self.read_on());
        } else {
            self.go_live(end);
        }
    }

    /// Begins with the newest messages, as far as there is none missing between them.
    fn begin_anew(&mut self, snapshot: Snapshot, steps: &mut Vec<Step>) {
        let Snapshot { end, now, entries } = snapshot;
        let key = |at: Position| (at.epoch(), at.sequence());
        if let Some(last) = self.last.filter(|last| key(last.position) > key(end)) {
            // Places that members had would soon mean other messages.
            steps.push(self.renew(end, last.position));
            return;
        }
        let mut messages = Vec::new();
        let sequences = (1..=end.sequence()).rev();
        for (sequence, (position, entry, at)) in sequences.zip(entries) {
            if position != Position::new(end.epoch(), sequence) {
                break;
            }
            messages.push((entry, at));
        }
        messages.reverse();
        let mark = messages.last().map(|(entry, at)| Mark::new(entry, *at));
        self.last = Some(Last { position: end, mark });
        steps.push(Step::Replace { position: end, messages, now });
        self.go_live(end);
    }

    fn go_live(&mut self, end: Position) {
        self.state = State::Live;
        self.overlap = end.sequence();
        self.seen = None;
    }

    /// Reads what follows the last message here.
    fn read_on(&mut self) -> Step {
        let from = self.position();
        self.read(from)
    }

    fn read_newest(&mut self) -> Step {
        self.read(None)
    }

    fn read(&mut self, from: Option<Position>) -> Step {
        self.tickets += 1;
        let read = Read { ticket: self.tickets, from };
        self.state = State::Reading(read);
        Step::Read(read)
    }

    /// Begins an epoch after that of the last message here, because Redis has gone back to `end`.
    fn renew(&mut self, end: Position, last: Position) -> Step {
        self.state = State::Renewing;
        let after = self.last.and_then(|last| last.mark).map(|mark| mark.at);
        Step::Renew { lost: end.epoch(), floor: last.epoch(), after }
    }

    fn hold(&mut self, batch: Batch) {
        self.held_bytes += batch.size();
        self.held.push_back(batch);
        if self.held_bytes > MAX_HELD_BYTES {
            self.forget_held();
            self.dropped = true;
        }
    }

    fn forget_held(&mut self) {
        self.held = VecDeque::new();
        self.held_bytes = 0;
        self.dropped = false;
    }

    /// Handles what arrived while the stream was read.
    fn release_held(&mut self, steps: &mut Vec<Step>) {
        if self.dropped && self.is_live() {
            self.forget_held();
            steps.push(self.read_on());
        }
        while self.is_live()
            && let Some(last) = self.last
            && let Some(batch) = self.held.pop_front()
        {
            self.held_bytes -= batch.size();
            self.advance(last, batch, steps);
        }
    }
}

#[cfg(test)]
mod tests;
