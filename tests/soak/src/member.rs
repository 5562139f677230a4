//! A well-behaved member: it joins, receives, sends on request, leaves, and returns.

use std::io::ErrorKind;
use std::mem;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::deflate::{Inflater, OFFER_NO_TAKEOVER, OFFER_TAKEOVER};
use crate::frame::{self, BINARY, CLOSE, FIN, Frame, PING, PONG, RSV1, TEXT};
use crate::handshake::{self, Answer};
use crate::line::Line;
use crate::transcript::Reader;
use crate::world::{PATIENCE, Phase, World};

/// How long a roaming member stays.
const STAY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];
/// How long a roaming member is away.
const ABSENCE: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(2)];

/// The interval between bytes of a member that sends byte by byte.
const BYTE_INTERVAL: Duration = Duration::from_millis(20);

/// How a member behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It stays to the end.
    Stays,
    /// It leaves and returns.
    Roams,
    /// It sends one message byte by byte, and leaves when it has received it.
    Trickles,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Away,
    /// It has asked to join, when the room had received this many messages.
    Asking(usize),
    Open,
    /// It has sent its close frame, when the room had received this many messages. It must receive these
    /// before the answer.
    Leaving(usize),
    /// Both close frames are exchanged, so the server must end the connection.
    Closed,
}

#[derive(Debug)]
pub struct Member {
    token: usize,
    manner: Manner,
    loud: bool,
    state: State,
    line: Option<Line>,
    room: usize,
    reader: Option<Reader>,
    inflater: Option<Inflater>,
    /// It has answered a ping after its close frame, as it must until it receives one (RFC 6455, section
    /// 5.5.2).
    crossed: bool,
    /// The deadline for a change of state.
    until: Option<Instant>,
    /// When the next byte may be sent.
    next_byte: Option<Instant>,
}

impl Member {
    pub fn new(token: usize, manner: Manner, loud: bool) -> Self {
        Self {
            token,
            manner,
            loud,
            state: State::Away,
            line: None,
            room: 0,
            reader: None,
            inflater: None,
            crossed: false,
            until: None,
            next_byte: None,
        }
    }

    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    pub fn is_away(&self) -> bool {
        self.state == State::Away
    }

    /// A description for failures.
    pub fn name(&self, world: &World) -> String {
        let Self { manner, state, room, .. } = self;
        format!("which {manner:?}, {state:?} in {}", world.rooms[*room].name)
    }

    /// Asks to join some room.
    pub fn join(&mut self, world: &mut World) -> Result<(), Failure> {
        self.room = world.some_room(self.loud);
        let offer = match self.token % 8 {
            0..4 => None,
            4..7 => Some(OFFER_TAKEOVER),
            _ => Some(OFFER_NO_TAKEOVER),
        };
        let fields =
            offer.map_or(String::new(), |offer| format!("Sec-WebSocket-Extensions: {offer}\r\n"));
        let room = &world.rooms[self.room];
        self.state = State::Asking(room.transcript.received());
        let request = handshake::request(world.server, &room.name, &fields);
        self.line = Some(world.connect(self.token, request.as_bytes(), None)?);
        world.asking += 1;
        self.expect_within(PATIENCE, world);
        Ok(())
    }

