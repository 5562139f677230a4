//! What the threads that talk to Redis share.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use townhall::Handle;

use super::job::Refused;
use super::mailbox::Mailbox;
use super::queue::Queue;
use super::script::Keep;
use super::status::Status;
use super::warnings::Warnings;
use crate::cluster::entry::{Malformed, Process};

/// How many bytes of messages may wait for Redis.
const MAX_QUEUE_BYTES: usize = 64 << 20;

/// What the threads share.
#[derive(Debug)]
pub struct Shared {
    pub process: Process,
    pub keep: Keep,
    pub queue: Queue,
    pub mailbox: Mailbox,
    pub status: Status,
    pub warnings: Warnings,
    /// The channels that have moved to another server since the thread that follows them last looked, if any
    /// has. Not all are known.
    moved: Mutex<Option<Vec<Arc<str>>>>,
}

impl Shared {
    pub fn new(keep: Keep, handle: Handle) -> Self {
        Self {
            process: Process(RandomState::new().hash_one(Instant::now())),
            keep,
            queue: Queue::new(MAX_QUEUE_BYTES),
            mailbox: Mailbox::new(handle),
            status: Status::new(),
            warnings: Warnings::new(),
            moved: Mutex::default(),
        }
    }

    /// How full the queue is, from 0 to 1.
    pub fn load(&self) -> f64 {
        self.queue.load().1 as f64 / MAX_QUEUE_BYTES as f64
    }

    /// The channel by which the threads wake one another.
    pub fn wake_channel(&self) -> String {
        format!("townhall:wake:{}", self.process)
    }

    /// Notes that a channel has moved to another server, and which, if that is known.
    pub fn note_move(&self, channel: Option<Arc<str>>) {
        self.moved().get_or_insert_default().extend(channel);
    }

    /// The channels that have moved since the last call, if any has.
    pub fn take_moves(&self) -> Option<Vec<Arc<str>>> {
        self.moved().take()
    }

    fn moved(&self) -> MutexGuard<'_, Option<Vec<Arc<str>>>> {
        // Nothing panics while it is locked.
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn log_stranger(&self, channel: &str, error: Malformed) {
        self.warnings.log(format_args!("Redis: a message on {channel:?} is ignored: {error}"));
    }

    pub fn log_refused(&self, refused: &Refused) {
        self.warnings.log(format_args!("Redis: messages are not published: {refused}"));
    }
}
