//! Commands in the queue.

use std::fmt;

use crate::protocol::{CloseCode, Message, Response};
use crate::server::client_id::ClientId;
use crate::server::event::Deferred;
use crate::server::hub::Hub;

#[derive(Debug)]
pub(super) struct Command {
    /// The bytes that count towards the queue's limit.
    pub(super) size: usize,
    pub(super) action: Action,
}

#[derive(Debug)]
pub(super) enum Action {
    Broadcast(Box<str>, OwnedMessage),
    Send(ClientId, OwnedMessage),
    Close(ClientId, CloseCode, Box<str>),
    Answer(Deferred, Response),
    Run(Closure),
    Stop,
}

pub(super) struct Closure(pub(super) Box<dyn FnOnce(&mut Hub) + Send>);

impl fmt::Debug for Closure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closure")
    }
}

#[derive(Debug)]
pub(super) enum OwnedMessage {
    Text(Box<str>),
    Binary(Box<[u8]>),
}

impl OwnedMessage {
    pub(super) fn as_message(&self) -> Message<'_> {
        match self {
            Self::Text(text) => Message::Text(text),
            Self::Binary(bytes) => Message::Binary(bytes),
        }
    }
}

impl From<Message<'_>> for OwnedMessage {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::Text(text.into()),
            Message::Binary(bytes) => Self::Binary(bytes.into()),
        }
    }
}
