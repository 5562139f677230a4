//! What all clients share.

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

/// How long anything may take that is not a matter of waiting. A busy machine has its time.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How much is received at once.
const BUFFER_BYTES: usize = 64 << 10;

/// How many deliveries a second all rooms have together, as long as the rooms are not too quiet:
/// a fraction of what one core sends and another one checks.
const DELIVERIES: f64 = 20_000.0;

/// The most messages a second in an ordinary room.
const MOST_MESSAGES: f64 = 20.0;

/// The messages a second in the loud room, where they are long: who does not read falls behind
/// within seconds.
const LOUD_MESSAGES: f64 = 32.0;

/// The loud room; all others are ordinary.
const LOUD_ROOM: usize = 0;

/// The most messages of a room that nobody has heard. Nobody says more meanwhile, so that a server
/// that had to wait for the CPU does not find more at once than a member may be behind.
const MOST_UNHEARD: usize = 32;

/// What is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Members join.
    Gathering,
    /// They talk, come and go.
    Talking,
    /// Nobody says anything new, comes or goes.
    Settling,
    /// The server was told to stop.
    Ending,
}

/// A room.
#[derive(Debug)]
pub struct Room {
    pub name: String,
    pub transcript: Transcript,
    /// The tokens of the members that are in it and can be asked to speak.
    pub speakers: Vec<usize>,
    /// How long it is from one message to the next.
    pub interval: Duration,
    pub next_message: Instant,
    pub loud: bool,
}

impl Room {
    /// Whether it is time to say something, which is then not time for a while.
    pub fn is_to_speak(&mut self, now: Instant) -> bool {
        if self.next_message > now {
            return false;
        }
        // What was missed on a busy machine is not made up for in a burst.
        self.next_message = now.max(self.next_message + self.interval);
        self.transcript.unheard() < MOST_UNHEARD
    }
}

/// What clients share.
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
    /// When to look at which client.
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Members that are to join.
    pub joining: VecDeque<usize>,
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
                speakers: Vec::new(),
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

    /// Has a client looked at when the time has come.
    pub fn wake_at(&mut self, time: Instant, token: usize) {
        self.timers.push(Reverse((time, token)));
    }

    /// A client whose time has come.
    pub fn next_due(&mut self) -> Option<usize> {
        let Reverse((time, _)) = self.timers.peek()?;
        if *time > self.now {
            return None;
        }
        self.timers.pop().map(|Reverse((_, token))| token)
    }

    /// When there is something to do, whatever the network brings.
    pub fn next_time(&self) -> Option<Instant> {
        let timer = self.timers.peek().map(|Reverse((time, _))| *time);
        let speaking = self.phase == Phase::Talking;
        let rooms = self.rooms.iter().filter(|_| speaking).map(|room| room.next_message);
        rooms.chain(timer).min()
    }
}
