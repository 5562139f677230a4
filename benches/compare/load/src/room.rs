//! Members of rooms, in each of which everyone hears everyone who speaks.

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

/// When a sender says its next message.
#[derive(Debug, Clone, Copy)]
enum Pace {
    /// When it has heard one of everybody.
    Rounds,
    /// When it has heard its own, of which so many may be on the way.
    InFlight(u32),
    /// When its time has come: one message, of each in turn, in every such interval.
    Interval(Duration),
}

#[derive(Debug)]
struct Rooms<'a> {
    target: &'a Target,
    poll: Poll,
    /// Those of the first room, then those of the next one, and so on.
    members: Vec<Member>,
    /// What each room hears.
    references: Vec<Reference>,
    buffer: Vec<u8>,
    voices: Voices,
    schedule: Schedule,
}

/// Who says the next message when, at the pace of an interval.
#[derive(Debug)]
struct Schedule {
    time: Instant,
    sender: u32,
}

/// What is the same for all who speak.
#[derive(Debug)]
struct Voices {
    /// How many there are in each room.
    count: u32,
    pace: Pace,
    speech: Speech,
    /// How many messages each says.
    quota: u32,
    latency: Latency,
}

#[derive(Debug)]
struct Member {
    line: Line,
    /// The index of its room.
    room: usize,
    /// How many bytes it has heard.
    position: u64,
    voice: Option<Voice>,
}

/// What a member needs that speaks.
#[derive(Debug)]
struct Voice {
    sender: u32,
    said: u32,
    /// When it said what it has not heard yet.
    waiting: VecDeque<Instant>,
}

/// Each of the members says a message, waits until it has heard one of each, and so on.
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

/// A few members speak, and all hear.
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

    /// Opens the connection of number `index` of a room's members. Those who speak are evenly
    /// spread among those who listen.
    fn enter(&mut self, room: u32, index: u32, members: u32) -> Result<(), Failure> {
        let path = format!("{}-{room}", connect::ROOM);
        let opened = connect::open(self.target, &path, None)?;
        if !opened.heard.is_empty() {
            return Err("a member heard something before anybody spoke".into());
        }
        let every = members / self.voices.count;
        let sender = index / every;
        let speaks = index.is_multiple_of(every) && sender < self.voices.count;
        let voice = speaks.then(|| Voice { sender, said: 0, waiting: VecDeque::new() });
        let line = Line::new(opened, &self.poll, self.members.len())?;
        self.members.push(Member { line, room: room as usize, position: 0, voice });
        Ok(())
    }

    /// Lets every sender say `messages` more, and reports what that cost.
    fn measure(&mut self, messages: u32) -> Result<Value, Failure> {
        self.voices.latency = Latency::default();
        let before = self.deliveries();
        let meter = Meter::start(&self.target.process)?;
        self.run(messages)?;
        let mut report = meter.stop(&self.target.process, self.deliveries() - before)?;
        report["latency"] = std::mem::take(&mut self.voices.latency).report();
        Ok(report)
    }

    /// How many messages all members of all rooms have heard, when each has heard all.
    fn deliveries(&self) -> u64 {
        let messages: u64 = self.references.iter().map(Reference::messages).sum();
        messages * (self.members.len() / self.references.len()) as u64
    }

    /// Lets every sender say `messages` more, until everybody has heard them all.
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

    /// Says what is due by now, and returns how long there is until the next message. Who is late
    /// catches up, and the time of a message is when it was due: a server that stalls cannot
    /// shorten the list of those who wait for it.
    fn keep_schedule(&mut self) -> Result<Duration, Failure> {
        let Pace::Interval(interval) = self.voices.pace else { return Ok(Duration::MAX) };
        let every = self.members.len() / self.voices.count as usize;
        let now = Instant::now();
        while self.schedule.time <= now {
            let member = &mut self.members[self.schedule.sender as usize * every];
            let Some(voice) = &mut member.voice else { break };
            if voice.said == self.voices.quota {
                return Ok(Duration::MAX);
            }
            voice.say(1, &self.voices, self.schedule.time, &mut member.line.unsent);
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

    /// Forgets what is known of one room that has grown long, if there is one among those that
    /// have just heard something.
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
            member.hear(&mut self.buffer, reference)?;
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
    /// Says its first messages.
    fn start(&mut self, voices: &Voices) -> Result<(), Failure> {
        let first = match voices.pace {
            Pace::Rounds => 1,
            Pace::InFlight(messages) => messages,
            Pace::Interval(_) => 0,
        };
        if let Some(voice) = &mut self.voice {
            voice.say(first, voices, Instant::now(), &mut self.line.unsent);
        }
        self.line.flush()
    }

    /// Reads what there is, and verifies it.
    fn hear(&mut self, buffer: &mut [u8], reference: &mut Reference) -> Result<(), Failure> {
        self.line.hear(buffer, |bytes| {
            reference.hear(self.position, bytes)?;
            self.position += bytes.len() as u64;
            Ok(())
        })
    }

    /// Says what the pace asks for after hearing.
    fn answer(&mut self, reference: &mut Reference, voices: &mut Voices) {
        let Some(voice) = &mut self.voice else { return };
        let own = reference.own_heard(voice.sender, self.position);
        let now = Instant::now();
        voice.waiting.drain(..own).for_each(|said| voices.latency.add(now - said));
        let due = match voices.pace {
            Pace::InFlight(_) => own as u32,
            Pace::Rounds => u32::from(voice.has_heard_round(self.position, reference)),
            Pace::Interval(_) => 0,
        };
        voice.say(due, voices, now, &mut self.line.unsent);
    }
}

impl Voice {
    /// Says up to `messages` more, as far as the quota allows.
    fn say(&mut self, messages: u32, voices: &Voices, now: Instant, out: &mut Vec<u8>) {
        for _ in 0..messages.min(voices.quota - self.said) {
            voices.speech.say(self.sender, self.said, out);
            self.said += 1;
            self.waiting.push_back(now);
        }
    }

    /// Whether a member at `position` has heard the round in which it spoke last.
    fn has_heard_round(&self, position: u64, reference: &Reference) -> bool {
        let round = self.said.checked_sub(1).and_then(|round| reference.round_end(round as usize));
        round.is_some_and(|end| end <= position)
    }
}
