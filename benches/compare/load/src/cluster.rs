//! Rooms that several processes share. Each room has members and senders at every process, and every member
//! receives the messages of all of its room's senders.
//!
//! The latency is that of each delivery, at the sender's process and at the others.

use std::ops::Range;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll};
use serde_json::{Value, json};

use crate::Failure;
use crate::connect::{self, Opened};
use crate::flags::{self, Above, Target};
use crate::latency::Latency;
use crate::line::BUFFER;
use crate::member::Member;
use crate::meter::Meter;
use crate::process::Process;
use crate::reference::Reference;
use crate::socket_io;
use crate::speech::{Envelope, Speech};

/// What is not received for this long is lost.
const LOST: Duration = Duration::from_secs(15);

#[derive(Debug)]
struct Cluster<'a> {
    target: &'a Target,
    load: &'a flags::Cluster,
    poll: Poll,
    /// The members of the first room, then those of the next one, and so on.
    seats: Vec<Seat>,
    rooms: Vec<Room>,
    speech: Speech,
    /// How many messages each sender may have sent.
    quota: u32,
    schedule: Option<Schedule>,
    latency: Latency,
    /// When something was last received.
    progress: Instant,
    buffer: Vec<u8>,
}

/// Messages at fixed times, from each sender in turn.
#[derive(Debug)]
struct Schedule {
    interval: Duration,
    next: Instant,
    /// The number of messages that have been sent on schedule.
    sent: usize,
}

#[derive(Debug)]
struct Room {
    /// What the members receive: the same at all processes, or at each of them.
    references: Vec<Reference>,
    /// When each sender sent each of its messages.
    sent: Vec<Vec<Instant>>,
}

/// A member's place.
#[derive(Debug)]
struct Seat {
    member: Member,
    room: usize,
    /// The index of the room's reference.
    reference: usize,
    /// Its number among the room's senders, if it sends.
    sender: Option<u32>,
}

/// A few members of each room send, and all receive.
pub fn cluster(target: &Target, load: &flags::Cluster) -> Result<Value, Failure> {
    if load.senders > load.members {
        return Err("there are fewer members than senders".into());
    }
    let senders = load.senders * load.rooms;
    let mut cluster = Cluster::open(target, load)?;
    cluster.run(load.warm_up.div_ceil(senders))?;
    let mut report = cluster.measure(load.messages.div_ceil(senders))?;
    report["load"] = json!({
        "name": "cluster", "processes": load.with.len() + 1, "rooms": load.rooms,
        "members": load.members, "senders": load.senders, "in_flight": load.in_flight,
        "rate": load.rate, "bytes": load.bytes, "messages": load.messages,
    });
    Ok(report)
}

impl<'a> Cluster<'a> {
    fn open(target: &'a Target, load: &'a flags::Cluster) -> Result<Self, Failure> {
        let envelope = match load.above {
            Above::SocketIo => socket_io::EVENT,
            Above::Nothing | Above::Words => Envelope::NONE,
        };
        let others = load.with.iter().map(|&address| target.at(address));
        let processes: Vec<_> = std::iter::once(target.clone()).chain(others).collect();
        let orders = if load.any_order { processes.len() } else { 1 };
        let room = |_| Room::new(envelope, orders, load);
        let schedule = load.rate.map(|rate| Schedule::new(Duration::from_secs(1) / rate));
        let mut cluster = Self {
            target,
            load,
            poll: Poll::new()?,
            seats: Vec::new(),
            rooms: (0..load.rooms).map(room).collect(),
            speech: Speech::within(envelope, target.mask, load.bytes),
            quota: 0,
            schedule,
            latency: Latency::default(),
            progress: Instant::now(),
            buffer: vec![0; BUFFER],
        };
        for room in 0..load.rooms {
            (0..load.members).try_for_each(|index| cluster.enter(&processes, room, index))?;
        }
        Ok(cluster)
    }

    /// Opens the connection of number `index` of a room's members. Senders are evenly spread among them.
    fn enter(&mut self, processes: &[Target], room: u32, index: u32) -> Result<(), Failure> {
        let process = process_of(room, index, self.load.members, processes.len());
        let path = format!("{}-{room}", connect::ROOM);
        let target = &processes[process];
        let opened = match self.load.above {
            Above::Nothing => connect::open(target, &path, None)?,
            Above::Words => enter_with_words(target, &path)?,
            Above::SocketIo => socket_io::open(target, &path)?,
        };
        let sender = index / self.every();
        let sends = index.is_multiple_of(self.every()) && sender < self.load.senders;
        self.seats.push(Seat {
            member: Member::new(opened, &self.poll, self.seats.len())?,
            room: room as usize,
            reference: if self.load.any_order { process } else { 0 },
            sender: sends.then_some(sender),
        });
        Ok(())
    }

