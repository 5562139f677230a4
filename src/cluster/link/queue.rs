//! What waits for Redis, in a bounded queue.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::job::{Job, Publication};

/// The number of jobs, and of bytes of messages, that are taken at once.
pub const MAX_TAKEN: usize = 2_000;
pub const MAX_TAKEN_BYTES: usize = 1 << 20;

/// The queue of all threads that use Redis.
#[derive(Debug)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    publications: VecDeque<Publication>,
    jobs: VecDeque<Job>,
    /// The number and the size of the messages that were not answered, with those that were taken.
    count: usize,
    bytes: usize,
    /// The number of the last message.
    number: u64,
    ending: Option<Instant>,
}

/// What was taken from the queue.
#[derive(Debug, Default)]
pub struct Taken {
    pub publications: Vec<Publication>,
    pub jobs: Vec<Job>,
    /// When the threads have to end, if they have to.
    pub ending: Option<Instant>,
}

/// The queue is full.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl Queue {
    /// A queue of messages that take up to `max_bytes` together.
    pub fn new(max_bytes: usize) -> Self {
        Self { waiting: Mutex::default(), changed: Condvar::new(), max_bytes }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it is locked.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues the message that `make` makes from its number, and returns the number.
    ///
    /// # Errors
    /// The queue is full.
    pub fn publish(&self, make: impl FnOnce(u64) -> Publication) -> Result<u64, Full> {
        let mut waiting = self.waiting();
        if waiting.bytes >= self.max_bytes {
            return Err(Full);
        }
        waiting.number += 1;
        let publication = make(waiting.number);
        waiting.count += 1;
        waiting.bytes += publication.size();
        waiting.publications.push_back(publication);
        self.changed.notify_one();
        Ok(waiting.number)
    }

    /// Queues something else. It is bounded by the number of rooms.
    pub fn put(&self, job: Job) {
        self.waiting().jobs.push_back(job);
        self.changed.notify_one();
    }

    /// Takes what is there, or waits for it as long as `patience`.
    pub fn take(&self, patience: Duration) -> Taken {
        let idle = |waiting: &mut Waiting| {
            waiting.publications.is_empty() && waiting.jobs.is_empty() && waiting.ending.is_none()
        };
        let waited = self.changed.wait_timeout_while(self.waiting(), patience, idle);
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let mut taken = Taken { ending: waiting.ending, ..Taken::default() };
        let mut bytes = 0;
        while taken.publications.len() < MAX_TAKEN
            && bytes < MAX_TAKEN_BYTES
            && let Some(publication) = waiting.publications.pop_front()
        {
            bytes += publication.size();
            taken.publications.push(publication);
        }
        let count = waiting.jobs.len().min(MAX_TAKEN);
        taken.jobs.extend(waiting.jobs.drain(..count));
        taken
    }

    /// Notes that messages were answered.
    pub fn release(&self, count: usize, bytes: usize) {
        let mut waiting = self.waiting();
        waiting.count -= count;
        waiting.bytes -= bytes;
    }

    /// The number of messages that were not answered, and their size in bytes.
    pub fn load(&self) -> (usize, usize) {
        let waiting = self.waiting();
        (waiting.count, waiting.bytes)
    }

    /// Ends the threads once the queue is empty, or at this time.
    pub fn end(&self, at: Instant) {
        self.waiting().ending = Some(at);
        self.changed.notify_all();
    }

    pub fn is_ending(&self) -> bool {
        self.waiting().ending.is_some()
    }
}

#[cfg(test)]
mod tests;
