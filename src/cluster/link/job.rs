//! What Redis is asked to do, and what comes back.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use townhall::Position;

use crate::cluster::entry::{Batch, Kind};
use crate::cluster::follower::Snapshot;

/// A message to be published.
#[derive(Debug)]
pub struct Publication {
    pub channel: Arc<str>,
    /// The number of the message in this process.
    pub number: u64,
    pub kind: Kind,
    pub payload: Box<[u8]>,
    /// Where the answer goes, if not to the event loop.
    pub answer: Option<Sender<Published>>,
}

impl Publication {
    /// The memory that it takes in the queue.
    pub fn size(&self) -> usize {
        self.payload.len() + self.channel.len() + size_of::<Self>()
    }
}

/// What became of a message: its place, or why there is none.
pub type Published = Result<Position, Refused>;

/// Redis has refused a command, and would do so again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub Arc<str>);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Something to be done, in the order of the requests.
#[derive(Debug)]
pub enum Job {
    /// Receive what is sent on a channel.
    Follow(Arc<str>),
    /// Receive nothing more from a channel.
    Unfollow(Arc<str>),
    /// Read the stream of a room. Without an id, its newest entries are read; with a count of 0, none.
    Read { channel: Arc<str>, ticket: u64, from: Option<Position>, max_count: usize },
    /// Begin a new epoch of a room, above `floor`, in the place of `lost`.
    Renew { channel: Arc<str>, lost: u64, floor: u64, after: Option<u64> },
    /// Commands that concern keys of one slot. Their answers have the ticket.
    Commands { key: &'static str, ticket: u64, commands: Vec<redis::Cmd> },
    /// Show that this process is there.
    Beat { ticket: u64, processes: &'static str, own: String, age: u32 },
}

/// What the event loop is told.
#[derive(Debug)]
pub enum Report {
    /// Everything that is sent on the channel from now on arrives.
    Subscribed(Arc<str>),
    /// Messages of a room.
    Batch(Arc<str>, Batch),
    /// Something else that was sent on a channel.
    Notice(Arc<str>, Vec<u8>),
    Read {
        channel: Arc<str>,
        ticket: u64,
        result: Result<Snapshot, Refused>,
    },
    Renewed {
        channel: Arc<str>,
        result: Result<(), Refused>,
    },
    /// Messages of the event loop's were published, or refused.
    Published(Vec<(u64, Published)>),
    Answers {
        ticket: u64,
        answers: Vec<redis::Value>,
    },
}

impl Report {
    /// The memory that it takes.
    pub fn size(&self) -> usize {
        let content = match self {
            Self::Batch(_, batch) => batch.size(),
            Self::Notice(_, payload) => payload.len(),
            Self::Published(published) => size_of_val(published.as_slice()),
            Self::Read { result: Ok(snapshot), .. } => {
                snapshot.entries.iter().map(|(_, entry, _)| entry.payload.len() + 100).sum()
            }
            _ => 0,
        };
        content + size_of::<Self>()
    }
}