    /// One of so many members sends.
    fn every(&self) -> u32 {
        self.load.members / self.load.senders
    }

    /// Lets every sender send `messages` more, and reports the cost.
    fn measure(&mut self, messages: u32) -> Result<Value, Failure> {
        self.latency = Latency::default();
        let redis = self.load.redis_pid.map(|pid| Process::new([pid.to_string()]));
        let redis_cpu = || redis.as_ref().map_or(Ok(Duration::ZERO), Process::cpu);
        let meter = Meter::start(&self.target.process)?;
        let before = redis_cpu()?;
        self.run(messages)?;
        let messages = f64::from(messages * self.load.senders * self.load.rooms);
        let deliveries = messages * f64::from(self.load.members);
        let mut report = meter.stop(&self.target.process, deliveries as u64)?;
        let redis = (redis_cpu()? - before).as_nanos() as f64;
        let both = report["server_cpu_ns"].as_f64().unwrap_or(0.0);
        let wall = report["wall_seconds"].as_f64().unwrap_or(0.0);
        report["messages_per_second"] = json!(messages / wall);
        report["processes_cpu_ns_per_message"] = json!((both - redis) / messages);
        report["redis_cpu_ns_per_message"] = json!(redis / messages);
        report["latency"] = std::mem::take(&mut self.latency).report();
        Ok(report)
    }

    /// Lets every sender send `messages` more, until everybody has received them all.
    fn run(&mut self, messages: u32) -> Result<(), Failure> {
        self.quota += messages;
        self.progress = Instant::now();
        match &mut self.schedule {
            Some(schedule) => schedule.next = self.progress,
            None => self.begin()?,
        }
        let mut events = Events::with_capacity(self.seats.len().clamp(64, 4_096));
        while !self.is_done() {
            let timeout = self.target.time_left()?.min(self.keep_schedule()?);
            self.poll.poll(&mut events, Some(timeout.min(LOST)))?;
            events.iter().try_for_each(|event| self.deal_with(event))?;
            self.trim(&events);
            if self.progress.elapsed() >= LOST {
                return Err(format!("{} deliveries were lost", self.missing()).into());
            }
        }
        Ok(())
    }

    /// Sends the first messages of every sender.
    fn begin(&mut self) -> Result<(), Failure> {
        let (now, in_flight) = (self.progress, self.load.in_flight);
        (0..self.seats.len()).try_for_each(|index| self.send(index, in_flight, now))
    }

    /// Whether every member has received everything.
    fn is_done(&self) -> bool {
        let goal = u64::from(self.quota * self.load.senders);
        self.seats.iter().all(|seat| self.received(seat) == goal)
    }

    /// How many messages a member has received.
    fn received(&self, seat: &Seat) -> u64 {
        self.rooms[seat.room].references[seat.reference].messages_until(seat.member.position)
    }

    /// How many deliveries are missing of those that were sent.
    fn missing(&self) -> u64 {
        let missing = |seat: &Seat| {
            let sent = self.rooms[seat.room].sent.iter().map(Vec::len).sum::<usize>();
            sent as u64 - self.received(seat)
        };
        self.seats.iter().map(missing).sum()
    }

    /// Sends what is due, and returns the time until the next message. A late sender catches up, and the time
    /// of a message is when it was due, so a server that stalls cannot reduce the load.
    fn keep_schedule(&mut self) -> Result<Duration, Failure> {
        let now = Instant::now();
        let senders = (self.load.senders * self.load.rooms) as usize;
        while let Some(schedule) = &mut self.schedule {
            let due = schedule.next;
            if due > now {
                // Polling sleeps for whole milliseconds: the last one is spent awake.
                return Ok((due - now).saturating_sub(Duration::from_millis(1)));
            }
            if schedule.sent == self.quota as usize * senders {
                break;
            }
            let (turn, room) = (schedule.sent / self.rooms.len(), schedule.sent % self.rooms.len());
            schedule.sent += 1;
            schedule.next += schedule.interval;
            let sender = turn % self.load.senders as usize * self.every() as usize;
            self.send(room * self.load.members as usize + sender, 1, due)?;
        }
        Ok(Duration::MAX)
    }

