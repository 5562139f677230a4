//! The script with which anybody may publish, as README.md shows it.

use crate::redis::Redis;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cluster/script/publish.lua");

/// Publishes a message in a room, with redis-cli.
pub fn publish(redis: &Redis, room: &str, kind: &str, message: &str) {
    let stream = format!("townhall:{{{room}}}");
    let meta = format!("{stream}:meta");
    redis.cli(&["--eval", SCRIPT, &stream, &meta, ",", kind, message]);
}
