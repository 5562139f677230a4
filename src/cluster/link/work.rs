//! A part of what is sent to one server at once, and its answers.

use std::mem;
use std::sync::Arc;

use redis::{Cmd, ServerError, Value, cmd};

use super::job::{Job, Publication, Published, Refused, Report};
use super::script::{self, Scripts};
use super::servers::Address;
use super::shared::Shared;
use crate::cluster::entry::Malformed;
use townhall::Position;

/// Something that is answered as a whole.
#[derive(Debug)]
pub enum Task {
    /// Messages of one room, in order. They are repeated as they are, so that Redis knows them again.
    Publish(Vec<Publication>),
    Job(Job),
}

/// A task, and where it goes if not to the server that has its key.
#[derive(Debug)]
pub struct Work {
    pub task: Task,
    /// The server that is about to take over the slot of its key.
    pub asking: Option<Address>,
}

/// What the answer to a task means.
#[derive(Debug)]
pub enum Fate {
    Done,
    /// The key is at another server.
    Moved,
    /// The key may be at this server already.
    Ask(Address),
    /// The server does not know the scripts any more.
    Forgotten,
    /// It may be answered later, when the slot of its key has moved.
    Again,
    /// It may be answered later.
    Later(String),
}

impl From<Task> for Work {
    fn from(task: Task) -> Self {
        Self { task, asking: None }
    }
}

impl Work {
    /// The room whose messages it publishes.
    pub fn room(&self) -> Option<&Arc<str>> {
        match &self.task {
            Task::Publish(messages) => messages.first().map(|message| &message.channel),
            Task::Job(_) => None,
        }
    }

    /// The room whose stream it reads, or only the last number there.
    pub fn read(&self) -> Option<&Arc<str>> {
        match &self.task {
            Task::Job(Job::Read { channel, .. }) => Some(channel),
            _ => None,
        }
    }

    /// Whether it reads more of a stream than its last number.
    pub fn reads_entries(&self) -> bool {
        matches!(self.task, Task::Job(Job::Read { max_count: 1.., .. }))
    }

    /// Whether it only shows that a server is there.
    pub fn is_beat(&self) -> bool {
        matches!(self.task, Task::Job(Job::Commands { key: "", .. }))
    }

    /// What decides which server it goes to.
    pub fn key(&self) -> &str {
        match &self.task {
            Task::Publish(messages) => messages.first().map_or("", |message| &message.channel),
            Task::Job(Job::Commands { key, .. } | Job::Beat { processes: key, .. }) => key,
            Task::Job(
                Job::Read { channel, .. }
                | Job::Renew { channel, .. }
                | Job::Follow(channel)
                | Job::Unfollow(channel),
            ) => channel,
        }
    }

    /// The commands, as bytes, and the number of their answers.
    pub fn pack(&self, scripts: &Scripts, shared: &Shared) -> (Vec<u8>, usize) {
        let keep = shared.keep;
        let commands: &[Cmd] = match &self.task {
            Task::Publish(messages) => &[scripts.publish(shared.process, keep, messages)],
            Task::Job(Job::Read { channel, from, max_count, .. }) => {
                &[scripts.read(keep, channel, *from, *max_count)]
            }
            Task::Job(Job::Renew { channel, lost, floor, after }) => {
                &[scripts.renew(keep, channel, (*lost, *floor), *after)]
            }
            Task::Job(Job::Commands { commands, .. }) => commands,
            Task::Job(Job::Beat { processes, own, age, .. }) => {
                &[scripts.beat(shared.process, processes, own, *age)]
            }
            Task::Job(Job::Follow(_) | Job::Unfollow(_)) => &[],
        };
        let mut bytes = Vec::new();
        for command in commands {
            if self.asking.is_some() {
                bytes.extend(cmd("ASKING").get_packed_command());
            }
            bytes.extend(command.get_packed_command());
        }
        let each = if self.asking.is_some() { 2 } else { 1 };
        (bytes, commands.len() * each)
    }

    /// Takes the answers, and reports what is done.
    pub fn settle(&mut self, mut answers: Vec<Value>, shared: &Shared) -> Fate {
        if self.asking.take().is_some() {
            // The others are those to ASKING.
            answers = answers.into_iter().skip(1).step_by(2).collect();
        }
        let error = answers.iter().find_map(|answer| match answer {
            Value::ServerError(error) => Some(error),
            _ => None,
        });
        match error.map(fate) {
            None => self.finish(Ok(answers), shared),
            Some(Err(refused)) => self.finish(Err(refused), shared),
            Some(Ok(fate)) => return fate,
        }
        Fate::Done
    }

    fn finish(&mut self, answers: Result<Vec<Value>, Refused>, shared: &Shared) {
        let answer = answers.clone().map(|answers| answers.into_iter().next().unwrap_or_default());
        match &mut self.task {
            Task::Publish(messages) => {
                let first = understand(answer, script::published);
                finish_messages(mem::take(messages), first, shared);
            }
            Task::Job(Job::Read { channel, ticket, .. }) => {
                let result = understand(answer, script::snapshot);
                let report = Report::Read { channel: channel.clone(), ticket: *ticket, result };
                shared.mailbox.answer(report);
            }
            Task::Job(Job::Renew { channel, .. }) => {
                let result = answer.map(|_| ());
                shared.mailbox.answer(Report::Renewed { channel: channel.clone(), result });
            }
            Task::Job(
                Job::Commands { key, ticket, .. } | Job::Beat { ticket, processes: key, .. },
            ) => {
                let refused = answers.as_ref().err();
                shared.warnings.note(key, refused.map(|Refused(reason)| &**reason));
                // Refused commands have no answers.
                let answers = answers.unwrap_or_default();
                shared.mailbox.answer(Report::Answers { ticket: *ticket, answers });
            }
            Task::Job(Job::Follow(_) | Job::Unfollow(_)) => {}
        }
    }
}

fn finish_messages(messages: Vec<Publication>, first: Published, shared: &Shared) {
    let mut own = Vec::new();
    let (count, size) = (messages.len(), messages.iter().map(Publication::size).sum());
    for (sequence, message) in messages.into_iter().enumerate() {
        let place =
            |first: Position| Position::new(first.epoch(), first.sequence() + sequence as u64);
        let published = first.clone().map(place);
        match message.answer {
            // This fails if nobody waits any longer.
            Some(answer) => _ = answer.send(published),
            None => own.push((message.number, published)),
        }
    }
    if let Err(refused) = &first {
        shared.status.count(|figures| figures.refused += count as u64);
        shared.log_refused(refused);
    }
    shared.queue.release(count, size);
    if !own.is_empty() {
        shared.mailbox.answer(Report::Published(own));
    }
}

fn understand<T>(
    answer: Result<Value, Refused>,
    parse: impl Fn(Value) -> Result<T, Malformed>,
) -> Result<T, Refused> {
    parse(answer?).map_err(|error| Refused(error.to_string().into()))
}

/// What an error means: an attempt later may succeed, or it is refused for good.
fn fate(error: &ServerError) -> Result<Fate, Refused> {
    let detail = error.details().unwrap_or_default();
    let text = format!("{} {detail}", error.code());
    match error.code() {
        "MOVED" => Ok(Fate::Moved),
        "ASK" => Ok(Fate::Ask(detail.rsplit(' ').next().unwrap_or_default().to_owned())),
        "TRYAGAIN" => Ok(Fate::Again),
        "NOSCRIPT" => Ok(Fate::Forgotten),
        "ERR" | "WRONGTYPE" | "CROSSSLOT" => Err(Refused(text.into())),
        _ => Ok(Fate::Later(text)),
    }
}
