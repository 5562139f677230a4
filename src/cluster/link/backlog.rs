//! What was taken from the queue and is not done, in the order in which it goes out.

use std::collections::{HashMap, HashSet, VecDeque};
use std::mem;
use std::sync::Arc;

use super::job::{Job, Publication};
use super::queue::{MAX_TAKEN, MAX_TAKEN_BYTES, Taken};
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
    /// Whether all that waits may not go out.
    is_held: bool,
}

impl Backlog {
    /// A backlog for rooms whose streams keep this number of messages. No more than half of them go out
    /// together, so that a process that has missed them can read them.
    pub fn new(keep: usize) -> Self {
        Self {
            max_together: (keep / 2).clamp(1, MAX_TAKEN),
            pending: Vec::new(),
            waiting: HashMap::new(),
            is_held: false,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.waiting.is_empty()
    }

    /// Whether there is nothing to do but to wait until messages may go out.
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
    /// that are pending. There are not more of one room than Redis can handle while others wait. New ones of
    /// a room go out if `may_publish` allows it.
    pub fn accept(&mut self, taken: Taken, may_publish: impl Fn(&Arc<str>) -> bool) -> Vec<Work> {
        for publication in taken.publications {
            let room = self.waiting.entry(publication.channel.clone()).or_default();
            room.push_back(publication);
        }
        let unfollowed: HashSet<_> = taken.jobs.iter().filter_map(Job::unfollowed).collect();
        let mut works = mem::take(&mut self.pending);
        if !unfollowed.is_empty() {
            // Nobody waits for that any more.
            works.retain(|work| work.read().is_none_or(|room| !unfollowed.contains(room)));
        }
        let pending = works.len();
        let busy: HashSet<Arc<str>> = works.iter().filter_map(Work::room).cloned().collect();
        let max_together = self.max_together;
        self.waiting.retain(|channel, messages| {
            if !busy.contains(channel) && may_publish(channel) {
                works.push(Task::Publish(first(messages, max_together)).into());
            }
            !messages.is_empty()
        });
        self.is_held = works.len() == pending && !self.waiting.is_empty();
        works.extend(taken.jobs.into_iter().map(|job| Task::Job(job).into()));
        works
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
