//! The names of channels and streams.

use std::sync::Arc;

/// The first and the last part of the name of a room's channel.
const PREFIX: &str = "townhall:{";
const SUFFIX: &str = "}";

/// The channel and the stream of a room.
pub fn channel(room: &str) -> Arc<str> {
    format!("{PREFIX}{room}{SUFFIX}").into()
}

/// Whether a channel is that of a room.
pub fn is_room(channel: &str) -> bool {
    let room = channel.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    room.is_some_and(|room| room.starts_with('/'))
}
