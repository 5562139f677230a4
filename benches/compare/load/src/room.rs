//! Rooms in which every member receives the messages of all senders.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll};
use serde_json::{Value, json};

use crate::Failure;
use crate::connect;
use crate::flags::{Broadcast, Everyone, Target};
use crate::latency::Latency;
use crate::line::{BUFFER, Line};
use crate::meter::Meter;
use crate::reference::Reference;
use crate::speech::Speech;

/// When a sender sends its next message.
#[derive(Debug, Clone, Copy)]
enum Pace {
    /// When it has received one from each sender.
    Rounds,
    /// When it has received its own, of which this many may be in flight.
    InFlight(u32),
    /// At fixed times: one message in every such interval, from each sender in turn.
    Interval(Duration),
}

#[derive(Debug)]
struct Rooms<'a> {
    target: &'a Target,
    poll: Poll,
    /// The members of the first room, then those of the next one, and so on.
    members: Vec<Member>,
    /// What each room receives.
    references: Vec<Reference>,
    buffer: Vec<u8>,
    voices: Voices,
    schedule: Schedule,
}

/// Which sender sends the next message, and when, at the pace of an interval.
#[derive(Debug)]
struct Schedule {
    time: Instant,
    sender: u32,
}

/// What all senders share.
#[derive(Debug)]
struct Voices {
    /// The number of senders in each room.
    count: u32,
    pace: Pace,
    speech: Speech,
    /// How many messages each sends.
    quota: u32,
    latency: Latency,
}

#[derive(Debug)]
struct Member {
    line: Line,
    /// The index of its room.
    room: usize,
    /// How many bytes it has received.
    position: u64,
    voice: Option<Voice>,
}

/// The state of a member that sends.
#[derive(Debug)]
struct Voice {
    sender: u32,
    sent: u32,
    /// When it sent the messages that it has not received yet.
    waiting: VecDeque<Instant>,
}

/// Each member sends a message, waits until it has received one from each, and starts again.
pub fn everyone(target: &Target, load: &Everyone) -> Result<Value, Failure> {
    let voices = Voices::new(target, load.members, load.bytes, Pace::Rounds);
    let mut rooms = Rooms::open(target, 1, load.members, load.bytes, voices)?;
    rooms.run(load.warm_up)?;
    let mut report = rooms.measure(load.rounds)?;
    report["load"] = json!({
        "name": "everyone", "members": load.members, "bytes": load.bytes, "rounds": load.rounds,
    });
    Ok(report)
}

/// A few members send, and all receive.
pub fn broadcast(target: &Target, load: &Broadcast) -> Result<Value, Failure> {
    if !load.members.is_multiple_of(load.rooms) {
        return Err("rooms of one size do not hold the members".into());
    }
    if load.senders > load.members / load.rooms {
        return Err("there are fewer members than senders".into());
    }
    let pace = match load.rate {
        Some(rate) => Pace::Interval(Duration::from_secs(1) / rate),
        None => Pace::InFlight(load.in_flight),
    };
    let voices = Voices::new(target, load.senders, load.bytes, pace);
    let senders = load.senders * load.rooms;
    let mut rooms = Rooms::open(target, load.rooms, load.members, load.bytes, voices)?;
    rooms.run(load.warm_up.div_ceil(senders))?;
    let mut report = rooms.measure(load.messages.div_ceil(senders))?;
    report["load"] = json!({
        "name": "broadcast", "rooms": load.rooms, "members": load.members, "senders": load.senders,
        "in_flight": load.in_flight, "rate": load.rate, "bytes": load.bytes, "messages": load.messages,
    });
    Ok(report)
}

impl<'a> Rooms<'a> {
    fn open(
        target: &'a Target,
        rooms: u32,
        members: u32,
        bytes: usize,
        voices: Voices,
    ) -> Result<Self, Failure> {
        let mut all = Self {
            target,
            poll: Poll::new()?,
            members: Vec::new(),
            references: (0..rooms).map(|_| Reference::new(voices.count, bytes)).collect(),
            buffer: vec![0; BUFFER],
            voices,
            schedule: Schedule { time: Instant::now(), sender: 0 },
        };
        let each = members / rooms;
        (0..members).try_for_each(|index| all.enter(index / each, index % each, each))?;
        Ok(all)
    }

    /// Opens the connection of number `index` of a room's members. Senders are evenly spread among the
    /// members.
    fn enter(&mut self, room: u32, index: u32, members: u32) -> Result<(), Failure> {
        let path = format!("{}-{room}", connect::ROOM);
        let opened = connect::open(self.target, &path, None)?;
        if !opened.received.is_empty() {
            return Err("a member received something before anybody sent".into());
        }
        let every = members / self.voices.count;
        let sender = index / every;
        let sends = index.is_multiple_of(every) && sender < self.voices.count;
        let voice = sends.then(|| Voice { sender, sent: 0, waiting: VecDeque::new() });
        let line = Line::new(opened.stream, &self.poll, self.members.len())?;
        self.members.push(Member { line, room: room as usize, position: 0, voice });
        Ok(())
    }

    /// Lets every sender send `messages` more, and reports the cost.
    fn measure(&mut self, messages: u32) -> Result<Value, Failure> {
        self.voices.latency = Latency::default();
        let (before, begin) = (self.messages(), self.ends());
        let meter = Meter::start(&self.target.process)?;
        self.run(messages)?;
        let messages = self.messages() - before;
        let mut report = meter.stop(&self.target.process, messages * self.each())?;
        let bytes = self.ends() - begin;
        report["wire_bytes_per_unit"] = json!(bytes as f64 / messages as f64);
        report["latency"] = std::mem::take(&mut self.voices.latency).report();
        Ok(report)
    }

