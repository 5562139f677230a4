//! The states of a client: what the application knows of it, whether it is read, and the progress of its
//! output.

use std::net::IpAddr;

/// What the application knows of a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Presence {
    /// The handshake is not complete.
    #[default]
    Connecting,
    /// The application knows that the client is open.
    Open,
    /// The application knows, or is about to learn, that the client has left. Its connection still
    /// counts as open.
    Departed,
    /// Like [`Departed`](Self::Departed), but the connection no longer counts as open: at most the end
    /// of TCP is left, or it never opened.
    Gone,
}

impl Presence {
    /// Whether the connection counts as open.
    pub(crate) fn counts_as_open(self) -> bool {
        matches!(self, Self::Open | Self::Departed)
    }

    /// Whether the application may still use the client.
    pub(crate) fn is_there(self) -> bool {
        matches!(self, Self::Connecting | Self::Open)
    }
}

/// Whether a client is to be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The server knows of nothing to read.
    #[default]
    Idle,
    /// The client is in the queue of clients that have something to read.
    Queued,
    /// The client is not read until it is resumed, whatever it sends.
    Paused,
    /// The client is not read until the application resumes reading.
    Suspended,
}

impl Reading {
    /// Whether the client may have sent something that is not read for now.
    pub(crate) fn is_put_off(self) -> bool {
        matches!(self, Self::Paused | Self::Suspended)
    }
}

/// A client that sends plain requests on a persistent connection.
#[derive(Debug)]
pub(crate) struct Requester {
    /// The peer's address, if it has one.
    pub(crate) peer: Option<IpAddr>,
    /// The room whose path the last request named, if there is one.
    pub(crate) room: Option<usize>,
}

/// The progress of the output to a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Output {
    /// More may be queued.
    #[default]
    Open,
    /// The last bytes are queued; later messages are not for this client.
    Finishing,
    /// The last bytes have been written, and the time for the peer's answer has begun.
    Written,
    /// Our side of the TCP connection has ended.
    Ended,
}
