//! Processes that follow one room, with everything between them and Redis that may be late or lost.

use std::rc::Rc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::node::{Answer, Node, Question, Segment, Sent};
use super::redis::Redis;
use super::*;

const PROCESSES: usize = 3;
const MAX_COUNT: usize = 8;
const MAX_BYTES: usize = 300;

/// More rounds than that are never needed until nothing is on its way any more.
const MAX_ROUNDS: usize = 400;

#[derive(Debug, Clone)]
enum Action {
    /// Publishes messages of these sizes, or repeats those without an answer. The answer may be lost.
    Publish {
        sizes: Vec<usize>,
        lost: bool,
    },
    PublishStrange(usize),
    /// Redis does something that it was asked for. The answer may be lost, so that it is asked again.
    Execute {
        place: usize,
        lost: bool,
    },
    /// An answer arrives.
    Answer(usize),
    /// Something that was asked for is refused.
    Refuse(usize),
    /// The first messages on the channel arrive.
    Deliver(usize),
    /// The subscriber's connection breaks after as many messages.
    Cut(usize),
    Connect,
    Check,
    /// The room is empty here, and somebody enters.
    Restart,
    Pass(u64),
}

/// What happens to Redis.
#[derive(Debug, Clone)]
enum Fault {
    Trim(usize),
    /// Another server takes over, to which as many changes have not come.
    FailOver(usize),
    /// The same, but the connections last.
    GoBack(usize),
    LoseEverything,
    /// The clock is behind from now on.
    SetClockBack,
}

#[derive(Debug, Clone)]
enum Event {
    At(usize, Action),
    Fault(Fault),
}

struct Simulation {
    redis: Redis,
    nodes: Vec<Node>,
    /// Whether Redis has lost something.
    had_faults: bool,
    went_back: bool,
}

impl Simulation {
    fn new(keep: usize) -> Self {
        let nodes = (0..PROCESSES).map(|_| Node::new()).collect();
        Self { redis: Redis::new(keep), nodes, had_faults: false, went_back: false }
    }

    fn send(&mut self, batch: Option<Batch>) {
        let Some(batch) = batch else { return };
        for node in self.nodes.iter_mut().filter(|node| node.is_connected) {
            node.channel.push_back(Sent::Batch(batch.clone()));
        }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::At(at, action) => self.act(*at, action),
            Event::Fault(fault) => self.fail(fault),
        }
    }

    fn act(&mut self, at: usize, action: &Action) {
        let node = &mut self.nodes[at];
        match action {
            Action::Publish { sizes, lost } => self.publish(at, sizes, *lost),
            Action::PublishStrange(size) => {
                let batch = self.redis.publish_strange(*size);
                self.send(Some(batch));
            }
            Action::Execute { place, lost } => self.execute(at, *place, *lost),
            Action::Answer(place) if !node.answers.is_empty() => {
                let answer = node.answers.remove(place % node.answers.len());
                node.answer(answer);
            }
            Action::Refuse(place) if !node.questions.is_empty() => {
                node.questions.remove(place % node.questions.len());
                node.follower.fail();
            }
            Action::Deliver(count) => {
                let count = node.channel.len().min(*count);
                let sent: Vec<_> = node.channel.drain(..count).collect();
                sent.into_iter().for_each(|sent| node.deliver(sent));
            }
            Action::Cut(left) => node.cut(*left),
            Action::Connect => node.connect(),
            Action::Check => node.check(),
            Action::Restart if node.follower.is_live() => {
                node.restarts += 1;
                node.is_empty = true;
                let step = node.follower.restart();
                node.take(vec![step]);
            }
            Action::Pass(milliseconds) => self.redis.pass(*milliseconds),
            Action::Answer(_) | Action::Refuse(_) | Action::Restart => {}
        }
    }

    fn publish(&mut self, at: usize, sizes: &[usize], lost: bool) {
        let entries = self.nodes[at].next(at, sizes);
        let batch = self.redis.publish(&entries);
        self.send(batch);
        if !lost {
            self.nodes[at].unclear.clear();
        }
    }

    fn execute(&mut self, at: usize, place: usize, lost: bool) {
        let node = &mut self.nodes[at];
        if node.questions.is_empty() {
            return;
        }
        let place = place % node.questions.len();
        let question = node.questions[place].clone();
        if !lost {
            node.questions.remove(place);
        }
        let answer = match question {
            Question::Read(read) => {
                Answer::Read(read.ticket, self.redis.read(read.from, MAX_COUNT, MAX_BYTES))
            }
            Question::Compare => Answer::Compared(self.redis.read(None, 0, MAX_BYTES).end),
            Question::Renew { lost, floor, after } => {
                let batch = self.redis.renew(lost, floor, after);
                self.send(batch);
                Answer::Renewed
            }
        };
        if !lost {
            self.nodes[at].answers.push(answer);
        }
    }

    fn fail(&mut self, fault: &Fault) {
        self.had_faults = true;
        match fault {
            Fault::Trim(left) => self.redis.trim(*left),
            Fault::FailOver(changes) => {
                self.went_back = true;
                self.redis.lose(*changes);
                self.nodes.iter_mut().for_each(|node| node.cut(usize::MAX));
            }
            Fault::GoBack(changes) => {
                self.went_back = true;
                self.redis.lose(*changes);
            }
            Fault::SetClockBack => self.redis.set_clock_back(),
            Fault::LoseEverything => {
                self.redis.lose_everything();
                self.nodes.iter_mut().for_each(|node| node.cut(usize::MAX));
            }
        }
    }

    /// Lets everything arrive.
    fn settle(&mut self) {
        for _ in 0..MAX_ROUNDS {
            if self.nodes.iter().all(Node::is_quiet) {
                return;
            }
            for at in 0..PROCESSES {
                self.nodes[at].connect();
                if !self.nodes[at].unclear.is_empty() {
                    self.publish(at, &[], false);
                }
                self.act(at, &Action::Deliver(usize::MAX));
                for _ in 0..self.nodes[at].questions.len() {
                    self.execute(at, 0, false);
                }
                for _ in 0..self.nodes[at].answers.len() {
                    self.act(at, &Action::Answer(0));
                }
            }
        }
        panic!("it never ends: {:?}", self.nodes);
    }

    fn finish(mut self) {
        self.settle();
        // The second comparison finds what the first one has seen, and another reads what failed.
        for _ in 0..3 {
            self.nodes.iter_mut().for_each(Node::check);
            self.settle();
        }
        for node in &self.nodes {
            self.check_whole(node);
            self.check_last(node);
        }
    }

    /// Members have received nothing that did not stand in Redis, in one piece.
    fn check_whole(&self, node: &Node) {
        for (position, entry) in node.segments.iter().flat_map(Segment::places) {
            let stood = |(at, other): &(Position, Rc<Entry>)| *at == position && **other == *entry;
            assert!(self.redis.written.iter().any(stood), "{position:?} never stood in Redis");
        }
        if !self.went_back {
            let all: Vec<_> = node.segments.iter().flat_map(Segment::places).collect();
            for (index, one) in all.iter().enumerate() {
                assert!(!all[..index].contains(one), "{one:?} was sent twice");
            }
        }
        if !self.had_faults {
            assert_eq!(node.segments.len(), 1 + node.restarts, "nothing was missed");
        }
    }

    /// Since they were last told, they have received all that stands there.
    fn check_last(&self, node: &Node) {
        let room = self.redis.room().unwrap();
        let segment = node.segments.last().unwrap();
        assert!(node.follower.is_live());
        assert_eq!((segment.end(), node.follower.position()), (room.end(), Some(room.end())));
        let begin = segment.begin.sequence() as usize;
        let (before, after) = room.log.split_at(begin);
        assert!(after.iter().map(|entry| &**entry).eq(&segment.messages), "some are missing");
        let known = before[begin - segment.history.len()..].iter().map(|entry| &**entry);
        assert!(known.eq(&segment.history), "another history");
    }
}

