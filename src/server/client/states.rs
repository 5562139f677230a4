//! The states of a client: what the application knows of it, whether it is read, and how far its output
//! has come.

/// What the application knows of a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Presence {
    /// The handshake is not over.
    #[default]
    Connecting,
    /// The application knows that the client is there.
    Open,
    /// The application knows, or is about to learn, that the client has left. Its connection still
    /// counts as open.
    Departed,
    /// Like [`Departed`](Self::Departed), but the connection does not count: at most the end of TCP is
    /// left of it, or it has never opened.
    Gone,
}

impl Presence {
    /// Whether the connection counts as open.
    pub(crate) fn counts_as_open(self) -> bool {
        matches!(self, Self::Open | Self::Departed)
    }

    /// Whether the application may still do something with the client.
    pub(crate) fn is_there(self) -> bool {
        matches!(self, Self::Connecting | Self::Open)
    }
}

/// Whether a client is to be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Reading {
    /// There is nothing to read as far as the server knows.
    #[default]
    Idle,
    /// The client is in the queue of those that have something to read.
    Queued,
    /// The client is not read until it is resumed, whatever it sends.
    Paused,
}

/// How far the output to a client has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Output {
    /// More may be queued.
    #[default]
    Open,
    /// The last bytes are queued; nothing that follows is for this client.
    Finishing,
    /// The last bytes are written, and the time for the peer's answer has begun.
    Written,
    /// Our side of the TCP connection has ended.
    Ended,
}
