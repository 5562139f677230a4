//! Who has sent the messages that are on their way.

use std::collections::HashMap;
use std::mem;

use townhall::{ClientId, CloseCode, Hub};

use super::entry::{Origin, Process};
use super::link::job::Published;

/// Who has sent the messages that were not delivered, by the numbers of these.
#[derive(Debug, Default)]
pub struct Senders {
    /// Whether senders do not receive their own messages.
    no_reflect: bool,
    /// Those of messages that were not answered.
    open: HashMap<u64, ClientId>,
    /// Those of messages that are on their way back, and those that may have been lost there.
    new: HashMap<u64, ClientId>,
    old: HashMap<u64, ClientId>,
}

impl Senders {
    /// Without `no_reflect`, senders receive their own messages.
    pub fn new(no_reflect: bool) -> Self {
        Self { no_reflect, ..Self::default() }
    }

    /// Notes who has sent a message.
    pub fn add(&mut self, number: u64, client: ClientId) {
        self.open.insert(number, client);
    }

    /// Forgets the messages that were answered before the last call, and have not come back.
    pub fn forget_lost(&mut self) {
        self.old = mem::take(&mut self.new);
    }

    /// The member that has sent a message, if it must not receive it.
    pub fn sender_of(&mut self, origin: Option<Origin>, process: Process) -> Option<ClientId> {
        let own = origin.filter(|origin| self.no_reflect && origin.process == process)?;
        self.take(own.number)
    }

    /// Whether a member has sent a message that was not answered, nor has come back.
    pub fn has(&self, number: u64) -> bool {
        self.open.contains_key(&number)
    }

    fn take(&mut self, number: u64) -> Option<ClientId> {
        let Self { open, new, old, .. } = self;
        [open, new, old].into_iter().find_map(|senders| senders.remove(&number))
    }

    /// Notes that a message of a member was published or refused.
    pub fn settle(&mut self, hub: &mut Hub, number: u64, published: &Published) {
        let Some(client) = self.open.remove(&number) else { return };
        if published.is_err() {
            hub.close(client, CloseCode::INTERNAL_ERROR, "the message was not published");
        } else if self.no_reflect {
            // It is on its way back, and must not reach its sender.
            self.new.insert(number, client);
        }
    }
}
