//! Messages and control frames from the peer.

use std::borrow::Cow;

use super::outgoing::Message;
use crate::protocol::frame::CloseFrame;

/// A complete message or control frame from the peer. The [module](crate::protocol) shows how to answer
/// each.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Incoming<'a> {
    /// A text or binary message (RFC 6455, section 5.6).
    Message(IncomingMessage<'a>),
    /// A ping, to be answered with a pong of the same payload (RFC 6455, section 5.5.2).
    Ping(Cow<'a, [u8]>),
    /// A pong (RFC 6455, section 5.5.3).
    Pong(Cow<'a, [u8]>),
    /// A close frame, and its contents unless it is empty (RFC 6455, section 5.5.1).
    Close(Option<CloseFrame>),
}

impl Incoming<'_> {
    /// The message, if this is one.
    #[inline]
    pub fn message(&self) -> Option<Message<'_>> {
        match self {
            Self::Message(message) => Some(message.as_message()),
            _ => None,
        }
    }

    /// The same, independent of the input, so that it can be kept.
    pub fn into_owned(self) -> Incoming<'static> {
        let owned = |payload: Cow<'_, [u8]>| Cow::Owned(payload.into_owned());
        match self {
            Self::Message(message) => Incoming::Message(message.into_owned()),
            Self::Ping(payload) => Incoming::Ping(owned(payload)),
            Self::Pong(payload) => Incoming::Pong(owned(payload)),
            Self::Close(frame) => Incoming::Close(frame),
        }
    }
}

/// A complete message from the peer. It borrows its payload from the input if that was in one piece, and
/// owns a payload that was assembled or inflated.
///
/// ```
/// use townhall::protocol::{Incoming, Message};
///
/// fn describe(incoming: &Incoming<'_>) -> String {
///     let Incoming::Message(message) = incoming else { return "a control frame".to_owned() };
///     let how = if message.was_compressed() { "compressed" } else { "plain" };
///     match message.as_message() {
///         Message::Text(text) => format!("{how} text: {text}"),
///         Message::Binary(bytes) => format!("{} {how} bytes", bytes.len()),
///     }
/// }
/// # let _ = describe;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingMessage<'a> {
    payload: Payload<'a>,
    was_compressed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Payload<'a> {
    Text(Cow<'a, str>),
    Binary(Cow<'a, [u8]>),
}

impl<'a> IncomingMessage<'a> {
    /// A text that arrived uncompressed.
    #[inline]
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self { payload: Payload::Text(text.into()), was_compressed: false }
    }

    /// Bytes that arrived uncompressed.
    #[inline]
    pub(super) fn binary(bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { payload: Payload::Binary(bytes.into()), was_compressed: false }
    }

    /// The same message, marked as compressed.
    pub(super) fn inflated(self) -> Self {
        Self { was_compressed: true, ..self }
    }

    /// The message, borrowed, in the form in which it can be sent.
    #[inline]
    pub fn as_message(&self) -> Message<'_> {
        match &self.payload {
            Payload::Text(text) => Message::Text(text),
            Payload::Binary(bytes) => Message::Binary(bytes),
        }
    }

    fn into_owned(self) -> IncomingMessage<'static> {
        let payload = match self.payload {
            Payload::Text(text) => Payload::Text(Cow::Owned(text.into_owned())),
            Payload::Binary(bytes) => Payload::Binary(Cow::Owned(bytes.into_owned())),
        };
        IncomingMessage { payload, was_compressed: self.was_compressed }
    }

    /// Whether the message arrived compressed (RFC 7692, section 6).
    pub fn was_compressed(&self) -> bool {
        self.was_compressed
    }

    /// The buffer in which the message was assembled, if it was. Messages are inflated into buffers of
    /// their exact size, which are not worth keeping.
    pub(super) fn into_assembly_buffer(self) -> Option<Vec<u8>> {
        if self.was_compressed {
            return None;
        }
        match self.payload {
            Payload::Text(Cow::Owned(text)) => Some(text.into_bytes()),
            Payload::Binary(Cow::Owned(bytes)) => Some(bytes),
            _ => None,
        }
    }
}

impl<'m> From<&'m IncomingMessage<'_>> for Message<'m> {
    #[inline]
    fn from(message: &'m IncomingMessage<'_>) -> Self {
        message.as_message()
    }
}

impl<'a> From<IncomingMessage<'a>> for Incoming<'a> {
    #[inline]
    fn from(message: IncomingMessage<'a>) -> Self {
        Self::Message(message)
    }
}