    /// Sends up to `messages` more, as far as the quota allows, if the member sends.
    fn send(&mut self, index: usize, messages: u32, time: Instant) -> Result<(), Failure> {
        let seat = &mut self.seats[index];
        let Some(sender) = seat.sender else { return Ok(()) };
        let sent = &mut self.rooms[seat.room].sent[sender as usize];
        let first = sent.len() as u32;
        for number in first..self.quota.min(first + messages) {
            self.speech.append(sender, number, &mut seat.member.line.unsent);
            sent.push(time);
        }
        seat.member.line.flush()
    }

    fn deal_with(&mut self, event: &Event) -> Result<(), Failure> {
        let index = event.token().0;
        if event.is_readable() {
            let received = self.receive(index)?;
            let now = Instant::now();
            let own = self.note(index, received, now)?;
            if self.schedule.is_none() {
                return self.send(index, own, now);
            }
        }
        self.seats[index].member.line.flush()
    }

    /// Reads and verifies everything available; returns the indexes of the messages that it completes.
    fn receive(&mut self, index: usize) -> Result<Range<u64>, Failure> {
        let seat = &mut self.seats[index];
        let reference = &mut self.rooms[seat.room].references[seat.reference];
        let before = reference.messages_until(seat.member.position);
        seat.member.receive(&mut self.buffer, reference, || Ok(()))?;
        Ok(before..reference.messages_until(seat.member.position))
    }

    /// Notes how long a member's messages took; returns how many are its own.
    fn note(&mut self, index: usize, received: Range<u64>, now: Instant) -> Result<u32, Failure> {
        let seat = &self.seats[index];
        let room = &self.rooms[seat.room];
        let mut own = 0;
        for message in received {
            let (sender, number) = room.references[seat.reference]
                .numbers(message)
                .ok_or("a message was forgotten too soon")?;
            let sent = room.sent[sender as usize].get(number as usize);
            self.latency.add(now - *sent.ok_or("received a message before it was sent")?);
            own += u32::from(seat.sender == Some(sender));
            self.progress = now;
        }
        Ok(own)
    }

    /// Forgets the bytes of a room that has grown long, if there is one among the rooms that have just received
    /// something.
    fn trim(&mut self, events: &Events) {
        let mut seats = events.iter().map(|event| &self.seats[event.token().0]);
        let is_long = |seat: &&Seat| self.rooms[seat.room].references[seat.reference].is_long();
        let Some(&Seat { room, reference, .. }) = seats.find(is_long) else { return };
        let each = self.load.members as usize;
        let members = self.seats[room * each..(room + 1) * each].iter();
        let positions = members.filter(|seat| seat.reference == reference);
        let slowest = positions.map(|seat| seat.member.position).min().unwrap_or(0);
        let reference = &mut self.rooms[room].references[reference];
        for sender in 0..self.load.senders {
            reference.own_received(sender, slowest);
        }
        reference.trim(slowest);
    }
}

/// Opens a connection with townhall.v1, and waits until the member has entered.
fn enter_with_words(target: &Target, room: &str) -> Result<Opened, Failure> {
    let words = connect::field("Sec-WebSocket-Protocol", "townhall.v1");
    let mut opened = connect::open_with(target, room, &words)?;
    opened.expect("\0{")?;
    Ok(opened)
}

/// The index of the process at which number `index` of a room's members is: the first ones are at one
/// process, the next ones at another, so that the senders are at different ones.
fn process_of(room: u32, index: u32, members: u32, processes: usize) -> usize {
    let block = index as usize * processes / members as usize;
    (block + room as usize) % processes
}

impl Schedule {
    fn new(interval: Duration) -> Self {
        Self { interval, next: Instant::now(), sent: 0 }
    }
}

impl Room {
    fn new(envelope: Envelope, orders: usize, load: &flags::Cluster) -> Self {
        let reference = |_| Reference::within(envelope, load.senders, load.bytes);
        Self {
            references: (0..orders).map(reference).collect(),
            sent: (0..load.senders).map(|_| Vec::new()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_has_as_many_members_at_each_process_and_its_senders_at_different_ones() {
        for (members, processes) in [(4, 2), (4, 4), (100, 4)] {
            for room in 0..5 {
                let process = |index| process_of(room, index, members, processes);
                let mut counts = vec![0; processes];
                (0..members).for_each(|index| counts[process(index)] += 1);
                assert!(counts.iter().all(|&count| count == members as usize / processes));
                assert_ne!(process(0), process(members / 2));
            }
        }
    }
}
