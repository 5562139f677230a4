//! The thread that sends commands to Redis, and reads the answers.
//!
//! It sends what has gathered in the queue while it waited for the last answers. The messages of a room go
//! out together, and others of the same room only once these are answered, so that their order holds when
//! some have to be repeated.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Connection, ConnectionInfo, RedisError, RedisResult, Value, cmd};

use super::backlog::{Backlog, Permit};
use super::backoff::{self, Backoff};
use super::job::Job;
use super::queue::Taken;
use super::script::Scripts;
use super::servers::{Address, Servers, Topology, connect, explain, fault, named};
use super::shared::Shared;
use super::status::Part;
use super::subscriber::Subscriber;
use super::work::{Fate, Task, Work};

/// How often each server is asked whether it is there.
const BEAT: Duration = Duration::from_secs(1);

/// How long to wait for rooms whose messages may not go out.
const PAUSE: Duration = Duration::from_millis(10);

/// A server, and what is loaded there.
struct Node {
    connection: Connection,
    scripts: Scripts,
}

/// The thread's state.
pub struct Commander {
    shared: Arc<Shared>,
    servers: Servers,
    topology: Option<Topology>,
    nodes: HashMap<Address, Node>,
    subscribers: HashMap<Address, Subscriber>,
    /// The channels that are followed, and where.
    followed: HashMap<Arc<str>, Address>,
    backlog: Backlog,
    /// The channels that their servers do not send any more.
    moved: HashSet<Arc<str>>,
    /// The servers whose subscribers are to look at their orders.
    woken: HashSet<Address>,
    beat: Option<Instant>,
    backoff: Backoff,
}

impl Commander {
    pub fn new(servers: Servers, shared: Arc<Shared>) -> Self {
        let backlog = Backlog::new(shared.keep.messages);
        Self {
            shared,
            servers,
            topology: None,
            nodes: HashMap::new(),
            subscribers: HashMap::new(),
            followed: HashMap::new(),
            backlog,
            moved: HashSet::new(),
            woken: HashSet::new(),
            beat: None,
            backoff: Backoff::default(),
        }
    }

    /// Works until the queue ends.
    pub fn run(mut self) {
        loop {
            let busy = !self.backlog.is_empty();
            let taken = self.shared.queue.take(self.patience());
            let ending = taken.ending;
            let idle = taken.publications.is_empty() && taken.jobs.is_empty() && !busy;
            if ending.is_some_and(|end| idle || Instant::now() >= end) {
                return;
            }
            let works = self.accept(taken);
            if self.attempt(works) {
                self.backoff.reset();
            } else {
                self.backoff.wait();
            }
        }
    }

    /// Tries to have everything done. Returns whether it is.
    fn attempt(&mut self, works: Vec<Work>) -> bool {
        if self.explore() {
            return self.round(works);
        }
        self.backlog.put_back(works);
        false
    }

    /// How long to wait for something to do.
    fn patience(&self) -> Duration {
        if self.backlog.is_held() {
            PAUSE.min(self.until_beat())
        } else if !self.backlog.is_empty() {
            Duration::ZERO
        } else {
            self.until_beat()
        }
    }

    /// Puts what is to be done in order. Nothing is published that would not be received: a stream can drop it
    /// before it is read from there. After an interruption, other processes may need the longest wait.
    fn accept(&mut self, taken: Taken) -> Vec<Work> {
        let Self { shared, topology, backlog, .. } = self;
        let ending = taken.ending.is_some();
        if ending {
            backlog.end();
        }
        let behind = shared.mailbox.is_half_full();
        let (messages, bytes) = shared.queue.load();
        let many = messages > shared.keep.messages || bytes > shared.keep.max_bytes;
        let settled = if many { backoff::MAX } else { Duration::ZERO };
        let may_publish = |channel: &Arc<str>| {
            let at = topology.as_ref().and_then(|topology| topology.node_of(channel));
            let receives = || at.is_none_or(|at| shared.status.receives(at, settled));
            ending || (!behind && receives())
        };
        backlog.accept(taken, &Permit { may_read: !behind, may_publish })
    }

