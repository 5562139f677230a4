//! All clients, and the loop that lets them act.

use std::time::{Duration, Instant};

use mio::Events;

use crate::Failure;
use crate::hostile::{Hostile, Kind};
use crate::member::{Manner, Member};
use crate::world::World;

/// The most members that wait for an answer at once, so that the listener's queue does not overflow.
const MOST_ASKING: usize = 128;

/// For every so many members there is a hostile client; one of each kind at least.
const MEMBERS_PER_HOSTILE: usize = 20;

/// So many hostile clients are of all kinds in turn.
const SOME_OF_EACH: usize = 64;

/// Of so many members, one sends byte by byte.
const MEMBERS_PER_TRICKLER: usize = 180;

/// The most members of the loud room. Few, since each hears half a megabyte in a second.
const LOUD_MEMBERS: usize = 16;

/// The longest that is waited for something to happen, so that deadlines are kept.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// Everybody. A client's token is its index, where the hostile ones follow the members.
pub struct Crowd {
    pub world: World,
    members: Vec<Member>,
    hostile: Vec<Hostile>,
    events: Events,
}

/// How many hostile clients there are beside so many members.
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

/// The kind of a hostile client. Of those that never read there are a few, however many others
/// there are: the system keeps megabytes for each.
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

    /// Has all members join, some at a time.
    pub fn join(&mut self) {
        self.world.joining.extend(0..self.members.len());
    }

    /// Lets the hostile clients in.
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

    /// Checks that every member has heard all that was said to it.
    pub fn check_settled(&self) -> Result<(), Failure> {
        let mut members = self.members.iter().enumerate();
        members.try_for_each(|(token, member)| {
            let outcome = member.check_settled(&self.world);
            outcome.map_err(|failure| format!("member {token}: {failure}").into())
        })
    }

    /// Waits for something to happen, and lets everybody act on it.
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
        self.be_punctual()?;
        self.let_in()
    }

    /// Lets those act whose time has come.
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

    /// Has a member of every room speak for which it is time.
    pub fn speak(&mut self) -> Result<(), Failure> {
        for room in 0..self.world.rooms.len() {
            let World { rooms, dice, now, .. } = &mut self.world;
            let room = &mut rooms[room];
            if !room.is_to_speak(*now) {
                continue;
            }
            // Some speak often, so that their sequences are long, and everybody now and then.
            let count = room.speakers.len();
            let often = if dice.one_in(4) { count } else { count.min(4) };
            if often > 0 {
                let speaker = room.speakers[dice.below(often)];
                self.members[speaker].say(&mut self.world)?;
            }
        }
        Ok(())
    }

    /// A failure, with whose it is.
    fn explain(&self, token: usize, failure: &Failure) -> Failure {
        match token.checked_sub(self.members.len()) {
            None => format!("member {token}, {}: {failure}", self.members[token].name(&self.world)),
            Some(index) => format!("client {token}, {}: {failure}", self.hostile[index].name()),
        }
        .into()
    }

    /// What everybody did.
    pub fn summary(&self) -> String {
        let Self { world, members, hostile, .. } = self;
        let rooms = world.rooms.len();
        let (members, hostile) = (members.len(), hostile.len());
        format!(
            "members     {members} in {rooms} rooms, beside {hostile} hostile clients\n{}",
            world.tally
        )
    }
}
