//! Members who speak in several rooms at several processes, and what all of them have heard in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::member::{Heard, Member, Position};
use crate::process::{Process, ask};
use crate::redis::Redis;
use crate::support::eventually;

/// Members who speak until `finish`, and POSTs to the same rooms.
pub struct Load {
    progress: Arc<Progress>,
    speakers: Vec<JoinHandle<Speaker>>,
    posters: Vec<JoinHandle<Vec<Posted>>>,
}

#[derive(Default)]
struct Progress {
    has_ended: AtomicBool,
    said: AtomicUsize,
}

struct Speaker {
    room: String,
    name: String,
    member: Member,
    sent: usize,
}

struct Posted {
    room: String,
    text: String,
    /// Nothing if it was refused with 503.
    position: Option<Position>,
}

impl Load {
    /// One member of each room at each process says something every `pace`, and there is a POST to each process
    /// every `pace`.
    pub fn begin(processes: &[&Process], rooms: &[&str], pace: Duration) -> Self {
        let progress = Arc::new(Progress::default());
        let mut speakers = Vec::new();
        for (index, process) in processes.iter().enumerate() {
            for room in rooms {
                let member = Member::join(&process.address, room);
                let name = format!("speaker {index}");
                speakers.push(Speaker { room: (*room).to_owned(), name, member, sent: 0 });
            }
        }
        let speak = |speaker| {
            let progress = progress.clone();
            thread::spawn(move || speak(speaker, pace, &progress))
        };
        // All of them are there before anybody speaks.
        let speakers = speakers.into_iter().map(speak).collect();
        let post = |(index, process): (usize, &&Process)| {
            let (progress, address) = (progress.clone(), process.address.clone());
            let rooms = rooms.iter().map(ToString::to_string).collect::<Vec<_>>();
            thread::spawn(move || post(&address, &rooms, index, pace, &progress))
        };
        let posters = processes.iter().enumerate().map(post).collect();
        Self { progress, speakers, posters }
    }

    /// Waits until the members have said this much more.
    pub fn go_on(&self, messages: usize) {
        let said = || self.progress.said.load(Ordering::Relaxed);
        let begin = said();
        eventually("the members go on", || said() >= begin + messages);
    }

    /// Waits until everybody has heard everybody's last word.
    pub fn finish(self) -> Outcome {
        self.progress.has_ended.store(true, Ordering::Relaxed);
        let join = |thread: JoinHandle<Speaker>| thread.join().unwrap();
        let mut speakers: Vec<_> = self.speakers.into_iter().map(join).collect();
        let mut rooms = BTreeMap::<String, Room>::new();
        for posted in self.posters.into_iter().flat_map(|thread| thread.join().unwrap()) {
            let room = rooms.entry(posted.room).or_default();
            room.posted.push((posted.text, posted.position));
        }
        for speaker in &mut speakers {
            speaker.member.send(&format!("{} ends", speaker.name));
            let room = rooms.entry(speaker.room.clone()).or_default();
            room.sent.insert(speaker.name.clone(), speaker.sent);
        }
        for speaker in speakers {
            let room = rooms.get_mut(&speaker.room).unwrap();
            let record = hear_all(speaker.member, room.sent.len());
            room.records.push(record);
        }
        Outcome { rooms }
    }
}

fn speak(mut speaker: Speaker, pace: Duration, progress: &Progress) -> Speaker {
    while !progress.has_ended.load(Ordering::Relaxed) {
        speaker.member.send(&format!("{} says {}", speaker.name, speaker.sent));
        speaker.sent += 1;
        progress.said.fetch_add(1, Ordering::Relaxed);
        thread::sleep(pace);
    }
    speaker
}

fn post(
    address: &str,
    rooms: &[String],
    index: usize,
    pace: Duration,
    progress: &Progress,
) -> Vec<Posted> {
    let mut posted = Vec::new();
    for (number, room) in rooms.iter().cycle().enumerate() {
        if progress.has_ended.load(Ordering::Relaxed) {
            break;
        }
        let text = format!("post {index} {number}");
        let answer = ask(address, "POST", room, "", &text);
        let position = match answer.status {
            503 => None,
            _ => Some(Position::parse(&answer.position())),
        };
        posted.push(Posted { room: room.clone(), text, position });
        thread::sleep(pace);
    }
    posted
}