    fn until_beat(&self) -> Duration {
        self.beat.map_or(Duration::ZERO, |beat| BEAT.saturating_sub(beat.elapsed()))
    }

    /// Finds out which servers there are, unless that is known. Returns whether it is.
    fn explore(&mut self) -> bool {
        if let Some(moved) = self.shared.take_moves() {
            self.moved.extend(moved);
            self.topology = None;
        }
        if self.topology.is_some() {
            return true;
        }
        match self.servers.explore() {
            Ok(topology) => {
                self.rearrange(&topology);
                self.topology = Some(topology);
                true
            }
            Err(error) => {
                let names = self.servers.names();
                self.shared.status.fail(
                    Part::Commands,
                    format!("cannot connect to {names}: {}", explain(&error)),
                );
                false
            }
        }
    }

    /// Follows each channel where it is now.
    fn rearrange(&mut self, topology: &Topology) {
        self.nodes.retain(|address, _| topology.nodes.contains_key(address));
        self.subscribers.retain(|address, _| topology.nodes.contains_key(address));
        let moved = mem::take(&mut self.moved);
        let channels: Vec<_> =
            self.followed.iter().map(|(name, at)| (name.clone(), at.clone())).collect();
        for (channel, before) in channels {
            let Some(now) = topology.node_of(&channel).cloned() else { continue };
            let lost = moved.contains(&channel) || !self.subscribers.contains_key(&before);
            if now != before || lost {
                self.change(&channel, &before, false);
                self.follow(topology, channel, now);
            }
        }
    }

    fn follow(&mut self, topology: &Topology, channel: Arc<str>, at: Address) {
        if !self.subscribers.contains_key(&at)
            && let Some(info) = topology.nodes.get(&at)
        {
            match Subscriber::start(info.clone(), self.shared.clone()) {
                Ok(subscriber) => _ = self.subscribers.insert(at.clone(), subscriber),
                Err(error) => self
                    .shared
                    .status
                    .fail(Part::Commands, format!("cannot start a thread: {error}")),
            }
        }
        self.change(&channel, &at, true);
        self.followed.insert(channel, at);
    }

    fn change(&mut self, channel: &Arc<str>, at: &Address, wanted: bool) {
        if let Some(subscriber) = self.subscribers.get(at) {
            subscriber.change(channel, wanted);
            self.woken.insert(at.clone());
        }
    }

    /// Sends everything, and takes the answers. Returns whether nothing went wrong.
    fn round(&mut self, works: Vec<Work>) -> bool {
        let Some(topology) = self.topology.take() else { return false };
        let mut parts: HashMap<Address, Vec<Work>> = HashMap::new();
        for work in works {
            let key_at = topology.node_of(work.key()).cloned();
            match work.asking.clone().or(key_at) {
                Some(at) => {
                    if let Some(work) = self.arrange(&topology, work, &at) {
                        parts.entry(at).or_default().push(work);
                    }
                }
                None => self.backlog.put_back([work]),
            }
        }
        self.add_beats(&topology, &mut parts);
        let mut good = self.backlog.is_done();
        let begin = Instant::now();
        let mut sent = Vec::new();
        for (at, works) in parts {
            match self.send(&topology, &at, &works) {
                Ok(counts) => sent.push((at, works, counts)),
                Err(error) => {
                    good = false;
                    self.lose(&at, &error);
                    self.repeat(works);
                }
            }
        }
        self.topology = good.then_some(topology);
        for (at, works, counts) in sent {
            good &= self.receive(&at, works, counts);
        }
        if good {
            self.shared.status.answer(begin.elapsed());
            self.shared.status.recover(Part::Commands);
        }
        good
    }

    /// Passes a subscription on to the thread that receives from the server that has its channel. Returns
    /// anything else.
    fn arrange(&mut self, topology: &Topology, work: Work, at: &Address) -> Option<Work> {
        match work.task {
            Task::Job(Job::Follow(channel)) => {
                self.follow(topology, channel, at.clone());
                None
            }
            Task::Job(Job::Unfollow(channel)) => {
                if let Some(at) = self.followed.remove(&channel) {
                    self.change(&channel, &at, false);
                }
                None
            }
            task => Some(Work { task, asking: work.asking }),
        }
    }

