//! The protocol of Socket.IO 4 above WebSocket (Engine.IO 4, without polling).

use std::io::Write;

use crate::Failure;
use crate::connect::{self, Opened};
use crate::flags::Target;
use crate::frame;
use crate::speech::Envelope;

/// An event `m`, in both directions: an Engine.IO message (4), a Socket.IO event (2), and its arguments.
pub const EVENT: Envelope = Envelope { before: "42[\"m\",\"", after: "\"]" };

/// Connects to the namespace `/`, and waits for the answer. The server puts the socket into the room that
/// its query names.
pub fn open(target: &Target, room: &str) -> Result<Opened, Failure> {
    let path = format!("/socket.io/?EIO=4&transport=websocket&room={room}");
    let mut opened = connect::open(target, &path, None)?;
    opened.expect("0{")?;
    opened.stream.write_all(&frame::from_client(target.mask, frame::TEXT, b"40"))?;
    opened.expect("40{")?;
    Ok(opened)
}