    /// The number of messages of all rooms.
    fn messages(&self) -> u64 {
        self.references.iter().map(Reference::messages).sum()
    }

    /// How many bytes a member of each room has received, all rooms together.
    fn ends(&self) -> u64 {
        self.references.iter().map(Reference::end).sum()
    }

    /// How many members a room has.
    fn each(&self) -> u64 {
        (self.members.len() / self.references.len()) as u64
    }

    /// Lets every sender send `messages` more, until everybody has received them all.
    fn run(&mut self, messages: u32) -> Result<(), Failure> {
        self.voices.quota += messages;
        let goal = u64::from(self.voices.quota) * u64::from(self.voices.count);
        self.schedule.time = Instant::now();
        self.members.iter_mut().try_for_each(|member| member.start(&self.voices))?;
        let mut events = Events::with_capacity(self.members.len().clamp(64, 4_096));
        while !self.is_at(goal) {
            let timeout = self.target.time_left()?.min(self.keep_schedule()?);
            self.poll.poll(&mut events, Some(timeout))?;
            events.iter().try_for_each(|event| self.deal_with(event))?;
            self.trim(&events);
        }
        Ok(())
    }

    /// Sends what is due, and returns the time until the next message. A late sender catches up, and the time
    /// of a message is when it was due, so a server that stalls cannot reduce the load.
    fn keep_schedule(&mut self) -> Result<Duration, Failure> {
        let Pace::Interval(interval) = self.voices.pace else { return Ok(Duration::MAX) };
        let every = self.members.len() / self.voices.count as usize;
        let now = Instant::now();
        while self.schedule.time <= now {
            let member = &mut self.members[self.schedule.sender as usize * every];
            let Some(voice) = &mut member.voice else { break };
            if voice.sent == self.voices.quota {
                return Ok(Duration::MAX);
            }
            voice.send(1, &self.voices, self.schedule.time, &mut member.line.unsent);
            member.line.flush()?;
            self.schedule.time += interval;
            self.schedule.sender = (self.schedule.sender + 1) % self.voices.count;
        }
        // Polling sleeps for whole milliseconds: the last one is spent awake.
        let rest = self.schedule.time.saturating_duration_since(now);
        Ok(rest.saturating_sub(Duration::from_millis(1)))
    }

    fn is_at(&self, goal: u64) -> bool {
        let references = &self.references;
        references.iter().all(|reference| reference.messages() >= goal)
            && self.members.iter().all(|member| member.position == references[member.room].end())
    }

    /// Forgets the bytes of a room that has grown long, if there is one among the rooms that have just received
    /// something.
    fn trim(&mut self, events: &Events) {
        let mut rooms = events.iter().map(|event| self.members[event.token().0].room);
        let Some(room) = rooms.find(|&room| self.references[room].is_long()) else { return };
        let each = self.members.len() / self.references.len();
        let members = &self.members[room * each..(room + 1) * each];
        let slowest = members.iter().map(|member| member.position).min();
        self.references[room].trim(slowest.unwrap_or(0));
    }

    fn deal_with(&mut self, event: &Event) -> Result<(), Failure> {
        let member = &mut self.members[event.token().0];
        if event.is_readable() {
            let reference = &mut self.references[member.room];
            member.receive(&mut self.buffer, reference)?;
            member.answer(reference, &mut self.voices);
        }
        member.line.flush()
    }
}

impl Voices {
    fn new(target: &Target, count: u32, bytes: usize, pace: Pace) -> Self {
        let speech = Speech::new(target.mask, bytes);
        Self { count, pace, speech, quota: 0, latency: Latency::default() }
    }
}

impl Member {
    /// Sends its first messages.
    fn start(&mut self, voices: &Voices) -> Result<(), Failure> {
        let first = match voices.pace {
            Pace::Rounds => 1,
            Pace::InFlight(messages) => messages,
            Pace::Interval(_) => 0,
        };
        if let Some(voice) = &mut self.voice {
            voice.send(first, voices, Instant::now(), &mut self.line.unsent);
        }
        self.line.flush()
    }

    /// Reads everything available, and verifies it.
    fn receive(&mut self, buffer: &mut [u8], reference: &mut Reference) -> Result<(), Failure> {
        self.line.receive(buffer, |bytes| {
            reference.receive(self.position, bytes)?;
            self.position += bytes.len() as u64;
            Ok(())
        })
    }

    /// Sends what is due after receiving.
    fn answer(&mut self, reference: &mut Reference, voices: &mut Voices) {
        let Some(voice) = &mut self.voice else { return };
        let own = reference.own_received(voice.sender, self.position);
        let now = Instant::now();
        voice.waiting.drain(..own).for_each(|sent| voices.latency.add(now - sent));
        let due = match voices.pace {
            Pace::InFlight(_) => own as u32,
            Pace::Rounds => u32::from(voice.has_received_round(self.position, reference)),
            Pace::Interval(_) => 0,
        };
        voice.send(due, voices, now, &mut self.line.unsent);
    }
}

impl Voice {
    /// Sends up to `messages` more, as far as the quota allows.
    fn send(&mut self, messages: u32, voices: &Voices, now: Instant, out: &mut Vec<u8>) {
        for _ in 0..messages.min(voices.quota - self.sent) {
            voices.speech.append(self.sender, self.sent, out);
            self.sent += 1;
            self.waiting.push_back(now);
        }
    }

    /// Whether a member at `position` has received the round of its last message.
    fn has_received_round(&self, position: u64, reference: &Reference) -> bool {
        let round = self.sent.checked_sub(1).and_then(|round| reference.round_end(round as usize));
        round.is_some_and(|end| end <= position)
    }
}
