//! A connection, as both ends and the wire between them know it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::server::system;

use super::pings::Pings;
use super::proxies::Proxied;
use super::tap::{Tap, Written};

/// What is known of a connection. Numbers of bytes are counted from its beginning.
pub(super) struct Link {
    pub(super) tap: Tap,
    /// What the server has written and the peer has not received.
    pub(super) inbox: VecDeque<Written>,
    /// Where the request and the frames of the peer end, as far as the server has not read them.
    pub(super) ends: VecDeque<u64>,
    /// How much the peer has to send, and how much of that the server has read.
    pub(super) queued: u64,
    pub(super) sent: u64,
    pub(super) sent_at: Duration,
    /// When the peer sent the first byte that the server has not read, or an earlier one.
    pub(super) unread_since: Option<Duration>,
    pub(super) read: u64,
    /// Where the peer's close frame ends, and what its code is.
    pub(super) close: Option<(u64, u16)>,
    /// Where its first ping ends, and whether that was answered.
    pub(super) ping: Option<u64>,
    pub(super) has_pong: bool,
    /// Where the peer begins to break the protocol.
    pub(super) violation: Option<u64>,
    /// Whether a PROXY header comes first, and which.
    pub(super) proxied: Option<Proxied>,
    /// How many units may still be written before the answer to the peer's close frame.
    pub(super) units_before_close: Option<usize>,
    /// Where the last frame ends that the server has read.
    pub(super) last_end: u64,
    pub(super) is_accepted: bool,
    /// Whether the peer has ended its side, or the connection.
    pub(super) has_ended: bool,
    /// When it connected.
    pub(super) connected: Duration,
    /// When it told the server so.
    pub(super) ended_at: Option<Duration>,
    /// Whether the peer does nothing any more.
    pub(super) has_vanished: bool,
    /// Whether the peer sends requests with bodies.
    pub(super) posts: bool,
    /// The status of the response.
    pub(super) status: Option<u16>,
    /// Whether the whole request has been read.
    pub(super) has_asked: bool,
    pub(super) times: Times,
    pub(super) pings: Pings,
}

/// When something happened last.
#[derive(Debug, Default)]
pub(super) struct Times {
    pub(super) accepted: Duration,
    /// When the server answered the request for an upgrade.
    pub(super) opened: Option<Duration>,
    /// Any byte was read.
    pub(super) read: Duration,
    /// The turn in which a whole frame was read, or the socket became writable.
    pub(super) active: Duration,
    /// The socket became full, and has not become writable since.
    pub(super) blocked: Option<Duration>,
    /// The turn in which it became writable.
    pub(super) unblocked: Option<Duration>,
    /// The latest time for which the server may take that.
    pub(super) active_by: Duration,
    /// The last ping since a whole frame was read.
    pub(super) pinged: Option<Duration>,
    /// The server's last frame or response.
    pub(super) finished: Option<Duration>,
    /// The turn in which that was written.
    pub(super) finished_in: Duration,
    /// The server's end of TCP.
    pub(super) ended: Option<Duration>,
    pub(super) closed: Option<Duration>,
}

impl Link {
    pub(super) fn new(posts: bool) -> Self {
        Self {
            tap: Tap::new(),
            inbox: VecDeque::new(),
            ends: VecDeque::new(),
            queued: 0,
            sent: 0,
            sent_at: Duration::ZERO,
            unread_since: None,
            read: 0,
            last_end: 0,
            is_accepted: false,
            close: None,
            ping: None,
            has_pong: false,
            violation: None,
            proxied: None,
            units_before_close: None,
            has_ended: false,
            connected: system::with(|kernel| kernel.elapsed()),
            ended_at: None,
            has_vanished: false,
            posts,
            status: None,
            has_asked: false,
            times: Times::default(),
            pings: Pings::default(),
        }
    }

    /// Notes that the peer has ended its side, or the connection.
    pub(super) fn note_end(&mut self) {
        self.has_ended = true;
        self.ended_at.get_or_insert(system::with(|kernel| kernel.elapsed()));
    }

    /// Whether the server may write to the peer.
    pub(super) fn may_be_answered(&self) -> bool {
        self.proxied.as_ref().is_none_or(|proxied| proxied.may_be_answered(self.read))
    }

    /// Whether the server may read what the peer sends.
    pub(super) fn is_trusted(&self) -> bool {
        self.proxied.as_ref().is_none_or(|proxied| proxied.is_trusted)
    }

    /// Whether the server has no business with the peer.
    pub(super) fn is_refused(&self) -> bool {
        self.proxied.as_ref().is_some_and(|proxied| proxied.is_refused(self.read))
    }

    /// Whether the server has the socket.
    pub(super) fn is_open_at_server(&self) -> bool {
        self.is_accepted && self.times.closed.is_none()
    }

    /// Whether the server cannot write, and the peer does nothing.
    pub(super) fn is_stuck(&self) -> bool {
        self.has_vanished && self.is_open_at_server() && self.times.blocked.is_some()
    }

    /// Whether the server has read a part of a frame.
    pub(super) fn is_within_frame(&self) -> bool {
        !self.last_end_is_read()
    }

    /// Whether the server has read whole frames only.
    fn last_end_is_read(&self) -> bool {
        self.read == self.last_end
    }

    /// Whether the server has read the peer's close frame.
    pub(super) fn has_read_close(&self) -> bool {
        self.close.is_some_and(|(end, _)| end <= self.read)
    }

    /// Whether the server has read something that breaks the protocol.
    pub(super) fn has_read_violation(&self) -> bool {
        self.violation.is_some_and(|begin| begin < self.read)
    }
}