fn action() -> impl Strategy<Value = Action> {
    let size = || prop_oneof![9 => 0..100usize, 1 => Just(2 * MAX_BYTES)];
    prop_oneof![
        6 => (vec(size(), 1..4), any::<bool>())
            .prop_map(|(sizes, lost)| Action::Publish { sizes, lost }),
        1 => size().prop_map(Action::PublishStrange),
        8 => (0..4usize, prop::bool::weighted(0.2))
            .prop_map(|(place, lost)| Action::Execute { place, lost }),
        8 => (0..4usize).prop_map(Action::Answer),
        1 => (0..4usize).prop_map(Action::Refuse),
        6 => (1..5usize).prop_map(Action::Deliver),
        2 => (0..4usize).prop_map(Action::Cut),
        6 => Just(Action::Connect),
        2 => Just(Action::Check),
        1 => Just(Action::Restart),
        1 => (0..3u64).prop_map(Action::Pass),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        2 => (1..5usize).prop_map(Fault::Trim),
        3 => (1..6usize).prop_map(Fault::FailOver),
        2 => (1..6usize).prop_map(Fault::GoBack),
        1 => Just(Fault::LoseEverything),
        1 => Just(Fault::SetClockBack),
    ]
}

proptest! {
    #[test]
    fn members_miss_nothing_while_redis_loses_nothing(
        actions in vec((0..PROCESSES, action()), 1..150),
    ) {
        let mut simulation = Simulation::new(usize::MAX);
        actions.iter().for_each(|(at, action)| simulation.act(*at, action));
        simulation.finish();
    }

    #[test]
    fn nothing_is_lost_silently(
        keep in 1..40usize,
        events in vec(
            prop_oneof![
                20 => (0..PROCESSES, action()).prop_map(|(at, action)| Event::At(at, action)),
                1 => fault().prop_map(Event::Fault),
            ],
            1..150,
        ),
    ) {
        let mut simulation = Simulation::new(keep);
        simulation.had_faults = true;
        events.iter().for_each(|event| simulation.happen(event));
        simulation.finish();
    }
}
