//! The scripts that Redis runs, and their answers.

use redis::{Cmd, Connection, RedisResult, Value, cmd, from_redis_value};
use townhall::Position;

use super::job::Publication;
use crate::cluster::entry::{Entry, Malformed, Process, id, position};
use crate::cluster::follower::Snapshot;

const SOURCES: [&str; 4] = [
    include_str!("../script/publish.lua"),
    include_str!("../script/read.lua"),
    include_str!("../script/renew.lua"),
    include_str!("../script/beat.lua"),
];

/// How much is kept in Redis of each room.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    pub messages: usize,
    pub milliseconds: u128,
    /// How many bytes of messages there may be, not counting the newest message.
    pub max_bytes: usize,
    /// How many bytes of messages are read at once.
    pub bytes: usize,
}

/// The hashes by which the scripts are called.
#[derive(Debug, Clone)]
pub struct Scripts([String; 4]);

impl Scripts {
    /// Loads the scripts into a server.
    ///
    /// # Errors
    /// The server does not answer, or does not let this user load scripts.
    pub fn load(connection: &mut Connection) -> RedisResult<Self> {
        let mut hashes = [const { String::new() }; 4];
        for (hash, source) in hashes.iter_mut().zip(SOURCES) {
            *hash = cmd("SCRIPT").arg("LOAD").arg(source).query(connection)?;
        }
        Ok(Self(hashes))
    }

    fn call(&self, script: usize, keys: [&str; 2]) -> Cmd {
        let mut call = cmd("EVALSHA");
        call.arg(&self.0[script]).arg(keys.len()).arg(&keys);
        call
    }

    fn call_for(&self, script: usize, channel: &str) -> Cmd {
        self.call(script, [channel, &format!("{channel}:meta")])
    }

    /// Shows that a process is there.
    pub fn beat(&self, process: Process, processes: &str, own: &str, age: u32) -> Cmd {
        let mut call = self.call(3, [processes, own]);
        call.arg(process.to_string()).arg(age);
        call
    }

    /// Publishes messages of one room.
    pub fn publish(&self, process: Process, keep: Keep, messages: &[Publication]) -> Cmd {
        let Some((first, rest)) = messages.split_first() else { return Cmd::new() };
        let mut call = self.call_for(0, &first.channel);
        call.arg(first.kind.name()).arg(&*first.payload);
        call.arg(process.to_string()).arg(first.number);
        call.arg(keep.messages).arg(keep.milliseconds.to_string()).arg(keep.max_bytes);
        for message in rest {
            call.arg(message.kind.name()).arg(&*message.payload).arg(message.number);
        }
        call
    }

    /// Reads the stream of a room.
    pub fn read(&self, keep: Keep, channel: &str, from: Option<Position>, count: usize) -> Cmd {
        let mut call = self.call_for(1, channel);
        let from = from.map(id).unwrap_or_default();
        call.arg(keep.milliseconds.to_string()).arg(from).arg(count).arg(keep.bytes);
        call
    }

    /// Begins a new epoch of a room, above `floor`, in the place of `lost`.
    /// What was added after a time is carried over.
    pub fn renew(
        &self,
        keep: Keep,
        channel: &str,
        (lost, floor): (u64, u64),
        after: Option<u64>,
    ) -> Cmd {
        let mut call = self.call_for(2, channel);
        let after = after.map(|at| at.to_string()).unwrap_or_default();
        call.arg(lost).arg(floor).arg(keep.milliseconds.to_string()).arg(after);
        call
    }
}

/// The place of the first message that was published.
pub fn published(answer: Value) -> Result<Position, Malformed> {
    let (epoch, sequence): (u64, u64) = from_redis_value(answer).map_err(|_| Malformed)?;
    Ok(Position::new(epoch, sequence))
}

/// The part of a stream that was read.
pub fn snapshot(answer: Value) -> Result<Snapshot, Malformed> {
    type Entries = Vec<(Vec<u8>, Vec<Vec<u8>>)>;
    let parsed: Result<(u64, u64, u64, Entries), _> = from_redis_value(answer);
    let (epoch, sequence, now, entries) = parsed.map_err(|_| Malformed)?;
    // Those that something else has added leave holes, as entries that are not there any more.
    let entries = entries.into_iter().filter_map(|(id, fields)| {
        let (entry, at) = Entry::from_fields(fields).ok()?;
        Some((position(&id).ok()?, entry, at))
    });
    let entries = entries.collect();
    Ok(Snapshot { end: Position::new(epoch, sequence), now, entries })
}
