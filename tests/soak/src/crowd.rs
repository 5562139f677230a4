//! All clients, and their event loop.

use std::mem;
use std::time::{Duration, Instant};

use mio::Events;

use crate::Failure;
use crate::hostile::{Hostile, Kind};
use crate::member::{Manner, Member};
use crate::world::World;

/// The maximum number of members that wait for an answer at once, so that the accept queue does not overflow.
const MOST_ASKING: usize = 128;

/// There is one hostile client for this many members, and at least one of each kind.
const MEMBERS_PER_HOSTILE: usize = 20;

/// This many hostile clients are of all kinds in turn.
const SOME_OF_EACH: usize = 64;

/// One in this many members sends byte by byte.
const MEMBERS_PER_TRICKLER: usize = 180;

/// The maximum number of members in the loud room. Each receives half a megabyte per second.
const LOUD_MEMBERS: usize = 16;

/// The longest wait for an event, so that deadlines are kept.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// All clients. A client's token is its index; hostile clients follow the members.
pub struct Crowd {
    pub world: World,
    members: Vec<Member>,
    hostile: Vec<Hostile>,
    events: Events,
}

/// The number of hostile clients for a number of members.
pub fn hostile_count(members: usize) -> usize {
    (members / MEMBERS_PER_HOSTILE).max(Kind::ALL.len())
}

/// How a member behaves. Neighbours offer different terms of compression, hence the eighths.
fn manner(token: usize) -> Manner {
    match token / 8 % 2 {
        _ if token % MEMBERS_PER_TRICKLER == LOUD_MEMBERS => Manner::Trickles,
        0 => Manner::Stays,
        _ => Manner::Roams,
    }
}

/// The kind of a hostile client. There are always only a few that never read, because the system buffers
/// megabytes for each.
fn kind(index: usize) -> Kind {
    let kinds = if index < SOME_OF_EACH { &Kind::ALL[..] } else { Kind::READERS };
    kinds[index % kinds.len()]
}

impl Crowd {
    pub fn new(world: World, members: usize) -> Self {
        let loud = LOUD_MEMBERS.min(members / 4);
        let member = |token| Member::new(token, manner(token), token < loud);
        let hostile = |index| Hostile::new(members + index, kind(index), world.now);
        Self {
            members: (0..members).map(member).collect(),
            hostile: (0..hostile_count(members)).map(hostile).collect(),
            events: Events::with_capacity(4096),
            world,
        }
    }

    /// Makes all members join, some at a time.
    pub fn join(&mut self) {
        self.world.joining.extend(0..self.members.len());
    }

    /// Starts the hostile clients.
    pub fn unleash(&mut self) -> Result<(), Failure> {
        self.hostile.iter_mut().try_for_each(|one| one.begin(&mut self.world))
    }

    /// Ends the hostile clients.
    pub fn dismiss_hostile(&mut self) {
        self.hostile.iter_mut().for_each(Hostile::stop);
    }

    /// How many members are open.
    pub fn open_count(&self) -> usize {
        self.members.iter().filter(|member| member.is_open()).count()
    }

    pub fn are_all_open(&self) -> bool {
        self.members.iter().all(Member::is_open)
    }

    pub fn are_all_away(&self) -> bool {
        self.members.iter().all(Member::is_away)
    }

    /// Checks that every member has received all messages for it.
    pub fn check_settled(&self) -> Result<(), Failure> {
        let mut members = self.members.iter().enumerate();
        members.try_for_each(|(token, member)| {
            let outcome = member.check_settled(&self.world);
            outcome.map_err(|failure| format!("member {token}: {failure}").into())
        })
    }

    /// Waits for events, and lets the clients act on them.
    pub fn step(&mut self) -> Result<(), Failure> {
        let wait =
            self.world.next_time().map(|time| time.saturating_duration_since(Instant::now()));
        let wait = wait.map_or(LONGEST_WAIT, |wait| wait.min(LONGEST_WAIT));
        self.world.poll.poll(&mut self.events, Some(wait))?;
        self.world.now = Instant::now();
        for event in &self.events {
            let token = event.token().0;
            let world = &mut self.world;
            let outcome = match self.members.get_mut(token) {
                Some(member) => member.ready(world),
                None => self.hostile[token - self.members.len()].ready(world),
            };
            outcome.map_err(|failure| self.explain(token, &failure))?;
        }
        self.decide()?;
        self.be_punctual()?;
        self.let_in()
    }

    /// Lets members go on that have waited for others.
    fn decide(&mut self) -> Result<(), Failure> {
        for token in mem::take(&mut self.world.undecided) {
            let outcome = self.members[token].ready(&mut self.world);
            outcome.map_err(|failure| self.explain(token, &failure))?;
        }
        Ok(())
    }

    /// Wakes the clients whose time has come.
    fn be_punctual(&mut self) -> Result<(), Failure> {
        while let Some(token) = self.world.next_due() {
            let world = &mut self.world;
            let outcome = match self.members.get_mut(token) {
                Some(member) => member.due(world),
                None => self.hostile[token - self.members.len()].due(world),
            };
            outcome.map_err(|failure| self.explain(token, &failure))?;
        }
        Ok(())
    }

    fn let_in(&mut self) -> Result<(), Failure> {
        while self.world.asking < MOST_ASKING
            && let Some(token) = self.world.joining.pop_front()
        {
            self.members[token].join(&mut self.world)?;
        }
        Ok(())
    }

    /// Makes a member of every room send that is due.
    pub fn send_due(&mut self) -> Result<(), Failure> {
        for room in 0..self.world.rooms.len() {
            let World { rooms, dice, now, .. } = &mut self.world;
            let room = &mut rooms[room];
            if !room.is_due(*now) {
                continue;
            }
            // Some members send often, so that their sequences are long, and the others now and then.
            let count = room.senders.len();
            let often = if dice.one_in(4) { count } else { count.min(4) };
            if often > 0 {
                let sender = room.senders[dice.below(often)];
                self.members[sender].send_message(&mut self.world)?;
            }
        }
        Ok(())
    }

    /// A failure, with a description of the client.
    fn explain(&self, token: usize, failure: &Failure) -> Failure {
        match token.checked_sub(self.members.len()) {
            None => format!("member {token}, {}: {failure}", self.members[token].name(&self.world)),
            Some(index) => format!("client {token}, {}: {failure}", self.hostile[index].name()),
        }
        .into()
    }

    /// The summary.
    pub fn summary(&self) -> String {
        let Self { world, members, hostile, .. } = self;
        let rooms = world.rooms.len();
        let members = members.len();
        let hostile = hostile.len();
        format!(
            "members     {members} in {rooms} rooms, beside {hostile} hostile clients\n{}",
            world.tally
        )
    }
}
