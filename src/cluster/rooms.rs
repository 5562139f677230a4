//! The rooms that have members here, and those who wait for them.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use townhall::{ClientId, CloseCode, Hub, Message, Position, RestoreError, Start};

use super::channel::channel;
use super::entry::{Batch, Entry};
use super::follower::{Follower, Snapshot, Step};
use super::link::job::{Job, Refused};
use super::link::{Full, Link};
use super::senders::Senders;
use super::waiting::{Said, Waiting};

/// How long a client waits for a room.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a client hears that cannot enter a room for now.
const UNREACHABLE: &str = "the room cannot be reached";

/// What a client hears whose message finds the queue full.
pub const FULL: &str = "too many messages wait";

/// How many checks there are for each comparison.
const COMPARE_EVERY: u64 = 3;

/// The ticket of a comparison.
const COMPARISON: u64 = 0;

/// Whether a client has entered a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    Now,
    /// It will, or it is closed.
    Later,
}

/// The rooms by their channels.
#[derive(Debug)]
pub struct Rooms {
    link: Link,
    rooms: HashMap<Arc<str>, Room>,
    waiting: Waiting,
    /// The number of calls of [`check`](Self::check).
    checks: u64,
    /// Clients that have entered, and their rooms.
    pub joined: Vec<(ClientId, Arc<str>)>,
}

#[derive(Debug)]
struct Room {
    name: Arc<str>,
    follower: Follower,
    newcomers: Vec<Newcomer>,
}

/// A client that waits for a room.
#[derive(Debug)]
struct Newcomer {
    client: ClientId,
    start: Start,
    since: Instant,
    /// Whether the stream is read since it has come.
    has_asked: bool,
}

impl Rooms {
    pub fn new(link: Link) -> Self {
        let waiting = Waiting::default();
        Self { link, rooms: HashMap::new(), waiting, checks: 0, joined: Vec::new() }
    }

    pub fn enter(&mut self, hub: &mut Hub, client: ClientId, name: &str, start: Start) -> Entered {
        let channel = channel(name);
        let link = &self.link;
        if !self.rooms.contains_key(&channel) && link.is_away() {
            hub.close(client, CloseCode::TRY_AGAIN_LATER, UNREACHABLE);
            return Entered::Later;
        }
        let room = self.rooms.entry(channel.clone()).or_insert_with(|| {
            link.ask(Job::Follow(channel.clone()));
            let follower = Follower::new();
            Room { name: name.into(), follower, newcomers: Vec::new() }
        });
        let exists = hub.room(name).is_some();
        let has_asked = room.follower.is_live();
        if has_asked && exists && !is_ahead(hub, name, start) {
            let joined = hub.join_from(client, name, start);
            return if joined { Entered::Now } else { Entered::Later };
        }
        if has_asked {
            let follower = &mut room.follower;
            // Otherwise, its last member has left.
            ask(link, &channel, &if exists { follower.catch_up() } else { follower.restart() });
        }
        room.newcomers.push(Newcomer { client, start, since: Instant::now(), has_asked });
        self.waiting.insert(client, channel);
        Entered::Later
    }

    pub fn leave(&mut self, client: ClientId) {
        let Some(said) = self.waiting.remove(client) else { return };
        if let Some(room) = self.rooms.get_mut(&said.channel) {
            room.newcomers.retain(|newcomer| newcomer.client != client);
        }
        for message in said.messages() {
            // If the queue is full, there is nobody left to tell.
            let _ = self.link.publish(said.channel.clone(), message, None);
        }
    }

    /// Publishes a message of a member, or once it is one.
    ///
    /// # Errors
    /// Too many messages wait.
    pub fn publish(
        &mut self,
        hub: &Hub,
        senders: &mut Senders,
        client: ClientId,
        message: Message<'_>,
    ) -> Result<(), Full> {
        if !self.waiting.hold(client, message)?
            && let Some(room) = hub.room_of(client)
        {
            senders.add(self.link.publish(channel(room), message, None)?, client);
        }
        Ok(())
    }

    pub fn subscribed(&mut self, channel: &Arc<str>) {
        if let Some(room) = self.rooms.get_mut(channel) {
            let step = room.follower.subscribed();
            ask(&self.link, channel, &step);
        }
    }

