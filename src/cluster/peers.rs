//! What the processes say to one another about the people in their rooms.
//!
//! Each process keeps a hash in Redis with what it says about each room, and sends each change on a channel.
//! The changes are numbered, so that a process that has missed one reads the hash again. A process that does
//! not show that it is there is forgotten with its hash.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::Arc;

use redis::{Cmd, Value, cmd, from_redis_value};

use super::link::Link;
use super::link::job::Job;

/// The key of the processes, and the channel of changes.
pub const CHANNEL: &str = "townhall:{presence}";

/// For how many milliseconds a process is there after it has shown that.
const AGE: u32 = 15_000;

/// The field of a hash that has the number of the last change. No room has this name.
const VERSION: &str = "";

/// The tickets of the questions, and the first of those for the hashes of others.
const SHARED: u64 = 2;
const BEAT: u64 = 3;
const FIRST_HASH: u64 = 16;

/// What this process says about a room, or that nobody is there.
pub type Saying = (Arc<str>, Option<String>);

/// What another process says.
#[derive(Debug, PartialEq, Eq)]
pub enum Hearsay {
    /// It says this about a room, or that nobody is there.
    Room { process: String, room: String, people: Option<Vec<u8>> },
    /// It has ended, or says everything anew.
    Forget { process: String },
}

/// The processes that share rooms.
#[derive(Debug)]
pub struct Peers {
    link: Link,
    name: String,
    /// The number of the last change of this process.
    version: u64,
    /// Whether changes were sent and Redis has not answered.
    is_sharing: bool,
    is_beating: bool,
    /// Whether everything has to be said.
    is_new: bool,
    /// The number of the last change of each other process that is known.
    known: HashMap<String, u64>,
    /// The processes whose hashes are read.
    asked: HashMap<u64, String>,
    tickets: u64,
}

impl Peers {
    pub fn new(link: Link) -> Self {
        let name = link.shared().process.to_string();
        Self {
            link,
            name,
            version: 0,
            is_sharing: false,
            is_beating: false,
            is_new: true,
            known: HashMap::new(),
            asked: HashMap::new(),
            tickets: FIRST_HASH,
        }
    }

    /// Whether changes can be sent: the last ones were. Otherwise, they gather.
    pub fn is_ready(&self) -> bool {
        !self.is_sharing
    }

    /// Whether everything is to be said, not only what has changed.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Says what has changed, or everything.
    pub fn share(&mut self, sayings: &[Saying]) {
        if sayings.is_empty() && !self.is_new {
            return;
        }
        self.version += 1;
        let hash = hash(&self.name);
        let mut commands = Vec::new();
        if mem::take(&mut self.is_new) {
            commands.push(cmd("DEL").arg(&hash).to_owned());
        }
        let mut set = cmd("HSET");
        set.arg(&hash).arg(VERSION).arg(self.version);
        let mut delete = cmd("HDEL");
        delete.arg(&hash);
        let mut gone = false;
        for (room, people) in sayings {
            match people {
                Some(people) => _ = set.arg(&**room).arg(people),
                None => {
                    gone = true;
                    delete.arg(&**room);
                }
            }
        }
        commands.push(set);
        commands.extend(gone.then_some(delete));
        commands.push(cmd("PEXPIRE").arg(&hash).arg(AGE).to_owned());
        commands.push(self.notice(self.version, sayings));
        self.is_sharing = true;
        self.link.ask(Job::Commands { key: CHANNEL, ticket: SHARED, commands });
    }

    fn notice(&self, version: u64, sayings: &[Saying]) -> Cmd {
        let sayings: Vec<_> =
            sayings.iter().map(|(room, people)| (&**room, people.as_deref())).collect();
        let text = serde_json::to_string(&sayings).expect("strings are JSON");
        let mut send = cmd("SPUBLISH");
        send.arg(CHANNEL).arg(format!("{} {version}\n{text}", self.name));
        send
    }

    /// Shows that this process is there, unless Redis has not answered the last time.
    pub fn beat(&mut self) {
        if mem::replace(&mut self.is_beating, true) {
            return;
        }
        self.link.ask(Job::Beat {
            ticket: BEAT,
            processes: CHANNEL,
            own: hash(&self.name),
            age: AGE,
        });
    }