/// Everything that a member hears until the last words of this number of speakers.
fn hear_all(mut member: Member, speakers: usize) -> Vec<Heard> {
    let mut record = Vec::new();
    let mut ends = 0;
    while ends < speakers {
        let heard = member.hear();
        if let Heard::Closed(code) = heard {
            panic!("closed with {code} at {}", member.position);
        }
        ends += usize::from(matches!(&heard, Heard::Message(_, text) if text.ends_with(" ends")));
        record.push(heard);
    }
    record
}

/// What was said and heard.
pub struct Outcome {
    rooms: BTreeMap<String, Room>,
}

#[derive(Default)]
struct Room {
    /// What each member has heard.
    records: Vec<Vec<Heard>>,
    /// How much each speaker has said before its last word.
    sent: BTreeMap<String, usize>,
    /// The texts of POSTs, and their positions unless they were refused.
    posted: Vec<(String, Option<Position>)>,
}

impl Outcome {
    /// Checks that everybody has heard everything once and in the same order, and that no POST was refused.
    pub fn assert_complete(&self) {
        for (name, room) in &self.rooms {
            let first = &room.records[0];
            assert!(room.records.iter().all(|record| record == first), "{name}: {}", room.differ());
            room.assert_told_or_complete(name);
            assert!(room.posted.iter().all(|(_, position)| position.is_some()), "{name}");
            assert!(!was_told(first), "{name}: lost");
            let guests = first.iter().filter(|heard| is_of_guest(heard)).count();
            let said = room.sent.values().map(|sent| sent + 1).sum::<usize>() + room.posted.len();
            assert_eq!(first.len() - guests, said, "{name}");
        }
    }

    /// Checks that members agree about each position, and that those who have not heard everything know it.
    pub fn assert_honest(&self) {
        for (name, room) in &self.rooms {
            room.assert_told_or_complete(name);
        }
    }

    /// Checks that the streams in Redis have the same messages at the same positions.
    pub fn assert_stored<'r>(&self, redis_of: impl Fn(&str) -> &'r Redis) {
        for (name, room) in &self.rooms {
            let heard: BTreeMap<_, _> = room.messages().map(|(at, text)| (at.id(), text)).collect();
            let key = format!("townhall:{{{name}}}");
            let entries = redis_of(&key).cli(&["xrange", &key, "-", "+"]);
            let entries = entries_of(&entries);
            let in_last_epoch = room.in_last_epoch();
            assert!(entries.len() >= in_last_epoch.min(1_000), "{name}: {}", entries.len());
            for (id, text) in entries {
                // Those who were told may have missed the beginning of the new epoch, too.
                if heard.contains_key(id) || !room.all_were_told() {
                    assert_eq!(heard.get(id), Some(&text), "{name}: {id}");
                }
            }
        }
    }

    /// Checks that somebody else has heard the same as the members of a room, from some position on.
    pub fn assert_heard(&self, room: &str, record: &[Heard]) {
        let all = &self.rooms[room].records[0];
        let begin = all.iter().position(|heard| *heard == record[0]).expect("they heard the first");
        assert!(all[begin..].starts_with(record), "{room}");
    }

    /// Checks that messages `guest says NUMBER` in a room are numbered from 0, without a gap.
    pub fn assert_guest_in_order(&self, room: &str) {
        let texts: Vec<_> = self.rooms[room].messages().map(|(_, text)| text).collect();
        let numbers = numbers_of("guest", &texts[..self.rooms[room].records[0].len()]);
        assert!(numbers.iter().copied().eq(0..numbers.len()), "{numbers:?}");
    }

    /// How many messages each member of a room has heard at least.
    pub fn fewest(&self) -> usize {
        let records = self.rooms.values().flat_map(|room| &room.records);
        records.map(|record| record.len()).min().unwrap()
    }

    /// Whether every member of every room was told that messages are lost.
    pub fn all_were_told(&self) -> bool {
        self.rooms.values().all(Room::all_were_told)
    }
}

/// Whether a member was told that messages are lost.
fn was_told(record: &[Heard]) -> bool {
    record.iter().any(|heard| matches!(heard, Heard::Lost(_)))
}

