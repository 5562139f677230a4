//! A TCP connection in memory, as the two systems at its ends keep it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;

use mio::{Interest, Token};

use super::random::Random;

/// What became of the server's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It waits to be accepted.
    Waiting,
    Open,
    Closed,
}

/// What a peer reads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Bytes(Vec<u8>),
    Nothing,
    End,
    Reset,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) end: End,
    /// How the poll names the socket, and what it reports, once it is registered.
    pub(super) token: Option<Token>,
    pub(super) interests: Option<Interest>,
    /// Whether it is in the poll's list.
    pub(super) is_listed: bool,
    /// What the server has not read, and how much of it there may be.
    inbound: VecDeque<u8>,
    inbound_capacity: usize,
    /// Where the urgent byte is in it.
    urgent: Option<usize>,
    /// Whether the peer sends nothing more after that.
    peer_ended: bool,
    /// Whether the peer's socket is closed, so that what arrives there is answered with a reset.
    peer_closed: bool,
    /// What the peer has not read, and how much of it there may be.
    outbound: VecDeque<u8>,
    outbound_capacity: usize,
    /// Whether a write found no space, so that an event follows when there is some.
    no_space: bool,
    /// Whether the server sends nothing more after that.
    server_ended: bool,
    /// The error that the server's next call returns, once it has read everything.
    error: Option<ErrorKind>,
    /// Whether a reset was sent or received.
    is_reset: bool,
    /// The number of bytes that the server has written.
    pub(super) written: u64,
}

impl Connection {
    pub(super) fn new(peer: SocketAddr, local: SocketAddr, capacities: (usize, usize)) -> Self {
        Self {
            peer,
            local,
            end: End::Waiting,
            token: None,
            interests: None,
            is_listed: false,
            inbound: VecDeque::new(),
            inbound_capacity: capacities.0,
            urgent: None,
            peer_ended: false,
            peer_closed: false,
            outbound: VecDeque::new(),
            outbound_capacity: capacities.1,
            no_space: false,
            server_ended: false,
            error: None,
            is_reset: false,
            written: 0,
        }
    }

    pub(super) fn is_readable(&self) -> bool {
        self.inbound.len() > usize::from(self.urgent == Some(0)) || self.is_read_closed()
    }

    pub(super) fn is_read_closed(&self) -> bool {
        self.peer_ended || self.is_reset
    }

    pub(super) fn is_reset(&self) -> bool {
        self.is_reset
    }

    pub(super) fn has_urgent(&self) -> bool {
        self.urgent.is_some()
    }

    /// Whether the poll reports it writable. If it does not, an event follows when there is space.
    pub(super) fn is_writable(&mut self) -> bool {
        let has_space = self.has_space();
        self.no_space |= !has_space;
        has_space
    }

    /// Whether a third of the space is free, which is when the system says so.
    fn has_space(&self) -> bool {
        let free = self.outbound_capacity.saturating_sub(self.outbound.len());
        self.is_reset || self.server_ended || 3 * free >= self.outbound_capacity.max(1)
    }

    /// Whether the socket has become writable, which is said once.
    pub(super) fn take_space(&mut self) -> bool {
        let is_new = self.no_space && self.has_space();
        self.no_space &= !is_new;
        is_new
    }

    /// The server's read.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.urgent == Some(0) {
            // A read begins behind an urgent byte, but does not go past one.
            self.inbound.pop_front();
            self.urgent = None;
        }
        if self.inbound.is_empty() {
            return match self.error.take() {
                Some(error) => Err(error.into()),
                None if self.is_read_closed() => Ok(0),
                None => Err(ErrorKind::WouldBlock.into()),
            };
        }
        let size = buffer.len().min(self.urgent.unwrap_or(self.inbound.len()));
        self.inbound.read_exact(&mut buffer[..size])?;
        self.urgent = self.urgent.map(|at| at - size);
        Ok(size)
    }

    /// The server's write, of which the socket takes at most `most` bytes.
    pub(super) fn write(&mut self, bytes: &[u8], most: usize) -> io::Result<usize> {
        if let Some(error) = self.error.take() {
            return Err(error.into());
        }
        if self.is_reset || self.server_ended {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let free = self.outbound_capacity.saturating_sub(self.outbound.len());
        let size = bytes.len().min(free).min(most);
        self.no_space |= size < bytes.len();
        if size == 0 && !bytes.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.outbound.extend(&bytes[..size]);
        self.written += size as u64;
        Ok(size)
    }

    /// Ends the server's side.
    pub(super) fn end_writing(&mut self) -> io::Result<()> {
        if self.is_reset {
            return Err(ErrorKind::NotConnected.into());
        }
        self.server_ended = true;
        Ok(())
    }

    /// Closes the server's socket. What it has not read makes the system send a reset, with which the peer may
    /// lose what it has not read.
    pub(super) fn close(&mut self, random: &mut Random) {
        self.end = End::Closed;
        self.token = None;
        self.server_ended = true;
        if !self.inbound.is_empty() {
            self.reset_peer(random);
        }
    }

    fn reset_peer(&mut self, random: &mut Random) {
        self.is_reset = true;
        if random.happens(500) {
            self.outbound.clear();
        }
    }

    /// The peer's write. Returns how much the systems take, or nothing if the connection has ended.
    pub(super) fn send(&mut self, bytes: &[u8], random: &mut Random) -> Option<usize> {
        if self.end == End::Closed && !self.is_reset {
            self.reset_peer(random);
        }
        if self.is_reset || self.peer_ended {
            return None;
        }
        let size = bytes.len().min(self.inbound_capacity.saturating_sub(self.inbound.len()));
        self.inbound.extend(&bytes[..size]);
        Some(size)
    }

    /// The peer's urgent byte, unless an earlier one has not been passed: that would become a usual one.
    pub(super) fn send_urgent(&mut self, byte: u8) {
        if self.end != End::Closed && !self.is_read_closed() && self.urgent.is_none() {
            self.urgent = Some(self.inbound.len());
            self.inbound.push_back(byte);
        }
    }

    pub(super) fn receive(&mut self, max: usize) -> Received {
        let size = max.min(self.outbound.len());
        if size > 0 {
            let mut bytes = vec![0; size];
            self.outbound.read_exact(&mut bytes).expect("the bytes are there");
            return Received::Bytes(bytes);
        }
        match self.outbound.is_empty() {
            true if self.is_reset => Received::Reset,
            true if self.server_ended => Received::End,
            _ => Received::Nothing,
        }
    }

    /// Ends the peer's side.
    pub(super) fn end_sending(&mut self) {
        self.peer_ended = true;
    }

    /// Closes the peer's socket. What it has not read makes its system send a reset.
    pub(super) fn close_peer(&mut self) {
        self.peer_ended = true;
        self.peer_closed = true;
        if !self.outbound.is_empty() {
            self.reset(ErrorKind::ConnectionReset);
        }
    }

    /// Whether what the server has written reaches a socket that is closed.
    pub(super) fn is_written_to_nobody(&self) -> bool {
        self.peer_closed && !self.outbound.is_empty() && !self.is_reset
    }

    /// Notes a reset by the peer.
    pub(super) fn reset(&mut self, error: ErrorKind) {
        if !self.is_reset && self.end != End::Closed {
            self.is_reset = true;
            self.peer_ended = true;
            self.error = Some(error);
            self.outbound.clear();
        }
    }
}