    /// Reads and writes as far as the socket is ready.
    pub fn ready(&mut self, world: &mut World) -> Result<(), Failure> {
        self.flush(world)?;
        let Some(line) = &mut self.line else { return Ok(()) };
        let ended = match line.receive(&mut world.buffer) {
            // The server closes at once, so the pong may arrive at a closed socket.
            Err(error) if self.crossed && error.kind() == ErrorKind::ConnectionReset => true,
            outcome => outcome?,
        };
        let mut bytes = mem::take(&mut line.unread);
        let used = self.use_up(&bytes, world)?;
        bytes.drain(..used);
        let is_over = ended && !self.is_undecided(world);
        match &mut self.line {
            Some(_) if is_over => self.end(&bytes, world),
            Some(line) => {
                line.unread = bytes;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Handles the received bytes as far as they are complete, and returns how many it used.
    fn use_up(&mut self, bytes: &[u8], world: &mut World) -> Result<usize, Failure> {
        let mut used = 0;
        loop {
            let size = match self.state {
                State::Asking(floor) => self.open(floor, &bytes[used..], world)?,
                _ => self.receive(&bytes[used..], world)?,
            };
            if size == 0 {
                return Ok(used);
            }
            used += size;
        }
    }

    fn open(&mut self, floor: usize, bytes: &[u8], world: &mut World) -> Result<usize, Failure> {
        let Some(answer) = Answer::parse(bytes)? else { return Ok(0) };
        if answer.status != 101 {
            return Err(format!("the server answers with {}", answer.status).into());
        }
        world.asking -= 1;
        world.tally.joined += 1;
        self.state = State::Open;
        self.inflater = Inflater::agreed(answer.extensions.as_deref())?;
        let room = &mut world.rooms[self.room];
        self.reader = Some(Reader::new(floor, &room.transcript));
        if self.manner != Manner::Trickles {
            room.senders.push(self.token);
        }
        self.stay(world);
        if self.manner == Manner::Trickles {
            self.send_message(world)?;
        }
        Ok(answer.size)
    }

    fn receive(&mut self, bytes: &[u8], world: &mut World) -> Result<usize, Failure> {
        let Some(frame) = Frame::parse(bytes)? else { return Ok(0) };
        if self.state == State::Closed {
            return Err("there is a frame after the close frame".into());
        }
        if matches!(frame.opcode, TEXT | BINARY) && self.is_undecided(world) {
            world.undecided.push(self.token);
            return Ok(0);
        }
        match frame.opcode {
            TEXT | BINARY => self.receive_message(&frame, world)?,
            PING => {
                self.crossed = self.state != State::Open;
                self.send(PONG, frame.payload, world)?;
            }
            CLOSE => self.receive_close(&frame, world)?,
            opcode => return Err(format!("there is a frame of opcode {opcode}").into()),
        }
        Ok(frame.size)
    }

    fn is_undecided(&self, world: &World) -> bool {
        let transcript = &world.rooms[self.room].transcript;
        self.reader.as_ref().is_some_and(|reader| transcript.is_undecided(reader))
    }

    fn receive_message(&mut self, frame: &Frame<'_>, world: &mut World) -> Result<(), Failure> {
        let inflated = match &mut self.inflater {
            Some(inflater) if frame.compressed => Some(inflater.inflate(frame.payload)?),
            None if frame.compressed => {
                return Err("a message is compressed without negotiation".into());
            }
            _ => None,
        };
        world.tally.received += 1;
        world.tally.inflated += u64::from(inflated.is_some());
        let message = inflated.as_deref().unwrap_or(frame.payload);
        let Some(reader) = &mut self.reader else { return Ok(()) };
        let transcript = &mut world.rooms[self.room].transcript;
        transcript.receive(reader, frame.opcode, message)?;
        let done = self.manner == Manner::Trickles && transcript.has_received_own(reader);
        if done && self.may_leave(world) {
            world.tally.trickled += 1;
            self.leave(world)?;
        }
        Ok(())
    }

    fn receive_close(&mut self, frame: &Frame<'_>, world: &mut World) -> Result<(), Failure> {
        let (code, reason) = frame.close_code();
        match self.state {
            State::Leaving(position) if code == 1000 => {
                let transcript = &world.rooms[self.room].transcript;
                self.reader.as_ref().map_or(Ok(()), |one| transcript.check_end(one, position))?;
                world.tally.left += 1;
            }
            State::Open if code == 1001 && world.phase == Phase::Ending => {
                self.check_settled(world)?;
                self.send(CLOSE, frame.payload, world)?;
                world.tally.dismissed += 1;
            }
            _ => return Err(format!("the server closes with {code}: {reason}").into()),
        }
        self.state = State::Closed;
        self.expect_within(PATIENCE, world);
        Ok(())
    }

    /// Checks that it has received everything.
    pub fn check_settled(&self, world: &World) -> Result<(), Failure> {
        match (self.state, &self.reader) {
            (State::Away, _) => Ok(()),
            (State::Open, Some(one)) => world.rooms[self.room].transcript.check_settled(one),
            (state, _) => Err(format!("it is {state:?}").into()),
        }
    }

    /// Handles the end of the connection.
    fn end(&mut self, rest: &[u8], world: &mut World) -> Result<(), Failure> {
        if self.state != State::Closed || !rest.is_empty() {
            return Err("the server has ended the connection without a close handshake".into());
        }
        self.line = None;
        self.reader = None;
        self.inflater = None;
        self.crossed = false;
        self.next_byte = None;
        self.state = State::Away;
        let [least, most] = ABSENCE;
        let absence = world.dice.between(least, most);
        self.expect_within(absence, world);
        Ok(())
    }

    /// Sends a message to its room, usually a short one and sometimes a long one.
    pub fn send_message(&mut self, world: &mut World) -> Result<(), Failure> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        let room = &mut world.rooms[self.room];
        let size = match room.loud {
            _ if self.manner == Manner::Trickles => 20,
            true => 16 << 10,
            false if world.dice.one_in(50) => 5_000,
            false => world.dice.below(250),
        };
        let opcode = if world.dice.one_in(4) { BINARY } else { TEXT };
        let message = room.transcript.send(reader, opcode, &world.dice.words(size));
        world.tally.sent += 1;
        if self.inflater.is_some() && world.dice.one_in(2) {
            let deflated = world.deflater.deflate(message.as_bytes())?;
            return self.send(RSV1 | opcode, &deflated, world);
        }
        self.send(opcode, message.as_bytes(), world)
    }

    /// Begins the close handshake.
    fn leave(&mut self, world: &mut World) -> Result<(), Failure> {
        let room = &mut world.rooms[self.room];
        self.state = State::Leaving(room.transcript.received());
        room.senders.retain(|&sender| sender != self.token);
        self.expect_within(PATIENCE, world);
        self.send(CLOSE, &1000u16.to_be_bytes(), world)
    }

    fn may_leave(&self, world: &World) -> bool {
        self.state == State::Open && world.phase == Phase::Running
    }

    fn send(&mut self, first: u8, payload: &[u8], world: &mut World) -> Result<(), Failure> {
        let frame = frame::encode(FIN | first, payload, world.dice.mask());
        if let Some(line) = &mut self.line {
            line.unsent.extend_from_slice(&frame);
        }
        self.flush(world)
    }

    /// Sends what is unsent, or schedules its next byte.
    fn flush(&mut self, world: &mut World) -> Result<(), Failure> {
        let Some(line) = &mut self.line else { return Ok(()) };
        if self.manner != Manner::Trickles || matches!(self.state, State::Asking(_)) {
            line.flush()?;
        } else if !line.unsent.is_empty() && self.next_byte.is_none() {
            let time = world.now + BYTE_INTERVAL;
            self.next_byte = Some(time);
            world.wake_at(time, self.token);
        }
        Ok(())
    }

    /// Does what is due.
    pub fn due(&mut self, world: &mut World) -> Result<(), Failure> {
        let is_due = |time: &mut Instant| *time <= world.now;
        let byte = self.next_byte.take_if(is_due).is_some();
        let state = self.until.take_if(is_due).is_some();
        if let Some(line) = self.line.as_mut().filter(|_| byte) {
            line.send(1)?;
            self.flush(world)?;
        }
        if state { self.move_on(world) } else { Ok(()) }
    }

    fn move_on(&mut self, world: &mut World) -> Result<(), Failure> {
        match self.state {
            State::Away if world.phase == Phase::Running => world.joining.push_back(self.token),
            State::Away => {}
            State::Open if self.may_leave(world) => return self.leave(world),
            State::Open => self.stay(world),
            state => return Err(format!("it is {state:?} for {PATIENCE:?}").into()),
        }
        Ok(())
    }

    /// Sets the time to leave.
    fn stay(&mut self, world: &mut World) {
        let [least, most] = STAY;
        match self.manner {
            Manner::Stays => self.until = None,
            Manner::Roams => {
                let stay = world.dice.between(least, most);
                self.expect_within(stay, world);
            }
            Manner::Trickles => self.expect_within(PATIENCE, world),
        }
    }

    fn expect_within(&mut self, delay: Duration, world: &mut World) {
        let time = world.now + delay;
        self.until = Some(time);
        world.wake_at(time, self.token);
    }
}