/// Whether this is a message of somebody who does not belong to the load.
fn is_of_guest(heard: &Heard) -> bool {
    matches!(heard, Heard::Message(_, text) if text.starts_with("guest "))
}

/// The ids and texts in the output of XRANGE.
fn entries_of(output: &str) -> Vec<(&str, &str)> {
    let is_id = |line: &str| {
        line.split_once('-').is_some_and(|(epoch, number)| {
            [epoch, number].iter().all(|part| part.parse::<u64>().is_ok())
        })
    };
    let lines: Vec<_> = output.lines().collect();
    let ids: Vec<_> = (0..lines.len()).filter(|&at| is_id(lines[at])).collect();
    let text = |at: usize| {
        let field = lines[at..].iter().position(|line| *line == "text").expect("a field text");
        (lines[at], lines[at + field + 1])
    };
    ids.into_iter().map(text).collect()
}

impl Room {
    fn messages(&self) -> impl Iterator<Item = (&Position, &str)> {
        self.records.iter().flatten().filter_map(|heard| match heard {
            Heard::Message(position, text) => Some((position, &**text)),
            _ => None,
        })
    }

    /// How many messages the first member has heard in the epoch of the last one.
    fn in_last_epoch(&self) -> usize {
        let epochs = self.records[0].iter().rev().map_while(|heard| match heard {
            Heard::Message(position, _) => Some(&position.epoch),
            _ => None,
        });
        epochs.count()
    }

    /// The first difference between the first member and another, for a panic.
    fn differ(&self) -> String {
        let (first, rest) = self.records.split_first().unwrap();
        let mut pairs = rest.iter().flat_map(|record| first.iter().zip(record));
        match pairs.find(|(a, b)| a != b) {
            Some((a, b)) => format!("{a:?} and {b:?}"),
            None => format!("{:?}", self.records.iter().map(Vec::len).collect::<Vec<_>>()),
        }
    }

    fn all_were_told(&self) -> bool {
        self.records.iter().all(|record| was_told(record))
    }

    fn assert_told_or_complete(&self, name: &str) {
        let mut agreed = BTreeMap::new();
        for (position, text) in self.messages() {
            let before = agreed.insert(position, text).unwrap_or(text);
            assert_eq!(before, text, "{name} at {position}");
        }
        for record in &self.records {
            self.assert_record(name, record);
        }
        for (text, position) in &self.posted {
            match position.as_ref().map(|position| agreed.get(position)) {
                // Where it was lost afterwards, others may have heard something else at its place.
                Some(heard) => assert!(
                    heard == Some(&&**text) || self.all_were_told(),
                    "{name}: {text} is at {position:?}, but {heard:?}"
                ),
                None => assert!(!agreed.values().any(|heard| heard == text), "{name}: {text}"),
            }
        }
    }

    /// Checks that a member has heard nothing twice, every speaker in order, and everything unless it was told
    /// of a loss.
    fn assert_record(&self, name: &str, record: &[Heard]) {
        let mut epochs = BTreeMap::<&str, Vec<&str>>::new();
        for heard in record {
            if let Heard::Message(position, text) = heard {
                epochs.entry(&position.epoch).or_default().push(text);
            }
        }
        for (epoch, texts) in &epochs {
            let different: BTreeSet<_> = texts.iter().collect();
            assert_eq!(different.len(), texts.len(), "{name}: twice in {epoch}");
            for speaker in self.sent.keys() {
                let numbers = numbers_of(speaker, texts);
                assert!(numbers.is_sorted(), "{name}: {speaker} in {epoch}: {numbers:?}");
            }
        }
        if !was_told(record) {
            let texts: Vec<_> = epochs.into_values().flatten().collect();
            for (speaker, sent) in &self.sent {
                let numbers = numbers_of(speaker, &texts);
                let missing: Vec<_> =
                    (0..*sent).filter(|number| !numbers.contains(number)).collect();
                assert!(missing.is_empty(), "{name}: {speaker} has said {sent}, not {missing:?}");
            }
        }
    }
}

/// The numbers of what a speaker has said.
fn numbers_of(speaker: &str, texts: &[&str]) -> Vec<usize> {
    let prefix = format!("{speaker} says ");
    let numbers = texts.iter().filter_map(|text| text.strip_prefix(&prefix));
    numbers.map(|number| number.parse().unwrap()).collect()
}
