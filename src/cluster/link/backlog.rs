//! What was taken from the queue and is not done, in the order in which it goes out.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::Arc;

use super::job::Publication;
use super::queue::{MAX_TAKEN, MAX_TAKEN_BYTES, Taken};
use super::work::{Task, Work};

/// What has to be done yet.
#[derive(Debug, Default)]
pub struct Backlog {
    /// What was not answered, before what was not sent.
    pending: Vec<Work>,
    /// Messages of rooms of which as many as possible are pending.
    waiting: Vec<Publication>,
}

/// Messages of one room that go out together.
#[derive(Debug)]
struct Group {
    place: usize,
    count: usize,
    bytes: usize,
}

impl Group {
    fn is_full(&self) -> bool {
        self.count >= MAX_TAKEN || self.bytes >= MAX_TAKEN_BYTES
    }
}

impl Backlog {
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.waiting.is_empty()
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
    /// that are pending. There are not more of one room than Redis can handle while others wait.
    pub fn accept(&mut self, taken: Taken) -> Vec<Work> {
        let mut works = mem::take(&mut self.pending);
        let busy: HashSet<Arc<str>> = works.iter().filter_map(Work::room).cloned().collect();
        let mut groups: HashMap<Arc<str>, Group> = HashMap::new();
        let publications = mem::take(&mut self.waiting).into_iter().chain(taken.publications);
        for publication in publications {
            if busy.contains(&publication.channel) {
                self.waiting.push(publication);
                continue;
            }
            let group = groups.entry(publication.channel.clone()).or_insert_with(|| {
                works.push(Task::Publish(Vec::new()).into());
                Group { place: works.len() - 1, count: 0, bytes: 0 }
            });
            if group.is_full() {
                self.waiting.push(publication);
                continue;
            }
            group.count += 1;
            group.bytes += publication.size();
            works[group.place].add(publication);
        }
        works.extend(taken.jobs.into_iter().map(|job| Task::Job(job).into()));
        works
    }
}

#[cfg(test)]
mod tests;
