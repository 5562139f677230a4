//! A member of a quiet room beside a room that is flooded.
//!
//! The load generator has one thread for both, so it checks the quiet member after every piece that a
//! member of the flooded room has received. It thus measures the delay of the server, not its own.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll};
use serde_json::{Value, json};

use crate::Failure;
use crate::connect;
use crate::flags::{Neighbour, Target};
use crate::latency::Latency;
use crate::line::BUFFER;
use crate::member::Member;
use crate::meter::Meter;
use crate::reference::Reference;
use crate::speech::Speech;

/// The size of the quiet member's messages in bytes.
const QUIET_BYTES: usize = 20;

/// The time between two messages of the quiet member.
const INTERVAL: Duration = Duration::from_millis(2);

/// The room that is flooded. Its first member sends, and all receive.
#[derive(Debug)]
struct Flood<'a> {
    target: &'a Target,
    poll: Poll,
    members: Vec<Member>,
    reference: Reference,
    speech: Speech,
    sent: u32,
    /// The number of messages that every member has received.
    received: u32,
    in_flight: u32,
    buffer: Vec<u8>,
    quiet: Quiet,
}

/// The only member of the quiet room. It sends at fixed times, whatever it has received, so a server
/// that stalls delays every message that is due during the stall.
#[derive(Debug)]
struct Quiet {
    member: Member,
    reference: Reference,
    speech: Speech,
    sent: u32,
    next: Instant,
    /// The due times of the messages that it has not received yet.
    waiting: VecDeque<Instant>,
    latency: Latency,
    buffer: Vec<u8>,
}

/// Measures how long the quiet member waits for its own message, first alone, then during the flood.
pub fn neighbour(target: &Target, load: &Neighbour) -> Result<Value, Failure> {
    let mut flood = Flood::open(target, load)?;
    flood.run(load.warm_up)?;
    let alone = flood.rest(load.samples)?;
    let meter = Meter::start(&target.process)?;
    flood.quiet.begin();
    flood.run(load.messages)?;
    let deliveries = u64::from(load.messages) * u64::from(load.members);
    let mut report = meter.stop(&target.process, deliveries)?;
    report["latency"] = flood.quiet.latency().report();
    report["alone"] = alone.report();
    report["load"] = json!({
        "name": "neighbour", "members": load.members, "in_flight": load.in_flight,
        "bytes": load.bytes, "messages": load.messages, "samples": load.samples,
    });
    Ok(report)
}

impl<'a> Flood<'a> {
    fn open(target: &'a Target, load: &Neighbour) -> Result<Self, Failure> {
        let poll = Poll::new()?;
        let enter = |index| Member::enter(target, &room("loud"), &poll, index);
        let members = (0..load.members as usize).map(enter).collect::<Result<Vec<_>, _>>()?;
        let quiet = Quiet::enter(target, &poll, members.len())?;
        Ok(Self {
            target,
            poll,
            members,
            reference: Reference::new(1, load.bytes),
            speech: Speech::new(target.mask, load.bytes),
            sent: 0,
            received: 0,
            in_flight: load.in_flight,
            buffer: vec![0; BUFFER],
            quiet,
        })
    }

    /// Lets the quiet member send `samples` messages without the flood.
    fn rest(&mut self, samples: u32) -> Result<Latency, Failure> {
        self.quiet.begin();
        let last = self.quiet.sent + samples;
        let mut events = Events::with_capacity(64);
        while self.quiet.sent < last {
            self.poll(&mut events)?;
        }
        self.settle(&mut events)?;
        Ok(self.quiet.latency())
    }

    /// Floods the room with `messages` more, until every member has received all of them, and the quiet
    /// member its own.
    fn run(&mut self, messages: u32) -> Result<(), Failure> {
        let quota = self.sent + messages;
        let mut events = Events::with_capacity(self.members.len().clamp(64, 4_096));
        while self.received < quota {
            self.send_flood(quota.min(self.received + self.in_flight))?;
            self.poll(&mut events)?;
            self.count();
        }
        self.settle(&mut events)
    }

    /// Waits until the quiet member has received all its messages.
    fn settle(&mut self, events: &mut Events) -> Result<(), Failure> {
        while !self.quiet.waiting.is_empty() {
            self.poll(events)?;
        }
        Ok(())
    }

    /// Counts the messages that every member has received, and drops them from the reference.
    fn count(&mut self) {
        let slowest = self.members.iter().map(|member| member.position).min().unwrap_or(0);
        self.received += self.reference.own_received(0, slowest) as u32;
        if self.reference.is_long() {
            self.reference.trim(slowest);
        }
    }

    /// Makes the first member send messages up to number `last`.
    fn send_flood(&mut self, last: u32) -> Result<(), Failure> {
        let line = &mut self.members[0].line;
        for number in self.sent..last {
            self.speech.append(0, number, &mut line.unsent);
        }
        self.sent = self.sent.max(last);
        line.flush()
    }

    fn poll(&mut self, events: &mut Events) -> Result<(), Failure> {
        let timeout = self.target.time_left()?.min(self.quiet.check()?);
        self.poll.poll(events, Some(timeout))?;
        events.iter().try_for_each(|event| self.deal_with(event))
    }

    fn deal_with(&mut self, event: &Event) -> Result<(), Failure> {
        let Self { members, reference, buffer, quiet, .. } = self;
        let Some(member) = members.get_mut(event.token().0) else {
            return quiet.check().map(drop);
        };
        if event.is_readable() {
            member.receive(buffer, reference, || quiet.check().map(drop))?;
        }
        member.line.flush()
    }
}

impl Quiet {
    fn enter(target: &Target, poll: &Poll, token: usize) -> Result<Self, Failure> {
        Ok(Self {
            member: Member::enter(target, &room("quiet"), poll, token)?,
            reference: Reference::new(1, QUIET_BYTES),
            speech: Speech::new(target.mask, QUIET_BYTES),
            sent: 0,
            next: Instant::now(),
            waiting: VecDeque::new(),
            latency: Latency::default(),
            buffer: vec![0; BUFFER],
        })
    }

    /// Begins a new series of measurements now.
    fn begin(&mut self) {
        self.latency = Latency::default();
        self.next = Instant::now();
    }

    fn latency(&mut self) -> Latency {
        std::mem::take(&mut self.latency)
    }

    /// Receives everything available, sends what is due, and returns the time until the next message.
    fn check(&mut self) -> Result<Duration, Failure> {
        self.member.receive(&mut self.buffer, &mut self.reference, || Ok(()))?;
        let now = Instant::now();
        let received = self.reference.own_received(0, self.member.position);
        self.waiting.drain(..received).for_each(|due| self.latency.add(now - due));
        while self.next <= now {
            self.speech.append(0, self.sent, &mut self.member.line.unsent);
            self.sent += 1;
            self.waiting.push_back(self.next);
            self.next += INTERVAL;
        }
        self.member.line.flush()?;
        // A poll sleeps for whole milliseconds, so the last millisecond is spent polling.
        Ok((self.next - now).saturating_sub(Duration::from_millis(1)))
    }
}

/// The name of one of the two rooms.
fn room(name: &str) -> String {
    format!("{}-{name}", connect::ROOM)
}