    /// Wakes the subscribers that have something to do, and all of them from time to time, so that they
    /// know that they are connected.
    fn add_beats(&mut self, topology: &Topology, parts: &mut HashMap<Address, Vec<Work>>) {
        if self.until_beat().is_zero() {
            self.beat = Some(Instant::now());
            self.shared.warnings.settle();
            self.woken.extend(topology.nodes.keys().cloned());
        }
        for at in self.woken.drain() {
            let mut wake = cmd("PUBLISH");
            wake.arg(self.shared.wake_channel()).arg("");
            let job = Job::Commands { key: "", ticket: 0, commands: vec![wake] };
            parts.entry(at).or_default().push(Task::Job(job).into());
        }
    }

    fn send(
        &mut self,
        topology: &Topology,
        at: &Address,
        works: &[Work],
    ) -> RedisResult<Vec<usize>> {
        if !self.nodes.contains_key(at) {
            let known = topology.nodes.get(at).cloned();
            let seed = topology.nodes.values().next();
            let info = known.or_else(|| named(seed?, at));
            let info = info.ok_or_else(|| fault("an unknown server"))?;
            self.nodes.insert(at.clone(), Node::connect(&info)?);
        }
        let Some(node) = self.nodes.get_mut(at) else { return Ok(Vec::new()) };
        let mut bytes = Vec::new();
        let mut counts = Vec::new();
        for work in works {
            let (packed, count) = work.pack(&node.scripts, &self.shared);
            bytes.extend(packed);
            counts.push(count);
        }
        node.connection.send_packed_command(&bytes)?;
        Ok(counts)
    }

    /// Takes the answers of a server. Returns whether nothing went wrong.
    fn receive(&mut self, at: &Address, works: Vec<Work>, counts: Vec<usize>) -> bool {
        let (mut good, mut heard) = (true, false);
        for (mut work, count) in works.into_iter().zip(counts) {
            let answers = match self.nodes.get_mut(at) {
                Some(node) => node.take(count),
                None => {
                    good = false;
                    self.repeat([work]);
                    continue;
                }
            };
            match answers {
                Ok(answers) => {
                    let fate = work.settle(answers, &self.shared);
                    heard |= matches!(fate, Fate::Done);
                    good &= self.follow_up(at, work, fate);
                }
                Err(error) => {
                    self.lose(at, &error);
                    self.repeat([work]);
                    good = false;
                }
            }
        }
        if heard {
            self.shared.status.hear();
        }
        good
    }

    /// Does what an answer asks for. Returns whether it is a good one.
    fn follow_up(&mut self, at: &Address, mut work: Work, fate: Fate) -> bool {
        match fate {
            Fate::Done => {
                // Others need not wait long for what is still pending.
                self.backoff.reset();
                return true;
            }
            Fate::Moved => self.topology = None,
            Fate::Ask(other) => work.asking = Some(other),
            Fate::Again => {}
            Fate::Forgotten => _ = self.nodes.remove(at),
            Fate::Later(reason) => {
                self.shared.status.fail(Part::Commands, format!("{at}: {reason}"));
                self.topology = None;
            }
        }
        self.backlog.put_back([work]);
        false
    }

    /// Does again what a server has not answered. That one may not be the right one any more.
    fn repeat(&mut self, works: impl IntoIterator<Item = Work>) {
        self.backlog.put_back(works.into_iter().map(|work| Work { asking: None, ..work }));
    }

    /// Forgets a server that cannot be reached.
    fn lose(&mut self, at: &Address, error: &RedisError) {
        self.shared.status.count(|figures| figures.disconnects += 1);
        self.shared.status.fail(Part::Commands, format!("{at}: {}", explain(error)));
        self.nodes.remove(at);
        self.topology = None;
    }
}

impl Node {
    fn take(&mut self, count: usize) -> RedisResult<Vec<Value>> {
        (0..count).map(|_| self.connection.recv_response()).collect()
    }

    fn connect(info: &ConnectionInfo) -> RedisResult<Self> {
        let mut connection = connect(info)?;
        let scripts = Scripts::load(&mut connection)?;
        Ok(Self { connection, scripts })
    }
}
