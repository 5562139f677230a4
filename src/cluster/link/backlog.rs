//! What was taken from the queue and is not done, in the order in which it goes out.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::{iter, mem};

use super::job::{Job, Publication};
use super::queue::{MAX_TAKEN, MAX_TAKEN_BYTES, Taken};
use super::reads::{MAX_AT_ONCE, Reads};
use super::work::{Task, Work};

/// What has to be done yet.
#[derive(Debug)]
pub struct Backlog {
    /// How many messages of a room go out together.
    max_together: usize,
    /// What was not answered, before what was not sent.
    pending: Vec<Work>,
    /// Messages of rooms of which as many as possible are pending, or that may not go out.
    waiting: HashMap<Arc<str>, VecDeque<Publication>>,
    reads: Reads,
    /// Whether all that waits may not go out.
    is_held: bool,
}

/// What may go out.
pub struct Permit<F> {
    /// Whether streams may be read.
    pub may_read: bool,
    /// Whether messages of a room may be published.
    pub may_publish: F,
}

impl Backlog {
    /// A backlog for rooms whose streams keep this number of messages. No more than half of them go out
    /// together, so that a process that has missed them can read them.
    pub fn new(keep: usize) -> Self {
        Self {
            max_together: (keep / 2).clamp(1, MAX_TAKEN),
            pending: Vec::new(),
            waiting: HashMap::new(),
            reads: Reads::default(),
            is_held: false,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.waiting.is_empty() && self.reads.is_empty()
    }

    /// Whether there is nothing to do but to wait until something may go out.
    pub fn is_held(&self) -> bool {
        self.is_held && self.pending.is_empty()
    }

    /// Whether everything that was returned is done.
    pub fn is_done(&self) -> bool {
        self.pending.is_empty()
    }

    /// Keeps what has to be done again.
    pub fn put_back(&mut self, works: impl IntoIterator<Item = Work>) {
        self.pending.extend(works.into_iter().filter(|work| !work.is_beat()));
    }

    /// Returns what is to be done, in order. Messages of one room stay together, and none overtakes others
    /// that are pending. There are not more of one room than Redis can handle while others wait, and not more
    /// to be read than can be received meanwhile.
    pub fn accept<F>(&mut self, taken: Taken, permit: &Permit<F>) -> Vec<Work>
    where
        F: Fn(&Arc<str>) -> bool,
    {
        for publication in taken.publications {
            let room = self.waiting.entry(publication.channel.clone()).or_default();
            room.push_back(publication);
        }
        let mut works = mem::take(&mut self.pending);
        let jobs = self.sort(taken.jobs, &mut works);
        let pending = works.len();
        let busy: HashSet<Arc<str>> = works.iter().filter_map(Work::room).cloned().collect();
        let max_together = self.max_together;
        self.waiting.retain(|channel, messages| {
            if !busy.contains(channel) && (permit.may_publish)(channel) {
                works.push(Task::Publish(first(messages, max_together)).into());
            }
            !messages.is_empty()
        });
        works.extend(jobs.into_iter().map(|job| Task::Job(job).into()));
        let reading = works.iter().filter(|work| work.reads_entries()).count();
        let more = MAX_AT_ONCE.saturating_sub(reading);
        for job in iter::from_fn(|| self.reads.take()).take(if permit.may_read { more } else { 0 })
        {
            works.push(Task::Job(job).into());
        }
        self.is_held = works.len() == pending && !self.is_empty();
        works
    }

    /// Sorts out what is to be read of streams, and forgets what nobody waits for any more.
    fn sort(&mut self, jobs: Vec<Job>, pending: &mut Vec<Work>) -> Vec<Job> {
        let mut unfollowed = HashSet::new();
        let mut others = Vec::new();
        for job in jobs {
            match job {
                Job::Read { ref channel, max_count: 1.., .. } => {
                    self.reads.add(channel.clone(), job);
                }
                Job::Unfollow(ref channel) => {
                    self.reads.remove(channel);
                    unfollowed.insert(channel.clone());
                    others.push(job);
                }
                job => others.push(job),
            }
        }
        if !unfollowed.is_empty() {
            pending.retain(|work| work.read().is_none_or(|room| !unfollowed.contains(room)));
        }
        others
    }

    /// Forgets what is to be read, because nobody will wait for it.
    pub fn end(&mut self) {
        self.reads.clear();
    }
}

/// Takes the first messages of a room.
fn first(messages: &mut VecDeque<Publication>, max_count: usize) -> Vec<Publication> {
    let mut bytes = 0;
    let fits = messages.iter().take(max_count).take_while(|message| {
        let fits = bytes < MAX_TAKEN_BYTES;
        bytes += message.size();
        fits
    });
    let count = fits.count();
    messages.drain(..count).collect()
}

#[cfg(test)]
mod tests;
