//! What watchers are sent, for whatever happens at several processes.

use std::mem;
use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use super::*;
use crate::presence::sharing::Sharing;

/// How many processes there are: the one that has the roster, which is the first, and others.
const PROCESSES: usize = 3;

/// What happens to a room.
#[derive(Debug, Clone)]
enum Step {
    /// Connections of some people to a process, or of as many without a name.
    Join { process: usize, people: Range<u32>, named: bool },
    /// The ends of some connections.
    Leave(Vec<Index>),
    /// Another process tells whom it has.
    Report(usize),
    /// Another process has been killed.
    Kill(usize),
    /// Time passes, in milliseconds.
    Wait(u64),
    /// The watchers get what has changed.
    Tell,
    /// A watcher comes.
    Watch,
    /// All watchers go.
    Desert,
}

/// With fewer connections in all than may be leaving at once.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let people = (0..120u32, 1..25u32).prop_map(|(first, count)| first..first + count);
    let join = (0..PROCESSES, people, any::<bool>());
    let step = prop_oneof![
        6 => join.prop_map(|(process, people, named)| Step::Join { process, people, named }),
        4 => vec(any::<Index>(), 1..25).prop_map(Step::Leave),
        4 => (1..PROCESSES).prop_map(Step::Report),
        1 => (1..PROCESSES).prop_map(Step::Kill),
        2 => (0..3000u64).prop_map(Step::Wait),
        4 => Just(Step::Tell),
        1 => Just(Step::Watch),
        1 => Just(Step::Desert),
    ];
    vec(step, 0..MAX_LEAVING / 25)
}

/// What a watcher knows, according to the messages that it has received.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Watcher {
    names: BTreeSet<String>,
    count: u64,
}

impl Watcher {
    /// Follows the documentation, and checks that each name is news.
    fn receive(&mut self, message: &str) {
        let message: Value = serde_json::from_str(message).unwrap();
        let names = |key: &str| {
            let names = message.get(key)?.as_array().unwrap().iter();
            Some(names.map(|name| name.as_str().unwrap().to_owned()).collect::<Vec<_>>())
        };
        if message.get("members").is_some() || message.get("joined").is_none() {
            self.names.clear();
        }
        for name in names("members").or(names("joined")).unwrap_or_default() {
            assert!(self.names.insert(name), "{message}");
        }
        for name in names("left").unwrap_or_default() {
            assert!(self.names.remove(&name), "{message}");
        }
        self.count = message["count"].as_u64().unwrap();
    }
}

/// Somebody's connection to a process.
#[derive(Debug)]
struct Connection {
    process: usize,
    client: ClientId,
    name: Option<String>,
}

/// Whom a process has.
#[derive(Debug, Default)]
struct Present {
    names: BTreeSet<String>,
    nameless: usize,
}

/// The connections to a room, what the first process knows of them, and when others have left.
#[derive(Debug, Default)]
struct Model {
    open: Vec<Connection>,
    known: [Present; PROCESSES],
    left: HashMap<String, Instant>,
    nameless_left: VecDeque<Instant>,
}

impl Model {
    fn leave(&mut self, index: &Index) -> Option<Connection> {
        let index = (!self.open.is_empty()).then(|| index.index(self.open.len()))?;
        Some(self.open.swap_remove(index))
    }

    /// The first process learns whom a process has.
    fn report(&mut self, process: usize, now: Instant) {
        let mut present = Present::default();
        for connection in self.open.iter().filter(|connection| connection.process == process) {
            match &connection.name {
                Some(name) => _ = present.names.insert(name.clone()),
                None => present.nameless += 1,
            }
        }
        let before = &self.known[process];
        let gone = before.names.difference(&present.names).map(|name| (name.clone(), now));
        self.left.extend(gone);
        for _ in before.nameless..present.nameless {
            self.nameless_left.pop_front();
        }
        for _ in present.nameless..before.nameless {
            self.nameless_left.push_back(now);
        }
        self.known[process] = present;
    }