    /// Says that this process ends.
    pub fn leave(&self) {
        let mut remove = cmd("ZREM");
        remove.arg(CHANNEL).arg(&self.name);
        let mut delete = cmd("DEL");
        delete.arg(hash(&self.name));
        let commands = vec![remove, delete, self.notice(0, &[])];
        self.link.ask(Job::Commands { key: CHANNEL, ticket: 0, commands });
    }

    /// Takes what another process has sent. What is not understood is ignored.
    pub fn hear(&mut self, payload: &[u8]) -> Vec<Hearsay> {
        let parsed = parse(payload);
        let Some((process, version, sayings)) = parsed.filter(|(name, ..)| *name != self.name)
        else {
            return Vec::new();
        };
        match self.known.get_mut(&process) {
            _ if version == 0 => self.forget(process),
            Some(known) if version <= *known => Vec::new(),
            Some(known) if version == *known + 1 => {
                *known = version;
                let hear = |(room, people): (String, Option<String>)| {
                    let people = people.map(String::into_bytes);
                    Hearsay::Room { process: process.clone(), room, people }
                };
                sayings.into_iter().map(hear).collect()
            }
            _ => {
                self.read(process);
                Vec::new()
            }
        }
    }

    fn forget(&mut self, process: String) -> Vec<Hearsay> {
        self.known.remove(&process);
        vec![Hearsay::Forget { process }]
    }

    /// Reads everything that a process says.
    fn read(&mut self, process: String) {
        if self.asked.values().any(|asked| *asked == process) {
            return;
        }
        self.tickets += 1;
        let read = cmd("HGETALL").arg(hash(&process)).to_owned();
        self.link.ask(Job::Commands { key: CHANNEL, ticket: self.tickets, commands: vec![read] });
        self.asked.insert(self.tickets, process);
    }

    /// Reads what all processes say that are known, because changes may have been missed.
    pub fn read_again(&mut self) {
        let known: Vec<_> = self.known.keys().cloned().collect();
        known.into_iter().for_each(|process| self.read(process));
        self.beat();
    }

    /// Takes the answers to a question.
    pub fn answer(&mut self, ticket: u64, answers: Vec<Value>) -> Vec<Hearsay> {
        let answer = answers.into_iter().next().unwrap_or_default();
        match ticket {
            SHARED => self.is_sharing = false,
            BEAT => return self.compare(answer),
            _ if let Some(process) = self.asked.remove(&ticket) => {
                return self.learn(process, answer);
            }
            _ => {}
        }
        Vec::new()
    }

    /// Learns which processes there are.
    fn compare(&mut self, answer: Value) -> Vec<Hearsay> {
        self.is_beating = false;
        let Ok((is_there, names)) = from_redis_value::<(bool, Vec<Vec<u8>>)>(answer) else {
            return Vec::new();
        };
        // What is not a name was added by something else.
        let names = names.into_iter().filter_map(|name| String::from_utf8(name).ok());
        let processes: HashSet<_> = names.collect();
        self.is_new |= !is_there;
        let gone: Vec<_> =
            self.known.keys().filter(|known| !processes.contains(*known)).cloned().collect();
        for process in processes {
            if process != self.name && !self.known.contains_key(&process) {
                self.read(process);
            }
        }
        gone.into_iter().flat_map(|process| self.forget(process)).collect()
    }

    /// Learns everything that a process says.
    fn learn(&mut self, process: String, answer: Value) -> Vec<Hearsay> {
        let fields: Vec<(Vec<u8>, Vec<u8>)> = from_redis_value(answer).unwrap_or_default();
        let mut heard = self.forget(process.clone());
        for (room, people) in fields {
            let Ok(room) = String::from_utf8(room) else { continue };
            if room == VERSION {
                let version = str::from_utf8(&people).ok().and_then(|text| text.parse().ok());
                self.known.insert(process.clone(), version.unwrap_or_default());
            } else {
                let people = Some(people);
                heard.push(Hearsay::Room { process: process.clone(), room, people });
            }
        }
        heard
    }
}

fn hash(process: &str) -> String {
    format!("{CHANNEL}:{process}")
}

type Notice = (String, u64, Vec<(String, Option<String>)>);

fn parse(payload: &[u8]) -> Option<Notice> {
    let (head, sayings) = str::from_utf8(payload).ok()?.split_once('\n')?;
    let (process, version) = head.split_once(' ')?;
    Some((process.to_owned(), version.parse().ok()?, serde_json::from_str(sayings).ok()?))
}
