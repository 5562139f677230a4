//! What a receiver makes of a stream of frames, in terms that all receivers share.

use std::fmt;

use townhall::protocol::Violation;

use crate::frames::mirrored;

/// The size in bytes of the longest message that each receiver accepts. Just above it, lengths of 64 bits
/// begin.
pub const MAX_MESSAGE_BYTES: usize = 66_000;

/// Whose side of a connection a receiver plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Server,
    Client,
}

/// Whose side it is, and how the connection was negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    pub role: Role,
    /// The terms of permessage-deflate, if it is on.
    pub deflate: Option<Terms>,
}

/// What the sender may do when it compresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The size of its window, 8 to 15.
    pub window_bits: u8,
    /// Whether it may refer to earlier messages.
    pub context_takeover: bool,
}

/// What a receiver is asked: what it makes of these bytes, which follow the handshake.
#[derive(Debug, Clone)]
pub struct Question {
    pub setting: Setting,
    pub bytes: Vec<u8>,
}

impl Question {
    /// The same question to the client's side, if this is one to the server's: its frames have no masks.
    pub fn to_client(&self) -> Self {
        let setting = Setting { role: Role::Client, ..self.setting };
        Self { setting, bytes: mirrored(&self.bytes) }
    }
}

/// What a receiver hands to its application, without close frames.
#[derive(Clone, PartialEq, Eq)]
pub enum Event {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, payload) = match self {
            Self::Text(text) => ("Text", text.as_bytes()),
            Self::Binary(bytes) => ("Binary", &bytes[..]),
            Self::Ping(payload) => ("Ping", &payload[..]),
            Self::Pong(payload) => ("Pong", &payload[..]),
        };
        // Not to be shown in full.
        let shown = payload[..payload.len().min(20)].escape_ascii();
        write!(f, "{name}({} bytes: \"{shown}\")", payload.len())
    }
}

/// How a receiver stands at the end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum End {
    /// It waits for more.
    #[default]
    Open,
    /// It has accepted a close frame, and echoes this code, if there is one.
    Closed(Option<u16>),
    /// It has failed the connection with this code.
    Failed(u16),
}

/// What a receiver makes of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    pub received: Vec<Event>,
    pub end: End,
}

/// What townhall makes of a stream.
#[derive(Debug, Clone)]
pub struct OurAnswer {
    pub answer: Answer,
    /// Why it failed the connection.
    pub violation: Option<Violation>,
}

/// What another receiver makes of a stream.
#[derive(Debug, Clone)]
pub struct TheirAnswer {
    pub answer: Answer,
    /// Why it failed the connection, in its own words; empty if it did not.
    pub reason: String,
}

/// Another receiver.
pub trait Receiver {
    /// The name that the table of disagreements has for it.
    fn library(&self) -> Library;

    fn receive(&mut self, question: &Question) -> TheirAnswer;
}

/// The library of another receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    Tungstenite,
    Websockets,
}
