//! The state that all clients share.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::Poll;

use crate::Failure;
use crate::deflate::Deflater;
use crate::dice::Dice;
use crate::line::Line;
use crate::tally::Tally;
use crate::transcript::Transcript;

/// How long any step may take, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The size of the receive buffer.
const BUFFER_BYTES: usize = 64 << 10;

/// The deliveries per second in all rooms together, unless that would make the rooms too quiet: a fraction of
/// what one core can send and another can check.
const DELIVERIES: f64 = 20_000.0;

/// The maximum number of messages per second in an ordinary room.
const MOST_MESSAGES: f64 = 20.0;

/// The messages per second in the loud room. They are long, so a member that does not read falls behind within
/// seconds.
const LOUD_MESSAGES: f64 = 32.0;

/// The loud room; all others are ordinary.
const LOUD_ROOM: usize = 0;

/// The maximum number of messages of a room that nobody has received yet. Above it, nobody sends, so that a
/// server that had to wait for the CPU does not find more at once than a member may be behind.
const MOST_UNHEARD: usize = 32;

/// The phase of the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Members join.
    Gathering,
    /// Members send, leave and return.
    Running,
    /// No member sends, joins or leaves.
    Settling,
    /// The server is shutting down.
    Ending,
}

/// A room.
#[derive(Debug)]
pub struct Room {
    pub name: String,
    pub transcript: Transcript,
    /// The tokens of the members that may be asked to send.
    pub senders: Vec<usize>,
    /// The interval between messages.
    pub interval: Duration,
    pub next_message: Instant,
    pub loud: bool,
}

impl Room {
    /// Whether the next message is due. If so, sets the time of the following one.
    pub fn is_due(&mut self, now: Instant) -> bool {
        if self.next_message > now {
            return false;
        }
        // Messages that are late on a busy machine are not made up for in a burst.
        self.next_message = now.max(self.next_message + self.interval);
        self.transcript.not_received() < MOST_UNHEARD
    }
}

/// The state that clients share.
#[derive(Debug)]
pub struct World {
    pub phase: Phase,
    pub poll: Poll,
    pub server: SocketAddr,
    /// The time, as of the last poll.
    pub now: Instant,
    pub rooms: Vec<Room>,
    pub dice: Dice,
    pub deflater: Deflater,
    pub tally: Tally,
    pub buffer: Vec<u8>,
    /// Which client to wake when.
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Members that are to join.
    pub joining: VecDeque<usize>,
    /// Members whose first message waits until others have received those before it.
    pub undecided: Vec<usize>,
    /// How many members have asked to join and have no answer.
    pub asking: usize,
}

impl World {
    pub fn new(server: SocketAddr, members: usize, seed: u64) -> Result<Self, Failure> {
        let now = Instant::now();
        // A few dozen where there are many members; about 25 in each where there are few.
        let ordinary = (members / 25).clamp(1, 38);
        let pace = MOST_MESSAGES.min(DELIVERIES / members as f64);
        let room = |index| {
            let loud = index == LOUD_ROOM;
            let pace = if loud { LOUD_MESSAGES } else { pace };
            Room {
                name: format!("/room-{index}"),
                transcript: Transcript::default(),
                senders: Vec::new(),
                interval: Duration::from_secs_f64(1.0 / pace),
                next_message: now,
                loud,
            }
        };
        Ok(Self {
            phase: Phase::Gathering,
            poll: Poll::new()?,
            server,
            now,
            rooms: (0..=ordinary).map(room).collect(),
            dice: Dice::new(seed),
            deflater: Deflater::new(),
            tally: Tally::default(),
            buffer: vec![0; BUFFER_BYTES],
            timers: BinaryHeap::new(),
            joining: VecDeque::new(),
            undecided: Vec::new(),
            asking: 0,
        })
    }

    /// The loud room, or some other.
    pub fn some_room(&mut self, loud: bool) -> usize {
        if loud { LOUD_ROOM } else { 1 + self.dice.below(self.rooms.len() - 1) }
    }

    /// Begins to connect, with a request.
    pub fn connect(
        &self,
        token: usize,
        request: &[u8],
        receive_buffer: Option<usize>,
    ) -> Result<Line, Failure> {
        let mut line = Line::connect(self.server, token, self.poll.registry(), receive_buffer)?;
        line.unsent.extend_from_slice(request);
        line.flush()?;
        Ok(line)
    }

    /// Wakes a client at a time.
    pub fn wake_at(&mut self, time: Instant, token: usize) {
        self.timers.push(Reverse((time, token)));
    }

    /// A client whose time to wake has come.
    pub fn next_due(&mut self) -> Option<usize> {
        let Reverse((time, _)) = self.timers.peek()?;
        if *time > self.now {
            return None;
        }
        self.timers.pop().map(|Reverse((_, token))| token)
    }

    /// The time until something is due, apart from network events.
    pub fn next_time(&self) -> Option<Instant> {
        let timer = self.timers.peek().map(|Reverse((time, _))| *time);
        let sending = self.phase == Phase::Running;
        let rooms = self.rooms.iter().filter(|_| sending).map(|room| room.next_message);
        rooms.chain(timer).min()
    }
}
