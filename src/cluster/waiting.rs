//! The clients that wait for a room, and what they say meanwhile.
//!
//! A client cannot see that it waits. What it says is published once it is a member, so that it receives that,
//! and the answers of others.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use townhall::{ClientId, Message};

use super::entry::Kind;
use super::link::Full;

/// How many bytes all of them may say.
const MAX_BYTES: usize = 16 << 20;

/// The clients that wait.
#[derive(Debug, Default)]
pub struct Waiting {
    clients: HashMap<ClientId, Said>,
    bytes: usize,
}

/// What a client has said, and the channel of the room for which it waits.
#[derive(Debug)]
pub struct Said {
    pub channel: Arc<str>,
    messages: Vec<(Kind, Box<[u8]>)>,
}

impl Said {
    pub fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        self.messages.iter().map(|(kind, payload)| kind.message(payload))
    }
}

impl Waiting {
    /// Notes that a client waits.
    pub fn insert(&mut self, client: ClientId, channel: Arc<str>) {
        self.clients.insert(client, Said { channel, messages: Vec::new() });
    }

    /// Notes that a client does not wait any longer.
    pub fn remove(&mut self, client: ClientId) -> Option<Said> {
        let said = self.clients.remove(&client)?;
        self.bytes -= said.messages.iter().map(size).sum::<usize>();
        Some(said)
    }

    /// Keeps what a client says, if it waits. Returns whether it does.
    ///
    /// # Errors
    /// Too much is kept.
    pub fn hold(&mut self, client: ClientId, message: Message<'_>) -> Result<bool, Full> {
        let Some(said) = self.clients.get_mut(&client) else { return Ok(false) };
        if self.bytes >= MAX_BYTES {
            return Err(Full);
        }
        let message = (Kind::of(&message), message.payload().into());
        self.bytes += size(&message);
        said.messages.push(message);
        Ok(true)
    }
}

fn size((kind, payload): &(Kind, Box<[u8]>)) -> usize {
    mem::size_of_val(kind) + mem::size_of_val(payload) + payload.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_is_kept_in_order_while_it_waits() {
        let mut waiting = Waiting::default();
        let client = ClientId::SERVER;
        assert_eq!(waiting.hold(client, Message::Text("too early")), Ok(false));
        waiting.insert(client, "/lobby".into());
        let messages = [Message::Text("a"), Message::Binary(b"\xff"), Message::Text("")];
        for message in messages {
            assert_eq!(waiting.hold(client, message), Ok(true));
        }
        let said = waiting.remove(client).unwrap();
        assert!(said.messages().eq(messages) && *said.channel == *"/lobby");
        assert_eq!(waiting.bytes, 0);
        assert_eq!(waiting.hold(client, Message::Text("too late")), Ok(false));
    }

    #[test]
    fn there_is_a_limit_on_what_is_kept() {
        let mut waiting = Waiting::default();
        waiting.insert(ClientId::SERVER, "/lobby".into());
        let half = vec![b'a'; MAX_BYTES / 2];
        let held = [(); 3].map(|()| waiting.hold(ClientId::SERVER, Message::Binary(&half)));
        assert_eq!(held, [Ok(true), Ok(true), Err(Full)]);
    }
}
