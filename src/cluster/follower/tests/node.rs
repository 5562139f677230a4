//! A process that follows the room, and what is on its way to and from it.

use std::collections::VecDeque;

use super::redis::key;
use super::*;

#[derive(Debug, Clone)]
pub enum Question {
    Read(Read),
    Renew { lost: u64, floor: u64, after: Option<u64> },
    Compare,
}

#[derive(Debug)]
pub enum Answer {
    Read(u64, Snapshot),
    Renewed,
    Compared(Position),
}

#[derive(Debug)]
pub enum Sent {
    Confirmation,
    Batch(Batch),
}

/// What the members of a process have received since they were last told of missing messages.
#[derive(Debug)]
pub struct Segment {
    pub history: Vec<Entry>,
    pub begin: Position,
    pub messages: Vec<Entry>,
}

#[derive(Debug)]
pub struct Node {
    pub follower: Follower,
    pub is_connected: bool,
    pub channel: VecDeque<Sent>,
    pub questions: Vec<Question>,
    pub answers: Vec<Answer>,
    pub segments: Vec<Segment>,
    number: u64,
    /// What was published without an answer.
    pub unclear: Vec<Entry>,
    /// Whether nobody is left of those who have received something.
    pub is_empty: bool,
    pub restarts: usize,
}

impl Node {
    pub fn new() -> Self {
        Self {
            follower: Follower::new(),
            is_connected: false,
            channel: VecDeque::new(),
            questions: Vec::new(),
            answers: Vec::new(),
            segments: Vec::new(),
            number: 0,
            unclear: Vec::new(),
            is_empty: false,
            restarts: 0,
        }
    }

    pub fn take(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Read(read) => self.questions.push(Question::Read(read)),
                Step::Renew { lost, floor, after } => {
                    self.questions.push(Question::Renew { lost, floor, after });
                }
                Step::Append(entries) => {
                    assert!(!entries.is_empty());
                    self.segments.last_mut().unwrap().messages.extend(entries);
                }
                Step::Replace { position, messages, .. } => {
                    let history = messages.into_iter().map(|(entry, _)| entry).collect();
                    // Members come back with places that were good once. They must not mean others now.
                    let end = self.segments.last().filter(|_| !self.is_empty).map(Segment::end);
                    assert!(
                        end.is_none_or(|end| key(end) <= key(position)),
                        "{end:?}, {position:?}"
                    );
                    self.is_empty = false;
                    self.segments.push(Segment { history, begin: position, messages: Vec::new() });
                }
            }
        }
        let held = self.follower.held.iter().map(Batch::size).sum::<usize>();
        assert_eq!(self.follower.held_bytes, held);
        assert!(held <= MAX_HELD_BYTES);
        if let Some(segment) = self.segments.last().filter(|_| self.follower.is_live()) {
            assert_eq!(self.follower.position(), Some(segment.end()));
        }
    }

    pub fn answer(&mut self, answer: Answer) {
        let mut steps = Vec::new();
        match answer {
            Answer::Read(ticket, snapshot) => self.follower.complete(ticket, snapshot, &mut steps),
            Answer::Renewed => self.follower.renewed(&mut steps),
            Answer::Compared(end) => self.follower.compare(end, &mut steps),
        }
        self.take(steps);
    }

    pub fn deliver(&mut self, sent: Sent) {
        let mut steps = Vec::new();
        match sent {
            Sent::Confirmation => steps.push(self.follower.subscribed()),
            Sent::Batch(batch) => self.follower.receive(batch, &mut steps),
        }
        self.take(steps);
    }

    pub fn cut(&mut self, left: usize) {
        self.is_connected = false;
        self.channel.truncate(left);
    }

    pub fn connect(&mut self) {
        if !self.is_connected {
            self.is_connected = true;
            self.channel.push_back(Sent::Confirmation);
        }
    }

    pub fn check(&mut self) {
        let step = self.follower.retry();
        self.take(step.into_iter().collect());
        if self.follower.ask() {
            self.questions.push(Question::Compare);
        }
    }

    /// What is published next, with its origins.
    pub fn next(&mut self, process: usize, sizes: &[usize]) -> Vec<Entry> {
        if self.unclear.is_empty() {
            for size in sizes {
                self.number += 1;
                let origin = Origin { process: Process(process as u64 + 1), number: self.number };
                let payload = vec![b'a'; *size];
                self.unclear.push(Entry { kind: Kind::Text, payload, origin: Some(origin) });
            }
        }
        self.unclear.clone()
    }

    pub fn is_quiet(&self) -> bool {
        let nothing_waits = self.channel.is_empty() && self.questions.is_empty();
        nothing_waits && self.answers.is_empty() && self.unclear.is_empty() && self.is_connected
    }
}

impl Segment {
    pub fn end(&self) -> Position {
        Position::new(self.begin.epoch(), self.begin.sequence() + self.messages.len() as u64)
    }

    /// Its messages, and their places.
    pub fn places(&self) -> impl Iterator<Item = (Position, &Entry)> {
        let place = |number| Position::new(self.begin.epoch(), self.begin.sequence() + number);
        (1..).map(place).zip(&self.messages)
    }
}
