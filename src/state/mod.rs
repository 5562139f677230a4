//! What outlives a restart: histories of rooms, revoked tokens, and answers to requests with an
//! `Idempotency-Key`.

mod file;
mod record;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use log::{error, info, warn};
use townhall::{Config, Hub, Message, Position};

use crate::auth::{Identity, Sessions};
use crate::publish::{Answer, Published, Publisher};
use file::StateFile;
use record::{Bytes, Reader, Record, Writer};

pub use file::fault;

/// The state file of this process.
#[derive(Debug)]
pub struct State {
    file: StateFile,
    /// What the last process has left in the file, until it is restored.
    left: Option<Vec<u8>>,
    config: Config,
    sessions: Option<Sessions>,
}

impl State {
    /// Takes the file over from the last process, and reads what it has left there. Nobody can use that
    /// again. The configuration decides which rooms may be restored.
    ///
    /// # Errors
    /// The file cannot be replaced.
    pub fn take(path: &Path, config: Config, sessions: Option<Sessions>) -> io::Result<Self> {
        let (file, left) = StateFile::take(path)?;
        Ok(Self { file, left, config, sessions })
    }

    /// Restores what the last process has left, unless it cannot be used.
    pub fn restore(&mut self, hub: &mut Hub, publisher: Option<&mut Publisher>) {
        let Some(bytes) = self.left.take() else { return };
        let begin = Instant::now();
        match Reader::open(&bytes) {
            Ok(reader) => {
                let age = since_epoch().saturating_sub(reader.written);
                let mut restoring =
                    Restoring { state: self, hub, publisher, age, restored: Restored::default() };
                restoring.all(reader);
                let restored = restoring.restored;
                let took = begin.elapsed();
                info!(
                    "restored {restored} from {}, written {age:.1?} ago, in {took:.1?}",
                    self.file
                );
            }
            Err(fault) => warn!("{} is ignored: {fault}", self.file),
        }
    }

    /// Writes the state for the next process.
    pub fn save(&self, hub: &Hub, publisher: Option<&Publisher>) {
        let begin = Instant::now();
        match self.file.write(|file| self.write(file, hub, publisher)) {
            Ok(()) => info!("wrote {} in {:.1?}", self.file, begin.elapsed()),
            Err(error) => error!("cannot write {}: {error}", self.file),
        }
    }

    fn write(&self, file: &File, hub: &Hub, publisher: Option<&Publisher>) -> io::Result<()> {
        let mut writer = Writer::begin(file, since_epoch())?;
        for (identity, at, lasts) in self.sessions.iter().flat_map(Sessions::revocations) {
            let (is_subject, name) = match &identity {
                Identity::Subject(name) => (true, name),
                Identity::Token(name) => (false, name),
            };
            writer.write(&Record::Revocation { is_subject, name, at, lasts })?;
        }
        for Answer { name, content, published, left } in
            publisher.into_iter().flat_map(Publisher::answers)
        {
            let Published { members, position } = published;
            let members = members as u64;
            let position = position.map(|at| (at.epoch(), at.sequence()));
            writer.write(&Record::Answer {
                name: Bytes(name),
                content,
                members,
                position,
                left,
            })?;
        }
        for room in hub.rooms() {
            let Some(position) = room.position() else { continue };
            let (epoch, sequence) = (position.epoch(), position.sequence());
            writer.write(&Record::Room { name: room.name(), epoch, sequence })?;
            for (message, age) in room.history() {
                writer.write(&match message {
                    Message::Text(text) => Record::Text { text, age },
                    Message::Binary(bytes) => Record::Binary { bytes: Bytes(bytes), age },
                })?;
            }
        }
        writer.end()
    }
}

/// The time since the epoch.
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// How much was restored.
#[derive(Debug, Default)]
struct Restored {
    rooms: usize,
    messages: usize,
    dropped: usize,
    revocations: usize,
    answers: usize,
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rooms, messages, dropped, revocations, answers } = self;
        write!(f, "{rooms} rooms with {messages} messages, ")?;
        if *dropped > 0 {
            write!(f, "without {dropped} rooms that are too old or not allowed, ")?;
        }
        write!(f, "{revocations} revocations and {answers} answers to publishers")
    }
}

/// What is being restored, and where.
struct Restoring<'s> {
    state: &'s State,
    hub: &'s mut Hub,
    publisher: Option<&'s mut Publisher>,
    /// How long ago the state was written.
    age: Duration,
    restored: Restored,
}

impl Restoring<'_> {
    fn all<'a>(&mut self, reader: Reader<'a>) {
        let mut messages = Vec::new();
        let mut room: Option<(&'a str, Position)> = None;
        for record in reader {
            match record {
                Record::Room { name, epoch, sequence } => {
                    self.room(room, &messages);
                    messages.clear();
                    room = Some((name, Position::new(epoch, sequence)));
                }
                Record::Text { text, age } => {
                    messages.push((Message::Text(text), age.saturating_add(self.age)));
                }
                Record::Binary { bytes, age } => {
                    messages.push((Message::Binary(bytes.0), age.saturating_add(self.age)));
                }
                Record::Revocation { is_subject, name, at, lasts } => {
                    let kind = if is_subject { Identity::Subject } else { Identity::Token };
                    self.revocation(kind(name.into()), at, lasts);
                }
                Record::Answer { name, content, members, position, left } => {
                    let position = position.map(|(epoch, sequence)| Position::new(epoch, sequence));
                    let published = Published { members: members as usize, position };
                    self.answer(Answer { name: name.0, content, published, left });
                }
            }
        }
        self.room(room, &messages);
    }

    fn room(&mut self, room: Option<(&str, Position)>, messages: &[(Message<'_>, Duration)]) {
        let Some((name, position)) = room else { return };
        let Config { history, rooms, .. } = &self.state.config;
        let is_young = history.as_ref().is_some_and(|history| self.age < history.max_age);
        let is_allowed = rooms.allow(name) && name.len() <= rooms.max_name_bytes;
        if is_young && is_allowed && self.hub.restore(name, position, messages).is_ok() {
            self.restored.rooms += 1;
            self.restored.messages += messages.len();
        } else {
            self.restored.dropped += 1;
        }
    }

    fn revocation(&mut self, identity: Identity, at: f64, lasts: Duration) {
        if let Some(sessions) = &self.state.sessions
            && let Some(lasts) = lasts.checked_sub(self.age)
            && sessions.restore(identity, at, lasts)
        {
            self.restored.revocations += 1;
        }
    }

    fn answer(&mut self, answer: Answer<'_>) {
        if let Some(publisher) = &mut self.publisher
            && let Some(left) = answer.left.checked_sub(self.age)
        {
            publisher.restore(self.hub, Answer { left, ..answer });
            self.restored.answers += 1;
        }
    }
}