    pub fn receive(&mut self, hub: &mut Hub, senders: &mut Senders, at: &Arc<str>, batch: Batch) {
        self.step(hub, senders, at, |follower, steps| follower.receive(batch, steps));
    }

    /// Takes what was read, and its ticket.
    pub fn complete(
        &mut self,
        hub: &mut Hub,
        senders: &mut Senders,
        at: &Arc<str>,
        (ticket, result): (u64, Result<Snapshot, Refused>),
    ) {
        match result {
            Ok(snapshot) => self.step(hub, senders, at, |follower, steps| match ticket {
                COMPARISON => follower.compare(snapshot.end, steps),
                _ => follower.complete(ticket, snapshot, steps),
            }),
            Err(refused) => self.refuse(hub, at, &refused),
        }
    }

    pub fn renewed(
        &mut self,
        hub: &mut Hub,
        senders: &mut Senders,
        at: &Arc<str>,
        result: Result<(), Refused>,
    ) {
        match result {
            Ok(()) => self.step(hub, senders, at, Follower::renewed),
            Err(refused) => self.refuse(hub, at, &refused),
        }
    }

    /// Closes those who wait for a room that cannot be read. It is tried again later.
    fn refuse(&mut self, hub: &mut Hub, channel: &Arc<str>, refused: &Refused) {
        let Some(room) = self.rooms.get_mut(channel) else { return };
        room.follower.fail();
        let line = format_args!("Redis: the room {:?} cannot be read: {refused}", room.name);
        self.link.shared().warnings.log(line);
        for newcomer in room.newcomers.drain(..) {
            self.waiting.remove(newcomer.client);
            hub.close(newcomer.client, CloseCode::INTERNAL_ERROR, "the room cannot be read");
        }
    }

    /// Lets the follower of a room take a step, and does what follows.
    fn step(
        &mut self,
        hub: &mut Hub,
        senders: &mut Senders,
        channel: &Arc<str>,
        take: impl FnOnce(&mut Follower, &mut Vec<Step>),
    ) {
        let Some(room) = self.rooms.get_mut(channel) else { return };
        let mut steps = Vec::new();
        take(&mut room.follower, &mut steps);
        if room.follower.take_repaired() {
            self.link.shared().status.count(|figures| figures.repaired += 1);
        }
        let mut begun = false;
        for step in steps {
            match step {
                Step::Append(entries) => {
                    let process = self.link.shared().process;
                    append(hub, &room.name, &entries, |entry| {
                        senders.sender_of(entry.origin, process)
                    });
                }
                Step::Replace { position, messages, now } => {
                    begun = true;
                    let messages = aged(&messages, now);
                    replace(hub, &self.link, room, &mut self.waiting, (position, &messages));
                }
                other => ask(&self.link, channel, &other),
            }
        }
        if room.follower.is_live() && !room.newcomers.is_empty() {
            if hub.room(&room.name).is_none() && !begun {
                // Its last member has left while messages were read.
                ask(&self.link, channel, &room.follower.restart());
                return;
            }
            for mut newcomer in mem::take(&mut room.newcomers) {
                let Newcomer { client, start, has_asked, .. } = newcomer;
                if !has_asked && is_ahead(hub, &room.name, start) {
                    newcomer.has_asked = true;
                    room.newcomers.push(newcomer);
                    continue;
                }
                let said = self.waiting.remove(client);
                if hub.join_from(client, &room.name, start) {
                    self.joined.push((client, room.name.clone()));
                    said.iter().for_each(|said| say(hub, &self.link, senders, client, said));
                }
            }
            if !room.newcomers.is_empty() {
                ask(&self.link, channel, &room.follower.catch_up());
            }
        }
    }

    /// Forgets the rooms without members, and from time to time compares the others with Redis.
    pub fn check(&mut self, hub: &mut Hub) {
        let now = Instant::now();
        self.checks += 1;
        let compares = self.checks.is_multiple_of(COMPARE_EVERY);
        let Self { link, rooms, waiting, .. } = self;
        rooms.retain(|channel, room| {
            room.newcomers.retain(|newcomer| {
                let waits = now.duration_since(newcomer.since) < PATIENCE;
                if !waits {
                    waiting.remove(newcomer.client);
                    hub.close(newcomer.client, CloseCode::TRY_AGAIN_LATER, UNREACHABLE);
                }
                waits
            });
            let members = hub.room(&room.name).map_or(0, |room| room.member_count());
            let used = members > 0 || !room.newcomers.is_empty();
            if used {
                if let Some(step) = room.follower.retry() {
                    ask(link, channel, &step);
                }
                if compares && room.follower.is_live() && room.follower.ask() {
                    link.ask(read(channel, COMPARISON, None, 0));
                }
            } else {
                link.ask(Job::Unfollow(channel.clone()));
                hub.forget(&room.name);
            }
            used
        });
    }
}

