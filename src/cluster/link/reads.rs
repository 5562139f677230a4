//! The streams that are to be read, which may be very many: all rooms, after an interruption.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::job::Job;

/// The number of streams that are read at once. Each may take as much as a history.
pub const MAX_AT_ONCE: usize = 16;

/// The last question for each room. Nobody waits for the answers to earlier ones.
#[derive(Debug, Default)]
pub struct Reads {
    jobs: HashMap<Arc<str>, Job>,
    /// The rooms, in the order in which they came. Some may not be there any more.
    order: VecDeque<Arc<str>>,
}

impl Reads {
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub fn add(&mut self, channel: Arc<str>, job: Job) {
        if self.jobs.insert(channel.clone(), job).is_none() {
            self.order.push_back(channel);
        }
    }

    pub fn remove(&mut self, channel: &Arc<str>) {
        if self.jobs.remove(channel).is_some() {
            self.trim();
        }
    }

    pub fn take(&mut self) -> Option<Job> {
        while let Some(channel) = self.order.pop_front() {
            if let Some(job) = self.jobs.remove(&channel) {
                return Some(job);
            }
        }
        None
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Forgets the places of rooms that are not there any more, if there are many.
    fn trim(&mut self) {
        if self.order.len() > 2 * self.jobs.len() + MAX_AT_ONCE {
            let Self { jobs, order } = self;
            order.retain(|channel| jobs.contains_key(channel));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(room: &str, ticket: u64) -> (Arc<str>, Job) {
        let channel: Arc<str> = room.into();
        (channel.clone(), Job::Read { channel, ticket, from: None, max_count: 1 })
    }

    fn tickets(reads: &mut Reads) -> Vec<u64> {
        let ticket = |job| match job {
            Job::Read { ticket, .. } => ticket,
            job => panic!("{job:?}"),
        };
        std::iter::from_fn(|| reads.take()).map(ticket).collect()
    }

    #[test]
    fn the_last_question_for_a_room_takes_the_place_of_the_first_one() {
        let mut reads = Reads::default();
        for (room, ticket) in [("a", 1), ("b", 2), ("a", 3)] {
            let (channel, job) = read(room, ticket);
            reads.add(channel, job);
        }
        assert_eq!(tickets(&mut reads), [3, 2]);
    }

    #[test]
    fn rooms_that_come_and_go_leave_nothing() {
        let mut reads = Reads::default();
        for number in 0..1_000 {
            let (channel, job) = read(&number.to_string(), number);
            reads.add(channel.clone(), job);
            if number != 500 {
                reads.remove(&channel);
            }
        }
        assert!(reads.order.len() <= 2 + MAX_AT_ONCE, "{}", reads.order.len());
        assert_eq!(tickets(&mut reads), [500]);
    }
}
