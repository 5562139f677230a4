//! Hostile clients of several kinds, and the end that the server must bring about for each.

use std::mem;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::frame::{self, BINARY, CLOSE, FIN, Frame, PING, PONG, TEXT};
use crate::handshake::{self, Answer};
use crate::line::Line;
use crate::world::{PATIENCE, World};

/// How long a hostile client is away.
const ABSENCE: [Duration; 2] = [Duration::from_millis(500), Duration::from_millis(1_500)];
/// How long a client stays before it vanishes.
const STAY: [Duration; 2] = [Duration::ZERO, Duration::from_secs(2)];

/// How often a client that does not read sends something. This fails once the server has dropped it.
const BEAT: Duration = Duration::from_millis(250);

/// The number of pings that a client sends at once.
const PINGS: usize = 20;

/// No member falls too far behind within this time: a client that ends earlier was not dropped for not
/// reading.
const EARLIEST: Duration = Duration::from_secs(5);

/// A small receive buffer for a client that does not read.
const RECEIVE_BUFFER: usize = 4 << 10;

/// The behaviour of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It resets its connection, somewhere between connecting and being in a room.
    Resets,
    /// It sends half a request and waits, until it is answered with 408.
    SendsHalf,
    /// It has the origin of another site, and is answered with 403.
    IsForeign,
    /// It sends a frame that breaks the protocol, and gets a close code.
    Breaks,
    /// It joins a room of its own and ends its connection without a close frame.
    Vanishes,
    /// It reads, but never answers a ping, until it is dropped.
    IsMute,
    /// It joins the loud room and never reads, until it is dropped.
    IsDeaf,
    /// It joins the loud room, never reads, and keeps sending pings.
    Floods,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::Resets,
        Self::SendsHalf,
        Self::IsForeign,
        Self::Breaks,
        Self::Vanishes,
        Self::IsMute,
        Self::IsDeaf,
        Self::Floods,
    ];

    /// The kinds that read.
    pub const READERS: &[Self] = Self::ALL.split_at(6).0;

    /// What clients of the kind did, for the summary.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resets => "reset",
            Self::SendsHalf => "sent half a head",
            Self::IsForeign => "of a foreign origin",
            Self::Breaks => "broke the protocol",
            Self::IsDeaf => "never read",
            Self::Floods => "flooded",
            Self::Vanishes => "vanished",
            Self::IsMute => "answered no ping",
        }
    }

    fn reads(self) -> bool {
        !matches!(self, Self::IsDeaf | Self::Floods)
    }

    /// How the server should answer its request.
    fn status(self) -> u16 {
        match self {
            Self::SendsHalf => 408,
            Self::IsForeign => 403,
            _ => 101,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Away,
    Asking,
    Open,
    /// The server has sent its last bytes, and must end the connection.
    Ending,
}

#[derive(Debug)]
pub struct Hostile {
    token: usize,
    kind: Kind,
    state: State,
    line: Option<Line>,
    since: Instant,
    /// When to act next, or to come back.
    next: Option<Instant>,
    /// The close code that it must get.
    code: u16,
}

impl Hostile {
    pub fn new(token: usize, kind: Kind, now: Instant) -> Self {
        Self { token, kind, state: State::Away, line: None, since: now, next: None, code: 0 }
    }

    /// A description for failures.
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// Connects, and begins to behave as its kind does.
    pub fn begin(&mut self, world: &mut World) -> Result<(), Failure> {
        let request = self.request(world);
        let receive_buffer = (!self.kind.reads()).then_some(RECEIVE_BUFFER);
        let line = world.connect(self.token, &request, receive_buffer)?;
        self.since = world.now;
        self.state = State::Asking;
        if self.kind == Kind::Resets {
            line.reset()?;
            self.leave(world);
            return Ok(());
        }
        self.line = Some(line);
        match self.kind.reads() {
            true => world.wake_at(world.now + PATIENCE, self.token),
            false => self.act_in(BEAT, world),
        }
        Ok(())
    }

    fn request(&self, world: &mut World) -> Vec<u8> {
        let room = world.some_room(!self.kind.reads());
        let path = match self.kind {
            Kind::Vanishes => format!("/passing-{}", world.dice.next()),
            _ => world.rooms[room].name.clone(),
        };
        let origin = match self.kind {
            Kind::IsForeign => "Origin: https://elsewhere.example\r\n",
            _ => "",
        };
        let mut request = handshake::request(world.server, &path, origin).into_bytes();
        match self.kind {
            Kind::SendsHalf => request.truncate(request.len() / 2),
            Kind::Resets => request.truncate(world.dice.below(2) * request.len()),
            _ => {}
        }
        request
    }

    /// Reads and writes as far as the socket is ready.
    pub fn ready(&mut self, world: &mut World) -> Result<(), Failure> {
        let Some(line) = self.line.as_mut().filter(|_| self.kind.reads()) else { return Ok(()) };
        line.flush()?;
        // The connection of a client that is dropped may be reset.
        let ended = match line.receive(&mut world.buffer) {
            Err(_) if self.kind == Kind::IsMute => true,
            outcome => outcome?,
        };
        let mut bytes = mem::take(&mut line.unread);
        let used = self.use_up(&bytes, world)?;
        if ended {
            return self.end(world);
        }
        bytes.drain(..used);
        if let Some(line) = &mut self.line {
            line.unread = bytes;
        }
        Ok(())
    }

    fn use_up(&mut self, bytes: &[u8], world: &mut World) -> Result<usize, Failure> {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            let size = match self.state {
                State::Asking => self.receive_answer(rest, world)?,
                State::Open => self.receive(rest)?,
                // The text of an HTTP answer.
                State::Ending | State::Away => rest.len(),
            };
            if size == 0 {
                return Ok(used);
            }
            used += size;
        }
    }

    fn receive_answer(&mut self, bytes: &[u8], world: &mut World) -> Result<usize, Failure> {
        let Some(answer) = Answer::parse(bytes)? else { return Ok(0) };
        if answer.status != self.kind.status() {
            return Err(format!("the server answers with {}", answer.status).into());
        }
        self.state = if answer.status == 101 { State::Open } else { State::Ending };
        match self.kind {
            Kind::Breaks => self.break_protocol(world)?,
            Kind::Vanishes => {
                let [least, most] = STAY;
                let stay = world.dice.between(least, most);
                self.act_in(stay, world);
            }
            _ => {}
        }
        Ok(answer.size)
    }

    fn break_protocol(&mut self, world: &mut World) -> Result<(), Failure> {
        let mask = world.dice.mask();
        let (code, bytes) = match world.dice.below(4) {
            0 => (1002, [&[FIN | TEXT, 5][..], b"hello"].concat()),
            1 => (1002, frame::encode(FIN | 0xb, b"", mask)),
            2 => (1007, frame::encode(FIN | TEXT, b"\xc3\x28", mask)),
            // A length of 2^63 - 1 bytes, and the mask.
            _ => (1009, [&[FIN | BINARY, 0xff, 0x7f][..], &[0xff; 7], &mask].concat()),
        };
        self.code = code;
        self.send(&bytes)
    }

    /// Skips the messages of the room, up to a close frame.
    fn receive(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        let Some(frame) = Frame::parse(bytes)? else { return Ok(0) };
        if frame.opcode == CLOSE {
            let (code, reason) = frame.close_code();
            if code != self.code {
                return Err(format!("the server closes with {code}: {reason}").into());
            }
            self.state = State::Ending;
        }
        Ok(frame.size)
    }

    /// Handles the end of the connection.
    fn end(&mut self, world: &mut World) -> Result<(), Failure> {
        match (self.state, self.kind) {
            (State::Ending, _) | (State::Open, Kind::IsMute) => self.leave(world),
            (state, _) => return Err(format!("the server ends it while {state:?}").into()),
        }
        Ok(())
    }

    /// Does what is due.
    pub fn due(&mut self, world: &mut World) -> Result<(), Failure> {
        if self.state != State::Away && world.now >= self.since + PATIENCE {
            return Err(format!("the server has not ended it within {PATIENCE:?}").into());
        }
        if self.next.take_if(|time| *time <= world.now).is_none() {
            return Ok(());
        }
        match (self.state, self.kind) {
            (State::Away, _) => self.begin(world)?,
            (_, Kind::Vanishes) => self.leave(world),
            (_, Kind::IsDeaf) => self.pester(PONG, 1, world)?,
            (_, Kind::Floods) => self.pester(PING, PINGS, world)?,
            _ => {}
        }
        Ok(())
    }

    /// Sends control frames. If this fails, the server has dropped the client.
    fn pester(&mut self, opcode: u8, count: usize, world: &mut World) -> Result<(), Failure> {
        let ping = frame::encode(FIN | opcode, &[b'x'; 100], world.dice.mask());
        if self.send(&ping.repeat(count)).is_ok() {
            self.act_in(BEAT, world);
            return Ok(());
        }
        if world.now < self.since + EARLIEST {
            return Err("the server ends it before it could fall behind".into());
        }
        self.leave(world);
        Ok(())
    }

    /// Sends frames, unless earlier ones are still unsent.
    fn send(&mut self, frames: &[u8]) -> Result<(), Failure> {
        let Some(line) = &mut self.line else { return Ok(()) };
        if line.unsent.is_empty() {
            line.unsent.extend_from_slice(frames);
        }
        Ok(line.flush()?)
    }

    /// Ends the client for now.
    fn leave(&mut self, world: &mut World) {
        world.tally.count_hostile(self.kind);
        self.line = None;
        self.state = State::Away;
        let [least, most] = ABSENCE;
        let absence = world.dice.between(least, most);
        self.act_in(absence, world);
    }

    /// Ends the client for good.
    pub fn stop(&mut self) {
        self.line = None;
        self.state = State::Away;
        self.next = None;
    }

    fn act_in(&mut self, delay: Duration, world: &mut World) {
        let time = world.now + delay;
        self.next = Some(time);
        world.wake_at(time, self.token);
    }
}