/// Whether a client has heard more, at another process, than the members here.
fn is_ahead(hub: &Hub, room: &str, start: Start) -> bool {
    let key = |at: Position| (at.epoch(), at.sequence());
    let Start::After(heard) = start else { return false };
    hub.position(room).is_some_and(|here| key(heard) > key(here))
}

/// Publishes what a client has said while it waited.
fn say(hub: &mut Hub, link: &Link, senders: &mut Senders, client: ClientId, said: &Said) {
    for message in said.messages() {
        match link.publish(said.channel.clone(), message, None) {
            Ok(number) => senders.add(number, client),
            Err(Full) => return hub.close(client, CloseCode::TRY_AGAIN_LATER, FULL),
        }
    }
}

/// Asks Redis for something.
fn ask(link: &Link, channel: &Arc<str>, step: &Step) {
    match step {
        Step::Read(asked) => {
            let max_count = link.shared().keep.messages.max(1);
            link.ask(read(channel, asked.ticket, asked.from, max_count));
        }
        Step::Renew { lost, floor, after } => {
            let (lost, floor, after) = (*lost, *floor, *after);
            link.ask(Job::Renew { channel: channel.clone(), lost, floor, after });
        }
        Step::Append(_) | Step::Replace { .. } => {}
    }
}

fn read(channel: &Arc<str>, ticket: u64, from: Option<Position>, max_count: usize) -> Job {
    Job::Read { channel: channel.clone(), ticket, from, max_count }
}

/// Sends messages to the members of a room, except to their senders that `sender_of` returns.
fn append(
    hub: &mut Hub,
    room: &str,
    entries: &[Entry],
    mut sender_of: impl FnMut(&Entry) -> Option<ClientId>,
) {
    if hub.room(room).is_none() {
        // Its last member has left.
        return;
    }
    for entry in entries {
        match sender_of(entry) {
            Some(sender) => hub.broadcast_except(room, sender, entry.message()),
            None => hub.broadcast(room, entry.message()),
        }
    }
}

/// Begins a room anew. Its members have missed messages, if it has any.
fn replace(
    hub: &mut Hub,
    link: &Link,
    room: &mut Room,
    waiting: &mut Waiting,
    (position, messages): (Position, &[(Message<'_>, Duration)]),
) {
    let name = &room.name;
    let members: Vec<_> = hub.members(name).collect();
    for &member in &members {
        hub.leave(member);
    }
    hub.forget(name);
    let mut restored = Err(RestoreError::TooManyRooms);
    if members.is_empty() {
        room.newcomers.retain(|newcomer| {
            if restored.is_err() {
                restored = hub.restore_for(newcomer.client, name, position, messages);
            }
            let refused = restored == Err(RestoreError::TooManyRooms);
            if refused {
                waiting.remove(newcomer.client);
                hub.close(newcomer.client, CloseCode::TRY_AGAIN_LATER, "too many rooms");
            }
            !refused
        });
        return;
    }
    link.shared().status.count(|figures| figures.renewed += 1);
    restored = hub.restore(name, position, messages);
    let line = format_args!("{name:?} has lost messages, and begins anew at {position}");
    link.shared().warnings.log(line);
    for member in members {
        if restored.is_ok() && hub.hears_words(member) {
            // None of these messages has reached it.
            hub.join_from(member, name, Start::Rest(messages.len() as u64));
        } else {
            hub.close(member, CloseCode::SERVICE_RESTART, "messages were lost");
        }
    }
}

fn aged(messages: &[(Entry, u64)], now: u64) -> Vec<(Message<'_>, Duration)> {
    let age = |at: u64| Duration::from_millis(now.saturating_sub(at));
    messages.iter().map(|(entry, at)| (entry.message(), age(*at))).collect()
}
