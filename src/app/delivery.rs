//! Who receives the messages of members.

use townhall::{ClientId, Hub, Message};

use crate::flags::{Flags, Mode};

/// What the flags say about the delivery of messages.
#[derive(Debug, Clone, Copy)]
pub struct Delivery {
    mode: Mode,
    /// Whether a sender does not receive its own messages.
    no_reflect: bool,
    /// The maximum length of a message, in characters or bytes.
    truncate: Option<usize>,
}

impl Delivery {
    pub fn new(flags: &Flags) -> Self {
        Self { mode: flags.mode, no_reflect: flags.no_reflect, truncate: flags.truncate }
    }

    /// The part of a message that is delivered.
    pub fn truncate<'m>(&self, message: Message<'m>) -> Message<'m> {
        self.truncate.map_or(message, |length| message.truncate(length))
    }

    /// Sends a message to the clients that the flags choose.
    pub fn deliver(&self, hub: &mut Hub, client: ClientId, message: Message<'_>) {
        match self.mode {
            Mode::Echo => hub.send(client, message),
            Mode::Broadcast if self.no_reflect => hub.publish_to_others(client, message),
            Mode::Broadcast => hub.publish(client, message),
        }
    }
}