    /// What everyone who watches must know.
    fn truth(&mut self, has_names: bool, now: Instant) -> Watcher {
        let is_there = |left: &Instant| now < *left + GRACE;
        self.left.retain(|_, left| is_there(left));
        self.nameless_left.retain(is_there);
        let mut names: BTreeSet<_> = self.left.keys().cloned().collect();
        names.extend(self.known.iter().flat_map(|present| present.names.iter().cloned()));
        let nameless: usize = self.known.iter().map(|present| present.nameless).sum();
        let count = names.len() + nameless + self.nameless_left.len();
        if !has_names || count > MAX_NAMES {
            names.clear();
        }
        Watcher { names, count: count as u64 }
    }
}

/// What the others tell the first process, and what they have told.
#[derive(Debug, Default)]
struct Others {
    sharing: [Sharing; PROCESSES],
    told: [People; PROCESSES],
}

impl Others {
    fn report(&mut self, process: usize, roster: &mut Roster, now: Instant) {
        for (_, people) in self.sharing[process].take_changes() {
            let people = People::decode(people.encode().as_bytes()).unwrap();
            roster.replace(&self.told[process], &people, now);
            self.told[process] = people;
        }
    }

    fn kill(&mut self, process: usize, roster: &mut Roster, now: Instant) {
        roster.replace(&mem::take(&mut self.told[process]), &People::default(), now);
        self.sharing[process] = Sharing::default();
    }
}

proptest! {
    #[test]
    fn what_watchers_are_sent_adds_up_to_the_truth(
        steps in steps(),
        names in any::<bool>(),
        may_miss in any::<bool>(),
    ) {
        let mut now = Instant::now();
        let mut roster = Roster::new(GRACE, Audience { names, may_miss }, []);
        let mut model = Model::default();
        let mut others = Others::default();
        // With the newest message that each of them has not read.
        let mut watchers: Vec<(Watcher, Option<String>)> = Vec::new();
        let mut told = Watcher::default();
        let mut clients = (1..).map(client);
        let mut turns = 0..;
        let end = [Step::Watch, Step::Report(1), Step::Report(2)];
        let end = end.into_iter().chain([Step::Wait(GRACE.as_millis() as u64), Step::Tell]);
        for step in steps.into_iter().chain(end) {
            match step {
                Step::Join { process, people, named } => for number in people {
                    let name = (named && names).then(|| number.to_string());
                    let client = clients.next().unwrap();
                    let somebody = name.as_deref().and_then(user);
                    match process {
                        0 => roster.join(client, somebody),
                        _ => others.sharing[process].join(client, "/", somebody),
                    }
                    model.open.push(Connection { process, client, name });
                    if process == 0 {
                        model.report(0, now);
                    }
                },
                Step::Leave(indices) => for index in indices {
                    match model.leave(&index) {
                        Some(Connection { process: 0, client, .. }) => {
                            roster.leave(client, now);
                            model.report(0, now);
                        }
                        Some(Connection { process, client, .. }) => {
                            others.sharing[process].leave(client);
                        }
                        None => {}
                    }
                },
                Step::Report(process) => {
                    others.report(process, &mut roster, now);
                    model.report(process, now);
                }
                Step::Kill(process) => {
                    others.kill(process, &mut roster, now);
                    model.open.retain(|connection| connection.process != process);
                    model.report(process, now);
                }
                Step::Wait(time) => now += Duration::from_millis(time),
                Step::Tell => {
                    roster.expire(now);
                    let change = take_change(&mut roster);
                    let truth = model.truth(names, now);
                    prop_assert!(watchers.is_empty() || change.is_some() == (told != truth));
                    told = truth;
                    for ((watcher, unread), turn) in watchers.iter_mut().zip(&mut turns) {
                        *unread = change.clone().or(unread.take());
                        if may_miss && turn % 3 != 0 {
                            continue;
                        }
                        unread.take().iter().for_each(|message| watcher.receive(message));
                        prop_assert_eq!(&*watcher, &told);
                    }
                }
                Step::Watch => {
                    let mut watcher = Watcher::default();
                    if watchers.is_empty() {
                        roster.settle();
                        watcher.receive(&snapshot(&roster));
                        told = watcher.clone();
                    } else {
                        watcher.receive(&snapshot(&roster));
                        prop_assert_eq!(&watcher, &told);
                    }
                    watchers.push((watcher, None));
                }
                Step::Desert => watchers.clear(),
            }
        }
    }
}
