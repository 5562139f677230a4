//! What arrives on an open connection.

use std::borrow::Cow;

use super::outgoing::Message;
use crate::protocol::frame::CloseFrame;

/// A message or control frame that arrived whole. A payload that lay in one piece in the input is
/// borrowed from there; one that had to be put together is owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A text message.
    Text(Cow<'a, str>),
    /// A binary message.
    Binary(Cow<'a, [u8]>),
    /// A ping, to be answered with a pong of the same payload (RFC 6455, section 5.5.2).
    Ping(Cow<'a, [u8]>),
    /// A pong (RFC 6455, section 5.5.3).
    Pong(Cow<'a, [u8]>),
    /// A close frame, and its contents (RFC 6455, section 5.5.1).
    Close(Option<CloseFrame>),
}

impl Incoming<'_> {
    /// The message, if this is one.
    pub fn message(&self) -> Option<Message<'_>> {
        match self {
            Self::Text(text) => Some(Message::Text(text)),
            Self::Binary(bytes) => Some(Message::Binary(bytes)),
            _ => None,
        }
    }
}
